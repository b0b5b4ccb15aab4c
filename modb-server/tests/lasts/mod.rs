//! What says which commit of a thread was its last: a record that each commit of the thread changes in a few bytes of many, as a patch.
//!
//! The tests of kills and those of power cuts share it: what they find after a crash is counted from here.

use bytes::Bytes;
use modb_server::store::{Change, Patch, Store, Write};

/// The write by which `thread` says that its commit `n` is its last.
pub(crate) fn change_last(store: &dyn Store, thread: u64, n: u64) -> Write {
    let (key, found) = (last_key(thread), store.get(&last_key(thread)).expect("reads"));
    let value = Bytes::from([&n.to_be_bytes()[..], &[thread as u8; 200]].concat());
    match found.value {
        None => Write::Put(key.into(), value),
        Some(base) => Write::Patch(Box::new(Patch {
            key: key.into(),
            base_seq: found.seq,
            value,
            change: Change::From(base),
        })),
    }
}

/// The number of the last commit of `thread`; 0: none.
pub(crate) fn last_of(store: &dyn Store, thread: u64) -> u64 {
    let value = store.get(&last_key(thread)).expect("reads").value;
    value.map_or(0, |value| u64::from_be_bytes(value[..8].try_into().expect("eight bytes")))
}

fn last_key(thread: u64) -> Bytes {
    Bytes::from(format!("\u{1}last of {thread}"))
}
