//! What a caller asks for itself: the semantics of Envoy's fault filter (`x-envoy-fault-…`, its documentation "HTTP fault
//! injection"), in header fields or as members of the baggage (W3C Baggage) that services pass on.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use squall_config::model::{Requested, RequestedBy, Wish};
use squall_config::units::Percentage;

/// The baggage asks only at calls to the cluster that this member names.
const CLUSTER: &str = "x-squall-fault-cluster";

/// An answer that was asked for, as the number that a plan's step carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestedAnswer {
    /// HTTP status, 200–599.
    Http(StatusCode),
    /// gRPC status, 0–16, behind HTTP status 200.
    Grpc(u8),
}

/// gRPC statuses stand behind all of HTTP.
const GRPC_BASE: u32 = 1000;

impl RequestedAnswer {
    /// The answer that a step carries; `None` for any other number.
    pub fn of(drawn: u32) -> Option<Self> {
        match u16::try_from(drawn).ok()? {
            status @ 200..=599 => StatusCode::from_u16(status).ok().map(Self::Http),
            status @ 1000..=1016 => u8::try_from(status - 1000).ok().map(Self::Grpc),
            _ => None,
        }
    }
}

/// Where a caller may ask for faults.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asking<'a> {
    pub(crate) headers: &'a HeaderMap,
    /// That it calls.
    pub(crate) cluster: &'a str,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// As a step carries it: of a delay microseconds, of an abort the number of a [`RequestedAnswer`], of a throughput KiB per
    /// second.
    pub(crate) value: u32,
    /// Of the calls, when that is said too.
    pub(crate) share: Option<Percentage>,
}

/// What a caller asks for that a rule allows.
pub(crate) fn asked(requested: &Requested, asking: Asking<'_>) -> Option<Asked> {
    let Asking { headers, cluster } = asking;
    let carriers: &[Carrier<'_>] = match requested.by {
        RequestedBy::Headers => &[Carrier::Headers(headers)],
        RequestedBy::Baggage => &[Carrier::Baggage(headers)],
        RequestedBy::Both => &[Carrier::Headers(headers), Carrier::Baggage(headers)],
    };
    carriers.iter().filter(|carrier| carrier.is_for(cluster)).find_map(|carrier| {
        let value = match requested.what {
            Wish::Delay => {
                let ms = carrier.number("x-envoy-fault-delay-request").filter(|ms| *ms > 0)?;
                u32::try_from(Duration::from_millis(ms).min(requested.max).as_micros()).ok()?
            }
            Wish::Abort => carrier.answer()?,
            Wish::Throughput => {
                let rate = carrier.number("x-envoy-fault-throughput-response").filter(|rate| *rate > 0)?;
                u32::try_from(rate).unwrap_or(u32::MAX)
            }
        };
        let share = carrier.number(match requested.what {
            Wish::Delay => "x-envoy-fault-delay-request-percentage",
            Wish::Abort => "x-envoy-fault-abort-request-percentage",
            Wish::Throughput => "x-envoy-fault-throughput-response-percentage",
        });
        let percent = |share: u64| Percentage::from_ppm(u32::try_from(share.min(100)).unwrap_or(100) * 10_000);
        Some(Asked { value, share: share.and_then(percent) })
    })
}

enum Carrier<'a> {
    Headers(&'a HeaderMap),
    Baggage(&'a HeaderMap),
}

impl Carrier<'_> {
    /// The first value of this name.
    fn text(&self, name: &str) -> Option<&str> {
        match self {
            Self::Headers(headers) => headers.get(name)?.to_str().ok(),
            Self::Baggage(headers) => {
                let lists = headers.get_all("baggage").iter().filter_map(|list| list.to_str().ok());
                let mut members = lists.flat_map(|list| list.split(',')).filter_map(|member| member.split_once('='));
                let (_, value) = members.find(|(key, _)| key.trim() == name)?;
                // Properties of a member are none of its value.
                value.split(';').next().map(str::trim)
            }
        }
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.trim().parse().ok()
    }

    /// The HTTP status goes before the gRPC status.
    fn answer(&self) -> Option<u32> {
        let in_range = |name: &str, low: u64, high: u64| {
            self.number(name).filter(|n| (low..=high).contains(n)).and_then(|n| u32::try_from(n).ok())
        };
        let http = in_range("x-envoy-fault-abort-request", 200, 599);
        http.or_else(|| in_range("x-envoy-fault-abort-grpc-request", 0, 16).map(|status| GRPC_BASE + status))
    }

    /// Baggage goes on to every service; a member can say which call it means.
    fn is_for(&self, cluster: &str) -> bool {
        match self {
            Self::Headers(_) => true,
            Self::Baggage(_) => self.text(CLUSTER).is_none_or(|wanted| wanted == cluster),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn asked(what: Wish, by: RequestedBy, fields: &[(&str, &str)]) -> Option<(u32, Option<u32>)> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap());
        }
        let requested = Requested { what, by, max: Duration::from_secs(10) };
        let asked = super::asked(&requested, Asking { headers: &headers, cluster: "service-b" });
        asked.map(|asked| (asked.value, asked.share.map(|share| share.ppm())))
    }

    #[test]
    fn fields_are_read_as_they_are_documented() {
        use RequestedBy::Headers;
        let delay = |value| asked(Wish::Delay, Headers, &[("x-envoy-fault-delay-request", value)]);
        assert_eq!(delay("2000"), Some((2_000_000, None)));
        assert_eq!(delay("60000"), Some((10_000_000, None)), "no longer than max");
        assert!(["0", "-1", "x", "", "1.5"].iter().all(|value| delay(value).is_none()));
        let abort = |fields: &[(&str, &str)]| asked(Wish::Abort, Headers, fields).map(|(value, _)| value);
        assert_eq!(abort(&[("x-envoy-fault-abort-request", "503")]), Some(503));
        assert_eq!(abort(&[("x-envoy-fault-abort-grpc-request", "14")]), Some(1014));
        let both = [("x-envoy-fault-abort-grpc-request", "14"), ("x-envoy-fault-abort-request", "404")];
        assert_eq!(abort(&both), Some(404), "the HTTP status wins");
        let odd = [("x-envoy-fault-abort-grpc-request", "5"), ("x-envoy-fault-abort-request", "199")];
        assert_eq!(abort(&odd), Some(1005));
        assert_eq!(abort(&[("x-envoy-fault-abort-grpc-request", "17")]), None);
        let first = [("x-envoy-fault-abort-request", "503"), ("x-envoy-fault-abort-request", "404")];
        assert_eq!(abort(&first), Some(503), "only the first value counts");
        let share = |value| {
            let fields =
                [("x-envoy-fault-throughput-response", "64"), ("x-envoy-fault-throughput-response-percentage", value)];
            asked(Wish::Throughput, Headers, &fields)
        };
        assert_eq!(share("25"), Some((64, Some(250_000))));
        assert_eq!(share("250"), Some((64, Some(1_000_000))));
        assert_eq!(share("x"), Some((64, None)), "a bad share is none");
    }

    #[test]
    fn answers_survive_the_way_through_a_step() {
        assert_eq!(RequestedAnswer::of(503), Some(RequestedAnswer::Http(StatusCode::SERVICE_UNAVAILABLE)));
        assert_eq!(RequestedAnswer::of(1014), Some(RequestedAnswer::Grpc(14)));
        assert!([0, 199, 600, 999, 1017, u32::MAX].iter().all(|drawn| RequestedAnswer::of(*drawn).is_none()));
    }

    #[test]
    fn baggage_asks_the_same_and_may_name_a_cluster() {
        let list = "userid=7,x-envoy-fault-delay-request=1500;ttl=1, x-envoy-fault-delay-request-percentage = 50";
        let here = [("baggage", list)];
        assert_eq!(asked(Wish::Delay, RequestedBy::Baggage, &here), Some((1_500_000, Some(500_000))));
        assert_eq!(asked(Wish::Delay, RequestedBy::Headers, &here), None);
        let scoped = |cluster: &str| {
            let fields = [
                ("baggage", "x-envoy-fault-abort-request=503".to_owned()),
                ("baggage", format!("x-squall-fault-cluster={cluster}")),
            ];
            let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            asked(Wish::Abort, RequestedBy::Both, &fields)
        };
        assert_eq!(scoped("service-b"), Some((503, None)));
        assert_eq!(scoped("service-c"), None);
        let both = [("x-envoy-fault-delay-request", "1"), ("baggage", "x-envoy-fault-delay-request=2")];
        assert_eq!(asked(Wish::Delay, RequestedBy::Both, &both), Some((1_000, None)), "fields go first");
    }
}
