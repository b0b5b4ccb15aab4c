//! Systems on which no program is put into a terminal of ours: Windows and Wine, where a console is another thing, and Unixes
//! on which it was not tried.

use std::fs::File;
use std::io;
use std::process::{Child, Command};

/// There is none.
#[derive(Debug)]
pub enum Pty {}

impl Pty {
    /// There is none.
    ///
    /// # Errors
    /// Always.
    pub fn start(_: &mut Command, _size: (u16, u16), _output: Option<File>) -> io::Result<(Self, Child)> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// There is none.
    ///
    /// # Errors
    /// None.
    pub fn resize(&self, _columns: u16, _rows: u16) -> io::Result<()> {
        match *self {}
    }

    /// There is none.
    ///
    /// # Errors
    /// None.
    pub fn file(&self) -> io::Result<File> {
        match *self {}
    }
}
