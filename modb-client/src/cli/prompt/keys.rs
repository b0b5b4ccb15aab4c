//! The names of keys that begin with what is typed, for completion.
//!
//! By `SCAN` on a connection of its own, so that a transaction, or a server that hangs, does not matter to the prompt's.
//! Invariant: no longer than [`PATIENCE`], whatever the server holds or does; then what was found so far is all.

use std::time::{Duration, Instant};

use modb_client::{Command, Config, Connection, Error, Protocol};

/// A Tab that takes longer is in the way.
const PATIENCE: Duration = Duration::from_millis(300);
/// More names are not read by anybody.
const MAX_NAMES: usize = 100;
/// Keys that the server looks at for one step.
const STEP: u32 = 1000;

/// Asks for names.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// Where to ask; not at all yet.
    config: Option<Config>,
    connection: Option<Connection>,
}

impl Keys {
    /// Asks this server and database, as this user, from now on.
    pub(super) fn follow(&mut self, config: &Config) {
        let mut config = config.clone();
        (config.connect_timeout, config.read_timeout) = (PATIENCE, Some(PATIENCE));
        config.protocol = Protocol::Resp2;
        if self.config.as_ref() != Some(&config) {
            *self = Self { config: Some(config), connection: None };
        }
    }

    /// Names that begin with `start`, in order; none if they cannot be asked for.
    pub(super) fn beginning_with(&mut self, start: &[u8]) -> Vec<Vec<u8>> {
        let mut names = Vec::new();
        if self.collect(start, &mut names).is_err() {
            self.connection = None;
        }
        names.sort();
        names.dedup();
        names.truncate(MAX_NAMES);
        names
    }

    fn collect(&mut self, start: &[u8], names: &mut Vec<Vec<u8>>) -> Result<(), Error> {
        let began = Instant::now();
        let Some(config) = &self.config else { return Ok(()) };
        let connection = match self.connection.take().filter(Connection::is_alive) {
            Some(connection) => connection,
            None => Connection::open(config)?,
        };
        let connection = self.connection.insert(connection);
        let pattern = pattern(start);
        let mut cursor = b"0".to_vec();
        loop {
            let scan = Command::new("SCAN").arg(&cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(STEP);
            let found: Vec<Vec<u8>>;
            (cursor, found) = connection.call(scan)?;
            names.extend(found);
            if cursor == b"0" || names.len() >= MAX_NAMES || began.elapsed() >= PATIENCE {
                return Ok(());
            }
        }
    }
}

/// What matches names that begin with `start`, whatever is in it.
fn pattern(start: &[u8]) -> Vec<u8> {
    let mut pattern = Vec::with_capacity(start.len() + 1);
    for byte in start {
        if b"*?[]^\\".contains(byte) {
            pattern.push(b'\\');
        }
        pattern.push(*byte);
    }
    pattern.push(b'*');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_means_itself() {
        assert_eq!(pattern(b"user:"), b"user:*");
        assert_eq!(pattern(b"a[b]*?\\"), b"a\\[b\\]\\*\\?\\\\*");
    }

    #[test]
    fn without_a_server_there_are_no_names() {
        let mut keys = Keys::default();
        assert!(keys.beginning_with(b"").is_empty());
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        // One that accepts and says nothing.
        keys.follow(&Config::new("127.0.0.1", taken.local_addr().unwrap().port()));
        assert!(keys.beginning_with(b"").is_empty());
    }
}
