//! A model of the lane under loom: every interleaving of two who send and the worker that empties it, in a lane with room
//! for one message. Whoever is never told waits for ever, which loom reports as a deadlock.

use std::sync::Arc;

use loom::sync::{Condvar, Mutex};
use loom::thread;

use super::State;
use crate::system::sys::model_tests;

/// The lane, what lies in it, and what all sleep on.
struct Desk {
    state: Mutex<(State<usize>, Vec<usize>, [bool; 2])>,
    changed: Condvar,
}

/// How the worker gives back the room of a message: as it should, or with a mistake.
type GiveBack = fn(&mut State<usize>, usize, &mut Vec<usize>);

/// Two senders, each with a message of these sizes; the lane holds 10.
fn all_arrive(sizes: [usize; 2], give_back: GiveBack) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(move || {
        let desk = Arc::new(Desk {
            state: Mutex::new((State::new(10), Vec::new(), [false; 2])),
            changed: Condvar::new(),
        });
        let senders = [0, 1].map(|me| {
            let desk = desk.clone();
            thread::spawn(move || {
                let mut guard = desk.state.lock().unwrap();
                if guard.0.ask(sizes[me], || me).is_some() {
                    // Its own mark: only who is told goes on.
                    while !guard.2[me] {
                        guard = desk.changed.wait(guard).unwrap();
                    }
                }
                assert!(guard.0.used <= 10 || guard.0.used == sizes[me], "more than it holds, and not alone");
                guard.1.push(sizes[me]);
                desk.changed.notify_all();
            })
        });
        let mut guard = desk.state.lock().unwrap();
        for _ in 0..2 {
            while guard.1.is_empty() {
                guard = desk.changed.wait(guard).unwrap();
            }
            let bytes = guard.1.remove(0);
            let mut told = Vec::new();
            give_back(&mut guard.0, bytes, &mut told);
            told.into_iter().for_each(|who| guard.2[who] = true);
            desk.changed.notify_all();
        }
        drop(guard);
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        assert_eq!(desk.state.lock().unwrap().0.used, 0);
    });
}

model_tests! {
    fn all_mail_arrives_where_there_is_room_for_one() {
        all_arrive([8, 8], State::give_back);
    }

    fn mail_larger_than_the_lane_arrives_beside_smaller() {
        all_arrive([25, 4], State::give_back);
    }

    #[should_panic(expected = "deadlock")]
    fn a_lane_that_tells_only_when_it_is_empty_before_it_gives_back_loses_somebody() {
        // It looks who may go on before it takes the message off the account.
        all_arrive([8, 8], |state, bytes, told| {
            state.serve(told);
            state.used -= bytes;
        });
    }
}
