//! D16: nobody is sent anywhere else.

use super::server::{Server, ok, status};
use super::*;

const STATUSES: [u16; 5] = [301, 302, 303, 307, 308];

#[test]
fn d16_redirects_to_other_servers_are_not_followed_and_take_no_secret_along() {
    let other = Server::always(|| ok(&[], "evil"));
    let other_port = other.origin();
    let same_port = other.origin_of("127.0.0.1");
    let locations = [
        format!("{other_port}/modules/greet/stable/hotswap.manifest"),
        format!("{same_port}/x"),
        format!("//{}/x", other_port.trim_start_matches("http://")),
        format!("https://{}/x", other_port.trim_start_matches("http://")),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "https://example.org/".to_owned(),
        "file:///etc/passwd".to_owned(),
        String::new() + "http://token@localhost/",
    ];
    for code in STATUSES {
        for location in locations.clone() {
            let target = location.clone();
            let server = Server::always(move || status(code, &[("location", &target)], "moved"));
            let place = greet(server.mirror().bearer("geheim"), LONG);
            let error = refusal(&place);
            assert!(
                error.contains("redirects to another server, which is not followed"),
                "{error}"
            );
            assert!(!error.contains(&location) && !error.contains("geheim"), "{error}");
            assert_eq!(server.requests().len(), 1);
            let file = place.file(&entry(b"x"), &mut |_| Ok(()));
            assert!(told(&file.unwrap_err()).contains("another server"));
        }
    }
    assert_eq!(other.requests().len(), 0, "{:?}", other.paths());
    assert_eq!(other.connections(), 0);
}

#[test]
fn d16_redirects_on_the_same_server_are_followed_a_few_times() {
    for code in STATUSES {
        let server = Server::new(move |request| {
            match request.path.strip_prefix("/hop").and_then(|hop| hop.parse::<u64>().ok()) {
                None => status(code, &[("location", "/hop1")], ""),
                Some(5) => ok(&[], "there"),
                Some(hop) => status(code, &[("location", &format!("hop{}", hop + 1))], "moved"),
            }
        });
        assert_eq!(at(&server).manifest().unwrap(), manifest(b"there"));
        assert_eq!(server.requests().len(), 6);
    }
}

#[test]
fn d16_redirects_in_a_circle_end() {
    let server = Server::always(|| status(302, &[("location", "")], ""));
    assert!(refusal(&at(&server)).contains("redirects more than 5 times"));
    assert_eq!(server.requests().len(), 6);
    let server = Server::always(|| status(302, &[], "where to?"));
    assert!(refusal(&at(&server)).contains("redirects"));
}

#[test]
fn plain_http_is_for_this_machine_unless_it_is_wanted() {
    // An address of documentation, at which nobody is (RFC 5737); it is not asked.
    let mirror = Mirror::new("http://192.0.2.1/modules").unwrap();
    let error = greet(mirror.clone(), SHORT).manifest().unwrap_err();
    assert_eq!(error.kind, hotswap_artifact::FetchErrorKind::Refused);
    assert!(error.to_string().contains("use https, or say `plain_http` (--plain-http)"), "{error}");
    assert!(mirror.plain_http().check().is_ok());
}
