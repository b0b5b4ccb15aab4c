//! Where there is no eventfd: a type that nobody can have.

use std::io;

use super::impl_as_nothing;

#[derive(Debug)]
pub(crate) enum EventFd {}

impl EventFd {
    /// # Errors
    /// Always `Unsupported`.
    pub(crate) fn new() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn add_one(&self) -> io::Result<()> {
        match *self {}
    }

    pub(crate) fn take(&self) -> io::Result<u64> {
        match *self {}
    }
}

impl_as_nothing!(EventFd);
