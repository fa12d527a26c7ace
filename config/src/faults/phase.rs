//! The halves of an exchange, and the directions of a connection, in which faults act.

use crate::report::Report;
use crate::written::Scalar;

/// Which half of the exchange; on TCP `Request` is downstream → upstream, `Response` upstream → downstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Before the upstream sees the request.
    Request,
    /// Before downstream sees the response.
    Response,
}

pub(crate) const PHASES: [(&str, Phase); 2] = [("request", Phase::Request), ("response", Phase::Response)];

/// A required part of a fault.
pub(super) fn required<'a>(
    path: &str,
    value: Option<&'a Scalar>,
    hint: &str,
    report: &mut Report,
) -> Option<(String, &'a Scalar)> {
    report.required(path, value, hint).map(|value| (path.to_owned(), value))
}
