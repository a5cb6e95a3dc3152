//! Verifier: whether the server's certificate is trusted.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

use super::files::Roots;

/// Trusts what a root has signed, and a root that is shown as the server's own certificate.
///
/// That is what `openssl req -x509` makes, a certificate with CA:TRUE, where it is used as it is. webpki refuses it; curl
/// and OpenSSL take it, where it is among the roots itself.
#[derive(Debug)]
pub(super) struct Verifier {
    usual: Arc<WebPkiServerVerifier>,
    roots: Vec<CertificateDer<'static>>,
}

impl Verifier {
    pub(super) fn new(roots: Roots, provider: Arc<CryptoProvider>) -> Result<Self, String> {
        let Roots { store, certificates, .. } = roots;
        let usual = WebPkiServerVerifier::builder_with_provider(store.into(), provider).build();
        Ok(Self { usual: usual.map_err(|e| e.to_string())?, roots: certificates })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.usual.verify_server_cert(certificate, intermediates, name, ocsp_response, now) {
            // Its dates have been looked at before, its name has not.
            Err(e) if is_ca_as_end_entity(&e) && self.roots.iter().any(|root| root == certificate) => {
                verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}

/// By its text: rustls 0.23 has changed the version of webpki, whose error this is, in a patch release.
pub(super) fn is_ca_as_end_entity(error: &Error) -> bool {
    matches!(error, Error::InvalidCertificate(CertificateError::Other(e)) if e.0.to_string() == "CaUsedAsEndEntity")
}
