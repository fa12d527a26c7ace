//! stub
use crate::{model::Config, problem::Problems, spec::ConfigSpec};
/// stub
pub fn validate(spec: &ConfigSpec) -> Result<Config, Problems> {
    let _ = spec;
    Err(Problems::default())
}
