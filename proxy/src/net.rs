//! Sockets and the TLS sessions on them, who listens here, what happens when they close, bytes that stay in the kernel, and
//! exact time.

pub(crate) mod dialled;
#[cfg(test)]
pub(crate) mod for_tests;
pub(crate) mod linger;
pub(crate) mod original_dst;
pub(crate) mod own;
pub(crate) mod proxy_protocol;
pub(crate) mod reset;
pub(crate) mod session;
pub(crate) mod socket;
pub(crate) mod splice;
pub(crate) mod stream;
pub(crate) mod timer;
