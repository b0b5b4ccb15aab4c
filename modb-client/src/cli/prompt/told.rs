//! What the server sends unasked while a line is edited: shown above the line, as it comes.
//!
//! A thread that lives as long as the prompt hands text to the editor, which may take its time: a message that comes as a line is
//! entered is shown with the next one. Whoever reads from the connection therefore never waits for it.
//!
//! Invariants: what waits to be shown is bounded, and beyond that nothing is read, so that the server's limits hold; what comes is
//! shown once and in order.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use modb_client::Error;
use rustyline::ExternalPrinter;

use crate::cli::format::Format;
use crate::cli::link::Link;

/// How soon what comes is shown. A line that is entered waits for nothing.
const INTERVAL: Duration = Duration::from_millis(100);

/// So much may wait to be shown, in bytes, and one message more.
const MAX_WAITING_BYTES: usize = 1 << 20;

/// Shows text above the line that is edited.
#[derive(Debug)]
pub(super) struct Told(Arc<Waiting>);

/// Text that waits to be shown.
#[derive(Debug, Default)]
struct Waiting {
    text: Mutex<Vec<u8>>,
    has_come: Condvar,
}

impl Told {
    /// By means of `printer`, for as long as the process lives.
    pub(super) fn by(mut printer: impl ExternalPrinter + Send + 'static) -> Self {
        let waiting = Arc::new(Waiting::default());
        let shown = Arc::clone(&waiting);
        thread::spawn(move || {
            loop {
                let text = String::from_utf8_lossy(&shown.take()).into_owned();
                if printer.print(text).is_err() {
                    return;
                }
            }
        });
        Self(waiting)
    }

    /// Shows what comes over `link`, until `edited` is heard of.
    ///
    /// # Errors
    /// Nothing can come any more.
    pub(super) fn follow(&self, link: &mut Link, format: Format, edited: &Receiver<()>) -> Result<(), Error> {
        while edited.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
            while self.has_room() {
                match link.unasked()? {
                    Some(message) => self.show(|text| format.write(text, &message)),
                    None => break,
                }
            }
        }
        Ok(())
    }

    /// Shows a line.
    pub(super) fn say(&self, line: &str) {
        self.show(|text| text.extend_from_slice(format!("{line}\n").as_bytes()));
    }

    fn has_room(&self) -> bool {
        self.0.text.lock().unwrap_or_else(PoisonError::into_inner).len() < MAX_WAITING_BYTES
    }

    fn show(&self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.0.text.lock().unwrap_or_else(PoisonError::into_inner));
        self.0.has_come.notify_one();
    }
}

impl Waiting {
    /// All that has come, as soon as something has.
    fn take(&self) -> Vec<u8> {
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        let text = self.has_come.wait_while(text, |text| text.is_empty());
        std::mem::take(&mut text.unwrap_or_else(PoisonError::into_inner))
    }
}
