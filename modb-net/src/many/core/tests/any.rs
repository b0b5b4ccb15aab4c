//! Any order of arrivals, windows, releases, moves and turns gives the same bytes in the same order.

use proptest::prelude::*;

use super::*;

/// What happens before a turn.
#[derive(Clone, Debug)]
enum Step {
    /// So many bytes of the requests arrive.
    Arrive(usize),
    /// The peer takes so many more bytes.
    Room(usize),
    /// One more commit is safe.
    Release,
    /// The connection moves to another worker.
    Move,
    /// Nothing; the turn comes by itself.
    Tick,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..200usize).prop_map(Step::Arrive),
        4 => (1..500usize).prop_map(Step::Room),
        2 => Just(Step::Release),
        1 => Just(Step::Move),
        2 => Just(Step::Tick),
    ]
}

/// A request, the reply to it, and the commit that the reply waits for.
#[derive(Clone, Debug)]
enum Ask {
    Echo(usize),
    Large(usize),
    Hold,
}

fn ask() -> impl Strategy<Value = Ask> {
    prop_oneof![(0..60usize).prop_map(Ask::Echo), (1..3000usize).prop_map(Ask::Large), Just(Ask::Hold)]
}

/// The requests, the replies, and after which byte of them which commit is waited for.
fn script(asks: &[Ask]) -> (String, String, Vec<(usize, u64)>) {
    let (mut requests, mut replies, mut marks) = (String::new(), String::new(), Vec::new());
    for ask in asks {
        match *ask {
            Ask::Echo(n) => {
                requests.push_str(&format!("echo {}\n", "e".repeat(n)));
                replies.push_str(&format!("{}\n", "e".repeat(n)));
            }
            Ask::Large(n) => {
                requests.push_str(&format!("large {n}\n"));
                replies.push_str(&"#".repeat(n));
            }
            Ask::Hold => {
                let seq = marks.len() as u64 + 1;
                marks.push((replies.len(), seq));
                requests.push_str(&format!("hold {seq} h\n"));
                replies.push_str("h\n");
            }
        }
    }
    (requests, replies, marks)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn whatever_happens_in_between_the_replies_are_the_same(
        asks in proptest::collection::vec(ask(), 1..40),
        steps in proptest::collection::vec(step(), 0..120),
        requests_per_turn in 1..20u32,
        read_bytes_per_turn in 1..300usize,
        output_high_water_bytes in 1..2000usize,
        work_bytes_per_turn in 1..30_000usize,
    ) {
        let limits = Limits {
            requests_per_turn, read_bytes_per_turn, output_high_water_bytes, work_bytes_per_turn,
            max_output_bytes: usize::MAX, ..small_limits()
        };
        let (requests, replies, marks) = script(&asks);
        let mut benches = [Bench::with(limits.clone()), Bench::with(limits)];
        let mut here = 0;
        let (mut token, wire) = benches[here].connect();
        wire.room(0);
        let (mut room, mut arrived, mut released, mut sent) = (0, 0, 0, String::new());
        // In the end everything arrives, is taken and is released.
        let finish = [Step::Arrive(usize::MAX), Step::Room(usize::MAX / 2)].into_iter()
            .chain(marks.iter().map(|_| Step::Release))
            .chain(std::iter::repeat_n(Step::Tick, replies.len() + requests.len() + 10));
        for step in steps.into_iter().chain(finish) {
            match step {
                Step::Arrive(n) => {
                    let end = arrived + n.min(requests.len() - arrived);
                    wire.arrive(&requests.as_bytes()[arrived..end]);
                    arrived = end;
                }
                Step::Room(n) => { room += n; wire.room(room); }
                Step::Release => {
                    released += 1;
                    benches.iter().for_each(|bench| bench.release.set(Some(Release::Upto(Seq(released)))));
                }
                Step::Move => {
                    let turn = Turn { now: benches[here].now, worker: here, workers: &benches[here].alone };
                    let moved = benches[here].core.detach(token.slot, &turn).unwrap();
                    here = 1 - here;
                    let turn = Turn { now: benches[here].now, worker: here, workers: &benches[here].alone };
                    token = benches[here].core.adopt(moved.1, &turn).unwrap();
                }
                Step::Tick => {}
            }
            // What a poller in level mode would report.
            let bench = &mut benches[here];
            let interest = bench.interest(token);
            let event = event(
                token,
                interest.readable && wire.unread() > 0,
                interest.writable && room > 0,
                false,
            );
            let writes = wire.writes();
            if event.readable || event.writable {
                bench.turn(&[event]);
            } else {
                bench.turn(&[]);
            }
            prop_assert!(wire.writes() - writes <= 1, "more than one write in a turn");
            let fresh = wire.sent();
            room -= fresh.len();
            sent.push_str(&fresh);
            let free = marks.iter().find(|&&(_, seq)| seq > released).map_or(replies.len(), |&(at, _)| at);
            prop_assert!(sent.len() <= free, "sent {} of {} released", sent.len(), free);
            prop_assert!(replies.starts_with(&sent));
        }
        prop_assert_eq!(sent.len(), replies.len());
        prop_assert!(benches.iter().all(|bench| bench.closed().is_empty()));
        prop_assert!(!benches[here].core.has_ready(), "it spins");
    }
}
