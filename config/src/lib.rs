//! What the operator wrote, checked.
//!
//! Text → [`spec`] (what was written) → [`model`] (only values that make sense). All problems of a document are reported
//! at once, each with its place and its fix.

pub mod defaults;
pub mod import;
pub mod model;
pub mod pattern;
pub mod spec;
pub mod toxiproxy;
pub mod units;

mod chain;
mod faults;
mod load;
mod locate;
mod nearest;
mod parse;
mod path;
mod problem;
mod report;
mod schema;
mod shape;
mod validate;
mod vocabulary;
mod written;

pub use chain::Chain;
pub use load::{
    load_experiment_text, load_game_day_text, load_text, locate, parse_experiment_text, parse_text, parse_yaml,
};
pub use parse::{parse_value, parse_values};
pub use problem::{Problem, Problems};
pub use schema::{DEFINITIONS, Document, example, example_experiment, experiment_schema, schema, schemas_of};
pub use validate::{validate, validate_experiment, validate_experiment_anywhere, validate_pods, validate_rule};
