//! Memory of values: which of them an engine may share, and when that of very large ones is given back. The system takes pages away one by
//! one, a millisecond for a few megabytes, and many where it is busy.
//!
//! Whoever drops the last share of a value may be a worker that others wait for, or have stripes or a lock: which of those who share it that
//! is nobody can tell before. So the memory itself sees to it: on a thread that has a [`Later`] it is put aside until that ends, or until
//! the thread takes it ([`take_left`]) to have another give it back.
//!
//! Invariants: what was put aside belongs to the thread that did it, so there is nothing that a fork could find locked, or that outlives
//! its thread; with [`MOST_LEFT_BYTES`] put aside, who drops gives back; so does a thread without a [`Later`], as those of a program are
//! outside of calls.

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;

use bytes::Bytes;

/// An engine keeps copies of keys, and of values that take no more with their keys, in bytes. A larger value it may keep as it was given,
/// so that should not be a part of something larger.
pub(crate) const COPIED_RECORD_BYTES: usize = 1024;

/// What is smaller is given back within a millisecond.
const VAST_BYTES: usize = if cfg!(test) { 64 << 10 } else { 4 << 20 };

/// With so many bytes put aside nothing more is.
pub(crate) const MOST_LEFT_BYTES: usize = 16 * VAST_BYTES;

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
        let (value, left_bytes) = (std::mem::take(&mut self.0), LEFT_BYTES.get());
        if LATERS.get() == 0 || left_bytes >= MOST_LEFT_BYTES {
            return give_back(value);
        }
        LEFT_BYTES.set(left_bytes + value.len());
        // A thread that is ending has no list any more; the value is given back then.
        let _ = LEFT.try_with(|left| left.borrow_mut().0.push(value));
    }
}

thread_local! {
    /// How many [`Later`]s this thread has.
    static LATERS: Cell<u32> = const { Cell::new(0) };
    static LEFT_BYTES: Cell<usize> = const { Cell::new(0) };
    static LEFT: RefCell<Left> = const { RefCell::new(Left(Vec::new())) };
}

/// While a thread has one, it puts very large values aside. With the last one it gives them back: so it is made before what others wait
/// for is taken, and dropped after.
pub(crate) struct Later(PhantomData<*const ()>);

/// See [`Later`].
#[inline]
pub(crate) fn later() -> Later {
    LATERS.set(LATERS.get() + 1);
    Later(PhantomData)
}

impl Drop for Later {
    #[inline]
    fn drop(&mut self) {
        let others = LATERS.get() - 1;
        LATERS.set(others);
        if others == 0 {
            drop(take_left());
        }
    }
}

/// Whether this thread has put anything aside.
#[inline]
pub(crate) fn is_any_left() -> bool {
    LEFT_BYTES.get() > 0
}

/// What this thread has put aside, if anything.
#[inline]
pub(crate) fn take_left() -> Option<Left> {
    if is_any_left() { take_some_left() } else { None }
}

#[cold]
fn take_some_left() -> Option<Left> {
    LEFT_BYTES.set(0);
    LEFT.try_with(RefCell::take).ok()
}

/// Values that were put aside. Given back, some at a time, by who drops it.
#[derive(Default)]
pub(crate) struct Left(Vec<Vec<u8>>);

impl Left {
    pub(crate) fn bytes(&self) -> usize {
        self.0.iter().map(Vec::len).sum()
    }
}

impl Drop for Left {
    fn drop(&mut self) {
        self.0.drain(..).for_each(give_back);
    }
}

fn give_back(value: Vec<u8>) {
    #[cfg(test)]
    watched::note(&value);
    crate::sys::free_large(value);
}

/// By whom values are given back.
#[cfg(test)]
pub(crate) mod watched {
    use std::sync::{Mutex, mpsc};
    use std::thread::{self, Thread};

    use super::VAST_BYTES;

    static WATCHED: Mutex<Vec<(Vec<u8>, mpsc::Sender<Thread>)>> = Mutex::new(Vec::new());

    /// A vast value that ends as no other does, and who gives it back, or what contains it.
    pub(crate) fn value(end: &str) -> (Vec<u8>, mpsc::Receiver<Thread>) {
        let (tell, told) = mpsc::channel();
        WATCHED.lock().unwrap().push((end.into(), tell));
        let mut value = vec![b'v'; VAST_BYTES];
        value.extend_from_slice(end.as_bytes());
        (value, told)
    }

    pub(super) fn note(value: &[u8]) {
        let mut watched = WATCHED.lock().unwrap();
        watched.retain(|(end, tell)| !value.ends_with(end) || tell.send(thread::current()).is_err());
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn who_drops_the_last_share_gives_back_unless_he_does_so_later() {
        let here = || thread::current().id();
        let (value, by) = watched::value("dropped by somebody free");
        let at = value.as_ptr();
        let value = share(value);
        assert_eq!(value.as_ptr(), at, "the memory is the one that was given");
        let part = value.slice(1..);
        drop(value);
        assert!(by.try_recv().is_err(), "somebody has it still");
        drop(part);
        assert_eq!(by.try_recv().unwrap().id(), here());

        let (value, by) = watched::value("dropped by somebody busy");
        let (outer, inner) = (later(), later());
        drop(share(value));
        drop(inner);
        assert!(by.try_recv().is_err());
        drop(outer);
        assert_eq!(by.try_recv().unwrap().id(), here());
        assert!(take_left().is_none());
    }

    #[test]
    fn what_is_put_aside_can_be_given_back_by_another_thread_and_is_bounded() {
        let values = [0; 20].map(|_| share(vec![0; VAST_BYTES]));
        let (value, by) = watched::value("the one too many");
        let _later = later();
        drop(values);
        let left = take_left().unwrap();
        assert_eq!(left.bytes(), MOST_LEFT_BYTES);
        thread::spawn(|| drop(left)).join().unwrap();
        assert!(take_left().is_none());

        drop([0; 16].map(|_| share(vec![0; VAST_BYTES])));
        drop(share(value));
        assert_eq!(by.try_recv().unwrap().id(), thread::current().id());
    }
}
