//! What all handles of one database share: whether it is open, who may call it now, and how it ends.
//!
//! Invariants:
//! - Every call goes through [`Shared::run`], which refuses what could only hang or do harm: a call from inside a closure of
//!   `update` of the same database on the same thread, one in a forked process, one after the end.
//! - The end ([`Shared::end`]) happens once, in one order: no new calls; those under way and the servers have ended; the
//!   store is synced and closed; then everything is dropped, so that the folder is free whatever handles live.
//! - No call waits for the end, but for the call that brings it.

pub(crate) mod closures;

use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, TryLockError};
use std::time::{Duration, Instant};

use modb_net::Seq;

use self::closures::Closures;
use crate::command::Instance;
use crate::data::Housekeeper;
use crate::error::Error;
use crate::present::{Presence, Present};
use crate::settled::Settled;
use crate::store::StoreError;
use crate::sys;

/// An announcement may be missed between the look and the wait; so look again after this long.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Ways into a database; threads take different ones, so that calls do not slow each other. A power of two.
const LANES: usize = 8;

thread_local! {
    /// The databases of which a closure of `update` runs on this thread, by their numbers.
    static INSIDE: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
    static LANE: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// An open database.
pub(crate) struct Open {
    pub(crate) instance: Arc<Instance>,
    pub(crate) settled: Arc<Settled>,
    pub(crate) closures: Closures,
    /// None where nothing may be changed.
    pub(crate) housekeeper: Option<Housekeeper>,
}

/// What a server's workers keep of the database.
#[derive(Clone)]
pub(crate) struct Share {
    pub(crate) instance: Arc<Instance>,
    /// Behind it, so that it is dropped last.
    pub(crate) present: Present,
}

/// A way in. Locked for reading by each call, for writing only by the end.
#[repr(align(64))]
struct Lane(RwLock<Option<Arc<Open>>>);

/// Asks a server to end.
pub(crate) type Shutdown = Box<dyn Fn() + Send + Sync>;

/// What all handles share.
pub(crate) struct Shared {
    /// Never used twice in a process.
    number: u64,
    /// Where the files are, if there are any.
    folder: Option<PathBuf>,
    lanes: [Lane; LANES],
    closing: AtomicBool,
    /// Held by whoever brings the end; what is removed then.
    end: Mutex<End>,
    servers: Mutex<Vec<(u64, Shutdown)>>,
    presence: Arc<Presence>,
    /// How often the process had been forked when it was opened.
    forks: u64,
}

enum End {
    /// To come; the folder to be removed then.
    ToCome { remove: Option<PathBuf> },
    /// It was.
    Over,
}

/// Whether a backup or compaction that a client began may go on after the end. It keeps the folder.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tasks {
    /// The end waits for it.
    Finish,
    /// The process ends next, and it with the process.
    #[cfg(feature = "cli")]
    Leave,
}

/// A closure of `update` runs on this thread until this is dropped.
pub(crate) struct Inside(());

impl Shared {
    /// `temporary`: the folder is removed at the end.
    pub(crate) fn new(open: Open, folder: Option<PathBuf>, temporary: bool) -> Self {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        let open = Arc::new(open);
        Self {
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            end: Mutex::new(End::ToCome { remove: folder.clone().filter(|_| temporary) }),
            folder,
            lanes: std::array::from_fn(|_| Lane(RwLock::new(Some(Arc::clone(&open))))),
            closing: AtomicBool::new(false),
            servers: Mutex::default(),
            presence: Arc::default(),
            forks: sys::forks(),
        }
    }

    pub(crate) fn folder(&self) -> Option<&PathBuf> {
        self.folder.as_ref()
    }

    /// Does one call's work, if a call is possible here and now.
    pub(crate) fn run<R, E: From<Error>>(&self, work: impl FnOnce(&Open) -> Result<R, E>) -> Result<R, E> {
        self.may_call()?;
        let way = match self.lanes[lane()].0.try_read() {
            Ok(way) => way,
            Err(TryLockError::Poisoned(way)) => way.into_inner(),
            // Only the end locks it for longer.
            Err(TryLockError::WouldBlock) => return Err(Error::Closed.into()),
        };
        match &*way {
            Some(open) => work(open),
            None => Err(Error::Closed.into()),
        }
    }

    /// Refuses what would hang or do harm.
    ///
    /// # Errors
    /// [`Error::Forked`], [`Error::InsideUpdate`], [`Error::Closed`].
    pub(crate) fn may_call(&self) -> Result<(), Error> {
        if self.is_forked() {
            return Err(Error::Forked);
        }
        if self.is_inside() {
            return Err(Error::InsideUpdate);
        }
        if self.closing.load(Ordering::Acquire) { Err(Error::Closed) } else { Ok(()) }
    }

    /// Whether this is a copy of the process that opened the database: it has its memory, and none of its threads.
    pub(crate) fn is_forked(&self) -> bool {
        sys::forks() != self.forks
    }

    /// Whether a closure of `update` of this database runs on this thread.
    pub(crate) fn is_inside(&self) -> bool {
        INSIDE.with_borrow(|inside| inside.contains(&self.number))
    }

    /// For the time of a closure of `update`.
    pub(crate) fn go_inside(&self) -> Inside {
        INSIDE.with_borrow_mut(|inside| inside.push(self.number));
        Inside(())
    }

    /// What a server keeps, which `shutdown` asks to end; [`Shared::forget_server`] follows when it was dropped.
    pub(crate) fn share(&self, open: &Open) -> Share {
        Share { instance: Arc::clone(&open.instance), present: self.presence.enter() }
    }

    pub(crate) fn note_server(&self, number: u64, shutdown: Shutdown) {
        lock(&self.servers).push((number, shutdown));
    }

    pub(crate) fn forget_server(&self, number: u64) {
        lock(&self.servers).retain(|(other, _)| *other != number);
    }

    /// Closes the database; once only, any further time does nothing.
    ///
    /// # Errors
    /// If the last sync fails.
    pub(crate) fn end(&self, tasks: Tasks) -> Result<(), StoreError> {
        let mut end = lock(&self.end);
        let End::ToCome { remove } = std::mem::replace(&mut *end, End::Over) else { return Ok(()) };
        self.closing.store(true, Ordering::Release);
        self.end_waits();
        // Waits for the calls under way.
        let mut open = None;
        for lane in &self.lanes {
            open = lane.0.write().unwrap_or_else(PoisonError::into_inner).take().or(open);
        }
        let Some(open) = open.and_then(Arc::into_inner) else { return Ok(()) };
        for (_, shutdown) in lock(&self.servers).iter() {
            shutdown();
        }
        self.presence.wait_for_none();
        let Open { instance, settled, housekeeper, closures: _ } = open;
        drop(housekeeper);
        let closed = instance.data.store().close();
        if tasks == Tasks::Finish {
            instance.tasks.wait();
            instance.errands.wait();
        }
        drop((instance, settled));
        if let Some(folder) = remove
            && let Err(error) = std::fs::remove_dir_all(&folder)
        {
            tracing::warn!(folder = %folder.display(), %error, "a temporary database stays behind");
        }
        closed
    }
}

impl Shared {
    /// Calls that wait for others end, and none begins to wait any more.
    fn end_waits(&self) {
        let way = self.lanes[0].0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = &*way {
            open.instance.waiting.close();
            open.instance.holds.close();
            open.instance.data.exchange().end();
        }
    }
}

impl Open {
    /// Makes a commit as safe as the durability mode promises, and waits until it is.
    ///
    /// # Errors
    /// If it cannot be made safe; its outcome is unknown then.
    pub(crate) fn wait_for(&self, seq: Seq) -> Result<(), StoreError> {
        self.wait_until(seq, None).map(drop)
    }

    /// As [`Open::wait_for`], until a moment at most: up to which commit all are safe, or none if this one is not.
    ///
    /// # Errors
    /// As [`Open::wait_for`].
    pub(crate) fn wait_until(&self, seq: Seq, until: Option<Instant>) -> Result<Option<Seq>, StoreError> {
        let store = self.instance.data.store();
        let mut reached = store.settled();
        if reached < seq {
            // Who waits anyway may as well sync: to wake a thread that does takes longer.
            if until.is_none() || store.offers_lead() {
                store.lead();
            }
            reached = store.settle()?;
        }
        while reached < seq {
            let left = until.map_or(LOOK_AGAIN, |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Ok(None);
            }
            self.settled.wait(left.min(LOOK_AGAIN));
            reached = store.settle()?;
        }
        Ok(Some(reached))
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if self.is_forked() {
            // Its files and threads are those of another process, which goes on with them.
            for lane in &self.lanes {
                if let Ok(mut way) = lane.0.try_write() {
                    std::mem::forget(way.take());
                }
            }
            return;
        }
        if let Err(error) = self.end(Tasks::Finish) {
            tracing::error!(%error, "the database could not be closed cleanly");
        }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        // Closures end in the opposite order in which they began.
        INSIDE.with_borrow_mut(|inside| {
            inside.pop();
        });
    }
}

/// This thread's way in.
fn lane() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    if LANE.get() == usize::MAX {
        LANE.set(NEXT.fetch_add(1, Ordering::Relaxed) % LANES);
    }
    LANE.get()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
