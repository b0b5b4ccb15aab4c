//! The memory of records that were dropped, handed on to those that come: so it does not matter which threads drop and which
//! bring. An allocator that has a heap for each thread, as glibc's, gives to none what was freed of another's: where one thread filled
//! the memory after another had, the process took half as much again.
//!
//! Invariants: what lies here has no value; it is no more than [`Dropped::new`] was told. What there is no room for is freed, of the
//! class of which there is most, so that what nobody takes goes.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::records::{CLASSES, Room, class_of};
use crate::store::locking::lock;

/// Classes above its own in which room for a record is looked for: it is then a half larger than it has to be at most, and what is dropped
/// is seldom of the very sizes that come.
const CLASSES_ABOVE: usize = 2;

/// See the top of this file.
pub(super) struct Dropped {
    /// By class.
    rooms: Mutex<[Vec<Room>; CLASSES]>,
    /// What they take; changed under the lock. Where there is nothing nobody asks for it.
    bytes: AtomicUsize,
    most_bytes: usize,
}

impl Dropped {
    pub(super) fn new(most_bytes: usize) -> Self {
        Self { rooms: Mutex::default(), bytes: AtomicUsize::new(0), most_bytes }
    }

    /// Room for as many bytes as are needed, if there is some. Who finds another thread here asks the allocator.
    #[inline]
    pub(super) fn take(&self, needed: impl FnOnce() -> usize) -> Option<Room> {
        if self.bytes.load(Ordering::Relaxed) == 0 { None } else { self.take_some(needed()) }
    }

    fn take_some(&self, needed: usize) -> Option<Room> {
        let mut rooms = self.rooms.try_lock().ok()?;
        let fitting = rooms.get_mut(class_of(needed)..)?.iter_mut().take(1 + CLASSES_ABOVE);
        let room = fitting.into_iter().find_map(Vec::pop)?;
        self.bytes.fetch_sub(room.memory_bytes(), Ordering::Relaxed);
        Some(room)
    }

    /// What lies here takes so much.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Keeps room until somebody takes it.
    pub(super) fn put(&self, room: Room) {
        let Some(class) = Some(class_of(room.len())).filter(|class| *class < CLASSES) else { return };
        let mut bytes = room.memory_bytes();
        let mut rooms = lock(&self.rooms);
        bytes += self.bytes.load(Ordering::Relaxed);
        rooms[class].push(room);
        while bytes > self.most_bytes
            && let Some(surplus) = rooms.iter_mut().max_by_key(|rooms| bytes_of(rooms)).and_then(Vec::pop)
        {
            bytes -= surplus.memory_bytes();
        }
        self.bytes.store(bytes, Ordering::Relaxed);
    }
}

/// Those of one class take the same each.
fn bytes_of(rooms: &[Room]) -> usize {
    rooms.first().map_or(0, |room| rooms.len() * room.memory_bytes())
}
