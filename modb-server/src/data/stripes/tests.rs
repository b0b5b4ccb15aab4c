//! Tests of the stripes with real threads and with random histories.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::*;

/// Counts how often it is woken.
#[derive(Clone, Default)]
struct Count(Arc<AtomicU32>);

impl Wake for Count {
    fn wake(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Count {
    fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

fn nobody() -> Box<dyn Wake> {
    Box::new(Count::default())
}

fn many(stripes: &[u16]) -> Need {
    Need::many(stripes.iter().map(|&stripe| stripe.into()))
}

fn is_free(stripes: &Stripes, stripe: u16) -> bool {
    stripes.try_hold(Need::one(stripe.into())).is_ok()
}

#[test]
fn several_keys_of_one_stripe_are_taken_once() {
    let stripes = Stripes::default();
    let held = stripes.try_hold(Need::many([5, 5 + u64::from(STRIPES), 1, 5, 1].into_iter())).unwrap();
    assert!(!is_free(&stripes, 5) && !is_free(&stripes, 1) && is_free(&stripes, 2));
    drop(held);
    assert!(is_free(&stripes, 5) && is_free(&stripes, 1));
}

#[test]
fn one_who_waits_knows_all_that_stands_before_him() {
    for handed_over in [false, true] {
        sync::IS_DUE.set(Some(handed_over));
        let stripes = Stripes::default();
        let queue = |keys: &[u16]| stripes.hold_or_queue(many(keys), nobody()).err().unwrap();
        let waits_for = |ticket: &Ticket| {
            let mut all: Vec<u16> = ticket.waits_for().into_iter().collect();
            all.sort_unstable();
            all
        };
        let hold = |keys: &[u16]| stripes.try_hold(many(keys)).unwrap();
        let (_slow, two, _three) = (hold(&[1, 7]), hold(&[2]), hold(&[3]));
        let tickets = [&[1, 2][..], &[2, 3], &[3], &[7]].map(queue);
        let expected = [&[1, 2][..], &[1, 2, 3], &[1, 2, 3], &[7]];
        assert_eq!(tickets.each_ref().map(waits_for), expected);
        // Now it is the first one's, who waits for another, or he was told and will find that other taken.
        drop(two);
        assert_eq!(is_free(&stripes, 2), !handed_over);
        assert_eq!(tickets.each_ref().map(waits_for), expected);
    }
    sync::IS_DUE.set(None);
}

#[test]
fn a_batch_of_several_keys_marks_all_that_is_held_and_one_of_one_key_nothing() {
    let stripes = Stripes::default();
    let held = |need| stripes.try_hold(need).unwrap();
    let marked = || stripes.marks.all_set().collect::<Vec<_>>();
    assert_eq!(held(many(&[5, 9])).publish(true, marked), [5, 9]);
    assert_eq!(held(many(&[5, 9])).publish(false, marked), [0; 0]);
    assert_eq!(held(Need::one(7)).publish(true, marked), [7], "two databases may have a key of that name");
    assert_eq!(held(Need::everything()).publish(true, marked).len(), usize::from(STRIPES));
    let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        held(many(&[1, 2])).publish(true, || panic!("on purpose"));
    }));
    assert!(failed.is_err() && marked().is_empty() && is_free(&stripes, 1));
}

#[test]
fn who_reads_where_a_batch_becomes_visible_waits_for_the_whole() {
    let stripes = Stripes::default();
    let whole = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let held = stripes.try_hold(many(&[5, 9])).unwrap();
        held.publish(true, || {
            assert!(stripes.is_marked(5) && stripes.is_marked(9) && !stripes.is_marked(7));
            for need in [stripes.try_hold(Need::NOTHING).unwrap().and(5), stripes.marked()] {
                scope.spawn(|| {
                    drop(stripes.hold_sleeping(need));
                    assert!(whole.load(Ordering::Relaxed));
                });
            }
            (0..1000).for_each(|_| std::thread::yield_now());
            whole.store(true, Ordering::Relaxed);
        });
        drop(held);
    });
}

#[test]
fn more_is_taken_in_order_and_together() {
    let stripes = Stripes::default();
    let need = stripes.try_hold(many(&[5, 9])).unwrap().and(7);
    assert!(*need.to_list() == [5, 7, 9]);
    let held = stripes.try_hold(need).unwrap();
    assert!(*held.and(5).to_list() == [5, 7, 9]);
    assert!(is_free(&stripes, 7));
}

#[test]
fn who_queues_has_taken_nothing_and_is_woken_when_it_is_there() {
    let stripes = Stripes::default();
    let woken = Count::default();
    let held = stripes.try_hold(Need::one(5)).unwrap();
    let ticket = stripes.hold(many(&[3, 5, 9]), || Box::new(woken.clone())).err().unwrap();
    assert!(!stripes.locks.is_taken(3) && !stripes.locks.is_taken(9));
    let ticket = stripes.hold_queued(ticket).err().unwrap();
    assert_eq!(woken.get(), 0);
    drop(held);
    assert_eq!(woken.get(), 1);
    let held = stripes.hold_queued(ticket).ok().unwrap();
    assert!(!is_free(&stripes, 3) && !is_free(&stripes, 5) && !is_free(&stripes, 9));
    drop(held);
    assert!((0..STRIPES).all(|stripe| stripes.locks.is_idle(stripe)));
}

#[test]
fn a_ticket_that_is_dropped_leaves_nothing_and_the_next_one_gets_his_turn() {
    let stripes = Stripes::default();
    let woken = Count::default();
    let held = stripes.try_hold(Need::one(5)).unwrap();
    let gone = stripes.hold(many(&[3, 5]), nobody).err().unwrap();
    let next = stripes.hold(many(&[3, 5, 9]), || Box::new(woken.clone())).err().unwrap();
    drop(held);
    // All of it is his now.
    assert!(!is_free(&stripes, 3) && !is_free(&stripes, 5));
    drop(gone);
    assert!(woken.get() > 0);
    drop(stripes.hold_queued(next).ok().unwrap());
    assert!((0..STRIPES).all(|stripe| stripes.locks.is_idle(stripe)));
}

#[test]
fn those_who_share_hold_it_together_and_pass_nobody_who_waits() {
    let stripes = Stripes::default();
    let share = || Need::one(5).shared();
    let (a, b) = (stripes.try_hold(share()).unwrap(), stripes.try_hold(share()).unwrap());
    let writer = stripes.hold(Need::one(5), nobody).err().unwrap();
    let readers: Vec<_> = (0..3).map(|_| stripes.hold(share(), nobody).err().unwrap()).collect();
    drop(a);
    let writer = stripes.hold_queued(writer).err().unwrap();
    drop(b);
    let written = stripes.hold_queued(writer).ok().unwrap();
    drop(written);
    let held: Vec<_> = readers.into_iter().map(|ticket| stripes.hold_queued(ticket).ok().unwrap()).collect();
    assert_eq!(held.len(), 3);
    drop(held);
    assert!(stripes.locks.is_idle(5));
}

#[test]
fn what_is_kept_is_held_on_by_another_thread() {
    let stripes = Stripes::default();
    let kept = stripes.try_hold(many(&[5, 9])).unwrap().keep();
    assert!(!is_free(&stripes, 5));
    std::thread::spawn(move || drop(kept)).join().unwrap();
    assert!(stripes.locks.is_idle(5) && stripes.locks.is_idle(9));
}

#[test]
fn opposite_orders_and_everything_do_not_deadlock_and_exclude_each_other() {
    const ROUNDS: u64 = 5_000;
    let stripes = Stripes::default();
    let counters: Vec<AtomicU64> = (0..8).map(|_| AtomicU64::new(0)).collect();
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let (stripes, counters) = (&stripes, &counters);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let mut mine = [round % 8, (round * 3 + thread) % 8, (round * 5 + 1) % 8];
                    if thread % 2 == 0 {
                        mine.reverse();
                    }
                    let need =
                        if round % 500 == thread { Need::everything() } else { Need::many(mine.into_iter()) };
                    let held = stripes.hold_sleeping(need);
                    // Not atomic as a whole: two at once would lose one.
                    let now = mine.map(|at| counters[at as usize].load(Ordering::Relaxed));
                    if round % 64 == 0 {
                        std::thread::yield_now();
                    }
                    for (at, now) in mine.into_iter().zip(now) {
                        counters[at as usize].store(now + 1, Ordering::Relaxed);
                    }
                    drop(held);
                }
            });
        }
    });
    let expected: u64 = (0..4)
        .flat_map(|thread| (0..ROUNDS).map(move |round| (round, thread)))
        .map(|(round, thread)| {
            let mut mine = vec![round % 8, (round * 3 + thread) % 8, (round * 5 + 1) % 8];
            mine.sort_unstable();
            mine.dedup();
            mine.len() as u64
        })
        .sum();
    assert_eq!(counters.iter().map(|counter| counter.load(Ordering::Relaxed)).sum::<u64>(), expected);
    assert!((0..STRIPES).all(|stripe| stripes.locks.is_idle(stripe)));
}

/// A history of commands that come, hold for a while, and go.
#[derive(Clone, Debug)]
enum Step {
    /// A command comes.
    Come { stripes: Vec<u16>, shared: bool },
    /// The one that has held longest ends.
    End,
    /// One that was woken looks again.
    Look(usize),
    /// One that waits goes away.
    Go(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let some = prop::collection::vec(0..6_u16, 1..4);
    let step = prop_oneof![
        4 => (some, prop::bool::weighted(0.3)).prop_map(|(stripes, shared)| Step::Come { stripes, shared }),
        4 => Just(Step::End),
        4 => any::<prop::sample::Index>().prop_map(|at| Step::Look(at.index(64))),
        1 => any::<prop::sample::Index>().prop_map(|at| Step::Go(at.index(64))),
    ];
    prop::collection::vec(step, 1..80)
}

proptest! {
    /// Whatever comes and goes: nobody holds what another holds alone, and in the end everybody who stayed has run,
    /// looking only when he was woken.
    #[test]
    fn everybody_gets_his_turn_and_nobody_anothers(steps in steps(), handed_over in any::<Option<bool>>()) {
        sync::IS_DUE.set(handed_over);
        let stripes = Stripes::default();
        let mut waiting: Vec<(Ticket, Count, u32)> = Vec::new();
        let mut holding: VecDeque<Held<'_>> = VecDeque::new();
        let check = |holding: &VecDeque<Held<'_>>| {
            for stripe in 0..6 {
                let of = |access| move |held: &&Held<'_>| {
                    held.need.access() == access && held.need.to_list().contains(&stripe)
                };
                let alone = holding.iter().filter(of(Access::Alone)).count();
                let shared = holding.iter().filter(of(Access::Shared)).count();
                assert!(alone == 0 || (alone == 1 && shared == 0));
            }
        };
        let look = |waiting: &mut Vec<(Ticket, Count, u32)>, holding: &mut VecDeque<_>, at: usize| {
            let (ticket, woken, seen) = waiting.remove(at);
            let now = woken.get();
            if now == seen {
                waiting.insert(at, (ticket, woken, seen));
                return false;
            }
            match stripes.hold_queued(ticket) {
                Ok(held) => holding.push_back(held),
                Err(ticket) => waiting.insert(at, (ticket, woken, now)),
            }
            true
        };
        for step in steps {
            match step {
                Step::Come { stripes: wanted, shared } => {
                    let need = if shared { many(&wanted).shared() } else { many(&wanted) };
                    let woken = Count::default();
                    match stripes.hold(need, || Box::new(woken.clone())) {
                        Ok(held) => holding.push_back(held),
                        Err(ticket) => waiting.push((ticket, woken, 0)),
                    }
                }
                Step::End => drop(holding.pop_front()),
                Step::Look(at) if !waiting.is_empty() => {
                    let at = at % waiting.len();
                    look(&mut waiting, &mut holding, at);
                }
                Step::Go(at) if !waiting.is_empty() => {
                    let at = at % waiting.len();
                    drop(waiting.remove(at));
                }
                Step::Look(_) | Step::Go(_) => {}
            }
            check(&holding);
        }
        while !(waiting.is_empty() && holding.is_empty()) {
            holding.clear();
            let looked = (0..waiting.len()).rev().filter(|&at| look(&mut waiting, &mut holding, at)).count();
            check(&holding);
            prop_assert!(looked > 0 || waiting.is_empty(), "{} wait and nobody was told", waiting.len());
        }
        prop_assert!((0..6).all(|stripe| stripes.locks.is_idle(stripe)));
    }

    /// Where stripes are held long, each in the order of coming, whatever the sets.
    #[test]
    fn commands_that_share_a_stripe_run_in_the_order_in_which_they_came(
        sets in prop::collection::vec(prop::collection::vec(0..6_u16, 1..4), 2..12),
    ) {
        sync::IS_DUE.set(Some(true));
        let stripes = Stripes::default();
        let order = Mutex::new(Vec::new());
        let blocker = stripes.try_hold(Need::everything()).unwrap();
        let mut tickets: Vec<_> = sets
            .iter()
            .enumerate()
            .map(|(at, set)| (at, stripes.hold(many(set), nobody).err().unwrap()))
            .collect();
        drop(blocker);
        while !tickets.is_empty() {
            let mut left = Vec::new();
            let mut held = Vec::new();
            // From the last, so that one who came later could pass.
            for (at, ticket) in tickets.into_iter().rev() {
                match stripes.hold_queued(ticket) {
                    Ok(taken) => {
                        order.lock().unwrap().push(at);
                        held.push(taken);
                    }
                    Err(ticket) => left.push((at, ticket)),
                }
            }
            prop_assert!(!held.is_empty(), "nobody can go on");
            drop(held);
            left.reverse();
            tickets = left;
        }
        let order = order.into_inner().unwrap();
        for (n, &later) in order.iter().enumerate() {
            for &earlier in &order[n + 1..] {
                let meet = sets[later].iter().any(|stripe| sets[earlier].contains(stripe));
                prop_assert!(!(meet && earlier < later), "{later} ran before {earlier}");
            }
        }
    }
}
