//! A new connection to an endpoint.

use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::time::Instant;

use futures_util::FutureExt;
use squall_config::model::Endpoint;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::cluster::{ClusterState, EndpointState};
use super::shared::SharedCluster;
use crate::error::{ErrorKind, ProxyError};
use crate::net::dialled::AddressPair;
use crate::net::own::OwnAddresses;
use crate::net::proxy_protocol::{self, Ends};
use crate::net::socket;
use crate::net::stream::Stream;
use crate::tls::connect::{Inside, handshake};

/// Where a request goes, or the bytes of a connection, and for whom.
#[derive(Clone, Copy)]
pub(crate) struct Upstream<'a> {
    pub(crate) cluster: &'a Rc<ClusterState>,
    pub(crate) endpoint: &'a Rc<EndpointState>,
    /// The connection that it came on, as a PROXY protocol header tells of it.
    pub(crate) carried: &'a Ends,
}

impl Upstream<'_> {
    /// A new connection there, counted. Not an asynchronous function, because that would hold the arguments twice.
    pub(crate) fn open(self, inside: Inside) -> impl Future<Output = Result<Stream, ProxyError>> {
        let Self { cluster, endpoint, carried } = self;
        open(cluster.shared(), endpoint.endpoint(), inside, Some(carried)).inspect(|opened| {
            cluster.shard.count_connection(opened.as_ref().err().map(|error| error.kind));
        })
    }
}

/// A new connection to an endpoint, for the connection that it carries first, or for Squall itself: with a PROXY protocol
/// header and under TLS if the cluster has them, within the cluster's `connect_timeout`.
pub(crate) async fn open(
    shared: &SharedCluster,
    endpoint: &Endpoint,
    inside: Inside,
    carried: Option<&Ends>,
) -> Result<Stream, ProxyError> {
    let (begun, cluster) = (Instant::now(), &shared.cluster);
    let mut stream = dial(shared, endpoint).await?;
    if let Some(version) = cluster.proxy_protocol {
        // Into an empty socket: it takes it at once.
        let header = proxy_protocol::header(version, carried.copied()).map_err(ProxyError::io)?;
        stream.write_all(&header).await.map_err(ProxyError::io)?;
    }
    if cluster.tls.is_none() {
        return Ok(Stream::Plain(stream));
    }
    let Some(connector) = shared.tls.as_ref().and_then(|cell| cell.current()) else {
        return Err(ProxyError::caused_by(ErrorKind::TlsFailed, io::Error::other("no authorities are loaded")));
    };
    let left = cluster.connect_timeout.saturating_sub(begun.elapsed());
    // Boxed, because a handshake is large, and every connection would carry its size through all that dials.
    let session = Box::pin(timeout(left, handshake(cluster, &connector, endpoint, inside, stream)));
    let session = session.await.map_err(|_elapsed| ProxyError::new(ErrorKind::TlsTimeout))??;
    Ok(Stream::Tls(Box::new(session)))
}

/// Connects to the endpoint within the cluster's `connect_timeout`, unless Squall itself listens there: what a name stands
/// for, and where a port chosen by the system is, nobody knows before. A name that has no address yet has none now.
pub(crate) async fn dial(shared: &SharedCluster, endpoint: &Endpoint) -> Result<TcpStream, ProxyError> {
    let address = endpoint.socket().ok_or_else(|| ProxyError::new(ErrorKind::ResolveFailed))?;
    if shared.own.are_reached_by(address) {
        return Err(ProxyError::new(ErrorKind::LeadsBack));
    }
    let connected = pin!(connect(address, endpoint, &shared.own));
    let connected = match timeout(shared.cluster.connect_timeout, connected).await {
        Ok(result) => result.map_err(ProxyError::connect)?,
        Err(_elapsed) => return Err(ProxyError::new(ErrorKind::ConnectTimeout)),
    };
    if shared.cluster.is_original_dst
        && let Ok(source) = connected.local_addr()
    {
        shared.own.dialled.note(AddressPair { source, destination: address }, Instant::now());
    }
    Ok(connected)
}

async fn connect(address: SocketAddr, endpoint: &Endpoint, own: &OwnAddresses) -> io::Result<TcpStream> {
    let connected = socket::connect(address).await;
    let is_refused = connected.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
    // A server that was told to listen on `localhost` may have chosen either of its two addresses.
    if is_refused && address.is_ipv4() && endpoint.address.host.eq_ignore_ascii_case("localhost") {
        let other = SocketAddr::from((Ipv6Addr::LOCALHOST, address.port()));
        if !own.are_reached_by(other) {
            return socket::connect(other).await.or(connected);
        }
    }
    connected
}
