//! What few commands have of their view of the data: most carry a pointer, which is none, and is neither filled nor emptied for each.

use bytes::Bytes;

use super::Tx;
use crate::data::collection;
use crate::data::interests::{Ready, Touched};

#[derive(Default)]
pub(super) struct Rare {
    /// Databases that get another namespace at the commit.
    pub(super) remapped: Vec<(u32, u32)>,
    /// The key records of which only a page is written, as far as somebody may be interested.
    pub(super) touched_inside: Vec<Bytes>,
    /// What it touches, if that was looked at already.
    pub(super) touched: Option<Touched>,
    /// What is being built beside the data for this.
    pub(super) sites: Vec<collection::Site>,
    /// Of one that serves who waits: the keys that have something for others since. Whoever serves sees to them.
    ready: Option<Vec<Ready>>,
}

impl Tx<'_> {
    /// What it has of that, to be changed.
    pub(super) fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// Databases that get another namespace at the commit.
    #[inline]
    pub(super) fn remapped(&self) -> &[(u32, u32)] {
        self.rare.as_ref().map_or(&[], |rare| &rare.remapped)
    }

    /// The key records of which only a page is written, as far as somebody may be interested.
    #[inline]
    pub(super) fn touched_inside(&self) -> &[Bytes] {
        self.rare.as_ref().map_or(&[], |rare| &rare.touched_inside)
    }

    /// Whether it serves who waits.
    #[inline]
    pub(in crate::data) fn serves(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.ready.is_some())
    }

    /// One that serves who waits.
    pub(in crate::data) fn serving(mut self) -> Self {
        self.rare_mut().ready = Some(Vec::new());
        self
    }

    /// Of one that serves who waits: whoever serves with it sees to those keys, too.
    pub(in crate::data) fn see_to(&mut self, keys: impl IntoIterator<Item = Ready>) {
        if let Some(ready) = &mut self.rare_mut().ready {
            ready.extend(keys);
        }
    }

    /// The keys that have something for others since this was committed.
    pub(in crate::data) fn take_ready(&mut self) -> Vec<Ready> {
        self.rare.as_mut().and_then(|rare| rare.ready.take()).unwrap_or_default()
    }
}
