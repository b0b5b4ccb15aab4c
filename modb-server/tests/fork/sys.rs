//! A copy of this process, as `fork` makes it: the standard library's, which runs code in it before another program takes
//! its place.
#![allow(unsafe_code)]

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Runs `work` in a fork of this process, which then ends.
///
/// # Errors
/// What `work` fails with, by the number that the system has for it.
pub(crate) fn in_a_fork(work: impl FnMut() -> io::Result<()> + Send + Sync + 'static) -> io::Result<()> {
    let mut command = Command::new("true");
    // SAFETY: what the C library locks, its allocator above all, it has made usable in the copy; `work` takes no other lock
    // that a thread of this process may hold.
    unsafe { command.pre_exec(work) };
    command.status().map(drop)
}
