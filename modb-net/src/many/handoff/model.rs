//! Models of the mailbox under loom: every interleaving of an acceptor and workers around mailboxes of
//! one place, the limit at which every mistake about room shows.
//!
//! The queue's own state runs here under loom's lock. Wake-ups are a flag with a condition variable:
//! whether the notifier delivers them is its own model's business. An acceptor that is never told of room
//! waits for ever, which loom reports as a deadlock.

use loom::sync::{Condvar, Mutex};
use loom::thread;
use std::sync::Arc;

use super::queue::{Refused, State, Taken};
use crate::system::sys::model_tests;

/// One who sleeps until somebody wakes it.
struct Sleeper {
    woken: Mutex<bool>,
    changed: Condvar,
}

impl Sleeper {
    fn new() -> Self {
        Self { woken: Mutex::new(false), changed: Condvar::new() }
    }
    fn wake(&self) {
        *self.woken.lock().unwrap() = true;
        self.changed.notify_one();
    }
    fn sleep(&self) {
        let mut woken = self.woken.lock().unwrap();
        while !std::mem::take(&mut *woken) {
            woken = self.changed.wait(woken).unwrap();
        }
    }
}

struct Desk {
    mailbox: Mutex<State<u32>>,
    worker: Sleeper,
}

impl Desk {
    fn new() -> Self {
        Self { mailbox: Mutex::new(State::new(1)), worker: Sleeper::new() }
    }
    fn send(&self, item: u32, await_room: bool) -> Result<(), Refused<u32>> {
        self.mailbox.lock().unwrap().push(item, await_room, |_| ())?;
        self.worker.wake();
        Ok(())
    }
}

/// How the worker takes its mail: as it should, or with a mistake.
type Take = fn(&mut State<u32>, &mut Vec<u32>) -> Taken;

fn correctly(state: &mut State<u32>, into: &mut Vec<u32>) -> Taken {
    state.take_while(1, |_| true, into)
}

fn explore(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(model);
}

/// An acceptor hands `items` to `WORKERS` mailboxes of one place: asked twice, then it sleeps.
fn all_arrive<const WORKERS: usize>(items: u32, take: Take) {
    explore(move || {
        let desks: Arc<[Desk; WORKERS]> = Arc::new(std::array::from_fn(|_| Desk::new()));
        let acceptor = Arc::new(Sleeper::new());
        let arrived = Arc::new(Mutex::new(0));
        let workers: Vec<_> = (0..WORKERS)
            .map(|index| {
                let (desks, acceptor, arrived) = (desks.clone(), acceptor.clone(), arrived.clone());
                thread::spawn(move || {
                    loop {
                        let mut mail = Vec::new();
                        let taken = take(&mut desks[index].mailbox.lock().unwrap(), &mut mail);
                        if taken.room_awaited {
                            acceptor.wake();
                        }
                        // Zero is the end of the model.
                        *arrived.lock().unwrap() += mail.iter().filter(|&&item| item > 0).count() as u32;
                        if mail.contains(&0) {
                            return;
                        }
                        if taken.emptied {
                            desks[index].worker.sleep();
                        }
                    }
                })
            })
            .collect();
        let place = |item: u32, to: &[Desk]| {
            while ![false, true].iter().any(|&wait| to.iter().any(|desk| desk.send(item, wait).is_ok())) {
                acceptor.sleep();
            }
        };
        (1..=items).for_each(|item| place(item, &desks[..]));
        desks.iter().for_each(|desk| place(0, std::slice::from_ref(desk)));
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        assert_eq!(*arrived.lock().unwrap(), items);
    });
}

model_tests! {
    fn an_acceptor_that_found_every_mailbox_full_is_told_of_room() {
        all_arrive::<1>(3, correctly);
    }

    fn room_in_any_of_two_mailboxes_is_enough() {
        all_arrive::<2>(2, correctly);
    }

    #[should_panic(expected = "deadlock")]
    fn telling_only_when_the_mailbox_stays_full_loses_the_acceptor() {
        // The wrong side of the counter: it looks whether there is still no room, after making some.
        all_arrive::<1>(3, |state, into| {
            let taken = state.take_while(1, |_| true, into);
            Taken { room_awaited: taken.room_awaited && !taken.emptied, ..taken }
        });
    }

    fn an_item_that_meets_the_close_is_taken_or_given_back_exactly_once() {
        explore(|| {
            let desk = Arc::new(Desk::new());
            let senders: Vec<_> = (0..2)
                .map(|item| {
                    let desk = desk.clone();
                    thread::spawn(move || desk.send(item, false).is_err())
                })
                .collect();
            let mut mail = Vec::new();
            desk.mailbox.lock().unwrap().take_while(1, |_| true, &mut mail);
            let left = desk.mailbox.lock().unwrap().close();
            let given_back =
                senders.into_iter().map(|sender| usize::from(sender.join().unwrap())).sum::<usize>();
            assert_eq!(mail.len() + left.len() + given_back, 2);
            assert!(matches!(desk.send(9, true), Err(Refused::Closed(9))));
        });
    }
}
