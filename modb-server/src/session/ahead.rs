//! Requests that have come behind the one that is executed: has the processor fetch the records of their keys meanwhile. Where the
//! data is larger than the processor's caches, waiting for memory is most of what a pipelined request takes (group prefetching: Chen,
//! Ailamaki, Gibbons, Mowry 2004).
//!
//! A guess: that the second word of a request is a key, which it mostly is, and that the request will be executed. It may be
//! wrong and changes nothing; what is no simple request is left alone.

use modb_net::resp::glance;

use crate::data::{Coming, Data};

/// What is longer is hardly a key, and to hash it in vain would take long.
const MOST_KEY_BYTES: usize = 256;

/// See the top of this file.
pub(super) struct Ahead<'i> {
    is_worth_it: bool,
    /// Of the input, what was not looked at.
    rest: &'i [u8],
    /// The key that was seen last.
    last: &'i [u8],
    /// What was seen of the next two, in their order.
    next: [Look; 2],
}

/// What was seen of a request.
#[derive(Clone, Copy)]
enum Look {
    /// It was not looked at, or there is none.
    None,
    /// A request that seems to name no key, or the key of the one before it.
    NothingNew,
    Key(Coming),
}

impl<'i> Ahead<'i> {
    #[inline(always)]
    pub(super) fn new(data: &Data, authenticated: bool) -> Self {
        let is_worth_it = authenticated && data.wants_to_know_what_comes();
        Self { is_worth_it, rest: &[], last: &[], next: [Look::None; 2] }
    }

    /// A request is about to be executed on that database, and `behind` it is what follows.
    #[inline(always)]
    pub(super) fn look(&mut self, behind: &'i [u8], data: &Data, database: u32) {
        if self.is_worth_it && !behind.is_empty() {
            self.look_at(behind, data, database);
        }
    }

    fn look_at(&mut self, behind: &'i [u8], data: &Data, database: u32) {
        self.next = [self.next[1], Look::None];
        // Those that it has seen were executed.
        if self.rest.len() > behind.len() || matches!(self.next[0], Look::None) {
            self.rest = behind;
        }
        for next in &mut self.next {
            if matches!(next, Look::None)
                && let Some(seen) = glance(self.rest)
            {
                self.rest = &self.rest[seen.bytes..];
                *next = match seen.second_word {
                    Some(key) if key.len() <= MOST_KEY_BYTES && key != self.last => {
                        self.last = key;
                        Look::Key(data.announce(database, key))
                    }
                    _ => Look::NothingNew,
                };
            }
        }
        if let Look::Key(coming) = &self.next[0] {
            data.bring(coming);
        }
    }
}
