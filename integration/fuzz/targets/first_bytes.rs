//! The first bytes of a connection: which protocol they are, and the PROXY protocol.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| squall_proxy::fuzz::first_bytes(input));
