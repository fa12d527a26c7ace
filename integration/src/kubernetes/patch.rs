//! Merge patch and server-side apply, as far as a controller and kubectl need them.

use serde_json::Value;

/// RFC 7386.
pub(super) fn merge(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Some(fields) = target.as_object_mut() else { return };
    for (name, value) in patch {
        if value.is_null() {
            fields.remove(name);
        } else {
            merge(fields.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}

/// Server-side apply: what this manager said last and does not say now is taken out, what it says is put in. Lists are taken
/// whole.
pub(super) fn apply(target: &mut Value, last: Option<&Value>, now: &Value) {
    if let Some(last) = last {
        take_out(target, last, now);
    }
    put_in(target, now);
}

fn take_out(target: &mut Value, last: &Value, now: &Value) {
    let (Some(fields), Some(last)) = (target.as_object_mut(), last.as_object()) else { return };
    for (name, before) in last {
        match (now.get(name), fields.get_mut(name)) {
            (None, Some(_)) => {
                fields.remove(name);
            }
            (Some(now), Some(field)) => take_out(field, before, now),
            (_, None) => {}
        }
    }
}

fn put_in(target: &mut Value, now: &Value) {
    match (target.as_object_mut(), now.as_object()) {
        (Some(fields), Some(now)) => {
            for (name, value) in now {
                put_in(fields.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        _ => *target = now.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_manager_takes_back_what_it_says_no_more_and_nothing_else() {
        let mut object = json!({"spec": {"a": 1}, "status": {"theirs": 1}});
        let first = json!({"status": {"phase": "Injecting", "expiresAt": "x", "list": [1, 2]}});
        apply(&mut object, None, &first);
        let second = json!({"status": {"phase": "Paused", "list": [3]}});
        apply(&mut object, Some(&first), &second);
        assert_eq!(object, json!({"spec": {"a": 1}, "status": {"theirs": 1, "phase": "Paused", "list": [3]}}));
        merge(&mut object, &json!({"status": {"theirs": null}, "spec": {"b": {"c": 2}}}));
        assert_eq!(object, json!({"spec": {"a": 1, "b": {"c": 2}}, "status": {"phase": "Paused", "list": [3]}}));
    }
}
