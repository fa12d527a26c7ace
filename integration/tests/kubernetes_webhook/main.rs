//! The webhooks of `squall-kubernetes`, as an API server calls them: over TLS, with reviews as it writes them.

#![expect(clippy::unwrap_used, reason = "tests")]

mod certificates;
mod connections;
mod injecting;
mod malformed;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use squall_integration::Authority;
use squall_integration::programs::find;

/// A review of `reviews/`.
fn review(name: &str) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/kubernetes_webhook/reviews/{name}.json"));
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

/// All of them, by name.
fn reviews() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kubernetes_webhook/reviews");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut names: Vec<String> = files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    names.into_iter().map(|name| (name.clone(), review(&name))).collect()
}

/// curl that trusts an authority.
struct Curl {
    program: PathBuf,
    ca: String,
    url: String,
}

impl Curl {
    fn find(authority: &Authority, operator: &squall_integration::kubernetes::Operator, test: &str) -> Option<Self> {
        let program = find("curl", test)?;
        Some(Self {
            program,
            ca: authority.file("ca.crt"),
            url: format!("https://localhost:{}", operator.https.port()),
        })
    }

    /// Status and body of a call with more arguments.
    fn call(&self, path: &str, arguments: &[&str]) -> (u16, String) {
        let mut command = Command::new(&self.program);
        command.args([
            "--silent",
            "--show-error",
            "--max-time",
            "20",
            "--cacert",
            &self.ca,
            "--write-out",
            "\n%{http_code}",
        ]);
        let done = command.args(arguments).arg(format!("{}{path}", self.url)).output().unwrap();
        let text = String::from_utf8(done.stdout).unwrap();
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        let (body, status) = text.rsplit_once('\n').unwrap();
        (status.parse().unwrap(), body.to_owned())
    }

    /// The answer to a review.
    fn post(&self, path: &str, review: &Value) -> Value {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("review.json");
        std::fs::write(&file, review.to_string()).unwrap();
        let data = format!("@{}", file.display());
        let (status, body) = self.call(path, &["--header", "Content-Type: application/json", "--data-binary", &data]);
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }
}
