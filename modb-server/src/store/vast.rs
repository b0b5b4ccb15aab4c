//! Memory of values: which of them an engine may share, and how that of very large ones is given back. The system takes pages away one by
//! one, a millisecond for a few megabytes, and many where it is busy: a thread does it.
//!
//! Whoever drops the last share of a value may be a worker that others wait for, or have a lock: which of those who share it that is
//! nobody can tell before. So the memory itself sees to it.
//!
//! Invariants: there is one thread at most, and none while there is nothing to be given back; where none can be had, who drops does it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// An engine keeps copies of keys, and of values that take no more with their keys, in bytes. A larger value it may keep as it was given,
/// so that should not be a part of something larger.
pub(crate) const COPIED_RECORD_BYTES: usize = 1024;

/// What is smaller is given back within a millisecond.
const VAST_BYTES: usize = if cfg!(test) { 64 << 10 } else { 4 << 20 };

/// Shares the memory of a value.
pub(crate) fn share(value: Vec<u8>) -> Bytes {
    if value.len() < VAST_BYTES { value.into() } else { Bytes::from_owner(Vast(value)) }
}

/// A copy of a value that can be shared.
pub(crate) fn copy(value: &[u8]) -> Bytes {
    share(value.to_vec())
}

struct Vast(Vec<u8>);

impl AsRef<[u8]> for Vast {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Vast {
    fn drop(&mut self) {
        give_back(std::mem::take(&mut self.0));
    }
}

/// What is to be given back.
struct Left {
    values: Vec<Vec<u8>>,
    /// A thread gives back, or is about to.
    is_at_work: bool,
}

static LEFT: Mutex<Left> = Mutex::new(Left { values: Vec::new(), is_at_work: false });

fn left() -> MutexGuard<'static, Left> {
    LEFT.lock().unwrap_or_else(PoisonError::into_inner)
}

fn give_back(value: Vec<u8>) {
    let mut left = left();
    left.values.push(value);
    if std::mem::replace(&mut left.is_at_work, true) {
        return;
    }
    drop(left);
    if std::thread::Builder::new().name("modb-free".to_owned()).spawn(give_all_back).is_err() {
        give_all_back();
    }
}

fn give_all_back() {
    loop {
        let mut left = left();
        let Some(value) = left.values.pop() else {
            left.is_at_work = false;
            return;
        };
        drop(left);
        #[cfg(test)]
        tests::note(&value);
        crate::sys::free_large(value);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread::{self, ThreadId};
    use std::time::Duration;

    use super::*;

    /// Where each value was given back, by its address.
    static GIVEN_BACK: Mutex<Vec<(usize, mpsc::Sender<ThreadId>)>> = Mutex::new(Vec::new());

    pub(super) fn note(value: &[u8]) {
        let at = value.as_ptr() as usize;
        let mut watched = GIVEN_BACK.lock().unwrap();
        watched.retain(|(address, tell)| *address != at || tell.send(thread::current().id()).is_err());
    }

    #[test]
    fn the_last_who_drops_a_vast_value_does_not_give_its_memory_back() {
        let values = [0, 1, 2].map(|n| share(vec![n; VAST_BYTES]));
        let told = values.each_ref().map(|value| {
            let (tell, told) = mpsc::channel();
            GIVEN_BACK.lock().unwrap().push((value.as_ptr() as usize, tell));
            told
        });
        let shares = values.clone();
        assert_eq!(values[2].slice(1..), vec![2; VAST_BYTES - 1], "the memory is the one that was given");
        drop(values);
        assert!(told.iter().all(|told| told.try_recv().is_err()), "somebody has it still");
        drop(shares);
        for told in told {
            let by = told.recv_timeout(Duration::from_secs(60)).unwrap();
            assert_ne!(by, thread::current().id());
        }
        drop(share(vec![0; VAST_BYTES - 1]));
    }
}
