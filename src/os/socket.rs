//! Socket: what the standard library can't ask a socket.

#![allow(unsafe_code)]

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType};

/// Waits for longer are many waits.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// Begins to connect to `address`. Until [`wait_connected`] has returned, what is returned is good for nothing but to be
/// shut down by another thread.
pub(crate) fn begin_connect(address: &SocketAddr) -> io::Result<TcpStream> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = new_socket(family)?;
    match rustix::net::connect(&socket, address) {
        Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => Ok(TcpStream::from(socket)),
        Err(e) => Err(e.into()),
    }
}

/// A non-blocking socket that is closed on exec.
#[cfg(not(target_vendor = "apple"))]
fn new_socket(family: AddressFamily) -> io::Result<OwnedFd> {
    use rustix::net::SocketFlags;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socket_with(family, SocketType::STREAM, flags, None)?)
}

#[cfg(target_vendor = "apple")]
fn new_socket(family: AddressFamily) -> io::Result<OwnedFd> {
    let socket = rustix::net::socket(family, SocketType::STREAM, None)?;
    rustix::io::ioctl_fioclex(&socket)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    rustix::net::sockopt::set_socket_nosigpipe(&socket, true)?;
    Ok(socket)
}

/// Waits until `stream` is connected, and makes it blocking. Errors: `TimedOut` after `limit`, why it could not be
/// connected, and that it was shut down meanwhile.
pub(crate) fn wait_connected(stream: &TcpStream, limit: Duration) -> io::Result<()> {
    let began = Instant::now();
    loop {
        let left = limit.saturating_sub(began.elapsed()).min(LONGEST_WAIT);
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(stream, PollFlags::OUT)], Some(&left)) {
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => break,
            Err(e) => return Err(e.into()),
        }
    }
    if let Some(e) = stream.take_error()? {
        return Err(e);
    }
    // One that was shut down has no error, and no other end.
    stream.peer_addr()?;
    stream.set_nonblocking(false)
}

/// Whether the other end has neither sent anything that was not read nor closed the connection. It waits for nothing.
pub(crate) fn is_quiet(stream: &TcpStream) -> bool {
    let mut byte = 0_u8;
    // SAFETY: the descriptor is open as long as `stream` lives, and one byte may be written at `byte`.
    let read = unsafe {
        libc::recv(stream.as_raw_fd(), (&raw mut byte).cast(), 1, libc::MSG_PEEK | libc::MSG_DONTWAIT)
    };
    read < 0 && std::io::Error::last_os_error().kind() == std::io::ErrorKind::WouldBlock
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener};

    const PATIENCE: Duration = Duration::from_secs(60);

    /// A listener that answers no more connections, and those that it has.
    fn deaf() -> (TcpListener, Vec<TcpStream>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connect = || begin_connect(&address).unwrap();
        let is_taken = |stream: &TcpStream| wait_connected(stream, Duration::from_millis(500)).is_ok();
        let taken = std::iter::repeat_with(connect).take_while(is_taken).collect();
        (listener, taken)
    }

    #[test]
    fn a_connection_that_is_being_made_ends_in_time_and_when_it_is_shut_down() {
        let (listener, _taken) = deaf();
        let stream = begin_connect(&listener.local_addr().unwrap()).unwrap();
        let limit = Duration::from_millis(50);
        assert_eq!(wait_connected(&stream, limit).unwrap_err().kind(), io::ErrorKind::TimedOut);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| wait_connected(&stream, PATIENCE));
            while !waiting.is_finished() {
                // It may not wait yet.
                drop(stream.shutdown(Shutdown::Both));
                std::thread::yield_now();
            }
            assert_ne!(waiting.join().unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
        });
    }

    #[test]
    fn a_connection_that_is_refused_says_so() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let refused = begin_connect(&address).and_then(|stream| wait_connected(&stream, PATIENCE));
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn a_socket_is_quiet_until_something_comes_or_the_other_end_closes() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut here = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut there, _) = listener.accept().unwrap();
        assert!(is_quiet(&here));
        there.write_all(b"x").unwrap();
        // Peeking waits until it has come, and takes nothing away.
        assert_eq!(here.peek(&mut [0]).unwrap(), 1);
        assert!(!is_quiet(&here));
        assert_eq!(here.read(&mut [0]).unwrap(), 1);
        assert!(is_quiet(&here));
        drop(there);
        assert_eq!(here.peek(&mut [0]).unwrap(), 0);
        assert!(!is_quiet(&here));
    }
}
