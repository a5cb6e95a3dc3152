//! Failure: what to do about a TLS connection that failed, for people.

use std::fmt;
use std::time::UNIX_EPOCH;

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error};

use super::Settings;
use super::verifier::is_ca_as_end_entity;
use crate::config::{TlsRoots, on_one_line};

/// How many of a certificate's names are told.
const MAX_NAMES: usize = 3;

/// Why there is no TLS connection.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It stays so until a setting, a file or a certificate is another one.
    Lasting(String),
    /// The next connection may be made.
    Passing(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Lasting(why) | Self::Passing(why)) = self;
        f.write_str(why)
    }
}

impl std::error::Error for Failure {}

/// Whether the other end, or what it shows, is refused by this end, or this end by it, each time.
pub(super) fn is_lasting(error: &Error) -> bool {
    match error {
        Error::AlertReceived(alert) => {
            is_about_certificates(*alert) || *alert == AlertDescription::ProtocolVersion
        }
        Error::InvalidCertificate(_) | Error::InvalidMessage(_) | Error::PeerIncompatible(_) => true,
        e => is_ca_as_end_entity(e),
    }
}

/// What is wrong between this end and `host`, and which setting helps.
pub(super) fn explain(host: &str, error: &Error, settings: &Settings) -> String {
    match error {
        e if is_ca_as_end_entity(e) => format!(
            "the certificate of {host} is one of an authority (CA:TRUE): put exactly this one into ca_file, or use one \
             with CA:FALSE"
        ),
        Error::InvalidCertificate(e) => untrusted(host, e, settings),
        Error::AlertReceived(alert) => refused(host, *alert, settings),
        Error::InvalidMessage(_) => {
            format!(
                "what answers at {host} does not speak TLS: is endpoint meant to begin with http://, or its port wrong?"
            )
        }
        Error::PeerIncompatible(e) => {
            format!("{host} has no version or cipher of TLS in common with this end (TLS 1.2 and 1.3): {e:?}")
        }
        e => format!("TLS with {host}: {e}"),
    }
}

fn untrusted(host: &str, error: &CertificateError, settings: &Settings) -> String {
    match error {
        CertificateError::UnknownIssuer => {
            let or_system = match settings.roots {
                TlsRoots::BuiltIn => ", or set tls_roots=system if this machine trusts it",
                TlsRoots::System => "",
            };
            format!(
                "the certificate of {host} is signed by no trusted root: put that root, or a self-signed certificate itself, \
                 into ca_file{or_system}"
            )
        }
        CertificateError::ExpiredContext { time, not_after } => format!(
            "the certificate of {host} expired on {}: it must be renewed there, unless this machine's clock is wrong ({})",
            date(*not_after),
            date(*time)
        ),
        CertificateError::NotValidYetContext { time, not_before } => format!(
            "the certificate of {host} is not valid before {}: set this machine's clock, unless it is right ({})",
            date(*not_before),
            date(*time)
        ),
        CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => format!(
            "the certificate of {host} names no host (subjectAltName): issue one with \
             -addext subjectAltName=DNS:{host}, or IP: for an address"
        ),
        CertificateError::NotValidForNameContext { presented, .. } => {
            let names = presented[..presented.len().min(MAX_NAMES)].join(", ");
            let more = if presented.len() > MAX_NAMES { ", …" } else { "" };
            let names = on_one_line(&names);
            format!(
                "the certificate is not valid for {host}, only for {names}{more}: set endpoint to such a name, or make a \
                 certificate for this one"
            )
        }
        e => format!("the certificate of {host} can't be used: {e}"),
    }
}

/// `host` ended the handshake with `alert`.
fn refused(host: &str, alert: AlertDescription, settings: &Settings) -> String {
    use AlertDescription as Alert;
    let refusal = format!("{host} refused the TLS connection ({alert:?})");
    match &settings.identity {
        _ if alert == Alert::ProtocolVersion => format!("{refusal}: it has neither TLS 1.2 nor 1.3"),
        _ if !is_about_certificates(alert) => refusal,
        Some((file, _)) => {
            format!("{refusal}: put a certificate that it accepts into client_cert_file {}", file.display())
        }
        None if matches!(alert, Alert::CertificateRequired | Alert::NoCertificate) => {
            format!("{refusal}: set client_cert_file and client_key_file")
        }
        None => {
            format!("{refusal}: if it wants a client certificate, set client_cert_file and client_key_file")
        }
    }
}

fn is_about_certificates(alert: AlertDescription) -> bool {
    use AlertDescription as Alert;
    matches!(
        alert,
        Alert::CertificateRequired
            | Alert::NoCertificate
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::DecryptError
            | Alert::HandshakeFailure
    )
}

fn date(time: UnixTime) -> String {
    // The range of dates in HTTP ends with the year 9999.
    let seconds = time.as_secs().min(253_402_300_799);
    httpdate::fmt_http_date(UNIX_EPOCH + std::time::Duration::from_secs(seconds))
}
