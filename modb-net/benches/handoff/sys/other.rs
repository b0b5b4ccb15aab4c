//! Elsewhere there is nothing that spreads connections over listeners, and time alone is measured.

use std::net::TcpListener;

pub fn reuse_port_listeners(_count: usize) -> Option<Vec<TcpListener>> {
    None
}

pub fn threads() -> Option<Vec<String>> {
    None
}

pub fn sleeps(_thread: &str) -> u64 {
    0
}

pub fn is_asleep(_thread: &str) -> bool {
    true
}

pub fn load() -> Option<f64> {
    None
}
