//! Free loopback ports.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

/// Below the range from which Linux takes ports for outgoing connections, so that no client takes the port of an API server
/// that is stopped for a while.
const FIRST: u32 = 20_000;
const COUNT: u32 = 12_000;

/// Returns a port on which no process listens. Another process may take it first, so that the caller must be ready to retry.
pub fn free_port() -> Result<u16> {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    // Each process starts elsewhere, so that two processes seldom try the same port.
    let start = std::process::id().wrapping_mul(97);
    (0..COUNT)
        .map(|_| start.wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed)))
        .filter_map(|number| u16::try_from(FIRST + number % COUNT).ok())
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .context("find a free loopback port")
}
