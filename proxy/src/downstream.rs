//! A connection of downstream, as it is once it is open, and what its exchanges share.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use http::header::{CONNECTION, HeaderMap, HeaderValue};
use http::request;
use squall_config::model::{Http2Code, Name};
use squall_fault::snapshot::Sought;

use crate::http::request::authority;
use crate::http::wire::Wire;
use crate::http2::going_away::GoingAway;
use crate::net::proxy_protocol::Ends;
use crate::net::reset::{Io, ResetFlag};
use crate::net::socket;
use crate::protocol::Protocol;
use crate::telemetry::shard::Cut;
use crate::upstream::forward::Destination;
use crate::view::ListenerView;
use crate::worker::{OpenConnection, Worker};

/// A connection that is ready for the first byte of the application.
pub(crate) struct Opened {
    pub(crate) worker: Rc<Worker>,
    pub(crate) listener: Rc<ListenerView>,
    pub(crate) protocol: Protocol,
    pub(crate) io: Io,
    pub(crate) ends: Ends,
    pub(crate) server_name: Option<Arc<str>>,
    pub(crate) destination: Option<Arc<Destination>>,
    pub(crate) open: OpenConnection,
}

impl Opened {
    /// Whether its bytes are relayed as they come.
    pub(crate) fn is_relayed(&self) -> bool {
        self.protocol == Protocol::Tcp
    }

    /// Its socket once more.
    pub(crate) fn second_handle(&self) -> io::Result<socket2::Socket> {
        socket::second_handle(self.io.tcp())
    }

    /// Its HTTP/1 begins.
    pub(crate) fn into_http1(self) -> (Rc<Downstream>, Io) {
        let speaks = Speaks::Http1(self.io.reset_flag());
        self.into_http(speaks)
    }

    /// Its HTTP/2 begins.
    pub(crate) fn into_http2(self) -> (Rc<Downstream>, GoingAway, Io) {
        let going_away = GoingAway::default();
        let (downstream, io) = self.into_http(Speaks::Http2(going_away.clone()));
        (downstream, going_away, io)
    }

    fn into_http(self, speaks: Speaks) -> (Rc<Downstream>, Io) {
        let Self { worker, listener, io, ends, server_name, destination, mut open, .. } = self;
        let wire = Rc::new(Wire::new());
        open.watch(&wire, &listener);
        let downstream = Downstream {
            worker,
            ends,
            wire,
            speaks,
            listener_name: listener.key.listener.clone(),
            server_name,
            destination,
            listener: RefCell::new(listener),
            open: Some(open),
        };
        (Rc::new(downstream), io)
    }
}

/// Where an HTTP/2 connection came from and where it goes, for another worker that serves one of its streams.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) listener: Name,
    pub(crate) ends: Ends,
    pub(crate) server_name: Option<Arc<str>>,
    pub(crate) destination: Option<Arc<Destination>>,
    pub(crate) going_away: GoingAway,
}

/// The version of HTTP on a connection, and how that version ends one.
#[derive(Debug)]
enum Speaks {
    /// By a reset of TCP.
    Http1(ResetFlag),
    /// By saying that it goes away.
    Http2(GoingAway),
}

/// What the exchanges of one connection share.
#[derive(Debug)]
pub(crate) struct Downstream {
    pub(crate) worker: Rc<Worker>,
    /// Where it came from, and came to.
    pub(crate) ends: Ends,
    pub(crate) wire: Rc<Wire>,
    speaks: Speaks,
    pub(crate) listener_name: Name,
    /// Where all its requests go, if it was redirected or opened on its way there.
    pub(crate) destination: Option<Arc<Destination>>,
    /// The name that it asked for, where that decides which cluster gets the traffic.
    pub(crate) server_name: Option<Arc<str>>,
    listener: RefCell<Rc<ListenerView>>,
    /// Counts the connection, unless another worker does; tunnels keep it beyond the HTTP server's life.
    open: Option<OpenConnection>,
}

impl Downstream {
    /// A connection of another worker, for one of its HTTP/2 streams.
    pub(crate) fn of_guest(worker: &Rc<Worker>, listener: &Rc<ListenerView>, origin: Origin) -> Rc<Self> {
        Rc::new(Self {
            worker: Rc::clone(worker),
            ends: origin.ends,
            wire: Rc::new(Wire::new()),
            speaks: Speaks::Http2(origin.going_away),
            listener_name: origin.listener,
            server_name: origin.server_name,
            destination: origin.destination,
            listener: RefCell::new(Rc::clone(listener)),
            open: None,
        })
    }

    /// For another worker that serves one of its streams.
    pub(crate) fn origin(&self, going_away: &GoingAway) -> Origin {
        Origin {
            listener: self.listener_name.clone(),
            ends: self.ends,
            server_name: self.server_name.clone(),
            destination: self.destination.clone(),
            going_away: going_away.clone(),
        }
    }

    /// The listener as of the newest snapshot.
    pub(crate) fn current_listener(&self) -> Rc<ListenerView> {
        let view = self.worker.view();
        let mut cached = self.listener.borrow_mut();
        if !Arc::ptr_eq(&cached.snapshot, &view.snapshot) {
            *cached = match view.route(self.listener_name.as_str(), self.server_name.as_deref()) {
                Some(current) => Rc::clone(current),
                None => Rc::new(cached.retired()),
            };
        }
        Rc::clone(&cached)
    }

    /// Whether it speaks HTTP/2, where what is true of a connection is not for its exchanges to say.
    pub(crate) fn is_http2(&self) -> bool {
        matches!(self.speaks, Speaks::Http2(_))
    }

    /// Makes the end of the connection a reset, where a reset is a matter of the connection (HTTP/1).
    pub(crate) fn arm_reset(&self) {
        if let Speaks::Http1(reset) = &self.speaks {
            reset.arm();
        }
    }

    /// Makes an HTTP/2 connection say that it goes away.
    pub(crate) fn go_away(&self, code: Http2Code) {
        if let Speaks::Http2(going_away) = &self.speaks {
            going_away.ask(code);
        }
    }

    /// Counts a flood of an HTTP/2 client, and ends its connection.
    pub(crate) fn is_flooding(&self) {
        let listener = self.current_listener();
        listener.shard.count_cut(Cut::Flood);
        tracing::warn!(listener = %self.listener_name, source = %self.ends.source.ip(), "an HTTP/2 client floods its connection, which is closed");
        self.go_away(Http2Code::ENHANCE_YOUR_CALM);
    }

    /// What begins once more when its tunnel is opened; the connection stays counted.
    pub(crate) fn into_parts(self) -> Option<(Rc<Worker>, Rc<ListenerView>, Ends, OpenConnection)> {
        let Self { worker, listener, ends, open, .. } = self;
        Some((worker, listener.into_inner(), ends, open?))
    }

    /// What to arm later.
    pub(crate) fn reset_of_connection(&self) -> Option<ResetFlag> {
        match &self.speaks {
            Speaks::Http1(reset) => Some(reset.clone()),
            Speaks::Http2(_) => None,
        }
    }

    /// Asks for the connection to be closed after this answer, where that is a matter of a header (HTTP/1).
    pub(crate) fn close_after(&self, headers: &mut HeaderMap) {
        if !self.is_http2() {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }

    /// The listener as of the newest snapshot; on a redirected connection, as that of the cluster that a request with this
    /// head belongs to.
    pub(crate) fn listener_of(&self, head: Option<&request::Parts>) -> Rc<ListenerView> {
        let listener = self.current_listener();
        match &self.destination {
            None => listener,
            Some(destination) => self.belonging(&listener, destination, head),
        }
    }

    #[cold]
    fn belonging(
        &self,
        listener: &Rc<ListenerView>,
        destination: &Destination,
        head: Option<&request::Parts>,
    ) -> Rc<ListenerView> {
        let (server_name, authority) = (self.server_name.as_deref(), head.map(authority));
        let (ip, port) = match destination {
            Destination::Original(address) => (Some(address.ip()), Some(address.port())),
            Destination::Named(_) => (None, None),
        };
        Rc::clone(listener.belonging(Sought { server_name, ip, port, authority }))
    }
}
