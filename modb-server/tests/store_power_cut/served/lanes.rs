//! Who brings elements and who waits for them, lane by lane, and what they note.

use std::time::Duration;

use modb_client::{Connection, Value};

/// What is brought on each lane.
pub(super) const ELEMENTS: u32 = 100;
/// How what is brought last begins: it tells who takes it that nothing more comes.
pub(super) const END: &str = "end";
pub(super) const DEADLINE: Duration = Duration::from_secs(30);

/// How elements come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Brings {
    Push,
    Add,
    /// In a transaction, which leaves a mark for each.
    Exec,
    /// In a call of the program, with a mark.
    Update,
}

/// How one waits for them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    Pop,
    PopLowest,
    Move,
    /// What another has moved.
    PopMoved,
    Call,
}

/// One who brings, and those who take, all of them from the same key but those who take what was moved.
pub(super) type Lane = (Brings, &'static [Takes]);

pub(super) const OF_CLIENTS: &[Lane] = &[
    (Brings::Push, &[Takes::Pop, Takes::Pop]),
    (Brings::Exec, &[Takes::Move, Takes::Move]),
    (Brings::Add, &[Takes::PopLowest, Takes::PopLowest]),
    (Brings::Exec, &[Takes::Move, Takes::PopMoved]),
    // Nobody takes it out: a push that is lost is seen, without a mark.
    (Brings::Push, &[Takes::Move, Takes::Move]),
];
pub(super) const WITH_CALLS: &[Lane] = &[
    (Brings::Exec, &[Takes::Call, Takes::Call]),
    (Brings::Update, &[Takes::Pop, Takes::Pop]),
    (Brings::Update, &[Takes::Move, Takes::Call]),
    (Brings::Push, &[Takes::Move, Takes::Move]),
];

pub(super) fn from(lane: usize) -> String {
    format!("from:{lane}")
}

pub(super) fn to(lane: usize) -> String {
    format!("to:{lane}")
}

pub(super) fn mark(lane: usize, element: &str) -> String {
    format!("mark:{lane}:{element}")
}

/// What somebody has heard of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Heard {
    Brought,
    Moved,
    Given,
}

#[derive(Debug)]
pub(super) struct Note {
    pub(super) time: Duration,
    pub(super) lane: usize,
    pub(super) element: String,
    pub(super) heard: Heard,
}

pub(super) fn note(lane: usize, element: String, heard: Heard) -> Note {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let time = Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec as u32);
    Note { time, lane, element, heard }
}

/// Brings all elements of a lane, and its end to each of `takers`.
pub(super) fn bring(lane: usize, takers: usize, mut brings: impl FnMut(&str)) -> Vec<Note> {
    let notes = (0..ELEMENTS).map(|n| {
        brings(&n.to_string());
        note(lane, n.to_string(), Heard::Brought)
    });
    let notes = notes.collect();
    (0..takers).for_each(|n| brings(&format!("{END}{n}")));
    notes
}

/// Takes elements of a lane until its end.
pub(super) fn take(lane: usize, heard: Heard, takes: impl FnMut() -> String) -> Vec<Note> {
    let elements = std::iter::repeat_with(takes).take_while(|element| !element.starts_with(END));
    elements.map(|element| note(lane, element, heard)).collect()
}

/// How many of `takers` take what is brought, and not what another has moved.
pub(super) fn firsts(takers: &[Takes]) -> usize {
    takers.iter().filter(|takes| **takes != Takes::PopMoved).count()
}

/// A client who brings.
pub(super) fn bring_by_requests(client: &mut Connection, lane: usize, (brings, takers): Lane) -> Vec<Note> {
    let from = &from(lane)[..];
    let mut score = 0;
    bring(lane, firsts(takers), |element| {
        let mut ask = |words: &[&str]| client.call::<()>(words).expect("answered");
        match brings {
            Brings::Add => {
                score += 1;
                ask(&["ZADD", from, &score.to_string(), element]);
            }
            Brings::Exec => {
                ask(&["MULTI"]);
                ask(&["SET", &mark(lane, element), "1"]);
                ask(&["RPUSH", from, element]);
                ask(&["EXEC"]);
            }
            Brings::Push | Brings::Update => ask(&["RPUSH", from, element]),
        }
    })
}

/// A client who takes.
pub(super) fn take_by_requests(client: &mut Connection, lane: usize, takes: Takes) -> Vec<Note> {
    let (from, to) = (&from(lane)[..], &to(lane)[..]);
    let words: &[&str] = match takes {
        Takes::Pop | Takes::Call => &["BLPOP", from, "0"],
        Takes::PopLowest => &["BZPOPMIN", from, "0"],
        Takes::Move => &["BLMOVE", from, to, "LEFT", "RIGHT", "0"],
        Takes::PopMoved => &["BLPOP", to, "0"],
    };
    let heard = if takes == Takes::Move { Heard::Moved } else { Heard::Given };
    take(lane, heard, || {
        let element = match client.call_value(words).expect("answered") {
            Value::Array(items) => items.into_iter().nth(1),
            other => Some(other),
        };
        let Some(Value::Bulk(element)) = element else { panic!("no element: {element:?}") };
        String::from_utf8(element).expect("ASCII")
    })
}
