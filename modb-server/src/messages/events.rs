//! Events of keys: what was done to a key, as it is told to those who listen to the channels `__keyspace@0__:key`, with the event, and
//! `__keyevent@0__:event`, with the key. Pure.
//!
//! Which of them are told says the option `notify-keyspace-events`; read and shown as in Redis ([`Classes`]).

use std::fmt;

/// Classes of events, one bit each, and where they are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Classes(u32);

/// By their letters, in the order in which they are shown. Those before the first that `A` leaves out are all of `A`.
const LETTERS: [(char, Classes); 14] = [
    ('g', Classes::GENERIC),
    ('$', Classes::STRING),
    ('l', Classes::LIST),
    ('s', Classes::SET),
    ('h', Classes::HASH),
    ('z', Classes::SORTED_SET),
    ('x', Classes::EXPIRED),
    ('e', Classes(1 << 7)),
    ('t', Classes(1 << 8)),
    ('d', Classes::OTHER),
    ('n', Classes::NEW),
    ('K', Classes::KEYSPACE),
    ('E', Classes::KEYEVENT),
    ('m', Classes::MISS),
];

impl Classes {
    /// Told to who listens to the key.
    const KEYSPACE: Self = Self(1 << 11);
    /// Told to who listens to the event.
    const KEYEVENT: Self = Self(1 << 12);
    const GENERIC: Self = Self(1);
    const STRING: Self = Self(1 << 1);
    const LIST: Self = Self(1 << 2);
    const SET: Self = Self(1 << 3);
    const HASH: Self = Self(1 << 4);
    const SORTED_SET: Self = Self(1 << 5);
    const EXPIRED: Self = Self(1 << 6);
    /// What Redis has no type for.
    const OTHER: Self = Self(1 << 9);
    const NEW: Self = Self(1 << 10);
    const MISS: Self = Self(1 << 13);
    /// What `A` stands for: all but new keys and misses.
    const ALL: Self = Self((1 << 10) - 1);

    /// The classes that these letters name. `None`: one of them names none.
    pub fn parse(letters: &str) -> Option<Self> {
        letters.chars().try_fold(Self::default(), |all, letter| match letter {
            'A' => Some(Self(all.0 | Self::ALL.0)),
            _ => {
                let class = LETTERS.iter().find(|(other, _)| *other == letter)?.1;
                Some(Self(all.0 | class.0))
            }
        })
    }

    /// As a number, which is 0 if nothing is to be told.
    pub fn bits(self) -> u32 {
        if self.has(Self::KEYSPACE) || self.has(Self::KEYEVENT) { self.0 } else { 0 }
    }

    /// Those of [`Classes::bits`].
    pub fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// Whether any of `other` are among them.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether events are told to who listens to their keys, and whether to who listens to the events.
    pub fn tell(self) -> (bool, bool) {
        (self.has(Self::KEYSPACE), self.has(Self::KEYEVENT))
    }
}

impl fmt::Display for Classes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.0 & Self::ALL.0 == Self::ALL.0;
        if all {
            f.write_str("A")?;
        }
        for (letter, class) in LETTERS.iter().filter(|(_, class)| self.has(*class)) {
            if !(all && Self::ALL.has(*class)) {
                write!(f, "{letter}")?;
            }
        }
        Ok(())
    }
}

/// What was done to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The class that it belongs to.
    pub class: Classes,
    /// What it is called.
    pub name: &'static str,
}

impl Event {
    /// A key was removed by somebody.
    pub const DEL: Self = Self::generic("del");
    /// A key got an expiry.
    pub const EXPIRE: Self = Self::generic("expire");
    /// A key lost its expiry.
    pub const PERSIST: Self = Self::generic("persist");
    /// A string was set.
    pub const SET: Self = Self::string("set");
    /// A key was removed because its time was over.
    pub const EXPIRED: Self = Self::new(Classes::EXPIRED, "expired");
    /// A key came to be.
    pub const NEW: Self = Self::new(Classes::NEW, "new");
    /// A key that is not there was read.
    pub const MISS: Self = Self::new(Classes::MISS, "keymiss");

    const fn new(class: Classes, name: &'static str) -> Self {
        Self { class, name }
    }

    /// Of keys of any type.
    pub const fn generic(name: &'static str) -> Self {
        Self::new(Classes::GENERIC, name)
    }

    /// Of strings.
    pub const fn string(name: &'static str) -> Self {
        Self::new(Classes::STRING, name)
    }

    /// Of lists.
    pub const fn list(name: &'static str) -> Self {
        Self::new(Classes::LIST, name)
    }

    /// Of sets.
    pub const fn set(name: &'static str) -> Self {
        Self::new(Classes::SET, name)
    }

    /// Of hashes.
    pub const fn hash(name: &'static str) -> Self {
        Self::new(Classes::HASH, name)
    }

    /// Of sorted sets.
    pub const fn sorted_set(name: &'static str) -> Self {
        Self::new(Classes::SORTED_SET, name)
    }

    /// Of what only Modb has.
    pub const fn other(name: &'static str) -> Self {
        Self::new(Classes::OTHER, name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_read_and_shown_as_in_redis() {
        let shown = |letters: &str| Classes::parse(letters).map(|classes| classes.to_string());
        for (letters, expected) in [
            ("", ""),
            ("KEA", "AKE"),
            ("g$lshzxetdK", "AK"),
            ("Kg$", "g$K"),
            ("mEKn", "nKEm"),
            ("A", "A"),
            // Redis leaves the `n` out here, and forgets it when it reads its file again.
            ("KEAnm", "AnKEm"),
        ] {
            assert_eq!(shown(letters).as_deref(), Some(expected), "{letters}");
            assert_eq!(shown(expected).as_deref(), Some(expected), "{letters}");
        }
        assert_eq!(shown("KEq"), None);
    }

    #[test]
    fn classes_that_are_told_nowhere_are_none() {
        assert_eq!(Classes::parse("A").unwrap().bits(), 0);
        let classes = Classes::from_bits(Classes::parse("Kxm").unwrap().bits());
        assert_eq!(classes.tell(), (true, false));
        assert!(classes.has(Event::EXPIRED.class) && classes.has(Event::MISS.class));
        assert!(!classes.has(Event::DEL.class) && !classes.has(Event::NEW.class));
    }
}
