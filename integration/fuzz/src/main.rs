//! One of the targets, driven by libFuzzer; `run` builds it and says which.
#![no_main]

use std::sync::LazyLock;

use squall_fuzz::{Read, TARGETS};

static READ: LazyLock<Read> = LazyLock::new(|| {
    let named = std::env::var("SQUALL_FUZZ_TARGET").unwrap_or_default();
    TARGETS.iter().find(|(name, _)| *name == named).map(|(_, read)| *read).expect("SQUALL_FUZZ_TARGET names no target")
});

libfuzzer_sys::fuzz_target!(init: { LazyLock::force(&READ); }, |input: &[u8]| READ(input));
