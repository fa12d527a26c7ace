//! What the operator wrote, checked.

pub mod model;
pub mod pattern;
pub mod units;
