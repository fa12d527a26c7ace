//! Keeps the addresses of a name up to date.

use std::net::{IpAddr, SocketAddr};
use std::sync::Weak;
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;

use super::shared::SharedCluster;

/// A time to live of less would be a query for nearly each request.
const TTL_MIN: Duration = Duration::from_secs(1);
/// However long an answer may be kept (an hour is usual, and /etc/hosts says nothing of it), a change is seen by then.
const TTL_MAX: Duration = Duration::from_secs(300);
/// After a failure the next try comes after a second, and the pauses double up to this.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Resolves the name of a written endpoint whenever the time of the last answer is over, for as long as the cluster lives.
pub(crate) async fn resolve_regularly(cluster: Weak<SharedCluster>, place: usize) {
    let mut failures = 0;
    loop {
        let Some((host, server)) = name(&cluster, place) else { return };
        let answer = resolve(&host, server).await;
        let Some(shared) = cluster.upgrade() else { return };
        let pause = match answer {
            Ok((addresses, ttl)) => {
                failures = 0;
                shared.resolved(place, addresses);
                ttl.clamp(TTL_MIN, TTL_MAX)
            }
            Err(error) => {
                if failures == 0 {
                    tracing::warn!(cluster = %shared.cluster.name, %host, %error, "the name cannot be resolved");
                }
                shared.unresolved(place);
                let pause = TTL_MIN * 2_u32.saturating_pow(failures);
                failures += 1;
                pause.min(PAUSE_MAX)
            }
        };
        drop(shared);
        tokio::time::sleep(pause).await;
    }
}

/// The name, and who is to resolve it; `None` when the cluster is gone.
fn name(cluster: &Weak<SharedCluster>, place: usize) -> Option<(String, Option<SocketAddr>)> {
    let shared = cluster.upgrade()?;
    let host = shared.cluster.endpoints.get(place)?.address.host.to_string();
    Some((host, shared.cluster.dns_server))
}

/// All addresses of a name, and for how long they are good. IPv6 only when there is no IPv4: a machine that has no way
/// to one of the two would otherwise send a part of the traffic nowhere.
///
/// The resolver is made anew each time, so that changes of /etc/resolv.conf and /etc/hosts count at once; it keeps no
/// answers, since the caller does.
async fn resolve(host: &str, server: Option<SocketAddr>) -> Result<(Vec<IpAddr>, Duration), NetError> {
    let with = |servers| {
        TokioResolver::builder_with_config(ResolverConfig::from_name_servers(servers), TokioRuntimeProvider::default())
    };
    let mut builder = match server {
        Some(server) => with(vec![at(server)]),
        // Without a readable /etc/resolv.conf there still are /etc/hosts and localhost.
        None => TokioResolver::builder_tokio().unwrap_or_else(|_unreadable| with(Vec::new())),
    };
    let options = builder.options_mut();
    options.ip_strategy = LookupIpStrategy::Ipv4thenIpv6;
    options.use_hosts_file = ResolveHosts::Always;
    options.cache_size = 0;
    let found = builder.build()?.lookup_ip(host).await?;
    Ok((found.iter().collect(), found.valid_until().saturating_duration_since(Instant::now())))
}

fn at(server: SocketAddr) -> NameServerConfig {
    let mut config = NameServerConfig::udp_and_tcp(server.ip());
    for connection in &mut config.connections {
        connection.port = server.port();
    }
    config
}
