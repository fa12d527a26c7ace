//! A game day as it is written: experiments, one after the other, with people in between.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::experiment::MetadataSpec;
use crate::written::list;

/// A game day.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object with apiVersion, kind, metadata and spec")]
#[schemars(extend("required" = ["apiVersion", "kind", "metadata", "spec"]))]
pub struct GameDayDocument {
    /// The version of this form: `squall.dev/v1alpha1`.
    #[serde(rename = "apiVersion", skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    /// `GameDay`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// What it is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<MetadataSpec>,
    /// What is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spec: Option<GameDaySpec>,
}

/// What is done on a game day.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object such as {title: Checkout, experiments: [{file: slow-b.yaml}]}")]
#[schemars(extend("required" = ["experiments"]))]
pub struct GameDaySpec {
    /// A line for people. Default: the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Who leads it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// In this order; at least one.
    #[serde(deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    pub experiments: Vec<GameDayExperimentSpec>,
}

/// An experiment of a game day.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object such as {file: slow-b.yaml, announce: We slow down B.}")]
#[schemars(extend("required" = ["file"]))]
pub struct GameDayExperimentSpec {
    /// Its document; a relative name is one beside the file of the game day.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub file: String,
    /// What is said to everybody before it starts. Default: its hypothesis.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub announce: Option<String>,
}
