//! Which of the decided faults act on a body.

use std::num::NonZeroU32;
use std::time::Instant;

use http::HeaderMap;
use squall_config::model::{AbortAnswer, Fault, Phase, ResetMoment, Stage, Truncate};
use squall_config::units::ByteRate;
use squall_fault::noise::BitFlips;
use squall_fault::plan::Step;

use super::body::{BodyFault, BodyFaults};
use super::ending::{Cutoff, Ending, How};
use super::messages::Messages;
use super::{Faults, Place};
use crate::http::answer::grpc_fields;
use crate::pace::Pace;
use crate::pace::pieces::Pieces;
use crate::pace::throttle::TokenBucket;

impl Faults {
    /// The faults of the body that goes in this direction; `None` when there are none.
    pub(super) fn body_faults(&mut self, phase: Phase, place: Place<'_>) -> Option<Box<BodyFaults>> {
        let now = Instant::now();
        let mut faults = Vec::new();
        let mut steps = self.due(Stage::Alter, place.downstream);
        steps.extend(self.due(Stage::End, place.downstream));
        for step in steps {
            let Some(fault) = self.body_fault(step, phase, place, now) else { continue };
            self.inject(place, step);
            faults.push((self.state(step), fault));
        }
        (!faults.is_empty()).then(|| Box::new(BodyFaults::new(faults, place.downstream.worker.control())))
    }

    fn body_fault(&self, step: Step, phase: Phase, place: Place<'_>, now: Instant) -> Option<BodyFault> {
        let is_of_answer = phase == Phase::Response;
        match self.fault(step) {
            Fault::Throttle(throttle) if throttle.direction.is_none_or(|direction| direction == phase) => {
                let pace = Pace { throttle: Some(TokenBucket::new(throttle.rate, now)), pieces: None };
                Some(BodyFault::Pace(pace))
            }
            Fault::Requested(_) if is_of_answer => {
                let rate = ByteRate::from_bytes_per_second(u64::from(step.drawn) * 1024)?;
                Some(BodyFault::Pace(Pace { throttle: Some(TokenBucket::new(rate, now)), pieces: None }))
            }
            Fault::SlowBody(slow) if slow.direction == phase => {
                Some(BodyFault::Pace(Pace { throttle: None, pieces: Some(Pieces::of_body(slow, now)) }))
            }
            Fault::Corrupt(corrupt) if corrupt.direction == phase => {
                Some(BodyFault::Flips(BitFlips::new(corrupt.rate, step.drawn.into())))
            }
            Fault::Stall(stall) if stall.on == phase => {
                Some(BodyFault::Stall { pass_until: stall.after_bytes, until: stall.max.map(|max| now + max) })
            }
            Fault::Truncate(truncate) if is_of_answer => {
                let at = match *truncate {
                    Truncate::AfterBytes { bytes, .. } => Cutoff::Passed(bytes),
                    Truncate::After(time) => Cutoff::Due(now + time),
                };
                Some(BodyFault::Ending(Ending::Cut { at, how: How::Truncate }))
            }
            Fault::Reset(reset) if is_of_answer => {
                let at = match reset.moment {
                    ResetMoment::Response { after_bytes } => Cutoff::Passed(after_bytes),
                    ResetMoment::After(time) => Cutoff::Due(now + time),
                    ResetMoment::Request | ResetMoment::AfterData { .. } => return None,
                };
                let how = How::Reset { flag: place.downstream.reset_of_connection(), code: reset.code };
                Some(BodyFault::Ending(Ending::Cut { at, how }))
            }
            Fault::Abort(abort) if is_of_answer => match &abort.answer {
                AbortAnswer::Grpc { status, message, after_messages: Some(count) } => {
                    self.status(step, *status, message, *count)
                }
                _ => None,
            },
            _ => None,
        }
    }

    fn status(&self, step: Step, status: u8, message: &str, count: NonZeroU32) -> Option<BodyFault> {
        if !self.is_grpc {
            self.skip(step);
            return None;
        }
        let mut trailers = HeaderMap::new();
        grpc_fields(status, message, &mut trailers);
        Some(BodyFault::Ending(Ending::Status { messages: Messages::new(count), trailers }))
    }
}
