//! Several commands in one [`Tx`]: the last one can be taken back alone.

use super::Tx;
use crate::store::Counter;

/// What there was at a savepoint, besides the writes.
#[derive(Default)]
pub(super) struct Saved {
    added: Vec<(Counter, i64)>,
    remapped: usize,
    drops: bool,
    flushed: bool,
    soonest: u64,
    read_bytes: usize,
    sites: usize,
    touched_inside: usize,
}

impl Saved {
    /// Bytes of large values that were held.
    pub(super) fn read_bytes(&self) -> usize {
        self.read_bytes
    }
}

impl Tx<'_> {
    /// The next of several commands begins: it can be [taken back](Tx::roll_back) alone.
    pub fn save(&mut self) {
        self.writes.save();
        let (remapped, touched_inside) = (self.remapped().len(), self.touched_inside().len());
        let sites = self.rare.as_ref().map_or(0, |rare| rare.sites.len());
        let saved = self.saved.get_or_insert_default();
        (saved.remapped, saved.touched_inside, saved.sites) = (remapped, touched_inside, sites);
        saved.added.clone_from(&self.added);
        saved.drops = self.drops;
        saved.flushed = self.flushed;
        saved.soonest = self.soonest;
        saved.read_bytes = self.read_bytes;
        self.telling.save();
    }

    /// Whether it is of several commands.
    pub(in crate::data) fn is_of_several(&self) -> bool {
        self.saved.is_some()
    }

    /// Nothing that was done since [`Tx::save`] will have been done.
    pub fn roll_back(&mut self) {
        let Some(saved) = &self.saved else { return };
        self.writes.roll_back();
        self.added.clone_from(&saved.added);
        self.drops = saved.drops;
        self.flushed = saved.flushed;
        self.soonest = saved.soonest;
        if let Some(rare) = &mut self.rare {
            rare.remapped.truncate(saved.remapped);
            rare.sites.truncate(saved.sites);
            rare.touched_inside.truncate(saved.touched_inside);
        }
        self.telling.roll_back();
    }
}
