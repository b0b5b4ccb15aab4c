//! Clients that keep what they have read, and are told when it changes (`CLIENT TRACKING`).
//!
//! A client that tracks what it reads enters each key while it holds the key's stripe, before its reply can leave; whoever changes the
//! key holds the stripe alone, so he meets the entry, takes it out, and tells the client with his commit, before
//! he gives the stripe back. A client that wants to hear of all keys with a prefix enters that once; it too reads under stripes,
//! so whoever changes what it has read has seen it enter. What is told goes into the mail of the client's worker, behind the reply of
//! the read, and before anything that the client asks for once the writer has his answer.
//!
//! Invariants:
//! - The entries do not grow beyond [`Data::track_at_most`] keys: one of them is told as changed for each that comes.
//! - Whoever takes an entry out has told of it before the next one can change the key.
//! - Of a client that tracks no longer nobody is told anything; its entries are swept by the housekeeper.

use std::collections::btree_map::Entry as At;
use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use modb_net::Seq;

use super::{InStripe, Interests, Slot, lock};
use crate::data::layout::Place;
use crate::data::stripes::STRIPES;
use crate::data::{Data, Tx};
use crate::messages::{Ear, Exchange, Frame, Recipient, Rooms};

/// What a tracked key takes beside its bytes, about.
pub const TRACKED_BYTES: usize = 176;

/// So many entries are taken out for one that comes, if there are too many.
const EVICTED_AT_ONCE: usize = 100;

/// One who tracks keys, as those see him who change them.
#[derive(Debug)]
pub struct Tracker {
    client: u64,
    ear: Arc<Ear>,
    way: Mutex<Way>,
    /// What it is told went to another who has gone.
    broken: AtomicBool,
    /// It tracks no longer.
    over: AtomicBool,
    /// What its entries take, in bytes.
    bytes: AtomicUsize,
}

/// How one is told.
#[derive(Clone, Debug, Default)]
pub struct Way {
    /// Another client is told in its place: its number, and where it hears.
    pub redirect: Option<(u64, Arc<Ear>)>,
    /// It is not told of what it does itself.
    pub noloop: bool,
}

impl Tracker {
    /// One that is told `way`.
    pub fn new(client: u64, ear: Arc<Ear>, way: Way) -> Self {
        let (broken, over, bytes) = Default::default();
        Self { client, ear, way: Mutex::new(way), broken, over, bytes }
    }

    /// From now on it is told so.
    pub fn set_way(&self, way: Way) {
        *lock(&self.way) = way;
        self.broken.store(false, Ordering::Relaxed);
    }

    /// Whom it has told in its place, if not itself.
    pub fn redirect(&self) -> Option<u64> {
        lock(&self.way).redirect.as_ref().map(|(client, _)| *client)
    }

    /// Whether it is not told of what it does itself.
    pub fn is_noloop(&self) -> bool {
        lock(&self.way).noloop
    }

    /// It tracks no longer.
    pub fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// Whether whom it had told in its place has gone.
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// What its entries take, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Where it hears of something, unless it did that itself; or that it cannot be told.
    fn recipient(&self, by: Option<u64>) -> Option<Result<Recipient, u64>> {
        let way = lock(&self.way);
        if self.over.load(Ordering::Relaxed) || way.noloop && by == Some(self.client) {
            return None;
        }
        Some(match &way.redirect {
            None => Ok(Recipient { ear: Arc::clone(&self.ear), redirected: false }),
            Some((client, ear)) if ear.has_ended() => {
                self.broken.store(true, Ordering::Relaxed);
                Err(*client)
            }
            Some((_, ear)) => Ok(Recipient { ear: Arc::clone(ear), redirected: true }),
        })
    }

    /// That it cannot be told, told itself.
    fn lament(&self, redirect: u64) -> Frame {
        Frame::broken(redirect, Recipient { ear: Arc::clone(&self.ear), redirected: false })
    }
}

/// Tracking, until this is dropped.
pub struct Tracking {
    interests: Interests,
    exchange: Arc<Exchange>,
    tracker: Arc<Tracker>,
    prefixes: Vec<Bytes>,
}

impl Tracking {
    /// As those see it who change keys.
    pub fn tracker(&self) -> &Arc<Tracker> {
        &self.tracker
    }

    /// The prefixes of which it hears, in order; none: of what it reads.
    pub fn prefixes(&self) -> &[Bytes] {
        &self.prefixes
    }

    /// It hears also of all keys with this prefix.
    pub fn add_prefix(&mut self, prefix: &[u8]) {
        let mut prefixes = lock(&self.interests.0.tracked.prefixes);
        let prefix = Bytes::copy_from_slice(prefix);
        prefixes.entry(prefix.clone()).or_default().insert(self.tracker.client, Arc::clone(&self.tracker));
        if let Err(at) = self.prefixes.binary_search(&prefix) {
            self.prefixes.insert(at, prefix);
        }
    }
}

impl Drop for Tracking {
    fn drop(&mut self) {
        let Tracked { trackers, prefixes, left, .. } = &self.interests.0.tracked;
        self.tracker.end();
        let mut of_all = lock(prefixes);
        for prefix in &self.prefixes {
            if let At::Occupied(mut who) = of_all.entry(prefix.clone()) {
                who.get_mut().remove(&self.tracker.client);
                if who.get().is_empty() {
                    who.remove();
                }
            }
        }
        drop(of_all);
        if self.tracker.bytes() > 0 {
            left.store(true, Ordering::Release);
        }
        lock(trackers).remove(&self.tracker.client);
        self.interests.0.count.fetch_sub(1, Ordering::Relaxed);
        self.exchange.count_tracker(false);
    }
}

impl std::fmt::Debug for Tracking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tracking").field("tracker", &self.tracker).finish_non_exhaustive()
    }
}

/// What is shared of tracking.
#[derive(Default)]
pub(super) struct Tracked {
    /// By client.
    trackers: Mutex<BTreeMap<u64, Arc<Tracker>>>,
    /// Who hears of all keys with a prefix, by client.
    prefixes: Mutex<BTreeMap<Bytes, BTreeMap<u64, Arc<Tracker>>>>,
    /// Keys that somebody tracks, and how many do, together.
    keys: AtomicUsize,
    items: AtomicUsize,
    /// How many keys there may be; 0: any number.
    most_keys: AtomicUsize,
    /// Where the next one is looked for that is to go.
    hand: AtomicUsize,
    /// Some have entries that track no longer.
    left: AtomicBool,
}

/// Who tracks a key, by client.
pub(super) type Trackers = Vec<(u64, Arc<Tracker>)>;

/// What is tracked, in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrackedSums {
    /// Clients that track.
    pub clients: usize,
    /// Keys that are tracked.
    pub keys: usize,
    /// The same, once for each client.
    pub items: usize,
    /// Prefixes of which somebody hears.
    pub prefixes: usize,
}

impl Interests {
    /// Whether a change of a key concerns anybody who tracks.
    pub(in crate::data) fn are_tracked(&self, hash: u64, key: &[u8]) -> bool {
        let is_there = self.slot(hash).as_ref().is_some_and(|in_stripe| in_stripe.tracked.contains_key(key));
        is_there || lock(&self.0.tracked.prefixes).keys().any(|prefix| key.starts_with(prefix))
    }

    /// What those are to be told who track `keys`, which `by` has changed; and those who hear of all with a prefix.
    fn invalidations<'k>(
        &self,
        keys: impl Iterator<Item = (u64, &'k [u8])>,
        by: Option<u64>,
    ) -> (Vec<Frame>, Vec<Frame>) {
        let (mut frames, prefixes) = (Vec::new(), lock(&self.0.tracked.prefixes));
        let (mut seen, mut of_prefixes) = (HashSet::new(), Vec::new());
        let mut with_prefix: BTreeMap<&Bytes, Vec<&[u8]>> = BTreeMap::new();
        // In several databases a key is one.
        for (hash, key) in keys.filter(|(_, key)| seen.insert(*key)) {
            let slot = self.slot(hash);
            if let Some(trackers) = slot.as_ref().and_then(|in_stripe| in_stripe.tracked.get(key)) {
                tell(&[key], trackers.iter().map(|(_, tracker)| tracker), by, &mut frames);
            }
            for (prefix, _) in prefixes.iter().filter(|(prefix, _)| key.starts_with(prefix)) {
                with_prefix.entry(prefix).or_default().push(key);
            }
        }
        for (prefix, mut keys) in with_prefix {
            keys.sort_unstable();
            tell(&keys, prefixes[prefix].values(), by, &mut of_prefixes);
        }
        (frames, of_prefixes)
    }

    /// What those are to be told who track anything: all of it may have changed.
    fn all_invalid(&self) -> Vec<Frame> {
        let mut frames = Vec::new();
        let to = recipients(lock(&self.0.tracked.trackers).values(), None, &mut frames);
        if !to.is_empty() {
            frames.push(Frame::all_invalid(to));
        }
        frames
    }

    /// Nobody tracks this key any more, but this client if it is told nothing of what it does itself.
    pub(super) fn untrack(&self, hash: u64, key: &[u8], but: Option<u64>) {
        let mut slot = self.slot(hash);
        let Some(in_stripe) = slot.as_mut() else { return };
        let Some(trackers) = in_stripe.tracked.get_mut(key) else { return };
        self.take_out(key, trackers, |tracker| but != Some(tracker.client) || !tracker.is_noloop());
        if trackers.is_empty() {
            in_stripe.tracked.remove(key);
            self.0.tracked.keys.fetch_sub(1, Ordering::Relaxed);
            leave_empty(&mut slot);
        }
    }

    /// Nobody tracks any key any more that he has read.
    pub(super) fn untrack_all(&self) {
        self.sweep_slots(|_| true);
    }

    /// Takes out what those have left who track no longer.
    fn sweep_left(&self) {
        if self.0.tracked.left.swap(false, Ordering::Acquire) {
            self.sweep_slots(|tracker| tracker.over.load(Ordering::Relaxed));
        }
    }

    fn sweep_slots(&self, which: impl Fn(&Tracker) -> bool) {
        for slot in &self.0.slots {
            let mut slot = lock(slot);
            let Some(in_stripe) = slot.as_mut() else { continue };
            in_stripe.tracked.retain(|key, trackers| {
                self.take_out(key, trackers, &which);
                if trackers.is_empty() {
                    self.0.tracked.keys.fetch_sub(1, Ordering::Relaxed);
                }
                !trackers.is_empty()
            });
            leave_empty(&mut slot);
        }
    }

    fn take_out(&self, key: &[u8], trackers: &mut Trackers, which: impl Fn(&Tracker) -> bool) {
        trackers.retain(|(_, tracker)| {
            let goes = which(tracker);
            if goes {
                tracker.bytes.fetch_sub(TRACKED_BYTES + key.len(), Ordering::Relaxed);
                self.0.tracked.items.fetch_sub(1, Ordering::Relaxed);
            }
            !goes
        });
    }

    /// Enters one who tracks a key, whose stripe is held.
    fn track(&self, hash: u64, key: &[u8], tracker: &Arc<Tracker>) {
        let tracked = &self.0.tracked;
        let mut slot = self.slot(hash);
        let trackers = match slot.get_or_insert_default().tracked.entry(key.into()) {
            std::collections::hash_map::Entry::Occupied(there) => there.into_mut(),
            std::collections::hash_map::Entry::Vacant(free) => {
                tracked.keys.fetch_add(1, Ordering::Relaxed);
                free.insert(Trackers::new())
            }
        };
        match trackers.binary_search_by_key(&tracker.client, |(client, _)| *client) {
            // He had stopped, and what he has left was not swept yet.
            Ok(at) if !Arc::ptr_eq(&trackers[at].1, tracker) => trackers[at].1 = Arc::clone(tracker),
            Ok(_) => return,
            Err(at) => {
                trackers.insert(at, (tracker.client, Arc::clone(tracker)));
                tracked.items.fetch_add(1, Ordering::Relaxed);
            }
        }
        tracker.bytes.fetch_add(TRACKED_BYTES + key.len(), Ordering::Relaxed);
    }

    /// Where there are too many keys some go, and are told as changed.
    fn evict(&self, exchange: &Exchange) {
        let tracked = &self.0.tracked;
        let most = tracked.most_keys.load(Ordering::Relaxed);
        let mut looked_at = 0;
        for _ in 0..EVICTED_AT_ONCE {
            if most == 0 || tracked.keys.load(Ordering::Relaxed) <= most {
                return;
            }
            while looked_at < usize::from(STRIPES) {
                let at = tracked.hand.fetch_add(1, Ordering::Relaxed) % usize::from(STRIPES);
                looked_at += 1;
                if self.evict_from(&self.0.slots[at], exchange) {
                    looked_at = 0;
                    break;
                }
            }
        }
    }

    fn evict_from(&self, slot: &Slot, exchange: &Exchange) -> bool {
        let mut slot = lock(slot);
        let Some(in_stripe) = slot.as_mut() else { return false };
        let Some(key) = in_stripe.tracked.keys().next().cloned() else { return false };
        let Some(mut trackers) = in_stripe.tracked.remove(&key) else { return false };
        let mut frames = Vec::new();
        tell(&[&key], trackers.iter().map(|(_, tracker)| tracker), None, &mut frames);
        // Before the slot is free: who changes the key next tells nobody, and his answer is not to be first.
        let frames: Vec<_> = frames.into_iter().map(Arc::new).collect();
        exchange.post(frames, Seq::ZERO, Rooms::default());
        self.take_out(&key, &mut trackers, |_| true);
        self.0.tracked.keys.fetch_sub(1, Ordering::Relaxed);
        leave_empty(&mut slot);
        true
    }
}

/// What those are told that these keys have changed.
fn tell<'t>(
    keys: &[&[u8]],
    trackers: impl Iterator<Item = &'t Arc<Tracker>>,
    by: Option<u64>,
    frames: &mut Vec<Frame>,
) {
    let to = recipients(trackers, by, frames);
    if !to.is_empty() {
        frames.push(Frame::invalid(keys, to));
    }
}

/// Where those hear who are to be told of what `by` did. Who cannot be told is told that, in `frames`.
fn recipients<'t>(
    trackers: impl Iterator<Item = &'t Arc<Tracker>>,
    by: Option<u64>,
    frames: &mut Vec<Frame>,
) -> Vec<Recipient> {
    let mut to = Vec::new();
    for tracker in trackers {
        match tracker.recipient(by) {
            Some(Ok(recipient)) => to.push(recipient),
            Some(Err(redirect)) => frames.push(tracker.lament(redirect)),
            None => {}
        }
    }
    to
}

/// What nobody is interested in leaves nothing.
fn leave_empty(slot: &mut Option<Box<InStripe>>) {
    if slot.as_ref().is_some_and(|in_stripe| in_stripe.is_empty()) {
        *slot = None;
    }
}

impl Data {
    /// Has one tracked from now on.
    pub fn track(&self, tracker: Tracker) -> Tracking {
        let tracker = Arc::new(tracker);
        lock(&self.interests.0.tracked.trackers).insert(tracker.client, Arc::clone(&tracker));
        self.interests.0.count.fetch_add(1, Ordering::Relaxed);
        self.exchange.count_tracker(true);
        let (interests, exchange) = (self.interests.clone(), Arc::clone(&self.exchange));
        Tracking { interests, exchange, tracker, prefixes: Vec::new() }
    }

    /// From now on so many keys are tracked at most; 0: any number.
    pub fn track_at_most(&self, keys: usize) {
        self.interests.0.tracked.most_keys.store(keys, Ordering::Relaxed);
    }

    /// What is tracked, in numbers.
    pub fn tracked(&self) -> TrackedSums {
        let Tracked { trackers, prefixes, keys, items, .. } = &self.interests.0.tracked;
        TrackedSums {
            clients: lock(trackers).len(),
            keys: keys.load(Ordering::Relaxed),
            items: items.load(Ordering::Relaxed),
            prefixes: lock(prefixes).len(),
        }
    }

    /// Takes out what those have left who track no longer: for the housekeeper.
    pub(in crate::data) fn sweep_trackers(&self) {
        self.interests.sweep_left();
    }
}

impl Tx<'_> {
    /// Has the tracker told when this key changes, which was read, or is about to be. Its stripe is held.
    pub fn track(&self, key: &[u8], tracker: &Arc<Tracker>) {
        let (data, hash) = (self.data(), self.data().hash(key));
        debug_assert!(self.holds(hash), "whoever enters an interest holds its stripe");
        data.interests.track(hash, key, tracker);
        data.interests.evict(&data.exchange);
    }

    /// Has those told who track what this changes, with its commit. Asked for before, if there is to be room for it. `by`: the
    /// client that changes it. Answers what is to be [announced](Tx::announce) behind everything else.
    pub(crate) fn tell_trackers(&mut self, by: Option<u64>) -> Vec<Frame> {
        if !self.data().exchange.is_attended() || std::mem::replace(&mut self.told_trackers, true) {
            return Vec::new();
        }
        let (data, mut frames, mut last) = (self.data(), Vec::new(), Vec::new());
        if self.flushed {
            frames = data.interests.all_invalid();
        }
        if let Some(mut touched) = self.touches() {
            let places = touched.keys.iter().filter_map(|key| Place::from_record_key(&key.record_key));
            let places = places.filter(|place| touched.is_of_any(data, place.namespace));
            let (changed, of_prefixes) =
                data.interests.invalidations(places.map(|place| (place.hash, place.key)), by);
            last = of_prefixes;
            if !self.flushed {
                // Otherwise it is told of everything.
                frames = changed;
            }
            // What a transaction has read may be what it has written.
            touched.keeps = by.filter(|_| self.is_of_several());
            self.keep_touched(touched);
        }
        frames.into_iter().for_each(|frame| self.announce(frame));
        last
    }

    /// They have been told, and so is what changes next.
    #[cold]
    pub(in crate::data) fn has_told_trackers(&mut self) {
        if std::mem::take(&mut self.flushed) {
            self.data().interests.untrack_all();
        }
        self.told_trackers = false;
    }

    /// Whatever is tracked may have changed, be it written or not: every stripe is held.
    pub(in crate::data) fn changes_all_tracked(&mut self) {
        self.flushed = true;
    }
}
