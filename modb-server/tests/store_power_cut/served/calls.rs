//! A program that embeds the database: it serves, takes and brings elements by calls of its own, and notes that in a file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use modb_server::{Database, Durability, Options, Server};

use super::lanes::{Brings, DEADLINE, Heard, Note, Takes, WITH_CALLS, bring, firsts, from, mark, take};
use crate::workload::DATA;

const ROOT: &str = "MODB_TEST_SERVED_ROOT";
/// Where the calls of the program are noted: beside the root.
const NOTES: &str = "MODB_TEST_SERVED_NOTES";

/// Starts it.
pub(super) fn program(root: &Path, notes: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this binary"));
    command
        .args([
            "--exact",
            "served::calls::child_that_serves",
            "--ignored",
            "--test-threads",
            "1",
            "--nocapture",
        ])
        .env(ROOT, root)
        .env(NOTES, notes);
    command
}

/// What it has noted.
pub(super) fn noted(notes: &Path) -> Vec<Note> {
    fs::read_to_string(notes).expect("it has noted").lines().map(parse).collect()
}

#[test]
#[ignore = "the program of the tests here that embeds the database: started by them"]
fn child_that_serves() {
    let Some((root, notes)) = std::env::var_os(ROOT).zip(std::env::var_os(NOTES)) else { return };
    let folder = PathBuf::from(root).join(DATA);
    let options = Options::new(folder).durability(Durability::Always).min_free_mb(0).workers(3);
    let database = options.open().expect("opens");
    let server = Server::bind(&database, ([127, 0, 0, 1], 0).into()).expect("serves");
    println!("\nlisten={}", server.local_addrs()[0]);
    let noted = call(&database);
    let lines = noted.iter().map(|Note { time, lane, element, heard }| {
        format!("{} {lane} {element} {}\n", time.as_nanos(), *heard == Heard::Brought)
    });
    fs::write(notes, lines.collect::<String>()).expect("written");
    database.close().expect("closes");
    std::process::exit(0);
}

/// A line of those notes.
fn parse(line: &str) -> Note {
    let words: Vec<&str> = line.split(' ').collect();
    let [time, lane, element, brought] = words[..] else { panic!("no note: {line}") };
    let heard = if brought == "true" { Heard::Brought } else { Heard::Given };
    let time = Duration::from_nanos(time.parse().expect("a number"));
    Note { time, lane: lane.parse().expect("a number"), element: element.to_owned(), heard }
}

/// Takes by calls, and brings by others once it is told that all wait who take.
fn call(database: &Database) -> Vec<Note> {
    let lanes = || WITH_CALLS.iter().copied().enumerate();
    thread::scope(|scope| {
        let takers = lanes().flat_map(|(lane, (_, takers))| {
            takers.iter().filter(|takes| **takes == Takes::Call).map(move |_| lane)
        });
        let takers: Vec<_> = takers.map(|lane| scope.spawn(move || take_by_calls(database, lane))).collect();
        std::io::stdin().read_line(&mut String::new()).expect("it is told");
        let who_bring = lanes().filter(|(_, (brings, _))| *brings == Brings::Update);
        let who_bring: Vec<_> = who_bring
            .map(|(lane, (_, takers))| scope.spawn(move || bring_by_calls(database, lane, firsts(takers))))
            .collect();
        let all = takers.into_iter().chain(who_bring);
        all.flat_map(|thread| thread.join().expect("it has not panicked")).collect()
    })
}

fn take_by_calls(database: &Database, lane: usize) -> Vec<Note> {
    let list = database.list(from(lane));
    take(lane, Heard::Given, || {
        let taken = list.pop_front_wait(DEADLINE).expect("taken").expect("something comes");
        String::from_utf8(taken.to_vec()).expect("ASCII")
    })
}

fn bring_by_calls(database: &Database, lane: usize, takers: usize) -> Vec<Note> {
    let list = from(lane);
    bring(lane, takers, |element| {
        let mark = mark(lane, element);
        let done = database.update(&[&list, &mark], |keys| {
            keys.set(&mark, "1")?;
            keys.list(&list)?.push_back(element)
        });
        done.expect("done");
    })
}
