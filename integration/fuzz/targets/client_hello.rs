//! A ClientHello that is looked at for its server name.
#![no_main]

// The first byte says how large the pieces are.
libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    if let Some((size, bytes)) = input.split_first() {
        squall_proxy::fuzz::client_hello(bytes, usize::from(*size));
    }
});
