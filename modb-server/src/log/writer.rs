//! The thread that writes the log, so that whoever logs never waits for whoever reads it.
//!
//! Invariants: `say` returns without touching the output; at most [`MAX_BYTES`] wait, the line that is being written
//! included, and last words beside; lines leave in the order in which they were said; those that found no room or could
//! not be written are counted, and the next thing that can be written says how many.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What may wait for a reader, in bytes.
const MAX_BYTES: usize = 1 << 20;

/// Hands lines to the thread.
#[derive(Clone)]
pub(super) struct Writer {
    shared: Arc<Shared>,
}

struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
    /// The line that says how many were lost.
    note: Box<dyn Fn(u64) -> String + Send + Sync>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Entry>,
    /// Of what waits and of what is being written.
    bytes: usize,
    /// Lines that nobody will read, and of which nothing says so yet.
    lost: u64,
    /// The output refused the last line: it is tried again with the next one, not before.
    is_refused: bool,
}

struct Entry {
    line: String,
    /// How many lines are lost with it.
    stands_for: u64,
}

impl Writer {
    /// Writes to `out` from now on.
    ///
    /// # Errors
    /// If there can be no thread.
    pub(super) fn start(
        out: impl Write + Send + 'static,
        note: impl Fn(u64) -> String + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let (queue, changed) = (Mutex::default(), Condvar::new());
        let shared = Arc::new(Shared { queue, changed, note: Box::new(note) });
        let writing = Arc::clone(&shared);
        thread::Builder::new().name("modb-log".into()).spawn(move || writing.write_all(out))?;
        Ok(Self { shared })
    }

    /// Has a line written, or counts it as lost.
    pub(super) fn say(&self, line: String) {
        let mut queue = self.shared.lock();
        if queue.bytes + line.len() > MAX_BYTES {
            queue.lost += 1;
            return;
        }
        if queue.lost > 0 {
            let lost = std::mem::take(&mut queue.lost);
            queue.push((self.shared.note)(lost), lost);
        }
        queue.push(line, 1);
        self.shared.changed.notify_all();
    }

    /// Has a line written that must not be lost, behind everything else if that leaves within `patience`, else before it.
    /// Waits for it as long.
    pub(super) fn say_at_last(&self, line: String, patience: Duration) {
        self.flush(patience);
        let mut queue = self.shared.lock();
        queue.bytes += line.len();
        queue.waiting.push_front(Entry { line, stands_for: 1 });
        queue.is_refused = false;
        self.shared.changed.notify_all();
        drop(queue);
        self.flush(patience);
    }

    /// Waits until all is written, but no longer than `patience`.
    pub(super) fn flush(&self, patience: Duration) {
        let until = Instant::now() + patience;
        let mut queue = self.shared.lock();
        while queue.bytes > 0 || queue.owes_a_note() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let woken = self.shared.changed.wait_timeout(queue, left);
            queue = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Queue {
    fn push(&mut self, line: String, stands_for: u64) {
        self.bytes += line.len();
        self.is_refused = false;
        self.waiting.push_back(Entry { line, stands_for });
    }

    fn owes_a_note(&self) -> bool {
        self.lost > 0 && !self.is_refused
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_all(&self, mut out: impl Write) {
        loop {
            let entry = self.next();
            let written = out.write_all(entry.line.as_bytes()).and_then(|()| out.flush());
            let mut queue = self.lock();
            queue.bytes -= entry.line.len();
            if written.is_err() {
                queue.lost += entry.stands_for;
                queue.is_refused = true;
            }
            self.changed.notify_all();
        }
    }

    /// Waits for something to write.
    fn next(&self) -> Entry {
        let mut queue = self.lock();
        loop {
            if let Some(entry) = queue.waiting.pop_front() {
                return entry;
            }
            if queue.owes_a_note() {
                let lost = std::mem::take(&mut queue.lost);
                let line = (self.note)(lost);
                queue.bytes += line.len();
                return Entry { line, stands_for: lost };
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// An output that takes a write when it is let.
    struct Gate {
        leave: Receiver<io::Result<()>>,
        written: Sender<String>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.leave.recv().unwrap_or(Ok(()))?;
            let _ = self.written.send(String::from_utf8_lossy(bytes).into_owned());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gated() -> (Writer, Sender<io::Result<()>>, Receiver<String>) {
        let (let_go, leave) = channel();
        let (written, read) = channel();
        let writer = Writer::start(Gate { leave, written }, |lost| format!("{lost} lost")).unwrap();
        (writer, let_go, read)
    }

    #[test]
    fn whoever_logs_does_not_wait_and_what_found_no_room_is_told_in_its_place() {
        let (writer, let_go, read) = gated();
        writer.say("first".to_owned());
        let line = "x".repeat(MAX_BYTES / 4);
        // Nothing is written yet, so this would wait for ever if it waited for the output.
        for _ in 0..10 {
            writer.say(line.clone());
        }
        writer.flush(Duration::from_millis(10));
        for _ in 0..3 {
            let_go.send(Ok(())).unwrap();
            read.recv().unwrap();
        }
        writer.say("later".to_owned());
        drop(let_go);
        writer.flush(LONG);
        let rest: Vec<String> = read.try_iter().collect();
        assert_eq!(rest, [line.as_str(), "7 lost", "later"]);
    }

    #[test]
    fn lines_that_are_refused_are_counted_until_they_can_be_told() {
        let (writer, let_go, read) = gated();
        let full = || Err(io::Error::from(io::ErrorKind::StorageFull));
        for n in 0..3 {
            let_go.send(full()).unwrap();
            // From the second on, the note is tried first and fails as well.
            if n > 0 {
                let_go.send(full()).unwrap();
            }
            writer.say(format!("{n}"));
            writer.flush(LONG);
        }
        drop(let_go);
        writer.say("it works again".to_owned());
        writer.flush(LONG);
        let written: Vec<String> = read.try_iter().collect();
        assert_eq!(written, ["3 lost", "it works again"]);
    }

    #[test]
    fn last_words_stand_last_or_overtake_what_nobody_reads() {
        let (writer, let_go, read) = gated();
        drop(let_go);
        writer.say("a".to_owned());
        writer.say_at_last("the end".to_owned(), LONG);
        assert_eq!(read.try_iter().collect::<Vec<_>>(), ["a", "the end"]);

        let (writer, let_go, read) = gated();
        writer.say("a".to_owned());
        writer.say("b".repeat(MAX_BYTES - 1));
        writer.say_at_last("the end".to_owned(), Duration::from_millis(50));
        drop(let_go);
        let first_two: Vec<String> = (0..2).map(|_| read.recv().unwrap()).collect();
        assert_eq!(first_two, ["a", "the end"]);
    }
}
