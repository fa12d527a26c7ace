//! Routes for people: few names for many paths.

use std::collections::HashSet;
use std::sync::Arc;

use foldhash::fast::FixedState;
use http::Method;

/// More of them help nobody.
const ROUTES_MAX: usize = 256;
/// Of the whole name.
const ROUTE_BYTES_MAX: usize = 128;
/// A longer segment is more likely an id than a word.
const SEGMENT_BYTES_MAX: usize = 32;
/// The route of all that is beyond those.
const OTHER: &str = "other";

/// The routes that one worker has seen.
#[derive(Debug)]
pub(super) struct Routes {
    known: HashSet<Arc<str>, FixedState>,
    other: Arc<str>,
    /// Of a call whose route nobody asks for.
    pub(super) none: Arc<str>,
    /// Where names are put together.
    scratch: String,
}

impl Default for Routes {
    fn default() -> Self {
        Self { known: HashSet::default(), other: OTHER.into(), none: "".into(), scratch: String::new() }
    }
}

impl Routes {
    /// The route of a request: its method and the first two segments of its path, of which those that look like an id are
    /// `*`. A gRPC call has its service and method.
    pub(super) fn of(&mut self, method: &Method, path: &str, is_grpc: bool) -> Arc<str> {
        let name = &mut self.scratch;
        name.clear();
        name.push_str(method.as_str());
        name.push(' ');
        let path = path.strip_prefix('/').unwrap_or(path);
        for segment in path.splitn(3, '/').take(2) {
            name.push('/');
            name.push_str(if !is_grpc && is_id(segment) { "*" } else { segment });
        }
        if let Some(known) = self.known.get(name.as_str()) {
            return Arc::clone(known);
        }
        if self.known.len() >= ROUTES_MAX || name.len() > ROUTE_BYTES_MAX {
            return Arc::clone(&self.other);
        }
        let route: Arc<str> = Arc::from(name.as_str());
        self.known.insert(Arc::clone(&route));
        route
    }
}

/// Whether it has digits, and is not a version such as `v1`.
fn is_id(segment: &str) -> bool {
    let bytes = segment.as_bytes();
    let is_version =
        || matches!(bytes, [b'v', digits @ ..] if digits.len() <= 2 && digits.iter().all(u8::is_ascii_digit));
    bytes.len() > SEGMENT_BYTES_MAX || bytes.iter().any(u8::is_ascii_digit) && !is_version()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(path: &str) -> String {
        Routes::default().of(&Method::GET, path, false).to_string()
    }

    #[test]
    fn ids_make_no_routes() {
        for (path, expected) in [
            ("/", "GET /"),
            ("", "GET /"),
            ("/orders", "GET /orders"),
            ("/orders/", "GET /orders/"),
            ("/orders/4711/items", "GET /orders/*"),
            ("/v1/orders/4711", "GET /v1/orders"),
            ("/v12/orders", "GET /v12/orders"),
            ("/v4711/b7", "GET /*/*"),
            ("/an-id-of-letters-that-is-all-too-long/x", "GET /*/x"),
        ] {
            assert_eq!(route(path), expected, "{path}");
        }
        let grpc = Routes::default().of(&Method::POST, "/shop.v1.Cart/Get2", true);
        assert_eq!(&*grpc, "POST /shop.v1.Cart/Get2");
    }

    #[test]
    fn there_are_so_many_routes_and_no_more() {
        let mut routes = Routes::default();
        let name = |n: usize| n.to_string().bytes().map(|digit| char::from(digit + 0x31)).collect::<String>();
        let all: HashSet<Arc<str>> =
            (0..1_000).map(|n| routes.of(&Method::GET, &format!("/{}", name(n)), false)).collect();
        assert_eq!(all.len(), ROUTES_MAX + 1);
        assert!(all.contains(OTHER));
        let again = routes.of(&Method::GET, &format!("/{}", name(0)), false);
        assert!(all.iter().any(|route| Arc::ptr_eq(route, &again)), "one that is known stays itself");
        let long = Method::from_bytes("M".repeat(ROUTE_BYTES_MAX).as_bytes()).expect("a method");
        assert_eq!(&*Routes::default().of(&long, "/", false), OTHER);
    }
}
