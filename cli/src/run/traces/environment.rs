//! What the environment says of traces: the variables of OpenTelemetry that the exporter does not read by itself.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use http::Uri;
use squall_proxy::{Format, Propagation, Sampler};

use crate::exit::{Exit, Failure};

/// How OTLP travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http,
    #[cfg(feature = "otlp-grpc")]
    Grpc,
}

/// What is wanted.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) sampler: Sampler,
    pub(super) propagation: Propagation,
    pub(super) protocol: Protocol,
    /// Host and port, to be named in the log; what else an endpoint says may be secret.
    pub(super) collector: String,
    pub(super) is_https: bool,
    pub(super) tls: TlsFiles,
    /// Of one attempt to send.
    pub(super) timeout: Duration,
    pub(super) queue_max: usize,
    pub(super) batch_max: usize,
    /// The time that a span waits at most for others.
    pub(super) delay: Duration,
    /// What is not known and therefore left aside, as the specification wants it.
    pub(super) warnings: Vec<String>,
}

/// Whom to trust, and how to say who is calling.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct TlsFiles {
    pub(super) ca: Option<PathBuf>,
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
}

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";

/// Reads; `variable` gives the value of one, if it is set and not empty. `None` when nothing is to be traced: no endpoint
/// is named, or it is switched off.
///
/// # Errors
/// The variable that is not valid, and what would be.
pub(super) fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Wanted>, Failure> {
    let of_traces = |name: &str| {
        let own = format!("OTEL_EXPORTER_OTLP_TRACES_{name}");
        let any = format!("OTEL_EXPORTER_OTLP_{name}");
        variable(&own).map(|value| (own, value)).or_else(|| Some((any.clone(), variable(&any)?)))
    };
    let is_disabled = variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let Some((endpoint_name, endpoint)) = of_traces("ENDPOINT").filter(|_| !is_disabled) else { return Ok(None) };
    debug_assert!([ENDPOINT, TRACES_ENDPOINT].contains(&&*endpoint_name));
    let mut warnings = Vec::new();
    match variable("OTEL_TRACES_EXPORTER").as_deref() {
        None | Some("otlp") => {}
        Some("none") => return Ok(None),
        Some(other) => warnings.push(format!("OTEL_TRACES_EXPORTER: {other:?} is not known here, otlp is used")),
    }
    if let Some((name, value)) = of_traces("COMPRESSION").filter(|(_, value)| !value.eq_ignore_ascii_case("none")) {
        warnings.push(format!("{name}: {value:?} is not known here, spans are sent as they are"));
    }
    let (collector, is_https) = collector(&endpoint_name, &endpoint)?;
    let milliseconds = |name: &str, value: Option<String>, default: u64| {
        Ok::<_, Failure>(Duration::from_millis(number(name, value, default)?))
    };
    let (timeout_name, timeout) = of_traces("TIMEOUT").unzip();
    let queue_max = whole("OTEL_BSP_MAX_QUEUE_SIZE", &variable, 2048)?;
    let file = |name: &str| of_traces(name).map(|(_, path)| PathBuf::from(path));
    Ok(Some(Wanted {
        sampler: sampler(&variable, &mut warnings)?,
        propagation: propagation(variable("OTEL_PROPAGATORS").as_deref(), &mut warnings),
        protocol: of_traces("PROTOCOL").map_or(Ok(Protocol::Http), |(name, value)| protocol(&name, &value))?,
        collector,
        is_https,
        tls: TlsFiles { ca: file("CERTIFICATE"), certificate: file("CLIENT_CERTIFICATE"), key: file("CLIENT_KEY") },
        timeout: milliseconds(timeout_name.as_deref().unwrap_or_default(), timeout, 10_000)?,
        queue_max,
        batch_max: whole("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", &variable, 512)?.min(queue_max),
        delay: milliseconds("OTEL_BSP_SCHEDULE_DELAY", variable("OTEL_BSP_SCHEDULE_DELAY"), 5_000)?,
        warnings,
    }))
}

fn refuse(name: &str, value: &str, fix: &str) -> Failure {
    Failure::new(Exit::Usage, format!("{name}: {value:?} is not valid; {fix}"))
}

/// Host and port of an endpoint, and whether it is one of TLS.
fn collector(name: &str, endpoint: &str) -> Result<(String, bool), Failure> {
    // An endpoint may hold a password: it is not repeated.
    let refuse = || Failure::new(Exit::Usage, format!("{name} is not valid; write http://host:4318 or https://…"));
    let uri: Uri = endpoint.parse().map_err(|_| refuse())?;
    match (uri.scheme_str(), uri.authority()) {
        (Some(scheme @ ("http" | "https")), Some(authority)) => {
            let place = authority.as_str();
            let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
            Ok((place.to_owned(), scheme == "https"))
        }
        _ => Err(refuse()),
    }
}

fn protocol(name: &str, value: &str) -> Result<Protocol, Failure> {
    match value {
        "http/protobuf" => Ok(Protocol::Http),
        #[cfg(feature = "otlp-grpc")]
        "grpc" => Ok(Protocol::Grpc),
        #[cfg(not(feature = "otlp-grpc"))]
        "grpc" => {
            let fix = "this build has no gRPC: use http/protobuf (often port 4318), or build with --features otlp-grpc";
            Err(refuse(name, value, fix))
        }
        _ => Err(refuse(name, value, "use http/protobuf")),
    }
}

fn sampler(variable: impl Fn(&str) -> Option<String>, warnings: &mut Vec<String>) -> Result<Sampler, Failure> {
    const NAME: &str = "OTEL_TRACES_SAMPLER";
    const ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";
    let share = || match variable(ARGUMENT) {
        None => Ok(1.0),
        Some(text) => match text.parse::<f64>() {
            Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
            _ => Err(refuse(ARGUMENT, &text, "write a share from 0 to 1, as in 0.05")),
        },
    };
    Ok(match variable(NAME).as_deref() {
        None | Some("parentbased_always_on") => Sampler::new(1.0, true),
        Some("parentbased_always_off") => Sampler::new(0.0, true),
        Some("parentbased_traceidratio") => Sampler::new(share()?, true),
        Some("always_on") => Sampler::new(1.0, false),
        Some("always_off") => Sampler::new(0.0, false),
        Some("traceidratio") => Sampler::new(share()?, false),
        Some(other) => {
            warnings.push(format!("{NAME}: {other:?} is not known here, parentbased_always_on is used"));
            Sampler::new(1.0, true)
        }
    })
}

fn propagation(list: Option<&str>, warnings: &mut Vec<String>) -> Propagation {
    let Some(list) = list else { return Propagation::default() };
    let mut formats = Vec::new();
    for name in list.split(',').map(str::trim) {
        match name {
            "tracecontext" => formats.push(Format::W3c),
            "b3" => formats.push(Format::B3),
            "b3multi" => formats.push(Format::B3Multi),
            // Baggage passes through whatever is said here.
            "baggage" | "none" | "" => {}
            other => warnings.push(format!("OTEL_PROPAGATORS: {other:?} is not known here and left aside")),
        }
    }
    Propagation::of(formats)
}

fn whole(name: &str, variable: impl Fn(&str) -> Option<String>, default: usize) -> Result<usize, Failure> {
    match number(name, variable(name), default)? {
        0 => Err(refuse(name, "0", "write at least 1")),
        n => Ok(n),
    }
}

fn number<T: FromStr>(name: &str, value: Option<String>, default: T) -> Result<T, Failure> {
    value.map_or(Ok(default), |text| text.parse().map_err(|_| refuse(name, &text, "write a whole number")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(variables: &[(&str, &str)]) -> Result<Option<Wanted>, String> {
        let variable = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        read(variable).map_err(|failure| failure.text().to_owned())
    }

    #[test]
    fn nothing_is_traced_without_an_endpoint_or_when_it_is_switched_off() {
        let endpoint = (ENDPOINT, "http://c:4318");
        for variables in [
            &[("OTEL_SERVICE_NAME", "a"), ("OTEL_TRACES_SAMPLER", "always_on")][..],
            &[endpoint, ("OTEL_SDK_DISABLED", "True")],
            &[endpoint, ("OTEL_TRACES_EXPORTER", "none")],
        ] {
            assert!(wanted(variables).unwrap().is_none(), "{variables:?}");
        }
        let on = wanted(&[endpoint, ("OTEL_SDK_DISABLED", "yes")]).unwrap().unwrap();
        assert_eq!((on.collector.as_str(), on.is_https, on.protocol), ("c:4318", false, Protocol::Http));
        assert_eq!((on.queue_max, on.batch_max), (2048, 512));
        assert_eq!((on.delay, on.timeout), (Duration::from_secs(5), Duration::from_secs(10)));
    }

    #[test]
    fn what_is_said_of_traces_goes_before_what_is_said_of_all() {
        let variables = [
            (ENDPOINT, "http://c:4318"),
            (TRACES_ENDPOINT, "https://user:secret@t:1/v1/traces"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1000"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "200"),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", "ca.pem"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
        ];
        let wanted = wanted(&variables).unwrap().unwrap();
        assert_eq!((wanted.collector.as_str(), wanted.is_https), ("t:1", true));
        assert_eq!((wanted.timeout, wanted.queue_max, wanted.batch_max), (Duration::from_millis(200), 100, 100));
        assert_eq!(wanted.tls, TlsFiles { ca: Some("ca.pem".into()), ..TlsFiles::default() });
    }

    #[test]
    fn what_is_not_valid_is_refused_and_what_is_not_known_is_left_aside() {
        let endpoint = (ENDPOINT, "http://c:4318");
        for (name, value, said) in [
            (TRACES_ENDPOINT, "collector:4318", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is not valid"),
            (TRACES_ENDPOINT, "unix:///x", "write http://host:4318"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", "use http/protobuf"),
            ("OTEL_TRACES_SAMPLER_ARG", "1.5", "a share from 0 to 1"),
            ("OTEL_BSP_SCHEDULE_DELAY", "5s", "OTEL_BSP_SCHEDULE_DELAY: \"5s\" is not valid"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "0", "at least 1"),
        ] {
            let error = wanted(&[endpoint, ("OTEL_TRACES_SAMPLER", "traceidratio"), (name, value)]).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
        let unknown = [
            endpoint,
            ("OTEL_TRACES_SAMPLER", "xray"),
            ("OTEL_PROPAGATORS", "tracecontext,jaeger"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ];
        assert_eq!(wanted(&unknown).unwrap().unwrap().warnings.len(), 3);
    }
}
