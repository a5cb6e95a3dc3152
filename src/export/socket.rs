//! Socket: a TCP connection on which every wait ends in time.

use std::io::ErrorKind::{Interrupted, InvalidInput, TimedOut, WouldBlock, WriteZero};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::os::descriptors::above_standard;
use crate::os::kept::Kept;
use crate::os::socket::{begin_connect, is_quiet, wait_connected};

/// The system is told a limit that is longer by this part of it, and not told again for one that is shorter by less than
/// twice as much: what is left of a request's time changes with each call.
const SLACK: u32 = 256;

/// A connection. Both directions block.
#[derive(Debug)]
pub(super) struct Socket {
    stream: Arc<Kept<TcpStream>>,
    /// The limits that the system was told last.
    read_limit: Duration,
    write_limit: Duration,
}

impl Socket {
    /// Connects to the first of `addresses` that can be reached. Each may take half of what is left of `limit`, and the
    /// last one all of it. It is no standard descriptor. `begun` gets what another thread may shut down from then on.
    ///
    /// Errors: `TimedOut` after `limit`, `NotFound` without an address, what the last address came to, and those of `begun`.
    pub(super) fn connect(
        addresses: &[SocketAddr],
        limit: Duration,
        begun: impl Fn(&Arc<Kept<TcpStream>>) -> io::Result<()>,
    ) -> io::Result<Self> {
        let began = Instant::now();
        let mut error = io::Error::from(io::ErrorKind::NotFound);
        for (i, address) in addresses.iter().enumerate() {
            let left = left_of(limit, began)?;
            let share = if i + 1 == addresses.len() { left } else { left / 2 };
            let stream = match above_standard(|| begin_connect(address)) {
                Ok(stream) => Arc::new(Kept::new(stream)),
                Err(e) => {
                    error = e;
                    continue;
                }
            };
            begun(&stream)?;
            match stream.get().and_then(|stream| wait_connected(stream, share)) {
                Ok(()) => {
                    // A request is one write, which need not wait for the answer to an earlier one.
                    stream.get()?.set_nodelay(true)?;
                    let (read_limit, write_limit) = Default::default();
                    return Ok(Self { stream, read_limit, write_limit });
                }
                Err(e) => error = e,
            }
        }
        Err(error)
    }

    /// Reads what has come, or waits for it. Errors: `TimedOut` after `limit`, and those of the system.
    pub(super) fn read(&mut self, buffer: &mut [u8], limit: Duration) -> io::Result<usize> {
        let (began, stream) = (Instant::now(), self.stream.get()?);
        loop {
            tell(&mut self.read_limit, left_of(limit, began)?, |told| stream.set_read_timeout(told))?;
            match (&*stream).read(buffer) {
                Err(e) if e.kind() == Interrupted => {}
                Err(e) if e.kind() == WouldBlock => return Err(TimedOut.into()),
                other => return other,
            }
        }
    }

    /// Writes all of `bytes`. Errors: `TimedOut` after `limit`, and those of the system.
    pub(super) fn write(&mut self, mut bytes: &[u8], limit: Duration) -> io::Result<()> {
        let began = Instant::now();
        while !bytes.is_empty() {
            let stream = self.stream.get()?;
            tell(&mut self.write_limit, left_of(limit, began)?, |told| stream.set_write_timeout(told))?;
            match (&*stream).write(bytes) {
                Ok(0) => return Err(WriteZero.into()),
                Ok(written) => bytes = &bytes[written..],
                Err(e) if e.kind() == Interrupted => {}
                Err(e) if e.kind() == WouldBlock => return Err(TimedOut.into()),
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Whether another request may use it: it is open, and nothing unexpected has arrived.
    pub(super) fn is_open(&self) -> bool {
        self.stream.get().is_ok_and(is_quiet)
    }
}

fn left_of(limit: Duration, began: Instant) -> io::Result<Duration> {
    let left = limit.saturating_sub(began.elapsed());
    if left.is_zero() { Err(TimedOut.into()) } else { Ok(left) }
}

/// Sees to it that the system waits no less than `limit`, and little more.
fn tell(
    told: &mut Duration,
    limit: Duration,
    set: impl FnOnce(Option<Duration>) -> io::Result<()>,
) -> io::Result<()> {
    if (limit..=limit.saturating_add(limit / (SLACK / 2))).contains(told) {
        return Ok(());
    }
    // The shortest one that the system knows is a microsecond; it takes none for no limit.
    let longer = limit.saturating_add(limit / SLACK).max(Duration::from_micros(1));
    match set(Some(longer)) {
        Ok(()) => *told = longer,
        // macOS refuses it once the other end has closed. What it sent before may still be read.
        Err(e) if cfg!(target_os = "macos") && e.kind() == InvalidInput => {}
        Err(e) => return Err(e),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::net::TcpListener;

    const LIMIT: Duration = Duration::from_millis(50);
    const PATIENCE: Duration = Duration::from_secs(60);

    fn connect(addresses: &[SocketAddr], limit: Duration) -> io::Result<Socket> {
        Socket::connect(addresses, limit, |_| Ok(()))
    }

    fn pair() -> (Socket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = connect(&[listener.local_addr().unwrap()], PATIENCE).unwrap();
        (socket, listener.accept().unwrap().0)
    }

    #[test]
    fn the_next_address_is_tried_when_one_refuses() {
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let open = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = open.local_addr().unwrap();
        let socket = connect(&[closed, address], PATIENCE).unwrap();
        assert_eq!(socket.stream.get().unwrap().peer_addr().unwrap(), address);
        let refused = connect(&[closed], PATIENCE).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(connect(&[address], Duration::ZERO).unwrap_err().kind(), TimedOut);
    }

    #[test]
    fn no_wait_is_shorter_than_its_limit() {
        let (mut socket, there) = pair();
        for limit in [LIMIT, LIMIT / 2, LIMIT] {
            let began = Instant::now();
            assert_eq!(socket.read(&mut [0], limit).unwrap_err().kind(), TimedOut);
            assert!(began.elapsed() >= limit);
        }
        let began = Instant::now();
        let endless = vec![0; 64 << 20];
        assert_eq!(socket.write(&endless, LIMIT).unwrap_err().kind(), TimedOut);
        assert!(began.elapsed() >= LIMIT);
        drop(there);
    }

    #[test]
    fn a_limit_that_is_a_little_shorter_is_not_told_again() {
        let (mut told, limit) = (Duration::ZERO, Duration::from_secs(60));
        let mut calls = 0;
        for n in 0..1000_u32 {
            let left = limit - n * Duration::from_micros(100);
            tell(&mut told, left, |_| {
                calls += 1;
                Ok(())
            })
            .unwrap();
            assert!(told >= left && told <= left + left / (SLACK / 2));
        }
        assert_eq!(calls, 1);
        tell(&mut told, LIMIT, |_| {
            calls += 1;
            Ok(())
        })
        .unwrap();
        tell(&mut told, limit, |_| {
            calls += 1;
            Ok(())
        })
        .unwrap();
        assert_eq!(calls, 3);
    }
}
