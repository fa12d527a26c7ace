//! Certificates in files that somebody else looks after: a mounted Secret, or what cert-manager renews.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use squall_config::Chain;
use tokio::sync::watch;

use super::pair::{Pair, Unusable, certificates};
use super::shown::Certificates;

/// How often the files are looked at. Not by inotify: a mounted Secret is a symlink that is swapped, other file systems tell
/// nothing, and three small files are read in no time.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A chain of certificates is some kilobytes; the authority goes into an annotation of each pod, and all of those together
/// have at most 256 KiB.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// Three files: certificate, key, authority.
#[derive(Debug)]
pub(crate) struct Given {
    cert: PathBuf,
    key: PathBuf,
    ca: PathBuf,
    /// What was looked at last, good or bad.
    seen: Option<Seen>,
}

/// The content of the files, or why there is none.
type Seen = Result<[Vec<u8>; 3], String>;

#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("{0}")]
    Read(String),
    #[error("{0}")]
    Unusable(String, #[source] Unusable),
    #[error("{0}: there is no certificate of an authority in it")]
    NoAuthority(String),
}

impl Given {
    /// Of these files; the authority is what is in `cert` when there is no `ca`.
    pub(crate) fn new(cert: PathBuf, key: PathBuf, ca: Option<PathBuf>) -> Self {
        Self { ca: ca.unwrap_or_else(|| cert.clone()), cert, key, seen: None }
    }

    /// Loads them for the first time.
    ///
    /// # Errors
    /// What is wrong with which file.
    pub(crate) fn load(&mut self, certificates: &Certificates) -> anyhow::Result<()> {
        let seen = self.look();
        self.show(&seen, certificates)?;
        self.seen = Some(seen);
        Ok(())
    }

    /// Follows the files until `stopped`. Those that changed and are no good are told once, and the pair before stays.
    pub(crate) async fn follow(mut self, certificates: Arc<Certificates>, mut stopped: watch::Receiver<bool>) {
        // The two files of a pair are not replaced at once: what is bad is bad when it is still so at the next look.
        let mut doubted: Option<Seen> = None;
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                _ended = stopped.wait_for(|stopped| *stopped) => return,
            }
            let seen = self.look();
            if self.seen.as_ref() == Some(&seen) {
                continue;
            }
            match self.show(&seen, &certificates) {
                Ok(()) => tracing::info!(cert = %self.cert.display(), "certificate loaded anew"),
                Err(_) if doubted.as_ref() != Some(&seen) => {
                    doubted = Some(seen);
                    continue;
                }
                Err(problem) => {
                    let problem = Chain(&problem).to_string();
                    certificates.fail(&problem);
                    tracing::warn!(problem, "the new certificate cannot be used; the one before stays");
                }
            }
            self.seen = Some(seen);
        }
    }

    fn show(&self, seen: &Seen, shown: &Certificates) -> Result<(), Problem> {
        let [cert, key, ca] = seen.as_ref().map_err(|why| Problem::Read(why.clone()))?;
        let unusable = |file: &Path| {
            let file = file.display().to_string();
            |problem| Problem::Unusable(file, problem)
        };
        let pair = Pair::read(cert, key).map_err(unusable(&self.cert))?;
        if certificates(ca).map_err(unusable(&self.ca))?.is_empty() {
            return Err(Problem::NoAuthority(self.ca.display().to_string()));
        }
        shown.show(&pair, String::from_utf8_lossy(ca).into_owned());
        Ok(())
    }

    fn look(&self) -> Seen {
        Ok([read(&self.cert)?, read(&self.key)?, read(&self.ca)?])
    }
}

/// The content of a file; never waits for a pipe, never reads without bound.
fn read(file: &Path) -> Result<Vec<u8>, String> {
    let content = fs::metadata(file).and_then(|facts| {
        if facts.len() > FILE_BYTES_MAX || !facts.is_file() {
            return Err(io::Error::other("it is no PEM file of some kilobytes"));
        }
        fs::read(file)
    });
    content.map_err(|error| format!("{} cannot be read: {error}", file.display()))
}
