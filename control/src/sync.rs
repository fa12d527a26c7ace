//! The locks of the publisher. Built with `--cfg shuttle` they are those of a scheduler that tries the orders in which
//! threads can take them.

#[cfg(shuttle)]
pub(crate) use shuttle::sync::{Mutex, MutexGuard};
#[cfg(not(shuttle))]
pub(crate) use std::sync::{Mutex, MutexGuard};
