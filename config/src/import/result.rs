//! What is asked for, and what documents come to.

use std::collections::HashSet;

use super::finding::Finding;
use crate::spec::ConfigSpec;
use crate::units::Percentage;

/// Whose documents they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// VirtualService of Istio.
    Istio,
    /// HTTPChaos and NetworkChaos of Chaos Mesh.
    ChaosMesh,
    /// MeshFaultInjection and FaultInjection of Kuma.
    Kuma,
    /// The proxies of Toxiproxy, as its API answers or as its file has them.
    Toxiproxy,
}

/// What the operator says beside the documents.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Only documents of this source; `None` tells each by its kind or shape.
    pub source: Option<Source>,
    /// For documents that name no percentage.
    pub percentage: Option<Percentage>,
    /// The cluster that stands for the hosts, ports and targets of the documents.
    pub cluster: Option<String>,
}

/// What the documents of all files came to.
#[derive(Debug, Default)]
pub struct Import {
    /// Rules, and for Toxiproxy listeners and clusters. Each rule is valid by itself.
    pub spec: ConfigSpec,
    /// What is lost or altered, in the order of the documents.
    pub findings: Vec<Finding>,
    /// How many documents were recognised.
    pub n_documents: usize,
    /// Those that are taken.
    pub(super) names: HashSet<String>,
}
