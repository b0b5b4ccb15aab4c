//! The memory of records that were dropped, handed on to those that come: so it does not matter which threads drop and which
//! bring. An allocator that has a heap for each thread, as glibc's, gives to none what was freed of another's: where one thread filled
//! the memory after another had, the process took half as much again.
//!
//! Invariants: what lies here has no value; it is no more than [`Dropped::new`] was told. What there is no room for is freed, of the
//! class of which there is most, so that what nobody takes goes.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::records::{CLASSES, ROOMS, Room, class_of};

/// Classes above its own in which room for a record is looked for: what is dropped is seldom of the very sizes that come.
const CLASSES_ABOVE: usize = 2;
/// But none that is larger by more than this part of what is needed, unless that is little: a record keeps its room for as long as it is there.
const MOST_SPARE_PART: usize = 2;
const LITTLE_BYTES: usize = 64;

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
        let most = needed + (needed / MOST_SPARE_PART).max(LITTLE_BYTES);
        let own = class_of(needed);
        let above =
            ROOMS.get(own + 1..)?.iter().take(CLASSES_ABOVE).take_while(|room| **room <= most).count();
        let room = rooms.get_mut(own..=own + above)?.iter_mut().find_map(Vec::pop)?;
        self.bytes.fetch_sub(room.memory_bytes(), Ordering::Relaxed);
        Some(room)
    }

    /// What lies here takes so much.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Keeps room until somebody takes it. Who finds another thread here frees it: he holds a shard, for which others may wait.
    pub(super) fn put(&self, room: Room) {
        let Some(class) = Some(class_of(room.len())).filter(|class| *class < CLASSES) else { return };
        let mut bytes = room.memory_bytes();
        let Ok(mut rooms) = self.rooms.try_lock() else { return };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_room_that_is_much_larger_than_it_needs() {
        let dropped = Dropped::new(1 << 20);
        for (lies, needed, fits) in [
            (52, 20, true),
            (84, 20, true),
            (468, 276, false),
            (340, 276, true),
            (4096, 900, false),
            (1044, 900, true),
        ] {
            dropped.put(Room::of(lies));
            assert_eq!(dropped.take(|| needed).is_some(), fits, "{needed} in {lies}");
            while dropped.take(|| lies).is_some() {}
        }
    }
}
