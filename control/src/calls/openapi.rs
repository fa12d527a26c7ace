//! `/openapi.json`.

use axum::response::{IntoResponse, Response};
use http::header;
use serde_json::{Map, Value};
use squall_config::spec::ConfigSpec;
use squall_config::{DEFINITIONS, Document as _};

/// Where a schema of the description is.
pub(crate) const SCHEMAS: &str = "#/components/schemas/";

/// The description without the schemas of documents, as [`crate::openapi()`] makes it.
pub(crate) const KEPT: &str = include_str!("../openapi.json");

/// `GET /openapi.json`.
pub(crate) async fn get() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], crate::text::pretty(&document())).into_response()
}

/// The description.
pub(crate) fn document() -> Value {
    // A test reads it.
    let mut document: Value = serde_json::from_str(KEPT).unwrap_or_default();
    if let Value::Object(schemas) = &mut document["components"]["schemas"] {
        schemas.extend(of_documents());
    }
    document
}

/// The schemas of documents, by name.
pub(crate) fn of_documents() -> Map<String, Value> {
    serde_json::from_str(&ConfigSpec::schemas().replace(DEFINITIONS, SCHEMAS)).unwrap_or_default()
}
