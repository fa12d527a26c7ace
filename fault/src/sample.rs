//! Is the share of a rule for this one? By its ordinal, by a key that it carries, or by the number of its attempt.

use std::net::IpAddr;
use std::sync::atomic::Ordering::Relaxed;

use squall_config::model::{Sample, StickyKey};

use crate::draw::{Draw, Picker, hash};
use crate::meta::RequestMeta;
use crate::snapshot::{CompiledRule, Snapshot};
use crate::trace_context::trace_id;

/// Who asks to be picked or passed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Asker<'a> {
    /// A request.
    Request(&'a RequestMeta<'a>),
    /// A connection, by the address of downstream.
    Connection(IpAddr),
}

/// Why something that matched was not picked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passed {
    /// It is not its turn.
    NotPicked,
    /// It does not have what the sample goes by.
    NoKey,
}

/// Whether a look at an attempt is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counting {
    Count,
    LookOnly,
}

impl CompiledRule {
    /// Picks or passes the match with this ordinal; the draw is for its latencies. Counts attempts, and what has no key.
    pub(crate) fn pick(&self, snapshot: &Snapshot, asker: Asker<'_>, ordinal: u64) -> Option<Draw> {
        match &self.rule.sample {
            Sample::Random | Sample::Exact | Sample::First(_) | Sample::Every(_) => {
                self.picker(snapshot.seed).pick(ordinal)
            }
            Sample::Sticky(_) | Sample::Attempt(_) => self.pick_by_what_it_carries(snapshot, asker, ordinal),
        }
    }

    /// Out of line: what goes by ordinals alone does not pay for it.
    #[cold]
    fn pick_by_what_it_carries(&self, snapshot: &Snapshot, asker: Asker<'_>, ordinal: u64) -> Option<Draw> {
        let outcome = self.outcome(snapshot, asker, ordinal, Counting::Count);
        if let Err(Passed::NoKey) = outcome {
            self.state.skipped_no_key.fetch_add(1, Relaxed);
        }
        outcome.ok()
    }

    /// What [`Self::pick`] draws, or why there is nothing to draw.
    pub(crate) fn outcome(
        &self,
        snapshot: &Snapshot,
        asker: Asker<'_>,
        ordinal: u64,
        counting: Counting,
    ) -> Result<Draw, Passed> {
        let picker = self.picker(snapshot.seed);
        match &self.rule.sample {
            Sample::Random | Sample::Exact | Sample::First(_) | Sample::Every(_) => {
                picker.pick(ordinal).ok_or(Passed::NotPicked)
            }
            Sample::Sticky(key) => {
                let key = key_of(key, asker).ok_or(Passed::NoKey)?;
                // The seed that was configured, never one of the system: replicas have to agree.
                let sticky = Picker { seed: snapshot.config.seed.unwrap_or_default(), ..picker };
                sticky.is_for(key).then(|| picker.draw(ordinal)).ok_or(Passed::NotPicked)
            }
            Sample::Attempt(number) => {
                let Asker::Request(request) = asker else { return Err(Passed::NoKey) };
                let attempt = self.attempt(request, counting).ok_or(Passed::NoKey)?;
                let is_turn = attempt == number.get();
                is_turn.then(|| picker.pick(ordinal)).flatten().ok_or(Passed::NotPicked)
            }
        }
    }

    /// Which try of the request this is, from 1: as the caller says, else as often as its key has been here.
    fn attempt(&self, request: &RequestMeta<'_>, counting: Counting) -> Option<u32> {
        let number = |name: &str| request.headers.get(name)?.to_str().ok()?.trim().parse::<u32>().ok();
        // Envoy counts from 1, gRPC the attempts before this one.
        let told = number("x-envoy-attempt-count").filter(|attempt| *attempt > 0);
        let told = told.or_else(|| number("grpc-previous-rpc-attempts").map(|before| before.saturating_add(1)));
        told.or_else(|| {
            let key = attempt_key(request)?;
            Some(match counting {
                Counting::Count => self.state.attempts.count(key),
                Counting::LookOnly => self.state.attempts.next(key),
            })
        })
    }
}

/// The value of a key as a number, the same on every replica.
fn key_of(key: &StickyKey, asker: Asker<'_>) -> Option<u64> {
    match (key, asker) {
        (StickyKey::Trace, Asker::Request(request)) => trace_id(request.headers).map(|id| hash(id.to_be_bytes())),
        (StickyKey::Header(name), Asker::Request(request)) => {
            request.headers.get(name).map(|value| hash(value.as_bytes().iter().copied()))
        }
        (StickyKey::Source, Asker::Request(request)) => Some(address(request.source)),
        (StickyKey::Source, Asker::Connection(source)) => Some(address(source)),
        (StickyKey::Trace | StickyKey::Header(_), Asker::Connection(_)) => None,
    }
}

/// A dual-stack socket shows IPv4 peers as `::ffff:a.b.c.d`; another replica may see `a.b.c.d`.
fn address(source: IpAddr) -> u64 {
    match source.to_canonical() {
        IpAddr::V4(ip) => hash(ip.octets()),
        IpAddr::V6(ip) => hash(ip.octets()),
    }
}

/// What the tries of one request have in common: its idempotency key, else its trace; with method and target.
fn attempt_key(request: &RequestMeta<'_>) -> Option<u64> {
    let target = [request.method.as_str(), request.authority, request.path, request.query.unwrap_or_default()];
    // No part of a target has a zero byte, so that none runs into the next.
    let target = target.iter().flat_map(|part| part.bytes().chain([0]));
    match request.headers.get("idempotency-key") {
        Some(key) => Some(hash(key.as_bytes().iter().copied().chain([0]).chain(target))),
        None => trace_id(request.headers).map(|id| hash(id.to_be_bytes().into_iter().chain(target))),
    }
}

#[cfg(test)]
#[path = "sample_tests.rs"]
mod tests;
