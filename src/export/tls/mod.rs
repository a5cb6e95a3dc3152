//! TLS: what a connection is made with, as the settings and the files that they name say now.

mod failure;
mod files;
mod verifier;

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use rustls::{ALL_VERSIONS, ClientConfig, ClientConnection};

pub(crate) use failure::Failure;

use crate::config::{Config, Level, TlsRoots};
use crate::error::Result;
use crate::os::fork;
use crate::os::lock::Unpoison;
use files::Roots;
use verifier::Verifier;

/// Begins TLS connections.
///
/// Files are read when it is made, so that a process may give up its rights afterwards, and again for the next connection
/// once one of them has changed: certificates are renewed while programs run. After a connection that failed the roots of
/// the system are read again, too. While something can't be read, what was read before stays in use.
#[derive(Debug)]
pub(super) struct Tls {
    settings: Settings,
    loaded: RwLock<Option<Loaded>>,
}

#[derive(Debug, Clone)]
struct Settings {
    roots: TlsRoots,
    ca_file: Option<PathBuf>,
    /// The files of the client's certificate and its key.
    identity: Option<(PathBuf, PathBuf)>,
}

/// What was read.
#[derive(Debug, Clone)]
struct Loaded {
    config: Arc<ClientConfig>,
    /// The files that it was read from; `None`: it is to be read again.
    stamps: Option<Vec<Option<Stamp>>>,
    /// Why some of it is missing or old.
    trouble: Option<String>,
}

/// What changes with a file's content: device, inode, time of the change in two parts, length.
type Stamp = (u64, u64, i64, i64, u64);

impl Tls {
    /// # Errors
    /// `InvalidArgument` when one of `client_cert_file` and `client_key_file` is set without the other. A file that
    /// can't be used is no error, because it may be there later; it is logged.
    pub(super) fn new(config: &Config) -> Result<Self> {
        let identity = config.client_identity()?.map(|(cert, key)| (cert.to_owned(), key.to_owned()));
        let settings = Settings { roots: config.tls_roots, ca_file: config.ca_file.clone(), identity };
        let tls = Self { settings, loaded: RwLock::default() };
        if config.url().is_secure()
            && let Err(why) = tls.current()
        {
            // Not only with the first item, which may come late.
            config.log.line(Level::Error, format_args!("no TLS connection can be made yet: {why}"));
        }
        Ok(tls)
    }

    /// A TLS connection to `host`, an IPv6 address without brackets, that nothing has been sent on.
    pub(super) fn begin(&self, host: &str) -> std::result::Result<ClientConnection, Failure> {
        let config = self.current().map_err(Failure::Lasting)?;
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| Failure::Lasting(format!("{host} is not a name that a certificate can have")))?;
        ClientConnection::new(config, name).map_err(|e| self.failed(host, &e))
    }

    /// What `error` of a connection to `host` means, if it is one of TLS.
    pub(super) fn explain(&self, host: &str, error: &io::Error) -> Option<Failure> {
        error.get_ref()?.downcast_ref().map(|error| self.failed(host, error))
    }

    /// The same for a child of `fork`, without a lock in common.
    pub(super) fn copy(&self) -> Self {
        let own = |mut loaded: Loaded| {
            let mut config = (*loaded.config).clone();
            config.resumption = Resumption::default();
            loaded.config = Arc::new(config);
            loaded
        };
        let loaded = self.loaded.read().unpoisoned().clone().map(own);
        Self { settings: self.settings.clone(), loaded: RwLock::new(loaded) }
    }

    fn current(&self) -> std::result::Result<Arc<ClientConfig>, String> {
        let stamps = self.settings.files().map(stamp).collect();
        let loaded = self.loaded.read().unpoisoned().clone();
        let loaded = match loaded {
            Some(loaded) if loaded.stamps.as_ref() == Some(&stamps) => return Ok(loaded.config),
            loaded => match (self.settings.load(), loaded) {
                (Ok((config, trouble)), _) => {
                    Loaded { config: Arc::new(config), stamps: Some(stamps), trouble }
                }
                (Err(why), Some(before)) => Loaded { stamps: None, trouble: Some(why), ..before },
                (Err(why), None) => return Err(why),
            },
        };
        let config = loaded.config.clone();
        self.keep(Some(loaded));
        Ok(config)
    }

    fn failed(&self, host: &str, error: &rustls::Error) -> Failure {
        let mut why = failure::explain(host, error, &self.settings);
        let loaded = self.loaded.read().unpoisoned().clone();
        if let Some(trouble) = loaded.as_ref().and_then(|loaded| loaded.trouble.as_ref()) {
            why = format!("{why} ({trouble})");
        }
        self.keep(loaded.map(|loaded| Loaded { stamps: None, ..loaded }));
        if failure::is_lasting(error) { Failure::Lasting(why) } else { Failure::Passing(why) }
    }

    fn keep(&self, loaded: Option<Loaded>) {
        // A child of `fork` copies it: it must not find a lock that a writer held.
        fork::exclude(|| *self.loaded.write().unpoisoned() = loaded);
    }
}

impl Settings {
    /// All that it takes to connect, and why some of it is missing.
    fn load(&self) -> std::result::Result<(ClientConfig, Option<String>), String> {
        let mut roots = Roots::read(self.roots, self.ca_file.as_deref())?;
        let missing = roots.missing.take().map(|why| format!("the system's roots are incomplete: {why}"));
        let identity = self.identity.as_ref().map(|(certificate, key)| files::identity(certificate, key));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = Arc::new(Verifier::new(roots, provider.clone())?);
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(ALL_VERSIONS)
            .map_err(|e| e.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let config = match identity.transpose()? {
            Some(identity) => config.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity))),
            None => config.with_no_client_auth(),
        };
        Ok((config, missing))
    }

    fn files(&self) -> impl Iterator<Item = &Path> {
        let identity = self.identity.iter().flat_map(|(certificate, key)| [certificate, key]);
        self.ca_file.iter().chain(identity).map(PathBuf::as_path)
    }
}

/// `None`: there is no such file.
fn stamp(file: &Path) -> Option<Stamp> {
    let found = std::fs::metadata(file).ok()?;
    Some((found.dev(), found.ino(), found.mtime(), found.mtime_nsec(), found.len()))
}

/// How many certificates `pem` holds.
#[cfg(any(fuzzing, test))]
pub(crate) fn certificates(pem: &[u8]) -> Option<usize> {
    files::certificates_in(pem).ok().map(|certificates| certificates.len())
}
