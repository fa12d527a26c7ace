//! The control API: where it listens, and that nobody on the network can call it unasked.

use std::path::PathBuf;

use crate::defaults;
use crate::model::{ControlAddress, ControlApi};
use crate::report::Report;
use crate::spec::{ControlSpec, Scalar};

use super::address::{self, OwnAddresses};
use super::tls;

/// What `sockaddr_un` holds on Linux, without the zero at its end (unix(7)).
const SOCKET_PATH_BYTES_MAX: usize = 107;

pub(crate) fn control(spec: Option<&ControlSpec>, own: &mut OwnAddresses, report: &mut Report) -> ControlApi {
    let mut api = ControlApi::at(defaults::CONTROL);
    let Some(spec) = spec else {
        own.add("control.address", defaults::CONTROL, report);
        return api;
    };
    if let Some(address) = spec.address.as_ref().and_then(|written| listening_at(written, report)) {
        api.address = address;
    }
    if let Some(address) = api.address.tcp() {
        own.add("control.address", address, report);
    }
    let n_problems = report.count();
    api.token_file = spec.token_file.as_ref().and_then(|name| token_file(name, report));
    api.tls = spec.tls.as_ref().and_then(|spec| {
        if matches!(api.address, ControlAddress::Unix(_)) {
            let detail = "a Unix socket never leaves this machine, so there is nothing to encrypt";
            report.add("control.tls", detail, "remove tls, or listen on an IP address and a port");
        }
        let (cert, key) = (spec.cert.as_ref(), spec.key.as_ref());
        tls::server("control.tls", cert, key, spec.client_ca.as_ref(), report)
    });
    // Who wrote a token file or authorities badly is told of that alone.
    if !api.address.is_local() && !api.asks_who() && report.count() == n_problems {
        report.add(
            "control.address",
            format!(
                "{} can be reached from other machines, and whoever reaches it could change every rule",
                api.address
            ),
            "listen on 127.0.0.1 or unix:PATH, or let the API ask who calls: control.token_file (squall run \
             --control-token-file), or control.tls with client_ca",
        );
    }
    api
}

fn listening_at(written: &Scalar, report: &mut Report) -> Option<ControlAddress> {
    const PATH: &str = "control.address";
    let text = written.to_string();
    let Some(path) = text.strip_prefix("unix:") else {
        return address::socket(PATH, written, report).map(ControlAddress::Tcp);
    };
    // unix:///run/squall.sock is how other programs write the same.
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() || path.ends_with('/') {
        report.add(PATH, format!("{text:?} names no socket"), "write unix: and its path, as in unix:/run/squall.sock");
        return None;
    }
    if path.len() > SOCKET_PATH_BYTES_MAX || path.contains('\0') {
        let detail =
            format!("the path of a socket has at most {SOCKET_PATH_BYTES_MAX} bytes, and this one {}", path.len());
        report.add(PATH, detail, "choose a shorter path, as in unix:/run/squall.sock");
        return None;
    }
    Some(ControlAddress::Unix(PathBuf::from(path)))
}

fn token_file(name: &str, report: &mut Report) -> Option<PathBuf> {
    const PATH: &str = "control.token_file";
    if name.is_empty() {
        report.add(PATH, "no file is named", "name a file of tokens, or remove it");
        return None;
    }
    if name.contains('\n') {
        let hint = "write the tokens to a file that only Squall can read, and name that";
        report.add(PATH, "this is the content of a file, not its name", hint);
        return None;
    }
    Some(name.into())
}
