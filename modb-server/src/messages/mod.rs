//! Published messages: who listens to what, and how a message comes to all of them in one order.
//!
//! The [`Exchange`] knows how many listeners each name has in each [`Inbox`]; who they are, their inbox knows. Whoever
//! publishes takes its lock once to ask for room in every inbox that is concerned, before what the messages tell of is done
//! ([`Exchange::reserve`]), and once to post ([`Exchange::post`]). Invariants: all posting happens under the one lock, so every
//! inbox has its messages in one order, that of their numbers; a message is posted at most once into an inbox, however many
//! listen there; whoever listens since a number is due the messages behind it, and no others; nobody waits with the lock.

mod ear;
mod events;
mod few;
mod frame;
mod mailbox;
mod rooms;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use foldhash::fast::RandomState;
use modb_net::{OutputLimits, Room, Seq, Tell};

pub use ear::Ear;
pub use events::{Classes, Event};
pub use few::Few;
pub use frame::{Frame, Recipient, Scope, Through, To};
pub use mailbox::{End, Mail, Mailbox, Taken};
pub use rooms::Rooms;

use crate::glob;

/// Where the messages for some listeners go: a worker of a server, or a subscription of an embedding program.
pub trait Inbox: Send + Sync {
    /// Room for messages of so many bytes, if it waits for any.
    fn reserve(&self, bytes: usize, tell: &dyn Fn() -> Tell) -> Option<Room>;
    /// Takes messages in; `false`: it takes no more, and is closed. Without `room` they come all the same. Called under the lock of
    /// the exchange: to be short, and not to call it.
    fn post(&self, room: Option<Room>, bytes: usize, posted: Posted) -> bool;
    /// It was closed, since it took no more. Called without the lock.
    fn cut_off(&self) {}
    /// No more will come, since the database is closed. Called without the lock.
    fn end(&self) {}
    /// Whether it is one who listens, and not a place for many. Called under the lock.
    fn is_client(&self) -> bool {
        false
    }
}

/// Messages of one command, as they come into an inbox.
#[derive(Clone, Debug)]
pub struct Posted {
    /// The number of the first; the others follow.
    pub first: u64,
    /// The commit that must be safe before anybody hears of them.
    pub held: Seq,
    /// The messages, in order.
    pub frames: Few<Arc<Frame>>,
}

/// Who listens to what.
#[derive(Default)]
pub struct Exchange {
    state: Mutex<State>,
    /// The classes of events of keys that are told.
    events: AtomicU32,
    /// How many monitor.
    monitors: AtomicUsize,
    /// How much may wait in a mailbox.
    bound: Arc<mailbox::Bound>,
    /// How many clients track keys.
    trackers: AtomicUsize,
    /// The sum of both.
    attend: AtomicUsize,
}

#[derive(Default)]
struct State {
    inboxes: HashMap<u64, Arc<dyn Inbox>, RandomState>,
    last_inbox: u64,
    /// The database is closed.
    ended: bool,
    names: Names,
    /// The number of the last message.
    posted: u64,
    /// The inboxes that the messages concern which are looked at: kept for its memory.
    concerned: Vec<u64>,
}

/// By scope: each name that somebody listens to.
type Names = [HashMap<Bytes, Listeners, RandomState>; Scope::ALL.len()];

/// How many listen, by inbox; never 0 of one.
type Listeners = Vec<(u64, usize)>;

impl Exchange {
    /// The classes of events of keys that are told.
    #[inline]
    pub fn events(&self) -> Classes {
        Classes::from_bits(self.events.load(Ordering::Relaxed))
    }

    /// From now on events of these classes are told.
    pub fn tell_events(&self, classes: Classes) {
        self.events.store(classes.bits(), Ordering::Relaxed);
    }

    /// Whether anybody monitors, or tracks keys.
    #[inline]
    pub fn is_attended(&self) -> bool {
        self.attend.load(Ordering::Relaxed) > 0
    }

    /// Whether anybody monitors. Whoever has just begun to may miss what others are doing meanwhile.
    pub fn is_monitored(&self) -> bool {
        self.monitors.load(Ordering::Relaxed) > 0
    }

    /// From now on so much may wait in a mailbox.
    pub fn bound_mailboxes(&self, limits: OutputLimits) {
        self.bound.set(limits);
    }

    /// One more tracks keys, or one less.
    pub fn count_tracker(&self, more: bool) {
        let _state = self.lock();
        let trackers = self.trackers.load(Ordering::Relaxed);
        self.trackers.store(if more { trackers + 1 } else { trackers.saturating_sub(1) }, Ordering::Relaxed);
        self.sum_up();
    }

    fn sum_up(&self) {
        let sum = self.monitors.load(Ordering::Relaxed) + self.trackers.load(Ordering::Relaxed);
        self.attend.store(sum, Ordering::Relaxed);
    }

    /// From now on messages may come to `inbox`, which has this number.
    pub fn open(&self, inbox: Arc<dyn Inbox>) -> u64 {
        let mut state = self.lock();
        state.last_inbox += 1;
        let number = state.last_inbox;
        if !state.ended {
            state.inboxes.insert(number, inbox);
            return number;
        }
        drop(state);
        inbox.end();
        number
    }

    /// No message comes to this inbox any more.
    pub fn close(&self, inbox: u64) {
        let mut state = self.lock();
        let closed = state.close(inbox);
        self.count_monitors(&state);
        drop(state);
        // With what waits in it; not under the lock.
        drop(closed);
    }

    /// The database is closed: tells all inboxes, those that are yet to be opened among them.
    pub fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        let inboxes: Vec<_> = state.inboxes.values().cloned().collect();
        drop(state);
        inboxes.iter().for_each(|inbox| inbox.end());
    }

    /// One more listens to `name`, at `inbox`. Answers the number of the last message that is not for him, and the name, of which
    /// there is one copy.
    pub fn listen(&self, inbox: u64, scope: Scope, name: &[u8]) -> (u64, Bytes) {
        let mut state = self.lock();
        let name = state.copy_of(scope, name);
        state.enter(inbox, scope, name.clone());
        self.count_monitors(&state);
        (state.posted, name)
    }

    /// One less listens to `name` at `inbox`.
    pub fn leave(&self, inbox: u64, scope: Scope, name: &[u8]) {
        let mut state = self.lock();
        state.leave(inbox, scope, name);
        self.count_monitors(&state);
    }

    /// Who monitors listens to the one name of that scope.
    fn count_monitors(&self, state: &State) {
        let counts = state.names[Scope::Commands as usize].values().flatten().map(|(_, count)| count);
        self.monitors.store(counts.sum(), Ordering::Relaxed);
        self.sum_up();
    }

    /// How many inboxes are of one who listens.
    pub fn clients(&self) -> usize {
        self.lock().inboxes.values().filter(|inbox| inbox.is_client()).count()
    }

    /// How many a message comes to.
    pub fn listeners(&self, scope: Scope, channel: &[u8]) -> usize {
        let mut sum = 0;
        visit_concerned(&self.lock().names, scope, channel, |_, count| sum += count);
        sum
    }

    /// How many listen to exactly this name.
    pub fn listen_to(&self, scope: Scope, name: &[u8]) -> usize {
        let state = self.lock();
        let listeners = state.names[scope as usize].get(name);
        listeners.map_or(0, |listeners| listeners.iter().map(|(_, count)| count).sum())
    }

    /// The names that somebody listens to and that match `pattern`.
    pub fn names(&self, scope: Scope, pattern: Option<&[u8]>) -> Vec<Bytes> {
        let matches = |name: &&Bytes| pattern.is_none_or(|pattern| glob::matches(pattern, name, false));
        self.lock().names[scope as usize].keys().filter(matches).cloned().collect()
    }

    /// How many names somebody listens to.
    pub fn count(&self, scope: Scope) -> usize {
        self.lock().names[scope as usize].len()
    }

    /// Asks for room for messages in every inbox that they concern: to be posted once `rooms` are all there. Answers about how
    /// many bytes will be written to all who listen. Asked again, with rooms that were waited for, it asks for no more: who
    /// has come to listen meanwhile is not waited for, since others may wait for those rooms.
    pub fn reserve(&self, frames: &[Arc<Frame>], rooms: &mut Rooms, tell: &dyn Fn() -> Tell) -> usize {
        let mut state = self.lock();
        let written = state.find_concerned(frames);
        if rooms.is_empty() {
            let bytes = frames.iter().map(|frame| frame.bytes()).sum();
            for number in &state.concerned {
                if let Some(room) = state.inboxes.get(number).and_then(|inbox| inbox.reserve(bytes, tell)) {
                    rooms.add(*number, room);
                }
            }
        }
        written
    }

    /// Posts messages that tell of the commit `held`, into `rooms` as far as there are any.
    pub fn post(&self, frames: impl Into<Few<Arc<Frame>>>, held: Seq, mut rooms: Rooms) {
        let frames = frames.into();
        let bytes = frames.iter().map(|frame| frame.bytes()).sum();
        let mut state = self.lock();
        let posted = Posted { first: state.posted + 1, held, frames };
        state.posted += posted.frames.len() as u64;
        state.find_concerned(&posted.frames);
        let mut full = Vec::new();
        for number in &state.concerned {
            if let Some(inbox) = state.inboxes.get(number)
                && !inbox.post(rooms.take(*number), bytes, posted.clone())
            {
                full.push(*number);
            }
        }
        let cut_off: Vec<_> = full.into_iter().filter_map(|inbox| state.close(inbox)).collect();
        drop(state);
        // Rooms that nobody needs tell others; not under the lock.
        drop(rooms);
        cut_off.iter().for_each(|inbox| inbox.cut_off());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // What runs under the lock is this file and the inboxes, which only take in; what a poisoned one guards is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn close(&mut self, inbox: u64) -> Option<Arc<dyn Inbox>> {
        for names in &mut self.names {
            names.retain(|_, listeners| {
                listeners.retain(|(at, _)| *at != inbox);
                !listeners.is_empty()
            });
        }
        self.inboxes.remove(&inbox)
    }

    /// A name that is kept; of each there is one copy.
    fn copy_of(&self, scope: Scope, name: &[u8]) -> Bytes {
        let known = self.names[scope as usize].get_key_value(name);
        known.map_or_else(|| Bytes::copy_from_slice(name), |(known, _)| known.clone())
    }

    fn enter(&mut self, inbox: u64, scope: Scope, name: Bytes) {
        let listeners = self.names[scope as usize].entry(name).or_default();
        match listeners.iter_mut().find(|(at, _)| *at == inbox) {
            Some((_, count)) => *count += 1,
            None => listeners.push((inbox, 1)),
        }
    }

    fn leave(&mut self, inbox: u64, scope: Scope, name: &[u8]) {
        let names = &mut self.names[scope as usize];
        let Some(listeners) = names.get_mut(name) else { return };
        if let Some(at) = listeners.iter().position(|(at, _)| *at == inbox) {
            listeners[at].1 -= 1;
            if listeners[at].1 == 0 {
                listeners.swap_remove(at);
            }
        }
        if listeners.is_empty() {
            names.remove(name);
        }
    }

    /// Finds the inboxes that messages concern; about how many bytes will be written to those who listen there.
    fn find_concerned(&mut self, frames: &[Arc<Frame>]) -> usize {
        let (inboxes, mut written) = (&mut self.concerned, 0);
        inboxes.clear();
        for frame in frames {
            let mut concern = |inbox, count: usize| {
                written += count * frame.bytes();
                if !inboxes.contains(&inbox) {
                    inboxes.push(inbox);
                }
            };
            match frame.to() {
                To::Listeners(scope, channel) => visit_concerned(&self.names, scope, channel, concern),
                To::Each(to) => {
                    to.iter().filter_map(|one| one.ear.at()).for_each(|(inbox, _)| concern(inbox, 1));
                }
            }
        }
        written
    }
}

/// Calls `visit` with each inbox that a message concerns, and how many listen there: once for the channel, and once for each
/// pattern that matches.
fn visit_concerned(names: &Names, scope: Scope, channel: &[u8], mut visit: impl FnMut(u64, usize)) {
    let exact = names[scope as usize].get(channel).into_iter().flatten();
    exact.for_each(|(inbox, count)| visit(*inbox, *count));
    if scope == Scope::Channel {
        for (pattern, listeners) in &names[Scope::Pattern as usize] {
            if glob::matches(pattern, channel, false) {
                listeners.iter().for_each(|(inbox, count)| visit(*inbox, *count));
            }
        }
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Exchange").field("posted", &state.posted).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An inbox that keeps what comes.
    #[derive(Default)]
    struct Kept(Mutex<Vec<(u64, String)>>);

    impl Inbox for Kept {
        fn reserve(&self, _: usize, _: &dyn Fn() -> Tell) -> Option<Room> {
            None
        }
        fn post(&self, _: Option<Room>, _: usize, posted: Posted) -> bool {
            let mut kept = self.0.lock().unwrap();
            for (number, frame) in (posted.first..).zip(posted.frames.iter()) {
                kept.push((number, String::from_utf8_lossy(frame.payload()).into_owned()));
            }
            true
        }
    }

    fn publish(exchange: &Exchange, scope: Scope, channel: &str, text: &str) -> usize {
        let frame = Arc::new(Frame::new(scope, channel.as_bytes(), text.as_bytes()));
        let count = exchange.listeners(scope, channel.as_bytes());
        exchange.post(vec![frame], Seq::ZERO, Rooms::default());
        count
    }

    #[test]
    fn a_message_comes_once_into_each_inbox_that_it_concerns() {
        let exchange = Exchange::default();
        let (a, b) = (Arc::new(Kept::default()), Arc::new(Kept::default()));
        let (one, two) = (exchange.open(a.clone()), exchange.open(b.clone()));
        exchange.listen(one, Scope::Channel, b"news");
        exchange.listen(one, Scope::Channel, b"news");
        exchange.listen(one, Scope::Pattern, b"n*");
        exchange.listen(one, Scope::Pattern, b"*s");
        exchange.listen(two, Scope::Pattern, b"n?");
        exchange.listen(two, Scope::Shard, b"news");
        assert_eq!(publish(&exchange, Scope::Channel, "news", "first"), 4);
        assert_eq!(publish(&exchange, Scope::Channel, "no", "second"), 2);
        assert_eq!(publish(&exchange, Scope::Shard, "news", "third"), 1);
        assert_eq!(publish(&exchange, Scope::Channel, "other", "nobody"), 0);
        let texts = |kept: &Kept| kept.0.lock().unwrap().clone();
        assert_eq!(texts(&a), [(1, "first".into()), (2, "second".into())]);
        assert_eq!(texts(&b), [(2, "second".into()), (3, "third".into())]);
    }

    #[test]
    fn who_leaves_is_not_counted_and_leaves_nothing_behind() {
        let exchange = Exchange::default();
        let inbox = exchange.open(Arc::new(Kept::default()));
        let (since, name) = exchange.listen(inbox, Scope::Channel, b"x");
        exchange.listen(inbox, Scope::Channel, b"x");
        assert_eq!((since, &name[..]), (0, &b"x"[..]));
        publish(&exchange, Scope::Channel, "x", "1");
        assert_eq!(
            exchange.listen(inbox, Scope::Pattern, b"*").0,
            1,
            "what was published before is not for him"
        );
        exchange.leave(inbox, Scope::Channel, b"x");
        assert_eq!(
            (exchange.listeners(Scope::Channel, b"x"), exchange.listen_to(Scope::Channel, b"x")),
            (2, 1)
        );
        exchange.leave(inbox, Scope::Channel, b"x");
        exchange.leave(inbox, Scope::Channel, b"x");
        assert_eq!((exchange.count(Scope::Channel), exchange.count(Scope::Pattern)), (0, 1));
        exchange.close(inbox);
        assert_eq!(exchange.count(Scope::Pattern), 0);
    }

    #[test]
    fn names_are_listed_by_pattern() {
        let exchange = Exchange::default();
        let inbox = exchange.open(Arc::new(Kept::default()));
        for name in ["news", "noise", "chat"] {
            exchange.listen(inbox, Scope::Channel, name.as_bytes());
        }
        let mut found = exchange.names(Scope::Channel, Some(b"n*"));
        found.sort();
        assert_eq!(found, ["news", "noise"]);
        assert_eq!(exchange.names(Scope::Channel, None).len(), 3);
        assert_eq!(exchange.names(Scope::Shard, None).len(), 0);
    }
}
