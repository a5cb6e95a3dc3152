//! Ingest: an HTTP/1.1 server on the loopback address that answers as told, faults included. For the demo and for
//! tests.
//!
//! One thread a connection, keep-alive, bodies with a `Content-Length`, plain or gzip. Requests are kept in memory.

// The demo and each test use a part of it.
#![allow(dead_code)]

mod message;
mod ports;
mod wire;

use std::collections::HashMap;
use std::io::{self, ErrorKind, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub use message::{Answer, Fault, Request, items_of};

/// For how long a port that somebody else has is waited for, and how often it is tried.
const PORT_PATIENCE: Duration = Duration::from_secs(60);
const PORT_INTERVAL: Duration = Duration::from_millis(10);

/// A running ingest. Dropping it stops it.
pub struct Ingest {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    answer: Box<dyn Fn(&Request) -> Answer + Send + Sync>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    requests: Vec<Request>,
    /// The sockets of the open connections, for `stop`.
    connections: HashMap<u64, Arc<TcpStream>>,
    next_connection: u64,
    /// How many more requests are reset, and after how many bytes of each.
    resets: (usize, u64),
    stopped: bool,
}

impl Ingest {
    /// Listens on a free port of 127.0.0.1 and answers each request with what `answer` makes of it.
    ///
    /// `answer` runs on the connection's thread, several at once.
    pub fn start(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> io::Result<Self> {
        Self::start_on(0, answer)
    }

    /// As [`Ingest::start`], on `port`: an ingest that was stopped comes back where it was. Waits a while for a port that
    /// somebody else has.
    pub fn start_on(
        port: u16,
        answer: impl Fn(&Request) -> Answer + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = if port == 0 { listen_anywhere()? } else { listen_on(port)? };
        let address = listener.local_addr()?;
        let shared =
            Arc::new(Shared { answer: Box::new(answer), state: Mutex::default(), changed: Condvar::new() });
        let acceptor = thread::Builder::new().name("ingest".into()).spawn({
            let shared = Arc::clone(&shared);
            move || shared.accept(&listener)
        })?;
        Ok(Self { address, shared, acceptor: Mutex::new(Some(acceptor)) })
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The endpoint to send batches to.
    pub fn url(&self) -> String {
        format!("http://{}/v1/traces/ingest", self.address)
    }

    /// Every request received whole so far, in the order of arrival.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.lock().requests.clone()
    }

    /// The requests that came since the last call. They are no longer kept.
    pub fn take_requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.shared.lock().requests)
    }

    /// Waits until `done` holds for the requests so far; says whether it did before `deadline`.
    ///
    /// A request is seen here before it is answered.
    pub fn wait_until(&self, deadline: Instant, mut done: impl FnMut(&[Request]) -> bool) -> bool {
        let mut state = self.shared.lock();
        loop {
            if done(&state.requests) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            state = self.shared.wait(state, left);
        }
    }

    /// Resets (RST) the connection at the first byte of each of the next `count` requests: unread, not recorded.
    pub fn reset_unread(&self, count: usize) {
        self.reset_within(count, 0);
    }

    /// As [`Ingest::reset_unread`], after `bytes` bytes of the request.
    pub fn reset_within(&self, count: usize, bytes: u64) {
        self.shared.lock().resets = (count, bytes);
    }

    /// Closes the listener and all connections at once and frees the port. A second call does nothing.
    pub fn stop(&self) {
        let acceptor = lock(&self.acceptor).take();
        let Some(acceptor) = acceptor else { return };
        let open = {
            let mut state = self.shared.lock();
            state.stopped = true;
            std::mem::take(&mut state.connections)
        };
        self.shared.changed.notify_all();
        for stream in open.values() {
            // An error means that it is closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
        // Only a connection ends accept(). If none can be made, one is waiting to be accepted already.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
        let _ = acceptor.join();
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        self.stop();
    }
}

fn listen_anywhere() -> io::Result<TcpListener> {
    while let Some(port) = ports::next() {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Err(e) if e.kind() == ErrorKind::AddrInUse => {}
            listener => return listener,
        }
    }
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
}

/// While an ingest is down, the system may give its port to a connection.
fn listen_on(port: u16) -> io::Result<TcpListener> {
    let deadline = Instant::now() + PORT_PATIENCE;
    loop {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Err(e) if e.kind() == ErrorKind::AddrInUse && Instant::now() < deadline => {
                thread::sleep(PORT_INTERVAL)
            }
            listener => return listener,
        }
    }
}

/// What is under these locks is whole after each step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, time: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Accepts until stopped.
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        while !self.lock().stopped {
            let accepted = listener.accept().and_then(|(stream, _)| self.serve_in_thread(stream));
            if accepted.is_err() {
                // Out of descriptors or threads: an immediate retry would only use up the CPU.
                self.pause(Duration::from_millis(10));
            }
        }
    }

    fn serve_in_thread(self: &Arc<Self>, stream: TcpStream) -> io::Result<()> {
        let stream = Arc::new(stream);
        let id = {
            let mut state = self.lock();
            if state.stopped {
                return Ok(());
            }
            let id = state.next_connection;
            state.next_connection += 1;
            state.connections.insert(id, Arc::clone(&stream));
            id
        };
        let shared = Arc::clone(self);
        let spawned = thread::Builder::new().name("ingest-connection".into()).spawn(move || {
            // A broken connection is for the client to notice.
            let _ = shared.serve(id, &stream);
            shared.lock().connections.remove(&id);
        });
        if spawned.is_err() {
            self.lock().connections.remove(&id);
        }
        spawned.map(drop)
    }

    /// Answers requests until the connection ends.
    fn serve(&self, connection: u64, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        while wire::wait_for_byte(stream)? {
            if let Some(bytes) = self.takes_reset() {
                return wire::skip(stream, bytes);
            }
            let request = match wire::read(stream, connection)? {
                Ok(request) => request,
                Err(refusal) => return wire::refuse(stream, &refusal),
            };
            let keep = wire::keeps_alive(&request);
            self.record(request.clone());
            let answer = (self.answer)(&request);
            if !self.give(stream, &answer, keep)? {
                break;
            }
        }
        Ok(())
    }

    /// Answers the request that was read; says whether the connection takes another.
    fn give(&self, mut stream: &TcpStream, answer: &Answer, keep: bool) -> io::Result<bool> {
        match &answer.fault {
            Fault::ResetAfterRead => return Ok(false),
            Fault::DelayBefore(time) | Fault::Hang(time) => self.pause(*time),
            _ => {}
        }
        wire::take_last_byte(stream)?;
        match &answer.fault {
            Fault::CloseWithoutAnswer | Fault::Hang(_) => Ok(false),
            Fault::RawBytes(bytes) => stream.write_all(bytes).map(|()| false),
            Fault::Pieces { pieces, pause, keep } => {
                for piece in pieces {
                    stream.write_all(piece)?;
                    self.pause(*pause);
                }
                Ok(*keep)
            }
            Fault::Endless(head, more) => {
                stream.write_all(head)?;
                loop {
                    stream.write_all(more)?;
                }
            }
            _ => wire::write(stream, answer, keep).map(|()| keep),
        }
    }

    fn takes_reset(&self) -> Option<u64> {
        let mut state = self.lock();
        let (left, bytes) = state.resets;
        state.resets.0 = left.saturating_sub(1);
        (left > 0).then_some(bytes)
    }

    fn record(&self, request: Request) {
        self.lock().requests.push(request);
        self.changed.notify_all();
    }

    /// Waits for `time`, or until the ingest is stopped.
    fn pause(&self, time: Duration) {
        let start = Instant::now();
        let mut state = self.lock();
        while !state.stopped {
            let left = time.saturating_sub(start.elapsed());
            if left.is_zero() {
                return;
            }
            state = self.wait(state, left);
        }
    }
}
