//! A request of HTTP/1.1: head and body, in pieces as at once.
#![no_main]

// The first byte says how large the pieces are.
libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    if let Some((size, bytes)) = input.split_first() {
        squall_proxy::fuzz::request(bytes, usize::from(*size));
    }
});
