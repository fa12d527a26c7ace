//! Every default in one table, each with its reason.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// The control API: on loopback, since who reaches it can break traffic.
pub const CONTROL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9470);

/// A slow peer may take a minute for the head of a message; longer is an attack by holding connections open.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(60);
/// Longer than the keep-alive of common client pools (90 s) and than quiet databases; the client's own timeout ends it first.
pub(crate) const LISTENER_IDLE_TIMEOUT: Duration = Duration::from_secs(3600);
/// Longer than pauses of clients that work, such as one that thinks in the middle of a stream; each one that does not keeps
/// a connection to the upstream.
pub(crate) const STALL_TIMEOUT: Duration = Duration::from_secs(300);
/// A client that speaks first does so within milliseconds; a server-first protocol loses this long once a connection.
pub(crate) const DETECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The cluster of connections that go on to their original destination, where no other one has that name.
pub(crate) const ORIGINAL_DST: &str = "original_dst";
/// SMTP, MySQL and Galera, PostgreSQL, Redis, Elasticsearch and memcached: the server speaks first, or never HTTP.
pub(crate) const OPAQUE_PORTS: [u16; 8] = [25, 587, 3306, 4444, 5432, 6379, 9300, 11211];

/// One lost SYN costs 1 s and two cost 3 s: 5 s outlives both.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Below the common 5 s keep-alive of origins, so that Squall closes first and no request meets a closing connection.
pub(crate) const CLUSTER_IDLE_TIMEOUT: Duration = Duration::from_secs(4);
/// As many as a busy worker reuses; each idle one costs a descriptor on both sides.
pub(crate) const IDLE_CONNECTIONS_MAX: usize = 256;
/// Endpoints take equal turns.
pub(crate) const WEIGHT: u32 = 1;

/// Two failures are an accident, five in a row are a state.
pub(crate) const EJECTION_FAILURES: u32 = 5;
/// A restart takes about as long.
pub(crate) const EJECTION_TIME: Duration = Duration::from_secs(30);
/// However often an endpoint fails again, it is tried after ten times as long as at first.
pub const EJECTION_TIMES_MAX: u32 = 10;
/// What is left has to carry the load: half of it can be.
pub(crate) const EJECTION_PERCENTAGE_MAX: u8 = 50;
/// Often enough to notice before people do, rarely enough to be no load.
pub(crate) const HEALTH_CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// Whoever needs longer to say that it is well is not.
pub(crate) const HEALTH_CHECK_TIMEOUT: Duration = Duration::from_secs(1);
/// One lost check is an accident.
pub(crate) const UNHEALTHY_THRESHOLD: u32 = 2;
/// An endpoint that answers can work.
pub(crate) const HEALTHY_THRESHOLD: u32 = 1;
/// A short burst over the cap finds its turn; a long queue would only make it time out later.
pub(crate) const PENDING_MAX: usize = 100;

/// A rule that was forgotten ends within the working hour.
pub(crate) const DEFAULT_TTL: Duration = Duration::from_secs(3600);
/// No client waits longer than an hour.
pub(crate) const DELAY_MAX: Duration = Duration::from_secs(3600);
/// `limits.delay_max` itself goes no higher: a decided delay is 32 bits of microseconds, 71.5 minutes.
pub(crate) const DELAY_MAX_CEILING: Duration = Duration::from_secs(3600);
/// As many as connections: a held exchange costs about as much as an idle connection.
pub(crate) const ACTIVE_FAULTS_MAX: usize = 10_000;
/// Faulting health checks gets the application restarted, which is another experiment.
pub(crate) const EXCLUDE_PATHS: [&str; 8] =
    ["/livez", "/readyz", "/healthz", "/health", "/ready", "/live", "/metrics", "/ping"];
/// Common servers stop at 8 to 64 KiB; whatever upstream accepts should pass.
pub const HEAD_BYTES_MAX: usize = 64 << 10;
/// Request heads below this refuse ordinary requests.
pub(crate) const HEAD_BYTES_FLOOR: usize = 1 << 10;
/// With two descriptors for each, below the usual hard limit of 65,536.
pub const CONNECTIONS_MAX: usize = 10_000;
/// Far beyond what people write, small enough to compile within milliseconds.
pub const RULES_MAX: usize = 10_000;
/// Rules are numbered with 16 bits.
pub(crate) const RULES_MAX_CEILING: usize = 65_535;
/// One second of a 128 Mbit/s stream.
pub(crate) const STREAM_BUFFER_BYTES_MAX: usize = 16 << 20;

/// So many that one or two failed requests are not more than a percent.
pub(crate) const MINIMUM_REQUESTS: usize = 100;

/// As often as a common scrape interval needs, and no load.
pub(crate) const QUERY_EVERY: Duration = Duration::from_secs(5);
/// A Prometheus that is started again is back by then; three lost answers are no accident.
pub(crate) const BLIND_AFTER: Duration = Duration::from_secs(15);
/// Three of them in a row are noticed within a few seconds.
pub(crate) const PROBE_EVERY: Duration = Duration::from_secs(1);
/// What answers later does not work.
pub(crate) const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// One lost probe is an accident, and so may be two.
pub(crate) const PROBE_FAILURES: u32 = 3;

/// Whoever renews more often than that spends their time on it.
pub const LEASE_TTL_FLOOR: Duration = Duration::from_secs(1);
/// A promise for longer is none.
pub const LEASE_TTL_CEILING: Duration = Duration::from_secs(3600);

/// A minute of traffic tells a share apart from an accident, and forgets an experiment soon after it.
pub(crate) const TRAFFIC_SHARE_WINDOW: Duration = Duration::from_secs(60);
/// Traffic is counted four times a second: in less than 10 s that would show.
pub(crate) const TRAFFIC_SHARE_WINDOW_MIN: Duration = Duration::from_secs(10);
/// Nobody remembers more than an hour.
pub(crate) const TRAFFIC_SHARE_WINDOW_MAX: Duration = Duration::from_secs(3600);

/// Nothing waits on a machine without a load balancer.
pub(crate) const DRAIN_DELAY: Duration = Duration::ZERO;
/// The usual grace period before an orchestrator kills.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// At some requests a second this is more than [`MINIMUM_REQUESTS`], and three times what a scrape of Prometheus is late.
pub(crate) const EXPERIMENT_BASELINE: Duration = Duration::from_secs(30);
/// A retry that waits, an ejected endpoint and an open circuit breaker are back by then.
pub(crate) const EXPERIMENT_RECOVERY: Duration = Duration::from_secs(30);
/// At 2 µs of processor time for each, which is what it takes, less than half a hundredth of a core. Of a thousand requests a second
/// with a call each at least the half: 5 % of them are 25 faulted ones every second, and ten show harm.
pub(crate) const JOINED_PER_SECOND: usize = 2_000;
/// What an experiment may take beyond the sum of its parts: to put rules in force and to take them out again.
pub(crate) const EXPERIMENT_SLACK: Duration = Duration::from_secs(60);
/// No part of an experiment takes longer than a day, nor all of them together.
pub(crate) const EXPERIMENT_MAX: Duration = Duration::from_secs(24 * 3600);
/// An experiment that starts by itself does so at least once a year.
pub(crate) const EXPERIMENT_EVERY_MAX: Duration = Duration::from_secs(365 * 24 * 3600);
/// Harm shows at a fifth of the share.
pub(crate) const RAMP_STAGES: usize = 5;
