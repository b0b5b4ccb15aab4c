//! What the benchmark needs of the platform.
//!
//! - `reuse_port_listeners`: so many sockets that listen on one port of 127.0.0.1, among which the system spreads
//!   connections; `None` where it does not.
//! - `threads`: of this process, by their ids; `None` where nothing can be told of them.
//! - `sleeps`: how often one of them has gone to sleep (voluntary context switches).
//! - `is_asleep`: whether one of them sleeps now.
//! - `load`: runnable threads of the machine, averaged over the last minute.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub use linux::*;

#[cfg(not(target_os = "linux"))]
mod other;
#[cfg(not(target_os = "linux"))]
pub use other::*;
