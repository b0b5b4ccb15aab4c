//! Running all workers at once, with somebody watching.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::error::BenchError;
use super::options::{Limit, Options};
use super::progress::{Progress, Timeline};
use super::schedule::Schedule;
use super::tally::{Live, Tally};
use super::template::Load;
use super::worker::{Plan, Worker};

/// How often the main thread looks at the workers' counts.
const WATCH_INTERVAL: Duration = Duration::from_millis(100);

/// One thing that all workers do together.
pub(super) struct Phase<'a> {
    /// Present participle, for the progress bar.
    pub(super) name: &'static str,
    pub(super) limit: Limit,
    pub(super) pipeline: u64,
    pub(super) requests_per_s: Option<u64>,
    /// The load of the worker with this number.
    pub(super) load: &'a dyn Fn(u64) -> Load,
}

impl Phase<'_> {
    /// Runs it to its end, and counts.
    ///
    /// # Errors
    /// A worker could not wait for its sockets.
    pub(super) fn run(
        &self,
        workers: &mut [Worker],
        options: &Options,
    ) -> Result<(Tally, Timeline), BenchError> {
        let lives: Vec<Live> = workers.iter().map(|_| Live::default()).collect();
        let start = Instant::now();
        let (count, mut timeline) = (workers.len() as u64, Timeline::new());
        let mut progress = Progress::new(self.name, self.limit, options.quiet);
        thread::scope(|scope| {
            // Nothing is ever sent: that all senders are gone is the message.
            let (alive, ended) = mpsc::channel::<()>();
            let threads: Vec<_> = (0..)
                .zip(workers)
                .zip(&lives)
                .map(|((number, worker), live)| {
                    let plan = self.plan(number, count, start, options.reply_timeout);
                    let (load, alive) = ((self.load)(number), alive.clone());
                    scope.spawn(move || {
                        let _alive = alive;
                        worker.run(plan, load, live)
                    })
                })
                .collect();
            drop(alive);
            while ended.recv_timeout(WATCH_INTERVAL) == Err(mpsc::RecvTimeoutError::Timeout) {
                let (requests, errors) = Live::sum(&lives);
                timeline.record(start.elapsed(), requests);
                progress.show(start.elapsed(), requests, errors);
            }
            progress.clear();
            let mut tally = Tally::new();
            for thread in threads {
                tally.add(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
            }
            Ok((tally, timeline))
        })
    }

    fn plan(&self, worker: u64, workers: u64, start: Instant, reply_timeout: Duration) -> Plan {
        let (max_requests, until_ns) = match self.limit {
            Limit::Requests(requests) => (requests.saturating_sub(worker).div_ceil(workers), u64::MAX),
            Limit::Duration(duration) => (u64::MAX, duration.as_nanos() as u64),
        };
        Plan {
            start,
            max_requests,
            until_ns,
            pipeline: self.pipeline,
            schedule: self.requests_per_s.map(|rate| Schedule::new(rate, worker, workers)),
            reply_timeout_ns: reply_timeout.as_nanos() as u64,
        }
    }
}
