//! The notifier on real threads: each test runs over every kind of channel that there is here.

use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Instant;

use super::*;
use crate::system::poll::{Events, Interest, Poller};
use crate::system::socketpair::Strategy;

/// Far longer than any wake-up takes.
const LONG: Duration = Duration::from_secs(20);

/// A notifier in a poller, as a worker has it.
struct Loop {
    notifier: Notifier,
    poller: Poller,
    events: Events,
}

/// One notifier of each kind.
fn notifiers() -> Vec<Notifier> {
    let pair = |strategy| socketpair::pair_by(strategy, socketpair::DEFAULT_DEADLINE).unwrap();
    let strategies: [&[Strategy]; 2] = [Strategy::DEFAULT, &[Strategy::LoopbackV4]];
    let pairs = strategies.into_iter().map(|strategy| Notifier::over(pair(strategy)));
    pairs.chain([Notifier::new().unwrap()]).collect()
}

impl Loop {
    fn new(notifier: Notifier) -> Self {
        let mut poller = Poller::new().unwrap();
        poller.add(0, notifier.source(), Interest::READ).unwrap();
        Self { notifier, poller, events: Events::new() }
    }

    /// One wait.
    fn wait(&mut self) -> Result<(), NotifyError> {
        let (begun, wait) = (Instant::now(), self.notifier.begin_wait(true));
        self.poller.wait(&mut self.events, wait.timeout(Some(LONG))).unwrap();
        assert!(begun.elapsed() < LONG, "slept through it: a lost wake-up");
        wait.end(!self.events.is_empty())
    }
}

/// How many writes nobody has read yet.
fn pending_writes(notifier: &Notifier) -> usize {
    match (&notifier.receiver, &notifier.shared.sender) {
        (Receiver::Socket(socket), Sender::Socket { .. }) => {
            // A byte over TCP may still be on its way.
            let watch = sys::Watch { socket, write: false };
            sys::poll_sockets(&[watch], Duration::from_millis(20)).unwrap();
            socket.peek(&mut [MaybeUninit::uninit(); 64]).unwrap_or(0)
        }
        (Receiver::Event(event), sender) => {
            let count = event.take().unwrap_or(0);
            (0..count).for_each(|_| sender.write().unwrap());
            count as usize
        }
        ends => panic!("{ends:?}"),
    }
}

#[test]
fn awake_nothing_is_written_asleep_there_is_exactly_one_write() {
    for notifier in notifiers() {
        let waker = notifier.waker();
        for _ in 0..1000 {
            waker.wake().unwrap();
        }
        assert_eq!(pending_writes(&notifier), 0);
        let wait = notifier.begin_wait(true);
        assert!(!wait.may_block(), "there were wake-ups while it was awake");
        wait.end(false).unwrap();

        let wait = notifier.begin_wait(true);
        assert!(wait.may_block());
        for _ in 0..1000 {
            waker.wake().unwrap();
        }
        assert_eq!(pending_writes(&notifier), 1);
        wait.end(true).unwrap();
        assert_eq!(pending_writes(&notifier), 0);
    }
}

#[test]
fn a_loop_with_something_left_undone_does_not_sleep() {
    let notifier = Notifier::new().unwrap();
    let wait = notifier.begin_wait(false);
    assert_eq!(wait.timeout(Some(LONG)), Some(Duration::ZERO));
}

#[test]
fn a_loop_that_was_woken_sleeps_again_without_a_look() {
    for notifier in notifiers() {
        for _ in 0..3 {
            let asleep = notifier.begin_wait(true);
            assert!(asleep.may_block());
            notifier.waker().wake().unwrap();
            assert_eq!(pending_writes(&notifier), 1);
            asleep.end(true).unwrap();
        }
    }
}

#[test]
fn a_loop_that_a_burst_has_woken_looks_before_it_sleeps_again() {
    for notifier in notifiers() {
        let asleep = notifier.begin_wait(true);
        notifier.waker().wake().unwrap();
        notifier.waker().wake().unwrap();
        assert_eq!(pending_writes(&notifier), 1);
        asleep.end(true).unwrap();
        let looking = notifier.begin_wait(true);
        assert!(!looking.may_block(), "two came while it slept");
        looking.end(false).unwrap();
        assert!(notifier.begin_wait(true).may_block(), "none came while it looked");
    }
}

#[test]
fn a_wake_up_is_reported_once_in_a_poller() {
    for notifier in notifiers() {
        let Loop { notifier, poller, mut events } = Loop::new(notifier);
        for _ in 0..3 {
            let asleep = notifier.begin_wait(true);
            assert!(asleep.may_block());
            notifier.waker().wake().unwrap();
            poller.wait(&mut events, Some(LONG)).unwrap();
            assert_eq!(events.len(), 1);
            asleep.end(true).unwrap();
            poller.wait(&mut events, Some(Duration::ZERO)).unwrap();
            assert!(events.is_empty());
        }
    }
}

#[test]
fn what_is_reported_without_a_wake_up_is_emptied() {
    for notifier in notifiers() {
        let _in_a_poller = notifier.source();
        let asleep = notifier.begin_wait(true);
        notifier.waker().wake().unwrap();
        asleep.end(true).unwrap();
        notifier.begin_wait(true).end(true).unwrap();
        assert_eq!(pending_writes(&notifier), 0);
    }
}

#[test]
fn in_a_burst_the_loop_looks_until_nothing_came_during_the_look() {
    for notifier in notifiers() {
        let wake = || notifier.waker().wake().unwrap();
        wake();
        for _ in 0..30 {
            let looking = notifier.begin_wait(true);
            assert!(!looking.may_block());
            wake();
            looking.end(false).unwrap();
        }
        assert_eq!(pending_writes(&notifier), 0, "it was awake all the time");
        let mut looks = 0;
        loop {
            let wait = notifier.begin_wait(true);
            let may_block = wait.may_block();
            wait.end(false).unwrap();
            if may_block {
                break;
            }
            looks += 1;
            assert!(looks <= 16, "nothing came for as many looks as two askings have");
        }
        assert!(looks > 0, "one came during the last look");
    }
}

#[test]
fn a_wait_that_is_dropped_has_ended() {
    for notifier in notifiers() {
        drop(notifier.begin_wait(true));
        notifier.waker().wake().unwrap();
        assert_eq!(pending_writes(&notifier), 0, "it is awake");
    }
}

#[test]
fn a_sleeping_loop_is_woken() {
    for notifier in notifiers() {
        let mut looping = Loop::new(notifier);
        let waker = looping.notifier.waker();
        let waking = std::thread::spawn(move || waker.wake());
        // Either the wake-up comes first and the wait does not block, or it wakes the wait.
        looping.wait().unwrap();
        waking.join().unwrap().unwrap();
    }
}

#[test]
fn wakers_outlive_the_notifier() {
    for notifier in notifiers() {
        let waker = notifier.waker();
        let other = waker.clone();
        drop(notifier);
        assert_eq!(waker.wake(), Err(NotifyError::Closed));
        assert_eq!(std::thread::spawn(move || other.wake()).join().unwrap(), Err(NotifyError::Closed));
    }
}

/// Producers push numbers through a channel and wake; the loop counts what arrives.
fn count_at_both_ends(notifier: Notifier, producers: u64, each: u64) {
    let mut looping = Loop::new(notifier);
    let (send, receive) = mpsc::channel::<u64>();
    let threads: Vec<_> = (0..producers)
        .map(|_| {
            let (waker, send) = (looping.notifier.waker(), send.clone());
            std::thread::spawn(move || {
                for number in 0..each {
                    send.send(number).unwrap();
                    waker.wake().unwrap();
                }
            })
        })
        .collect();
    let (mut count, mut sum) = (0, 0);
    while count < producers * each {
        looping.wait().unwrap();
        for number in receive.try_iter() {
            count += 1;
            sum += number;
        }
    }
    assert_eq!(sum, producers * (each * (each - 1) / 2));
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn nothing_is_lost_between_threads() {
    for producers in [1, 2, 4] {
        for notifier in notifiers() {
            count_at_both_ends(notifier, producers, 1_000_000 / 9 / producers);
        }
    }
}

/// Producers that wait until their item was seen: the loop falls asleep between any two of them, so that one
/// wakes it while another is still on its way out of its own write.
fn count_one_at_a_time(notifier: Notifier, producers: usize, each: u64) {
    let mut looping = Loop::new(notifier);
    let waker = looping.notifier.waker();
    let desks: Vec<_> = (0..producers).map(|_| (AtomicU64::new(0), AtomicU64::new(0))).collect();
    std::thread::scope(|scope| {
        for (sent, seen) in &desks {
            scope.spawn(|| {
                for number in 1..=each {
                    let begun = Instant::now();
                    sent.store(number, Ordering::Relaxed);
                    waker.wake().unwrap();
                    while seen.load(Ordering::Relaxed) != number {
                        assert!(begun.elapsed() < 2 * LONG, "never seen");
                        std::thread::yield_now();
                    }
                }
            });
        }
        while desks.iter().any(|(_, seen)| seen.load(Ordering::Relaxed) < each) {
            looping.wait().unwrap();
            for (sent, seen) in &desks {
                seen.store(sent.load(Ordering::Relaxed), Ordering::Relaxed);
            }
        }
    });
}

#[test]
fn nothing_is_lost_when_each_wake_up_is_waited_for() {
    for notifier in notifiers() {
        count_one_at_a_time(notifier, 8, 200);
    }
}

#[test]
#[ignore = "minutes"]
fn long_nothing_is_lost_in_ten_million() {
    for producers in [1, 2, 4] {
        for notifier in notifiers() {
            count_at_both_ends(notifier, producers, 10_000_000 / producers);
        }
    }
}
