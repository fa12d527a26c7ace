//! What calls do to the document; nothing of it is in force until the publisher has published it.

use squall_config::spec::{ClusterSpec, ConfigSpec, ListenerSpec, RuleSpec, Scalar};
use squall_config::toxiproxy::{self, Toxic, ToxicKind, listener_of, protocol, toxics_of};

use super::body::{Body, wrong};
use super::listen;
use super::refusal::Refusal;
use super::shown::ProxyOut;
use crate::data_plane::DataPlane;
use crate::document::Draft;

/// Each has a socket for every worker.
const LISTENERS_MAX: usize = 1024;

/// A proxy as a call writes it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ProxyIn {
    pub(super) name: String,
    pub(super) upstream: String,
    pub(super) listen: String,
    /// Populate makes a difference between "as it is" and "on".
    pub(super) enabled: Option<bool>,
    /// The toxics that it is to have. `None` leaves those that are there.
    pub(super) toxics: Option<Vec<ToxicIn>>,
}

/// A toxic as a call writes it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ToxicIn {
    toxic: Toxic,
    ttl: Option<Scalar>,
}

impl ProxyIn {
    pub(super) fn read(body: &Body) -> Result<Self, Refusal> {
        let toxics = body
            .list("toxics")?
            .map(|list| list.iter().map(|toxic| ToxicIn::read(&Body::of(toxic.clone())?, |_| false)));
        Ok(Self {
            name: body.text("name")?.unwrap_or_default(),
            upstream: body.text("upstream")?.unwrap_or_default(),
            listen: body.text("listen")?.unwrap_or_default(),
            enabled: body.truth("enabled")?,
            toxics: toxics.map(Iterator::collect).transpose()?,
        })
    }

    /// Refuses one that lacks something; `at` tells which of several it is.
    pub(super) fn check(&self, at: &str) -> Result<(), Refusal> {
        match (self.name.is_empty(), self.upstream.is_empty()) {
            (true, _) => Err(Refusal::missing(&format!("name{at}"))),
            (_, true) => Err(Refusal::missing(&format!("upstream{at}"))),
            _ => Ok(()),
        }
    }
}

impl ToxicIn {
    /// In the order in which Toxiproxy finds something wrong; `is_taken` tells of names that toxics have.
    pub(super) fn read(body: &Body, is_taken: impl Fn(&str) -> bool) -> Result<Self, Refusal> {
        let (name, kind) = (body.text("name")?.unwrap_or_default(), body.text("type")?.unwrap_or_default());
        let stream = body.text("stream")?.unwrap_or_else(|| "downstream".to_owned());
        let toxicity = body.number("toxicity")?;
        let attributes = body.object("attributes")?;
        toxiproxy::Stream::read(&stream).ok_or_else(Refusal::no_stream)?;
        let kind = ToxicKind::new(&kind).ok_or_else(Refusal::no_toxic_type)?;
        let mut toxic = Toxic::new(&name, kind, &stream).ok_or_else(Refusal::no_stream)?;
        if is_taken(&toxic.name) {
            return Err(Refusal::toxic_exists());
        }
        toxic.kind = toxic.kind.with(attributes.into_iter().flatten()).map_err(|wrong| wrong_attribute(&wrong))?;
        toxic.toxicity = toxicity.unwrap_or(1.0);
        let ttl = body.text("ttl")?.map(Scalar::Text);
        Ok(Self { toxic, ttl })
    }

    pub(super) fn name(&self) -> &str {
        &self.toxic.name
    }
}

fn wrong_attribute(wrong: &toxiproxy::WrongAttribute) -> Refusal {
    Refusal::bad_body(format!("{}: {}", wrong.name, wrong.detail))
}

/// Makes a proxy that is not there.
pub(super) fn create(draft: &mut Draft, proxy: ProxyIn) -> Result<(), Refusal> {
    create_in_place_of(draft, proxy, None)
}

fn create_in_place_of(draft: &mut Draft, proxy: ProxyIn, held: Option<&ProxyOut>) -> Result<(), Refusal> {
    if listener_of(&draft.document, &proxy.name).is_some() {
        return Err(Refusal::proxy_exists());
    }
    if draft.document.listeners.len() >= LISTENERS_MAX {
        return Err(Refusal::new(500, format!("there are {LISTENERS_MAX} listeners already; delete a proxy first")));
    }
    let address = listen::resolve(&proxy.listen)?;
    let (mut listener, cluster) = toxiproxy::proxy(&draft.document, &proxy.name, &proxy.upstream);
    listener.address = Some(Scalar::Text(address.to_string()));
    (listener.enabled, listener.start) = (Some(false), Some(0));
    if let Some(of) = &mut listener.proxy {
        of.listen = Some(proxy.listen);
    }
    draft.document.listeners.push(listener);
    draft.document.clusters.push(cluster);
    if proxy.enabled != Some(false) {
        start(draft, &proxy.name, held)?;
    }
    proxy.toxics.into_iter().flatten().try_for_each(|toxic| add_toxic(draft, &proxy.name, toxic))
}

/// Takes it away with its toxics.
pub(super) fn remove(draft: &mut Draft, proxy: &str) -> Result<(), Refusal> {
    let (place, listener) = listener_of(&draft.document, proxy).ok_or_else(Refusal::no_proxy)?;
    let own = listener.name.clone();
    draft.document.listeners.remove(place);
    draft.document.clusters.retain(|cluster| cluster.name != own);
    draft.document.rules.retain(|rule| rule.toxic.as_ref().is_none_or(|toxic| toxic.proxy != proxy));
    Ok(())
}

/// Moves it, sends it elsewhere, switches it on or off; what is not said stays. `now` is how it is.
pub(super) fn update(draft: &mut Draft, now: &ProxyOut, change: &Body) -> Result<(), Refusal> {
    let (listen, upstream) = (change.text("listen")?, change.text("upstream")?);
    let enabled = change.truth("enabled")?.unwrap_or(now.enabled);
    let moves = match &listen {
        Some(listen) if *listen != now.listen => Some(listen::resolve(listen)?),
        _ => None,
    };
    let moves = moves.filter(|address| address.to_string() != now.listen);
    let elsewhere = upstream.filter(|upstream| *upstream != now.upstream);
    let differs = moves.is_some() || elsewhere.is_some();
    if now.enabled && (differs || !enabled) {
        stop(draft, now)?;
    }
    let listener = listener_mut(draft, &now.name)?;
    if let Some(address) = moves {
        listener.address = Some(Scalar::Text(address.to_string()));
        if let Some(of) = &mut listener.proxy {
            of.listen = listen;
        }
    }
    let own = listener.name.clone();
    if let Some(upstream) = elsewhere {
        if let Some(of) = &mut listener.proxy {
            of.upstream.clone_from(&upstream);
        }
        let cluster = draft.document.clusters.iter_mut().find(|cluster| cluster.name == own);
        let cluster: &mut ClusterSpec = cluster.ok_or_else(Refusal::no_proxy)?;
        cluster.endpoints = vec![toxiproxy::endpoint(&upstream)];
    }
    if enabled && (differs || !now.enabled) {
        start(draft, &now.name, Some(now))?;
    }
    Ok(())
}

/// Lets it be as `proxy` says: one that has the same addresses stays, another one is replaced.
pub(super) fn put(draft: &mut Draft, proxy: ProxyIn, now: Option<&ProxyOut>) -> Result<(), Refusal> {
    let Some(now) = now else { return create(draft, proxy) };
    let address = listen::resolve(&proxy.listen)?;
    let is_same = proxy.upstream == now.upstream
        && address.port() != 0
        && listen::resolve(&now.listen).is_ok_and(|listen| listen == address);
    if !is_same {
        let before = listener_of(&draft.document, &proxy.name).and_then(|(_, listener)| listener.start);
        remove(draft, &proxy.name)?;
        let name = proxy.name.clone();
        create_in_place_of(draft, proxy, Some(now))?;
        let listener = listener_mut(draft, &name)?;
        listener.start = listener.start.zip(before).map(|(own, before)| own + before + 1);
        return Ok(());
    }
    match proxy.enabled {
        Some(true) if !now.enabled => start(draft, &proxy.name, None)?,
        Some(false) if now.enabled => stop(draft, now)?,
        _ => {}
    }
    if let Some(toxics) = proxy.toxics {
        remove_toxics(draft, &proxy.name);
        toxics.into_iter().try_for_each(|toxic| add_toxic(draft, &proxy.name, toxic))?;
    }
    Ok(())
}

/// Every proxy on, and no toxics.
pub(super) fn reset(draft: &mut Draft) -> Result<(), Refusal> {
    let proxies = draft.document.listeners.iter();
    let proxies: Vec<String> = proxies.filter_map(|listener| Some(listener.proxy.as_ref()?.name.clone())).collect();
    for proxy in proxies {
        if listener_mut(draft, &proxy)?.enabled == Some(false) {
            start(draft, &proxy, None)?;
        }
        remove_toxics(draft, &proxy);
    }
    Ok(())
}

/// The address that the proxy, or the one that it replaces, has already, is its own.
fn start(draft: &mut Draft, proxy: &str, before: Option<&ProxyOut>) -> Result<(), Refusal> {
    let listener = listener_mut(draft, proxy)?;
    let address = listener.address.as_ref().map(ToString::to_string).unwrap_or_default();
    if before.is_none_or(|before| !before.enabled || before.listen != address) {
        listen::probe(listen::resolve(&address)?)?;
    }
    listener.enabled = None;
    anew(listener);
    Ok(())
}

/// It keeps the port that the system chose for it.
fn stop(draft: &mut Draft, now: &ProxyOut) -> Result<(), Refusal> {
    let listener = listener_mut(draft, &now.name)?;
    listener.enabled = Some(false);
    listener.address = Some(Scalar::Text(now.listen.clone()));
    if let Some(of) = &mut listener.proxy {
        of.listen = None;
    }
    anew(listener);
    Ok(())
}

/// Its connections end.
fn anew(listener: &mut ListenerSpec) {
    listener.start = listener.start.map(|start| start + 1);
}

fn listener_mut<'a>(draft: &'a mut Draft, proxy: &str) -> Result<&'a mut ListenerSpec, Refusal> {
    let (place, _) = listener_of(&draft.document, proxy).ok_or_else(Refusal::no_proxy)?;
    Ok(&mut draft.document.listeners[place])
}

/// Gives the proxy another toxic.
pub(super) fn add_toxic(draft: &mut Draft, proxy: &str, toxic: ToxicIn) -> Result<(), Refusal> {
    let ToxicIn { toxic, ttl } = toxic;
    let (_, listener) = listener_of(&draft.document, proxy).ok_or_else(Refusal::no_proxy)?;
    if find(&draft.document, proxy, &toxic.name).is_ok() {
        return Err(Refusal::toxic_exists());
    }
    let name = toxiproxy::rule_name(&draft.document, &listener.name, &toxic.name);
    let rule = toxiproxy::rule(toxic, name, (proxy, &listener.name), ttl);
    draft.put_rule(rule);
    look_into_http(draft, proxy)
}

/// Changes some attributes and the toxicity; what is not said stays.
pub(super) fn update_toxic(draft: &mut Draft, proxy: &str, toxic: &str, change: &Body) -> Result<(), Refusal> {
    let (place, toxic) = find(&draft.document, proxy, toxic)?;
    let mut toxic = toxic.clone();
    toxic.toxicity = change.number("toxicity")?.unwrap_or(toxic.toxicity);
    toxic.kind =
        toxic.kind.with(change.object("attributes")?.into_iter().flatten()).map_err(|wrong| wrong_attribute(&wrong))?;
    let RuleSpec { name, ttl, matches, .. } = draft.document.rules[place].clone();
    let listener = matches.and_then(|matches| matches.listener).unwrap_or_default();
    draft.patch_rule(place, toxiproxy::rule(toxic, name, (proxy, &listener), ttl));
    Ok(())
}

/// Takes a toxic away.
pub(super) fn remove_toxic(draft: &mut Draft, proxy: &str, toxic: &str) -> Result<(), Refusal> {
    let (place, _) = find(&draft.document, proxy, toxic)?;
    draft.document.rules.remove(place);
    look_into_http(draft, proxy)
}

fn remove_toxics(draft: &mut Draft, proxy: &str) {
    draft.document.rules.retain(|rule| rule.toxic.as_ref().is_none_or(|toxic| toxic.proxy != proxy));
    // It is there: its toxics were.
    let _gone = look_into_http(draft, proxy);
}

/// A toxic of a proxy, with its rule's place.
pub(super) fn find<'a>(document: &'a ConfigSpec, proxy: &str, toxic: &str) -> Result<(usize, &'a Toxic), Refusal> {
    let mut toxics = toxics_of(document, proxy).into_iter();
    toxics.find(|(_, other)| other.name == toxic).ok_or_else(Refusal::no_toxic)
}

/// HTTP is spoken as long as a toxic looks into it. Connections that were taken for bytes end when that begins.
fn look_into_http(draft: &mut Draft, proxy: &str) -> Result<(), Refusal> {
    let looks = toxics_of(&draft.document, proxy).iter().any(|(_, toxic)| toxic.kind.looks_into_http());
    let listener = listener_mut(draft, proxy)?;
    let wanted = Some(protocol(looks).to_owned());
    if listener.protocol != wanted {
        listener.protocol = wanted;
        if looks {
            anew(listener);
        }
    }
    Ok(())
}

/// How it is now, for those who change it.
pub(super) fn now(draft: &Draft, proxy: &str, data_plane: &dyn DataPlane) -> Result<ProxyOut, Refusal> {
    super::shown::proxy(&draft.document, proxy, data_plane).ok_or_else(Refusal::no_proxy)
}

/// The proxies of `POST /populate`.
pub(super) fn read_all(value: serde_json::Value) -> Result<Vec<ProxyIn>, Refusal> {
    let list = match value {
        serde_json::Value::Array(list) => list,
        serde_json::Value::Null => Vec::new(),
        other => return Err(wrong("the body", "a list", &other)),
    };
    let all = list.into_iter().map(|proxy| ProxyIn::read(&Body::of(proxy)?)).collect::<Result<Vec<_>, _>>()?;
    for (index, proxy) in all.iter().enumerate() {
        proxy.check(&format!(" at proxy {}", index + 1))?;
    }
    Ok(all)
}
