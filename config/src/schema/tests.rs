use serde_json::json;

use super::*;

fn value(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

/// A definition in each line, so that a change of a type is a change of a line.
fn written(documents: &Map<String, Value>) -> String {
    let lines: Vec<String> = documents.iter().map(|(name, schema)| format!("{}:{schema}", json!(name))).collect();
    format!("{{\n{}\n}}\n", lines.join(",\n"))
}

/// `SQUALL_UPDATE=1` writes them.
#[test]
fn the_kept_schemas_are_those_of_the_types() {
    let mut generator = generator();
    generator.subschema_for::<ConfigSpec>();
    generator.subschema_for::<RuleSpec>();
    generator.subschema_for::<RulesSpec>();
    generator.subschema_for::<ExperimentDocument>();
    generator.subschema_for::<GameDayDocument>();
    let made = written(&generator.take_definitions(true));
    if std::env::var_os("SQUALL_UPDATE").is_some() {
        return std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/schema/documents.json"), &made).unwrap();
    }
    assert!(made == DOCUMENTS, "run `SQUALL_UPDATE=1 cargo test -p squall-config schema`");
    assert!(experiment_schema() == super::generator().into_root_schema_for::<ExperimentDocument>().to_value());
}

#[test]
fn the_schema_is_2020_12_and_refuses_unknown_fields() {
    let schema = schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert!(jsonschema::meta::is_valid(&schema));
    let validator = jsonschema::validator_for(&schema).unwrap();
    for wrong in [
        json!({"version": 1, "listner": []}),
        json!({"version": 2}),
        json!({}),
        json!({"version": 1, "rules": [{"name": "a", "fault": {"delay": "2s"}}]}),
        json!({"version": 1, "rules": [{"name": "a", "percentage": 101, "fault": {"delay": "2s"}}]}),
        json!({"version": 1, "rules": [{"name": "a", "percentage": 1, "fault": {"delay": 2}}]}),
        json!({"version": 1, "rules": [{"name": "a", "percentage": 1, "fault": {}}]}),
        json!({"version": 1, "rules": [{"name": "a", "percentage": 1, "fault": {"delay": {"normal": {"mean": "1s"}}}}]}),
    ] {
        assert!(!validator.is_valid(&wrong), "{wrong}");
    }
}

#[test]
fn what_loads_satisfies_the_schema() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    for text in [example(), crate::validate::tests::EVERYTHING] {
        crate::load_text(text).unwrap();
        let value = value(text);
        let errors: Vec<String> =
            validator.iter_errors(&value).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(errors.is_empty(), "{errors:#?}");
    }
}

#[test]
fn the_schema_of_experiments_knows_the_example_and_refuses_the_rest() {
    let schema = experiment_schema();
    assert!(jsonschema::meta::is_valid(&schema));
    let validator = jsonschema::validator_for(&schema).unwrap();
    let example = value(example_experiment());
    let errors: Vec<String> = validator.iter_errors(&example).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    for (place, wrong) in [
        ("/apiVersion", json!("v1")),
        ("/kind", json!("Rule")),
        ("/metadata", json!({"name": "a", "label": {}})),
        ("/spec", json!({"hypothesis": "x"})),
        ("/spec/baseline", json!(30)),
        ("/spec/method/0/ramp/stages", json!(1)),
        ("/spec/method/0/rules/0", json!({"name": "a", "percentage": 101, "fault": {"delay": "2s"}})),
        ("/spec/minimum_requests", json!(0)),
        ("/spec/joined_per_second", json!(0)),
        ("/spec/expect/amplification", json!(0.5)),
    ] {
        let mut changed = example.clone();
        match (changed.pointer_mut(place), place.strip_prefix("/spec/")) {
            (Some(field), _) => *field = wrong,
            (None, field) => changed["spec"][field.unwrap()] = wrong,
        }
        assert!(!validator.is_valid(&changed), "{place}");
    }
}

#[test]
fn every_field_is_described() {
    fn check(place: &str, node: &Value) {
        if let Some(properties) = node.get("properties").and_then(Value::as_object) {
            for (name, property) in properties {
                assert!(property.get("description").is_some(), "{place}.{name} has no description");
            }
        }
        for (name, child) in node.as_object().into_iter().flatten() {
            check(&format!("{place}.{name}"), child);
        }
    }
    check("", &schema());
    check("", &experiment_schema());
}
