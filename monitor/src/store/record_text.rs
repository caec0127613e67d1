//! Records as files have them: a line of JSON, and its hash.

use std::time::Duration;

use serde_json::{Value, json};

use super::records::{Quarantined, Served};
use super::whole;

pub(super) fn render_served(served: &[Served]) -> String {
    let entry = |served: &Served| {
        json!({
            "fingerprint": served.fingerprint.to_string(),
            "content": served.content.to_string(),
            "build_ns": u64::try_from(served.build_time.as_nanos()).unwrap_or(u64::MAX),
            "release": served.release,
        })
    };
    whole::seal(&json!({ "served": served.iter().map(entry).collect::<Value>() }).to_string())
}

pub(super) fn parse_served(bytes: &[u8]) -> Option<Vec<Served>> {
    let value: Value = serde_json::from_str(whole::unseal(bytes)?).ok()?;
    let entry = |value: &Value| {
        Some(Served {
            fingerprint: value["fingerprint"].as_str()?.parse().ok()?,
            content: value["content"].as_str()?.parse().ok()?,
            build_time: Duration::from_nanos(value["build_ns"].as_u64()?),
            // Records of before releases had numbers have none.
            release: match &value["release"] {
                Value::Null => None,
                number => Some(number.as_u64()?),
            },
        })
    };
    value["served"].as_array()?.iter().map(entry).collect()
}

pub(super) fn render_quarantined(quarantined: &Quarantined) -> String {
    let line = json!({
        "fingerprint": quarantined.fingerprint.to_string(),
        "code": quarantined.code,
        "message": quarantined.message,
    });
    whole::seal(&line.to_string())
}

pub(super) fn parse_quarantined(bytes: &[u8]) -> Option<Quarantined> {
    let value: Value = serde_json::from_str(whole::unseal(bytes)?).ok()?;
    let text = |name: &str| value[name].as_str().map(str::to_owned);
    Some(Quarantined {
        fingerprint: value["fingerprint"].as_str()?.parse().ok()?,
        code: text("code")?,
        message: text("message")?,
    })
}

#[cfg(test)]
mod tests {
    use hotswap_artifact::{ContentHash, Fingerprint};

    use super::*;

    #[test]
    fn records_of_before_releases_had_numbers_are_read() {
        let fingerprint = Fingerprint::of(b"x");
        let content = ContentHash::of(b"x");
        let text = format!(
            r#"{{"served":[{{"fingerprint":"{fingerprint}","content":"{content}","build_ns":7}}]}}"#
        );
        let build_time = Duration::from_nanos(7);
        let expected = Served { fingerprint, content, build_time, release: None };
        assert_eq!(parse_served(whole::seal(&text).as_bytes()), Some(vec![expected]));
    }

    #[test]
    fn what_is_torn_or_altered_says_nothing() {
        let served = Served {
            fingerprint: Fingerprint::of(b"x"),
            content: ContentHash::of(b"x"),
            build_time: Duration::from_secs(1),
            release: Some(u64::MAX),
        };
        let why = Quarantined::new(served.fingerprint, "code", "message");
        let (one, two) = (render_served(&[served]), render_quarantined(&why));
        assert_eq!(parse_served(one.as_bytes()), Some(vec![served]));
        assert_eq!(parse_quarantined(two.as_bytes()), Some(why));
        for text in [one, two] {
            for end in 0..text.len() {
                let mut altered = text.clone().into_bytes();
                altered[end] ^= 1;
                for bytes in [&text.as_bytes()[..end], &altered] {
                    assert_eq!((parse_served(bytes), parse_quarantined(bytes)), (None, None));
                }
            }
        }
    }
}
