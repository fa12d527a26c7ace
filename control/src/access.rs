//! Who may call the control API.
//!
//! A connection comes from a [`peer`]; the [`gate`] makes a caller with a [`Role`](crate::Role) of it, by the token that a call bears
//! ([`tokens`]) when there is a file of them; [`attempts`] bounds how often a source may guess.

mod attempts;
pub(crate) mod gate;
pub(crate) mod peer;
mod tokens;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use squall_config::model::ControlApi;
use squall_config::{Problem, Problems};

use attempts::{AttemptSource, Attempts};
use tokens::{TokenDigest, TokenFile, TokenReloads};

pub(crate) use tokens::TokenStatus;

/// What the control API knows of those who may call it. The default asks nobody.
#[derive(Debug, Default)]
pub struct Access {
    tokens: Option<TokenFile>,
    /// Calls may name the host by a name: whoever is there has to show who they are, so a foreign web page gains nothing
    /// by giving its own name to this address.
    takes_names: bool,
    attempts: Mutex<Attempts>,
    refused: [AtomicU64; Refused::ALL.len()],
}

/// What a call was let in by: its token, if it needed one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pass(Option<TokenDigest>);

/// Why a call was turned away at the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It had no token, or one that is not in the file.
    Unauthenticated,
    /// The role of its token is too small.
    Forbidden,
    /// Its source has tried too many wrong tokens.
    RateLimited,
    /// A web page of somebody else made it.
    WebPage,
}

impl Refused {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::Unauthenticated, Self::Forbidden, Self::RateLimited, Self::WebPage];

    /// The value of the metric label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::RateLimited => "rate_limited",
            Self::WebPage => "web_page",
        }
    }
}

impl Access {
    /// Reads the token file that the configuration names.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn open(control: &ControlApi) -> Result<Self, Problems> {
        let tokens = control.token_file.as_deref().map(TokenFile::open).transpose();
        let tokens = tokens.map_err(|error| {
            Problems::from(Problem::new("control.token_file", error.to_string()).with_hint(error.hint()))
        })?;
        let takes_names = control.tls.is_some() || !control.address.is_local();
        Ok(Self { tokens, takes_names, ..Self::default() })
    }

    /// The token file, when there is one.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.tokens.as_ref().map(TokenFile::path)
    }

    /// Reads the token file again if it changed. One that cannot be used changes nothing and is reported once. Blocks.
    pub(crate) fn reload(&self) {
        if let Some(tokens) = &self.tokens {
            tokens.reload();
        }
    }

    /// Waits until the token by which a call was let in is no more; forever where none was needed.
    pub(crate) async fn revoked(&self, pass: Pass) {
        match (&self.tokens, pass.0) {
            (Some(tokens), Some(digest)) => tokens.gone(digest).await,
            _ => std::future::pending().await,
        }
    }

    pub(crate) fn token_status(&self) -> Option<TokenStatus> {
        self.tokens.as_ref().map(TokenFile::status)
    }

    /// How often the token file was read again.
    pub(crate) fn reloads(&self) -> TokenReloads {
        self.tokens.as_ref().map(TokenFile::reloads).unwrap_or_default()
    }

    pub(crate) fn takes_names(&self) -> bool {
        self.takes_names
    }

    /// Counts a call that is turned away.
    pub(crate) fn count(&self, reason: Refused) {
        self.refused[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How many calls were turned away, in the order of [`Refused::ALL`].
    pub(crate) fn refused(&self) -> [u64; Refused::ALL.len()] {
        std::array::from_fn(|index| self.refused[index].load(Ordering::Relaxed))
    }

    /// How long a source has to wait before it may try another token; `None` when it may now.
    fn wait_of(&self, source: AttemptSource) -> Option<std::time::Duration> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).wait(source, Instant::now())
    }

    fn note_wrong(&self, source: AttemptSource) {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).note(source, Instant::now());
    }
}
