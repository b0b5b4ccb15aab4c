//! When commits are safe: one thread that syncs for all, and the health of the store.
//!
//! Workers ask ([`GroupCommit::settle`]) and never wait; the thread syncs whatever was committed when the sync
//! began, so that all commits of all workers during one sync share the next. No lock is held while it syncs.
//!
//! Invariants: `settled` grows only, and never past what is as safe as the mode promises. A write or sync of unknown outcome
//! poisons the store for good: a later sync that succeeds proves nothing (the system may have dropped the pages that
//! failed). So does the panic of a thread that the store cannot do without. Nothing else poisons: what a thread cannot do
//! now it tries again, and says so meanwhile ([`Health::note`]).

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use modb_net::Seq;

use super::{Durability, ErrorClass, SettledHook, StoreError};

/// How often `everysec` syncs and the free space is looked at.
const TICK: Duration = Duration::from_secs(1);

/// Locks, also after a panic elsewhere: no invariant of the store is broken half-way under any of its locks
/// that it does not check itself.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the thread works on.
pub(crate) trait Backing: Send + Sync + 'static {
    /// The last commit.
    fn committed(&self) -> Seq;
    /// Syncs; everything up to the answer then survives a power cut.
    fn sync(&self) -> Result<Seq, StoreError>;
    /// Tries again what the disk had no room for; true if something moved on, or nobody should wait for it any longer.
    fn retry(&self) -> Result<bool, StoreError> {
        Ok(false)
    }
    /// Free space on the disk, in bytes.
    fn free_bytes(&self) -> std::io::Result<u64>;
}

/// Whether writes are taken.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// False while all is well: the one thing that a commit looks at.
    bad: AtomicBool,
    poison: OnceLock<String>,
    closed: AtomicBool,
    low_space: AtomicBool,
    /// What the store cannot do now and tries again, and why.
    troubles: Mutex<BTreeMap<&'static str, String>>,
}

/// What a batch does to the space on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Keep,
    /// Less is kept after it.
    Free,
}

impl Health {
    /// Whether a commit may be made.
    pub(crate) fn check_write(&self, purpose: Purpose) -> Result<(), StoreError> {
        if !self.bad.load(Ordering::Acquire) {
            return Ok(());
        }
        self.check_read()?;
        if let Some(error) = self.poisoned() {
            return Err(error);
        }
        match self.reason() {
            Some(reason) if purpose == Purpose::Keep => Err(StoreError::ReadOnly(reason)),
            _ => Ok(()),
        }
    }

    /// `task` failed with what may pass, and is tried again.
    pub(crate) fn note(&self, task: &'static str, error: &StoreError) {
        let reason = error.to_string();
        let before = lock(&self.troubles).insert(task, reason.clone());
        if before.as_ref() != Some(&reason) {
            tracing::warn!(task, %reason, "cannot be done now, is tried again");
        }
    }

    /// `task` succeeds, again or still.
    pub(crate) fn note_success(&self, task: &'static str) {
        if lock(&self.troubles).remove(task).is_some() {
            tracing::info!(task, "succeeds again");
        }
    }

    /// Why `task` cannot be done now, if so.
    pub(crate) fn trouble(&self, task: &'static str) -> Option<String> {
        lock(&self.troubles).get(task).cloned()
    }

    /// What cannot be done now, and why, in one line.
    pub(crate) fn troubles(&self) -> String {
        let troubles = lock(&self.troubles);
        troubles.iter().map(|(task, reason)| format!("{task}: {reason}")).collect::<Vec<_>>().join("; ")
    }

    /// Whether a record may be read.
    pub(crate) fn check_read(&self) -> Result<(), StoreError> {
        if self.closed.load(Ordering::Acquire) { Err(StoreError::Closed) } else { Ok(()) }
    }

    /// Takes no write any more.
    fn poison(&self, what: &str) {
        if self.poison.set(format!("{what}; no write is taken until the restart")).is_ok() {
            tracing::error!(what, "the store is read-only from now on");
        }
        self.bad.store(true, Ordering::Release);
    }

    pub(crate) fn poisoned(&self) -> Option<StoreError> {
        self.poison.get().map(|reason| StoreError::ReadOnly(reason.clone()))
    }

    pub(crate) fn reason(&self) -> Option<String> {
        if let Some(reason) = self.poison.get() {
            return Some(reason.clone());
        }
        let low = self.low_space.load(Ordering::Acquire);
        low.then(|| {
            "the disk is nearly full, no write is taken until there is space (see min-free-mb)".to_owned()
        })
    }

    /// The first call answers true.
    pub(crate) fn close(&self) -> bool {
        let first = !self.closed.swap(true, Ordering::AcqRel);
        self.bad.store(true, Ordering::Release);
        first
    }

    /// Turns writes off below the floor and on again above it.
    fn note_free_bytes(&self, free: u64, floor: u64) {
        let low = free < floor;
        if self.low_space.swap(low, Ordering::AcqRel) == low {
            return;
        }
        if low {
            tracing::error!(free_bytes = free, floor_bytes = floor, "disk nearly full: writes are refused");
            self.bad.store(true, Ordering::Release);
        } else {
            tracing::info!(free_bytes = free, "space on the disk again: writes are taken");
            let still_bad = self.poison.get().is_some() || self.closed.load(Ordering::Acquire);
            self.bad.store(still_bad, Ordering::Release);
            // A poisoning between the two lines above must not be forgotten.
            if self.poison.get().is_some() || self.closed.load(Ordering::Acquire) {
                self.bad.store(true, Ordering::Release);
            }
        }
    }
}

#[derive(Debug)]
struct State {
    synced: u64,
    stop: bool,
}

/// The sync thread and what it shares with the workers.
pub(crate) struct GroupCommit {
    mode: Durability,
    min_free_bytes: u64,
    pub(crate) health: Health,
    settled: AtomicU64,
    /// Up to which commit a sync was asked for.
    wanted: AtomicU64,
    state: Mutex<State>,
    work: Condvar,
    done: Condvar,
    hooks: RwLock<Vec<SettledHook>>,
    syncs: AtomicU64,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl GroupCommit {
    /// Nothing runs before [`GroupCommit::start`]; all commits up to `recovered` are durable.
    pub(crate) fn new(mode: Durability, min_free_bytes: u64, recovered: Seq) -> Arc<Self> {
        Arc::new(Self {
            mode,
            min_free_bytes,
            health: Health::default(),
            settled: AtomicU64::new(recovered.0),
            wanted: AtomicU64::new(recovered.0),
            state: Mutex::new(State { synced: recovered.0, stop: false }),
            work: Condvar::new(),
            done: Condvar::new(),
            hooks: RwLock::new(Vec::new()),
            syncs: AtomicU64::new(0),
            thread: Mutex::new(None),
        })
    }

    /// Starts the thread; it ends with [`GroupCommit::stop`].
    pub(crate) fn start(self: &Arc<Self>, backing: Arc<dyn Backing>) -> Result<(), StoreError> {
        self.look_at_space(&*backing);
        let group = Arc::clone(self);
        let handle = thread::Builder::new()
            .name("modb-sync".to_owned())
            .spawn(move || group.guard("sync", || group.run(&*backing)))
            .map_err(|e| StoreError::io("cannot start the sync thread", e))?;
        *lock(&self.thread) = Some(handle);
        Ok(())
    }

    /// Ends the thread and waits for it. Commits since its last sync are the caller's.
    pub(crate) fn stop(&self) {
        lock(&self.state).stop = true;
        self.work.notify_all();
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread
            && thread.thread().id() != thread::current().id()
        {
            // A panic there has been reported by its own hook.
            let _ = thread.join();
        }
        self.done.notify_all();
    }

    /// The end of a turn: everything up to `written` is with the operating system. Never waits.
    pub(crate) fn settle(&self, written: Seq) -> Result<Seq, StoreError> {
        if let Some(error) = self.health.poisoned() {
            return Err(error);
        }
        if self.mode == Durability::Always {
            self.want(written);
        } else {
            self.settled.fetch_max(written.0, Ordering::AcqRel);
        }
        Ok(self.settled())
    }

    pub(crate) fn settled(&self) -> Seq {
        Seq(self.settled.load(Ordering::Acquire))
    }

    pub(crate) fn mode(&self) -> Durability {
        self.mode
    }

    pub(crate) fn on_settled(&self, hook: SettledHook) {
        self.hooks.write().unwrap_or_else(PoisonError::into_inner).push(hook);
    }

    /// Syncs done since the start.
    pub(crate) fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }

    /// Waits until everything up to `committed` is durable.
    pub(crate) fn wait_for(&self, committed: Seq) -> Result<(), StoreError> {
        self.want(committed);
        let mut state = lock(&self.state);
        loop {
            if let Some(error) = self.health.poisoned() {
                return Err(error);
            }
            if state.synced >= committed.0 {
                return Ok(());
            }
            if state.stop {
                return Err(StoreError::Closed);
            }
            state = self.done.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Tells everyone that `settled` grew, or that nothing is settled any more.
    pub(crate) fn call_hooks(&self) {
        for hook in self.hooks.read().unwrap_or_else(PoisonError::into_inner).iter() {
            hook();
        }
    }

    fn want(&self, seq: Seq) {
        if self.wanted.fetch_max(seq.0, Ordering::AcqRel) < seq.0 {
            // Taken so that the thread is either before its check of `wanted` or already waiting.
            drop(lock(&self.state));
            self.work.notify_one();
        }
    }

    fn run(&self, backing: &dyn Backing) {
        let mut next_tick = Instant::now() + TICK;
        let mut stuck = false;
        while let Some(synced) = self.wait_for_work(next_tick, stuck) {
            let now = Instant::now();
            if now >= next_tick {
                next_tick = now + TICK;
                self.look_at_space(backing);
                match backing.retry() {
                    Ok(true) => self.call_hooks(),
                    Ok(false) => {}
                    Err(error) => self.note_failure("sync", &error),
                }
                if self.mode == Durability::EverySecond {
                    self.wanted.fetch_max(backing.committed().0, Ordering::AcqRel);
                }
            }
            let wanted = self.wanted.load(Ordering::Acquire);
            if wanted > synced && self.health.poisoned().is_none() {
                // Short of what was wanted: the disk is full. Tried again with the next tick.
                stuck = self.sync_once(backing) < wanted;
            }
        }
    }

    /// Up to where is synced, once something is to be done; `None` is the end.
    fn wait_for_work(&self, until: Instant, stuck: bool) -> Option<u64> {
        let mut state = lock(&self.state);
        loop {
            if state.stop {
                return None;
            }
            let wanted =
                self.wanted.load(Ordering::Acquire) > state.synced && self.health.poisoned().is_none();
            let left = until.saturating_duration_since(Instant::now());
            if (wanted && !stuck) || left.is_zero() {
                return Some(state.synced);
            }
            state = self.work.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Up to where is synced now.
    fn sync_once(&self, backing: &dyn Backing) -> u64 {
        match backing.sync() {
            Ok(seq) => {
                self.health.note_success("sync");
                self.syncs.fetch_add(1, Ordering::Relaxed);
                let mut state = lock(&self.state);
                state.synced = state.synced.max(seq.0);
                let synced = state.synced;
                drop(state);
                let grew = self.settled.fetch_max(seq.0, Ordering::AcqRel) < seq.0;
                self.done.notify_all();
                if grew {
                    self.call_hooks();
                }
                synced
            }
            Err(error) => {
                self.note_failure("sync", &error);
                0
            }
        }
    }

    /// `task` failed: the store is poisoned if the outcome is unknown, else it is tried again.
    pub(crate) fn note_failure(&self, task: &'static str, error: &StoreError) {
        if error.class() == ErrorClass::Poison { self.fail(error) } else { self.health.note(task, error) }
    }

    /// Poisons the store and tells everyone who waits.
    pub(crate) fn fail(&self, error: &StoreError) {
        self.end_writing(&format!("writing to the disk failed: {error}"));
    }

    fn end_writing(&self, what: &str) {
        self.health.poison(what);
        drop(lock(&self.state));
        self.done.notify_all();
        self.call_hooks();
    }

    /// Runs a thread that the store cannot do without: its panic is noticed, and ends writing.
    pub(crate) fn guard(&self, thread: &str, run: impl FnOnce()) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
            self.end_writing(&format!("the thread {thread} ended by a panic: {}", words_of(&*panic)));
        }
    }

    fn look_at_space(&self, backing: &dyn Backing) {
        match backing.free_bytes() {
            Ok(free) => self.health.note_free_bytes(free, self.min_free_bytes),
            Err(error) => tracing::warn!(%error, "cannot tell the free space of the data folder's disk"),
        }
    }
}

/// What a panic said.
pub(crate) fn words_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no words")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk that fails as it is told.
    struct Failing(Mutex<Vec<Failure>>);

    enum Failure {
        Panics,
        Says(StoreError),
    }

    impl Backing for Failing {
        fn committed(&self) -> Seq {
            Seq(1)
        }

        fn sync(&self) -> Result<Seq, StoreError> {
            let next = lock(&self.0).pop();
            match next {
                None => Ok(Seq(1)),
                Some(Failure::Says(error)) => Err(error),
                Some(Failure::Panics) => panic!("on purpose"),
            }
        }

        fn free_bytes(&self) -> std::io::Result<u64> {
            Ok(u64::MAX)
        }
    }

    fn synced_with(failure: Failure) -> (Arc<GroupCommit>, Result<(), StoreError>) {
        let group = GroupCommit::new(Durability::Always, 0, Seq::ZERO);
        group.start(Arc::new(Failing(Mutex::new(vec![failure])))).unwrap();
        let synced = group.wait_for(Seq(1));
        (group, synced)
    }

    #[test]
    fn a_sync_that_lacks_something_is_tried_again() {
        let lack = StoreError::io("open", std::io::ErrorKind::OutOfMemory.into());
        let (group, synced) = synced_with(Failure::Says(lack));
        synced.unwrap();
        assert_eq!((group.health.reason(), group.health.troubles()), (None, String::new()));
        group.stop();
    }

    #[test]
    fn a_sync_of_unknown_outcome_ends_writing() {
        let (group, synced) =
            synced_with(Failure::Says(StoreError::unknown("sync", std::io::ErrorKind::Other.into())));
        assert!(synced.is_err() && group.health.check_write(Purpose::Free).is_err());
        group.stop();
    }

    #[test]
    fn a_panic_of_the_thread_ends_writing_and_is_the_reason() {
        let (group, synced) = synced_with(Failure::Panics);
        assert!(synced.is_err());
        let reason = group.health.reason().unwrap();
        assert!(reason.contains("the thread sync ended by a panic: on purpose"), "{reason}");
        group.stop();
    }
}
