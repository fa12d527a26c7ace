use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};
use squall_config::spec::ConfigSpec;
use squall_config::toxiproxy::{raise, toxics_of};
use squall_config::validate;

use super::body::Body;
use super::change::{self, ProxyIn, ToxicIn};
use crate::document::Draft;

/// Any JSON of a few words that mean something here.
fn any_json() -> impl Strategy<Value = Value> {
    let word =
        prop::sample::select(vec!["a", "b", "upstream", "downstream", "latency", "header", "timeout", "x:1", ""]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.prop_map(Value::from),
    ];
    let fields = vec![
        "name",
        "Name",
        "type",
        "stream",
        "toxicity",
        "attributes",
        "latency",
        "headers",
        "mode",
        "listen",
        "upstream",
        "enabled",
        "toxics",
        "ttl",
    ];
    leaf.prop_recursive(3, 24, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((prop::sample::select(fields.clone()), inner), 0..6)
                .prop_map(|fields| fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

#[derive(Clone, Debug)]
enum Call {
    Create(Value),
    AddToxic(&'static str, Value),
    UpdateToxic(&'static str, Value),
    RemoveToxic(&'static str),
    Remove,
}

fn any_call() -> impl Strategy<Value = Call> {
    let proxy = any::<bool>().prop_map(|has_toxics| {
        let toxics = if has_toxics { json!([{"type": "latency"}]) } else { Value::Null };
        json!({"name": "a", "upstream": "127.0.0.1:9", "enabled": false, "toxics": toxics})
    });
    let kind = prop::sample::select(vec!["latency", "timeout", "header", "slicer"]);
    let stream = prop::sample::select(vec!["upstream", "DOWNSTREAM"]);
    let toxic = (kind, stream, any::<bool>(), -1.0..2.0_f64).prop_map(|(kind, stream, is_named, toxicity)| {
        let name = if is_named { "t" } else { "" };
        json!({"type": kind, "stream": stream, "name": name, "toxicity": toxicity, "attributes": {"latency": 5, "headers": {"a": "b"}}})
    });
    let name = || prop::sample::select(vec!["t", "latency_upstream", "timeout_DOWNSTREAM"]);
    prop_oneof![
        1 => proxy.prop_map(Call::Create),
        4 => toxic.prop_map(|toxic| Call::AddToxic("a", toxic)),
        2 => (name(), any_json()).prop_map(|(name, change)| Call::UpdateToxic(name, change)),
        2 => name().prop_map(Call::RemoveToxic),
        1 => Just(Call::Remove),
    ]
}

/// Whether it was done.
fn apply(draft: &mut Draft, call: Call) -> bool {
    let body = |value| Body::of(value);
    match call {
        Call::Create(proxy) => change::create(draft, ProxyIn::read(&body(proxy).unwrap()).unwrap()),
        Call::AddToxic(proxy, toxic) => {
            let toxic = ToxicIn::read(&body(toxic).unwrap(), |_| false).unwrap();
            change::add_toxic(draft, proxy, toxic)
        }
        Call::UpdateToxic(toxic, value) => body(value).and_then(|body| change::update_toxic(draft, "a", toxic, &body)),
        Call::RemoveToxic(toxic) => change::remove_toxic(draft, "a", toxic),
        Call::Remove => change::remove(draft, "a"),
    }
    .is_ok()
}

proptest! {
    #[test]
    fn no_body_panics(value in any_json()) {
        if let Ok(body) = Body::of(value.clone()) {
            let _proxy = ProxyIn::read(&body);
            let _toxic = ToxicIn::read(&body, |name| name == "a");
        }
        let _all = change::read_all(value);
    }

    /// Whatever calls come, the document stays one that is valid, whose toxics have names of their own, and a call that is
    /// refused leaves it as it was.
    #[test]
    fn the_document_stays_whole(calls in prop::collection::vec(any_call(), 1..30)) {
        let mut draft = Draft::default();
        draft.document = ConfigSpec { version: Some(1), ..ConfigSpec::default() };
        for call in calls {
            let before = draft.clone();
            // What the publisher does with a draft that is refused: it forgets it.
            if !apply(&mut draft, call.clone()) {
                draft = before;
                continue;
            }
            let valid = validate(&draft.document);
            let is_limit = |problems: &squall_config::Problems| problems.0.iter().all(|p| p.detail.contains("limits."));
            prop_assert!(valid.as_ref().err().is_none_or(is_limit), "{call:?}: {:?}", valid.err());
            let toxics = toxics_of(&draft.document, "a");
            let names: BTreeSet<&str> = toxics.iter().map(|(_, toxic)| toxic.name.as_str()).collect();
            prop_assert_eq!(names.len(), toxics.len());
            prop_assert_eq!(draft.document.rules.len(), toxics.len(), "no rule outlives its proxy");
            prop_assert_eq!(raise(&draft.document).rules.len(), 0);
        }
    }
}
