//! Faults that alter the request on its way upstream.

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use http::request;
use http_body::Body as _;
use squall_config::model::{Fault, Modify, Phase, Stage};

use super::duplicate::Copy;
use super::{Faults, Place};
use crate::http::request_body::{RequestBody, discard};

impl Faults {
    /// Alters a request that goes upstream next; whether it goes there twice.
    pub(crate) fn alter_request(
        &mut self,
        place: Place<'_>,
        head: &mut request::Parts,
        body: &mut RequestBody,
    ) -> Option<Copy> {
        let mut copy = None;
        for step in self.due(Stage::Alter, place.downstream) {
            match self.fault(step).clone() {
                Fault::Modify(modify) => {
                    self.inject(place, step);
                    change_fields(&modify, &mut head.headers);
                    if let Some(bytes) = &modify.body {
                        set_length(&mut head.headers, bytes.len());
                        discard(std::mem::replace(body, RequestBody::full(Bytes::copy_from_slice(bytes))));
                    }
                }
                Fault::Duplicate(duplicate) => {
                    self.inject(place, step);
                    copy.get_or_insert(Copy { after: duplicate.after, rule: self.state(step) });
                }
                _ => {}
            }
        }
        if !body.is_end_stream()
            && let Some(faults) = self.body_faults(Phase::Request, place)
        {
            *body = std::mem::take(body).faulted(faults);
        }
        copy
    }
}

/// Takes fields away, then sets others.
pub(super) fn change_fields(modify: &Modify, headers: &mut HeaderMap) {
    for name in &modify.remove_headers {
        headers.remove(name);
    }
    for (name, value) in &modify.set_headers {
        headers.insert(name, value.clone());
    }
}

/// The framing of a body that replaces another.
pub(super) fn set_length(headers: &mut HeaderMap, bytes: usize) {
    headers.remove(TRANSFER_ENCODING);
    headers.remove(CONTENT_ENCODING);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes));
}
