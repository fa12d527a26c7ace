//! What reads the bytes of strangers, as functions of bytes that panic when something is wrong. libFuzzer looks for such bytes in
//! the program of this crate; a test has every input that it found before read again.

use std::sync::LazyLock;

use squall_config::import::{Import, Options};
use squall_config::spec::{ConfigSpec, ProxySpec, RulesSpec, ToxiproxySpec};
use squall_config::toxiproxy::{lower, raise};

/// Reads an input, whatever it is.
pub type Read = fn(&[u8]);

/// All that is fuzzed, by the names of the folders in `corpus/`.
pub const TARGETS: [(&str, Read); 10] = [
    ("request", |input| in_pieces(input, squall_proxy::fuzz::request)),
    ("response", |input| in_pieces(input, squall_proxy::fuzz::response)),
    ("chunks", |input| in_pieces(input, squall_proxy::fuzz::chunks)),
    ("client_hello", |input| in_pieces(input, squall_proxy::fuzz::client_hello)),
    ("first_bytes", squall_proxy::fuzz::first_bytes),
    ("config", |input| as_text(input, config)),
    ("experiment", |input| as_text(input, experiment)),
    ("import", |input| as_text(input, import)),
    ("rules", rules),
    ("toxiproxy", toxiproxy),
];

/// The first byte says how large the pieces are that the others come in.
fn in_pieces(input: &[u8], read: fn(&[u8], usize)) {
    if let Some((size, bytes)) = input.split_first() {
        read(bytes, usize::from(*size));
    }
}

fn as_text(input: &[u8], read: fn(&str)) {
    if let Ok(text) = std::str::from_utf8(input) {
        read(text);
    }
}

/// A configuration file. What is valid is so again when it was written out.
fn config(text: &str) {
    if let Ok((spec, config)) = squall_config::load_text(text) {
        let written = serde_json::to_string(&spec).expect("a document can be written");
        let (_, again) = squall_config::load_text(&written).expect("what was valid is valid");
        assert_eq!(format!("{config:?}"), format!("{again:?}"));
    }
}

/// An experiment, in the configuration that `squall_config::example` has. What is valid is so again when it was written out.
fn experiment(text: &str) {
    static AGAINST: LazyLock<ConfigSpec> =
        LazyLock::new(|| squall_config::parse_text(squall_config::example()).expect("the example is a document"));
    if let Ok((document, experiment)) = squall_config::load_experiment_text(text, &AGAINST) {
        let written = serde_json::to_string(&document).expect("a document can be written");
        let (_, again) = squall_config::load_experiment_text(&written, &AGAINST).expect("what was valid is valid");
        assert_eq!(experiment, again);
    }
}

/// Documents of other tools.
fn import(text: &str) {
    let mut import = Import::new();
    let _ = import.add(text, &Options { cluster: Some("b".to_owned()), ..Options::default() });
}

/// The rules of a call to the control API.
fn rules(input: &[u8]) {
    let Ok(value) = serde_json::from_slice(input) else { return };
    if let Ok(RulesSpec { rules, .. }) = squall_config::parse_value(&value) {
        let _ = squall_config::validate(&ConfigSpec { version: Some(1), rules, ..ConfigSpec::default() });
    }
}

/// Proxies and toxics as Toxiproxy's clients write them: what is taken becomes valid listeners, clusters and rules, or is
/// refused with words, and comes back as it was.
fn toxiproxy(input: &[u8]) {
    let Ok(proxies) = serde_json::from_slice::<Vec<ProxySpec>>(input) else { return };
    let toxiproxy = Some(ToxiproxySpec { proxies, ..ToxiproxySpec::default() });
    let lowered = lower(ConfigSpec { version: Some(1), toxiproxy, ..ConfigSpec::default() });
    if !lowered.problems.is_empty() {
        assert!(lowered.problems.iter().all(|problem| !problem.detail.is_empty()));
        return;
    }
    if let Err(problems) = squall_config::validate(&lowered.document) {
        assert!(lowered.relocate(problems.0).iter().all(|problem| !problem.detail.is_empty()));
        return;
    }
    assert_eq!(lower(raise(&lowered.document)).document, lowered.document);
}
