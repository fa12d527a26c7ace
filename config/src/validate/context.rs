//! What rules, guards and experiments refer to, while they are checked.

use crate::model::{Cluster, Limits, Listener};
use crate::report::Report;

/// What they may refer to.
pub(crate) struct Context<'a> {
    pub(crate) limits: &'a Limits,
    pub(crate) listeners: &'a [Listener],
    pub(crate) clusters: &'a [Cluster],
    /// Names as written, also of listeners and clusters that have problems of their own.
    pub(crate) listener_names: Vec<&'a str>,
    pub(crate) cluster_names: Vec<&'a str>,
    /// Whether these are all that there are. Where they are not known, any name may be right.
    pub(crate) is_known: bool,
}

impl<'a> Context<'a> {
    /// Nothing is known but the limits.
    pub(super) fn unknown(limits: &'a Limits) -> Self {
        let (listener_names, cluster_names) = (Vec::new(), Vec::new());
        Self { limits, listeners: &[], clusters: &[], listener_names, cluster_names, is_known: false }
    }

    /// Notes a name that no listener has.
    pub(crate) fn listener(&self, path: &str, name: &str, report: &mut Report) {
        self.refer(path, ("listener", name), &self.listener_names, report);
    }

    /// Notes a name that no cluster has.
    pub(crate) fn cluster(&self, path: &str, name: &str, report: &mut Report) {
        self.refer(path, ("cluster", name), &self.cluster_names, report);
    }

    fn refer(&self, path: &str, (kind, name): (&str, &str), known: &[&str], report: &mut Report) {
        if self.is_known {
            report.reference(path, kind, name, known);
        } else {
            report.name(path, name);
        }
    }
}
