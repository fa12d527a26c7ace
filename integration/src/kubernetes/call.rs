//! A request to the API server.

use std::collections::BTreeMap;
use std::io::{BufReader, Read as _};
use std::net::TcpStream;

use serde_json::Value;

use super::protobuf;
use super::selector::decoded;
use crate::message::{read_chunked, read_head};

/// One request.
#[derive(Debug, Default)]
pub(super) struct Call {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: BTreeMap<String, String>,
    pub(super) content_type: String,
    /// What the client would like to have.
    pub(super) accept: String,
    pub(super) body: Value,
}

impl Call {
    /// The next one of a connection; `None` at its end.
    pub(super) fn read(reader: &mut BufReader<&TcpStream>) -> Option<Self> {
        let (line, fields) = read_head(reader).ok()??;
        let field = |name: &str| fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let mut words = line.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let query = query.split('&').filter_map(|pair| pair.split_once('='));
        let query = query.map(|(name, value)| (decoded(name), decoded(value))).collect();
        let mut body = Vec::new();
        if field("transfer-encoding").is_some() {
            let mut answer = crate::message::Answer::default();
            read_chunked(reader, &mut answer).ok()?;
            body = answer.body;
        } else if let Some(length) = field("content-length").and_then(|length| length.parse::<u64>().ok()) {
            reader.take(length).read_to_end(&mut body).ok()?;
        }
        let content_type = field("content-type").unwrap_or_default().to_owned();
        let is_protobuf = content_type == "application/vnd.kubernetes.protobuf";
        let body = if is_protobuf { protobuf::object(&body) } else { serde_json::from_slice(&body).ok() };
        let body = body.unwrap_or(Value::Null);
        let accept = field("accept").unwrap_or_default().to_owned();
        Some(Self { method, path: path.to_owned(), query, content_type, accept, body })
    }

    /// Whether the client would rather have a table for people.
    pub(super) fn wants_table(&self) -> bool {
        self.accept.contains("as=Table")
    }

    /// Whether this is about schemas, in the one encoding that clients of today ask for.
    pub(super) fn is_about_schemas(&self) -> bool {
        self.path == "/openapi/v2" && self.accept.contains("protobuf")
    }
}
