//! Ports: no two processes that run at the same time take the same one, and none takes one twice: a client that retries
//! an ingest which was stopped reaches no other one.
//!
//! A process takes them from blocks. It claims a block by its first port of UDP, which it keeps to its end.

use std::net::{Ipv4Addr, UdpSocket};
use std::ops::Range;
use std::process;
use std::sync::Mutex;

use super::lock;

/// Below those that Linux gives to connections by default (`ip_local_port_range`).
const FIRST: u16 = 20_000;
const BLOCKS: u32 = 48;
const BLOCK_PORTS: u16 = 250;

struct Ports {
    left: Range<u16>,
    claims: Vec<UdpSocket>,
}

/// A port that no other process takes; `None`: all are taken.
pub fn next() -> Option<u16> {
    static PORTS: Mutex<Ports> = Mutex::new(Ports { left: 0..0, claims: Vec::new() });
    let mut ports = lock(&PORTS);
    if ports.left.is_empty() {
        let (claim, block) = (0..BLOCKS).find_map(claim)?;
        ports.claims.push(claim);
        ports.left = block;
    }
    ports.left.next()
}

/// Claims the `n`th block, counted from one that depends on the process: what the dead had is free for a while.
fn claim(n: u32) -> Option<(UdpSocket, Range<u16>)> {
    let block = process::id().wrapping_add(n) % BLOCKS;
    let first = FIRST + block as u16 * BLOCK_PORTS;
    let claim = UdpSocket::bind((Ipv4Addr::LOCALHOST, first)).ok()?;
    Some((claim, first..first + BLOCK_PORTS))
}
