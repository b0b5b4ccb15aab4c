//! How the store takes its locks.
//!
//! Never a panic because another thread has panicked: who cannot do without that thread learns it otherwise
//! ([`super::group::GroupCommit::guard`]).

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, also after a panic elsewhere: no invariant of the store is broken half-way under any of its locks
/// that it does not check itself.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
