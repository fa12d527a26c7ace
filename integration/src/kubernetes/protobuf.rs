//! Objects in the Protobuf of Kubernetes, as far as kubectl since 1.32 and Helm send some so: namespaces and Secrets.
//!
//! The numbers are those of `generated.proto` of `k8s.io/api/core/v1` and `k8s.io/apimachinery`; everything is told in JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

/// The object in a body; `None` where it is none.
pub(super) fn object(body: &[u8]) -> Option<Value> {
    let whole = fields(body.strip_prefix(b"k8s\0")?)?;
    let (type_, raw) = (fields(first(&whole, 1)?)?, fields(first(&whole, 2)?)?);
    let meta = fields(first(&raw, 1)?)?;
    let mut metadata = Map::new();
    for (number, name) in [(1, "name"), (2, "generateName"), (3, "namespace"), (6, "resourceVersion")] {
        let value = first(&meta, number).filter(|value| !value.is_empty());
        metadata.extend(value.map(|value| (name.to_owned(), text(value))));
    }
    for (number, name) in [(11, "labels"), (12, "annotations")] {
        metadata.insert(name.to_owned(), map(&meta, number, text)?);
    }
    let mut object =
        json!({ "apiVersion": text(first(&type_, 1)?), "kind": text(first(&type_, 2)?), "metadata": metadata });
    if object["kind"] == "Secret" {
        object["data"] = map(&raw, 2, |value| STANDARD.encode(value).into())?;
        object["type"] = first(&raw, 3).map_or_else(|| "Opaque".into(), text);
    }
    Some(object)
}

fn text(value: &[u8]) -> Value {
    String::from_utf8_lossy(value).into()
}

/// All fields of this number, each a name and a value.
fn map(all: &[(u64, &[u8])], number: u64, value: impl Fn(&[u8]) -> Value) -> Option<Value> {
    let mut map = Map::new();
    for (_, entry) in all.iter().filter(|(known, _)| *known == number) {
        let entry = fields(entry)?;
        let name = String::from_utf8_lossy(first(&entry, 1)?).into_owned();
        map.insert(name, value(first(&entry, 2).unwrap_or_default()));
    }
    Some(map.into())
}

fn first<'a>(all: &[(u64, &'a [u8])], number: u64) -> Option<&'a [u8]> {
    all.iter().find(|(known, _)| *known == number).map(|(_, value)| *value)
}

/// The fields of a message that are texts, bytes or messages, with their numbers.
fn fields(mut rest: &[u8]) -> Option<Vec<(u64, &[u8])>> {
    let mut found = Vec::new();
    while !rest.is_empty() {
        let tag = varint(&mut rest)?;
        match tag & 7 {
            0 => {
                varint(&mut rest)?;
            }
            1 => rest = rest.get(8..)?,
            2 => {
                let length = usize::try_from(varint(&mut rest)?).ok()?;
                let (value, more) = rest.split_at_checked(length)?;
                found.push((tag >> 3, value));
                rest = more;
            }
            5 => rest = rest.get(4..)?,
            _ => return None,
        }
    }
    Some(found)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, more) = rest.split_first()?;
        *rest = more;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(all: &[(u8, &[u8])]) -> Vec<u8> {
        let length = |value: &[u8]| u8::try_from(value.len()).unwrap();
        all.iter().flat_map(|(n, value)| [&[n << 3 | 2, length(value)], *value].concat()).collect()
    }

    #[test]
    fn a_secret_is_read() {
        let label = message(&[(1, b"owner"), (2, b"helm")]);
        let meta = message(&[(1, b"s"), (3, b"shop"), (11, &label), (6, b"")]);
        let data = message(&[(1, b"release"), (2, b"\x00\xff")]);
        let raw = message(&[(1, &[&meta[..], &[7 << 3, 0x80, 1]].concat()), (2, &data), (3, b"t")]);
        let body = [&b"k8s\0"[..], &message(&[(1, &message(&[(1, b"v1"), (2, b"Secret")])), (2, &raw)])].concat();
        let metadata = json!({ "name": "s", "namespace": "shop", "labels": { "owner": "helm" }, "annotations": {} });
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": { "release": "AP8=" }, "type": "t",
        });
        assert_eq!(object(&body), Some(secret));
        assert_eq!((object(&body[..body.len() - 1]), object(b"{}"), object(b"k8s\0")), (None, None, None));
    }
}
