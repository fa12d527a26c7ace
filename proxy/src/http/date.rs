//! The date of a message that has none (RFC 9110 §6.6.1: a recipient with a clock adds that of its arrival).

use std::cell::RefCell;
use std::time::{Duration, SystemTime};

use http::HeaderValue;

/// The current second as a field value; made once for all messages within it.
pub(crate) fn now() -> HeaderValue {
    thread_local! {
        static LAST: RefCell<Option<(u64, HeaderValue)>> = const { RefCell::new(None) };
    }
    let now = SystemTime::now();
    let second = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
    LAST.with_borrow_mut(|last| match last {
        Some((of, text)) if *of == second => text.clone(),
        _ => {
            let text = HeaderValue::try_from(httpdate::fmt_http_date(now)).expect("invariant: a date is printable");
            *last = Some((second, text.clone()));
            text
        }
    })
}
