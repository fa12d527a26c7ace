//! The control API, as curl would speak it: one connection a call.

use std::net::SocketAddr;

use serde_json::Value;

use crate::message::Answer;
use crate::raw::RawClient;

/// A client of one control API.
#[derive(Debug, Clone, Copy)]
pub struct Api {
    /// Where it listens.
    pub address: SocketAddr,
}

impl Api {
    /// For `--control`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Any call. `headers` are whole lines without line ends; a `Host` among them takes the place of the address.
    ///
    /// # Panics
    /// When there is no answer.
    pub fn call(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
        let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|line| line.starts_with("Host:")) {
            head += &format!("Host: {}\r\n", self.address);
        }
        for line in headers {
            head += line;
            head += "\r\n";
        }
        if !body.is_empty() || matches!(method, "PUT" | "POST" | "PATCH") {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        RawClient::connect(self.address).send(format!("{head}\r\n{body}")).answer_to(method)
    }

    /// A call without body or headers.
    pub fn get(&self, path: &str) -> Answer {
        self.call("GET", path, &[], "")
    }

    /// The JSON of a path that must answer 200.
    ///
    /// # Panics
    /// When it does not.
    pub fn json(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "GET {path}: {}", answer.text());
        answer.json()
    }

    /// PUT with the content type that `curl -d` sends.
    pub fn put(&self, path: &str, body: &str) -> Answer {
        self.call("PUT", path, &["Content-Type: application/x-www-form-urlencoded"], body)
    }

    /// POST with a body, which may be empty.
    pub fn post(&self, path: &str, body: &str) -> Answer {
        self.call("POST", path, &[], body)
    }

    /// DELETE.
    pub fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path, &[], "")
    }

    /// Makes or replaces a rule.
    ///
    /// # Panics
    /// When it is refused.
    pub fn rule(&self, name: &str, rule: &Value) -> Answer {
        let answer = self.put(&format!("/v1/rules/{name}"), &rule.to_string());
        assert!(matches!(answer.status, 200 | 201), "rule {name} {rule}: {} {}", answer.line, answer.text());
        answer
    }

    /// Removes a rule that is there.
    ///
    /// # Panics
    /// When it is not.
    pub fn remove(&self, name: &str) {
        let answer = self.delete(&format!("/v1/rules/{name}"));
        assert_eq!(answer.status, 204, "DELETE rule {name}: {}", answer.text());
    }

    /// The `status` of a rule.
    pub fn rule_status(&self, name: &str) -> Value {
        self.json(&format!("/v1/rules/{name}"))["status"].clone()
    }

    /// How many exchanges or connections the rule's fault was applied to.
    ///
    /// # Panics
    /// When the status does not say.
    pub fn injected(&self, name: &str) -> u64 {
        let status = self.rule_status(name);
        status["injected"].as_u64().unwrap_or_else(|| panic!("no number `injected` in {status}"))
    }

    /// The generation that `GET /v1/rules` reports.
    ///
    /// # Panics
    /// When it reports none.
    pub fn generation(&self) -> u64 {
        self.json("/v1/rules")["generation"].as_u64().expect("a generation is a number")
    }

    /// Switches all faults off.
    ///
    /// # Panics
    /// When it is refused.
    pub fn halt(&self) {
        let answer = self.post("/v1/halt", "{\"reason\":\"test\"}");
        assert_eq!(answer.status / 100, 2, "{}", answer.text());
    }

    /// Lets faults happen again.
    ///
    /// # Panics
    /// When it is refused.
    pub fn resume(&self) {
        let answer = self.post("/v1/resume", "");
        assert_eq!(answer.status / 100, 2, "{}", answer.text());
    }

    /// All metrics.
    pub fn metrics(&self) -> crate::exposition::Exposition {
        let answer = self.get("/metrics");
        assert_eq!(answer.status, 200, "{}", answer.text());
        crate::exposition::Exposition::parse(&answer.text())
    }
}
