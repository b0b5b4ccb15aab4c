//! What a [`Tx`] tells those who listen, gathered while its command runs: what was published, and events of keys (`events`).
//!
//! Invariants: it is posted by the commit, behind the batch and before the stripes are given back, so for one key in the order
//! of the commits; of a `Tx` that is dropped nothing is told, and of a command that is taken back only that it was given, and
//! that keys which it read were not there, as in Redis.

use std::sync::Arc;

use modb_net::Seq;

use super::Tx;
use crate::data::Data;
use crate::messages::{Few, Frame, Rooms};

/// What is told, if anything is: most tell nothing, and carry a pointer.
#[derive(Default)]
pub(super) struct Telling(Option<Box<Told>>);

/// Messages, and the room for them.
#[derive(Default)]
struct Told {
    messages: Few<Arc<Frame>>,
    rooms: Rooms,
    /// How many messages there were at the last savepoint.
    saved: usize,
    /// Which of them stay when their command is taken back.
    staying: Vec<usize>,
}

impl Telling {
    /// The next of several commands begins.
    pub(super) fn save(&mut self) {
        if let Some(told) = &mut self.0 {
            told.saved = told.messages.len();
        }
    }

    /// What the last command has told is taken back.
    pub(super) fn roll_back(&mut self) {
        if let Some(told) = &mut self.0 {
            let staying = told.staying.split_off(told.staying.partition_point(|at| *at < told.saved));
            let kept: Vec<_> = staying.iter().map(|at| Arc::clone(&told.messages[*at])).collect();
            told.messages.truncate(told.saved);
            told.staying.extend(told.saved..told.saved + kept.len());
            kept.into_iter().for_each(|message| told.messages.push(message));
        }
    }

    /// Posts what there is: it tells of the commit `held`.
    #[inline]
    pub(super) fn post(&mut self, data: &Data, held: Seq) {
        if let Some(told) = self.0.take()
            && !told.messages.is_empty()
        {
            data.exchange.post(told.messages, held, told.rooms);
        }
    }
}

impl Tx<'_> {
    /// Has `message` told to those who listen, once this is applied.
    pub(crate) fn announce(&mut self, message: Frame) {
        self.telling.0.get_or_insert_default().messages.push(Arc::new(message));
    }

    /// As [`Tx::announce`], and told even if the command is taken back.
    pub(crate) fn announce_for_good(&mut self, message: Frame) {
        let from = self.messages().len();
        self.announce(message);
        self.let_stay(from);
    }

    /// What is to be told so far.
    #[inline]
    pub(crate) fn messages(&self) -> &[Arc<Frame>] {
        self.telling.0.as_ref().map_or(&[], |told| &told.messages)
    }

    /// All that will be told with what was written, so that whoever commits it can wait for room for as much.
    pub(crate) fn all_messages(&mut self) -> Vec<Arc<Frame>> {
        self.tell_trackers(None).into_iter().for_each(|frame| self.announce(frame));
        self.messages().to_vec()
    }

    /// What is told from number `from` on is told even if the command is taken back.
    pub(super) fn let_stay(&mut self, from: usize) {
        if let Some(told) = &mut self.telling.0 {
            told.staying.extend(from..told.messages.len());
        }
    }

    /// It has failed, and nothing of it will be done.
    #[inline]
    pub(crate) fn fail(mut self) {
        self.tally.add(self.looks);
        if !self.messages().is_empty() {
            self.telling.roll_back();
            self.telling.post(self.data(), Seq::ZERO);
        }
    }

    /// Has what is to be told go into `rooms`. Without, it goes all the same.
    pub(crate) fn tell_in(&mut self, rooms: Rooms) {
        if let Some(told) = &mut self.telling.0 {
            told.rooms = rooms;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use modb_net::{Room, Tell};

    use super::*;
    use crate::data::{Need, Tally};
    use crate::messages::{Inbox, Posted, Scope};
    use crate::store::{EngineKind, OpenOptions, open};

    /// What was heard, each with the commit that it waits for.
    #[derive(Default)]
    struct Heard(Mutex<Vec<(Seq, String)>>);

    impl Inbox for Heard {
        fn reserve(&self, _: usize, _: &dyn Fn() -> Tell) -> Option<Room> {
            None
        }
        fn post(&self, _: Option<Room>, _: usize, posted: Posted) -> bool {
            let mut heard = self.0.lock().unwrap();
            for frame in posted.frames.iter() {
                heard.push((posted.held, String::from_utf8_lossy(frame.payload()).into_owned()));
            }
            true
        }
    }

    #[test]
    fn what_a_commit_tells_is_told_behind_it_and_of_what_was_taken_back_or_dropped_nothing() {
        let options = OpenOptions { engine: EngineKind::Memory, ..OpenOptions::new("") };
        let data = Data::open(open(&options).unwrap(), 16, false).unwrap();
        let heard = Arc::new(Heard::default());
        let inbox = data.exchange().open(heard.clone());
        data.exchange().listen(inbox, Scope::Channel, b"c");
        let (held, tally, mut key_buf) =
            (data.hold_sleeping(Need::everything()), Tally::default(), Vec::new());
        let frame = |text: &str| Frame::new(Scope::Channel, b"c", text.as_bytes());
        let mut tx = Tx::new(&data, &held, &tally, &mut key_buf, 1000);
        tx.announce(frame("dropped"));
        drop(tx);
        let mut tx = Tx::new(&data, &held, &tally, &mut key_buf, 1000);
        tx.announce(frame("first"));
        tx.save();
        tx.announce(frame("taken back"));
        tx.roll_back();
        tx.announce(frame("second"));
        tx.set(0, b"k", b"v", None).unwrap();
        assert!(heard.0.lock().unwrap().is_empty());
        let written = tx.commit().unwrap().written;
        assert!(written > Seq::ZERO);
        tx.commit().unwrap();
        let expected = [(written, "first".to_owned()), (written, "second".to_owned())];
        assert_eq!(*heard.0.lock().unwrap(), expected, "and once");
    }
}
