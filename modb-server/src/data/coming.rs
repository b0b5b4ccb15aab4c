//! Keys of requests that will be executed in a moment: what a command on them will touch is fetched into the processor's caches while
//! others are executed. Nothing waits for it, and nothing depends on it.

use super::{Data, layout};
use crate::store::{Fetch, TELLING_BYTES};

/// A key that a request behind the one that is executed seems to be about.
#[derive(Clone, Copy, Debug)]
pub struct Coming {
    /// What the store key of its record begins with.
    beginning: [u8; TELLING_BYTES],
}

impl Data {
    /// Whether it is worth while to say which keys come.
    #[inline]
    pub fn wants_to_know_what_comes(&self) -> bool {
        self.store.is_worth_fetching_for()
    }

    /// A request about that key comes soon, but not next: has it found out where the key is.
    pub fn announce(&self, database: u32, key: &[u8]) -> Coming {
        let hash = self.hash(key);
        let place = layout::Place { namespace: self.catalog.namespace(database), hash, key };
        let beginning = place.record_prefix();
        self.store.fetch(&beginning, Fetch::Whereabouts);
        self.stripes.fetch(hash);
        Coming { beginning }
    }

    /// What was announced comes next: has it brought.
    pub fn bring(&self, coming: &Coming) {
        self.store.fetch(&coming.beginning, Fetch::Record);
    }
}
