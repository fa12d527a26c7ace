//! Faults between the upstream's answer and downstream.

use bytes::Bytes;
use http::{StatusCode, response};
use squall_config::model::{Fault, Modify, Phase, ResetMoment, Stage};

use super::alter::{change_fields, set_length};
use super::body::BodyFaults;
use super::delay::Times;
use super::{Faults, Place};
use crate::http::body::Source;
use crate::http::interrupt::Interrupt;

impl Faults {
    /// Applies what comes between the upstream's answer and downstream; what is left is of the body.
    pub(crate) async fn after_upstream(
        &mut self,
        place: Place<'_>,
        times: Times,
        head: &mut response::Parts,
        source: &mut Source,
    ) -> Result<Option<Box<BodyFaults>>, Interrupt> {
        if let Some(step) = self.due(Stage::Lost, place.downstream).first().copied() {
            self.inject(place, step);
            place.downstream.arm_reset();
            return Err(Interrupt::injected_reset());
        }
        self.delay(Stage::ResponseDelay, place, times).await;
        for step in self.due(Stage::AlterResponse, place.downstream) {
            let Fault::Modify(modify) = self.fault(step).clone() else { continue };
            // What follows a switch of protocols is no body, and its head is the switch.
            if head.status == StatusCode::SWITCHING_PROTOCOLS {
                self.skip(step);
                continue;
            }
            self.inject(place, step);
            change(&modify, head, source);
        }
        for step in self.due(Stage::End, place.downstream) {
            let Fault::Reset(reset) = *self.fault(step) else { continue };
            if reset.moment == (ResetMoment::Response { after_bytes: 0 }) {
                self.inject(place, step);
                place.downstream.arm_reset();
                return Err(Interrupt::reset(reset.code));
            }
        }
        Ok(self.body_faults(Phase::Response, place))
    }

    /// What is left of the faults of an answer in the upstream's place: those of its body.
    pub(crate) fn after_abort(&mut self, place: Place<'_>) -> Option<Box<BodyFaults>> {
        self.body_faults(Phase::Response, place)
    }
}

fn change(modify: &Modify, head: &mut response::Parts, source: &mut Source) {
    if let Some(status) = modify.status {
        head.status = status;
        // The reason phrase was of the other status.
        head.extensions.clear();
        if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED | StatusCode::RESET_CONTENT) {
            head.headers.remove(http::header::CONTENT_LENGTH);
            *source = Source::Empty;
        }
    }
    change_fields(modify, &mut head.headers);
    if let Some(body) = &modify.body {
        set_length(&mut head.headers, body.len());
        *source = if body.is_empty() { Source::Empty } else { Source::Full(Bytes::copy_from_slice(body)) };
    }
}
