//! One thread of load: its connections, and the loop that keeps them busy.
//!
//! A connection sends a batch with one write, waits for all replies of it, and sends the next: at once in a
//! closed loop, when requests are due in an open one. One clock reading per piece of input, no allocation per
//! request.
//!
//! Invariant: each request sent is counted once, as answered or as unanswered.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use modb_net::poll::{Events, Interest, Poller};

use super::connect::Ready;
use super::error::BenchError;
use super::replies::Replies;
use super::schedule::Schedule;
use super::sys;
use super::tally::{Live, Tally};
use super::template::Load;

/// Read at once, in bytes. Large enough for the replies to a batch of a hundred small values.
const INPUT_BYTES: usize = 64 << 10;

/// What a worker is to do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// Time 0, the same for all workers.
    pub(super) start: Instant,
    /// Send no more than that many requests.
    pub(super) max_requests: u64,
    /// Send nothing from then on.
    pub(super) until_ns: u64,
    /// Requests of one batch at most.
    pub(super) pipeline: u64,
    /// When requests are due; `None`: as soon as a connection is free.
    pub(super) schedule: Option<Schedule>,
    /// If nothing at all is answered for so long, the connections that wait are given up.
    pub(super) reply_timeout_ns: u64,
}

impl Plan {
    #[inline]
    fn now_ns(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }
}

/// From when latency counts.
#[derive(Clone, Copy, Debug)]
enum Since {
    /// The whole batch was sent then.
    SentNs(u64),
    /// The next reply is to this request of the schedule.
    Scheduled { schedule: Schedule, index: u64 },
}

/// One connection under load.
#[derive(Debug)]
struct Connection {
    stream: Arc<TcpStream>,
    replies: Replies,
    /// What the system has not taken yet of the batch under way.
    unsent: Vec<u8>,
    /// Replies that are missing.
    waiting: u64,
    since: Since,
}

/// The connections of one thread. They outlive a run, so that the next finds them warm.
pub(super) struct Worker {
    poller: Poller,
    /// `None` only while they are dealt with.
    events: Option<Events>,
    /// Under their key of the poller; `None` once lost.
    connections: Vec<Option<Connection>>,
    input: Vec<u8>,
    output: Vec<u8>,
}

impl Worker {
    /// # Errors
    /// The poller refused.
    pub(super) fn new(ready: Vec<Ready>) -> Result<Self, BenchError> {
        let mut poller = Poller::new().map_err(BenchError::Poll)?;
        let mut connections = Vec::with_capacity(ready.len());
        for (key, Ready { stream, replies }) in ready.into_iter().enumerate() {
            poller.add(key, stream.clone(), Interest::READ).map_err(BenchError::Poll)?;
            let since = Since::SentNs(0);
            connections.push(Some(Connection { stream, replies, unsent: Vec::new(), waiting: 0, since }));
        }
        let input = vec![0; INPUT_BYTES];
        Ok(Self { poller, events: Some(Events::new()), connections, input, output: Vec::new() })
    }

    /// Carries out `plan` and counts. Connections that break are counted; the others go on.
    ///
    /// # Errors
    /// Waiting failed.
    pub(super) fn run(&mut self, plan: Plan, load: Load, live: &Live) -> Result<Tally, BenchError> {
        let cpu_before = sys::thread_cpu_time();
        let idle = (0..self.connections.len()).filter(|&key| self.connections[key].is_some()).collect();
        let (sent, busy, last_ns, tally) = (0, 0, 0, Tally::new());
        let mut run = Run { worker: self, plan, load, live, idle, sent, busy, last_ns, tally };
        run.until_done()?;
        let mut tally = run.tally;
        tally.cpu = sys::thread_cpu_time().saturating_sub(cpu_before);
        Ok(tally)
    }
}

/// A plan under way.
struct Run<'a> {
    worker: &'a mut Worker,
    plan: Plan,
    load: Load,
    live: &'a Live,
    /// Connections that could send, the longest idle first.
    idle: VecDeque<usize>,
    /// Requests given to connections to send.
    sent: u64,
    /// Connections that wait for replies.
    busy: usize,
    /// When the last reply came.
    last_ns: u64,
    tally: Tally,
}

impl Run<'_> {
    fn until_done(&mut self) -> Result<(), BenchError> {
        let (mut progress_ns, mut answered) = (0, 0);
        loop {
            let now_ns = self.plan.now_ns();
            if self.busy == 0 || self.tally.requests > answered {
                (progress_ns, answered) = (now_ns, self.tally.requests);
            }
            self.send_from_idle(now_ns);
            let next_ns = self.next_send_ns(now_ns).filter(|_| !self.idle.is_empty());
            let give_up_ns = progress_ns.saturating_add(self.plan.reply_timeout_ns);
            let wake_ns = match (self.busy, next_ns) {
                (0, None) => break,
                (0, Some(next_ns)) => next_ns,
                (_, None) => give_up_ns,
                (_, Some(next_ns)) => next_ns.min(give_up_ns),
            };
            if self.busy > 0 && now_ns >= give_up_ns {
                self.give_up();
            } else {
                self.wait(Duration::from_nanos(wake_ns.saturating_sub(now_ns)))?;
            }
        }
        self.close_the_books();
        Ok(())
    }

    fn close_the_books(&mut self) {
        let Plan { until_ns, max_requests, schedule, .. } = self.plan;
        if let Some(schedule) = schedule {
            let due = schedule.due(until_ns - 1).min(max_requests);
            self.tally.unsent = due.saturating_sub(self.sent);
        }
        // A run for a time lasts that time, though the last reply of an open loop may come before its end.
        let cut_short = until_ns == u64::MAX || self.tally.lost_connections > 0;
        let end_ns = if cut_short { self.last_ns } else { self.last_ns.max(until_ns) };
        self.tally.elapsed = Duration::from_nanos(end_ns);
    }

    fn wait(&mut self, timeout: Duration) -> Result<(), BenchError> {
        // Taken out, since an event is dealt with by the whole of `self`.
        let mut events = self.worker.events.take().unwrap_or_default();
        self.worker.poller.wait(&mut events, Some(timeout)).map_err(BenchError::Poll)?;
        for event in events.iter() {
            if event.writable {
                self.flush(event.key);
            }
            if event.readable || event.error || event.hangup {
                self.receive(event.key);
            }
        }
        self.worker.events = Some(events);
        self.live.publish(self.tally.requests, self.tally.errors);
        Ok(())
    }

    /// When the next request may be sent, if one is left.
    fn next_send_ns(&self, now_ns: u64) -> Option<u64> {
        let at_ns = self.plan.schedule.map_or(now_ns, |schedule| schedule.due_ns(self.sent));
        (self.sent < self.plan.max_requests && at_ns.max(now_ns) < self.plan.until_ns).then_some(at_ns)
    }

    fn send_from_idle(&mut self, now_ns: u64) {
        while let Some(&key) = self.idle.front() {
            let Some((requests, since)) = self.next_batch(now_ns) else { break };
            self.idle.pop_front();
            self.send(key, requests, since);
        }
    }

    /// Takes the next batch that may be sent now, if there is one.
    #[inline]
    fn next_batch(&mut self, now_ns: u64) -> Option<(u64, Since)> {
        let Plan { max_requests, until_ns, pipeline, schedule, .. } = self.plan;
        if now_ns >= until_ns {
            return None;
        }
        let (due, since) = match schedule {
            None => (u64::MAX, Since::SentNs(now_ns)),
            Some(schedule) => {
                (schedule.due(now_ns) - self.sent, Since::Scheduled { schedule, index: self.sent })
            }
        };
        let requests = due.min(max_requests - self.sent).min(pipeline);
        self.sent += requests;
        (requests > 0).then_some((requests, since))
    }

    /// Has a free connection send a batch.
    #[inline]
    fn send(&mut self, key: usize, requests: u64, since: Since) {
        let Some(connection) = &mut self.worker.connections[key] else { return };
        self.busy += 1;
        connection.waiting = requests;
        connection.since = since;
        let output = &mut self.worker.output;
        output.clear();
        self.load.append(output, requests);
        match write(&connection.stream, output) {
            Ok(taken) if taken == output.len() => {}
            Ok(taken) => {
                connection.unsent.extend_from_slice(&output[taken..]);
                self.watch(key, Interest::BOTH);
            }
            Err(error) => self.lose(key, &error.to_string()),
        }
    }

    /// Sends more of what the system would not take before.
    fn flush(&mut self, key: usize) {
        let Some(connection) = &mut self.worker.connections[key] else { return };
        match write(&connection.stream, &connection.unsent) {
            Ok(taken) => {
                connection.unsent.drain(..taken);
                if connection.unsent.is_empty() {
                    self.watch(key, Interest::READ);
                }
            }
            Err(error) => self.lose(key, &error.to_string()),
        }
    }

    /// Reads once and counts; what is left is reported again.
    fn receive(&mut self, key: usize) {
        let Some(connection) = &mut self.worker.connections[key] else { return };
        let bytes = match (&*connection.stream).read(&mut self.worker.input) {
            Ok(0) => return self.lose(key, "the server closed it"),
            Ok(bytes) => bytes,
            Err(error) if is_try_again(&error) => return,
            Err(error) => return self.lose(key, &error.to_string()),
        };
        let now_ns = self.plan.now_ns();
        let counted = match connection.replies.count(&self.worker.input[..bytes]) {
            Ok(counted) if counted.replies <= connection.waiting => counted,
            Ok(_) => return self.lose(key, "more replies than requests"),
            Err(reason) => return self.lose(key, &reason),
        };
        if counted.replies == 0 {
            return;
        }
        let latencies = &mut self.tally.latencies_ns;
        match &mut connection.since {
            Since::SentNs(sent_ns) => latencies.saturating_record_n(now_ns - *sent_ns, counted.replies),
            Since::Scheduled { schedule, index } => {
                for _ in 0..counted.replies {
                    latencies.saturating_record_n(now_ns - schedule.due_ns(*index), 1);
                    *index += 1;
                }
            }
        }
        self.last_ns = now_ns;
        self.tally.requests += counted.replies;
        if counted.errors > 0 {
            self.tally.errors += counted.errors;
            self.tally.error = self.tally.error.take().or_else(|| connection.replies.last_error());
        }
        connection.waiting -= counted.replies;
        if connection.waiting == 0 {
            self.busy -= 1;
            match self.next_batch(now_ns) {
                Some((requests, since)) => self.send(key, requests, since),
                None => self.idle.push_back(key),
            }
        }
    }

    fn watch(&mut self, key: usize, interest: Interest) {
        if let Err(error) = self.worker.poller.modify(key, interest) {
            self.lose(key, &error.to_string());
        }
    }

    /// Takes a broken connection out.
    #[cold]
    fn lose(&mut self, key: usize, reason: &str) {
        let Some(connection) = self.worker.connections[key].take() else { return };
        // The connection is gone in any case; what the poller says about that does not matter.
        let _ = self.worker.poller.delete(key);
        if connection.waiting > 0 {
            self.busy -= 1;
        } else {
            self.idle.retain(|&idle| idle != key);
        }
        self.tally.unanswered += connection.waiting;
        self.tally.lost_connections += 1;
        self.tally.loss.get_or_insert_with(|| reason.to_owned());
    }

    /// Takes every connection out that waits.
    #[cold]
    fn give_up(&mut self) {
        let reason = format!("no reply for {:?}", Duration::from_nanos(self.plan.reply_timeout_ns));
        let waits = |connection: &Connection| connection.waiting > 0;
        for key in 0..self.worker.connections.len() {
            if self.worker.connections[key].as_ref().is_some_and(waits) {
                self.lose(key, &reason);
            }
        }
    }
}

/// Writes once; 0 if the system takes nothing now.
#[inline]
fn write(mut stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    match stream.write(bytes) {
        Err(error) if is_try_again(&error) => Ok(0),
        result => result,
    }
}

fn is_try_again(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
