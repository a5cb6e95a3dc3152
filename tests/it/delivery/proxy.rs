//! What a proxy of the environment is asked for.

use spanspool::{Batch, Outcome, TracingExporter};
use testkit::client::the_header;
use testkit::ingest::{Answer, Ingest};
use testkit::wait::PATIENCE;

use super::exporter::{exporter, hasty_ingest, in_child};

const ENDPOINT: &str = "http://ingest.invalid:4318/v1/in?from=here";

fn batch(bytes: usize) -> Batch {
    let mut batch = Batch::new("lane", 7, "");
    batch.push(format!("\"{}\"", "x".repeat(bytes)).as_bytes());
    batch
}

#[test]
fn a_request_to_an_http_endpoint_is_given_to_the_proxy_whole() {
    let proxy = Ingest::start(|_| Answer::status(200)).unwrap();
    let url = format!("http://me:p%40ss@127.0.0.1:{}", proxy.port());
    // The second one is sent in parts.
    let sizes = [10, 1 << 20, 10];
    if in_child(&[("http_proxy", &url)]) {
        let exporter = exporter(ENDPOINT, &[]);
        for bytes in sizes {
            assert_eq!(exporter.export(&batch(bytes), None), Outcome::Accepted { status: 200 });
        }
        return;
    }
    let requests = proxy.take_requests();
    assert_eq!(requests.len(), sizes.len());
    for (request, bytes) in requests.iter().zip(sizes) {
        assert_eq!((&*request.method, &*request.path, request.connection), ("POST", ENDPOINT, 0));
        assert_eq!(the_header(request, "host"), "ingest.invalid:4318");
        assert_eq!(the_header(request, "proxy-authorization"), "Basic bWU6cEBzcw==");
        assert_eq!(request.body.len(), format!("{{\"data\":[\"{}\"]}}", "x".repeat(bytes)).len());
    }
}

#[test]
fn a_proxy_that_asks_who_it_is_is_waited_for() {
    let proxy = Ingest::start(|request| {
        let said = request.header("proxy-authorization").unwrap_or("who is it?");
        Answer::status(407).body(format!("{said} p@ss"))
    });
    let address = format!("127.0.0.1:{}", proxy.as_ref().unwrap().port());
    for (credentials, answer) in [("", "who is it? p@ss"), ("me:p%40ss@", "Basic ************ ****")] {
        if in_child(&[("HTTP_PROXY", &format!("{credentials}{address}")), ("ANSWER", answer)]) {
            let outcome = exporter(ENDPOINT, &[]).export(&batch(10), None);
            let Outcome::Hold { status: 407, reason } = outcome else { panic!("{outcome:?}") };
            assert!(reason.ends_with(&std::env::var("ANSWER").unwrap()), "{reason}");
            return;
        }
    }
}

#[test]
fn an_https_endpoint_is_reached_through_a_tunnel() {
    let (url, heads) = hasty_ingest("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    if in_child(&[("https_proxy", &url), ("http_proxy", "http://127.0.0.1:9")]) {
        let outcome = exporter("https://ingest.invalid/v1/in", &[]).export(&batch(10), None);
        assert!(!matches!(outcome, Outcome::Accepted { .. }), "{outcome:?}");
        return;
    }
    let asked = heads.recv_timeout(PATIENCE).unwrap();
    assert!(asked.starts_with("CONNECT ingest.invalid:443 HTTP/1.1\r\n"), "{asked}");
}
