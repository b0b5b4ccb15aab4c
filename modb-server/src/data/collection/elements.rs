//! What the types of collections do differently: of which trees their elements are.

use super::payload::{MOST_TREES, Payload, Roots};
use crate::data::hash::Seed;
use crate::data::tree::{Hashed, Order, Sequence, Sorted, Tree};

/// The elements of a collection, in one tree or several.
pub(in crate::data) trait Elements: Sized {
    /// Without any.
    fn none(seed: Seed) -> Self;

    /// Those that a key record tells of; `None`: it is not one of this type.
    fn of(payload: Payload, seed: Seed) -> Option<Self>;

    /// How many there are.
    fn len(&self) -> u64;

    /// What a key record has of them, in a collection with a number or without.
    fn roots(&self, numbered: bool) -> [Option<Roots<&[u8]>>; MOST_TREES];
}

/// An order of which a tree alone is a collection.
pub(super) trait OneTree: Order + Sized {
    fn of(seed: Seed) -> Self;
}

impl OneTree for Hashed {
    fn of(seed: Seed) -> Self {
        Self(seed)
    }
}

impl OneTree for Sorted {
    fn of(_: Seed) -> Self {
        Self
    }
}

impl<O: OneTree> Elements for Tree<O> {
    fn none(seed: Seed) -> Self {
        Self::new(O::of(seed))
    }

    fn of(payload: Payload, seed: Seed) -> Option<Self> {
        let len = payload.len;
        Some(payload.into_first_root()?.tree(O::of(seed), len))
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn roots(&self, _: bool) -> [Option<Roots<&[u8]>>; MOST_TREES] {
        [Some(Roots::of(self)), None, None]
    }
}

impl Elements for Sequence {
    fn none(_: Seed) -> Self {
        Self::new()
    }

    fn of(payload: Payload, _: Seed) -> Option<Self> {
        payload.into_sequence()
    }

    fn len(&self) -> u64 {
        Self::len(self)
    }

    fn roots(&self, numbered: bool) -> [Option<Roots<&[u8]>>; MOST_TREES] {
        let Self { front, middle, back } = self;
        // The ends are empty where there is no number.
        if numbered {
            [front, middle, back].map(|tree| Some(Roots::of(tree)))
        } else {
            [Some(Roots::of(middle)), None, None]
        }
    }
}
