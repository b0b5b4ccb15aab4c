//! Systems whose service managers know from a file what to start.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use super::{Main, State};

/// The user that the service runs as.
pub const ACCOUNT: &str = "";

fn no_such_thing<T>() -> io::Result<T> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "on this system the service manager has a file that says what to start: see packaging/modb.service",
    ))
}

/// Has the service manager start this program with `words`.
///
/// # Errors
/// Always.
pub fn install(_: Vec<OsString>) -> io::Result<()> {
    no_such_thing()
}

/// Ends the service, and takes it away.
///
/// # Errors
/// Always.
pub fn remove() -> io::Result<()> {
    no_such_thing()
}

/// What the service manager says.
///
/// # Errors
/// Always.
pub fn state() -> io::Result<State> {
    no_such_thing()
}

/// Does `main` as the service manager wants it.
///
/// # Errors
/// Always.
pub fn run(_: Main) -> io::Result<u8> {
    no_such_thing()
}

/// From now on standard error is this file.
///
/// # Errors
/// Always.
pub fn send_errors_to(_: &Path) -> io::Result<()> {
    no_such_thing()
}
