//! What a client has queued since `MULTI`, and the keys that it watches.
//!
//! Invariants: what is queued was found in the table, with as many words as it must have; which stripes all of it needs is
//! known without looking at it again. A run that is given up leaves the queue, the watches and what clients see of each other
//! ([`Before`]) as they were, and what acts outside of the data is done once, however often it is run.

use std::collections::BTreeMap;
use std::sync::Arc;

use modb_net::resp::{Args, KeptRequests, Protocol};

use super::client::{Client, ReplyMode};
use super::clients::Shown;
use super::spare::{self, Spare};
use super::spec::Flags;
use super::table::Resolved;
use super::weight::Weight;
use crate::command::language::reply::Reply;
use crate::data::{Data, INTEREST_BYTES, Need, Told, Union, Watch};

/// What a word takes beside its bytes while commands gather what they write, about.
const BATCHED_WORD_BYTES: usize = 128;

/// What one watched key takes for its client beside its bytes, which are there three times, about.
pub(super) const WATCH_BYTES: usize = INTEREST_BYTES + 256;

/// What a word that is queued takes beside its bytes, about, with its part of what is known of its command.
pub(super) const QUEUED_BYTES: usize = 32;

/// What a request is weighed by before it may run.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// What its commands are.
    pub flags: Flags,
    /// Its words.
    pub words: usize,
    /// Its bytes.
    pub bytes: usize,
}

impl Load {
    /// What there is while it gathers what it writes, about.
    pub fn batch_bytes(&self) -> usize {
        self.bytes.saturating_add(self.words.saturating_mul(BATCHED_WORD_BYTES))
    }

    /// Whether that is so little that no room is asked for it.
    #[inline(always)]
    pub fn is_small(&self) -> bool {
        self.batch_bytes() <= modb_net::Limits::SMALL_REPLY_BYTES
    }
}

/// Since `MULTI`.
#[derive(Debug)]
pub struct Transaction {
    /// None: whoever executes it has it.
    queue: Option<Box<Queue>>,
    /// A request was refused: nothing of it will be executed.
    pub(crate) spoiled: bool,
    /// It is executed now, or is to be executed again.
    before: Option<Before>,
}

/// What the queue of a transaction may take, in bytes, and the number of its requests, so that its room is kept for the next.
const KEPT_BYTES: usize = 4096;
const KEPT_REQUESTS: usize = 64;

thread_local! {
    static SPARE: Spare<Queue> = const { Spare::none() };
}

/// Requests that will be executed together.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    requests: KeptRequests<Resolved>,
    flags: Flags,
    /// What all of them weigh, but for what their keys hold.
    weight: Weight,
    /// There are some whose keys have to be looked at, to know what they weigh.
    weighs_keys: bool,
    stripes: Union,
    /// It works on whole databases.
    everything: bool,
    /// Replies of what acts outside of the data and was done by a run that was given up, ascending by place.
    done: Vec<(usize, Reply)>,
    /// How long each took in the last run, in nanoseconds.
    laps_ns: Vec<u64>,
}

impl Transaction {
    pub(crate) fn new() -> Self {
        Self { queue: Some(spare::take(&SPARE)), spoiled: false, before: None }
    }

    /// What is queued, unless it is executed now.
    #[inline]
    pub(crate) fn queue(&self) -> Option<&Queue> {
        self.queue.as_deref()
    }

    /// Whether requests are queued now, instead of being executed.
    pub(crate) fn is_executing(&self) -> bool {
        self.before.is_some()
    }

    /// Heap memory held, in bytes.
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        self.queue().map_or(0, |queue| queue.requests.memory_bytes()) + Union::BYTES
    }

    /// So many bytes more there are while one more request comes to be queued.
    #[inline]
    pub(super) fn room_to_queue(&self, load: &Load) -> usize {
        self.queue().map_or(0, |queue| queue.requests.room_for(load.words, load.bytes))
    }
}

impl Queue {
    pub(crate) fn push(&mut self, resolved: Resolved, args: Args<'_>, data: &Data) {
        let spec = resolved.spec;
        self.requests.push(args, resolved);
        self.flags = self.flags.and(spec.flags);
        self.weight = self.weight.and(Weight::of_words(spec, args.len()));
        self.weighs_keys |= spec.weigh.is_some();
        self.everything |=
            spec.flags.has(Flags::ALL_KEYS) || spec.keys.is_empty() && spec.flags.has(Flags::READONLY);
        // Its key says which others it reads, as those of `SORT` do.
        let names_others = spec.keys.first().is_some_and(|key| key.single().is_some());
        self.everything |= names_others && spec.flags.has(Flags::MOVABLEKEYS);
        match spec.only_key() {
            Some(key) => data.add_key(&mut self.stripes, &args[key]),
            None => {
                spec.for_each_key(args, |index, _| data.add_key(&mut self.stripes, &args[index]));
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.requests.len()
    }

    /// Nothing is in it any more; for the next transaction of this thread, unless it is large.
    fn end(mut self: Box<Self>) {
        let Self { requests, flags, weight, weighs_keys, stripes, everything, done, laps_ns } = &mut *self;
        if requests.memory_bytes() > KEPT_BYTES || laps_ns.capacity() > KEPT_REQUESTS {
            return;
        }
        requests.clear();
        laps_ns.clear();
        (*flags, *weight, *weighs_keys, *everything) = Default::default();
        (*stripes, *done) = Default::default();
        spare::keep(&SPARE, self);
    }

    /// What its commands are, together.
    pub(crate) fn flags(&self) -> Flags {
        self.flags
    }

    /// Whether it works on whole databases.
    pub(crate) fn has_everything(&self) -> bool {
        self.everything
    }

    /// What all of its commands weigh, if none of their keys has to be looked at for that.
    pub(crate) fn weight(&self) -> Option<Weight> {
        (!self.weighs_keys).then_some(self.weight)
    }

    /// Its requests, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Resolved, Args<'_>)> {
        self.requests.iter()
    }

    /// The same, to be executed, and where what has come of them is noted.
    pub(crate) fn run(&mut self) -> (impl Iterator<Item = (Resolved, Args<'_>)>, Notes<'_>) {
        let Self { requests, done, laps_ns, .. } = self;
        laps_ns.clear();
        (requests.iter(), Notes { done, laps_ns })
    }

    /// How long each command took in the last run, in nanoseconds.
    pub(crate) fn laps_ns(&self) -> &[u64] {
        &self.laps_ns
    }
}

/// What has come of the commands of a run.
pub(crate) struct Notes<'q> {
    done: &'q mut Vec<(usize, Reply)>,
    laps_ns: &'q mut Vec<u64>,
}

impl Notes<'_> {
    /// The reply of a command that was executed by a run that was given up, and is not done again.
    pub(crate) fn done(&self, at: usize) -> Option<&Reply> {
        let found = self.done.binary_search_by_key(&at, |(done, _)| *done).ok()?;
        Some(&self.done[found].1)
    }

    /// Remembers one, of a command that stands behind all those before.
    pub(crate) fn note_done(&mut self, at: usize, reply: Reply) {
        self.done.push((at, reply));
    }

    /// The next command took so long, in nanoseconds.
    pub(crate) fn note_lap(&mut self, nanos: u64) {
        self.laps_ns.push(nanos);
    }
}

/// The keys that a client watches.
#[derive(Debug, Default)]
pub struct Watches {
    /// Whether any was changed.
    pub(crate) told: Arc<Told>,
    /// By database and key.
    pub(crate) keys: BTreeMap<(u32, Box<[u8]>), Watch>,
    bytes: usize,
    stripes: Union,
}

impl Watches {
    pub(crate) fn add(&mut self, watch: Watch, data: &Data) {
        data.add_key(&mut self.stripes, watch.key());
        self.bytes += WATCH_BYTES + 3 * watch.key().len();
        self.keys.insert((watch.database(), watch.key().into()), watch);
    }
}

/// What commands change of a client, as it was before its transaction was executed.
#[derive(Debug)]
struct Before {
    database: u32,
    protocol: Protocol,
    authenticated: bool,
    reply_mode: ReplyMode,
    shown: Shown,
}

impl Client {
    /// Whether requests are queued.
    #[inline]
    pub(crate) fn is_in_multi(&self) -> bool {
        self.rare().is_some_and(|rare| rare.transaction.is_some())
    }

    /// Whether its transaction is executed now: what waits for others answers at once, as if its time had run out.
    pub fn is_executing(&self) -> bool {
        self.transaction().is_some_and(Transaction::is_executing)
    }

    pub(crate) fn transaction(&self) -> Option<&Transaction> {
        self.rare()?.transaction.as_ref()
    }

    pub(crate) fn watches(&self) -> Option<&Watches> {
        self.rare()?.watches.as_ref()
    }

    /// Requests are queued from now on.
    pub(crate) fn begin_transaction(&mut self) {
        self.change_rare(|rare| rare.transaction = Some(Transaction::new()));
        self.info.set_queued(Some(0));
    }

    /// What was queued is forgotten, and no key is watched any more.
    pub(crate) fn end_transaction(&mut self) {
        let ended = self.change_rare(|rare| {
            rare.watches = None;
            rare.transaction.take()
        });
        ended.and_then(|transaction| transaction.queue).into_iter().for_each(Queue::end);
        self.info.set_queued(None);
    }

    /// Nothing of what is queued will be executed, if anything is.
    pub(crate) fn spoil(&mut self) {
        if let Some(transaction) = self.transaction_mut() {
            transaction.spoiled = true;
        }
    }

    /// Queues a request; how many bytes are kept then.
    pub(crate) fn queue(&mut self, resolved: Resolved, args: Args<'_>, data: &Data) -> usize {
        let queue = self.transaction_mut().and_then(|transaction| transaction.queue.as_mut());
        let Some(queue) = queue else { return 0 };
        queue.push(resolved, args, data);
        let (count, bytes) =
            (queue.len(), queue.requests.bytes() + queue.requests.words() * BATCHED_WORD_BYTES);
        self.info.set_queued(Some(u32::try_from(count).unwrap_or(u32::MAX)));
        bytes
    }

    /// The stripes of everything that is queued, and of the keys that are watched.
    pub(crate) fn needs_to_execute(&self) -> Need {
        let transaction = self.transaction().filter(|transaction| !transaction.spoiled);
        let Some(queue) = transaction.and_then(Transaction::queue) else { return Need::NOTHING };
        let watches = self.watches();
        if watches.is_some_and(|watches| watches.told.is_told()) {
            return Need::NOTHING;
        }
        if queue.everything {
            return Need::everything();
        }
        let Some(watches) = watches else { return queue.stripes.need() };
        let mut stripes = queue.stripes.clone();
        stripes.add_all(&watches.stripes);
        stripes.need()
    }

    /// What it has queued takes so much memory, in bytes, and it watches so many keys.
    pub fn queued_and_watched(&self) -> (usize, usize) {
        let watched = self.watches().map_or(0, |watches| watches.keys.len());
        (self.transaction().map_or(0, Transaction::bytes), watched)
    }

    /// What is executed by `EXEC`, weighed.
    pub(crate) fn queued_load(&self) -> Option<Load> {
        let Queue { flags, requests, .. } = self.transaction()?.queue()?;
        Some(Load { flags: *flags, words: requests.words(), bytes: requests.bytes() })
    }

    /// What all that is queued weighs, if that is known without looking at its keys.
    #[inline]
    pub(crate) fn queued_weight(&self) -> Option<Weight> {
        self.transaction()?.queue()?.weight()
    }

    /// Takes what is queued, in order to execute it: [`Client::put_back`] follows, and then [`Client::has_executed`] or
    /// [`Client::take_back`].
    pub(crate) fn take_queue(&mut self) -> Option<Box<Queue>> {
        let before = Before {
            database: self.database,
            protocol: self.protocol,
            authenticated: self.authenticated,
            reply_mode: self.reply_mode,
            shown: self.info.shown(),
        };
        let transaction = self.transaction_mut()?;
        transaction.before = Some(before);
        transaction.queue.take()
    }

    pub(crate) fn put_back(&mut self, queue: Box<Queue>) {
        if let Some(transaction) = self.transaction_mut() {
            transaction.queue = Some(queue);
        }
    }

    /// A run was given up: it has changed nothing of this client.
    pub(crate) fn take_back(&mut self) {
        if let Some(before) = self.transaction_mut().and_then(|transaction| transaction.before.take()) {
            let Before { database, protocol, authenticated, reply_mode, shown } = before;
            (self.database, self.protocol, self.authenticated) = (database, protocol, authenticated);
            self.reply_mode = reply_mode;
            self.info.show(shown);
        }
    }

    /// Heap memory that its transaction and the keys that it watches take, in bytes.
    #[inline]
    pub fn transaction_bytes(&self) -> usize {
        let watched = self.watches().map_or(0, |watches| watches.bytes + Union::BYTES);
        self.transaction().map_or(0, Transaction::bytes) + watched
    }
}
