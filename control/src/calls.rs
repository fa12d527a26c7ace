//! What the calls do, one module for each subject.

pub(crate) mod audit;
pub(crate) mod config;
pub(crate) mod experiments;
pub(crate) mod halt_status;
pub(crate) mod health;
pub(crate) mod lease;
pub(crate) mod limits;
pub(crate) mod log_level;
pub(crate) mod openapi;
pub(crate) mod rules;
pub(crate) mod status;
pub(crate) mod stream;
pub(crate) mod switch;
pub(crate) mod tap;
pub(crate) mod traffic;
