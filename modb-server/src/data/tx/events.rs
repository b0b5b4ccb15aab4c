//! Events of keys: who writes or misses one says so here, and those who listen are told with the commit (`telling`).
//!
//! Invariant: while none are wanted (`notify-keyspace-events`), one costs a load.

use super::{Entry, Tx};
use crate::data::layout::Stored;
use crate::messages::{Event, Frame, Scope};

impl Tx<'_> {
    /// Whether events of keys are told: if not, that is all that one costs.
    #[inline]
    pub(super) fn tells_events(&self) -> bool {
        self.data().exchange().events().bits() != 0
    }

    /// Tells of an event of a key.
    #[inline]
    pub fn notify(&mut self, event: Event, database: u32, key: &[u8]) {
        if self.tells_events() {
            self.tell_event(event, database, key);
        }
    }

    /// As [`Tx::notify`], of the key of an entry.
    #[inline]
    pub fn notify_of(&mut self, event: Event, entry: &Entry<'_, impl Stored>) {
        // What is left of a database that was flushed is gone already.
        if let Some(database) = entry.database() {
            self.notify(event, database, entry.key());
        }
    }

    /// Tells that a key has got an expiry, if it has; if that has passed it has been removed.
    pub fn notify_of_expiry(&mut self, entry: &Entry<'_, impl Stored>, expires_at_ms: Option<u64>) {
        if let Some(at) = expires_at_ms {
            self.notify_of(Event::EXPIRE, entry);
            if at <= self.now_ms() {
                self.notify_of(Event::EXPIRED, entry);
            }
        }
    }

    /// Tells that the key of an entry was written, and what became of that which was there.
    #[cold]
    pub(super) fn notify_of_put(&mut self, entry: &Entry<'_, impl Stored>, event: Option<Event>) {
        if entry.has_expired() {
            self.notify_of(Event::EXPIRED, entry);
        }
        if entry.live().is_none() {
            self.notify_of(Event::NEW, entry);
        }
        event.into_iter().for_each(|event| self.notify_of(event, entry));
    }

    /// A key was looked up in order to read it: counted, and told if it was not there.
    #[inline]
    pub fn looked_up(&mut self, database: u32, key: &[u8], found: bool) {
        self.looks.count(found);
        if !found && self.tells_events() {
            self.tell_miss(database, key);
        }
    }

    #[cold]
    fn tell_miss(&mut self, database: u32, key: &[u8]) {
        let from = self.messages().len();
        self.tell_event(Event::MISS, database, key);
        self.let_stay(from);
    }

    #[cold]
    fn tell_event(&mut self, event: Event, database: u32, key: &[u8]) {
        let told = self.data().exchange().events();
        if !told.has(event.class) {
            return;
        }
        let (to_key, to_event) = told.tell();
        if to_key {
            let channel = [format!("__keyspace@{database}__:").as_bytes(), key].concat();
            self.announce(Frame::new(Scope::Channel, &channel, event.name.as_bytes()));
        }
        if to_event {
            let channel = format!("__keyevent@{database}__:{}", event.name);
            self.announce(Frame::new(Scope::Channel, channel.as_bytes(), key));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use modb_net::{Room, Tell};

    use super::*;
    use crate::data::{Data, Need, Tally};
    use crate::messages::{Classes, Inbox, Posted};
    use crate::store::{EngineKind, OpenOptions, open};

    /// What was heard.
    #[derive(Default)]
    struct Heard(Mutex<Vec<String>>);

    impl Inbox for Heard {
        fn reserve(&self, _: usize, _: &dyn Fn() -> Tell) -> Option<Room> {
            None
        }
        fn post(&self, _: Option<Room>, _: usize, posted: Posted) -> bool {
            let text = |frame: &Arc<Frame>| {
                let [channel, payload] = [frame.channel(), frame.payload()].map(String::from_utf8_lossy);
                format!("{channel} {payload}")
            };
            self.0.lock().unwrap().extend(posted.frames.iter().map(text));
            true
        }
    }

    #[test]
    fn of_what_is_taken_back_only_misses_are_told_and_of_what_is_not_wanted_nothing() {
        let options = OpenOptions { engine: EngineKind::Memory, ..OpenOptions::new("") };
        let data = Data::open(open(&options).unwrap(), 16, false).unwrap();
        let heard = Arc::new(Heard::default());
        let inbox = data.exchange().open(heard.clone());
        data.exchange().listen(inbox, Scope::Pattern, b"__key*");
        let tally = Tally::default();
        let told = |classes: &str, work: &dyn Fn(&mut Tx<'_>), fails: bool| {
            data.exchange().tell_events(Classes::parse(classes).unwrap());
            let (held, mut key_buf) = (data.hold_sleeping(Need::everything()), Vec::new());
            let mut tx = Tx::new(&data, &held, &tally, &mut key_buf, 1000);
            work(&mut tx);
            if fails {
                tx.fail();
            } else {
                tx.commit().unwrap();
            }
            std::mem::take(&mut *heard.0.lock().unwrap())
        };
        let work = |tx: &mut Tx<'_>| {
            tx.read(0, b"none").unwrap();
            tx.set(0, b"k", b"v", None).unwrap();
            tx.save();
            tx.set(0, b"l", b"v", None).unwrap();
            tx.read(1, b"none").unwrap();
            tx.delete(0, b"k").unwrap();
            tx.roll_back();
            tx.set(0, b"k", b"w", None).unwrap();
        };
        assert_eq!(told("A", &work, false).len(), 0, "told nowhere");
        assert_eq!(told("Kg", &|tx| drop(tx.delete(0, b"k")), false), ["__keyspace@0__:k del"]);
        let expected = ["0__:keymiss none", "0__:set k", "1__:keymiss none", "0__:set k"];
        assert_eq!(told("E$m", &work, false), expected.map(|event| format!("__keyevent@{event}")));
        let miss = ["__keyspace@0__:none keymiss", "__keyevent@0__:keymiss none"];
        assert_eq!(told("KEAm", &|tx| drop(tx.read(0, b"none")), true), miss);
        let expires = |tx: &mut Tx<'_>| tx.set(0, b"e", b"v", Some(1000)).unwrap();
        let expected = ["set e", "expire e", "expired e"].map(|event| format!("__keyevent@0__:{event}"));
        assert_eq!(told("EA", &expires, false), expected, "its time was over before it came");
    }
}
