//! One thread of the load: many non-blocking connections, requests encoded beforehand, replies only counted.
//!
//! A turn costs one wait for all connections, and per batch one write and one read. Interest in writing exists only
//! while a write is incomplete.
//!
//! Time: without a rate, a connection sends its next batch when the last one is answered, and the latency runs from
//! sending. With a rate, batches are due at fixed times and the latency runs from the time a batch was due, sent or
//! not, so that a stall of the server is felt by all requests that it delayed.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use modb_client::Error;
use modb_net::poll::{Events, Interest, Poller};
use modb_net::resp::ReplyCounter;

use super::random::Rng;
use super::workload::{Batch, Workload};

/// Replies are read in pieces of up to this, in bytes.
const READ_BYTES: usize = 64 << 10;
/// Latencies are told apart to three digits, and those beyond this count as this.
const MAX_LATENCY: Duration = Duration::from_secs(100);

/// When a thread stops, from its start.
#[derive(Clone, Copy, Debug)]
pub(super) enum Until {
    /// After this time of measuring.
    Time(Duration),
    /// After this many requests of measuring.
    Requests(u64),
}

/// What a thread is to do.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) workload: Workload,
    pub(super) pipeline: usize,
    /// Requests per second; `None`: as fast as the replies come.
    pub(super) rate: Option<f64>,
    /// What happens in this time counts for nothing.
    pub(super) warm_up: Duration,
    pub(super) until: Until,
    pub(super) seed: u64,
}

/// What other threads may see and say meanwhile.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Replies counted since the warm-up, by all threads.
    pub(super) replies: AtomicU64,
    /// Set when a thread has failed: the others need not go on.
    pub(super) stop: AtomicBool,
}

/// What a thread has measured.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    pub(super) replies: u64,
    pub(super) errors: u64,
    /// One of the errors.
    pub(super) error_text: Option<String>,
    pub(super) bytes_in: u64,
    pub(super) elapsed: Duration,
    /// In nanoseconds, one entry per request.
    pub(super) latency: Histogram<u64>,
}

impl Measured {
    pub(super) fn new() -> Self {
        let max_ns = MAX_LATENCY.as_nanos() as u64;
        let latency = Histogram::new_with_bounds(1, max_ns, 3).expect("the bounds are valid");
        Self { replies: 0, errors: 0, error_text: None, bytes_in: 0, elapsed: Duration::ZERO, latency }
    }

    /// Adds what another thread has measured at the same time.
    pub(super) fn add(&mut self, other: &Self) {
        self.replies += other.replies;
        self.errors += other.errors;
        self.error_text = self.error_text.take().or_else(|| other.error_text.clone());
        self.bytes_in += other.bytes_in;
        self.elapsed = self.elapsed.max(other.elapsed);
        self.latency.add(&other.latency).expect("both have the same bounds");
    }
}

/// One connection.
#[derive(Debug)]
struct Link {
    stream: Arc<TcpStream>,
    counter: ReplyCounter,
    batch: Batch,
    /// Bytes of the batch that were written.
    written: usize,
    /// Replies of the batch that are missing.
    missing: u64,
    /// What latencies run from.
    since: Instant,
    wants_write: bool,
}

/// A thread's state.
#[derive(Debug)]
pub(super) struct Worker<'a> {
    plan: Plan,
    shared: &'a Shared,
    poller: Poller,
    links: Vec<Link>,
    /// Connections whose batch is answered, when there is a rate.
    idle: VecDeque<usize>,
    input: Vec<u8>,
    rng: Rng,
    measured: Measured,
    /// Requests sent since the warm-up.
    sent: u64,
    warm: bool,
    started: Instant,
}

impl<'a> Worker<'a> {
    /// Takes over `streams`, on which nothing may be under way.
    pub(super) fn new(plan: Plan, streams: Vec<TcpStream>, shared: &'a Shared) -> io::Result<Self> {
        let now = Instant::now();
        let mut poller = Poller::new()?;
        let mut links = Vec::with_capacity(streams.len());
        for (key, stream) in streams.into_iter().enumerate() {
            stream.set_nonblocking(true)?;
            let stream = Arc::new(stream);
            poller.add(key, stream.clone(), Interest::READ)?;
            links.push(Link {
                stream,
                counter: ReplyCounter::default(),
                batch: Batch::new(),
                written: 0,
                missing: 0,
                since: now,
                wants_write: false,
            });
        }
        let rng = Rng::new(plan.seed);
        Ok(Self {
            shared,
            poller,
            idle: (0..links.len()).collect(),
            links,
            input: vec![0; READ_BYTES],
            rng,
            measured: Measured::new(),
            sent: 0,
            warm: plan.warm_up.is_zero(),
            started: now,
            plan,
        })
    }

    /// Generates the load.
    pub(super) fn run(mut self) -> Result<Measured, Error> {
        let result = self.turns();
        if result.is_err() {
            self.shared.stop.store(true, Ordering::Relaxed);
        }
        result.map(|()| self.measured)
    }

    fn turns(&mut self) -> Result<(), Error> {
        self.started = Instant::now();
        let interval = self.plan.rate.map(|rate| Duration::from_secs_f64(self.plan.pipeline as f64 / rate));
        let mut due = self.started;
        if interval.is_none() {
            self.idle.clear();
            for key in 0..self.links.len() {
                self.send_batch(key, self.started)?;
            }
        }
        let mut events = Events::new();
        let mut now = self.started;
        while !self.is_over(now) {
            let mut timeout = self.time_left(now);
            if let Some(interval) = interval {
                while due <= now
                    && let Some(key) = self.idle.pop_front()
                {
                    if !self.send_batch(key, due)? {
                        self.idle.push_front(key);
                        break;
                    }
                    due += interval;
                }
                if !self.idle.is_empty() {
                    timeout = timeout.min(due.saturating_duration_since(now));
                }
            }
            self.poller.wait(&mut events, Some(timeout)).map_err(Error::Io)?;
            now = Instant::now();
            self.end_warm_up(now);
            let before = self.measured.replies;
            for event in events.iter() {
                if event.writable {
                    self.write(event.key)?;
                }
                if event.readable || event.error || event.hangup {
                    self.read(event.key, interval.is_none())?;
                }
            }
            if self.warm {
                self.shared.replies.fetch_add(self.measured.replies - before, Ordering::Relaxed);
            }
            self.measured.elapsed = now - self.started;
        }
        Ok(())
    }

    fn is_over(&self, now: Instant) -> bool {
        self.shared.stop.load(Ordering::Relaxed)
            || self.warm
                && match self.plan.until {
                    Until::Time(time) => now - self.started >= time,
                    Until::Requests(count) => self.measured.replies >= count,
                }
    }

    /// Until the next thing that happens by itself.
    fn time_left(&self, now: Instant) -> Duration {
        /// How soon the failure of another thread is noticed.
        const AT_MOST: Duration = Duration::from_millis(100);
        let end = match self.plan.until {
            _ if !self.warm => self.plan.warm_up,
            Until::Time(time) => time,
            Until::Requests(_) => Duration::MAX,
        };
        end.saturating_sub(now - self.started).min(AT_MOST)
    }

    /// Begins to measure once the warm-up is over. What is under way is answered as part of the measurement.
    fn end_warm_up(&mut self, now: Instant) {
        if self.warm || now - self.started < self.plan.warm_up {
            return;
        }
        self.warm = true;
        self.started = now;
        self.measured = Measured::new();
        self.sent = self.links.iter().map(|link| link.missing).sum();
    }

    /// Sends the next requests on an idle connection; `false` if there are none left to send.
    fn send_batch(&mut self, key: usize, since: Instant) -> Result<bool, Error> {
        let mut requests = self.plan.pipeline as u64;
        if let (true, Until::Requests(count)) = (self.warm, self.plan.until) {
            requests = requests.min(count.saturating_sub(self.sent));
        }
        if requests == 0 {
            return Ok(false);
        }
        self.sent += requests;
        let link = &mut self.links[key];
        link.batch.refill(&self.plan.workload, requests as usize, &mut self.rng);
        link.written = 0;
        link.missing = requests;
        link.since = since;
        self.write(key)?;
        Ok(true)
    }

    /// Writes what is left of a batch.
    fn write(&mut self, key: usize) -> Result<(), Error> {
        let link = &mut self.links[key];
        while link.written < link.batch.bytes().len() {
            match (&*link.stream).write(&link.batch.bytes()[link.written..]) {
                Ok(count) => link.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::Io(error)),
            }
        }
        let incomplete = link.written < link.batch.bytes().len();
        if incomplete != link.wants_write {
            link.wants_write = incomplete;
            let interest = if incomplete { Interest::BOTH } else { Interest::READ };
            self.poller.modify(key, interest).map_err(Error::Io)?;
        }
        Ok(())
    }

    /// Reads and counts replies; when the batch is answered, the next one is sent or the connection is idle.
    fn read(&mut self, key: usize, send_next: bool) -> Result<(), Error> {
        let link = &mut self.links[key];
        let count = match (&*link.stream).read(&mut self.input) {
            Ok(0) => return Err(Error::Closed),
            Ok(count) => count,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                return Ok(());
            }
            Err(error) => return Err(Error::Io(error)),
        };
        let counted = link.counter.count(&self.input[..count])?;
        let now = Instant::now();
        self.measured.bytes_in += count as u64;
        if counted.replies == 0 {
            return Ok(());
        }
        let latency_ns = (now - link.since).as_nanos() as u64;
        self.measured.latency.saturating_record_n(latency_ns, counted.replies);
        self.measured.replies += counted.replies;
        if counted.errors > 0 {
            self.measured.errors += counted.errors;
            self.measured.error_text = link.counter.last_error();
        }
        link.missing = link.missing.saturating_sub(counted.replies);
        if link.missing == 0 {
            if send_next {
                self.send_batch(key, now)?;
            } else {
                self.idle.push_back(key);
            }
        }
        Ok(())
    }
}
