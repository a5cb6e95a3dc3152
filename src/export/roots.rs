//! Roots: the built-in certificate authorities as certificates, so that others can be trusted, too.
//!
//! ureq takes either the built-in roots or a list of certificates, and the built-in ones are only names and keys.
//! Here each is wrapped as a certificate (RFC 5280, 4.1) without a signature: a root's own signature is never
//! checked, it is trusted for being in the list.

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
/// The optional fields [0] and [3] of a certificate.
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
/// 2.5.29.30
const NAME_CONSTRAINTS: &[u8] = &[0x06, 0x03, 0x55, 0x1d, 0x1e];

/// Mozilla's roots, each as a certificate in DER.
pub(super) fn built_in() -> Vec<Vec<u8>> {
    let roots = webpki_roots::TLS_SERVER_ROOTS.iter();
    roots
        .map(|r| certificate(&r.subject, &r.subject_public_key_info, r.name_constraints.as_deref()))
        .collect()
}

/// The arguments are contents of DER sequences, without their tag and length.
fn certificate(subject: &[u8], public_key: &[u8], name_constraints: Option<&[u8]>) -> Vec<u8> {
    let empty = der(SEQUENCE, &[]);
    let mut to_be_signed = [
        der(VERSION, &der(INTEGER, &[2])),
        der(INTEGER, &[1]),
        empty.clone(),
        der(SEQUENCE, subject),
        empty.clone(),
        der(SEQUENCE, subject),
        der(SEQUENCE, public_key),
    ]
    .concat();
    if let Some(constraints) = name_constraints {
        let value = der(OCTET_STRING, &der(SEQUENCE, constraints));
        let extension = der(SEQUENCE, &[NAME_CONSTRAINTS, &value].concat());
        to_be_signed.extend(der(EXTENSIONS, &der(SEQUENCE, &extension)));
    }
    der(SEQUENCE, &[der(SEQUENCE, &to_be_signed), empty, der(BIT_STRING, &[0])].concat())
}

/// One DER element; its length takes one byte, or two bytes after their count.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let len = content.len() as u16;
    let mut out = vec![tag];
    match len {
        0..0x80 => out.push(len as u8),
        0x80..=0xff => out.extend([0x81, len as u8]),
        _ => {
            out.push(0x82);
            out.extend(len.to_be_bytes());
        }
    }
    out.extend(content);
    out
}

#[cfg(test)]
mod tests {
    use rustls::RootCertStore;
    use rustls::pki_types::CertificateDer;

    #[test]
    fn the_wrapped_roots_are_read_back_as_they_were() {
        let mut store = RootCertStore::empty();
        let counts = store.add_parsable_certificates(super::built_in().into_iter().map(CertificateDer::from));
        assert_eq!(counts, (webpki_roots::TLS_SERVER_ROOTS.len(), 0));
        assert_eq!(store.roots, webpki_roots::TLS_SERVER_ROOTS);
        assert!(store.roots.iter().any(|root| root.name_constraints.is_some()));
    }
}
