//! Power cuts for the whole store: the log, the tree's files and the folder itself.
//!
//! A process commits while every change of its files is recorded (`recorder.c`, on Linux). Played again up to any
//! event (`disk.rs`), the record gives the images that a power cut there could leave; each is opened and must hold
//! a prefix of the commits with all that the durability mode promises (`workload.rs`). The next process goes on with
//! one of the images. A disk that ignores syncs must be found out, or nothing here means anything.
//!
//! The same of a whole server, and of those whom it serves: `served/`.

#![cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]

mod disk;
#[path = "../lasts/mod.rs"]
mod lasts;
mod random;
#[cfg(feature = "cli")]
mod served;
mod trace;
mod workload;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use modb_server::store::Durability;

use self::disk::{Disk, Left};
use self::random::Random;
use self::trace::{Event, Recorder, What};
use self::workload::{ACKS, Ack, DATA, Lasts, Plan};

/// What `everysec` may lose: a second, and how late its sync may be on a busy machine.
const EVERYSEC_LOSES: Duration = Duration::from_secs(2);

#[test]
#[ignore = "the child of the tests here: started by them"]
fn child_that_is_recorded() {
    workload::live();
}

/// One recorded process.
struct Life {
    events: Vec<Event>,
    /// Each acknowledgement, with the event that noted it and its time.
    acks: Vec<(usize, Duration, Ack)>,
    /// The files, as they were before it.
    disk: Disk,
    /// What was there before it, all of it safe.
    lasts_before: Lasts,
    plan: Plan,
}

/// What became of the images.
#[derive(Default)]
struct Outcome {
    images: usize,
    /// What was wrong with those that did not open as they should.
    broken: Vec<String>,
    /// Before the cut: how long ago the oldest acknowledged commit that was lost had been acknowledged.
    oldest_lost: Duration,
    /// What the last image held.
    lasts: Lasts,
}

impl Life {
    fn record(recorder: &Recorder, root: &Path, plan: &Plan, lasts_before: Lasts) -> Self {
        let disk = Disk::of(root);
        let mut command = Command::new(std::env::current_exe().expect("this binary"));
        command
            .args(["--exact", "child_that_is_recorded", "--ignored", "--test-threads", "1"])
            .envs(plan.env(root))
            .stdout(Stdio::null());
        recorder.watch(&mut command, root, plan.lies);
        let status = command.status().expect("starts");
        assert!(status.success(), "{status}");
        let events = recorder.events();
        let mut acks_inode = None;
        let mut acks = Vec::new();
        for (n, event) in events.iter().enumerate() {
            match &event.what {
                What::Create { path, inode } if path == ACKS => acks_inode = Some(*inode),
                What::Write { inode, bytes, .. } if Some(*inode) == acks_inode => {
                    acks.push((n, event.time, Ack::parse(bytes)));
                }
                _ => {}
            }
        }
        assert_eq!(acks.len() as u64, plan.commits * workload::THREADS, "all was acknowledged");
        Self { events, acks, disk, lasts_before, plan: plan.clone() }
    }

    /// Flushes and compactions that ended: each replaces the file that names the tree's tables.
    fn publications(&self) -> usize {
        let ends =
            |event: &&Event| matches!(&event.what, What::Rename { to, .. } if to.ends_with("/current"));
        self.events.iter().filter(ends).count()
    }

    /// Numbers of events before which the power is cut, ascending: a third at any event, a third at any time, and
    /// a third shortly after a name changed, where flushes and compactions are at work.
    fn choose_cuts(&self, count: usize, random: &mut Random) -> Vec<usize> {
        const SHORTLY: u64 = 12;
        let is_of_names = |event: &Event| match event.what {
            What::Create { .. } | What::Rename { .. } | What::Unlink { .. } | What::MakeFolder { .. } => true,
            What::Truncate { .. } | What::Write { .. } | What::Zeros { .. } => false,
            What::SyncBegin { .. } | What::SyncEnd { .. } => false,
        };
        let events = &self.events;
        let of_names: Vec<usize> = (0..events.len()).filter(|n| is_of_names(&events[*n])).collect();
        let begin = events[0].time;
        let lasted = (events[events.len() - 1].time - begin).as_micros() as u64;
        let mut cuts: Vec<usize> = (0..count)
            .map(|n| match n % 3 {
                0 => random.below(events.len() as u64) as usize,
                1 => {
                    let time = begin + Duration::from_micros(random.below(lasted));
                    events.partition_point(|event| event.time < time)
                }
                _ => of_names[random.below(of_names.len() as u64) as usize] + random.below(SHORTLY) as usize,
            })
            .map(|cut| cut.min(events.len() - 1))
            .collect();
        cuts.sort_unstable();
        cuts
    }

    /// The last commit of each thread that must be there after a cut.
    fn required(&self, cut: usize) -> Lasts {
        let now = self.events[cut].time;
        let mut required = self.lasts_before;
        for (_, time, ack) in self.acks.iter().take_while(|(noted, ..)| *noted < cut) {
            if self.plan.durability == Durability::Always || *time + EVERYSEC_LOSES < now {
                required[ack.thread as usize] = ack.n;
            }
        }
        required
    }

    fn oldest_lost(&self, cut: usize, lasts: Lasts) -> Duration {
        let mut before = self.acks.iter().take_while(|(noted, ..)| *noted < cut);
        let lost = before.find(|(.., ack)| ack.n > lasts[ack.thread as usize]);
        lost.map_or(Duration::ZERO, |(_, time, _)| self.events[cut].time - *time)
    }

    /// Cuts the power `count` times and opens what each cut leaves. The last image is also put into the folder `next`.
    fn cut(mut self, root: &Path, count: usize, random: &mut Random, next: &Path) -> Outcome {
        let cuts = self.choose_cuts(count, random);
        let mut outcome = Outcome { images: cuts.len(), ..Outcome::default() };
        let mut played = 0;
        for (n, cut) in cuts.into_iter().enumerate() {
            self.play(played, cut);
            played = cut;
            let left = match random.below(8) {
                0 => Left::Nothing,
                1 => Left::Everything,
                2 => Left::BytesOnly,
                3 => Left::NamesOnly,
                _ => Left::AnyPart,
            };
            let image = tempfile::tempdir().expect("a folder");
            let folder = image.path().join(DATA);
            self.disk.cut(DATA, left, random, &folder);
            if n + 1 == count {
                copy(&folder, next);
            }
            match self.open_image(cut, &folder) {
                Ok(lasts) => {
                    outcome.lasts = lasts;
                    outcome.oldest_lost = outcome.oldest_lost.max(self.oldest_lost(cut, lasts));
                }
                Err(what) => outcome.broken.push(format!("cut before event {cut}, left {left:?}: {what}")),
            }
        }
        self.play(played, self.events.len());
        let end = tempfile::tempdir().expect("a folder");
        let played = end.path().join(DATA);
        self.disk.cut(DATA, Left::Everything, random, &played);
        assert_same_files(&played, &root.join(DATA));
        outcome
    }

    fn play(&mut self, from: usize, upto: usize) {
        for event in &self.events[from..upto] {
            self.disk.play(&event.what);
        }
    }

    /// What the image held.
    fn open_image(&self, cut: usize, folder: &Path) -> Result<Lasts, String> {
        let store = workload::open_store(folder, self.plan.durability).map_err(|e| e.to_string())?;
        let acks = self.acks.iter().map(|(.., ack)| ack);
        let lasts = workload::check(&*store, &self.plan, self.required(cut), acks)?;
        store.close().map_err(|e| e.to_string())?;
        Ok(lasts)
    }
}

/// Copies a folder, if it is there, into a new one.
fn copy(from: &Path, to: &Path) {
    for (name, bytes) in files(from) {
        let file = to.join(name);
        fs::create_dir_all(file.parent().expect("in a folder")).expect("made");
        fs::write(file, bytes).expect("written");
    }
}

/// The files in a folder and in those within, by path.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(within) = folders.pop() {
        for entry in fs::read_dir(folder.join(&within)).into_iter().flatten() {
            let path = within.join(entry.expect("readable").file_name());
            match fs::read(folder.join(&path)) {
                Ok(bytes) => drop(found.insert(path, bytes)),
                Err(_) => folders.push(path),
            }
        }
    }
    found
}

/// Otherwise something changed a file past the recorder.
fn assert_same_files(played: &Path, real: &Path) {
    let (mut played, real) = (files(played), files(real));
    for (name, bytes) in &real {
        let recorded = played.remove(name);
        let lengths = (bytes.len(), recorded.as_ref().map(Vec::len));
        assert!(
            recorded.as_ref() == Some(bytes),
            "{}: bytes there and recorded: {lengths:?}",
            name.display()
        );
    }
    assert!(played.is_empty(), "recorded and not there: {:?}", played.keys());
}

fn seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as u64;
    let seed = std::env::var("MODB_CUT_SEED").map_or(now, |seed| seed.parse().expect("a number"));
    println!("MODB_CUT_SEED={seed}");
    seed
}

/// Lives one after the other, each on what a power cut left of the one before. Answers what was broken.
fn lives(plan: &Plan, lives: u32, cuts_per_life: usize) -> Vec<String> {
    let recorder = Recorder::build();
    let mut random = Random::new(seed());
    let mut root = tempfile::tempdir().expect("a folder");
    let mut lasts = Lasts::default();
    let (mut images, mut publications, mut oldest_lost, mut broken) = (0, 0, Duration::ZERO, Vec::new());
    for life in 0..lives {
        let plan = Plan { closes: life % 2 == 1, ..plan.clone() };
        let next = tempfile::tempdir().expect("a folder");
        let real_root = root.path().canonicalize().expect("it is there");
        let life = Life::record(&recorder, &real_root, &plan, lasts);
        publications += life.publications();
        let outcome = life.cut(&real_root, cuts_per_life, &mut random, &next.path().join(DATA));
        images += outcome.images;
        oldest_lost = oldest_lost.max(outcome.oldest_lost);
        lasts = outcome.lasts;
        let is_broken = !outcome.broken.is_empty();
        broken.extend(outcome.broken);
        if is_broken {
            break;
        }
        root = next;
    }
    println!(
        "{images} images of {lives} lives, {publications} flushes and compactions, oldest acknowledged commit lost: \
         {oldest_lost:?}, {} images broken",
        broken.len()
    );
    broken.iter().for_each(|what| println!("{what}"));
    assert!(
        publications > 3 * lives as usize,
        "too few flushes and compactions to show anything: {publications}"
    );
    broken
}

fn always() -> Plan {
    let durability = Durability::Always;
    let lasts = Duration::ZERO;
    Plan { durability, commits: 1500, lasts, value_bytes: 3000, closes: false, lies: None }
}

fn everysec() -> Plan {
    Plan { durability: Durability::EverySecond, lasts: Duration::from_secs(5), ..always() }
}

#[test]
fn a_power_cut_loses_nothing_that_was_acknowledged_in_always() {
    assert_eq!(lives(&always(), 2, 20), [""; 0]);
}

#[test]
fn a_power_cut_loses_at_most_the_last_second_in_everysec() {
    assert_eq!(lives(&everysec(), 1, 20), [""; 0]);
}

/// For the log and the tree's files each: the tests above look at the syncs of both.
#[test]
fn a_disk_that_ignores_syncs_is_found_out() {
    for part in ["data/log", "data/tables"] {
        let broken = lives(&Plan { lies: Some(part), ..always() }, 1, 20);
        assert!(!broken.is_empty(), "{part}: none of 20 images shows it");
    }
}

#[test]
#[ignore = "long: minutes"]
fn long_power_cuts_lose_no_more_than_the_mode_says() {
    for _ in 0..4 {
        assert_eq!(lives(&always(), 5, 60), [""; 0]);
        assert_eq!(lives(&everysec(), 5, 60), [""; 0]);
        // Enough for files of the log to be written over.
        assert_eq!(lives(&Plan { value_bytes: 60_000, ..always() }, 2, 30), [""; 0]);
    }
}
