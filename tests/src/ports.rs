//! Free loopback ports.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

/// Below the range from which Linux takes ports for outgoing connections, so that the port of an API server that
/// is stopped for a while is not taken by some client meanwhile.
const FIRST: u32 = 20_000;
const COUNT: u32 = 12_000;

/// A port nobody listens on. Another process may still take it first: whoever listens must be ready to try again.
pub fn free_port() -> Result<u16> {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    // Each process begins elsewhere, so that two seldom look at the same port.
    let start = std::process::id().wrapping_mul(97);
    (0..COUNT)
        .map(|_| start.wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed)))
        .filter_map(|number| u16::try_from(FIRST + number % COUNT).ok())
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .context("find a free loopback port")
}
