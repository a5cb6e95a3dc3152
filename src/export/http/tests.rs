#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;
use crate::os::socket::is_quiet;
use std::net::{TcpListener, TcpStream};
use std::thread;

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

fn client(endpoint: &str) -> HttpClient {
    let mut config = Config::new();
    config.set("endpoint", endpoint).unwrap();
    HttpClient::new(&config, None).unwrap()
}

fn post(client: &HttpClient, body: &[u8]) -> u16 {
    match client.post(std::iter::empty(), body, None) {
        Ok(answer) => {
            let status = answer.status().as_u16();
            answer.into_body().read_to_vec().unwrap();
            status
        }
        Err(Unanswered::Hindered(why) | Unanswered::Failed(why)) => panic!("{why}"),
        Err(Unanswered::Reset { reason, .. } | Unanswered::BrokenOff { reason, .. }) => panic!("{reason}"),
    }
}

/// Reads a request whose body ends with `end`.
fn read_request(stream: &mut TcpStream, end: &[u8]) {
    let mut request = Vec::new();
    while !request.ends_with(end) {
        let mut some = [0; 4096];
        let count = stream.read(&mut some).unwrap();
        assert_ne!(count, 0);
        request.extend(&some[..count]);
    }
}

#[test]
fn a_name_is_looked_up_for_a_connection_and_not_for_each_request() {
    let listener = TcpListener::bind("localhost:0").unwrap();
    let client = client(&format!("http://localhost:{}/", listener.local_addr().unwrap().port()));
    let ingest = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        for body in [b"first", b"other"] {
            read_request(&mut stream, body);
            stream.write_all(ANSWER).unwrap();
        }
    });
    assert_eq!(post(&client, b"first"), 200);
    // From now on nothing can be looked up.
    client.names.stop();
    assert_eq!(post(&client, b"other"), 200);
    ingest.join().unwrap();
}

fn plain() -> (Plain, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = Socket::connect(&[listener.local_addr().unwrap()], PATIENCE, |_| Ok(())).unwrap();
    let config = Agent::config_builder().build();
    (Plain::new(socket, None, &config), listener.accept().unwrap().0)
}

fn write(plain: &mut Plain, text: &[u8]) {
    plain.buffers().output()[..text.len()].copy_from_slice(text);
    plain.transmit_output(text.len(), within(PATIENCE)).unwrap();
}

fn within(limit: std::time::Duration) -> NextTimeout {
    NextTimeout { after: Duration::Exact(limit), ..NextTimeout::default() }
}

#[test]
fn head_and_body_go_out_together_once_an_answer_is_awaited() {
    let (mut plain, mut there) = plain();
    write(&mut plain, b"head, ");
    write(&mut plain, b"body");
    assert!(is_quiet(&there));
    // A request that was not sent must not go out before the next one.
    assert!(!plain.is_open());
    there.write_all(b"answer").unwrap();
    assert!(plain.await_input(within(PATIENCE)).unwrap());
    assert_eq!(plain.buffers().input(), b"answer");
    assert!(plain.is_open());
    let mut text = [0; 64];
    assert_eq!(there.read(&mut text).unwrap(), 10);
    assert_eq!(&text[..10], b"head, body");
}

#[test]
fn much_output_does_not_wait_for_an_answer() {
    let (mut plain, mut there) = plain();
    let body = vec![b'x'; 1 << 20];
    let expected = body.len() + 4;
    let reader = thread::spawn(move || {
        let mut all = vec![0; expected];
        there.read_exact(&mut all).unwrap();
        (all, there)
    });
    write(&mut plain, b"head");
    let mut rest = &body[..];
    while !rest.is_empty() {
        let amount = plain.buffers().output().len().min(rest.len());
        assert_ne!(amount, 0);
        write(&mut plain, &rest[..amount]);
        rest = &rest[amount..];
    }
    plain.send(within(PATIENCE)).unwrap();
    let (all, _there) = reader.join().unwrap();
    assert!(all.starts_with(b"headxxx") && all.ends_with(b"xxx"));
}

#[test]
fn an_answer_that_does_not_come_is_a_timeout() {
    let (mut plain, _there) = plain();
    let error = plain.await_input(within(std::time::Duration::from_millis(20))).unwrap_err();
    assert!(matches!(error, Error::Timeout(Timeout::Global)), "{error}");
}
