//! Power cuts while somebody is served who waits: what he was given never comes back, and the push that it came from is safe.
//!
//! What is recorded is a whole server: the program, or a program that embeds the database, calls it and serves it (`calls.rs`). On each
//! lane one brings elements, one after the other, to those who wait for them (`lanes.rs`); whoever hears of something notes when, by the
//! clock that the recorder notes events by. So of each image it is known what somebody had been told before the cut.

mod calls;
mod lanes;

use std::collections::{HashMap, HashSet};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use modb_client::{Config, Connection};
use modb_server::Options;

use self::lanes::{
    Brings, DEADLINE, Heard, Lane, Note, OF_CLIENTS, Takes, WITH_CALLS, bring_by_requests, from, mark,
    take_by_requests, to,
};
use crate::disk::{Disk, Left};
use crate::random::Random;
use crate::trace::{Event, Recorder};
use crate::workload::DATA;
use crate::{assert_same_files, seed};

/// A server that was recorded from its start to its end, and what was heard of it.
struct Life {
    events: Vec<Event>,
    /// The files, as they were before it.
    disk: Disk,
    notes: Vec<Note>,
    lanes: &'static [Lane],
}

/// A server that is being recorded.
struct Running {
    child: Child,
    said: BufReader<ChildStdout>,
    config: Config,
}

impl Running {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("starts");
        let mut said = BufReader::new(child.stdout.take().expect("piped"));
        let mut all = String::new();
        let port = loop {
            let before = all.len();
            assert!(said.read_line(&mut all).expect("it says something") > 0, "it does not serve: {all}");
            if let Some((_, rest)) = all[before..].split_once("listen=127.0.0.1:") {
                let digits = rest.split(|c: char| !c.is_ascii_digit()).next();
                break digits.and_then(|port| port.parse().ok()).expect("a port");
            }
        };
        Self { child, said, config: Config::new("127.0.0.1", port) }
    }

    fn client(&self) -> Connection {
        Connection::open(&self.config).expect("connects")
    }

    fn wait_until_blocked(&self, count: usize) {
        let (mut client, begin) = (self.client(), Instant::now());
        let wanted = format!("blocked_clients:{count}\r\n");
        while !client.call::<String>(["INFO", "clients"]).expect("answered").contains(&wanted) {
            assert!(begin.elapsed() < DEADLINE, "{count} come to wait");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Elements come and are taken, on all lanes at once, until there are no more.
    fn serve(&mut self, lanes: &'static [Lane]) -> Vec<Note> {
        thread::scope(|scope| {
            let lanes = || lanes.iter().copied().enumerate();
            let takers =
                lanes().flat_map(|(lane, (_, takers))| takers.iter().map(move |takes| (lane, *takes)));
            let by_requests = takers.clone().filter(|(_, takes)| *takes != Takes::Call);
            let mut clients: Vec<_> = by_requests
                .map(|(lane, takes)| {
                    let mut client = self.client();
                    scope.spawn(move || take_by_requests(&mut client, lane, takes))
                })
                .collect();
            self.wait_until_blocked(takers.count());
            // To those that the program calls.
            let stdin = self.child.stdin.as_mut().expect("piped");
            let _ = stdin.write_all(b"go\n");
            let by_requests = lanes().filter(|(_, (brings, _))| *brings != Brings::Update);
            clients.extend(by_requests.map(|(lane, who)| {
                let mut client = self.client();
                scope.spawn(move || bring_by_requests(&mut client, lane, who))
            }));
            clients.into_iter().flat_map(|thread| thread.join().expect("it has not panicked")).collect()
        })
    }

    /// Waits for its end, which it was asked for or comes to by itself.
    fn end(mut self) {
        let mut rest = String::new();
        self.said.read_to_string(&mut rest).expect("until its end");
        let status = self.child.wait().expect("a child can be waited for");
        assert!(status.success(), "{status}: {rest}");
    }
}

impl Life {
    /// The program's.
    fn of_program(recorder: &Recorder, root: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_modb-server"));
        command.args(["--bind", "127.0.0.1", "--port", "0", "--durability", "always"]);
        command.args(["--min-free-mb", "0", "--workers", "3", "--dir"]).arg(root.join(DATA));
        Self::record(recorder, root, command, OF_CLIENTS, |running| {
            // Its end is the answer.
            let _ = running.client().call::<()>(["SHUTDOWN"]);
        })
    }

    /// That of a program which embeds the database.
    fn of_embedding(recorder: &Recorder, root: &Path) -> Self {
        let beside = tempfile::tempdir().expect("a folder");
        let notes = beside.path().join("notes");
        let program = calls::program(root, &notes);
        let mut life = Self::record(recorder, root, program, WITH_CALLS, |_| {});
        life.notes.extend(calls::noted(&notes));
        life
    }

    fn record(
        recorder: &Recorder,
        root: &Path,
        mut command: Command,
        lanes: &'static [Lane],
        end: impl FnOnce(&Running),
    ) -> Self {
        let disk = Disk::of(root);
        recorder.watch(&mut command, root, None);
        let mut running = Running::start(command);
        let notes = running.serve(lanes);
        end(&running);
        running.end();
        Self { events: recorder.events(), disk, notes, lanes }
    }
}

/// What had been heard of an element before a cut, and whatever is heard of it at all.
#[derive(Default)]
struct Known {
    before: HashSet<Heard>,
    ever: HashSet<Heard>,
}

impl Life {
    /// Before which events the power is cut, ascending: half of them as soon as somebody has heard of something.
    fn choose_cuts(&self, count: usize, random: &mut Random) -> Vec<usize> {
        let below = |bound: usize, random: &mut Random| random.below(bound as u64) as usize;
        let mut cuts: Vec<usize> = (0..count)
            .map(|n| match n % 2 {
                0 => self.first_after(&self.notes[below(self.notes.len(), random)]),
                _ => below(self.events.len(), random),
            })
            .collect();
        cuts.sort_unstable();
        cuts
    }

    /// The first event after somebody had heard of something: what he heard of was caused by those before it.
    fn first_after(&self, note: &Note) -> usize {
        self.events.partition_point(|event| event.time < note.time)
    }

    fn known(&self, cut: usize) -> HashMap<(usize, &str), Known> {
        let mut known = HashMap::<_, Known>::new();
        for note in &self.notes {
            let of = known.entry((note.lane, &note.element[..])).or_default();
            of.ever.insert(note.heard);
            if self.first_after(note) <= cut {
                of.before.insert(note.heard);
            }
        }
        known
    }

    /// Cuts the power `count` times; what was wrong with what each cut left.
    fn cut(mut self, root: &Path, count: usize, random: &mut Random) -> Vec<String> {
        let (mut wrong, mut played) = (Vec::new(), 0);
        for cut in self.choose_cuts(count, random) {
            self.events[played..cut].iter().for_each(|event| self.disk.play(&event.what));
            played = cut;
            let left =
                [Left::Nothing, Left::Nothing, Left::AnyPart, Left::Everything][random.below(4) as usize];
            let image = tempfile::tempdir().expect("a folder");
            let folder = image.path().join(DATA);
            self.disk.cut(DATA, left, random, &folder);
            let all = self.check(cut, &folder);
            wrong
                .extend(all.into_iter().map(|what| format!("cut before event {cut}, left {left:?}: {what}")));
        }
        self.events[played..].iter().for_each(|event| self.disk.play(&event.what));
        let end = tempfile::tempdir().expect("a folder");
        self.disk.cut(DATA, Left::Everything, random, &end.path().join(DATA));
        assert_same_files(&end.path().join(DATA), &root.join(DATA));
        wrong
    }

    /// What is wrong with what a cut left.
    fn check(&self, cut: usize, folder: &Path) -> Vec<String> {
        let database = Options::new(folder).min_free_mb(0).open().expect("it opens");
        let mut wrong = Vec::new();
        let mut places = HashMap::<(usize, String), Vec<&str>>::new();
        for (lane, (brings, _)) in self.lanes.iter().enumerate() {
            let mut found = |place, element: &[u8]| {
                let element = String::from_utf8_lossy(element).into_owned();
                places.entry((lane, element)).or_default().push(place);
            };
            match brings {
                Brings::Add => {
                    let members = database.sorted_set(from(lane)).to_vec().expect("read");
                    members.iter().for_each(|(member, _)| found("from", member));
                }
                Brings::Push | Brings::Exec | Brings::Update => {
                    let elements = |key| database.list(key).to_vec().expect("read");
                    elements(from(lane)).iter().for_each(|element| found("from", element));
                    elements(to(lane)).iter().for_each(|element| found("to", element));
                }
            }
        }
        for ((lane, element), Known { before, ever }) in self.known(cut) {
            let found = places.get(&(lane, element.to_owned())).map_or(&[][..], |found| found);
            let is_taken_later = ever.contains(&Heard::Given);
            let is_moved_later = ever.contains(&Heard::Moved);
            let is_right = match found {
                [] => before.contains(&Heard::Given) || before.is_empty() || is_taken_later,
                ["from"] => !before.contains(&Heard::Given) && !before.contains(&Heard::Moved),
                ["to"] => is_moved_later && !before.contains(&Heard::Given),
                _ => false,
            };
            if !is_right {
                wrong.push(format!("lane {lane}: {element}, of which was heard {before:?}, is in {found:?}"));
            }
            let has_mark = matches!(self.lanes[lane].0, Brings::Exec | Brings::Update);
            let is_brought = !before.is_empty() || !found.is_empty();
            if has_mark && is_brought && database.get(mark(lane, element)).expect("read").is_none() {
                wrong
                    .push(format!("lane {lane}: of {element}, heard {before:?}, in {found:?}, half is gone"));
            }
        }
        database.close().expect("closes");
        wrong
    }
}

fn lives(record: fn(&Recorder, &Path) -> Life, lives: u32, cuts: usize) {
    let recorder = Recorder::build();
    let mut random = Random::new(seed());
    for _ in 0..lives {
        let root = tempfile::tempdir().expect("a folder");
        let root = root.path().canonicalize().expect("it is there");
        let life = record(&recorder, &root);
        println!("{} events, {} notes", life.events.len(), life.notes.len());
        assert_eq!(life.cut(&root, cuts, &mut random), [""; 0]);
    }
}

#[test]
fn a_power_cut_brings_nothing_back_that_was_given_to_who_waited_for_it() {
    lives(Life::of_program, 1, 20);
}

#[test]
fn nor_what_a_call_was_given_or_was_brought_by_one() {
    lives(Life::of_embedding, 1, 20);
}

#[test]
#[ignore = "long: minutes"]
fn long_power_cuts_bring_nothing_back_that_was_given_to_who_waited_for_it() {
    lives(Life::of_program, 5, 200);
    lives(Life::of_embedding, 5, 200);
}
