//! Collections: what a hash, a list, a set, a sorted set and a map have in common.
//!
//! A small collection is its key record alone: flags and the root of a tree without other nodes. One that outgrows it gets a
//! number, and under that number pages of its own ([`pages`]). What happens to a key happens to its record: renaming and
//! moving carry the number along, and where a record with a number gives way, a grave is written in the same batch, from
//! which the housekeeper removes the pages ([`graves`]). So each of these takes the same time whatever the size.
//!
//! Invariants, proven by `check`: a number is never used again ([`lease`]); each page has one owner, a key record or a grave;
//! a collection without elements is no key.

mod beside;
mod compact;
mod elements;
mod graves;
mod hash;
mod hashed;
mod lease;
mod list;
#[cfg(test)]
mod log_bytes;
mod map;
mod opened;
mod pages;
mod payload;
mod plot;
mod ranks;
mod set;
mod set_result;
mod sorted_set;
mod verify;

pub use self::compact::Compact;
pub use self::hash::Hash;
pub use self::list::{End, List};
pub use self::map::Map;
pub use self::payload::{Extent, has_only_integers, is_big};
pub use self::ranks::{Place, ScoreBounds, ScoreEdge};
pub use self::set::Set;
pub use self::set_result::SetResult;
pub use self::sorted_set::SortedSet;

pub(super) use self::beside::{Site, Sites};
pub(super) use self::graves::bury;
pub(super) use self::lease::{FACT, Lease};
pub(super) use self::payload::number_in;
pub(super) use self::verify::Owners;
