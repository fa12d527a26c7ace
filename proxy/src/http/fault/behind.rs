//! Faults between the upstream's answer and downstream.

use bytes::Bytes;
use http::StatusCode;
use squall_config::model::{Fault, Modify, Phase, ResetMoment, Stage};

use super::alter::{change_fields, set_length};
use super::delay::Times;
use super::{Faults, Place};
use crate::http::interrupt::Interrupt;
use crate::http::response::{AnswerBody, Answered};

impl Faults {
    /// Applies what comes between the upstream's answer and downstream; what acts on the body goes with it.
    pub(crate) async fn after_upstream(
        &mut self,
        place: Place<'_>,
        times: Times,
        answered: &mut Answered,
    ) -> Result<(), Interrupt> {
        if let Some(step) = self.due(Stage::Lost, place.downstream).first().copied() {
            self.inject(place, step);
            place.downstream.arm_reset();
            return Err(Interrupt::injected_reset());
        }
        self.delay(Stage::ResponseDelay, place, times).await;
        for step in self.due(Stage::AlterResponse, place.downstream) {
            let Fault::Modify(modify) = self.fault(step).clone() else { continue };
            // What follows a switch of protocols is no body, and its head is the switch.
            if answered.head.status == StatusCode::SWITCHING_PROTOCOLS {
                self.skip(step);
                continue;
            }
            self.inject(place, step);
            change(&modify, answered);
        }
        for step in self.due(Stage::End, place.downstream) {
            let Fault::Reset(reset) = *self.fault(step) else { continue };
            if reset.moment == (ResetMoment::Response { after_bytes: 0 }) {
                self.inject(place, step);
                place.downstream.arm_reset();
                return Err(Interrupt::reset(reset.code));
            }
        }
        answered.faults = self.body_faults(Phase::Response, place);
        Ok(())
    }
}

fn change(modify: &Modify, answered: &mut Answered) {
    let Answered { head, body, .. } = answered;
    if let Some(status) = modify.status {
        head.status = status;
        // The reason phrase was of the other status.
        head.extensions.clear();
        if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED | StatusCode::RESET_CONTENT) {
            head.headers.remove(http::header::CONTENT_LENGTH);
            *body = AnswerBody::Empty;
        }
    }
    change_fields(modify, &mut head.headers);
    if let Some(bytes) = &modify.body {
        set_length(&mut head.headers, bytes.len());
        *body = if bytes.is_empty() { AnswerBody::Empty } else { AnswerBody::Full(Bytes::copy_from_slice(bytes)) };
    }
}
