use super::*;
use crate::calls::openapi::{KEPT, document};

/// A path or a schema in each line, so that a change of one is a change of a line.
fn written(document: &Value) -> String {
    let mut text = document.to_string();
    for part in ["paths", "components/schemas"] {
        for (name, entry) in document.pointer(&format!("/{part}")).and_then(Value::as_object).unwrap() {
            let entry = format!("{}:{entry}", json!(name));
            text = text.replacen(&entry, &format!("\n{entry}"), 1);
        }
    }
    text + "\n"
}

/// `SQUALL_UPDATE=1` writes it.
#[test]
fn the_kept_description_is_that_of_the_calls_and_the_types() {
    let made = written(&openapi());
    if std::env::var_os("SQUALL_UPDATE").is_some() {
        return std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/openapi.json"), &made).unwrap();
    }
    assert!(made == KEPT, "run `SQUALL_UPDATE=1 cargo test -p squall-control openapi`");
    assert!(serde_json::from_str::<Value>(KEPT).unwrap() == openapi());
    assert!(document()["components"]["schemas"]["ConfigSpec"]["properties"]["rules"].is_object());
}
