//! The certificates in use, shared by all workers, and how they are replaced while connections go on.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use arc_swap::ArcSwapOption;
use squall_config::Problems;
use squall_config::model::{Cluster, Config, Listener, ServerTls};
use squall_telemetry::CertificateStatus;

use super::authority::Authority;
use super::certs::{Client, Dated, Load, LoadError, Server};

/// All that was loaded, by what it was loaded from.
#[derive(Debug, Default)]
pub(crate) struct TlsStore {
    servers: Cells<Server>,
    authorities: Cells<Authority>,
    clients: Cells<Client>,
    /// What the control API shows. It stays the same for the life of the process, whatever the configuration says later.
    control: OnceLock<Server>,
    pub(crate) reloads_ok: AtomicU64,
    pub(crate) reloads_failed: AtomicU64,
}

/// What a listener or a cluster uses now. Workers keep it; what is in it is replaced under their hands, for the next
/// handshake.
pub(crate) struct Cell<L: Load> {
    current: ArcSwapOption<L::Loaded>,
    /// The digest of the content that was looked at last, good or bad. Held while files are read, which takes as long as their
    /// file system does.
    looking: Mutex<Option<u64>>,
    /// Never held while anything is read: whoever shows it must not wait.
    files: Mutex<Files>,
}

/// What is known of the files of a cell.
#[derive(Debug, Default)]
struct Files {
    /// Of the certificate in use.
    not_after: Option<i64>,
    /// What is wrong with the content that was looked at last.
    error: Option<LoadError>,
}

impl<L: Load> Default for Cell<L> {
    fn default() -> Self {
        Self { current: ArcSwapOption::empty(), looking: Mutex::default(), files: Mutex::default() }
    }
}

impl<L: Load> fmt::Debug for Cell<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cell").field("files", &self.files).finish_non_exhaustive()
    }
}

impl<L: Load> Cell<L> {
    /// What the next handshake uses; `None` before it was loaded.
    pub(crate) fn current(&self) -> Option<Arc<L::Loaded>> {
        self.current.load_full()
    }

    fn known(&self) -> CertificateStatus {
        let Files { not_after, error, .. } = &*self.files();
        let error = error.as_ref().map(ToString::to_string);
        CertificateStatus { kind: "", name: String::new(), file: PathBuf::new(), not_after: *not_after, error }
    }

    fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Loads the files if their content is another one than last time; `None` when it is not.
    fn refresh(&self, source: &L, hasher: &RandomState) -> Option<Result<(), LoadError>> {
        let mut seen = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        let content: Vec<_> = source.files().into_iter().map(|file| super::certs::read("", file).ok()).collect();
        let digest = hasher.hash_one(content);
        if *seen == Some(digest) && self.current.load().is_some() {
            return None;
        }
        let loaded = source.load();
        *seen = Some(digest);
        let mut files = self.files();
        files.error = loaded.as_ref().err().cloned();
        Some(loaded.map(|Dated { loaded, not_after }| {
            files.not_after = not_after;
            self.current.store(Some(Arc::new(loaded)));
        }))
    }
}

#[derive(Debug)]
struct Cells<L: Load> {
    by_source: Mutex<HashMap<L, Arc<Cell<L>>>>,
    hasher: RandomState,
}

impl<L: Load> Default for Cells<L> {
    fn default() -> Self {
        Self { by_source: Mutex::default(), hasher: RandomState::new() }
    }
}

impl<L: Load + fmt::Debug> Cells<L> {
    fn map(&self) -> MutexGuard<'_, HashMap<L, Arc<Cell<L>>>> {
        self.by_source.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cell(&self, source: L) -> Arc<Cell<L>> {
        Arc::clone(self.map().entry(source).or_default())
    }

    fn all(&self) -> Vec<(L, Arc<Cell<L>>)> {
        self.map().iter().map(|(source, cell)| (source.clone(), Arc::clone(cell))).collect()
    }

    fn files(&self) -> Vec<PathBuf> {
        let of_source = |(source, _): (L, _)| source.files().into_iter().map(Path::to_owned).collect::<Vec<_>>();
        self.all().into_iter().flat_map(of_source).collect()
    }

    fn refresh(&self) -> Vec<(String, Result<(), LoadError>)> {
        let names = |source: &L| source.files().iter().map(|f| f.display().to_string()).collect::<Vec<_>>().join(", ");
        let all = self.all().into_iter();
        all.filter_map(|(source, cell)| Some((names(&source), cell.refresh(&source, &self.hasher)?))).collect()
    }

    /// Loads what is not loaded yet, or is another one now; an error only when there is nothing to go on with.
    fn prepare(&self, source: &L) -> Result<(), LoadError> {
        let cell = self.cell(source.clone());
        match cell.refresh(source, &self.hasher) {
            Some(Err(error)) if cell.current.load().is_none() => Err(error),
            _ => Ok(()),
        }
    }

    fn retain(&self, sources: &[L]) {
        self.map().retain(|source, _| sources.contains(source));
    }
}

fn server(listener: &Listener) -> Option<Server> {
    listener.tls.as_ref()?.server().map(|tls| Server::of_listener(tls, listener.protocol))
}

fn authority(listener: &Listener) -> Option<Authority> {
    listener.intercept.as_ref().map(|intercept| Authority(intercept.authority.clone()))
}

fn client(cluster: &Cluster) -> Option<Client> {
    cluster.tls.as_ref().map(|tls| Client::new(tls, cluster.protocol))
}

/// Whether the files that a configuration names can be used, without using them.
///
/// # Errors
/// Every problem of every file.
pub fn check(config: &Config) -> Result<(), Problems> {
    let control = config.control.tls.as_ref().map(Server::of_control);
    problems(config, control.as_ref(), |s| s.load().map(drop), |a| a.load().map(drop), |c| c.load().map(drop))
}

/// What is wrong with any part of a configuration, as these see it.
fn problems(
    config: &Config,
    control: Option<&Server>,
    of_server: impl Fn(&Server) -> Result<(), LoadError>,
    of_authority: impl Fn(&Authority) -> Result<(), LoadError>,
    of_client: impl Fn(&Client) -> Result<(), LoadError>,
) -> Result<(), Problems> {
    let mut found = Vec::new();
    let mut note = |path: String, result: Option<Result<(), LoadError>>| {
        found.extend(result.and_then(Result::err).map(|error| error.at(&path)));
    };
    note("control.tls".to_owned(), control.map(&of_server));
    for (index, listener) in config.listeners.iter().enumerate() {
        note(format!("listeners[{index}].tls"), server(listener).as_ref().map(&of_server));
        note(format!("listeners[{index}].intercept"), authority(listener).as_ref().map(&of_authority));
    }
    for (index, cluster) in config.clusters.iter().enumerate() {
        note(format!("clusters[{index}].tls"), client(cluster).as_ref().map(&of_client));
    }
    if found.is_empty() { Ok(()) } else { Err(Problems(found)) }
}

impl TlsStore {
    /// Of a listener; what handshakes use is in it once [`Self::prepare`] was called.
    pub(crate) fn server(&self, listener: &Listener) -> Option<Arc<Cell<Server>>> {
        server(listener).map(|source| self.servers.cell(source))
    }

    /// Of a listener that intercepts; what makes its certificates is in it once [`Self::prepare`] was called.
    pub(crate) fn authority(&self, listener: &Listener) -> Option<Arc<Cell<Authority>>> {
        authority(listener).map(|source| self.authorities.cell(source))
    }

    /// Of a cluster; what handshakes use is in it once [`Self::prepare`] was called.
    pub(crate) fn client(&self, cluster: &Cluster) -> Option<Arc<Cell<Client>>> {
        client(cluster).map(|source| self.clients.cell(source))
    }

    /// Loads what the configuration needs and is not loaded yet. What is in use stays, also when its files broke
    /// meanwhile.
    ///
    /// # Errors
    /// Every problem of files that nothing is in use of.
    pub(crate) fn prepare(&self, config: &Config) -> Result<(), Problems> {
        let Self { servers, authorities, clients, .. } = self;
        problems(config, None, |s| servers.prepare(s), |a| authorities.prepare(a), |c| clients.prepare(c))
    }

    /// What the control API shows from now on; the cell follows its files. Can be chosen once.
    ///
    /// # Errors
    /// What is wrong with the files.
    pub(crate) fn serve_control(&self, tls: &ServerTls) -> Result<Arc<Cell<Server>>, Problems> {
        let source = self.control.get_or_init(|| Server::of_control(tls));
        self.servers.prepare(source).map_err(|error| Problems(vec![error.at("control.tls")]))?;
        Ok(self.servers.cell(source.clone()))
    }

    /// Forgets what the configuration does not need any more.
    pub(crate) fn retain(&self, config: &Config) {
        let listeners = config.listeners.iter().filter_map(server);
        self.servers.retain(&listeners.chain(self.control.get().cloned()).collect::<Vec<_>>());
        self.authorities.retain(&config.listeners.iter().filter_map(authority).collect::<Vec<_>>());
        self.clients.retain(&config.clusters.iter().filter_map(client).collect::<Vec<_>>());
    }

    /// Every file that something was loaded from.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        self.servers.files().into_iter().chain(self.authorities.files()).chain(self.clients.files()).collect()
    }

    /// Looks at all files again, and takes those that changed and are good. Those that changed and are not good are
    /// reported once.
    pub(crate) fn reload(&self) {
        let refreshed = [self.servers.refresh(), self.authorities.refresh(), self.clients.refresh()];
        for (files, result) in refreshed.into_iter().flatten() {
            match result {
                Ok(()) => {
                    self.reloads_ok.fetch_add(1, Relaxed);
                    tracing::info!(files, "certificates loaded anew");
                }
                Err(error) => {
                    self.reloads_failed.fetch_add(1, Relaxed);
                    tracing::warn!(files, %error, "certificates cannot be loaded; those before stay in use");
                }
            }
        }
    }

    /// The certificates that a configuration shows.
    pub(crate) fn status(&self, config: &Config) -> Vec<CertificateStatus> {
        let listeners = config.listeners.iter().filter_map(|listener| {
            let file = listener.tls.as_ref()?.server()?.identity.cert.clone();
            let known = self.server(listener)?.known();
            Some(CertificateStatus { kind: "listener", name: listener.name.to_string(), file, ..known })
        });
        let authorities = config.listeners.iter().filter_map(|listener| {
            let file = listener.intercept.as_ref()?.authority.cert.clone();
            let known = self.authority(listener)?.known();
            Some(CertificateStatus { kind: "listener", name: listener.name.to_string(), file, ..known })
        });
        let clusters = config.clusters.iter().filter_map(|cluster| {
            let file = cluster.tls.as_ref()?.identity.as_ref()?.cert.clone();
            let known = self.client(cluster)?.known();
            Some(CertificateStatus { kind: "cluster", name: cluster.name.to_string(), file, ..known })
        });
        let control = self.control.get().map(|source| {
            let file = source.certificate().to_owned();
            CertificateStatus {
                kind: "control",
                name: "api".to_owned(),
                file,
                ..self.servers.cell(source.clone()).known()
            }
        });
        control.into_iter().chain(listeners).chain(authorities).chain(clusters).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Duration;

    use super::*;

    /// Files on a file system that hangs until somebody says so.
    #[derive(Clone, Debug)]
    struct Hanging(Arc<(Sender<()>, Mutex<Receiver<()>>)>);

    impl PartialEq for Hanging {
        fn eq(&self, other: &Self) -> bool {
            Arc::ptr_eq(&self.0, &other.0)
        }
    }

    impl Eq for Hanging {}

    impl std::hash::Hash for Hanging {
        fn hash<H: std::hash::Hasher>(&self, _: &mut H) {}
    }

    impl Load for Hanging {
        type Loaded = ();

        fn load(&self) -> Result<Dated<()>, LoadError> {
            let (begun, end) = &*self.0;
            begun.send(()).unwrap();
            end.lock().unwrap().recv().unwrap();
            Ok(Dated { loaded: (), not_after: Some(7) })
        }

        fn files(&self) -> Vec<&Path> {
            Vec::new()
        }
    }

    #[test]
    fn what_is_known_is_shown_while_files_hang() {
        let ((begin, begun), (end, ended), (tell, told)) = (channel(), channel(), channel());
        let (cell, source) = (Cell::default(), Hanging(Arc::new((begin, Mutex::new(ended)))));
        std::thread::scope(|scope| {
            let loading = scope.spawn(|| cell.refresh(&source, &RandomState::new()));
            begun.recv().unwrap();
            scope.spawn(|| tell.send(cell.known().not_after).unwrap());
            let known = told.recv_timeout(Duration::from_secs(10));
            end.send(()).unwrap();
            assert_eq!(known, Ok(None), "it waits for nobody");
            assert_eq!(loading.join().unwrap(), Some(Ok(())));
        });
        assert_eq!(cell.known().not_after, Some(7));
    }
}
