//! Toxiproxy's HTTP API: where it listens, and that nobody on the network can call it unasked.

use crate::model::{ControlApi, ToxiproxyApi};
use crate::report::Report;
use crate::spec::ToxiproxySpec;

use super::address::{self, OwnAddresses};

const PATH: &str = "toxiproxy.address";

pub(super) fn toxiproxy(
    spec: &ToxiproxySpec,
    control: &ControlApi,
    own: &mut OwnAddresses,
    report: &mut Report,
) -> Option<ToxiproxyApi> {
    if !spec.proxies.is_empty() {
        // Whoever reads a document makes listeners, clusters and rules of them first.
        report.add("toxiproxy.proxies", "proxies are read from a file or PUT /v1/config alone", "write listeners");
    }
    let address = address::socket(PATH, spec.address.as_ref()?, report)?;
    own.add(PATH, address, report);
    let is_open = spec.open.unwrap_or(false);
    if !is_open && !address.ip().to_canonical().is_loopback() && control.token_file.is_none() {
        report.add(
            PATH,
            format!("{address} can be reached from other machines, and whoever reaches it could break traffic"),
            "listen on 127.0.0.1, or write open: true (squall run --toxiproxy-open) where everybody who reaches it may",
        );
    }
    Some(ToxiproxyApi { address, is_open })
}
