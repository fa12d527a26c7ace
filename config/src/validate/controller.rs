//! The controller of a cluster: where it is, and that nobody on the way can give orders in its place.

use std::path::PathBuf;

use http::Uri;

use crate::model::Controller;
use crate::report::Report;
use crate::spec::ControllerSpec;

use super::conditions::http_url;

const HINT: &str = "write where the controller is, such as https://squall.squall-system.svc";

pub(super) fn controller(spec: &ControllerSpec, report: &mut Report) -> Option<Controller> {
    const PATH: &str = "controller.url";
    let file = |field: &str, name: Option<&String>, report: &mut Report| {
        let is_empty = name.is_some_and(String::is_empty);
        if is_empty {
            report.add(format!("controller.{field}"), "no file is named", "name a file, or remove it");
        }
        name.map(PathBuf::from)
    };
    let ca = file("ca", spec.ca.as_ref(), report);
    let token_file = file("token_file", spec.token_file.as_ref(), report);
    let labels_file = file("labels_file", spec.labels_file.as_ref(), report);
    let written = report.required(PATH, spec.url.as_ref(), HINT)?;
    match address(written) {
        Ok(url) => Some(Controller { url, ca, token_file, labels_file }),
        Err(why) => {
            report.add(PATH, why, HINT);
            None
        }
    }
}

/// It may hold a password: it is not repeated.
fn address(text: &str) -> Result<Uri, &'static str> {
    let url = http_url(text).ok_or("it is not an address of https")?;
    if url.scheme_str() != Some("https") {
        return Err("over http anybody on the way could give orders, and take the token");
    }
    if url.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err("there is a user in it; a token goes into token_file");
    }
    if url.path() != "/" || url.query().is_some() {
        return Err("there is a path in it");
    }
    Ok(url)
}
