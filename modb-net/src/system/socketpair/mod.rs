//! Two connected, non-blocking stream sockets on every system: what `socketpair(2)` is on Unix.
//!
//! Where the system has no pair of its own one is made by connecting to oneself, which is easy to get wrong
//! and has been by most who tried: a stranger can connect first, and then holds one end. Here each end
//! proves to the other that it is of this process, see `connect.rs`.
//!
//! Invariants: both sockets are non-blocking, closed on exec, not inheritable, and never connected to
//! anyone else. On failure and on success nothing remains: no descriptor, no file, no port in TIME_WAIT.
//! (The TCP strategies close with a reset for that: shut down writing first if what was sent must arrive.)

mod connect;
mod error;
mod loopback;
mod unix_path;

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

use crate::base::limits::after;

use socket2::Socket;

use crate::system::sys;
pub use error::{Cause, PairError, Step, StepError};

/// For the whole of [`pair`]: all strategies together. What it waits for takes microseconds.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(5);

/// A way to make a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Strategy {
    /// `socketpair(2)`. Unix only.
    Native,
    /// `AF_UNIX` over a private temporary path. Unix, and Windows 10 1803 and later; not Wine.
    UnixPath,
    /// TCP over 127.0.0.1.
    LoopbackV4,
    /// TCP over ::1.
    LoopbackV6,
}

impl Strategy {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Native, Self::UnixPath, Self::LoopbackV4, Self::LoopbackV6];

    /// What [`pair`] tries, in this order.
    pub const DEFAULT: &'static [Self] = if sys::NATIVE_PAIR {
        &[Self::Native]
    } else {
        &[Self::LoopbackV4, Self::LoopbackV6, Self::UnixPath]
    };

    /// The name that [`Strategy::from_str`] takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::UnixPath => "unix-path",
            Self::LoopbackV4 => "loopback-v4",
            Self::LoopbackV6 => "loopback-v6",
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No strategy has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown socket pair strategy {0:?} (known: native, unix-path, loopback-v4, loopback-v6)")]
pub struct UnknownStrategy(pub String);

impl FromStr for Strategy {
    type Err = UnknownStrategy;

    fn from_str(name: &str) -> Result<Self, UnknownStrategy> {
        let known = Self::ALL.iter().find(|strategy| strategy.name() == name);
        known.copied().ok_or_else(|| UnknownStrategy(name.to_owned()))
    }
}

/// A pair by the first of [`Strategy::DEFAULT`] that works, within [`DEFAULT_DEADLINE`].
///
/// # Errors
/// What was tried and which step of it failed.
pub fn pair() -> Result<(Socket, Socket), PairError> {
    pair_by(Strategy::DEFAULT, DEFAULT_DEADLINE)
}

/// A pair by the first of `strategies` that works, within `deadline` for all of them together. Each gets
/// an equal share of what is left when its turn comes.
///
/// # Errors
/// What was tried and which step of it failed.
pub fn pair_by(strategies: &[Strategy], deadline: Duration) -> Result<(Socket, Socket), PairError> {
    let end = after(Instant::now(), deadline);
    let mut failed = Vec::new();
    for (tried, &strategy) in strategies.iter().enumerate() {
        let now = Instant::now();
        let turns_left = u32::try_from(strategies.len() - tried).unwrap_or(u32::MAX);
        let until = now + end.saturating_duration_since(now) / turns_left;
        match make(strategy, until) {
            Ok(pair) => return Ok(pair),
            Err(error) => failed.push(error),
        }
    }
    Err(PairError { failed })
}

fn make(strategy: Strategy, until: Instant) -> Result<(Socket, Socket), StepError> {
    match strategy {
        Strategy::Native => native(),
        Strategy::UnixPath => unix_path::pair(until),
        Strategy::LoopbackV4 => loopback::pair(strategy, std::net::Ipv4Addr::LOCALHOST.into(), until),
        Strategy::LoopbackV6 => loopback::pair(strategy, std::net::Ipv6Addr::LOCALHOST.into(), until),
    }
}

fn native() -> Result<(Socket, Socket), StepError> {
    let at = |step| error::at(Strategy::Native, step, "socketpair");
    let (a, b) = sys::native_pair().map_err(at(Step::Create))?;
    for socket in [&a, &b] {
        socket.set_nonblocking(true).map_err(at(Step::Configure))?;
    }
    Ok((a, b))
}

#[cfg(test)]
mod tests;
