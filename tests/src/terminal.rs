//! A program in a terminal of its own, which is typed into and looked at.
//!
//! Invariants: what is seen is waited for, with a deadline; the program is killed when the terminal is dropped.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::screen::Screen;
use crate::sys::Pty;
use crate::wait;

/// The rows of every window here: more than is written.
const ROWS: u16 = 40;

/// A running program and its screen.
#[derive(Debug)]
pub struct Terminal {
    pty: Pty,
    child: Child,
    screen: Arc<Mutex<Screen>>,
    reader: thread::JoinHandle<()>,
}

impl Terminal {
    /// Starts `command` in a window of so many columns.
    ///
    /// # Panics
    /// If the system cannot.
    pub fn start(command: &mut Command, columns: u16) -> Self {
        Self::start_with_output(command, columns, None)
    }

    /// The same; what it writes to standard output goes to `output`.
    ///
    /// # Panics
    /// If the system cannot.
    pub fn start_with_output(command: &mut Command, columns: u16, output: Option<File>) -> Self {
        command.env("TERM", "xterm");
        let (pty, child) = Pty::start(command, (columns, ROWS), output).expect("the system has terminals");
        let screen = Arc::new(Mutex::new(Screen::new(columns.into(), ROWS.into())));
        let (mut output, seen) = (pty.file().expect("a handle can be copied"), Arc::clone(&screen));
        let reader = thread::spawn(move || {
            let mut piece = [0; 4096];
            // It fails when the program has ended.
            while let Ok(count @ 1..) = output.read(&mut piece) {
                seen.lock().expect("no test panics with it").write(&piece[..count]);
            }
        });
        Self { pty, child, screen, reader }
    }

    /// Types, all at once.
    ///
    /// # Panics
    /// If the terminal has gone.
    pub fn enter(&self, text: &str) {
        let mut input = self.pty.file().expect("a handle can be copied");
        input.write_all(text.as_bytes()).expect("the terminal takes what is typed");
    }

    /// Pastes, as terminals do it that say so.
    pub fn paste(&self, text: &str) {
        self.enter(&format!("\x1b[200~{text}\x1b[201~"));
    }

    /// Makes the window wider or narrower.
    ///
    /// # Panics
    /// If the terminal has gone.
    pub fn resize(&self, columns: u16) {
        self.screen.lock().expect("no reader panicked").resize(columns.into(), ROWS.into());
        self.pty.resize(columns, ROWS).expect("the terminal has a size");
    }

    /// What is to be seen now.
    ///
    /// # Panics
    /// If the reader did.
    pub fn screen(&self) -> Screen {
        self.screen.lock().expect("no reader panicked").clone()
    }

    /// Waits until exactly this is to be seen, with `█` for the cursor.
    ///
    /// # Panics
    /// If it is not, after the deadline.
    #[track_caller]
    pub fn assert_shows(&self, expected: &str) {
        let shown = || {
            let text = self.screen().text();
            (text == expected || without_times(&text) == expected).then_some(())
        };
        if wait::within(wait::DEADLINE / 6, shown).is_none() {
            panic!("expected:\n{expected}\n\nseen:\n{}\n", self.screen().text());
        }
    }

    /// Waits until something is to be seen.
    ///
    /// # Panics
    /// If it is not, after the deadline.
    #[track_caller]
    pub fn wait_for(&self, what: &str) -> Screen {
        let found = || {
            Some(self.screen()).filter(|screen| {
                let text = screen.text();
                text.contains(what) || without_times(&text).contains(what)
            })
        };
        wait::within(wait::DEADLINE, found)
            .unwrap_or_else(|| panic!("{what:?} is not in:\n{}\n", self.screen().text()))
    }

    /// Waits until the program has ended of its own, and everything that it wrote is to be seen.
    ///
    /// # Panics
    /// If it has not after the deadline.
    pub fn wait_for_end(&mut self) -> ExitStatus {
        let status =
            wait::until("the program ends", || self.child.try_wait().expect("a child can be waited for"));
        wait::until("its output ends", || self.reader.is_finished().then_some(()));
        status
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Without the lines by which the prompt says how long a slow reply took: on a machine that stands still any may.
fn without_times(text: &str) -> String {
    let is_time = |line: &str| {
        let number = line.strip_prefix('(').and_then(|rest| rest.strip_suffix(" s)"));
        number.is_some_and(|number| number.parse::<f64>().is_ok())
    };
    text.split('\n').filter(|line| !is_time(line)).collect::<Vec<_>>().join("\n")
}
