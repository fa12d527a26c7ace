//! Faults in the upstream's place: it is not called.

use std::time::Instant;

use bytes::Bytes;
use h2::Reason;
use squall_config::model::{Fault, Malformed, Phase, Stage};
use squall_fault::noise::Noise;
use squall_fault::plan::Step;
use squall_fault::requested::RequestedAnswer;

use super::delay::Times;
use super::{FAULT_HEADER, Faults, Place};
use crate::hold::{Released, Until, hold};
use crate::http::answer;
use crate::http::interrupt::Interrupt;
use crate::http::response::Answered;

/// What a fault before the upstream wants.
#[derive(Debug)]
pub(crate) enum Instead {
    Answer(Box<Answered>),
    /// No answer.
    Interrupt(Interrupt),
}

/// As much garbage as a small answer.
const GARBAGE_BYTES: usize = 256;

impl Faults {
    /// Applies what comes before the upstream: delays first, then what ends the exchange.
    pub(crate) async fn before_upstream(&mut self, place: Place<'_>, arrived: Instant) -> Option<Instead> {
        self.delay(Stage::RequestDelay, place, Times { arrived, sent: arrived, since: arrived }).await;
        self.go_away(place);
        for step in self.due(Stage::Instead, place.downstream) {
            if let Some(instead) = self.instead(step, place, arrived).await {
                return Some(instead);
            }
        }
        None
    }

    async fn instead(&mut self, step: Step, place: Place<'_>, arrived: Instant) -> Option<Instead> {
        let fault = self.fault(step).clone();
        self.inject(place, step);
        let interrupt = match fault {
            Fault::Abort(abort) => {
                let answered = answer::aborted(&abort, self.rule(step).rule.name.as_str(), self.is_grpc);
                return Some(self.answer(answered, place));
            }
            Fault::Requested(_) => {
                let asked = RequestedAnswer::of(step.drawn)?;
                let answered = answer::requested(asked, self.rule(step).rule.name.as_str());
                return Some(self.answer(answered, place));
            }
            Fault::Reset(reset) => {
                place.downstream.arm_reset();
                Interrupt::reset(reset.code)
            }
            Fault::Malformed(malformed) => Interrupt::malformed(self.bytes(malformed, step)),
            Fault::Goaway(goaway) => {
                place.downstream.go_away(goaway.code);
                Interrupt::with_reason(Reason::from(goaway.code.number()))
            }
            Fault::Blackhole(blackhole) => {
                let until = blackhole.max.map_or(Until::Forever, |max| Until::At(arrived + max));
                let state = self.state(step);
                let held = hold(place.downstream.worker.control(), |now| now.is_active(&state).then_some(until)).await;
                if held != Released::Elapsed {
                    return None;
                }
                Interrupt::close()
            }
            _ => return None,
        };
        Some(Instead::Interrupt(interrupt))
    }

    /// In the upstream's place, with what is left of the faults: those of the body.
    fn answer(&mut self, mut answered: Answered, place: Place<'_>) -> Instead {
        answered.faults = self.body_faults(Phase::Response, place);
        Instead::Answer(Box::new(answered))
    }

    /// A connection that goes away lets this exchange come to its end.
    fn go_away(&mut self, place: Place<'_>) {
        for step in self.due(Stage::Alter, place.downstream) {
            if let Fault::Goaway(goaway) = *self.fault(step) {
                self.inject(place, step);
                self.closes = true;
                place.downstream.go_away(goaway.code);
            }
        }
    }

    /// What is sent in place of an HTTP/1 message.
    fn bytes(&self, malformed: Malformed, step: Step) -> Bytes {
        match malformed {
            Malformed::Empty => Bytes::new(),
            Malformed::Garbage => {
                let mut garbage = vec![0; GARBAGE_BYTES];
                Noise::new(step.drawn.into()).fill(&mut garbage);
                garbage.into()
            }
            Malformed::BadChunk => {
                let mut head =
                    b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n".to_vec();
                for mark in self.marks() {
                    head.extend_from_slice(FAULT_HEADER.as_bytes());
                    head.extend_from_slice(b": ");
                    head.extend_from_slice(mark.as_bytes());
                    head.extend_from_slice(b"\r\n");
                }
                head.extend_from_slice(b"\r\n5\r\nhello\r\nno chunk\r\n");
                head.into()
            }
        }
    }
}
