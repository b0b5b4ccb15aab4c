//! What a command holds of large values beside those that lie in memory: room is asked for before it does.
//!
//! Invariant: of a value that lies on the disk alone and is larger than [`MOST_READ_BYTES`] nothing is read before there is room for it;
//! a run that lacks some changes nothing, and is run again once it is there.

use super::{DataError, Missed, Tx};
use crate::store::Got;

/// So many bytes of values are copied by a command of those who serve others: some milliseconds' work.
pub(super) const MOST_MOVED_BYTES: usize = 16 << 20;

/// A value of so many bytes is read from the disk by any command. Of a larger one only its size is, until there is room for it: with each of
/// those who execute commands it would be in memory beside all that is counted.
pub(super) const MOST_READ_BYTES: usize = 1 << 20;

impl Tx<'_> {
    /// There is room for so many bytes of large values: those that are read from the disk, and those that are answered.
    pub fn within(self, room_bytes: usize) -> Self {
        Self { room_bytes, ..self }
    }

    /// So many bytes of values are about to be copied.
    ///
    /// # Errors
    /// [`DataError::Missed`]: they are too many for who serves others.
    #[inline(always)]
    pub fn moves(&mut self, bytes: usize) -> Result<(), DataError> {
        self.moved_bytes = self.moved_bytes.saturating_add(bytes);
        if self.moved_bytes > MOST_MOVED_BYTES && self.at_once { self.tire() } else { Ok(()) }
    }

    /// So many bytes of a value are about to be kept for the reply.
    ///
    /// # Errors
    /// [`DataError::Missed`]: they are too many for who serves others, or more than there is room for.
    pub fn answers(&mut self, bytes: usize) -> Result<(), DataError> {
        self.moved_bytes = self.moved_bytes.saturating_add(bytes);
        let most_bytes = if self.at_once { MOST_MOVED_BYTES } else { self.room_bytes.max(MOST_READ_BYTES) };
        if self.moved_bytes > most_bytes { self.lack(self.moved_bytes) } else { Ok(()) }
    }

    /// The last of several commands is over and has written nothing: of large values that it has read no more is held than it answers, which are
    /// so many bytes.
    pub fn holds_only(&mut self, bytes: usize) {
        if let Some(saved) = &self.saved {
            self.read_bytes = self.read_bytes.min(saved.read_bytes().saturating_add(bytes));
        }
    }

    /// Lacks room for so many bytes, and more may follow: so each time it is run again it has twice of what it had before. One that serves
    /// who waits goes on.
    #[cold]
    fn lack(&mut self, bytes: usize) -> Result<(), DataError> {
        if self.serves() {
            return Ok(());
        }
        self.missed = Some(Missed::Room(bytes.max(self.room_bytes.saturating_mul(2))));
        Err(DataError::Missed)
    }

    /// Reads a record of many bytes from the disk, where there is room for it.
    #[cold]
    pub(super) fn get_large(&mut self, key: &[u8], bytes: usize) -> Result<Got, DataError> {
        self.read_bytes = self.read_bytes.saturating_add(bytes);
        if self.read_bytes > self.room_bytes {
            self.lack(self.read_bytes)?;
        }
        Ok(self.data.store.get(key)?)
    }
}
