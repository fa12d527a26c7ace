//! Asks the endpoints of a cluster whether they are well.

use std::sync::Weak;

use futures_util::future::join_all;
use http::header::{HOST, HeaderValue, USER_AGENT};
use http::uri::{PathAndQuery, Scheme, Uri};
use http::{Request, Response, StatusCode, Version, request};
use squall_config::model::{Cluster, ClusterProtocol, HealthCheck, Probe};
use tokio::time::MissedTickBehavior;

use super::connect::open;
use super::shared::{SharedCluster, SharedEndpoint};
use crate::error::{ErrorKind, ProxyError};
use crate::http::request::Incoming;
use crate::http::request_body::RequestBody;
use crate::net::stream::Stream;
use crate::tls::connect::Inside;
use crate::{http1, http2};

/// Checks all endpoints at each interval, at once and then again, for as long as the cluster lives. A round is over before
/// the next one, because no timeout is longer than the interval.
///
/// Rules do not apply: a check tells how the upstream is, not what a rule makes of it; what rules do to the traffic is a
/// matter of ejection.
pub(crate) async fn check_regularly(cluster: Weak<SharedCluster>) {
    let check = cluster.upgrade().and_then(|shared| shared.cluster.health_check.clone());
    let Some(check) = check else { return };
    let mut ticks = tokio::time::interval(check.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(shared) = cluster.upgrade() else { return };
        let members = shared.members();
        let resolved = members.endpoints.iter().filter(|endpoint| endpoint.endpoint.ip.is_some());
        join_all(resolved.map(|endpoint| check_one(&shared, endpoint, &check))).await;
    }
}

async fn check_one(shared: &SharedCluster, endpoint: &SharedEndpoint, check: &HealthCheck) {
    let probed = tokio::time::timeout(check.timeout, probe(shared, endpoint, check)).await;
    let result = probed.unwrap_or_else(|_elapsed| Err("no answer in time".to_owned()));
    if let Some(condition) = endpoint.health.check(result.is_ok(), check) {
        let reason = result.err().unwrap_or_else(|| "checks succeed".to_owned());
        let cluster = &shared.cluster.name;
        tracing::warn!(%cluster, endpoint = %endpoint.label(), ?condition, reason, "the health of an endpoint changed");
    }
}

/// Asks once; an error is the reason why the endpoint is not well.
async fn probe(shared: &SharedCluster, endpoint: &SharedEndpoint, check: &HealthCheck) -> Result<(), String> {
    let inside = if matches!(check.probe, Probe::Http(_)) { Inside::Http } else { Inside::Bytes };
    let stream = open(shared, &endpoint.endpoint, inside, None).await.map_err(|error| reason(&error))?;
    let Probe::Http(target) = &check.probe else { return Ok(()) };
    let authority = endpoint.endpoint.address.to_string();
    let status = ask(stream, &shared.cluster, target, &authority).await.map_err(|error| reason(&error))?;
    if (200..400).contains(&status.as_u16()) { Ok(()) } else { Err(format!("it answered {status}")) }
}

fn reason(error: &ProxyError) -> String {
    error.kind.detail().to_owned()
}

async fn ask(
    stream: Stream,
    cluster: &Cluster,
    target: &PathAndQuery,
    authority: &str,
) -> Result<StatusCode, ProxyError> {
    let head = head(cluster, target, authority);
    let head = head.map_err(|error| ProxyError::caused_by(ErrorKind::MalformedResponse, error))?;
    match cluster.protocol {
        ClusterProtocol::Http1 => {
            let (mut answer, ()) = Response::new(()).into_parts();
            let (connection, limit) = (http1::client::Connection::new(stream), cluster.header_timeout);
            let sent = connection.send(&head, RequestBody::Empty, limit, &mut answer).await;
            sent.map_err(|failed| failed.error)?;
            Ok(answer.status)
        }
        ClusterProtocol::Http2 => {
            let connection = http2::client::Connection::begin(stream).await?;
            let (head, _body) = connection.send(Incoming { head: Box::new(head), body: RequestBody::Empty }).await?;
            Ok(head.status)
        }
    }
}

fn head(cluster: &Cluster, target: &PathAndQuery, authority: &str) -> http::Result<request::Parts> {
    let mut request = Request::builder().header(USER_AGENT, HeaderValue::from_static("squall-health-check"));
    request = match cluster.protocol {
        ClusterProtocol::Http1 => request.uri(target.as_str()).header(HOST, authority),
        ClusterProtocol::Http2 => {
            let scheme = if cluster.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
            let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(target.clone()).build()?;
            request.uri(uri).version(Version::HTTP_2)
        }
    };
    Ok(request.body(())?.into_parts().0)
}
