//! A pseudo-terminal: a program believes that somebody sits before it. Linux.

#![allow(unsafe_code)] // What a child does between its birth and its program.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// Our side of it: what the program writes is read here, and what is written here was typed.
#[derive(Debug)]
pub struct Pty {
    ours: OwnedFd,
}

impl Pty {
    /// Starts `command` in a window of that size; its output goes to `output`, if that is given.
    ///
    /// # Errors
    /// What the system says.
    pub fn start(
        command: &mut Command,
        (columns, rows): (u16, u16),
        output: Option<File>,
    ) -> io::Result<(Self, Child)> {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&ours)?;
        unlockpt(&ours)?;
        let name = ptsname(&ours, Vec::new())?;
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let theirs = rustix::fs::open(name, flags, Mode::empty())?;
        let pty = Self { ours };
        pty.resize(columns, rows)?;
        let output = output.map_or_else(|| theirs.try_clone(), |file| Ok(file.into()))?;
        command.stdin(theirs.try_clone()?).stdout(output).stderr(theirs);
        let lead_session = || {
            rustix::process::setsid()?;
            rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
            Ok(())
        };
        // SAFETY: two system calls, which allocate nothing and take no lock.
        unsafe { command.pre_exec(lead_session) };
        let child = command.spawn()?;
        Ok((pty, child))
    }

    /// The window has another size, which the program is told.
    ///
    /// # Errors
    /// What the system says.
    pub fn resize(&self, columns: u16, rows: u16) -> io::Result<()> {
        Ok(tcsetwinsize(&self.ours, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 })?)
    }

    /// Another handle, to read or to write.
    ///
    /// # Errors
    /// What the system says.
    pub fn file(&self) -> io::Result<File> {
        Ok(self.ours.try_clone()?.into())
    }
}
