//! Admission: the right of a connection to be here is a value, its [`Seat`].
//!
//! A seat is taken where a connection is accepted, adopted or opened, against a bound that nobody can talk past; whatever
//! holds the connection holds its seat (the acceptor, a mailbox, a worker); and it is given back by its drop, so it
//! cannot be forgotten and not be given back twice. What is counted are the seats: all of them, and those of each worker.
//!
//! The last [`KEPT_FOR_LOCALS`] seats, never more than half of all, are for clients of this machine, so that an operator
//! gets in while strangers hold all others.
//!
//! A seat also says where its connection is: an [`Address`] is a share of that, and stays valid when the connection moves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use crate::base::token::Token;
use crate::connection::place::{Place, Resume};

/// Seats that only clients of the same machine get.
const KEPT_FOR_LOCALS: usize = 4;

/// The seats of one server. The counts are read by anyone and changed by [`Seat`]s alone.
#[derive(Debug)]
pub(crate) struct Admission {
    max: AtomicUsize,
    taken: AtomicUsize,
    /// By worker: connections that it has, those in its mailbox included.
    loads: Box<[AtomicUsize]>,
    /// Connections that had a seat and ended before a worker served them.
    unserved: AtomicU64,
}

impl Admission {
    pub(crate) fn new(max: usize, workers: usize) -> Self {
        Self {
            max: AtomicUsize::new(max),
            taken: AtomicUsize::new(0),
            loads: (0..workers).map(|_| AtomicUsize::new(0)).collect(),
            unserved: AtomicU64::new(0),
        }
    }

    /// A seat, if one is free for such a client; `local`: one of the same machine.
    pub(crate) fn take(self: &Arc<Self>, local: bool) -> Option<Seat> {
        let max = self.max();
        let bound = if local { max } else { max - KEPT_FOR_LOCALS.min(max / 2) };
        self.taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| (taken < bound).then_some(taken + 1))
            .ok()?;
        let served = AtomicBool::new(false);
        Some(Seat(Arc::new(Taken { admission: Arc::clone(self), place: Place::new(), served })))
    }

    /// The bound.
    pub(crate) fn max(&self) -> usize {
        self.max.load(Ordering::Relaxed)
    }

    /// Changes the bound. Who has a seat keeps it.
    pub(crate) fn set_max(&self, max: usize) {
        self.max.store(max, Ordering::Relaxed);
    }

    /// Seats taken now.
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// Connections of `worker`, those in its mailbox included.
    pub(crate) fn load(&self, worker: usize) -> usize {
        self.loads[worker].load(Ordering::Relaxed)
    }

    /// Connections that ended before a worker served them.
    pub(crate) fn unserved(&self) -> u64 {
        self.unserved.load(Ordering::Relaxed)
    }
}

/// A seat that is taken.
#[derive(Debug)]
struct Taken {
    admission: Arc<Admission>,
    place: Place,
    /// A worker took its connection.
    served: AtomicBool,
}

/// The right of one connection to be here. Not to be copied: its drop gives it back.
#[derive(Debug)]
pub(crate) struct Seat(Arc<Taken>);

impl Seat {
    /// What others may keep of the connection.
    pub(crate) fn address(&self) -> Address {
        Address(Arc::clone(&self.0))
    }

    /// From now on the connection counts as one of `worker`. For who hands it over, before that worker can see it.
    pub(crate) fn assign(&self, worker: usize) {
        let Taken { admission, place, .. } = &*self.0;
        let before = place.assign(worker);
        if before != Some(worker) {
            admission.loads[worker].fetch_add(1, Ordering::Relaxed);
            if let Some(before) = before {
                admission.loads[before].fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    /// Its worker calls it so.
    pub(crate) fn name(&self, token: Token) {
        self.0.place.name(token);
    }

    /// A worker serves it.
    pub(crate) fn serve(&self) {
        self.0.served.store(true, Ordering::Relaxed);
    }

    /// Whether it was resumed since this was last asked.
    pub(crate) fn take_resumed(&self) -> bool {
        self.0.place.take_resumed()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Taken { admission, place, served } = &*self.0;
        let worker = place.leave();
        if !served.load(Ordering::Relaxed) {
            admission.unserved.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(worker) = worker {
            admission.loads[worker].fetch_sub(1, Ordering::Relaxed);
        }
        admission.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Names a connection for as long as it lives, wherever it moves; any thread may keep it and pass it on.
///
/// Obtained from a [`crate::Handle`]. What it is good for: [`crate::Messages::resume`] and [`crate::Messages::post_to`].
#[derive(Clone, Debug)]
pub struct Address(Arc<Taken>);

impl Address {
    /// Whether the connection has ended.
    pub fn is_gone(&self) -> bool {
        self.0.place.is_gone()
    }

    /// The worker that has the connection now, or whose mailbox does. It may move at once.
    pub(crate) fn worker(&self) -> Option<usize> {
        self.0.place.worker()
    }

    /// The name of the connection in the worker that asks, if it is there: for that worker alone.
    pub(crate) fn token_at(&self, worker: usize) -> Option<Token> {
        self.0.place.token_at(worker)
    }

    /// Marks it as resumed. `false`: it was already, and whoever marked it tells its worker.
    pub(crate) fn mark_resumed(&self) -> bool {
        self.0.place.mark_resumed()
    }

    /// As [`Seat::take_resumed`].
    #[cfg(test)]
    pub(crate) fn take_resumed(&self) -> bool {
        self.0.place.take_resumed()
    }

    /// What a worker that was told of a resume has to do.
    pub(crate) fn resume_at(&self, worker: usize) -> Resume {
        self.0.place.resume_at(worker)
    }
}

impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Address {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn admitted(max: usize, local: bool) -> usize {
        let admission = Arc::new(Admission::new(max, 1));
        let seats: Vec<_> = std::iter::from_fn(|| admission.take(local)).collect();
        assert_eq!(admission.taken(), seats.len());
        seats.len()
    }

    #[test]
    fn the_last_four_seats_never_more_than_half_are_for_this_machine() {
        for (max, strangers) in [(0, 0), (1, 1), (2, 1), (5, 3), (8, 4), (9, 5), (100, 96)] {
            assert_eq!((admitted(max, false), admitted(max, true)), (strangers, max), "of {max}");
        }
    }

    #[test]
    fn an_address_knows_where_its_connection_is_and_when_it_has_gone() {
        let admission = Arc::new(Admission::new(10, 2));
        let seat = admission.take(true).unwrap();
        let address = seat.address();
        assert_eq!((address.worker(), address.token_at(0)), (None, None));
        seat.assign(0);
        assert_eq!((address.worker(), address.token_at(0)), (Some(0), None), "in the mailbox");
        let token = Token { slot: 3, generation: 9 };
        seat.name(token);
        assert_eq!((address.token_at(0), address.token_at(1)), (Some(token), None));
        seat.assign(1);
        assert_eq!((address.worker(), address.token_at(1)), (Some(1), None));
        drop(seat);
        assert!(address.is_gone() && address.worker().is_none());
    }

    #[test]
    fn one_who_marks_a_resume_first_tells_the_worker_and_one_who_takes_it_sees_it_once() {
        let seat = Arc::new(Admission::new(1, 1)).take(true).unwrap();
        let address = seat.address();
        assert!(address.mark_resumed() && !address.mark_resumed());
        assert!(seat.take_resumed() && !seat.take_resumed());
        assert!(address.mark_resumed());
    }

    /// What happens to connections.
    #[derive(Clone, Debug)]
    enum Step {
        Come { local: bool },
        Assign { which: usize, worker: usize },
        Go { which: usize },
        Bound(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => any::<bool>().prop_map(|local| Step::Come { local }),
            4 => (any::<usize>(), 0..3usize).prop_map(|(which, worker)| Step::Assign { which, worker }),
            2 => any::<usize>().prop_map(|which| Step::Go { which }),
            1 => prop_oneof![Just(0), Just(1), 0..20usize].prop_map(Step::Bound),
        ]
    }

    proptest! {
        #[test]
        fn seats_are_as_many_as_connections_whatever_happens(
            max in prop_oneof![Just(0usize), Just(1), 0..20usize],
            steps in proptest::collection::vec(step(), 0..200),
        ) {
            let admission = Arc::new(Admission::new(max, 3));
            let mut seats: Vec<(Seat, Option<usize>)> = Vec::new();
            for step in steps {
                match step {
                    Step::Come { local } => {
                        let there = seats.len();
                        let max = admission.max();
                        let bound = if local { max } else { max - KEPT_FOR_LOCALS.min(max / 2) };
                        let seat = admission.take(local);
                        prop_assert_eq!(seat.is_some(), there < bound);
                        seats.extend(seat.map(|seat| (seat, None)));
                    }
                    Step::Assign { which, worker } if !seats.is_empty() => {
                        let at = which % seats.len();
                        seats[at].0.assign(worker);
                        seats[at].1 = Some(worker);
                    }
                    Step::Go { which } if !seats.is_empty() => { seats.swap_remove(which % seats.len()); }
                    Step::Bound(max) => admission.set_max(max),
                    Step::Assign { .. } | Step::Go { .. } => {}
                }
                prop_assert_eq!(admission.taken(), seats.len());
                for worker in 0..3 {
                    let there = seats.iter().filter(|(_, at)| *at == Some(worker)).count();
                    prop_assert_eq!(admission.load(worker), there);
                }
            }
        }
    }
}
