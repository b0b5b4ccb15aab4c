//! Whether a history is one that a database could have which does one thing at a time: strict serializability.
//!
//! A search for an order of all that was done in which the model gives every reply that was got, and in which nothing stands before what had
//! ended when it began (Wing and Gong, 1993); what was found not to lead on is not tried again (Lowe, 2017). An order
//! is how far each client is, so what is remembered is small.

use std::collections::HashSet;
use std::fmt::Write as _;

use modb_tests::Reply;

use super::model::{Answers, CLIENTS, Model, Op};

/// What a client did, and when: from before it was sent until its reply was read.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) op: Op,
    pub(super) reply: Reply,
    pub(super) begun_ns: u64,
    pub(super) ended_ns: u64,
}

/// What each client did, in its order.
pub(super) type History = [Vec<Event>; CLIENTS];

/// How far each client is.
type Place = [usize; CLIENTS];

struct Search<'h> {
    history: &'h History,
    seen: HashSet<(Place, Model)>,
    path: Vec<(usize, Event)>,
    /// The longest that could be explained, and where it led.
    longest: (Vec<(usize, Event)>, Place, Model),
}

/// # Errors
/// How far it could be explained, and what comes then.
pub(super) fn explain(history: &History) -> Result<(), String> {
    let (seen, path, longest) = Default::default();
    let mut search = Search { history, seen, path, longest };
    if search.goes_on([0; CLIENTS], &Model::default()) { Ok(()) } else { Err(search.failure()) }
}

impl Search<'_> {
    fn goes_on(&mut self, at: Place, model: &Model) -> bool {
        if (0..CLIENTS).all(|client| at[client] == self.history[client].len()) {
            return true;
        }
        if !self.seen.insert((at, model.clone())) {
            return false;
        }
        if self.path.len() > self.longest.0.len() {
            self.longest = (self.path.clone(), at, model.clone());
        }
        let mut next: Vec<(usize, &Event)> =
            (0..CLIENTS).filter_map(|client| Some((client, self.history[client].get(at[client])?))).collect();
        next.sort_unstable_by_key(|(_, event)| event.ended_ns);
        // What has ended by then stands before whatever begins later.
        let first_end = next[0].1.ended_ns;
        for (client, event) in next.into_iter().filter(|(_, event)| event.begun_ns <= first_end) {
            let mut after = model.clone();
            let answers = match model.waits(client) {
                true if event.reply == Reply::Null => after.time_out(client),
                true => continue,
                false => after.step(client, &event.op),
            };
            let Some(then) = self.answered(at, &answers) else { continue };
            self.path.push((client, event.clone()));
            let found = self.goes_on(then, &after);
            self.path.pop();
            if found {
                return true;
            }
        }
        false
    }

    /// How far the clients are after these answers, if they were those that came.
    fn answered(&self, mut at: Place, answers: &Answers) -> Option<Place> {
        for (client, reply) in answers {
            if self.history[*client].get(at[*client])?.reply != *reply {
                return None;
            }
            at[*client] += 1;
        }
        Some(at)
    }

    fn failure(&self) -> String {
        let (path, at, model) = &self.longest;
        let mut text = "this could be explained\n".to_owned();
        path.iter().for_each(|(client, event)| text += &line(*client, event));
        let _ = writeln!(text, "then there is\n  {model:?}\nand of what is left none can come next");
        let left = (0..CLIENTS)
            .flat_map(|client| self.history[client][at[client]..].iter().map(move |event| (client, event)));
        let mut left: Vec<_> = left.collect();
        left.sort_by_key(|(_, event)| event.ended_ns);
        left.into_iter().for_each(|(client, event)| text += &line(client, event));
        text
    }
}

fn line(client: usize, event: &Event) -> String {
    let Event { op, reply, begun_ns, ended_ns } = event;
    format!("  {client} [{begun_ns:>9} {ended_ns:>9}] {op:?} -> {reply:?}\n")
}

#[cfg(test)]
mod tests {
    use super::super::model::{Command, End};
    use super::*;

    fn event(begun_ns: u64, ended_ns: u64, command: Command, reply: Reply) -> Event {
        Event { op: Op::One(command), reply, begun_ns, ended_ns }
    }

    fn history<const N: usize>(events: [(usize, Event); N]) -> History {
        let mut history = History::default();
        events.into_iter().for_each(|(client, event)| history[client].push(event));
        history
    }

    fn numbers(numbers: [i64; 3]) -> Reply {
        let one = |n: i64| if n == 0 { Reply::Null } else { Reply::bulk(n.to_string()) };
        Reply::Array(numbers.map(one).to_vec())
    }

    #[test]
    fn what_is_at_the_same_time_may_be_in_any_order_and_nobody_sees_half() {
        for (seen, explained) in
            [([0, 0, 0], true), ([1, 1, 0], true), ([1, 0, 0], false), ([0, 1, 0], false)]
        {
            let both = history([
                (0, event(0, 10, Command::MSet(0, 1, 1), Reply::ok())),
                (1, event(5, 7, Command::MGet, numbers(seen))),
            ]);
            assert_eq!(explain(&both).is_ok(), explained, "{seen:?}");
        }
    }

    #[test]
    fn what_had_ended_is_not_undone() {
        let stale = history([
            (0, event(0, 1, Command::Set(0, 1), Reply::ok())),
            (1, event(2, 3, Command::Get(0), Reply::Null)),
        ]);
        assert!(explain(&stale).is_err());
        let twice = history([
            (0, event(0, 9, Command::Incr(0), Reply::Int(1))),
            (1, event(0, 9, Command::Incr(0), Reply::Int(1))),
        ]);
        assert!(explain(&twice).is_err(), "one of them is lost");
    }

    #[test]
    fn who_waits_is_served_in_his_order_and_by_the_push_itself() {
        let pop = |n: i64| Reply::Array(vec![Reply::bulk("a"), Reply::bulk(n.to_string())]);
        let blocking = || Command::BlockingPop(End::Left, vec![0]);
        let push = || Command::Push(End::Right, 0, vec![1, 2]);
        let two = |first, second, then| {
            history([
                (0, event(0, 20, blocking(), first)),
                // It comes once the first one waits: that has taken effect before anything that begins now.
                (1, event(0, 1, Command::Set(1, 1), Reply::ok())),
                (1, event(2, 20, blocking(), second)),
                (2, event(10, 20, push(), Reply::Int(2))),
                (3, event(21, 22, Command::Pop(End::Left, 0), then)),
            ])
        };
        assert!(explain(&two(pop(1), pop(2), Reply::Null)).is_ok());
        assert!(explain(&two(pop(1), Reply::Null, Reply::bulk("2"))).is_ok(), "its time was over before");
        assert!(explain(&two(pop(1), pop(1), Reply::Null)).is_err(), "given twice");
        assert!(explain(&two(pop(2), Reply::Null, Reply::bulk("1"))).is_err(), "the second before the first");
        assert!(explain(&two(Reply::Null, Reply::Null, Reply::Null)).is_err(), "lost");
    }

    #[test]
    fn whoever_watches_is_told() {
        for (reply, explained) in [(Reply::Null, true), (Reply::Array(vec![Reply::Int(2)]), false)] {
            let watching = history([
                (0, Event { op: Op::Watch(0), reply: Reply::ok(), begun_ns: 0, ended_ns: 1 }),
                (1, event(2, 3, Command::Incr(0), Reply::Int(1))),
                (0, Event { op: Op::Transaction(vec![Command::Incr(0)]), reply, begun_ns: 4, ended_ns: 5 }),
            ]);
            assert_eq!(explain(&watching).is_ok(), explained);
        }
    }
}
