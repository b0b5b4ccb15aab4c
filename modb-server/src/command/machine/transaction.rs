//! What a client has queued since `MULTI`, and the keys that it watches.
//!
//! Invariants: what is queued was found in the table, with as many words as it must have; which stripes all of it needs is
//! known without looking at it again. A run that is given up leaves the queue, the watches and what clients see of each other
//! ([`Before`]) as they were, and what acts outside of the data is done once, however often it is run.

use std::collections::BTreeMap;
use std::sync::Arc;

use modb_net::resp::{Args, KeptRequests, Protocol};
use smallvec::SmallVec;

use super::client::{Client, ReplyMode};
use super::clients::Shown;
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
}

/// Since `MULTI`.
#[derive(Debug)]
pub struct Transaction {
    pub(crate) queue: Queue,
    /// A request was refused: nothing of it will be executed.
    pub(crate) spoiled: bool,
    /// It is executed now, or is to be executed again.
    before: Option<Before>,
}

/// How long each command of a run took, in nanoseconds. Most transactions are of a few.
pub(crate) type Laps = SmallVec<[u64; 8]>;

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
    laps_ns: Laps,
}

impl Transaction {
    pub(crate) fn new() -> Self {
        Self { queue: Queue::default(), spoiled: false, before: None }
    }

    /// Whether requests are queued now, instead of being executed.
    pub(crate) fn is_executing(&self) -> bool {
        self.before.is_some()
    }

    /// Heap memory held, in bytes.
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        self.queue.requests.memory_bytes() + Union::BYTES
    }

    /// So many bytes more there are while one more request comes to be queued.
    #[inline]
    pub(super) fn room_to_queue(&self, load: &Load) -> usize {
        self.queue.requests.room_for(load.words, load.bytes)
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
        spec.for_each_key(args, |index, _| data.add_key(&mut self.stripes, &args[index]));
    }

    pub(crate) fn len(&self) -> usize {
        self.requests.len()
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

    /// The reply of a command that was executed by a run that was given up, and is not done again.
    pub(crate) fn done(&self, at: usize) -> Option<&Reply> {
        let found = self.done.binary_search_by_key(&at, |(done, _)| *done).ok()?;
        Some(&self.done[found].1)
    }

    /// Remembers more such replies, of commands that stand behind all those before; and how long each command took.
    pub(crate) fn note_run(&mut self, done: Vec<(usize, Reply)>, laps_ns: Laps) {
        self.done.extend(done);
        self.laps_ns = laps_ns;
    }

    /// How long each command took in the last run, in nanoseconds.
    pub(crate) fn laps_ns(&self) -> &[u64] {
        &self.laps_ns
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
        self.change_rare(|rare| (rare.transaction, rare.watches) = (None, None));
        self.info.set_queued(None);
    }

    /// Nothing of what is queued will be executed, if anything is.
    pub(crate) fn spoil(&mut self) {
        if self.is_in_multi() {
            self.change_rare(|rare| {
                if let Some(transaction) = &mut rare.transaction {
                    transaction.spoiled = true;
                }
            });
        }
    }

    /// Queues a request; how many bytes are kept then.
    pub(crate) fn queue(&mut self, resolved: Resolved, args: Args<'_>, data: &Data) -> usize {
        let (count, bytes) = self.change_rare(|rare| match &mut rare.transaction {
            Some(Transaction { queue, .. }) => {
                queue.push(resolved, args, data);
                (queue.len(), queue.requests.bytes() + queue.requests.words() * BATCHED_WORD_BYTES)
            }
            None => (0, 0),
        });
        self.info.set_queued(Some(u32::try_from(count).unwrap_or(u32::MAX)));
        bytes
    }

    /// The stripes of everything that is queued, and of the keys that are watched.
    pub(crate) fn needs_to_execute(&self) -> Need {
        let Some(transaction) = self.transaction().filter(|transaction| !transaction.spoiled) else {
            return Need::NOTHING;
        };
        let queue = &transaction.queue;
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
        let Queue { flags, requests, .. } = &self.transaction()?.queue;
        Some(Load { flags: *flags, words: requests.words(), bytes: requests.bytes() })
    }

    /// Takes what is queued, in order to execute it: [`Client::put_back`] follows, and then [`Client::has_executed`] or
    /// [`Client::take_back`].
    pub(crate) fn take_queue(&mut self) -> Queue {
        let before = Before {
            database: self.database,
            protocol: self.protocol,
            authenticated: self.authenticated,
            reply_mode: self.reply_mode,
            shown: self.info.shown(),
        };
        self.change_rare(|rare| {
            rare.transaction.as_mut().map(|transaction| {
                transaction.before = Some(before);
                std::mem::take(&mut transaction.queue)
            })
        })
        .unwrap_or_default()
    }

    pub(crate) fn put_back(&mut self, queue: Queue) {
        self.change_rare(|rare| {
            if let Some(transaction) = &mut rare.transaction {
                transaction.queue = queue;
            }
        });
    }

    /// A run was given up: it has changed nothing of this client.
    pub(crate) fn take_back(&mut self) {
        let before = self.change_rare(|rare| rare.transaction.as_mut()?.before.take());
        if let Some(before) = before {
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
