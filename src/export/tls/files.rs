//! Files: certificates and keys, as PEM files and the operating system give them. The errors say which file, and what is
//! allowed.

use std::io::Read;
use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, Error, InconsistentKeys};

use crate::config::TlsRoots;
use crate::os::descriptors::above_standard;

/// The longest file that is read, in bytes; a system's bundle of roots has some 250 KiB.
const MAX_BYTES: u64 = 16 << 20;

/// What server certificates are checked against.
#[derive(Debug)]
pub(super) struct Roots {
    pub(super) store: RootCertStore,
    /// Those of `store` of which the whole certificate is known.
    pub(super) certificates: Vec<CertificateDer<'static>>,
    /// Why some of the system's are missing, if any are known to be.
    pub(super) missing: Option<String>,
}

impl Roots {
    /// The roots of `kind`, and those of `ca_file`. The error says why there are none, or none of `ca_file`.
    pub(super) fn read(kind: TlsRoots, ca_file: Option<&Path>) -> Result<Self, String> {
        let mut roots = Self { store: RootCertStore::empty(), certificates: Vec::new(), missing: None };
        match kind {
            TlsRoots::BuiltIn => roots.store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            TlsRoots::System => roots.add_system(),
        }
        if let Some(file) = ca_file {
            let found = certificates("ca_file", file)?;
            if roots.add(found) == 0 {
                return Err(format!("ca_file {}: no certificate in it can be a root", file.display()));
            }
        }
        if roots.store.is_empty() {
            let why = roots.missing.unwrap_or_default();
            return Err(format!(
                "no root of the system can be used (tls_roots=system): {why}; install ca-certificates, set SSL_CERT_FILE or \
                 ca_file, or tls_roots=builtin"
            ));
        }
        Ok(roots)
    }

    fn add_system(&mut self) {
        let found = above_standard(rustls_native_certs::load_native_certs);
        let why = found.errors.first().map(ToString::to_string);
        self.missing = why.or_else(|| found.certs.is_empty().then(|| "none were found".into()));
        self.add(found.certs);
    }

    /// Adds those that can be roots, and says how many.
    fn add(&mut self, certificates: Vec<CertificateDer<'static>>) -> usize {
        let (added, _) = self.store.add_parsable_certificates(certificates.iter().cloned());
        self.certificates.extend(certificates);
        added
    }
}

/// The client's certificate with what signed it, and its key.
pub(super) fn identity(certificate: &Path, key: &Path) -> Result<CertifiedKey, String> {
    let chain = certificates("client_cert_file", certificate)?;
    let key_der = key_in(&read("client_key_file", key)?)
        .map_err(|why| format!("client_key_file {} {why}", key.display()))?;
    let signing = rustls::crypto::ring::sign::any_supported_type(&key_der).map_err(|_| {
        format!(
            "client_key_file {}: allowed are keys for RSA, ECDSA (P-256, P-384) and Ed25519",
            key.display()
        )
    })?;
    let identity = CertifiedKey::new(chain, signing);
    match identity.keys_match() {
        // Of version 1, say: that is for the server to judge.
        Ok(()) | Err(Error::InvalidCertificate(CertificateError::Other(_))) => Ok(identity),
        Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => Err(format!(
            "client_key_file {} is not the key of the first certificate in client_cert_file {}",
            key.display(),
            certificate.display()
        )),
        Err(e) => Err(format!("client_cert_file {}: {e}", certificate.display())),
    }
}

/// The certificates of the PEM file that `setting` names, at least one.
fn certificates(setting: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    certificates_in(&read(setting, file)?).map_err(|why| format!("{setting} {} {why}", file.display()))
}

fn read(setting: &str, file: &Path) -> Result<Vec<u8>, String> {
    let shown = file.display();
    let mut bytes = Vec::new();
    let opened = above_standard(|| std::fs::File::open(file));
    opened
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|e| format!("cannot read {setting} {shown}: {e}"))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("{setting} {shown} is longer than {MAX_BYTES} bytes"));
    }
    Ok(bytes)
}

/// The certificates of a PEM file, at least one, or what is wrong with it.
pub(super) fn certificates_in(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(certificates) if certificates.is_empty() => {
            Err("holds no certificate in PEM (-----BEGIN CERTIFICATE-----)".into())
        }
        Ok(certificates) => Ok(certificates),
        Err(e) => Err(damaged(&e)),
    }
}

/// The first private key of a PEM file, or what is wrong with it.
fn key_in(pem: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|e| match e {
        _ if pem.windows(9).any(|text| text == b"ENCRYPTED") => {
            "is encrypted: only a key without a passphrase can be used (openssl pkey -in … -out …)".into()
        }
        PemError::NoItemsFound => {
            "holds no private key in PEM (-----BEGIN PRIVATE KEY-----, RSA PRIVATE KEY or EC PRIVATE KEY)"
                .into()
        }
        e => damaged(&e),
    })
}

/// Nothing of the file's text: it may be of a key.
fn damaged(error: &PemError) -> String {
    let what = match error {
        PemError::MissingSectionEnd { .. } => "a section without its END line",
        PemError::IllegalSectionStart { .. } => "a BEGIN line that is not closed by -----",
        _ => "a section that is not base64",
    };
    format!("is damaged: it has {what}")
}
