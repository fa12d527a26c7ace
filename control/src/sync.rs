//! The locks of the publisher. In tests that are built with `--cfg shuttle` they are those of a scheduler that tries the orders in which
//! threads can take them.

#[cfg(all(test, shuttle))]
pub(crate) use shuttle::sync::{Mutex, MutexGuard};
#[cfg(not(all(test, shuttle)))]
pub(crate) use std::sync::{Mutex, MutexGuard};
