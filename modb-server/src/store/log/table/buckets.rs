//! A hash table whose every bucket is one cache line: whoever looks for an entry waits once for memory to find out where it is, and
//! the processor can be told to fetch that line long before.
//!
//! A bucket has three places and, for each, 32 bits of the hash of what is there. What finds its bucket full goes to the
//! next one, and each bucket that it passes counts it, so that a search ends where nothing has passed (F14, Bronson and Shi 2019). The
//! bucket follows from the same 32 bits, scaled to their number: so that may be any number, and growing asks nobody for a hash.
//!
//! Invariants: an entry lies in the first bucket from its own on that had room when it came, and each before that counts it.

/// Places of a bucket: with what is known of them they fill a line.
const PLACES: usize = 3;
/// How many of all places are taken at most, in tenths; beyond it searches become long.
const MOST_TENTHS: usize = 8;
/// What an entry takes, in bytes, where the table is as full as it is on average.
pub(super) const ENTRY_BYTES: usize = 30;

#[repr(align(64))]
struct Bucket<T> {
    entries: [Option<T>; PLACES],
    hashes: [u32; PLACES],
    /// How many came by that found no room.
    passed: u32,
}

impl<T> Bucket<T> {
    const EMPTY: Self = Self { entries: [const { None }; PLACES], hashes: [0; PLACES], passed: 0 };

    #[inline(always)]
    fn place(&self, hash: u32, is_it: &mut impl FnMut(&T) -> bool) -> Option<usize> {
        (0..PLACES).find(|at| self.hashes[*at] == hash && self.entries[*at].as_ref().is_some_and(&mut *is_it))
    }
}

/// See the top of this file. The same hash may be that of several.
pub(super) struct Buckets<T> {
    buckets: Box<[Bucket<T>]>,
    len: usize,
}

impl<T> Default for Buckets<T> {
    fn default() -> Self {
        Self { buckets: Box::default(), len: 0 }
    }
}

impl<T> Buckets<T> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline(always)]
    pub(super) fn find(&self, hash: u32, mut is_it: impl FnMut(&T) -> bool) -> Option<&T> {
        let (bucket, place) = self.whereabouts(hash, &mut is_it)?;
        self.buckets[bucket].entries[place].as_ref()
    }

    #[inline(always)]
    pub(super) fn find_mut(&mut self, hash: u32, mut is_it: impl FnMut(&T) -> bool) -> Option<&mut T> {
        let (bucket, place) = self.whereabouts(hash, &mut is_it)?;
        self.buckets[bucket].entries[place].as_mut()
    }

    /// Puts in what is not there yet.
    pub(super) fn insert_new(&mut self, hash: u32, entry: T) -> &mut T {
        self.reserve(1);
        self.len += 1;
        self.make_place(hash).insert(entry)
    }

    pub(super) fn remove(&mut self, hash: u32, mut is_it: impl FnMut(&T) -> bool) -> Option<T> {
        let (bucket, place) = self.whereabouts(hash, &mut is_it)?;
        let mut passed = self.home(hash);
        while passed != bucket {
            self.buckets[passed].passed -= 1;
            passed = self.behind(passed);
        }
        self.len -= 1;
        self.buckets[bucket].entries[place].take()
    }

    /// So many more will be put in: it grows once at most for all of them.
    pub(super) fn reserve(&mut self, more: usize) {
        let wanted = (self.len + more).saturating_mul(10).div_ceil(MOST_TENTHS * PLACES);
        if wanted > self.buckets.len() {
            self.grow(wanted.max(self.buckets.len() + self.buckets.len() / 4 + 1));
        }
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.buckets.iter_mut().flat_map(|bucket| bucket.entries.iter_mut().flatten())
    }

    /// Where an entry is looked for first, and then, one line after the other.
    #[inline(always)]
    pub(super) fn lines(&self, hash: u32) -> Option<&[impl Sized]> {
        self.buckets.get(self.home(hash)..)
    }

    #[cold]
    fn grow(&mut self, buckets: usize) {
        let old = std::mem::replace(&mut self.buckets, (0..buckets).map(|_| Bucket::EMPTY).collect());
        for Bucket { entries, hashes, .. } in old {
            for (entry, hash) in entries.into_iter().zip(hashes) {
                if entry.is_some() {
                    *self.make_place(hash) = entry;
                }
            }
        }
    }

    /// The first free place for an entry of that hash; those who were passed count it.
    fn make_place(&mut self, hash: u32) -> &mut Option<T> {
        let mut at = self.home(hash);
        let place = loop {
            let bucket = &mut self.buckets[at];
            if let Some(place) = bucket.entries.iter().position(Option::is_none) {
                break place;
            }
            bucket.passed += 1;
            at = self.behind(at);
        };
        self.buckets[at].hashes[place] = hash;
        &mut self.buckets[at].entries[place]
    }

    #[inline(always)]
    fn whereabouts(&self, hash: u32, is_it: &mut impl FnMut(&T) -> bool) -> Option<(usize, usize)> {
        let home = self.home(hash);
        let bucket = self.buckets.get(home)?;
        match bucket.place(hash, is_it) {
            Some(place) => Some((home, place)),
            None if bucket.passed == 0 => None,
            None => self.further(home, hash, is_it),
        }
    }

    /// Goes on behind the bucket where it would lie first. Once round at most: what was removed leaves room in buckets whose passers are
    /// still counted, so all of them may count some.
    #[inline(never)]
    fn further(&self, home: usize, hash: u32, is_it: &mut impl FnMut(&T) -> bool) -> Option<(usize, usize)> {
        let mut at = self.behind(home);
        while at != home {
            let bucket = &self.buckets[at];
            if let Some(place) = bucket.place(hash, is_it) {
                return Some((at, place));
            }
            if bucket.passed == 0 {
                break;
            }
            at = self.behind(at);
        }
        None
    }

    /// Scaled to the number of buckets: the higher bits tell.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)] // below their number
    fn home(&self, hash: u32) -> usize {
        ((u64::from(hash) * self.buckets.len() as u64) >> 32) as usize
    }

    fn behind(&self, bucket: usize) -> usize {
        if bucket + 1 == self.buckets.len() { 0 } else { bucket + 1 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Few hashes, so that many lie in the same buckets and pass others.
        #[test]
        fn it_behaves_as_a_list_of_pairs(
            // Few in all, too: what comes and goes passes every bucket then.
            (numbers, steps) in prop_oneof![Just(2u32), Just(40)].prop_flat_map(|numbers| {
                (Just(numbers), proptest::collection::vec((0u32..6, 0..numbers, 0u8..3), 0..400))
            }),
            spread in prop_oneof![Just(1u32), Just(1 << 28), Just(u32::MAX / 6)],
        ) {
            let (mut buckets, mut model) = (Buckets::default(), Vec::new());
            for (hash, number, step) in steps {
                let (hash, entry) = (hash * spread, (hash, number));
                let at = model.iter().position(|one| *one == entry);
                prop_assert_eq!(buckets.find(hash, |one| *one == entry), at.map(|at| &model[at]));
                match (step, at) {
                    (0, _) => {
                        let removed = buckets.remove(hash, |one| *one == entry);
                        prop_assert_eq!(removed, at.map(|at| model.swap_remove(at)));
                    }
                    (_, None) => {
                        prop_assert_eq!(*buckets.insert_new(hash, entry), entry);
                        model.push(entry);
                    }
                    _ => prop_assert_eq!(buckets.find_mut(hash, |one| *one == entry).copied(), Some(entry)),
                }
                prop_assert_eq!(buckets.len(), model.len());
            }
            for entry in &model {
                prop_assert_eq!(buckets.find(entry.0 * spread, |one| one == entry), Some(entry));
            }
            let mut all: Vec<_> = buckets.iter_mut().map(|entry| *entry).collect();
            all.sort_unstable();
            model.sort_unstable();
            prop_assert_eq!(&all, &model);
            let passed: u32 = buckets.buckets.iter().map(|bucket| bucket.passed).sum();
            for entry in model {
                buckets.remove(entry.0 * spread, |one| *one == entry);
            }
            let left: u32 = buckets.buckets.iter().map(|bucket| bucket.passed).sum();
            prop_assert_eq!(left, 0, "of {} and {} numbers", passed, numbers);
        }
    }

    #[test]
    fn a_search_ends_where_every_bucket_was_passed() {
        let (first, second) = (1, u32::MAX);
        let mut buckets = Buckets::default();
        buckets.reserve(4);
        assert_eq!(buckets.buckets.len(), 2);
        (0..4).for_each(|n| _ = buckets.insert_new(first, n));
        (0..3).for_each(|n| _ = buckets.remove(first, |one| *one == n));
        (4..7).for_each(|n| _ = buckets.insert_new(second, n));
        assert!(buckets.buckets.iter().all(|bucket| bucket.passed == 1));
        assert_eq!(
            (buckets.find(first, |one| *one == 9), buckets.find(second, |one| *one == 9)),
            (None, None)
        );
        assert_eq!(
            (buckets.find(first, |one| *one == 3), buckets.find(second, |one| *one == 6)),
            (Some(&3), Some(&6))
        );
    }

    #[test]
    fn a_bucket_is_a_line_and_an_entry_takes_what_is_said_of_it() {
        assert_eq!(size_of::<Bucket<Box<[u8]>>>(), 64);
        let mut buckets = Buckets::<Box<[u8]>>::default();
        let (mut bytes, mut len) = (0, 0);
        // Numbers that a multiplication spreads evenly (Knuth, 6.4).
        for n in 1..40_000u32 {
            buckets.insert_new(n.wrapping_mul(0x9e37_79b1), Box::default());
            bytes += 64 * buckets.buckets.len();
            len += buckets.len();
        }
        let entry_bytes = bytes as f64 / len as f64;
        assert!((ENTRY_BYTES as f64 - 1.5..ENTRY_BYTES as f64 + 0.5).contains(&entry_bytes), "{entry_bytes}");
    }

    #[test]
    fn nearly_all_lie_in_the_bucket_where_they_are_looked_for_first() {
        let mut buckets = Buckets::default();
        for n in 0..100_000u64 {
            let hash = (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32;
            buckets.insert_new(hash, hash);
        }
        let hashes: Vec<u32> = buckets.iter_mut().map(|hash| *hash).collect();
        let home = |hash: u32| {
            let is_it = &mut |one: &u32| *one == hash;
            buckets.whereabouts(hash, is_it).is_some_and(|(bucket, _)| bucket == buckets.home(hash))
        };
        let at_home = hashes.iter().filter(|hash| home(**hash)).count();
        assert!(at_home > 80_000, "{at_home} of 100,000");
    }
}
