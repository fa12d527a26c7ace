//! An experiment, in the configuration that `squall_config::example` has. What is valid is so again when it was written out.
#![no_main]

use std::sync::LazyLock;

use squall_config::spec::ConfigSpec;

static AGAINST: LazyLock<ConfigSpec> =
    LazyLock::new(|| squall_config::parse_text(squall_config::example()).expect("the example is a document"));

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok((document, experiment)) = squall_config::load_experiment_text(text, &AGAINST) {
        let written = serde_json::to_string(&document).expect("a document can be written");
        let (_, again) = squall_config::load_experiment_text(&written, &AGAINST).expect("what was valid is valid");
        assert_eq!(experiment, again);
    }
});
