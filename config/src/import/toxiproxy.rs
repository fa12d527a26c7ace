//! The proxies of Toxiproxy: listeners, clusters, and a rule for each toxic.

mod toxics;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::problem::Problem;
use crate::spec::{ClusterSpec, ListenerSpec, Scalar};
use crate::toxiproxy::{endpoint, protocol};

use super::read::read;
use super::sheet::Sheet;

use toxics::ToxicIn;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Proxy {
    name: Option<String>,
    listen: Option<Scalar>,
    upstream: Option<Scalar>,
    enabled: Option<bool>,
    toxics: Vec<ToxicIn>,
}

/// What `POST /populate` answers.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Populated {
    proxies: Vec<Proxy>,
}

/// A list of proxies (the file), an object of proxies by name (`GET /proxies`), or a list below `proxies`.
pub(super) fn is_proxies(value: &Value) -> bool {
    let is_proxy = |value: &Value| value.get("upstream").is_some();
    match value {
        Value::Array(all) => !all.is_empty() && all.iter().all(is_proxy),
        Value::Object(_) if value.get("proxies").is_some_and(Value::is_array) => true,
        Value::Object(all) => !all.is_empty() && all.values().all(is_proxy),
        _ => false,
    }
}

pub(super) fn translate(value: &Value, sheet: &mut Sheet<'_>) -> Result<(), Problem> {
    if value.is_array() {
        let all: Vec<Proxy> = read(value, &[], sheet)?;
        let all = all.into_iter().enumerate();
        all.for_each(|(index, item)| proxy(&format!("[{index}]"), item, sheet));
    } else if value.get("proxies").is_some_and(Value::is_array) {
        let all = read::<Populated>(value, &[], sheet)?.proxies.into_iter().enumerate();
        all.for_each(|(index, item)| proxy(&format!("proxies[{index}]"), item, sheet));
    } else {
        let all: BTreeMap<String, Proxy> = read(value, &[], sheet)?;
        for (name, mut item) in all {
            item.name.get_or_insert_with(|| name.clone());
            proxy(&name, item, sheet);
        }
    }
    Ok(())
}

fn proxy(path: &str, proxy: Proxy, sheet: &mut Sheet<'_>) {
    let name = proxy.name.unwrap_or_default();
    if name.is_empty() {
        sheet.lost(path, "the proxy has no name; nothing was made of it", "name it");
        return;
    }
    let Some(upstream) = proxy.upstream else {
        sheet.lost(path, "the proxy has no upstream; nothing was made of it", "write one");
        return;
    };
    let listen = proxy.listen.map(|listen| listen.to_string()).unwrap_or_default();
    let address = Some(Scalar::Text(address(path, &listen, sheet)));
    let protocol = protocol(proxy.toxics.iter().any(ToxicIn::looks_into_http)).to_owned();
    let enabled = proxy.enabled.filter(|enabled| !enabled);
    let listener =
        ListenerSpec { name: name.clone(), address, enabled, protocol: Some(protocol), ..ListenerSpec::default() };
    let cluster = ClusterSpec { endpoints: vec![endpoint(&upstream.to_string())], ..ClusterSpec::default() };
    let Some(listener) = sheet.proxy(path, listener, cluster) else {
        if !proxy.toxics.is_empty() {
            sheet.lost(format!("{path}.toxics"), "they have no listener; no rule was made", "");
        }
        return;
    };
    for (index, toxic) in proxy.toxics.iter().enumerate() {
        toxics::translate(&format!("{path}.toxics[{index}]"), (&name, &listener), toxic, sheet);
    }
}

/// Toxiproxy listens on names and on all interfaces without saying so; a listener has an address.
fn address(path: &str, listen: &str, sheet: &mut Sheet<'_>) -> String {
    match listen.rsplit_once(':') {
        Some(("localhost", port)) => format!("127.0.0.1:{port}"),
        Some(("", port)) => format!("0.0.0.0:{port}"),
        _ if listen.is_empty() => {
            sheet.note(format!("{path}.listen"), "it is empty: any free port, on all interfaces", "choose an address");
            "0.0.0.0:0".to_owned()
        }
        _ => listen.to_owned(),
    }
}
