//! The rules of a call to the control API.
#![no_main]

use squall_config::spec::{ConfigSpec, RulesSpec};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Ok(value) = serde_json::from_slice(input) else { return };
    if let Ok(RulesSpec { rules, .. }) = squall_config::parse_value(&value) {
        let _ = squall_config::validate(&ConfigSpec { version: Some(1), rules, ..ConfigSpec::default() });
    }
});
