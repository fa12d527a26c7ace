//! A configuration file. What is valid is so again when it was written out.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok((spec, config)) = squall_config::load_text(text) {
        let written = serde_json::to_string(&spec).expect("a document can be written");
        let (_, again) = squall_config::load_text(&written).expect("what was valid is valid");
        assert_eq!(format!("{config:?}"), format!("{again:?}"));
    }
});
