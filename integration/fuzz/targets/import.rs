//! Documents of other tools.
#![no_main]

use squall_config::import::{Import, Options};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let mut import = Import::new();
    let _ = import.add(text, &Options { cluster: Some("b".to_owned()), ..Options::default() });
});
