//! TLS: which certificates are trusted and shown, what is told when that fails, and that nothing has to be started again
//! when files come or change.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;

use spanspool::{
    BackendSpanExporter, Batch, BatchTraceProcessor, Config, ErrorKind, Level, Outcome, TracingExporter,
};
use testkit::TempDir;
use testkit::client::{self, HOLD, assert_all_delivered, enqueue, wait_for_state};
use testkit::ingest::Ingest;
use testkit::script::{raw, scripted};
use testkit::tls::{fixture, start_mutual_tls, start_tls};

use super::exporter::in_child;

const ACCEPTED: Outcome = Outcome::Accepted { status: 200 };

fn config(url: &str, settings: &[(&str, &Path)]) -> Config {
    let mut config = Config::new();
    config.set("endpoint", url).unwrap();
    for (key, value) in settings {
        config.set_os(key, value.as_os_str()).unwrap();
    }
    config
}

fn exporter(url: &str, settings: &[(&str, &Path)]) -> BackendSpanExporter {
    BackendSpanExporter::new(&config(url, settings)).unwrap()
}

/// What will be logged.
fn logged_by(config: &mut Config) -> Arc<Mutex<Vec<(Level, String)>>> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let log = lines.clone();
    config.set_log(move |level, line| log.lock().unwrap().push((level, line.to_owned())));
    lines
}

fn send(exporter: &dyn TracingExporter) -> Outcome {
    let mut batch = Batch::new("lane", 0, "");
    batch.push(b"{}");
    exporter.export(&batch, None)
}

/// Sends; nothing may have reached the ingest. Gives the reason.
#[track_caller]
fn refused(exporter: &dyn TracingExporter) -> String {
    match send(exporter) {
        Outcome::Retry { status: 0, after: None, reason } => reason,
        outcome => panic!("{outcome:?}"),
    }
}

#[track_caller]
fn held(exporter: &dyn TracingExporter) -> String {
    match send(exporter) {
        Outcome::Hold { status: 0, reason } => reason,
        outcome => panic!("{outcome:?}"),
    }
}

#[track_caller]
fn assert_has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "'{part}' is not in: {text}");
    }
}

/// An ingest that takes everything, and closes the connection after each answer.
fn closing() -> Ingest {
    Ingest::start(|_| raw("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")).unwrap()
}

/// A server that answers a client's first bytes with `answer`, and closes. Gives its port.
fn answering(answer: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer).and_then(|()| stream.shutdown(Shutdown::Write));
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    port
}

#[test]
fn the_systems_roots_take_the_place_of_the_built_in_ones_and_are_waited_for() {
    let dir = TempDir::new("tls-system");
    if !in_child(&[("SSL_CERT_FILE", &dir.argument("roots.pem"))]) {
        return;
    }
    let roots = PathBuf::from(std::env::var_os("SSL_CERT_FILE").unwrap());
    let ingest = scripted(Vec::new());
    let url = start_tls(&ingest, &["server"]);
    let ca_file = fixture("ca.pem");
    let of_system: (&str, &Path) = ("tls_roots", Path::new("system"));

    let waiting = exporter(&url, &[of_system]);
    for _ in 0..2 {
        let why = held(&waiting);
        assert_has(
            &why,
            &["tls_roots=system", "ca-certificates", "tls_roots=builtin", roots.to_str().unwrap()],
        );
    }
    assert_eq!(send(&exporter(&url, &[of_system, ("ca_file", &ca_file)])), ACCEPTED, "ca_file's suffice");

    // Roots of others: they are read again after a failure, because an administrator may have added one.
    fs::copy(fixture("client-ca.pem"), &roots).unwrap();
    let why = held(&waiting);
    assert_has(&why, &["localhost", "ca_file"]);
    assert!(!why.contains("tls_roots"), "{why}");
    assert_eq!(send(&exporter(&url, &[of_system, ("ca_file", &ca_file)])), ACCEPTED, "ca_file's join them");
    fs::copy(&ca_file, &roots).unwrap();
    assert_eq!(send(&waiting), ACCEPTED);

    let built_in = exporter(&url, &[]);
    assert_has(&held(&built_in), &["localhost", "ca_file", "tls_roots=system"]);
    // As curl takes it.
    fs::copy(fixture("selfsigned-own.pem"), &roots).unwrap();
    assert_eq!(send(&exporter(&start_tls(&ingest, &["selfsigned-own"]), &[of_system])), ACCEPTED);
}

#[test]
fn a_client_certificate_is_shown_with_each_form_of_key() {
    let ingest = scripted(Vec::new());
    let url = start_mutual_tls(&ingest);
    let ca: (&str, &Path) = ("ca_file", &fixture("ca.pem"));
    for form in ["pkcs8", "sec1", "pkcs1"] {
        let (certificate, key) =
            (fixture(&format!("client-{form}.pem")), fixture(&format!("client-{form}.key")));
        let showing = exporter(&url, &[ca, ("client_cert_file", &certificate), ("client_key_file", &key)]);
        assert_eq!(send(&showing), ACCEPTED, "{form}");
    }
    assert_has(&held(&exporter(&url, &[ca])), &["localhost", "set client_cert_file and client_key_file"]);
    let (old, key) = (fixture("client-expired.pem"), fixture("client-sec1.key"));
    let why = held(&exporter(&url, &[ca, ("client_cert_file", &old), ("client_key_file", &key)]));
    assert_has(&why, &["localhost", "CertificateExpired", "client_cert_file", old.to_str().unwrap()]);
    // One that the ingest's roots did not sign.
    let (other, key) = (fixture("server.pem"), fixture("server.key"));
    let why = held(&exporter(&url, &[ca, ("client_cert_file", &other), ("client_key_file", &key)]));
    assert_has(&why, &["localhost", "UnknownCA", other.to_str().unwrap()]);
}

#[test]
fn half_a_client_certificate_is_an_error_that_names_both_settings() {
    let file = fixture("client-sec1.pem");
    let dir = TempDir::new("tls-half");
    for half in ["client_cert_file", "client_key_file"] {
        let mut config = config("https://localhost/", &[(half, &file)]);
        let error = BackendSpanExporter::new(&config).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert_has(error.message(), &["client_cert_file", "client_key_file"]);
        config.set_os("spool_dir", dir.path().as_os_str()).unwrap().set("exporter", "none").unwrap();
        let error = BatchTraceProcessor::open(config).err().unwrap();
        assert_has(error.message(), &["client_cert_file", "client_key_file"]);
    }
}

#[test]
fn what_can_not_be_used_is_named_and_waited_for() {
    let dir = TempDir::new("tls-held");
    let (ca, certificate, key) = (dir.join("ca.pem"), dir.join("client.pem"), dir.join("client.key"));
    let settings: [(&str, &Path); 3] =
        [("ca_file", &ca), ("client_cert_file", &certificate), ("client_key_file", &key)];
    let good = [(&ca, "ca.pem"), (&certificate, "client-sec1.pem"), (&key, "client-sec1.key")];
    let ingest = scripted(Vec::new());
    let url = start_mutual_tls(&ingest);
    let pem = fs::read(fixture("client-sec1.pem")).unwrap();
    let encrypted = fs::read(fixture("client-encrypted.key")).unwrap();
    let other_key = fs::read(fixture("server.key")).unwrap();
    let damaged = b"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n";
    let cases: [(usize, Option<&[u8]>, &str); 12] = [
        (0, None, "No such file"),
        (0, Some(b""), "BEGIN CERTIFICATE"),
        (0, Some(&other_key), "BEGIN CERTIFICATE"),
        (0, Some(&pem[..pem.len() / 2]), "without its END line"),
        (0, Some(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "no certificate in it"),
        (1, None, "No such file"),
        (1, Some(b"-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----\n"), "not base64"),
        (2, None, "No such file"),
        (2, Some(&pem), "BEGIN PRIVATE KEY"),
        (2, Some(&encrypted), "passphrase"),
        (2, Some(damaged), "RSA, ECDSA"),
        (2, Some(&other_key), "is not the key of"),
    ];
    for (which, content, expected) in cases {
        for (to, from) in good {
            fs::copy(fixture(from), to).unwrap();
        }
        let (setting, file) = settings[which];
        match content {
            Some(content) => fs::write(file, content).unwrap(),
            None => fs::remove_file(file).unwrap(),
        }
        let exporter = exporter(&url, &settings);
        for _ in 0..2 {
            let why = held(&exporter);
            assert_has(&why, &[setting, file.to_str().unwrap(), expected]);
            assert!(!why.contains("secret") && !why.contains("c2VjcmV0"), "{why}");
        }
        fs::copy(fixture(good[which].1), file).unwrap();
        assert_eq!(send(&exporter), ACCEPTED, "{setting}: {expected}");
    }
}

#[test]
fn a_client_that_starts_before_its_certificates_delivers_once_they_are_there() {
    let dir = TempDir::new("tls-early");
    let ingest = scripted(Vec::new());
    let url = start_tls(&ingest, &["server"]);
    let ca_file = dir.argument("ca.pem");
    let mut config = client::config(&dir.join("spool"), &url, &[("ca_file", &ca_file)]);
    let logged = logged_by(&mut config);
    let client = BatchTraceProcessor::open(config).unwrap();
    let told = logged.lock().unwrap().iter().find(|(level, _)| *level == Level::Error).cloned();
    assert_has(&told.unwrap().1, &["no TLS connection", "ca_file", &ca_file]);
    enqueue(&client, 0..3);
    wait_for_state(&client, HOLD);
    fs::copy(fixture("ca.pem"), &ca_file).unwrap();
    testkit::wait::eventually("delivery", || client.stats().unwrap().pending == 0);
    assert_all_delivered(&client, 3);
}

#[test]
fn a_renewed_client_certificate_is_shown_on_the_next_connection() {
    let dir = TempDir::new("tls-renewed");
    let (ca, certificate, key) = (fixture("ca.pem"), dir.join("client.pem"), dir.join("client.key"));
    let put = |name: &str, key_name: &str| {
        fs::copy(fixture(name), &certificate).unwrap();
        fs::copy(fixture(key_name), &key).unwrap();
    };
    put("client-pkcs8.pem", "client-pkcs8.key");
    let ingest = closing();
    let showing = exporter(
        &start_mutual_tls(&ingest),
        &[("ca_file", &ca), ("client_cert_file", &certificate), ("client_key_file", &key)],
    );
    assert_eq!(send(&showing), ACCEPTED);
    // Half of it is written: what was read before is shown until the rest is there.
    fs::copy(fixture("client-sec1.pem"), &certificate).unwrap();
    assert_eq!(send(&showing), ACCEPTED);
    fs::write(&certificate, "").unwrap();
    assert_eq!(send(&showing), ACCEPTED);

    put("client-expired.pem", "client-sec1.key");
    assert_has(&held(&showing), &["CertificateExpired"]);
    // It can't be read: what is told of the refusal says that, too.
    fs::remove_file(&key).unwrap();
    assert_has(
        &held(&showing),
        &["CertificateExpired", "cannot read client_key_file", key.to_str().unwrap()],
    );
    put("client-sec1.pem", "client-sec1.key");
    assert_eq!(send(&showing), ACCEPTED);
}

#[test]
fn the_exporter_of_a_forked_child_has_what_the_parents_has_read() {
    let dir = TempDir::new("tls-fork");
    let ca = dir.join("ca.pem");
    fs::copy(fixture("ca.pem"), &ca).unwrap();
    let ingest = scripted(Vec::new());
    let parent = exporter(&start_tls(&ingest, &["server"]), &[("ca_file", &ca)]);
    fs::remove_file(&ca).unwrap();
    let child = parent.fork().unwrap();
    assert_eq!(send(&*child), ACCEPTED);
    assert_eq!(send(&parent), ACCEPTED);
}

#[test]
fn a_self_signed_certificate_is_trusted_where_it_is_a_root_itself() {
    let ingest = scripted(Vec::new());
    let outcome = |shown: &str, trusted: &str| {
        let url = start_tls(&ingest, &[shown]);
        send(&exporter(&url, &[("ca_file", &fixture(&format!("{trusted}.pem")))]))
    };
    assert_eq!(outcome("selfsigned-own", "selfsigned-own"), ACCEPTED);
    assert_eq!(ingest.take_requests().len(), 1);
    for (shown, trusted, expected) in [
        ("selfsigned-own", "ca", "put exactly this one into ca_file"),
        // Its key and its name are those of the one that is trusted.
        ("selfsigned-own", "selfsigned-nameless", "put exactly this one into ca_file"),
        ("selfsigned-elsewhere", "selfsigned-elsewhere", "not valid for localhost, only for"),
        ("selfsigned-expired", "selfsigned-expired", "expired on Wed, 01 Jan 2020 00:00:00 GMT"),
        ("selfsigned-nameless", "selfsigned-nameless", "-addext subjectAltName=DNS:localhost"),
    ] {
        let Outcome::Hold { status: 0, reason } = outcome(shown, trusted) else {
            panic!("{shown}, {trusted}")
        };
        assert_has(&reason, &["localhost", expected]);
    }
    assert!(ingest.requests().is_empty());
}

#[test]
fn each_failure_says_what_is_wrong_and_what_helps() {
    let ingest = scripted(Vec::new());
    let ca: (&str, &Path) = ("ca_file", &fixture("ca.pem"));
    for (certificate, parts) in [
        ("stranger", ["the certificate of localhost is signed by no trusted root", "into ca_file"]),
        ("elsewhere", ["not valid for localhost, only for DnsName(\"elsewhere.test\")", "set endpoint"]),
        ("expired", ["the certificate of localhost expired on Wed, 01 Jan 2020", "clock"]),
    ] {
        let why = held(&exporter(&start_tls(&ingest, &[certificate]), &[ca]));
        assert_has(&why, &parts);
        assert!(why.len() <= 240, "status shows the first 240 bytes: {why}");
    }
    for (answer, parts) in [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n".as_slice(), ["localhost does not speak TLS", "http://"]),
        (b"\x15\x03\x03\x00\x02\x02\x28", ["HandshakeFailure", "set client_cert_file and client_key_file"]),
        (b"\x15\x03\x03\x00\x02\x02\x46", ["ProtocolVersion", "neither TLS 1.2 nor 1.3"]),
    ] {
        let url = format!("https://localhost:{}/", answering(answer));
        assert_has(&held(&exporter(&url, &[ca])), &parts);
    }
    // What the other end may overcome by itself is tried again.
    let url = format!("https://localhost:{}/", answering(b"\x15\x03\x03\x00\x02\x02\x50"));
    assert_has(&refused(&exporter(&url, &[ca])), &["localhost refused the TLS connection", "InternalError"]);
    assert!(ingest.requests().is_empty());
}

#[test]
fn what_only_https_takes_does_not_hold_up_plain_http() {
    let ingest = scripted(Vec::new());
    let absent = Path::new("/nowhere.pem");
    let settings = [
        ("ca_file", absent),
        ("client_cert_file", absent),
        ("client_key_file", absent),
        ("tls_roots", Path::new("system")),
    ];
    let mut config = config(&ingest.url(), &settings);
    let logged = logged_by(&mut config);
    assert_eq!(send(&BackendSpanExporter::new(&config).unwrap()), ACCEPTED);
    assert!(logged.lock().unwrap().is_empty());
}
