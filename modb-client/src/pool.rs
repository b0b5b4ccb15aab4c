//! Connections shared between threads.
//!
//! Invariants: never more connections than the pool was made for; one that an error has lost, or that was left with
//! a reply to come, is closed and not given out again.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::config::Config;
use crate::connection::Connection;
use crate::error::{Error, Result};

/// A bounded set of connections to one server. Clones share it.
///
/// ```no_run
/// # fn main() -> Result<(), modb_client::Error> {
/// use std::time::Duration;
///
/// let pool = modb_client::Pool::new("modb://127.0.0.1".parse()?, 8);
/// std::thread::scope(|scope| {
///     for _ in 0..100 {
///         scope.spawn(|| pool.get(Duration::from_secs(1))?.call::<i64>(["INCR", "visits"]));
///     }
/// });
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Pool {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: Config,
    max_connections: usize,
    state: Mutex<State>,
    came_free: Condvar,
}

#[derive(Debug, Default)]
struct State {
    idle: Vec<Connection>,
    /// Idle ones, those that are given out, and those that are being made.
    open: usize,
}

impl Pool {
    /// A pool of up to `max_connections` (at least one), which it makes when they are needed.
    pub fn new(config: Config, max_connections: usize) -> Self {
        let shared = Shared {
            config,
            max_connections: max_connections.max(1),
            state: Mutex::default(),
            came_free: Condvar::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// A connection of one's own until it is dropped; waits up to `timeout` for one to come free.
    ///
    /// # Errors
    /// [`Error::PoolTimeout`], and those of [`Connection::open`].
    pub fn get(&self, timeout: Duration) -> Result<PooledConnection> {
        let deadline = Instant::now() + timeout;
        let mut state = self.shared.lock();
        loop {
            if let Some(connection) = state.idle.pop() {
                if connection.is_alive() {
                    return Ok(self.given_out(connection));
                }
                state.open -= 1;
            } else if state.open < self.shared.max_connections {
                state.open += 1;
                drop(state);
                return match Connection::open(&self.shared.config) {
                    Ok(connection) => Ok(self.given_out(connection)),
                    Err(error) => {
                        self.shared.closed();
                        Err(error)
                    }
                };
            } else {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(Error::PoolTimeout);
                }
                let waited = self.shared.came_free.wait_timeout(state, left);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }

    /// Connections that are open now, idle ones included.
    pub fn open_connections(&self) -> usize {
        self.shared.lock().open
    }

    fn given_out(&self, connection: Connection) -> PooledConnection {
        PooledConnection { connection: Some(connection), shared: Arc::clone(&self.shared) }
    }
}

impl Shared {
    /// Nothing panics while it is held, so a poisoned lock would still guard a sound state.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn closed(&self) {
        self.lock().open -= 1;
        self.came_free.notify_one();
    }
}

/// A connection of a [`Pool`], which gets it back when this is dropped.
#[derive(Debug)]
pub struct PooledConnection {
    /// Taken only by `drop`.
    connection: Option<Connection>,
    shared: Arc<Shared>,
}

impl Deref for PooledConnection {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection.as_ref().expect("it is taken only by drop")
    }
}

impl DerefMut for PooledConnection {
    fn deref_mut(&mut self) -> &mut Connection {
        self.connection.as_mut().expect("it is taken only by drop")
    }
}

impl Drop for PooledConnection {
    fn drop(&mut self) {
        match self.connection.take() {
            Some(connection) if connection.is_idle() => {
                self.shared.lock().idle.push(connection);
                self.shared.came_free.notify_one();
            }
            _ => self.shared.closed(),
        }
    }
}
