//! What tests of certificates share.

pub(crate) mod fake;
