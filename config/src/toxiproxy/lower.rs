//! From `toxiproxy.proxies` to listeners, clusters and rules, and back.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use super::{ProxyOf, Toxic, ToxicKind, ToxicOf, WrongAttribute, protocol, proxy, toxics_of};
use crate::model::Name;
use crate::problem::Problem;
use crate::spec::{ConfigSpec, ListenerSpec, MatchSpec, ProxySpec, RuleSpec, Scalar, ToxicSpec};

/// A document without proxies of its own, and where what they became was written.
#[derive(Clone, Debug, Default)]
pub struct Lowered {
    /// With a listener and a cluster for each proxy behind the others, and a rule for each toxic.
    pub document: ConfigSpec,
    /// What is wrong with proxies and toxics as such; those are left out.
    pub problems: Vec<Problem>,
    before: Before,
    /// The places of the proxies behind them, and of the toxics.
    proxies: Vec<usize>,
    toxics: Vec<(usize, usize)>,
}

/// How many there were besides those of proxies.
#[derive(Clone, Copy, Debug, Default)]
struct Before {
    listeners: usize,
    clusters: usize,
    rules: usize,
}

impl Lowered {
    /// The place in the document as it was written: what is wrong with a rule is wrong with its toxic.
    pub(crate) fn written_place(&self, path: &str) -> Option<String> {
        let Before { listeners, clusters, rules } = self.before;
        let proxy = |index: &usize| format!("toxiproxy.proxies[{index}]");
        let behind = |list: &str, before: usize| {
            let index: usize = path.strip_prefix(list)?.strip_prefix('[')?.split(']').next()?.parse().ok()?;
            index.checked_sub(before)
        };
        if let Some(index) = behind("listeners", listeners).or_else(|| behind("clusters", clusters)) {
            return self.proxies.get(index).map(proxy);
        }
        let (of, index) = self.toxics.get(behind("rules", rules)?)?;
        Some(format!("{}.toxics[{index}]", proxy(of)))
    }

    /// Problems of the lowered document, with the places of the written one.
    #[must_use]
    pub fn relocate(&self, problems: Vec<Problem>) -> Vec<Problem> {
        let place = |problem: Problem| match self.written_place(&problem.path) {
            Some(path) => Problem { path, ..problem },
            None => problem,
        };
        problems.into_iter().map(place).collect()
    }
}

/// Makes listeners, clusters and rules of the proxies.
pub fn lower(mut document: ConfigSpec) -> Lowered {
    let before =
        Before { listeners: document.listeners.len(), clusters: document.clusters.len(), rules: document.rules.len() };
    let proxies = document.toxiproxy.as_mut().map(|toxiproxy| std::mem::take(&mut toxiproxy.proxies));
    let mut lowered = Lowered { document, before, ..Lowered::default() };
    let mut names = BTreeSet::new();
    for (index, spec) in proxies.into_iter().flatten().enumerate() {
        let path = format!("toxiproxy.proxies[{index}]");
        if !names.insert(spec.name.clone()) && !spec.name.is_empty() {
            lowered.refuse(
                format!("{path}.name"),
                format!("there is a proxy {:?} before", spec.name),
                "rename one of them",
            );
            continue;
        }
        lowered.add(&path, index, spec);
    }
    lowered
}

impl Lowered {
    fn refuse(&mut self, path: impl Into<String>, detail: impl Into<String>, hint: &str) {
        self.problems.push(Problem::new(path, detail).with_hint(hint));
    }

    fn add(&mut self, path: &str, index: usize, spec: ProxySpec) {
        if spec.name.is_empty() {
            return self.refuse(format!("{path}.name"), "missing", "name the proxy");
        }
        if spec.upstream.is_empty() {
            return self.refuse(
                format!("{path}.upstream"),
                "missing",
                "write a host and a port, such as 127.0.0.1:6379",
            );
        }
        let Some(address) = address(&spec.listen) else {
            let detail = format!("{:?} is not an address to listen on", spec.listen);
            return self.refuse(
                format!("{path}.listen"),
                detail,
                "write an IP address and a port, such as 127.0.0.1:26379",
            );
        };
        let (listener, cluster) = proxy(&self.document, &spec.name, &spec.upstream);
        let listen = Some(spec.listen).filter(|_| spec.enabled == Some(false));
        let of = ProxyOf { name: spec.name.clone(), upstream: spec.upstream, listen, is_of_file: true };
        let listener = ListenerSpec {
            address: Some(Scalar::Text(address.to_string())),
            enabled: spec.enabled.filter(|enabled| !enabled),
            proxy: Some(of),
            start: Some(0),
            ..listener
        };
        let own = listener.name.clone();
        self.document.listeners.push(listener);
        self.document.clusters.push(cluster);
        self.proxies.push(index);
        let mut looks_into_http = false;
        for (place, written) in spec.toxics.iter().enumerate() {
            let path = format!("{path}.toxics[{place}]");
            let Some(toxic) = self.toxic(&path, written) else { continue };
            if toxics_of(&self.document, &spec.name).iter().any(|(_, other)| other.name == toxic.name) {
                let detail = format!("there is a toxic {:?} before", toxic.name);
                self.refuse(format!("{path}.name"), detail, "rename one of them; it may have the other stream");
                continue;
            }
            looks_into_http |= toxic.kind.looks_into_http();
            let name = rule_name(&self.document, &own, &toxic.name);
            self.document.rules.push(rule(toxic, name, (&spec.name, &own), written.ttl.clone()));
            self.toxics.push((index, place));
        }
        if let Some(listener) = self.document.listeners.last_mut().filter(|_| looks_into_http) {
            listener.protocol = Some(protocol(true).to_owned());
        }
    }

    fn toxic(&mut self, path: &str, spec: &ToxicSpec) -> Option<Toxic> {
        let Some(kind) = ToxicKind::new(&spec.kind) else {
            let detail =
                if spec.kind.is_empty() { "missing".to_owned() } else { format!("there is no toxic {:?}", spec.kind) };
            self.refuse(format!("{path}.type"), detail, &format!("write one of {}", ToxicKind::TYPES.join(", ")));
            return None;
        };
        let known = kind.attributes();
        for name in spec.attributes.keys().filter(|name| !known.contains_key(*name)) {
            let known: Vec<&str> = known.keys().map(String::as_str).collect();
            let detail = format!("{} has no attribute {name:?}", kind.name());
            self.refuse(format!("{path}.attributes.{name}"), detail, &format!("it has {}", known.join(", ")));
        }
        let kind = kind.with(&spec.attributes);
        let wrong = |wrong: WrongAttribute| {
            self.refuse(format!("{path}.attributes.{}", wrong.name), wrong.detail, "write it as Toxiproxy has it");
        };
        let kind = kind.map_err(wrong).ok()?;
        let stream = if spec.stream.is_empty() { "downstream" } else { &spec.stream };
        let Some(mut toxic) = Toxic::new(&spec.name, kind, stream) else {
            let detail = format!("{stream:?} is neither upstream nor downstream");
            self.refuse(format!("{path}.stream"), detail, "write one of them");
            return None;
        };
        toxic.toxicity = spec.toxicity.unwrap_or(1.0);
        if !(0.0..=1.0).contains(&toxic.toxicity) {
            self.refuse(
                format!("{path}.toxicity"),
                format!("{} is not from 0 to 1", toxic.toxicity),
                "1 is all connections",
            );
        }
        Some(toxic)
    }
}

/// The rule that does the same as a toxic, at the listener of its proxy.
pub fn rule(toxic: Toxic, name: String, (proxy, listener): (&str, &str), ttl: Option<Scalar>) -> RuleSpec {
    RuleSpec {
        name,
        matches: Some(MatchSpec { listener: Some(listener.to_owned()), ..MatchSpec::default() }),
        percentage: Some(Scalar::from(toxic.percentage())),
        fault: Some(toxic.fault()),
        ttl,
        toxic: Some(Box::new(ToxicOf { proxy: proxy.to_owned(), toxic })),
        ..RuleSpec::default()
    }
}

/// A name for the rule of this toxic that no rule has.
pub fn rule_name(document: &ConfigSpec, listener: &str, toxic: &str) -> String {
    Name::free(&format!("{listener}.{toxic}"), |name| document.rules.iter().any(|rule| rule.name == name))
}

/// Where a proxy listens, as far as that is clear without asking for names; nothing written is any port on all interfaces.
pub fn address(listen: &str) -> Option<SocketAddr> {
    let listen = if listen.is_empty() { ":0" } else { listen };
    match listen.rsplit_once(':')? {
        ("localhost", port) => format!("127.0.0.1:{port}").parse().ok(),
        ("", port) => format!("[::]:{port}").parse().ok(),
        _ => listen.parse().ok(),
    }
}

/// The document as it is written: proxies and toxics in the words of Toxiproxy.
pub fn raise(document: &ConfigSpec) -> ConfigSpec {
    let mut raised = document.clone();
    let proxies: Vec<&ListenerSpec> = document.listeners.iter().filter(|listener| listener.proxy.is_some()).collect();
    if proxies.is_empty() {
        return raised;
    }
    let names: BTreeSet<&str> = proxies.iter().map(|listener| listener.name.as_str()).collect();
    raised.listeners.retain(|listener| listener.proxy.is_none());
    raised.clusters.retain(|cluster| !names.contains(cluster.name.as_str()));
    raised.rules.retain(|rule| rule.toxic.is_none());
    raised.toxiproxy.get_or_insert_default().proxies =
        proxies.into_iter().filter_map(|listener| written(document, listener)).collect();
    raised
}

fn written(document: &ConfigSpec, listener: &ListenerSpec) -> Option<ProxySpec> {
    let of = listener.proxy.as_ref()?;
    let listen = of.listen.clone().or_else(|| listener.address.as_ref().map(ToString::to_string));
    // In the order of the rules, which is not the one in which Toxiproxy shows them.
    let toxics = document.rules.iter().filter_map(|rule| Some((rule, rule.toxic.as_deref()?)));
    let toxics = toxics.filter(|(_, toxic)| toxic.proxy == of.name).map(|(rule, ToxicOf { toxic, .. })| ToxicSpec {
        name: toxic.name.clone(),
        kind: toxic.kind.name().to_owned(),
        stream: toxic.stream_as_written().to_owned(),
        toxicity: Some(toxic.toxicity.clamp(0.0, 1.0)),
        attributes: toxic.kind.attributes().into_iter().collect(),
        ttl: rule.ttl.clone(),
    });
    Some(ProxySpec {
        name: of.name.clone(),
        listen: listen.unwrap_or_default(),
        upstream: of.upstream.clone(),
        enabled: listener.enabled,
        toxics: toxics.collect(),
    })
}
