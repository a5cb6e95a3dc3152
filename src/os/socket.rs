//! Socket: what the standard library can't ask a socket.

#![allow(unsafe_code)]

use std::net::TcpStream;
use std::os::fd::AsRawFd;

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
    use std::net::TcpListener;

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
