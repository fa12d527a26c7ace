//! Who changed what, when, and what came of it.
//!
//! The last entries are kept in memory ([`ring`]); what changed is told as a difference ([`changes`]) without secrets
//! ([`redact`]).

pub(crate) mod changes;
pub(crate) mod journal;
mod redact;
mod ring;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::actor::{Actor, Identity};
use changes::Changes;
use journal::Journal;
use ring::Ring;

pub(crate) use ring::ENTRIES_MAX;

/// Something that somebody did, or tried to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct AuditEntry {
    /// Counts entries from 1.
    pub(crate) id: u64,
    /// When (RFC 3339).
    pub(crate) at: String,
    /// Who.
    pub(crate) actor: ActorOut,
    /// The name of the call in `/openapi.json`; or `start`, `stop`, `reload`, `expire`, `order`, `silence` (the
    /// controller fell silent), `authenticate`.
    pub(crate) operation: String,
    /// The rule that the call named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rule: Option<String>,
    /// `ok` or `refused`; a refused one changed nothing.
    pub(crate) result: AuditResult,
    /// The status of a call that was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
    /// The generation after it.
    pub(crate) generation: u64,
    /// Why, as it was given, or what is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// What is another than before.
    #[serde(default, skip_serializing_if = "Changes::is_empty")]
    pub(crate) changes: Changes,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AuditResult {
    /// It was done.
    Ok,
    /// It was not.
    Refused,
}

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "AuditActor")]
pub(crate) struct ActorOut {
    /// How they are known: `token`, `certificate`, `uid` (the user at the other end of a Unix socket), `address` (nobody was
    /// asked); or the part of Squall: `file`, `expiry`, `guard`, `lease`, `controller` (whose orders are followed), `signal`,
    /// `process`.
    kind: String,
    /// The name beside the token, in the certificate, or the number of the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// What they may do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role: Option<String>,
    /// The address that they called from, or `unix`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<String>,
}

impl From<&Actor> for ActorOut {
    fn from(actor: &Actor) -> Self {
        let caller = match actor {
            Actor::Squall(part) => return Self { kind: part.as_str().to_owned(), name: None, role: None, from: None },
            Actor::Caller(caller) => caller,
        };
        let (kind, name) = match &caller.identity {
            Identity::Token(name) => ("token", Some(name.to_string())),
            Identity::Certificate(name) => ("certificate", Some(name.to_string())),
            Identity::User(uid) => ("uid", Some(uid.to_string())),
            Identity::Unknown => ("address", None),
        };
        // Where nobody is asked for a token, a role would say nothing.
        let role = (kind == "token").then(|| caller.role.to_string());
        Self { kind: kind.to_owned(), name, role, from: Some(caller.from.clone()) }
    }
}

/// What is to be noted; number and time come with it.
#[derive(Clone, Debug)]
pub(crate) struct Note {
    entry: AuditEntry,
}

impl Note {
    /// Somebody did this.
    pub(crate) fn done(by: &Actor, operation: &str, generation: u64) -> Self {
        let entry = AuditEntry {
            id: 0,
            at: String::new(),
            actor: by.into(),
            operation: operation.to_owned(),
            rule: None,
            result: AuditResult::Ok,
            status: None,
            generation,
            reason: None,
            changes: Changes::default(),
        };
        Self { entry }
    }

    /// Somebody tried to do this, and was refused.
    pub(crate) fn refused(by: &Actor, operation: &str, generation: u64) -> Self {
        let mut note = Self::done(by, operation, generation);
        note.entry.result = AuditResult::Refused;
        note
    }

    /// With the status that the caller got.
    pub(crate) fn with_status(mut self, status: u16) -> Self {
        self.entry.status = Some(status);
        self
    }

    /// About this rule.
    pub(crate) fn about(mut self, rule: Option<String>) -> Self {
        self.entry.rule = rule;
        self
    }

    /// For this reason; an empty one is none.
    pub(crate) fn because(mut self, reason: &str) -> Self {
        self.entry.reason = Some(reason.to_owned()).filter(|reason| !reason.is_empty());
        self
    }

    /// With these differences.
    pub(crate) fn with(mut self, changes: Changes) -> Self {
        self.entry.changes = changes;
        self
    }
}

/// The audit: the last entries in memory, and all of them in a file when there is a state directory.
#[derive(Debug, Default)]
pub(crate) struct Audit {
    entries: Mutex<Entries>,
    journal: Option<Mutex<Journal>>,
}

#[derive(Debug, Default)]
struct Entries {
    ring: Ring,
    /// Lines that are not in the file yet; none where there is no file.
    pending: Vec<Arc<str>>,
    /// What went wrong last; `None` when the file has every line.
    error: Option<String>,
}

impl Audit {
    /// Continues the audit of a file, of which these are the last lines.
    pub(crate) fn with_journal(journal: Journal, lines: Vec<String>) -> Self {
        let mut ring = Ring::default();
        let last = lines.last().and_then(|line| serde_json::from_str::<AuditEntry>(line).ok());
        ring.continue_after(last.map_or(0, |entry| entry.id));
        lines.into_iter().for_each(|line| ring.push(line.into()));
        let entries = Mutex::new(Entries { ring, ..Entries::default() });
        Self { entries, journal: Some(Mutex::new(journal)) }
    }

    /// Whether a line is one of an audit.
    pub(crate) fn is_entry(line: &str) -> bool {
        serde_json::from_str::<AuditEntry>(line).is_ok()
    }

    /// Notes something; [`Self::flush`] writes it to the file. Never waits for a disk.
    pub(crate) fn note(&self, note: Note) {
        let mut entries = self.entries();
        let entry =
            AuditEntry { id: entries.ring.next_id(), at: crate::text::rfc3339(SystemTime::now()), ..note.entry };
        let line = serde_json::to_string(&entry).expect("invariant: entries have text keys and cannot fail");
        let line: Arc<str> = line.into();
        if self.journal.is_some() {
            entries.pending.push(Arc::clone(&line));
        }
        if entries.pending.len() > ENTRIES_MAX {
            // The disk takes nothing; memory is bounded, and the numbers tell what is missing.
            entries.pending.remove(0);
        }
        entries.ring.push(line);
    }

    /// Writes what was noted to the file, for good. Blocks. What cannot be written is written with what comes next.
    pub(crate) fn flush(&self) {
        let Some(journal) = &self.journal else { return };
        let mut journal = journal.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = std::mem::take(&mut self.entries().pending);
        if lines.is_empty() {
            return;
        }
        let text: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
        let done = journal.append(&text);
        let mut entries = self.entries();
        if let Err(error) = &done {
            tracing::error!(%error, "the audit cannot be written");
            entries.pending.splice(0..0, lines);
        }
        entries.error = done.err().map(|error| format!("audit.jsonl: {error}"));
    }

    /// What went wrong last with the file.
    pub(crate) fn error(&self) -> Option<String> {
        self.entries().error.clone()
    }

    /// The last entries, the newest last.
    pub(crate) fn last(&self, limit: usize) -> Vec<AuditEntry> {
        let lines = self.entries().ring.last(limit);
        lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
