//! The notifier in loops that are not ours: the loop only has to say whether the socket is readable.

use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use modb_net::notify::{Notifier, Waker};
use modb_net::socketpair::{self, Strategy};

/// Far longer than any wake-up takes: a wait that lasts as long has lost one.
pub(crate) const LONG: Duration = Duration::from_secs(20);

pub(crate) const PRODUCERS: usize = 3;
pub(crate) const ITEMS_EACH: usize = 20_000;

/// One notifier of each kind.
pub(crate) fn notifiers() -> Vec<Notifier> {
    let pair = |strategy| socketpair::pair_by(strategy, socketpair::DEFAULT_DEADLINE).unwrap();
    let strategies: [&[Strategy]; 2] = [Strategy::DEFAULT, &[Strategy::LoopbackV4]];
    let pairs = strategies.into_iter().map(|strategy| Notifier::over(pair(strategy)));
    pairs.chain([Notifier::new().unwrap()]).collect()
}

/// Threads that send numbers and wake the loop after each.
pub(crate) fn produce(waker: &Waker) -> (mpsc::Receiver<usize>, Vec<JoinHandle<()>>) {
    let (send, receive) = mpsc::channel();
    let threads = (0..PRODUCERS).map(|_| {
        let (waker, send) = (waker.clone(), send.clone());
        std::thread::spawn(move || {
            for number in 0..ITEMS_EACH {
                send.send(number).unwrap();
                waker.wake().unwrap();
            }
        })
    });
    (receive, threads.collect())
}

/// Every item arrives in a loop that waits by `readable`: given the notifier and how long to wait at most,
/// it says whether the socket can be read.
pub(crate) fn runs_in(mut readable: impl FnMut(&Notifier, Duration) -> bool) {
    for notifier in notifiers() {
        let (items, threads) = produce(&notifier.waker());
        let mut count = 0;
        while count < PRODUCERS * ITEMS_EACH {
            let (begun, wait) = (Instant::now(), notifier.begin_wait(true));
            let timeout = wait.timeout(Some(LONG)).unwrap();
            let is_readable = readable(&notifier, timeout);
            assert!(begun.elapsed() < LONG, "slept through it: a lost wake-up");
            wait.end(is_readable).unwrap();
            count += items.try_iter().count();
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}
