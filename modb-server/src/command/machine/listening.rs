//! What one client listens to, and what waits for it behind a reply. Pure.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use modb_net::Seq;

use crate::messages::{Frame, Scope, Through};

/// What a name takes beside its bytes: here, where its worker finds those who listen, and in the exchange; about.
const NAME_BYTES: usize = 256;

/// What a client listens to.
#[derive(Clone, Debug, Default)]
pub struct Listening {
    names: [BTreeSet<Bytes>; Scope::ALL.len()],
    name_bytes: usize,
}

impl Listening {
    /// Whether it listens to nothing.
    pub fn is_empty(&self) -> bool {
        self.names.iter().all(BTreeSet::is_empty)
    }

    /// Whether it listens to what is published.
    pub fn has_published(&self) -> bool {
        Scope::PUBLISHED.iter().any(|scope| self.count(*scope) > 0)
    }

    /// Whether it monitors.
    pub fn monitors(&self) -> bool {
        self.count(Scope::Commands) > 0
    }

    /// Whether it listens to this name.
    pub fn has(&self, scope: Scope, name: &[u8]) -> bool {
        self.names[scope as usize].contains(name)
    }

    /// How many names it listens to.
    pub fn count(&self, scope: Scope) -> usize {
        self.names[scope as usize].len()
    }

    /// It listens to this name, too.
    pub fn add(&mut self, scope: Scope, name: Bytes) {
        self.name_bytes += name.len() + NAME_BYTES;
        self.names[scope as usize].insert(name);
    }

    /// It listens to this name no longer; whether it did.
    pub fn remove(&mut self, scope: Scope, name: &[u8]) -> bool {
        let removed = self.names[scope as usize].remove(name);
        if removed {
            self.name_bytes -= name.len() + NAME_BYTES;
        }
        removed
    }

    /// Takes one of the names.
    pub fn pop(&mut self, scope: Scope) -> Option<Bytes> {
        let name = self.names[scope as usize].pop_first()?;
        self.name_bytes -= name.len() + NAME_BYTES;
        Some(name)
    }

    /// What it takes, in bytes, as if nobody else listened to any of it.
    pub fn memory_bytes(&self) -> usize {
        self.name_bytes
    }
}

/// A message for a client; one that waits while a reply is on its way.
#[derive(Debug)]
pub struct Late {
    /// The commit that must be safe before it is heard.
    pub held: Seq,
    /// The message.
    pub frame: Arc<Frame>,
    /// How it comes to the client.
    pub through: Through,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_listened_to_is_counted_and_given_back() {
        let mut listening = Listening::default();
        listening.add(Scope::Channel, "a".into());
        listening.add(Scope::Pattern, "a".into());
        assert_eq!((listening.count(Scope::Channel), listening.memory_bytes()), (1, 2 * NAME_BYTES + 2));
        assert!(listening.has(Scope::Pattern, b"a") && !listening.has(Scope::Shard, b"a"));
        assert!(listening.remove(Scope::Channel, b"a") && !listening.remove(Scope::Channel, b"a"));
        assert_eq!(listening.pop(Scope::Pattern), Some("a".into()));
        assert_eq!((listening.is_empty(), listening.memory_bytes()), (true, 0));
    }
}
