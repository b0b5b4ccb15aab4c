//! When commits are safe: one thread that syncs for all. Whether they are taken says the store's health.
//!
//! Workers ask ([`GroupCommit::settle`]) and do not wait; the thread syncs whatever was committed when the sync
//! began, so that all commits of all workers during one sync share the next. No lock that anybody else waits for is held while it syncs.
//! A worker that has nothing else to do may sync itself, for all, where syncs are quick and none is under way
//! ([`GroupCommit::lead`]): to wake a thread and be woken by it would take longer.
//!
//! Invariants: `settled` grows only, and never past what is as safe as the mode promises. A write or sync of unknown outcome
//! poisons the store for good: a later sync that succeeds proves nothing (the system may have dropped the pages that
//! failed). So does the panic of a thread that the store cannot do without. Nothing else poisons: what a thread cannot do
//! now it tries again, and says so meanwhile ([`Health::note`]).

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock, TryLockError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use modb_net::Seq;

use super::health::Health;
use super::locking::lock;
use super::sync_time::SyncTime;
use super::{Durability, ErrorClass, SettledHook, StoreError};

/// How often `everysec` syncs and the free space is looked at.
const TICK: Duration = Duration::from_secs(1);

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

#[derive(Debug)]
struct State {
    synced: u64,
    stop: bool,
    /// How many wait for `done`: to tell nobody costs a system call, too.
    waiting: usize,
}

/// What makes a sync the only one.
#[derive(Debug, Default)]
struct SyncingAlone;

/// The sync thread and what it shares with the workers.
pub(crate) struct GroupCommit {
    mode: Durability,
    min_free_bytes: u64,
    pub(crate) health: Health,
    settled: AtomicU64,
    /// Up to which commit a sync was asked for.
    wanted: AtomicU64,
    state: Mutex<State>,
    /// Held by who syncs, so that there is one sync at a time. Only the thread waits for it.
    syncing: Mutex<SyncingAlone>,
    sync_time: SyncTime,
    work: Condvar,
    done: Condvar,
    hooks: RwLock<Vec<SettledHook>>,
    syncs: AtomicU64,
    led: AtomicU64,
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
            state: Mutex::new(State { synced: recovered.0, stop: false, waiting: 0 }),
            syncing: Mutex::default(),
            sync_time: SyncTime::new(),
            work: Condvar::new(),
            done: Condvar::new(),
            hooks: RwLock::new(Vec::new()),
            syncs: AtomicU64::new(0),
            led: AtomicU64::new(0),
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

    /// Whether a worker whose replies wait had better [lead](GroupCommit::lead) once it has nothing else to do, and
    /// not [settle](GroupCommit::settle) before.
    pub(crate) fn offers_lead(&self) -> bool {
        self.mode == Durability::Always && self.sync_time.is_quick() && self.health.poisoned().is_none()
    }

    /// In `always`: syncs on this thread, for all, unless somebody is syncing. What is not safe after it is to be settled.
    pub(crate) fn lead(&self, backing: &dyn Backing) {
        let alone = match self.syncing.try_lock() {
            Ok(alone) => alone,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        if self.mode == Durability::Always && self.health.poisoned().is_none() {
            self.led.fetch_add(1, Ordering::Relaxed);
            // A panic here is no less than one of the thread: what was to be synced may be forgotten.
            self.guard("sync", || _ = self.sync_once(backing, &alone));
        }
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

    /// How many of them were led by who waited for them.
    pub(crate) fn led(&self) -> u64 {
        self.led.load(Ordering::Relaxed)
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
            state.waiting += 1;
            state = self.done.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
    }

    /// Tells everyone that `settled` grew, or that nothing is settled any more.
    pub(crate) fn call_hooks(&self) {
        for hook in self.hooks.read().unwrap_or_else(PoisonError::into_inner).iter() {
            hook();
        }
    }

    fn want(&self, seq: Seq) {
        // It was synced already where a worker led.
        if self.settled() >= seq && self.mode == Durability::Always {
            return;
        }
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
                let alone = lock(&self.syncing);
                let synced = lock(&self.state).synced;
                // A worker may have led meanwhile.
                if wanted > synced {
                    // Short of what was wanted: the disk is full. Tried again with the next tick.
                    stuck = self.sync_once(backing, &alone) < wanted;
                }
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
    fn sync_once(&self, backing: &dyn Backing, _: &SyncingAlone) -> u64 {
        let begun = Instant::now();
        match backing.sync() {
            Ok(seq) => {
                self.sync_time.note(begun.elapsed());
                self.health.note_success("sync");
                self.syncs.fetch_add(1, Ordering::Relaxed);
                let mut state = lock(&self.state);
                state.synced = state.synced.max(seq.0);
                let (synced, waited_for) = (state.synced, state.waiting > 0);
                drop(state);
                let grew = self.settled.fetch_max(seq.0, Ordering::AcqRel) < seq.0;
                if waited_for {
                    self.done.notify_all();
                }
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
    use crate::store::health::Purpose;

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

    /// What syncs as told, whoever asks, and says how often.
    #[derive(Default)]
    struct Disk {
        commits: AtomicU64,
        takes: Duration,
        /// Held by the test while a sync is to last.
        gate: Mutex<()>,
        begun: AtomicU64,
    }

    impl Backing for Disk {
        fn committed(&self) -> Seq {
            Seq(self.commits.load(Ordering::Acquire))
        }

        fn sync(&self) -> Result<Seq, StoreError> {
            let upto = self.committed();
            self.begun.fetch_add(1, Ordering::AcqRel);
            drop(lock(&self.gate));
            thread::sleep(self.takes);
            Ok(upto)
        }

        fn free_bytes(&self) -> std::io::Result<u64> {
            Ok(u64::MAX)
        }
    }

    impl Disk {
        /// One more commit.
        fn commit(&self) -> Seq {
            Seq(self.commits.fetch_add(1, Ordering::AcqRel) + 1)
        }
    }

    #[test]
    fn a_lead_is_offered_where_syncs_were_quick() {
        for (takes, quick) in [(Duration::ZERO, true), (Duration::from_millis(3), false)] {
            let (group, disk) =
                (GroupCommit::new(Durability::Always, 0, Seq::ZERO), Disk { takes, ..Disk::default() });
            assert!(!group.offers_lead(), "it is not known how long they take");
            let offered = (0..60).any(|_| {
                group.lead(&disk);
                group.offers_lead()
            });
            assert_eq!(offered, quick, "{takes:?}");
        }
        let group = GroupCommit::new(Durability::EverySecond, 0, Seq::ZERO);
        group.lead(&Disk::default());
        assert_eq!((group.offers_lead(), group.led()), (false, 0), "nobody waits for a sync");
    }

    #[test]
    fn what_a_worker_has_synced_the_thread_need_not() {
        let (group, disk) = (GroupCommit::new(Durability::Always, 0, Seq::ZERO), Arc::new(Disk::default()));
        group.start(disk.clone()).unwrap();
        for _ in 0..50 {
            let seq = disk.commit();
            group.lead(&*disk);
            assert_eq!(group.settle(seq).unwrap(), seq);
            group.wait_for(seq).unwrap();
        }
        group.stop();
        assert_eq!((group.syncs(), group.led()), (50, 50));
    }

    #[test]
    fn nobody_leads_nor_waits_while_another_syncs() {
        let (group, disk) = (GroupCommit::new(Durability::Always, 0, Seq::ZERO), Arc::new(Disk::default()));
        group.start(disk.clone()).unwrap();
        let gate = lock(&disk.gate);
        let first = disk.commit();
        assert_eq!(group.settle(first).unwrap(), Seq::ZERO);
        while disk.begun.load(Ordering::Acquire) == 0 {
            thread::yield_now();
        }
        let second = disk.commit();
        group.lead(&*disk);
        assert_eq!((group.led(), disk.begun.load(Ordering::Acquire)), (0, 1));
        assert_eq!(group.settle(second).unwrap(), Seq::ZERO);
        drop(gate);
        group.wait_for(second).unwrap();
        group.stop();
    }

    #[test]
    fn a_panic_of_who_leads_ends_writing() {
        let group = GroupCommit::new(Durability::Always, 0, Seq::ZERO);
        group.lead(&Failing(Mutex::new(vec![Failure::Panics])));
        assert!(group.settle(Seq(1)).is_err() && group.health.check_write(Purpose::Free).is_err());
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
