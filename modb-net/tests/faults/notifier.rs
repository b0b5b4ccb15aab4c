//! A notifier whose socket, threads or loop have failed it.

use std::io::Write;
use std::net::Shutdown;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use modb_net::notify::{Notifier, NotifyError};
use modb_net::poll::{Events, Interest, Poller};
use modb_net::socketpair;

use crate::child::in_child;
use crate::loops::{LONG, notifiers};
use crate::sys;

/// One wait in a new poller; the result of the notifier, and how long it took.
fn wait(notifier: &Notifier) -> (Result<(), NotifyError>, Duration) {
    let (mut poller, mut events) = (Poller::new().unwrap(), Events::new());
    poller.add(0, notifier.source(), Interest::READ).unwrap();
    let begun = Instant::now();
    let wait = notifier.begin_wait(true);
    poller.wait(&mut events, wait.timeout(Some(LONG))).unwrap();
    (wait.end(!events.is_empty()), begun.elapsed())
}

#[test]
fn a_full_buffer_is_a_wake_up_all_the_same() {
    let (receiver, mut sender) = socketpair::pair().unwrap();
    while sender.write(&[0; 4096]).is_ok() {}
    let notifier = Notifier::over((receiver, sender));
    let asleep = notifier.begin_wait(true);
    assert!(asleep.may_block());
    notifier.waker().wake().unwrap();
    drop(asleep);
    let (result, took) = wait(&notifier);
    assert_eq!(result, Ok(()));
    assert!(took < LONG);
}

#[test]
fn a_wake_up_of_a_thread_that_has_ended_arrives() {
    for notifier in notifiers() {
        let asleep = notifier.begin_wait(true);
        let waker = notifier.waker();
        std::thread::spawn(move || waker.wake()).join().unwrap().unwrap();
        drop(asleep);
        // It looks once more, and would sleep after that.
        drop(notifier.begin_wait(true));
        // Asleep when it came, so its byte has been taken; awake when it comes, so the next wait does not block.
        let waker = notifier.waker();
        std::thread::spawn(move || waker.wake()).join().unwrap().unwrap();
        let (result, took) = wait(&notifier);
        assert_eq!(result, Ok(()));
        assert!(took < LONG);
    }
}

#[test]
fn a_loop_that_ends_with_wake_ups_pending_closes_the_wakers() {
    for notifier in notifiers() {
        let waker = notifier.waker();
        waker.wake().unwrap();
        std::thread::spawn(move || drop(notifier)).join().unwrap();
        for _ in 0..3 {
            assert_eq!(waker.wake(), Err(NotifyError::Closed));
        }
    }
}

#[test]
fn wakers_race_with_the_end_of_the_loop_and_all_learn_of_it() {
    for notifier in std::iter::repeat_with(notifiers).take(20).flatten() {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let waker = notifier.waker();
                std::thread::spawn(move || {
                    loop {
                        if let Err(error) = waker.wake() {
                            return error;
                        }
                    }
                })
            })
            .collect();
        drop(notifier.begin_wait(true));
        drop(notifier);
        for thread in threads {
            assert_eq!(thread.join().unwrap(), NotifyError::Closed);
        }
    }
}

#[test]
fn a_closed_stream_breaks_the_notifier_and_is_told_on_both_sides() {
    let (receiver, sender) = socketpair::pair().unwrap();
    sender.shutdown(Shutdown::Write).unwrap();
    let notifier = Notifier::over((receiver, sender));
    let (result, took) = wait(&notifier);
    assert_eq!(result, Err(NotifyError::Broken));
    assert!(took < LONG);
    assert_eq!(notifier.waker().wake(), Err(NotifyError::Broken));
    // It does not sleep again, and says so again.
    assert!(!notifier.begin_wait(true).may_block());
}

#[test]
fn a_write_that_keeps_failing_reaches_the_sleeping_loop_and_every_waker() {
    in_child("notifier::a_write_that_keeps_failing_reaches_the_sleeping_loop_and_every_waker", || {
        let (receiver, sender) = socketpair::pair().unwrap();
        let break_it = sys::breaker_of(&sender);
        let notifier = Notifier::over((receiver, sender));
        let wakers: Vec<_> = (0..4).map(|_| notifier.waker()).collect();
        let (asleep, is_asleep) = mpsc::channel();
        let sleeping = std::thread::spawn(move || {
            let (mut poller, mut events) = (Poller::new().unwrap(), Events::new());
            poller.add(0, notifier.source(), Interest::READ).unwrap();
            let (begun, wait) = (Instant::now(), notifier.begin_wait(true));
            asleep.send(wait.may_block()).unwrap();
            poller.wait(&mut events, wait.timeout(Some(LONG))).unwrap();
            // The notifier goes back to the test, or the wakers would learn of its end instead.
            (wait.end(!events.is_empty()), begun.elapsed(), notifier)
        });
        assert!(is_asleep.recv().unwrap());
        break_it();
        let told: Vec<_> =
            wakers.into_iter().map(|waker| std::thread::spawn(move || (waker.wake(), waker))).collect();
        // Whoever coalesced onto the failing write was told that all is well; the loop makes up for it.
        let told: Vec<_> = told.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(told.iter().any(|(result, _)| *result == Err(NotifyError::Broken)), "{told:?}");
        let (result, took, _notifier) = sleeping.join().unwrap();
        assert_eq!(result, Err(NotifyError::Broken));
        assert!(took < LONG, "the loop was not told");
        for (_, waker) in told {
            assert_eq!(waker.wake(), Err(NotifyError::Broken));
        }
    });
}
