//! The database's own thread: removes expired keys, sweeps dropped namespaces and what clients have left that track keys no longer,
//! settles what it wrote.
//!
//! Invariant: it does a bounded amount of work at a time and holds stripes only for one small batch, so the
//! workers never wait for it noticeably. It is the only place of this floor that reads the clock.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::layout::{self, Place};
use super::{Data, DataError, Tally, collection, expiring_counter, keys_counter};
use crate::store::{Batch, Write};

/// How often expired keys are looked for (Redis: `hz 10`).
const TICK: Duration = Duration::from_millis(100);

/// Entries of the expiry index looked at in one go; more follow at once if all of them were due.
const EXPIRED_PER_GO: usize = 512;

/// How long a sweep that failed is put off.
const SWEEP_AGAIN: Duration = Duration::from_secs(1);

/// Records of a dropped namespace looked at in one go.
const SWEPT_PER_GO: usize = 1024;

/// Whether another tick is wanted, and whether there is something to sweep.
#[derive(Default)]
pub(super) struct Chores {
    state: Mutex<State>,
    changed: Condvar,
    /// Nobody but who asks for them removes expired keys.
    leaves_expired: AtomicBool,
}

#[derive(Default)]
struct State {
    stop: bool,
    sweep: bool,
    sync: bool,
}

/// What is asked for besides looking for expired keys.
struct Asked {
    sweep: bool,
    sync: bool,
}

impl Chores {
    /// A namespace was dropped.
    pub(super) fn sweep_soon(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).sweep = true;
        self.changed.notify_all();
    }

    /// Everything committed is to be synced to the disk.
    pub(super) fn sync_soon(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).sync = true;
        self.changed.notify_all();
    }

    fn stop(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).stop = true;
        self.changed.notify_all();
    }

    /// Waits for the next tick or for something to do. `None`: stop.
    fn wait(&self) -> Option<Asked> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = |state: &mut State| !state.stop && !state.sweep && !state.sync;
        let (mut state, _) =
            self.changed.wait_timeout_while(state, TICK, idle).unwrap_or_else(PoisonError::into_inner);
        let asked = Asked { sweep: std::mem::take(&mut state.sweep), sync: std::mem::take(&mut state.sync) };
        (!state.stop).then_some(asked)
    }

    /// What was asked to be synced since; it is asked for no more then.
    fn take_sync(&self) -> bool {
        std::mem::take(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner).sync)
    }

    fn stopped(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).stop
    }
}

/// The running thread; ends when this is dropped.
pub struct Housekeeper {
    data: Arc<Data>,
    thread: Option<JoinHandle<()>>,
}

impl Housekeeper {
    /// Starts the thread for `data`; counts what it removes in `tally`.
    ///
    /// # Errors
    /// If the system has no thread left.
    pub fn start(data: Arc<Data>, tally: Arc<Tally>) -> std::io::Result<Self> {
        // A sweep may have been interrupted by the end of the last process.
        data.chores.sweep_soon();
        let its = Arc::clone(&data);
        let thread =
            std::thread::Builder::new().name("modb-housekeeper".into()).spawn(move || run(&its, &tally))?;
        Ok(Self { data, thread: Some(thread) })
    }
}

impl Drop for Housekeeper {
    fn drop(&mut self) {
        self.data.chores.stop();
        if let Some(thread) = self.thread.take() {
            // A panic there was reported by the panic hook; the data is consistent whatever it was.
            let _ = thread.join();
        }
    }
}

fn run(data: &Data, tally: &Tally) {
    // A sweep that failed is owed: nobody asks for it again.
    let mut owed_since: Option<Instant> = None;
    while let Some(mut asked) = data.chores.wait() {
        asked.sweep |= owed_since.is_some_and(|since| since.elapsed() >= SWEEP_AGAIN);
        asked.sweep |= data.sites.were_left();
        // First: whoever saves does not wait for those who are told of keys.
        let mut done = if asked.sync { data.store.sync().map_err(DataError::from) } else { Ok(()) };
        data.sweep_trackers();
        done = done.and(data.remove_due(tally));
        if asked.sweep {
            let pause = &mut || {
                // A sweep may take minutes.
                if data.chores.take_sync() {
                    data.store.sync()?;
                }
                data.remove_due(tally)
            };
            let swept = data.sweep_dropped(pause).and_then(|()| data.sweep_ended(pause).map(drop));
            owed_since = swept.is_err().then(Instant::now);
            done = done.and(swept);
        }
        if let Err(error) = done {
            // The store says the same to every writer; it is not repeated here ten times a second.
            tracing::debug!(%error, "housekeeping");
        }
    }
}

/// Milliseconds since 1970.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Data {
    /// Whether the housekeeping thread is to end.
    pub(super) fn is_stopping(&self) -> bool {
        self.chores.stopped()
    }

    /// Whether expired keys stay where they are until somebody asks for them: for tests.
    pub fn leave_expired(&self, leave: bool) {
        self.chores.leaves_expired.store(leave, Ordering::Relaxed);
    }

    /// Removes the keys that have expired by now, unless they are to be left.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub fn remove_due(&self, tally: &Tally) -> Result<(), DataError> {
        if self.chores.leaves_expired.load(Ordering::Relaxed) {
            return Ok(());
        }
        let before = tally.expired.get();
        while self.remove_expired(now_ms(), EXPIRED_PER_GO, tally)? && !self.chores.stopped() {}
        if tally.expired.get() != before {
            self.store.settle()?;
        }
        Ok(())
    }

    /// Has everything committed synced to the disk, by the housekeeping thread.
    pub fn sync_soon(&self) {
        self.chores.sync_soon();
    }

    /// Removes the records of all dropped namespaces, a part at a time, with `pause` in between. May be
    /// interrupted and begun again at any point.
    ///
    /// # Errors
    /// If the store cannot be read or written, or what `pause` fails with.
    pub fn sweep_dropped(&self, pause: &mut dyn FnMut() -> Result<(), DataError>) -> Result<(), DataError> {
        let (from, to) = layout::dropped_range();
        // What does not fit the page is swept in the next go.
        let notes = self.store.scan(&from, &to, SWEPT_PER_GO)?;
        if notes.next.is_some() {
            self.chores.sweep_soon();
        }
        for (key, _) in notes.records {
            let namespace = layout::number_in(&key).ok_or(DataError::Corrupt("a dropped namespace"))?;
            if !self.sweep_beside(namespace, pause)? || !self.sweep_records(namespace, pause)? {
                return Ok(());
            }
            let mut writes = vec![Write::Delete(key.into())];
            for counter in [keys_counter(namespace), expiring_counter(namespace)] {
                let value = self.store.counter(counter);
                if value != 0 {
                    writes.push(Write::Add(counter, -value));
                }
            }
            self.store.apply_freeing(Batch { writes })?;
            self.store.settle()?;
        }
        Ok(())
    }

    /// Removes the key records of a dropped namespace, slice by slice of their hashes; `false` if it was told
    /// to stop.
    fn sweep_records(
        &self,
        namespace: u32,
        pause: &mut dyn FnMut() -> Result<(), DataError>,
    ) -> Result<bool, DataError> {
        let count = u64::try_from(self.store.counter(keys_counter(namespace))).unwrap_or(0);
        let slices = (count / SWEPT_PER_GO as u64 + 1).next_power_of_two();
        let width = (u64::MAX / slices).saturating_add(1);
        for slice in 0..slices {
            let from = layout::records_from(namespace, slice.wrapping_mul(width));
            let to = if slice + 1 == slices {
                layout::records_to(namespace)
            } else {
                layout::records_from(namespace, (slice + 1).wrapping_mul(width))
            };
            self.store.sweep(&from, &to)?;
            if !self.pause_sweeping(pause)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Does what comes between two parts of a sweep, until there is to be another; `false` if it was told to stop.
    pub(super) fn pause_sweeping(
        &self,
        pause: &mut dyn FnMut() -> Result<(), DataError>,
    ) -> Result<bool, DataError> {
        loop {
            if self.is_stopping() {
                return Ok(false);
            }
            pause()?;
            if !self.store.rest_from_sweeping() {
                return Ok(true);
            }
        }
    }

    /// Removes what stands beside the records of a dropped namespace: their expiry entries, and the pages of collections,
    /// which get graves; `false` if it was told to stop.
    fn sweep_beside(
        &self,
        namespace: u32,
        pause: &mut dyn FnMut() -> Result<(), DataError>,
    ) -> Result<bool, DataError> {
        if self.store.counter(expiring_counter(namespace)) == 0 && !self.collections.is_used() {
            return Ok(true);
        }
        let to = layout::records_to(namespace);
        let mut cursor = Some(layout::records_from(namespace, 0));
        while let Some(from) = cursor {
            let page = self.store.glimpse_some(&from, &to, SWEPT_PER_GO, usize::MAX)?;
            let mut writes = Vec::new();
            for (key, record) in &page.records {
                let place =
                    Place::from_record_key(key).ok_or(DataError::Corrupt("a record key is too short"))?;
                let Some(record) = layout::Outline::decode(*record) else { continue };
                if let Some(at) = record.head.expires_at_ms {
                    let mut entry = Vec::new();
                    place.expiry_key(at, &mut entry);
                    writes.push(Write::Delete(entry.into()));
                }
                writes.extend(collection::bury(&record));
            }
            if !writes.is_empty() {
                self.store.apply_freeing(Batch { writes })?;
                self.store.settle()?;
            }
            if !self.pause_sweeping(pause)? {
                return Ok(false);
            }
            cursor = page.next;
        }
        Ok(true)
    }
}
