//! The kinds of faults. Each is one file: how it is written (`…Spec`), what it means, and what of it makes no sense.
//!
//! A new kind is a file here, a variant of [`Fault`] and a field of [`FaultSpec`]; where it acts is said by
//! [`Fault::stage`], and the proxy applies it there.

mod abort;
mod blackhole;
mod corrupt;
mod delay;
mod duplicate;
mod goaway;
mod latency;
mod malformed;
mod modify;
mod phase;
mod requested;
mod reset;
mod slice;
mod slow_body;
mod slow_close;
mod stall;
mod switch;
mod throttle;
mod tls;
mod truncate;

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::report::Report;
use crate::written::Written;

pub use abort::{Abort, AbortAnswer, AbortSpec, grpc_status_name};
pub use blackhole::{Blackhole, BlackholeSpec};
pub use corrupt::{Corrupt, CorruptSpec};
pub use delay::{Amount, Delay, DelayPoint, DelaySpec};
pub use duplicate::{Duplicate, DuplicateSpec};
pub use goaway::{Goaway, GoawaySpec, Http2Code};
pub use latency::{ExponentialSpec, Latency, LogNormalSpec, NormalSpec, ParetoSpec, Quantiles, UniformSpec};
pub use malformed::Malformed;
pub use modify::{Modify, ModifySpec};
pub use phase::Phase;
pub use requested::{Requested, RequestedBy, RequestedSpec, Wish};
pub use reset::{Reset, ResetMoment, ResetSpec};
pub use slice::{Slice, SliceSpec};
pub use slow_body::{Piece, SlowBody, SlowBodySpec};
pub use slow_close::{SlowClose, SlowCloseSpec};
pub use stall::{Stall, StallSpec};
pub use throttle::{Throttle, ThrottleSpec};
pub use tls::{HandshakeFaultSpec, TlsFault, TlsFaultSpec, WrongCertificate};
pub use truncate::{Truncate, TruncateSpec};

/// What goes wrong; at least one kind. Delays come first, then what alters the exchange, then what ends it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, expecting = "an object such as {delay: 2s} or {abort: 503}")]
#[schemars(extend("minProperties" = 1))]
pub struct FaultSpec {
    /// Adds latency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay: Option<Written<DelaySpec>>,
    /// Answers in the upstream's place (HTTP).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abort: Option<Written<AbortSpec>>,
    /// Breaks the connection: TCP RST on HTTP/1 and TCP, RST_STREAM on HTTP/2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reset: Option<Written<ResetSpec>>,
    /// Accepts and never answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blackhole: Option<Written<BlackholeSpec>>,
    /// The upstream does its work, but its answer is dropped and the connection reset (HTTP).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_lost: Option<bool>,
    /// The upstream gets the request twice (HTTP).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicate: Option<Written<DuplicateSpec>>,
    /// Changes the head or the body of the answer, or of the request (HTTP).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modify: Option<ModifySpec>,
    /// Answers with bytes that are no HTTP: `empty`, `garbage` or `bad_chunk` (HTTP).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "malformed::schema")]
    pub malformed: Option<String>,
    /// Ends the body or the stream early, as if that were its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truncate: Option<Written<TruncateSpec>>,
    /// Sends nothing more from some byte on, and keeps the connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stall: Option<Written<StallSpec>>,
    /// Flips bits of the body or the stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corrupt: Option<Written<CorruptSpec>>,
    /// Bounds the bytes per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throttle: Option<Written<ThrottleSpec>>,
    /// Sends the body in pieces, with a pause after each (HTTP).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slow_body: Option<SlowBodySpec>,
    /// Says that the connection goes away: GOAWAY on HTTP/2, `connection: close` on HTTP/1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub goaway: Option<Written<GoawaySpec>>,
    /// What the caller asks for itself, in x-envoy-fault-… header fields or in baggage (HTTP).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested: Option<Written<RequestedSpec>>,
    /// Resets new connections before anything is read (TCP).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refuse: Option<bool>,
    /// Cuts the stream into small pieces (TCP).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slice: Option<Written<SliceSpec>>,
    /// Passes the end of the stream on late (TCP).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slow_close: Option<Written<SlowCloseSpec>>,
    /// Lets the handshake go wrong (on listeners where TLS ends).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsFaultSpec>,
}

/// A kind of failure and its parameters.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Adds latency.
    Delay(Delay),
    /// Answers in the upstream's place. HTTP only.
    Abort(Abort),
    /// Ends with TCP RST on HTTP/1 and TCP, RST_STREAM on HTTP/2.
    Reset(Reset),
    /// Accepts and never answers.
    Blackhole(Blackhole),
    /// The upstream answers, but downstream gets a reset. HTTP only.
    ResponseLost,
    /// The upstream gets the request twice. HTTP only.
    Duplicate(Duplicate),
    /// Changes heads and bodies. HTTP only.
    Modify(Arc<Modify>),
    /// Answers with bytes that are no HTTP. HTTP only.
    Malformed(Malformed),
    /// Ends a body or stream early.
    Truncate(Truncate),
    /// Sends nothing more from some byte on.
    Stall(Stall),
    /// Flips bits.
    Corrupt(Corrupt),
    /// Bounds the bytes per second.
    Throttle(Throttle),
    /// Sends the body in pieces. HTTP only.
    SlowBody(SlowBody),
    /// Says that the connection goes away. HTTP only.
    Goaway(Goaway),
    /// What the caller asks for. HTTP only.
    Requested(Requested),
    /// Resets a new connection at once, before anything is read or dialled. TCP only.
    Refuse,
    /// Cuts the stream into small pieces. TCP only.
    Slice(Slice),
    /// Passes the end of the stream on late. TCP only.
    SlowClose(SlowClose),
    /// Lets the handshake go wrong. Only where TLS ends.
    Tls(TlsFault),
}

/// Where a fault acts, in order of application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Holds a new connection, or the request.
    RequestDelay,
    /// Alters the request or the bytes of either direction, also those of an answer in the upstream's place.
    Alter,
    /// Ends the exchange in the upstream's place.
    Instead,
    /// Ends the exchange once the upstream has answered.
    Lost,
    /// Holds the answer.
    ResponseDelay,
    /// Alters the answer.
    AlterResponse,
    /// Ends the exchange in the answer.
    End,
}

impl Fault {
    /// The word of the file, the header and the metric label.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Delay(_) => "delay",
            Self::Abort(_) => "abort",
            Self::Reset(_) => "reset",
            Self::Blackhole(_) => "blackhole",
            Self::ResponseLost => "response_lost",
            Self::Duplicate(_) => "duplicate",
            Self::Modify(_) => "modify",
            Self::Malformed(_) => "malformed",
            Self::Truncate(_) => "truncate",
            Self::Stall(_) => "stall",
            Self::Corrupt(_) => "corrupt",
            Self::Throttle(_) => "throttle",
            Self::SlowBody(_) => "slow_body",
            Self::Goaway(_) => "goaway",
            Self::Requested(requested) => match requested.what {
                Wish::Delay => "delay",
                Wish::Abort => "abort",
                Wish::Throughput => "throttle",
            },
            Self::Refuse => "refuse",
            Self::Slice(_) => "slice",
            Self::SlowClose(_) => "slow_close",
            Self::Tls(_) => "tls",
        }
    }

    /// Where it acts.
    pub fn stage(&self) -> Stage {
        match self {
            Self::Delay(delay) if delay.on == DelayPoint::Response => Stage::ResponseDelay,
            Self::Delay(_) => Stage::RequestDelay,
            Self::Abort(abort) if abort.answers_at_once() => Stage::Instead,
            Self::Reset(reset) if reset.is_at_once() => Stage::Instead,
            Self::Goaway(goaway) if goaway.is_abrupt() => Stage::Instead,
            Self::Tls(TlsFault::Slow(_) | TlsFault::Certificate(..)) => Stage::RequestDelay,
            Self::Blackhole(hole) if hole.direction.is_some() => Stage::End,
            Self::Blackhole(_) | Self::Malformed(_) | Self::Refuse | Self::Tls(_) => Stage::Instead,
            Self::Requested(requested) => match requested.what {
                Wish::Delay => Stage::RequestDelay,
                Wish::Throughput => Stage::Alter,
                Wish::Abort => Stage::Instead,
            },
            Self::Modify(modify) if modify.on == Phase::Response => Stage::AlterResponse,
            Self::Goaway(_) | Self::Duplicate(_) | Self::Modify(_) => Stage::Alter,
            Self::Corrupt(_) | Self::Throttle(_) | Self::SlowBody(_) | Self::Slice(_) | Self::SlowClose(_) => {
                Stage::Alter
            }
            Self::Stall(stall) if stall.on == Phase::Request => Stage::Alter,
            Self::ResponseLost => Stage::Lost,
            Self::Abort(_) | Self::Reset(_) | Self::Truncate(_) | Self::Stall(_) => Stage::End,
        }
    }

    /// The half in which it ends an HTTP exchange; `None` when the exchange goes on after it.
    pub fn ends(&self) -> Option<Phase> {
        match self.stage() {
            Stage::Instead => Some(Phase::Request),
            Stage::Lost | Stage::End => Some(Phase::Response),
            Stage::RequestDelay | Stage::Alter | Stage::ResponseDelay | Stage::AlterResponse => None,
        }
    }

    /// Whether it can be applied to an HTTP exchange.
    pub fn applies_to_http(&self) -> bool {
        match self {
            Self::Delay(delay) => delay.on != DelayPoint::Connect,
            Self::Truncate(Truncate::AfterBytes { on, .. }) => *on == Phase::Response,
            Self::Reset(reset) => !matches!(reset.moment, ResetMoment::AfterData { .. }),
            Self::Blackhole(hole) => hole.direction.is_none(),
            Self::Abort(_) | Self::ResponseLost | Self::Duplicate(_) | Self::Modify(_) => true,
            Self::Malformed(_) | Self::SlowBody(_) | Self::Goaway(_) | Self::Requested(_) => true,
            Self::Truncate(_) | Self::Stall(_) | Self::Corrupt(_) | Self::Throttle(_) => true,
            Self::Refuse | Self::Slice(_) | Self::SlowClose(_) | Self::Tls(_) => false,
        }
    }

    /// What it is called where somebody is told that it is only for TCP: its kind may be for HTTP too, in another form.
    pub(crate) fn form(&self) -> &'static str {
        match self {
            Self::Delay(delay) if delay.on == DelayPoint::Connect => "delay with on: connect",
            Self::Truncate(_) if !self.applies_to_http() => "truncate with on: request",
            Self::Reset(_) if !self.applies_to_http() => "reset with after_data",
            Self::Blackhole(_) if !self.applies_to_http() => "blackhole with direction",
            _ => self.kind(),
        }
    }

    /// Whether it can be applied to a TCP connection.
    pub fn applies_to_tcp(&self) -> bool {
        match self {
            Self::Delay(delay) => matches!(delay.amount, Amount::Drawn(_)),
            Self::Reset(_) | Self::Blackhole(_) | Self::Truncate(_) | Self::Stall(_) | Self::Corrupt(_) => true,
            Self::Throttle(_) | Self::Refuse | Self::Slice(_) | Self::SlowClose(_) => true,
            Self::Abort(_) | Self::ResponseLost | Self::Duplicate(_) | Self::Modify(_) => false,
            Self::Malformed(_) | Self::SlowBody(_) | Self::Goaway(_) | Self::Requested(_) => false,
            Self::Tls(_) => false,
        }
    }
}

/// What can be written, for those who wrote nothing.
const KINDS: &str = "write one of delay, abort, reset, blackhole, response_lost, duplicate, modify, malformed, truncate, stall, \
                     corrupt, throttle, slow_body, goaway, requested, refuse, slice, slow_close and tls";

/// The faults of a rule, in order of application.
pub(crate) fn faults(path: &str, spec: &FaultSpec, delay_max: Duration, report: &mut Report) -> Vec<Fault> {
    let at = |field: &str| format!("{path}.{field}");
    if *spec == FaultSpec::default() {
        report.add(path, "it says nothing", KINDS);
    }
    // Without `..`: a kind that is not checked here does not compile.
    let FaultSpec {
        delay,
        abort,
        reset,
        blackhole,
        response_lost,
        duplicate,
        modify,
        malformed,
        truncate,
        stall,
        corrupt,
        throttle,
        slow_body,
        goaway,
        requested,
        refuse,
        slice,
        slow_close,
        tls,
    } = spec;
    let mut faults = Vec::new();
    let mut add = |fault: Option<Fault>| faults.extend(fault);
    let r = &mut *report;
    add(delay.as_ref().and_then(|s| delay::check(&at("delay"), s, delay_max, r)).map(Fault::Delay));
    add(abort.as_ref().and_then(|s| abort::check(&at("abort"), s, r)).map(Fault::Abort));
    add(reset.as_ref().and_then(|s| reset::check(&at("reset"), s, r)).map(Fault::Reset));
    add(blackhole.as_ref().and_then(|s| blackhole::check(&at("blackhole"), s, r)).map(Fault::Blackhole));
    add(response_lost.and_then(|on| switch::bare(&at("response_lost"), on, r)).map(|()| Fault::ResponseLost));
    add(duplicate.as_ref().and_then(|s| duplicate::check(&at("duplicate"), s, delay_max, r)).map(Fault::Duplicate));
    add(modify.as_ref().and_then(|s| modify::check(&at("modify"), s, r)).map(|m| Fault::Modify(Arc::new(m))));
    add(malformed.as_ref().and_then(|s| malformed::check(&at("malformed"), s, r)).map(Fault::Malformed));
    add(truncate.as_ref().and_then(|s| truncate::check(&at("truncate"), s, r)).map(Fault::Truncate));
    add(stall.as_ref().and_then(|s| stall::check(&at("stall"), s, r)).map(Fault::Stall));
    add(corrupt.as_ref().and_then(|s| corrupt::check(&at("corrupt"), s, r)).map(Fault::Corrupt));
    add(throttle.as_ref().and_then(|s| throttle::check(&at("throttle"), s, r)).map(Fault::Throttle));
    add(slow_body.as_ref().and_then(|s| slow_body::check(&at("slow_body"), s, r)).map(Fault::SlowBody));
    add(goaway.as_ref().and_then(|s| goaway::check(&at("goaway"), s, r)).map(Fault::Goaway));
    add(refuse.and_then(|on| switch::bare(&at("refuse"), on, r)).map(|()| Fault::Refuse));
    add(slice.as_ref().and_then(|s| slice::check(&at("slice"), s, r)).map(Fault::Slice));
    add(slow_close.as_ref().and_then(|s| slow_close::check(&at("slow_close"), s, delay_max, r)).map(Fault::SlowClose));
    one_end(path, &faults, report);
    if let Some(requested) = requested {
        if !faults.is_empty() {
            let hint = "put the other faults into rules of their own";
            report.add(at("requested"), "what the caller asks for stands alone in its rule", hint);
        }
        let requested = requested::check(&at("requested"), requested, delay_max, report);
        faults.extend(requested.into_iter().flatten().map(Fault::Requested));
    }
    if let Some(tls) = tls {
        if !faults.is_empty() {
            let hint = "put the other faults into rules of their own";
            report.add(at("tls"), "a handshake comes before all else, so that it stands alone in its rule", hint);
        }
        faults.extend(tls::check(&at("tls"), tls, delay_max, report).map(Fault::Tls));
    }
    // A stable sort: what is listed first of the same stage stays first.
    faults.sort_by_key(Fault::stage);
    faults
}

/// An exchange ends once.
fn one_end(path: &str, faults: &[Fault], report: &mut Report) {
    let ends: Vec<&str> = faults.iter().filter(|fault| fault.ends().is_some()).map(Fault::kind).collect();
    if ends.len() > 1 {
        report.add(
            path,
            format!("{} each end the exchange", ends.join(" and ")),
            "keep one; put the others into rules of their own",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_writes_nothing_is_told_all_that_can_be_written() {
        let schema = schemars::schema_for!(FaultSpec).to_value();
        let mut written: Vec<&str> = schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        let list = KINDS.strip_prefix("write one of ").unwrap().replace(" and ", ", ");
        let mut told: Vec<&str> = list.split(", ").collect();
        written.sort_unstable();
        told.sort_unstable();
        assert_eq!(told, written);
    }
}
