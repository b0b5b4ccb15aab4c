//! What is left of records that were dropped from memory: how long the value is that the cold store has, and the byte that it
//! begins with. Whoever overwrites a key must know whether it was there and what it was; with this that takes 16 bytes of memory and no
//! look at the disk.
//!
//! A ghost has no key, but 88 bits of a hash whose secret is this process's own: that two keys of one store share them does not happen,
//! and nobody can make it happen. The oldest go first, half of them at a time.
//!
//! Invariant: a record that is in memory has no ghost, so what a ghost says is what the cold store has. Who puts a record in takes the
//! ghost away first.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use crate::store::Glimpse;

/// Twice this is what the first few take.
const LEAST_BYTES: usize = 64;

/// See the top of this file.
#[derive(Default)]
pub(super) struct Ghosts {
    young: HashTable<Ghost>,
    old: HashTable<Ghost>,
    secrets: [RandomState; 2],
}

#[derive(Clone, Copy)]
struct Ghost {
    name: u64,
    more_of_name: [u8; 3],
    first: u8,
    value_bytes: u32,
}

impl Ghost {
    fn is_of(&self, other: &Self) -> bool {
        (self.name, self.more_of_name) == (other.name, other.more_of_name)
    }
}

impl Ghosts {
    /// The record with that key is dropped, and the cold store has its value. No more than so many bytes are taken for all.
    pub(super) fn add(&mut self, key: &[u8], value: &Glimpse, most_bytes: usize) {
        let (Some(first), Ok(value_bytes)) = (value.begin().first(), u32::try_from(value.value_bytes()))
        else {
            return;
        };
        let is_full = self.young.len() == self.young.capacity();
        // Growing doubles it, and there are two.
        if is_full && 4 * self.young.allocation_size().max(LEAST_BYTES) > most_bytes {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
            if self.young.capacity() == 0 && 4 * LEAST_BYTES > most_bytes {
                return;
            }
        }
        let ghost = Ghost { first: *first, value_bytes, ..self.named(key) };
        self.young.insert_unique(ghost.name, ghost, |ghost| ghost.name);
    }

    /// A record with that key comes.
    pub(super) fn take_away(&mut self, key: &[u8]) {
        if self.is_empty() {
            return;
        }
        let named = self.named(key);
        for ghosts in [&mut self.young, &mut self.old] {
            if let Ok(found) = ghosts.find_entry(named.name, |ghost| ghost.is_of(&named)) {
                found.remove();
            }
        }
    }

    /// What the cold store has under a key that is not in memory, if that is known: of what the value begins with, one byte.
    pub(super) fn get(&self, key: &[u8]) -> Option<Glimpse> {
        if self.is_empty() {
            return None;
        }
        let named = self.named(key);
        let in_one =
            |ghosts: &HashTable<Ghost>| ghosts.find(named.name, |ghost| ghost.is_of(&named)).copied();
        let ghost = in_one(&self.young).or_else(|| in_one(&self.old))?;
        Some(Glimpse::of_first(ghost.first, ghost.value_bytes as usize))
    }

    /// What they take of memory.
    pub(super) fn memory_bytes(&self) -> usize {
        self.young.allocation_size() + self.old.allocation_size()
    }

    fn is_empty(&self) -> bool {
        self.young.is_empty() && self.old.is_empty()
    }

    fn named(&self, key: &[u8]) -> Ghost {
        let [name, more] = self.secrets.each_ref().map(|secret| secret.hash_one(key));
        let [a, b, c, ..] = more.to_le_bytes();
        Ghost { name, more_of_name: [a, b, c], first: 0, value_bytes: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u32) -> [u8; 4] {
        n.to_be_bytes()
    }

    #[test]
    fn they_say_what_was_dropped_until_it_comes_back() {
        let mut ghosts = Ghosts::default();
        assert_eq!(ghosts.get(&key(1)), None);
        ghosts.add(&key(1), &Glimpse::of(b"value"), 1 << 20);
        ghosts.add(&key(2), &Glimpse::of(b"x"), 1 << 20);
        let found = ghosts.get(&key(1)).unwrap();
        assert_eq!((found.begin(), found.value_bytes()), (&b"v"[..], 5));
        ghosts.take_away(&key(1));
        assert_eq!(ghosts.get(&key(1)), None);
        assert!(ghosts.get(&key(2)).is_some());
        ghosts.add(&key(3), &Glimpse::of(b""), 1 << 20);
        assert_eq!(ghosts.get(&key(3)), None, "it begins with nothing");
    }

    #[test]
    fn they_keep_to_their_memory_and_the_oldest_go() {
        for most_bytes in [0, 100, 1 << 10, 100_000] {
            let mut ghosts = Ghosts::default();
            for n in 0..20_000 {
                ghosts.add(&key(n), &Glimpse::of(b"value"), most_bytes);
                assert!(ghosts.memory_bytes() <= most_bytes, "{} of {most_bytes}", ghosts.memory_bytes());
            }
            let known = (0..20_000).filter(|n| ghosts.get(&key(*n)).is_some()).count();
            assert!(known * 100 + 300 >= most_bytes, "{known} in {most_bytes} bytes");
            let last = 20_000 - u32::try_from(known).unwrap();
            assert!((last..20_000).all(|n| ghosts.get(&key(n)).is_some()), "not the last {known}");
        }
    }
}
