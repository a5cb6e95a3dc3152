//! TLS: an end that decrypts what comes and passes it on to the ingest, as a load balancer does.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{WantsServerCert, WebPkiClientVerifier};
use rustls::{ALL_VERSIONS, ConfigBuilder, RootCertStore, ServerConfig, ServerConnection, WantsVerifier};

use crate::ingest::Ingest;
use crate::root;

const CHUNK_BYTES: usize = 16 << 10;

/// Where the certificates and keys are.
pub fn fixture(name: &str) -> PathBuf {
    root().join("tests/fixtures/tls").join(name)
}

/// Starts a TLS end in front of `ingest` and returns its URL.
///
/// The first connection is shown tests/fixtures/tls/NAME.pem for the first of `certificates`, and so on; those after
/// the last name get the last certificate. A connection has the same number at the ingest.
pub fn start_tls(ingest: &Ingest, certificates: &[&str]) -> String {
    start(
        ingest,
        certificates.iter().map(|name| server_config(name, builder().with_no_client_auth())).collect(),
    )
}

/// As [`start_tls`], with the certificate `server`, for clients only whose certificate is signed by `client-ca`.
pub fn start_mutual_tls(ingest: &Ingest) -> String {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(fixture("client-ca.pem")).unwrap()).unwrap();
    let clients = WebPkiClientVerifier::builder_with_provider(roots.into(), provider()).build().unwrap();
    start(ingest, vec![server_config("server", builder().with_client_cert_verifier(clients))])
}

fn start(ingest: &Ingest, configs: Vec<Arc<ServerConfig>>) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("https://localhost:{}/v1/traces/ingest", listener.local_addr().unwrap().port());
    let port = ingest.port();
    thread::spawn(move || {
        for (connection, outside) in listener.incoming().enumerate() {
            // Connected here, so that both ends count alike.
            let (Ok(outside), Ok(inside)) = (outside, TcpStream::connect((Ipv4Addr::LOCALHOST, port))) else {
                return;
            };
            let config = Arc::clone(&configs[connection.min(configs.len() - 1)]);
            let pipe =
                Arc::new(Pipe { tls: Mutex::new(ServerConnection::new(config).unwrap()), outside, inside });
            for direction in [Pipe::pass_in, Pipe::pass_out] {
                let pipe = Arc::clone(&pipe);
                thread::spawn(move || {
                    // A broken connection is for the two ends to notice.
                    let _ = direction(&pipe);
                    let _ = pipe.outside.shutdown(Shutdown::Both);
                    let _ = pipe.inside.shutdown(Shutdown::Both);
                });
            }
        }
    });
    url
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn builder() -> ConfigBuilder<ServerConfig, WantsVerifier> {
    ServerConfig::builder_with_provider(provider()).with_protocol_versions(ALL_VERSIONS).unwrap()
}

fn server_config(
    certificate: &str,
    builder: ConfigBuilder<ServerConfig, WantsServerCert>,
) -> Arc<ServerConfig> {
    let chain = vec![CertificateDer::from_pem_file(fixture(&format!("{certificate}.pem"))).unwrap()];
    let key = PrivateKeyDer::from_pem_file(fixture("server.key")).unwrap();
    Arc::new(builder.with_single_cert(chain, key).unwrap())
}

/// A connection: encrypted outside, plain inside.
struct Pipe {
    tls: Mutex<ServerConnection>,
    outside: TcpStream,
    inside: TcpStream,
}

impl Pipe {
    /// Decrypts what the client sends until it has sent all.
    fn pass_in(&self) -> io::Result<()> {
        let mut chunk = [0; CHUNK_BYTES];
        loop {
            let count = (&self.outside).read(&mut chunk)?;
            if count == 0 {
                return Ok(());
            }
            let mut encrypted = &chunk[..count];
            while !encrypted.is_empty() {
                let plain = self.decrypt(&mut encrypted)?;
                (&self.inside).write_all(&plain)?;
            }
        }
    }

    /// Takes some of what came; answers a handshake itself.
    fn decrypt(&self, encrypted: &mut &[u8]) -> io::Result<Vec<u8>> {
        let mut tls = self.tls.lock().unwrap();
        tls.read_tls(encrypted)?;
        let processed = tls.process_new_packets().map_err(io::Error::other);
        // A failed handshake has an alert for the client.
        while tls.wants_write() {
            tls.write_tls(&mut &self.outside)?;
        }
        processed?;
        let mut plain = Vec::new();
        match tls.reader().read_to_end(&mut plain) {
            Err(e) if e.kind() != ErrorKind::WouldBlock => Err(e),
            _ => Ok(plain),
        }
    }

    /// Encrypts what the ingest answers until it closes.
    fn pass_out(&self) -> io::Result<()> {
        let mut chunk = [0; CHUNK_BYTES];
        loop {
            let count = (&self.inside).read(&mut chunk)?;
            let mut tls = self.tls.lock().unwrap();
            match count {
                0 => tls.send_close_notify(),
                _ => tls.writer().write_all(&chunk[..count])?,
            }
            while tls.wants_write() {
                tls.write_tls(&mut &self.outside)?;
            }
            if count == 0 {
                return Ok(());
            }
        }
    }
}
