//! Admission and budget never drift: whatever happens to connections, seats are as many as connections and the budget is
//! what they hold.

use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::prelude::*;

use super::memory::{KIB, memory_limits};
use super::*;

/// What happens.
#[derive(Clone, Debug)]
enum Step {
    /// A connection is accepted, if it gets a seat.
    Come,
    /// The service refuses it.
    Refuse,
    /// One is to be opened from here; it will stand, or fail.
    Open {
        stands: bool,
    },
    Send {
        which: usize,
        bytes: usize,
    },
    /// Half of a request.
    Begin {
        which: usize,
        bytes: usize,
    },
    Ask {
        which: usize,
        bytes: usize,
    },
    /// Its session says that it holds so much.
    Keep {
        which: usize,
        bytes: usize,
    },
    /// Its client takes so much.
    Take {
        which: usize,
        bytes: usize,
    },
    /// It does this, among what has an end of its own.
    Say {
        which: usize,
        line: &'static str,
    },
    Break {
        which: usize,
    },
    End {
        which: usize,
    },
    Move {
        which: usize,
    },
    Pass {
        seconds: u64,
    },
    Seats(usize),
    Memory(usize),
    Shutdown,
    /// The service of its worker panics.
    Panic {
        which: usize,
    },
}

fn bound() -> impl Strategy<Value = usize> {
    prop_oneof![Just(0usize), Just(1), 2..40usize]
}

fn memory() -> impl Strategy<Value = usize> {
    prop_oneof![Just(0usize), Just(1), 64 * KIB..512 * KIB, Just(usize::MAX)]
}

fn step() -> impl Strategy<Value = Step> {
    let some = || (any::<usize>(), 1..300 * KIB);
    prop_oneof![
        6 => Just(Step::Come),
        1 => Just(Step::Refuse),
        2 => any::<bool>().prop_map(|stands| Step::Open { stands }),
        5 => some().prop_map(|(which, bytes)| Step::Send { which, bytes }),
        3 => some().prop_map(|(which, bytes)| Step::Begin { which, bytes }),
        3 => some().prop_map(|(which, bytes)| Step::Ask { which, bytes }),
        2 => some().prop_map(|(which, bytes)| Step::Keep { which, bytes }),
        4 => some().prop_map(|(which, bytes)| Step::Take { which, bytes }),
        3 => (any::<usize>(), prop::sample::select(vec!["quit", "leave", "block", "park", "alarm 2", "hold 9 x"]))
            .prop_map(|(which, line)| Step::Say { which, line }),
        1 => any::<usize>().prop_map(|which| Step::Break { which }),
        1 => any::<usize>().prop_map(|which| Step::End { which }),
        3 => any::<usize>().prop_map(|which| Step::Move { which }),
        2 => (0..20u64).prop_map(|seconds| Step::Pass { seconds }),
        1 => bound().prop_map(Step::Seats),
        1 => memory().prop_map(Step::Memory),
        1 => prop_oneof![Just(Step::Shutdown), any::<usize>().prop_map(|which| Step::Panic { which })],
    ]
}

struct Client {
    at: usize,
    token: Token,
    wire: Wire,
}

/// Two workers of one server.
struct Two {
    workers: [Bench; 2],
    clients: Vec<Client>,
    admission: Arc<Admission>,
    budget: Arc<Budget>,
    /// Connections that got a seat, and those that were counted with a reason when they ended.
    came: usize,
    counted: usize,
    panicked: bool,
}

impl Two {
    fn new(seats: usize, memory: usize) -> Self {
        let limits = memory_limits(memory);
        let notifier = crate::system::notify::Notifier::new().unwrap();
        let budget = Arc::new(Budget::new(memory, [notifier.waker(), notifier.waker()]));
        let admission = Arc::new(Admission::new(seats, 2));
        let workers = [0, 1].map(|at| Bench::of(at, limits.clone(), admission.clone(), budget.clone()));
        Self { workers, clients: Vec::new(), admission, budget, came: 0, counted: 0, panicked: false }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Come | Step::Refuse | Step::Open { .. } => self.arrive(step),
            Step::Pass { seconds } => {
                (0..2).for_each(|at| self.work(at, |bench, _| bench.pass(Duration::from_secs(seconds))));
            }
            Step::Seats(max) => self.admission.set_max(max),
            Step::Memory(max) => self.budget.set_limit(max),
            Step::Shutdown => {
                self.workers.iter_mut().for_each(|bench| bench.core.shutdown(bench.now));
            }
            _ if self.clients.is_empty() => {}
            Step::Send { which, bytes } => self.say(which, &format!("echo {}\n", "x".repeat(bytes))),
            Step::Begin { which, bytes } => self.say(which, &format!("echo {}", "x".repeat(bytes))),
            Step::Ask { which, bytes } => self.say(which, &format!("\nvalue {bytes}\n")),
            Step::Keep { which, bytes } => self.say(which, &format!("\nkeep {bytes}\n")),
            Step::Say { which, line } => self.say(which, &format!("\n{line}\n")),
            Step::Take { which, bytes } => self.client(which).wire.room(bytes),
            Step::End { which } => self.client(which).wire.end(),
            Step::Break { which } => {
                let at = which % self.clients.len();
                let Client { at, token, wire } = self.clients.swap_remove(at);
                wire.reset();
                self.work(at, |bench, _| bench.turn(&[broken(token)]));
            }
            Step::Move { which } => self.move_over(which % self.clients.len()),
            Step::Panic { which } => self.say(which, "\npanic\n"),
        }
    }

    fn arrive(&mut self, step: &Step) {
        let there = self.admission.taken();
        let Some(seat) = self.admission.take(true) else {
            assert!(there >= self.admission.max(), "{there} of {}", self.admission.max());
            return;
        };
        assert!(there < self.admission.max());
        self.came += 1;
        let at = self.came % 2;
        let bench = &mut self.workers[at];
        let (token, wire) = match step {
            Step::Open { stands } => {
                let (token, wire) = bench.open_outward_with(seat, "outward\n");
                if !stands {
                    wire.reset();
                }
                (token, wire)
            }
            _ => {
                bench.refuse.set(matches!(step, Step::Refuse));
                let come = bench.connect_with(seat);
                bench.refuse.set(false);
                come
            }
        };
        wire.room(1000);
        self.clients.push(Client { at, token, wire });
        if let Step::Open { stands } = *step {
            self.work(at, |bench, _| bench.turn(&[event(token, false, true, !stands)]));
        }
    }

    fn client(&self, which: usize) -> &Client {
        &self.clients[which % self.clients.len()]
    }

    fn say(&self, which: usize, line: &str) {
        self.client(which).wire.arrive(line.as_bytes());
    }

    fn move_over(&mut self, which: usize) {
        let Client { at, token, .. } = self.clients[which];
        let [one, two] = &mut self.workers;
        let (from, to) = if at == 0 { (one, two) } else { (two, one) };
        let turn = Turn { now: from.now, worker: at, workers: &from.alone };
        // A client that has gone has nothing in its slot, or somebody else.
        if from.core.conns.slot_of_key(token.key()).is_none() {
            return;
        }
        let Some((_, moved)) = from.core.detach(token.slot, &turn) else { return };
        moved.seat().assign(1 - at);
        let turn = Turn { now: to.now, worker: 1 - at, workers: &to.alone };
        let token = to.core.adopt(moved, &turn).unwrap();
        (self.clients[which].at, self.clients[which].token) = (1 - at, token);
    }

    /// Worker `at` works, with the clients it has; if that panics, all that it had goes, as with its thread.
    fn work(&mut self, at: usize, work: impl FnOnce(&mut Bench, &[(Token, &Wire)])) {
        let here = self.clients.iter().filter(|client| client.at == at);
        let wires: Vec<_> = here.map(|client| (client.token, &client.wire)).collect();
        let bench = &mut self.workers[at];
        if catch_unwind(AssertUnwindSafe(|| work(bench, &wires))).is_err() {
            let limits = memory_limits(usize::MAX);
            self.workers[at] = Bench::of(at, limits, self.admission.clone(), self.budget.clone());
            self.clients.retain(|client| client.at != at);
            self.panicked = true;
        }
    }

    /// Everything that can happen by itself has happened, and what should be is.
    fn check(&mut self) {
        (0..2).for_each(|at| self.work(at, |bench, wires| bench.settle(wires)));
        for (at, bench) in self.workers.iter_mut().enumerate() {
            bench.gone.clear();
            bench.handed_out.clear();
            self.counted += bench.counted().len();
            let conns = &bench.core.conns;
            self.clients.retain(|client| client.at != at || conns.slot_of_key(client.token.key()).is_some());
            assert_eq!(self.admission.load(at), conns.slab.len(), "of worker {at}");
        }
        let connections: usize = self.workers.iter().map(|bench| bench.core.conns.slab.len()).sum();
        assert_eq!(self.admission.taken(), connections);
        let held: usize = self.workers.iter().map(Bench::held_bytes).sum();
        assert_eq!(self.budget.used(), held);
    }
}

impl Bench {
    /// What connections and the pool hold, by looking at each.
    fn held_bytes(&self) -> usize {
        let conns = &self.core.conns;
        let kept = |conn: &Conn<Reply, Fake>| match &conn.phase {
            Phase::Serving(serving) => serving.session.kept,
            Phase::Sending { then: Then::HandOut { session, .. }, .. } => session.kept,
            Phase::Opening { .. } | Phase::Sending { .. } | Phase::Lingering { .. } => 0,
        };
        let of = |conn| kept(conn) + conn.buffer_bytes();
        conns.slab.iter().map(|(_, conn)| of(conn)).sum::<usize>() + conns.pool.bytes()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn admission_and_budget_never_drift(
        seats in bound(),
        memory in memory(),
        steps in proptest::collection::vec(step(), 1..80),
    ) {
        let mut two = Two::new(seats, memory);
        for step in steps {
            two.step(&step);
            two.check();
            if two.panicked {
                break;
            }
        }
        // The rest of the server ends as it should.
        two.step(&Step::Shutdown);
        for seconds in [0, 1, 20, 20] {
            two.step(&Step::Pass { seconds });
            two.check();
        }
        prop_assert_eq!(two.admission.taken(), 0, "the shutdown ends all");
        prop_assert!(two.panicked || two.counted == two.came, "{} of {} counted", two.counted, two.came);
        let Two { workers, admission, budget, .. } = two;
        drop(workers);
        prop_assert_eq!((admission.taken(), budget.used(), budget.is_awaited()), (0, 0, false));
    }
}
