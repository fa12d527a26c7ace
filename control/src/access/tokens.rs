//! The file of tokens, one a line: role, name, token.
//!
//! ```text
//! # Who may what at the control API of this Squall.
//! admin   alice    3J8qO9…
//! inject  ci       b71fZk…
//! read    grafana  0aLw2e…
//! ```
//!
//! Only digests are kept. A token that a call bears is hashed and compared with all of them in the same time, whichever
//! it is and however long it is.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use ring::digest::{SHA256, digest};
use squall_config::model::Name;
use subtle::{ConditionallySelectable, ConstantTimeEq};
use tokio::sync::watch;

use crate::role::Role;

/// At 22 characters of base64 it has 128 bits; those who write shorter ones did not take them from a source of
/// randomness.
const TOKEN_BYTES_MIN: usize = 16;
const TOKEN_BYTES_MAX: usize = 512;
/// Each call is compared with all of them.
const TOKENS_MAX: usize = 1000;
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Whom a token belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) name: Arc<str>,
    pub(crate) role: Role,
}

/// What a token is known by here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TokenDigest([u8; 32]);

/// Why a token file cannot be used. Never says what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TokenError {
    detail: String,
    hint: &'static str,
}

impl TokenError {
    pub(crate) fn hint(&self) -> &'static str {
        self.hint
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

const LINE_HINT: &str = "write a line for each token: read, inject or admin; a name; the token";
const TOKEN_HINT: &str = "take a random one, as from `openssl rand -hex 32`";

/// The tokens of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Tokens(Vec<(TokenDigest, Holder)>);

impl Tokens {
    fn parse(text: &str) -> Result<Self, TokenError> {
        let mut tokens: Vec<(TokenDigest, Holder)> = Vec::new();
        let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
        for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            let wrong = |what: &str, hint| Err(TokenError { detail: format!("line {number}: {what}"), hint });
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            // Words are not repeated in what is said of them: any of them may be the token.
            let [role, name, token] = words[..] else {
                return wrong(&format!("has {} words in place of three", words.len()), LINE_HINT);
            };
            let Some(role) = Role::of(role) else { return wrong("the first word is not a role", LINE_HINT) };
            if Name::new(name).is_err() {
                return wrong("the second word is not a name", "names are made of a-z, A-Z, 0-9, '-', '_' and '.'");
            }
            if let Err(what) = check(token) {
                return wrong(&what, TOKEN_HINT);
            }
            let digest = hash(token);
            if tokens.iter().any(|(other, _)| *other == digest) {
                return wrong("this token has been given away on an earlier line", TOKEN_HINT);
            }
            tokens.push((digest, Holder { name: name.into(), role }));
        }
        let whole = |what: String, hint| Err(TokenError { detail: what, hint });
        match tokens.len() {
            0 => whole("there is no token in it, and so nobody could call".to_owned(), LINE_HINT),
            n if n > TOKENS_MAX => whole(format!("{n} tokens are more than {TOKENS_MAX}"), "give one to each team"),
            _ => Ok(Self(tokens)),
        }
    }

    /// Whom a token belongs to. Takes the same time whichever of the tokens it is.
    fn find(&self, digest: TokenDigest) -> Option<&Holder> {
        // One beyond the last stands for nobody.
        let mut found = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        for (index, (own, _)) in (0_u32..).zip(&self.0) {
            found.conditional_assign(&index, own.0.ct_eq(&digest.0));
        }
        self.0.get(found as usize).map(|(_, holder)| holder)
    }
}

fn hash(token: &str) -> TokenDigest {
    let digest = digest(&SHA256, token.as_bytes());
    TokenDigest(digest.as_ref().try_into().expect("invariant: SHA-256 has 32 bytes"))
}

/// What fits into an Authorization field as it is (RFC 6750 §2.1), and is long enough.
fn check(token: &str) -> Result<(), String> {
    let body = token.trim_end_matches('=');
    if body.is_empty() || !body.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~+/".contains(&b)) {
        return Err("the token has other characters than a-z, A-Z, 0-9 and -._~+/ (and = at its end)".to_owned());
    }
    match token.len() {
        n if n < TOKEN_BYTES_MIN => {
            Err(format!("the token has {n} characters, and less than {TOKEN_BYTES_MIN} can be guessed"))
        }
        n if n > TOKEN_BYTES_MAX => Err(format!("the token has {n} characters, more than {TOKEN_BYTES_MAX}")),
        _ => Ok(()),
    }
}

/// The content of the file, if it is the secret of its owner.
fn read(path: &Path) -> Result<Tokens, TokenError> {
    let fail = |detail: String, hint| Err(TokenError { detail: format!("{}: {detail}", path.display()), hint });
    let unreadable = |error: std::io::Error| fail(format!("cannot be read: {error}"), "check the name and the rights");
    // Asked before it is opened, since opening a pipe waits for its writer; asked again of what was opened.
    match std::fs::metadata(path) {
        Ok(facts) if !facts.is_file() => return fail("is not a file".to_owned(), LINE_HINT),
        Ok(_) => {}
        Err(error) => return unreadable(error),
    }
    let (file, facts) = match File::open(path).and_then(|file| file.metadata().map(|facts| (file, facts))) {
        Ok(opened) => opened,
        Err(error) => return unreadable(error),
    };
    let mode = facts.permissions().mode();
    if mode & 0o077 != 0 {
        let detail = format!("others than its owner can use it (its mode is {:03o})", mode & 0o777);
        return fail(detail, "chmod 600 it, and replace the tokens if somebody may have read them");
    }
    let mut text = String::new();
    match file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text) {
        Ok(n) if n as u64 > FILE_BYTES_MAX => fail(format!("is larger than {FILE_BYTES_MAX} bytes"), LINE_HINT),
        Ok(_) => {
            Tokens::parse(&text).map_err(|error| TokenError { detail: format!("{}: {error}", path.display()), ..error })
        }
        Err(error) => unreadable(error),
    }
}

/// A token file that is read again when it changes.
#[derive(Debug)]
pub(super) struct TokenFile {
    path: PathBuf,
    current: RwLock<Current>,
    /// Tells those whose calls go on that other tokens are in force.
    changes: watch::Sender<()>,
    reloads_ok: AtomicU64,
    reloads_failed: AtomicU64,
}

/// How the token file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TokenStatus {
    pub(crate) file: PathBuf,
    /// Tokens in force.
    pub(crate) count: usize,
    /// What is wrong with the file as it is now; then the tokens before it are in force.
    pub(crate) error: Option<String>,
}

/// How often a token file was read again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TokenReloads {
    /// Its tokens were taken into use.
    pub(crate) ok: u64,
    /// They could not be.
    pub(crate) error: u64,
}

#[derive(Debug)]
struct Current {
    tokens: Arc<Tokens>,
    /// Of the file as it is now.
    error: Option<TokenError>,
}

impl TokenFile {
    pub(super) fn open(path: &Path) -> Result<Self, TokenError> {
        let current = RwLock::new(Current { tokens: Arc::new(read(path)?), error: None });
        let (reloads_ok, reloads_failed) = (AtomicU64::new(0), AtomicU64::new(0));
        Ok(Self { path: path.to_owned(), current, changes: watch::Sender::default(), reloads_ok, reloads_failed })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn find(&self, token: &str) -> Option<(TokenDigest, Holder)> {
        let digest = hash(token);
        self.holder(digest).map(|holder| (digest, holder))
    }

    fn holder(&self, digest: TokenDigest) -> Option<Holder> {
        let tokens = Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).tokens);
        tokens.find(digest).cloned()
    }

    /// Waits until nobody holds that token any more.
    pub(super) async fn gone(&self, digest: TokenDigest) {
        let mut changes = self.changes.subscribe();
        while self.holder(digest).is_some() && changes.changed().await.is_ok() {}
    }

    pub(super) fn status(&self) -> TokenStatus {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        let error = current.error.as_ref().map(|error| format!("{error}; {}", error.hint));
        TokenStatus { file: self.path.clone(), count: current.tokens.0.len(), error }
    }

    pub(super) fn reloads(&self) -> TokenReloads {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        TokenReloads { ok: count(&self.reloads_ok), error: count(&self.reloads_failed) }
    }

    /// See [`super::Access::reload`].
    pub(super) fn reload(&self) {
        let loaded = read(&self.path);
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        match loaded {
            Ok(tokens) if *current.tokens == tokens && current.error.is_none() => {}
            Ok(tokens) => {
                tracing::info!(file = %self.path.display(), tokens = tokens.0.len(), "token file loaded anew");
                *current = Current { tokens: Arc::new(tokens), error: None };
                self.reloads_ok.fetch_add(1, Ordering::Relaxed);
                drop(current);
                self.changes.send_replace(());
            }
            Err(error) if current.error.as_ref() == Some(&error) => {}
            Err(error) => {
                tracing::error!(%error, hint = error.hint, "the token file cannot be used; the tokens before stay in force");
                current.error = Some(error);
                self.reloads_failed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
#[path = "tokens_tests.rs"]
mod tests;
