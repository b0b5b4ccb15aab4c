//! Faults of the system under the socket pair, the notifier and the poller, through the public API: nothing
//! here is mocked. What exists on one platform only is in `sys/`.
//!
//! Some faults belong to a whole process (its descriptor limit, its signals): those tests run again in a
//! child, see `child.rs`.

#![allow(clippy::unwrap_used)] // The helpers of tests are tests.

mod child;
mod far;
mod loops;
mod notifier;
mod sys;
