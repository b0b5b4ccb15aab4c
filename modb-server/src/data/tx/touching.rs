//! What a [`Tx`] touches of what somebody is interested in: found before its batch is applied.
//!
//! A key is touched if its record is written or removed, or if only a page of what it holds is; and by a change of the map
//! of databases, if it is there before or after.

use super::Tx;
use crate::data::interests::{Key, Remap, Touched};
use crate::data::layout::Place;
use crate::store::Write;

impl Tx<'_> {
    /// What it is to tell of, once it was applied. It is asked before, and all that it will write is known.
    #[inline]
    pub(in crate::data) fn touches(&self) -> Option<Touched> {
        if self.data().interests.are_any() { self.find_touched() } else { None }
    }

    /// As [`Tx::touches`], where that may have been asked before: a flush looks at all that anybody is interested in.
    #[inline]
    pub(in crate::data) fn take_touched(&mut self) -> Option<Touched> {
        let known = self.rare.as_mut().and_then(|rare| rare.touched.take());
        known.or_else(|| self.touches())
    }

    #[cold]
    fn find_touched(&self) -> Option<Touched> {
        let interests = &self.data().interests;
        let is_met = |record_key: &[u8]| {
            Place::from_record_key(record_key).is_some_and(|place| {
                interests.are_in(place.hash, place.key) || interests.are_tracked(place.hash, place.key)
            })
        };
        let written = self.writes().filter_map(|write| {
            let record_key = write.key().filter(|key| is_met(key))?.clone().into();
            Some(Key { record_key, removed: matches!(write, Write::Delete(_)) })
        });
        let inside = self.touched_inside().iter().filter(|key| is_met(key));
        let inside = inside.map(|record_key| Key { record_key: record_key.clone(), removed: false });
        let keys: Vec<Key> = written.chain(inside).collect();
        let remapped: Vec<Remap> = self.remaps().collect();
        let any = !keys.is_empty() || !remapped.is_empty();
        any.then(|| Touched { keys, remapped, now_ms: self.now_ms(), keeps: None })
    }

    /// What [`Tx::take_touched`] is to answer.
    pub(in crate::data) fn keep_touched(&mut self, touched: Touched) {
        self.rare_mut().touched = Some(touched);
    }

    /// Notes that a page of what a key holds is changed, and its key record is not.
    #[inline]
    pub(in crate::data) fn touch_inside(&mut self, place: &Place<'_>) {
        // Nobody becomes interested until the stripe is given back.
        if self.data().interests.are_any() {
            let mut record_key = Vec::new();
            place.record_key(&mut record_key);
            self.rare_mut().touched_inside.push(record_key.into());
        }
    }

    /// The databases that get another namespace, each once.
    fn remaps(&self) -> impl Iterator<Item = Remap> {
        self.remapped().iter().enumerate().filter_map(|(at, &(database, _))| {
            let first = self.remapped()[..at].iter().all(|(other, _)| *other != database);
            let (old, new) = (self.data().catalog.namespace(database), self.namespace(database));
            first.then(|| Remap::new(self.data(), database, old, new, self.now_ms()))
        })
    }
}
