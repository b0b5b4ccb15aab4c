//! The registry of clients: what `CLIENT LIST` shows, and the pause that holds all of them.
//!
//! A worker touches only its own clients' entries, with relaxed stores; the list itself is locked when a client
//! comes, goes, or is asked for.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use modb_net::resp::Protocol;
use modb_net::{Address, Holdings, Peer, Token};

use super::figures::Figures;
use super::table::Table;
use crate::command::{Flags, Spec};
use crate::data::Tracker;
use crate::messages::{Ear, Scope};

/// What others see of a client.
#[derive(Debug)]
pub struct ClientInfo {
    /// Never used twice while the process lives.
    pub id: u64,
    /// Who it is and where its connection is; none for a client in the same process.
    connection: Option<(Peer, Address)>,
    /// When it came, in milliseconds since 1970.
    pub created_ms: u64,
    last_ms: AtomicU64,
    database: AtomicU16,
    worker: AtomicU16,
    resp3: AtomicBool,
    no_evict: AtomicBool,
    no_touch: AtomicBool,
    /// One more than the commands that it has queued; 0: it queues none.
    queued: AtomicU32,
    /// Another has closed it. Its worker hears of that a moment later, and must not serve it until then.
    killed: AtomicBool,
    /// The command it sent last, as a number of [`Table::by_number`].
    last_command: AtomicU32,
    /// What few have: names, or anything that they hold between their requests.
    more: OnceLock<Box<More>>,
}

/// What others see of a client and its commands change.
#[derive(Debug)]
pub(crate) struct Shown {
    database: u32,
    resp3: bool,
    no_evict: bool,
    no_touch: bool,
    /// None: it had none.
    names: Option<Box<SaidNames>>,
}

/// The names that a client has given itself.
#[derive(Debug, Default)]
struct SaidNames {
    name: String,
    library: String,
    library_version: String,
}

/// What few clients have.
#[derive(Debug, Default)]
struct More {
    names: Mutex<Names>,
    figures: Figures,
}

/// What a client says about itself.
#[derive(Clone, Debug, Default)]
struct Names {
    name: String,
    library: String,
    library_version: String,
    /// To how many channels, patterns and shard channels it listens, and whether it monitors.
    listening: [usize; Scope::ALL.len()],
    /// As those see it who change keys that it tracks, and whether it hears of all with some prefixes.
    tracker: Option<(Arc<Tracker>, bool)>,
    /// Where it is told something on its own, if it ever was to be.
    ear: Option<Arc<Ear>>,
}

impl SaidNames {
    fn of(names: &Names) -> Option<Box<Self>> {
        let Names { name, library, library_version, .. } = names;
        let are_any = !(name.is_empty() && library.is_empty() && library_version.is_empty());
        are_any.then(|| {
            let (name, library, library_version) = (name.clone(), library.clone(), library_version.clone());
            Box::new(Self { name, library, library_version })
        })
    }
}

impl ClientInfo {
    fn new(id: u64, connection: Option<(Peer, Address)>, now_ms: u64) -> Self {
        Self {
            id,
            connection,
            created_ms: now_ms,
            last_ms: AtomicU64::new(now_ms),
            database: AtomicU16::new(0),
            worker: AtomicU16::new(0),
            resp3: AtomicBool::new(false),
            no_evict: AtomicBool::new(false),
            no_touch: AtomicBool::new(false),
            queued: AtomicU32::new(0),
            killed: AtomicBool::new(false),
            last_command: AtomicU32::new(u32::MAX),
            more: OnceLock::new(),
        }
    }

    /// Says which worker serves it.
    pub fn set_worker(&self, worker: usize) {
        self.worker.store(worker as u16, Ordering::Relaxed);
    }

    /// Where its connection is, if it has one.
    pub fn connection(&self) -> Option<&Address> {
        self.connection.as_ref().map(|(_, address)| address)
    }

    /// Who is at the other end, unless it is this process.
    pub fn peer(&self) -> Option<&Peer> {
        self.connection.as_ref().map(|(peer, _)| peer)
    }

    /// Whether it asked not to be closed for its memory.
    pub fn is_no_evict(&self) -> bool {
        self.no_evict.load(Ordering::Relaxed)
    }

    pub(crate) fn set_database(&self, database: u32) {
        // There are at most 2^16 of them.
        self.database.store(database as u16, Ordering::Relaxed);
    }

    pub(crate) fn set_protocol(&self, protocol: Protocol) {
        self.resp3.store(protocol == Protocol::Resp3, Ordering::Relaxed);
    }

    pub(crate) fn set_no_evict(&self, on: bool) {
        self.no_evict.store(on, Ordering::Relaxed);
    }

    /// Whether another has closed it: nothing that comes from it now is executed.
    pub(crate) fn is_killed(&self) -> bool {
        self.killed.load(Ordering::Acquire)
    }

    /// For good. Told before the one who closed it has its answer.
    pub(crate) fn set_killed(&self) {
        self.killed.store(true, Ordering::Release);
    }

    pub(crate) fn set_no_touch(&self, on: bool) {
        self.no_touch.store(on, Ordering::Relaxed);
    }

    /// How many commands it has queued, if it does queue them.
    pub(crate) fn set_queued(&self, queued: Option<u32>) {
        self.queued.store(queued.map_or(0, |queued| queued.saturating_add(1)), Ordering::Relaxed);
    }

    /// What commands change of this.
    pub(crate) fn shown(&self) -> Shown {
        Shown {
            database: self.database.load(Ordering::Relaxed).into(),
            resp3: self.resp3.load(Ordering::Relaxed),
            no_evict: self.no_evict.load(Ordering::Relaxed),
            no_touch: self.no_touch.load(Ordering::Relaxed),
            names: self.more.get().and_then(|more| SaidNames::of(&lock(&more.names))),
        }
    }

    /// Shows what it did before.
    pub(crate) fn show(&self, shown: Shown) {
        self.set_database(shown.database);
        self.resp3.store(shown.resp3, Ordering::Relaxed);
        self.set_no_evict(shown.no_evict);
        self.set_no_touch(shown.no_touch);
        if self.more.get().is_some() {
            self.with_names(|names| {
                let SaidNames { name, library, library_version } =
                    shown.names.map(|names| *names).unwrap_or_default();
                (names.name, names.library, names.library_version) = (name, library, library_version);
            });
        }
    }

    pub(crate) fn touch(&self, command: u32, now_ms: u64) {
        self.last_ms.store(now_ms, Ordering::Relaxed);
        self.last_command.store(command, Ordering::Relaxed);
    }

    pub(crate) fn set_name(&self, name: &[u8]) {
        if name.is_empty() && self.more.get().is_none() {
            return;
        }
        self.with_names(|names| names.name = crate::command::language::parse::lossy(name));
    }

    pub(crate) fn name(&self) -> String {
        self.names().name
    }

    pub(crate) fn set_library(&self, name: Option<&[u8]>, version: Option<&[u8]>) {
        self.with_names(|names| {
            if let Some(name) = name {
                names.library = crate::command::language::parse::lossy(name);
            }
            if let Some(version) = version {
                names.library_version = crate::command::language::parse::lossy(version);
            }
        });
    }

    pub(crate) fn set_listening(&self, listening: [usize; Scope::ALL.len()]) {
        if self.more.get().is_some() || listening.iter().any(|count| *count > 0) {
            self.with_names(|names| names.listening = listening);
        }
    }

    pub(crate) fn set_tracker(&self, tracker: Option<(Arc<Tracker>, bool)>) {
        if self.more.get().is_some() || tracker.is_some() {
            self.with_names(|names| names.tracker = tracker);
        }
    }

    /// Where it is told something on its own.
    pub fn ear(&self) -> Arc<Ear> {
        self.with_names(|names| Arc::clone(names.ear.get_or_insert_default()))
    }

    /// From now on it is told something on its own there, and stays there.
    pub fn place(&self, inbox: u64, token: Token) -> Arc<Ear> {
        let ear = self.ear();
        ear.place(inbox, token);
        ear
    }

    /// Whether it is told something on its own, and stays where it is.
    pub fn stays(&self) -> bool {
        let has_place = |names: &Names| names.ear.as_ref().is_some_and(|ear| ear.has_place());
        self.more.get().is_some_and(|more| has_place(&lock(&more.names)))
    }

    /// It has gone, as far as others can see: it is told nothing, and tracks nothing.
    pub(crate) fn end(&self) {
        let Some(more) = self.more.get() else { return };
        let (ear, tracker) = {
            let names = lock(&more.names);
            (names.ear.clone(), names.tracker.clone())
        };
        ear.inspect(|ear| ear.end());
        tracker.inspect(|(tracker, _)| tracker.end());
    }

    /// Whether it listens to what is published.
    pub fn listens(&self) -> bool {
        let listening = self.names().listening;
        Scope::PUBLISHED.iter().any(|scope| listening[*scope as usize] > 0)
    }

    /// What it holds, how much of that is queued, in bytes, and how many keys it watches.
    pub fn set_held(&self, held: Holdings, queued: usize, watched: usize) {
        if self.more.get().is_some() || held.sum() > 0 {
            self.more.get_or_init(Box::default).figures.set(held, queued, watched);
        }
    }

    fn with_names<R>(&self, change: impl FnOnce(&mut Names) -> R) -> R {
        change(&mut lock(&self.more.get_or_init(Box::default).names))
    }

    fn names(&self) -> Names {
        self.more.get().map(|more| lock(&more.names).clone()).unwrap_or_default()
    }

    /// Whether it is on this machine, as far as its address tells, or in this process.
    pub fn is_local(&self) -> bool {
        self.peer().is_none_or(Peer::is_local)
    }

    /// Its address as clients write it.
    pub fn address(&self) -> String {
        match self.peer() {
            None => "embedded:0".to_owned(),
            Some(Peer::Tcp { remote, .. }) => remote.to_string(),
            Some(Peer::Unix { path }) => format!("{}:0", path.display()),
        }
    }

    /// The address it connected to, as clients write it.
    pub fn local_address(&self) -> String {
        match self.peer() {
            Some(Peer::Tcp { local, .. }) => local.to_string(),
            _ => self.address(),
        }
    }

    /// Its line of `CLIENT LIST`, without a line end. `waits`: for what others bring.
    pub fn line(&self, table: &Table, now_ms: u64, waits: bool) -> String {
        let names = self.names();
        let figures = self.more.get().map(|more| more.figures.get()).unwrap_or_default();
        let seconds = |since: u64| now_ms.saturating_sub(since) / 1000;
        let queued = i64::from(self.queued.load(Ordering::Relaxed)) - 1;
        let [sub, psub, ssub, monitors] = names.listening;
        let tracker = names.tracker.as_ref().map(|(tracker, _)| &**tracker);
        let redirect = tracker.map_or(-1, |tracker| tracker.redirect().unwrap_or(0) as i64);
        let flags = [
            ('O', monitors > 0),
            ('P', sub + psub + ssub > 0),
            ('x', queued >= 0),
            ('b', waits),
            ('t', tracker.is_some()),
            ('R', tracker.is_some_and(Tracker::is_broken)),
            ('B', names.tracker.as_ref().is_some_and(|(_, is_broadcast)| *is_broadcast)),
            ('e', self.no_evict.load(Ordering::Relaxed)),
            ('T', self.no_touch.load(Ordering::Relaxed)),
        ];
        let mut flags: String = flags.iter().filter(|(_, is)| *is).map(|(flag, _)| flag).collect();
        if flags.is_empty() {
            flags.push('N');
        }
        let mut line = String::with_capacity(320);
        // Writing to a string cannot fail.
        let _ = write!(
            line,
            "id={} addr={} laddr={} fd=-1 name={} age={} idle={} flags={flags} db={} sub={sub} psub={psub} ssub={ssub} \
             multi={queued} watch={} {figures} events=r cmd={} user=default redir={redirect} resp={} lib-name={} lib-ver={} worker={}",
            self.id,
            self.address(),
            self.local_address(),
            names.name,
            seconds(self.created_ms),
            seconds(self.last_ms.load(Ordering::Relaxed)),
            self.database.load(Ordering::Relaxed),
            figures.watched,
            table.by_number(self.last_command.load(Ordering::Relaxed)).unwrap_or_else(|| "NULL".into()),
            if self.resp3.load(Ordering::Relaxed) { 3 } else { 2 },
            names.library,
            names.library_version,
            self.worker.load(Ordering::Relaxed),
        );
        line
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What `CLIENT PAUSE` holds back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// Every command.
    All,
    /// Commands that may write.
    Writes,
}

/// All clients.
#[derive(Debug, Default)]
pub struct Registry {
    clients: Mutex<BTreeMap<u64, Arc<ClientInfo>>>,
    last_id: AtomicU64,
    total: AtomicU64,
    rejected: AtomicU64,
    /// Until when clients are paused, in milliseconds since 1970.
    paused_until_ms: AtomicU64,
    pause_all: AtomicBool,
}

impl Registry {
    /// A client has come.
    pub fn add(&self, connection: Option<(Peer, Address)>, now_ms: u64) -> Arc<ClientInfo> {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let info = Arc::new(ClientInfo::new(id, connection, now_ms));
        if info.connection.is_some() {
            self.total.fetch_add(1, Ordering::Relaxed);
            self.lock().insert(id, Arc::clone(&info));
        }
        info
    }

    /// A client has gone.
    pub fn remove(&self, id: u64) {
        self.lock().remove(&id);
    }

    /// All clients, oldest first.
    pub fn list(&self) -> Vec<Arc<ClientInfo>> {
        self.lock().values().cloned().collect()
    }

    /// One of them.
    pub fn get(&self, id: u64) -> Option<Arc<ClientInfo>> {
        self.lock().get(&id).cloned()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many have come in all, and how many were refused.
    pub fn totals(&self) -> (u64, u64) {
        (self.total.load(Ordering::Relaxed), self.rejected.load(Ordering::Relaxed))
    }

    /// Forgets how many have come and were refused.
    pub fn reset_totals(&self) {
        self.total.store(0, Ordering::Relaxed);
        self.rejected.store(0, Ordering::Relaxed);
    }

    /// A connection was refused.
    pub fn count_rejected(&self) {
        self.rejected.fetch_add(1, Ordering::Relaxed);
    }

    /// Holds commands back until then.
    pub fn pause(&self, until_ms: u64, what: Pause) {
        self.pause_all.store(what == Pause::All, Ordering::Relaxed);
        self.paused_until_ms.store(until_ms, Ordering::Release);
    }

    /// Until when a command of `spec` has to wait, which does what `flags` say, in milliseconds since 1970.
    pub fn paused_until(&self, spec: &Spec, flags: Flags, now_ms: u64) -> Option<u64> {
        let until = self.paused_until_ms.load(Ordering::Acquire);
        if until <= now_ms {
            return None;
        }
        let held = self.pause_all.load(Ordering::Relaxed)
            || flags.has(Flags::WRITE)
            || flags.has(Flags::MAY_REPLICATE);
        // Whoever paused must be able to go on.
        (held && spec.group != "connection").then_some(until)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<ClientInfo>>> {
        lock(&self.clients)
    }
}
