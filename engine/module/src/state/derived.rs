//! The step that nobody wrote: fields find their new places by name.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::kind::StateType;
use super::operation::first_value;

/// The new value, and the names of what it has no place for.
///
/// # Errors
///
/// When what is kept does not survive as it is, when a renamed field is under neither name, and when there is no
/// first value.
pub(super) fn value<New: StateType>(
    old: &[u8],
    renamed: &[(&str, &str)],
) -> Result<(New, Vec<String>), String> {
    let old: Map<String, Value> =
        serde_json::from_slice(old).map_err(|error| format!("the old value: {error}"))?;
    let Value::Object(mut new) = as_json(&first_value::<New>()?)? else {
        return Err("only fields with names can be found by name".to_owned());
    };
    let renamed = in_use(&old, renamed)?;
    let mut dropped = Vec::new();
    for (name, value) in old {
        let new_name = match renamed.get(name.as_str()) {
            Some(new_name) => *new_name,
            // Its name is taken by another.
            None if renamed.values().any(|taken| *taken == name) => "",
            None => name.as_str(),
        };
        match new.get_mut(new_name) {
            Some(place) => *place = value,
            None => dropped.push(name),
        }
    }
    let merged = Value::Object(new);
    let new: New =
        serde_json::from_value(merged.clone()).map_err(|error| by_hand(&error.to_string()))?;
    // The parser passes over what a type inside has no field for, and rounds numbers.
    compare(&merged, &as_json(&new)?, "", &mut dropped)?;
    Ok((new, dropped))
}

/// A new value as JSON, with the names that its fields had.
///
/// # Errors
///
/// When it is no JSON of a struct.
pub(super) fn back(new: &[u8], renamed: &[(&str, &str)]) -> Result<Vec<u8>, String> {
    let new: Map<String, Value> =
        serde_json::from_slice(new).map_err(|error| format!("the new value: {error}"))?;
    let mut old = Map::new();
    for (name, value) in new {
        match renamed.iter().find(|(_, new_name)| *new_name == name) {
            Some((old_name, _)) => old.insert((*old_name).to_owned(), value),
            // Another had that name.
            None if renamed.iter().any(|(old_name, _)| *old_name == name) => None,
            None => old.insert(name, value),
        };
    }
    serde_json::to_vec(&old).map_err(|error| error.to_string())
}

/// A value of which all fields are there by name, among others maybe.
///
/// # Errors
///
/// When one is not there, or would not be what it was.
pub(super) fn among<T: StateType>(
    all: &[u8],
    fields: impl Iterator<Item = &'static str>,
) -> Result<T, String> {
    let mut all: Map<String, Value> =
        serde_json::from_slice(all).map_err(|error| format!("the new value: {error}"))?;
    let mut own = Map::new();
    for name in fields {
        let value = all.remove(name).ok_or_else(|| by_hand(&format!("there is no {name}")))?;
        own.insert(name.to_owned(), value);
    }
    let own = Value::Object(own);
    let value: T =
        serde_json::from_value(own.clone()).map_err(|error| by_hand(&error.to_string()))?;
    let mut dropped = Vec::new();
    compare(&own, &as_json(&value)?, "", &mut dropped)?;
    match dropped.first() {
        None => Ok(value),
        Some(path) => Err(by_hand(&format!("{path} would be lost"))),
    }
}

/// Through text, as old values come: a number is then written and read alike on both sides.
fn as_json<T: StateType>(value: &T) -> Result<Value, String> {
    let text = serde_json::to_vec(value).map_err(|error| error.to_string())?;
    serde_json::from_slice(&text).map_err(|error| error.to_string())
}

/// The renamings that apply to a value: one may have been renamed by an earlier step.
fn in_use<'a>(
    old: &Map<String, Value>,
    renamed: &[(&'a str, &'a str)],
) -> Result<BTreeMap<&'a str, &'a str>, String> {
    let mut found = BTreeMap::new();
    for (old_name, new_name) in renamed {
        if old.contains_key(*old_name) {
            found.insert(*old_name, *new_name);
        } else if !old.contains_key(*new_name) {
            return Err(format!(
                "{new_name} is said to have been {old_name}, and there was no such field"
            ));
        }
    }
    Ok(found)
}

/// Names what is lost on the way into a type inside, and refuses what is changed.
fn compare(
    before: &Value,
    after: &Value,
    path: &str,
    dropped: &mut Vec<String>,
) -> Result<(), String> {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for (name, value) in before {
                let path = match path {
                    "" => name.clone(),
                    path => format!("{path}.{name}"),
                };
                match after.get(name) {
                    Some(kept) => compare(value, kept, &path, dropped)?,
                    None if dropped.contains(&path) => {}
                    None => dropped.push(path),
                }
            }
            Ok(())
        }
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => before
            .iter()
            .zip(after)
            .try_for_each(|(before, after)| compare(before, after, &format!("{path}[]"), dropped)),
        (before, after) if before == after => Ok(()),
        _ => Err(by_hand(&format!("{path} would not be what it was"))),
    }
}

fn by_hand(why: &str) -> String {
    format!("{why}; write the step by hand")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_go_back_to_the_names_that_they_had() {
        let renamed = [("calls", "total"), ("name", "title")];
        let new = r#"{"calls":1,"total":2,"title":"t","more":[3]}"#;
        let old = back(new.as_bytes(), &renamed).expect("a struct");
        let old: Value = serde_json::from_slice(&old).expect("JSON");
        assert_eq!(old, serde_json::json!({"calls": 2, "name": "t", "more": [3]}));
        assert!(back(b"[]", &renamed).expect_err("no struct").starts_with("the new value: "));
    }
}
