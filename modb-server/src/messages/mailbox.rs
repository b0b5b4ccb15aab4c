//! The inbox of a subscription of an embedding program: what has come, until somebody reads it.
//!
//! Invariants: the names that it goes by change under the lock of the exchange, so it holds what it is counted for, no more and no
//! less, once for the channel and once for each pattern that matches; it never holds more than its bound, and nobody who posts waits
//! for it: one in which more would wait is cut off, which ends it behind what it holds; whoever sleeps is woken by whatever comes,
//! and by its end.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use modb_net::{OutputLimits, Room, Seq, Tell};

use super::{Exchange, Frame, Inbox, Posted, Scope, To};
use crate::glob;

/// Messages that nobody has read yet.
pub struct Mailbox {
    state: Mutex<State>,
    changed: Condvar,
    bound: Arc<Bound>,
}

/// How much may wait in each, which all of an exchange share.
pub(super) struct Bound(Mutex<OutputLimits>);

struct State {
    /// What is listened to, by scope.
    names: [BTreeSet<Bytes>; Scope::ALL.len()],
    waiting: VecDeque<Mail>,
    /// What that takes.
    bytes: usize,
    /// Since when it takes more than it may for long.
    slow_since: Option<Instant>,
    /// Those who sleep until something comes.
    sleepers: usize,
    end: Option<End>,
}

/// A message as it came.
#[derive(Clone, Debug)]
pub struct Mail {
    /// The message.
    pub frame: Arc<Frame>,
    /// The pattern through which it came, if not by its channel.
    pub pattern: Option<Bytes>,
    /// The commit that must be safe before anybody hears of it.
    held: Seq,
}

impl Mail {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.frame.bytes() + self.pattern.as_ref().map_or(0, Bytes::len)
    }
}

/// Why nothing more comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// More than the bound waited.
    CutOff,
    /// The database is closed.
    Closed,
}

/// What [`Mailbox::take`] finds.
#[derive(Debug)]
pub enum Taken {
    /// The first message.
    Mail(Mail),
    /// The first must wait for this commit.
    Held(Seq),
    /// There is none.
    Nothing,
    /// There is none, and none will come.
    Ended(End),
}

impl Mailbox {
    /// Takes the first message, if it tells of nothing behind the commit `settled`.
    pub fn take(&self, settled: Seq) -> Taken {
        let mut state = self.lock();
        match (state.waiting.front(), state.end) {
            (Some(first), _) if first.held > settled => return Taken::Held(first.held),
            (Some(_), _) => {}
            (None, Some(end)) => return Taken::Ended(end),
            (None, None) => return Taken::Nothing,
        }
        let Some(mail) = state.waiting.pop_front() else { return Taken::Nothing };
        state.bytes -= mail.bytes();
        if state.bytes <= self.bound.get().soft_bytes {
            state.slow_since = None;
        }
        Taken::Mail(mail)
    }

    /// Sleeps until there may be something to take, or it has ended; `false`: it is `until` then.
    pub fn sleep(&self, until: Option<Instant>) -> bool {
        let mut state = self.lock();
        while state.waiting.is_empty() && state.end.is_none() {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return false;
            }
            state.sleepers += 1;
            state = match left {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) => {
                    self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
            state.sleepers -= 1;
        }
        true
    }

    /// How many sleep until something comes.
    #[cfg(test)]
    pub fn sleepers(&self) -> usize {
        self.lock().sleepers
    }

    /// Wakes those who sleep. It is a system call, which most who post are spared.
    fn wake(&self, state: &State) {
        if state.sleepers > 0 {
            self.changed.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // What runs under the lock is this file; what a poisoned one guards is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inbox for Mailbox {
    fn reserve(&self, _: usize, _: &dyn Fn() -> Tell) -> Option<Room> {
        None
    }

    fn post(&self, _: Option<Room>, _: usize, posted: Posted) -> bool {
        let (mut state, limits) = (self.lock(), self.bound.get());
        for frame in posted.frames.iter() {
            state.add(frame, posted.held, limits);
        }
        self.wake(&state);
        state.end != Some(End::CutOff)
    }

    fn cut_off(&self) {
        tracing::warn!(
            "a subscription of the program was cut off: it did not read fast enough, and more than \
             client-output-buffer-limit allows waited for it"
        );
    }

    fn end(&self) {
        let mut state = self.lock();
        state.end = Some(End::Closed);
        let rest = std::mem::take(&mut state.waiting);
        state.bytes = 0;
        self.wake(&state);
        drop(state);
        drop(rest);
    }

    fn is_client(&self) -> bool {
        self.lock().names.iter().any(|names| !names.is_empty())
    }
}

impl State {
    /// Takes a message in as often as it is listened to, as far as there is room.
    fn add(&mut self, frame: &Arc<Frame>, held: Seq, limits: OutputLimits) {
        let through =
            |pattern: Option<&Bytes>| Mail { frame: Arc::clone(frame), pattern: pattern.cloned(), held };
        let To::Listeners(scope, channel) = frame.to() else { return };
        let by_name = self.names[scope as usize].contains(channel).then(|| through(None));
        let patterns = match scope {
            Scope::Channel => &self.names[Scope::Pattern as usize],
            Scope::Pattern | Scope::Shard | Scope::Commands => &BTreeSet::new(),
        };
        let matching = patterns.iter().filter(|pattern| glob::matches(pattern, channel, false));
        let all: Vec<Mail> =
            by_name.into_iter().chain(matching.map(|pattern| through(Some(pattern)))).collect();
        for mail in all {
            if self.end.is_some() {
                return;
            }
            if self.has_room_for(mail.bytes(), limits) {
                self.bytes += mail.bytes();
                self.waiting.push_back(mail);
            } else {
                self.end = Some(End::CutOff);
            }
        }
    }

    fn has_room_for(&mut self, bytes: usize, limits: OutputLimits) -> bool {
        let bytes = self.bytes.saturating_add(bytes);
        let is_slow = bytes > limits.soft_bytes && {
            let since = *self.slow_since.get_or_insert_with(Instant::now);
            since.elapsed() >= limits.soft_timeout
        };
        bytes <= limits.hard_bytes && !is_slow
    }
}

impl Default for Bound {
    fn default() -> Self {
        Self(Mutex::new(OutputLimits::NONE))
    }
}

impl Bound {
    fn get(&self) -> OutputLimits {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set(&self, limits: OutputLimits) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = limits;
    }
}

impl Exchange {
    /// A mailbox, which listens to nothing yet, and its number.
    pub fn open_mailbox(&self) -> (u64, Arc<Mailbox>) {
        let state = Mutex::new(State {
            names: Default::default(),
            waiting: VecDeque::new(),
            bytes: 0,
            slow_since: None,
            sleepers: 0,
            end: None,
        });
        let bound = Arc::clone(&self.bound);
        let mailbox = Arc::new(Mailbox { state, changed: Condvar::new(), bound });
        (self.open(mailbox.clone()), mailbox)
    }

    /// Has a mailbox listen to all these names, from one moment on.
    ///
    /// # Errors
    /// It has ended.
    pub fn subscribe(
        &self,
        (inbox, mailbox): (u64, &Mailbox),
        scope: Scope,
        names: &[&[u8]],
    ) -> Result<(), End> {
        let mut state = self.lock();
        if let Some(end) = mailbox.lock().end {
            return Err(end);
        }
        for name in names {
            let name = state.copy_of(scope, name);
            if mailbox.lock().names[scope as usize].insert(name.clone()) {
                state.enter(inbox, scope, name);
            }
        }
        Ok(())
    }

    /// Has a mailbox listen to these names no longer; what has come stays.
    pub fn unsubscribe(&self, (inbox, mailbox): (u64, &Mailbox), scope: Scope, names: &[&[u8]]) {
        let mut state = self.lock();
        for name in names {
            if mailbox.lock().names[scope as usize].remove(*name) {
                state.leave(inbox, scope, name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::messages::Rooms;

    fn publish(exchange: &Exchange, channel: &str, text: &str, held: Seq) {
        let frame = Arc::new(Frame::new(Scope::Channel, channel.as_bytes(), text.as_bytes()));
        exchange.post(vec![frame], held, Rooms::default());
    }

    /// All that may be heard.
    fn heard(mailbox: &Mailbox, settled: Seq) -> Vec<String> {
        let mut heard = Vec::new();
        while let Taken::Mail(mail) = mailbox.take(settled) {
            let pattern = mail.pattern.map(|pattern| format!("{}: ", pattern.escape_ascii()));
            heard.push(format!("{}{}", pattern.unwrap_or_default(), mail.frame.payload().escape_ascii()));
        }
        heard
    }

    #[test]
    fn it_holds_what_it_is_counted_for_in_order_and_once_for_each_name() {
        let exchange = Exchange::default();
        let (number, mailbox) = exchange.open_mailbox();
        let own = (number, &*mailbox);
        publish(&exchange, "a", "before", Seq::ZERO);
        exchange.subscribe(own, Scope::Channel, &[b"a", b"b", b"a"]).unwrap();
        exchange.subscribe(own, Scope::Pattern, &[b"?", b"b*"]).unwrap();
        assert_eq!(
            (exchange.listeners(Scope::Channel, b"a"), exchange.listeners(Scope::Channel, b"b")),
            (2, 3)
        );
        assert_eq!((exchange.clients(), exchange.count(Scope::Pattern)), (1, 2));
        for (channel, text) in [("b", "1"), ("c", "2"), ("cc", "3"), ("bb", "4")] {
            publish(&exchange, channel, text, Seq::ZERO);
        }
        assert_eq!(heard(&mailbox, Seq::ZERO), ["1", "?: 1", "b*: 1", "?: 2", "b*: 4"]);
        exchange.unsubscribe(own, Scope::Pattern, &[b"?", b"nothing"]);
        exchange.unsubscribe(own, Scope::Channel, &[b"a", b"a"]);
        publish(&exchange, "a", "5", Seq::ZERO);
        publish(&exchange, "b", "6", Seq::ZERO);
        exchange.close(number);
        publish(&exchange, "b", "7", Seq::ZERO);
        assert_eq!(heard(&mailbox, Seq::ZERO), ["6", "b*: 6"]);
        let left = Scope::ALL.map(|scope| exchange.count(scope));
        assert_eq!((exchange.clients(), left), (0, [0; 4]), "who has gone leaves nothing");
    }

    #[test]
    fn what_tells_of_a_commit_waits_for_it_and_what_is_behind_waits_with_it() {
        let exchange = Exchange::default();
        let (number, mailbox) = exchange.open_mailbox();
        exchange.subscribe((number, &mailbox), Scope::Channel, &[b"a"]).unwrap();
        let [first, second] = [1, 2].map(Seq);
        publish(&exchange, "a", "1", second);
        publish(&exchange, "a", "2", Seq::ZERO);
        assert!(matches!(mailbox.take(first), Taken::Held(seq) if seq == second));
        assert_eq!(heard(&mailbox, second), ["1", "2"]);
    }

    #[test]
    fn one_in_which_too_much_waits_is_cut_off_behind_what_it_holds() {
        let exchange = Exchange::default();
        let limits =
            |hard_bytes, soft_bytes, soft_timeout| OutputLimits { hard_bytes, soft_bytes, soft_timeout };
        for (limits, fit) in [
            (limits(2000, usize::MAX, Duration::ZERO), 10..30),
            // At once, once it is over the soft one.
            (limits(usize::MAX, 500, Duration::ZERO), 1..6),
            (limits(usize::MAX, usize::MAX, Duration::ZERO), 1000..1001),
        ] {
            exchange.bound_mailboxes(limits);
            let ((number, mailbox), (other, read)) = (exchange.open_mailbox(), exchange.open_mailbox());
            exchange.subscribe((number, &mailbox), Scope::Channel, &[b"a", b"b"]).unwrap();
            exchange.subscribe((other, &read), Scope::Channel, &[b"a"]).unwrap();
            for n in 0..1000 {
                publish(&exchange, "a", &n.to_string(), Seq::ZERO);
                assert_eq!(heard(&read, Seq::ZERO), [n.to_string()], "another hears all of it");
            }
            assert!(mailbox.lock().bytes <= limits.hard_bytes.min(limits.soft_bytes), "it is bounded");
            let kept = heard(&mailbox, Seq::ZERO);
            assert!(fit.contains(&kept.len()), "{} fit", kept.len());
            assert!(kept.iter().enumerate().all(|(n, text)| *text == n.to_string()), "without a gap");
            if kept.len() < 1000 {
                assert!(matches!(mailbox.take(Seq::ZERO), Taken::Ended(End::CutOff)));
                assert_eq!(exchange.listen_to(Scope::Channel, b"b"), 0, "it is counted no longer");
                let more = exchange.subscribe((number, &mailbox), Scope::Channel, &[b"c"]);
                assert_eq!((more, exchange.listen_to(Scope::Channel, b"c")), (Err(End::CutOff), 0));
            }
            exchange.close(number);
            exchange.close(other);
        }
    }

    #[test]
    fn whoever_sleeps_is_woken_by_what_comes_and_by_the_end() {
        let exchange = Exchange::default();
        let (number, mailbox) = exchange.open_mailbox();
        exchange.subscribe((number, &mailbox), Scope::Channel, &[b"a"]).unwrap();
        assert!(!mailbox.sleep(Some(Instant::now())), "its time is over");
        std::thread::scope(|scope| {
            let sleeper = scope.spawn(|| {
                mailbox.sleep(None);
                assert_eq!(heard(&mailbox, Seq::ZERO), ["1"]);
                mailbox.sleep(None);
                assert!(matches!(mailbox.take(Seq::ZERO), Taken::Ended(End::Closed)));
            });
            publish(&exchange, "a", "1", Seq::ZERO);
            while mailbox.lock().bytes > 0 {
                std::thread::yield_now();
            }
            exchange.end();
            sleeper.join().unwrap();
        });
        // And none begins after it.
        let (number, late) = exchange.open_mailbox();
        assert_eq!(exchange.subscribe((number, &late), Scope::Channel, &[b"a"]), Err(End::Closed));
        assert!(late.sleep(None));
    }
}
