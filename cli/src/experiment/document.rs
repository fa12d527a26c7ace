//! The document of an experiment, as it is written in a file.

use std::path::{Path, PathBuf};

use http::Method;
use serde_json::{Value, json};
use squall_config::spec::ExperimentDocument;
use squall_config::{locate, parse_experiment_text};

use crate::client::{Call, send_blocking};
use crate::exit::{Exit, Failure};
use crate::source;
use crate::verb::ApiArgs;

/// A document that has a name, and where it comes from.
pub(crate) struct Document {
    file: PathBuf,
    text: String,
    /// What it says.
    pub(crate) written: ExperimentDocument,
}

impl Document {
    /// Reads a file, or stdin.
    pub(crate) fn read(file: &Path) -> Result<Self, Failure> {
        let text = source::read_or_begin(file, "squall config init --experiment FILE")?;
        let written = parse_experiment_text(&text).map_err(|problems| source::invalid(file, &problems))?;
        let document = Self { file: file.to_owned(), text, written };
        if document.name().is_empty() {
            let why = format!("{}: metadata.name is missing; give the experiment a name", file.display());
            return Err(Failure::new(Exit::InvalidConfig, why));
        }
        Ok(document)
    }

    /// What the experiment is called.
    pub(crate) fn name(&self) -> &str {
        self.written.metadata.as_ref().map_or("", |metadata| metadata.name.as_str())
    }

    /// The call that hands it over.
    pub(crate) fn put_call(&self) -> Call {
        Call::new(Method::PUT, path_of(self.name(), "")).with_body(json!(self.written))
    }

    /// Hands it over. What the running squall finds wrong with it is told with line and column, as what is found here.
    pub(crate) fn put(&self, api: &ApiArgs) -> Result<Value, Failure> {
        let reply = send_blocking(&api.control, &api.credentials, &self.put_call())?;
        match reply.problems() {
            Some(problems) => Err(source::invalid(&self.file, &locate(&self.text, problems))),
            None => reply.into_value(),
        }
    }
}

/// The path of an experiment; names that are none are for the API to refuse.
pub(crate) fn path_of(name: &str, rest: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let encode = |byte: u8| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    format!("/v1/experiments/{}{rest}", name.bytes().map(encode).collect::<String>())
}
