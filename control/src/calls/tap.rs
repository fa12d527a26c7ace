//! `/v1/tap`: HTTP exchanges as they end.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use http::StatusCode;
use serde::Deserialize;
use squall_telemetry::{TapEvent, TapFilter};

use super::stream::is_over;
use crate::access::Pass;
use crate::app::App;
use crate::error::ApiError;

/// Below the 60 s after which common proxies close a silent connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// More than people can read, and little for the wire.
const RATE_DEFAULT: u32 = 100;
const RATE_MAX: u32 = 10_000;

/// What is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Wanted {
    rule: Option<String>,
    path: Option<String>,
    status: Option<String>,
    faulted: bool,
    rate: Option<u32>,
}

/// `GET /v1/tap`: everything that is asked for from now on, until the client or Squall ends, or the client's token is no more.
pub(crate) async fn get(
    State(app): State<Arc<App>>,
    Extension(pass): Extension<Pass>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(wanted) = wanted.map_err(|error| refuse(error.body_text()))?;
    let taps = app.data_plane.tap(wanted.check()?).ok_or_else(|| {
        let detail = "too many watch already";
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "", detail, "end one of them, or read the access log")
    })?;
    let hello = stream::iter([Event::default().comment("watching")]);
    let events = hello.chain(taps.map(event)).take_until(Box::pin(is_over(app, pass))).map(Ok::<_, Infallible>);
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

fn event(event: TapEvent) -> Event {
    match event {
        TapEvent::Exchange(line) => Event::default().event("exchange").data(line),
        TapEvent::Missed(n) => Event::default().event("missed").data(format!("{{\"missed\":{n}}}")),
    }
}

fn refuse(detail: impl Into<String>) -> ApiError {
    let hint = "rule=NAME, path=PREFIX, status=503 or 5xx, faulted=true and rate=1 to 10000 are known";
    ApiError::new(StatusCode::BAD_REQUEST, "query", detail, hint)
}

impl Wanted {
    fn check(self) -> Result<TapFilter, ApiError> {
        let Self { rule, path, status, faulted, rate } = self;
        let status = status.map(|text| statuses(&text).ok_or_else(|| refuse(format!("{text:?} is no status"))));
        let rate_max = rate.unwrap_or(RATE_DEFAULT);
        if !(1..=RATE_MAX).contains(&rate_max) {
            return Err(refuse(format!("rate={rate_max} is not from 1 to {RATE_MAX}")));
        }
        Ok(TapFilter { rule, path, status: status.transpose()?, is_faulted: faulted, rate_max })
    }
}

/// `503`, or `5xx` for all of its hundred.
fn statuses(text: &str) -> Option<(u16, u16)> {
    if let Some(class) = text.strip_suffix("xx") {
        let first = class.parse::<u16>().ok().filter(|class| (1..=5).contains(class))? * 100;
        return Some((first, first + 99));
    }
    let status = text.parse().ok().filter(|status| (100..=599).contains(status))?;
    Some((status, status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_numbers_or_hundreds() {
        for (text, expected) in [("503", Some((503, 503))), ("4xx", Some((400, 499))), ("100", Some((100, 100)))] {
            assert_eq!(statuses(text), expected);
        }
        for text in ["", "xx", "6xx", "0xx", "99", "600", "5x", "ok", "-1xx"] {
            assert_eq!(statuses(text), None, "{text}");
        }
    }

    #[test]
    fn a_rate_has_its_bounds() {
        let check = |rate| Wanted { rate, ..Wanted::default() }.check().map(|filter| filter.rate_max);
        assert_eq!(check(None).unwrap(), RATE_DEFAULT);
        assert!(check(Some(0)).is_err() && check(Some(RATE_MAX + 1)).is_err());
    }
}
