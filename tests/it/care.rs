//! Care of the data folder: `modb-server check`, `backup`, `restore` and `compact`, with what they print and their
//! exit status.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use modb_tests::peer::encode;
use modb_tests::sys::SmallDisk;
use modb_tests::tool::{self, Outcome};
use modb_tests::{Launch, Platform, Reply, Server, binary, skip, wait};

const KEYS: usize = 2000;
/// A task on little data ends long before.
const LIMIT: Duration = Duration::from_secs(120);

/// Runs `modb-server` with these words and the data folder `folder`.
fn care(words: &[&dyn AsRef<OsStr>], folder: &Path) -> Outcome {
    let mut command = binary::server().command();
    for word in words {
        command.arg(word.as_ref());
    }
    tool::run(command.arg("--dir").arg(folder), b"", LIMIT)
}

/// The same, with where the server is that has the folder.
pub(crate) fn care_served(words: &[&dyn AsRef<OsStr>], server: &Server) -> Outcome {
    let port = server.addr().port().to_string();
    let mut all: Vec<&dyn AsRef<OsStr>> = words.to_vec();
    all.extend([&"--port" as &dyn AsRef<OsStr>, &port]);
    care(&all, server.launch().folder())
}

fn assert_status(outcome: &Outcome, status: i32, words: &[&str]) {
    let said = format!("{}{}", outcome.stdout, outcome.stderr);
    assert_eq!(outcome.status, Some(status), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in:\n{said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

/// Keys with and without an expiry, in two databases, some overwritten and some removed.
fn fill(server: &Server) {
    let mut peer = server.peer();
    for round in 0..2 {
        let wire: Vec<u8> = (0..KEYS)
            .flat_map(|n| {
                let (key, value) = (format!("key:{n}"), format!("{round}:{n:0>100}"));
                let expiry: &[&str] = if n % 3 == 0 { &["EX", "100000"] } else { &[] };
                encode([&["SET", &key, &value], expiry].concat())
            })
            .collect();
        peer.send(&wire);
        peer.replies(KEYS);
    }
    assert_eq!(peer.ask("DEL key:1 key:3"), Reply::Int(2));
    assert_eq!(peer.ask("SELECT 5"), Reply::ok());
    assert_eq!(peer.ask("SET other v"), Reply::ok());
}

fn assert_filled(server: &Server) {
    let mut peer = server.peer();
    assert_eq!(peer.ask("DBSIZE"), Reply::Int(KEYS as i64 - 2));
    for n in [0, 2, KEYS - 1] {
        assert_eq!(peer.ask(&format!("GET key:{n}")), Reply::bulk(format!("1:{n:0>100}")));
    }
    assert!(peer.ask("TTL key:0").int() > 90_000);
    assert_eq!((peer.ask("SELECT 5"), peer.ask("GET other")), (Reply::ok(), Reply::bulk("v")));
}

/// A data folder that was filled and closed cleanly.
fn filled(platform: &Platform) -> Launch {
    let launch = Launch::new(platform);
    let mut server = launch.start();
    fill(&server);
    server.stop();
    launch
}

pub(crate) fn a_backup_under_load_restored_holds_what_was_acknowledged(platform: &Platform) {
    let around = tempfile::tempdir().expect("a folder can be made");
    let (copy, restored) = (around.path().join("copy"), around.path().join("restored"));
    let server = Launch::new(platform).with_durability("os").start();
    fill(&server);
    let (stop, acknowledged) = (AtomicBool::new(false), AtomicUsize::new(0));
    let before = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut peer = server.peer();
            while !stop.load(Ordering::Acquire) {
                let n = acknowledged.load(Ordering::Acquire);
                // Both or neither: a batch is not torn by the copy.
                let (a, b) = (format!("a:{n}"), format!("b:{n}"));
                assert_eq!(peer.call(["MSET", &a, "1", &b, "1", "last", &n.to_string()]), Reply::ok());
                acknowledged.store(n + 1, Ordering::Release);
            }
        });
        let over = wait::Over(&stop);
        wait::until("the load runs", || (acknowledged.load(Ordering::Acquire) > 100).then_some(()));
        let before = acknowledged.load(Ordering::Acquire);
        let outcome = care_served(&[&"backup", &copy], &server);
        drop(over);
        assert_status(&outcome, 0, &["backed up"]);
        before
    });
    drop(server);

    assert_status(&care(&[&"check"], &copy), 0, &["no damage"]);
    assert_status(&care(&[&"restore", &copy], &restored), 0, &["no damage"]);
    let server = Launch::new(platform).in_folder(&restored).start();
    let mut peer = server.peer();
    let last: usize = peer.ask("GET last").text().parse().expect("it is a number");
    assert!(last + 1 >= before, "{before} were acknowledged before the backup, it has {}", last + 1);
    for n in 0..=last {
        assert_eq!(peer.ask(&format!("MGET a:{n} b:{n}")), peer.ask("MGET a:0 b:0"), "{n} of {last}");
    }
    let after = last + 1;
    assert_eq!(peer.ask(&format!("EXISTS a:{after} b:{after}")), Reply::Int(0), "a prefix, not more");
    let own = 3 + 2 * last;
    assert_eq!(peer.ask("DBSIZE"), Reply::Int((KEYS - 2 + own) as i64));
    assert_eq!((peer.ask("SELECT 5"), peer.ask("GET other")), (Reply::ok(), Reply::bulk("v")));
}

pub(crate) fn a_backup_of_a_folder_at_rest_is_restored(platform: &Platform) {
    let around = tempfile::tempdir().expect("a folder can be made");
    let (copy, restored) = (around.path().join("copy"), around.path().join("restored"));
    let launch = filled(platform);
    assert_status(&care(&[&"check"], launch.folder()), 0, &["1999 keys in 2 databases", "no damage"]);
    assert_status(&care(&[&"backup", &copy], launch.folder()), 0, &["backed up"]);
    assert_status(&care(&[&"restore", &copy], &restored), 0, &["1999 keys"]);
    assert_filled(&Launch::new(platform).in_folder(&restored).start());
    assert_filled(&launch.start());
}

/// The largest file in and below a folder whose path contains `part`.
fn largest(folder: &Path, part: &str) -> PathBuf {
    let mut found: Vec<(u64, PathBuf)> = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a test may list its own folder").flatten() {
            let kind = entry.metadata().expect("the file is there");
            if kind.is_dir() {
                folders.push(entry.path());
            } else if entry.path().to_string_lossy().contains(part) {
                found.push((kind.len(), entry.path()));
            }
        }
    }
    found.into_iter().max().expect("there is such a file").1
}

fn flip_a_byte(file: &Path, at: usize) {
    let mut bytes = fs::read(file).expect("a test may read its own file");
    bytes[at] ^= 0x10;
    fs::write(file, bytes).expect("a test may write its own file");
}

pub(crate) fn a_flipped_byte_is_found(platform: &Platform) {
    // In the log.
    let launch = filled(platform);
    assert_status(&care(&[&"check"], launch.folder()), 0, &["no damage"]);
    flip_a_byte(&largest(launch.folder(), "log-"), 20_000);
    assert_status(&care(&[&"check", &launch.folder()], Path::new("unused")), 1, &["corrupt data"]);

    // In a table file, and in a backup, which no server opens after its restore failed.
    let launch = filled(platform);
    assert_status(&care(&[&"compact"], launch.folder()), 0, &["before", "now"]);
    assert_status(&care(&[&"check"], launch.folder()), 0, &["no damage"]);
    flip_a_byte(&largest(launch.folder(), "tables"), 20_000);
    let found = care(&[&"check"], launch.folder());
    assert_status(&found, 1, &["corrupt data in tables/"]);
    assert!(!found.stderr.contains("::") && !found.stderr.contains('{'), "no Rust: {}", found.stderr);
    let around = tempfile::tempdir().expect("a folder can be made");
    let restored = around.path().join("restored");
    assert_status(&care(&[&"restore", &launch.folder()], &restored), 1, &["corrupt data in tables/"]);
    assert!(!restored.exists(), "nothing of it is left");

    // A file that is gone.
    let launch = filled(platform);
    assert_status(&care(&[&"compact"], launch.folder()), 0, &["before", "now"]);
    fs::remove_file(largest(launch.folder(), "tables")).expect("a test may remove its own file");
    assert_status(&care(&[&"check"], launch.folder()), 1, &["corrupt data"]);
}

pub(crate) fn folders_that_hold_something_are_not_filled(platform: &Platform) {
    let launch = filled(platform);
    let full = tempfile::tempdir().expect("a folder can be made");
    fs::write(full.path().join("holiday.jpg"), b"mine").expect("a test may write its own folder");
    assert_status(&care(&[&"backup", &full.path()], launch.folder()), 2, &["not empty", "holiday.jpg"]);
    assert_status(&care(&[&"restore", &launch.folder()], full.path()), 2, &["not empty", "holiday.jpg"]);
    let inside = launch.folder().join("copy");
    assert_status(&care(&[&"backup", &inside], launch.folder()), 2, &["lies in"]);
    let server = launch.start();
    assert_status(&care_served(&[&"backup", &full.path()], &server), 2, &["not empty", "holiday.jpg"]);
    assert_eq!(fs::read_dir(full.path()).expect("it is there").count(), 1, "nothing was added");
    assert_filled(&server);
}

pub(crate) fn what_cannot_be_done_is_said_with_status_2(platform: &Platform) {
    let around = tempfile::tempdir().expect("a folder can be made");
    let missing = around.path().join("missing");
    assert_status(&care(&[&"check"], &missing), 2, &["missing is no data folder"]);
    assert!(!missing.exists(), "it is not made either");
    assert_status(&care(&[&"backup"], &missing), 2, &["name the folder"]);
    assert_status(&care(&[&"compact", &"--no-such-flag", &"1"], &missing), 2, &["no-such-flag"]);

    let server = Launch::new(platform).with_password("secret").start();
    let other = Launch::new(platform).start();
    let (folder, copy) = (server.launch().folder(), around.path().join("copy"));
    assert_status(&care_served(&[&"check"], &server), 2, &["used by another process"]);
    assert_status(&care_served(&[&"restore", &folder], &other), 2, &["used by another process"]);
    assert_status(&care_served(&[&"backup", &copy], &server), 2, &["NOAUTH"]);
    let port = other.addr().port().to_string();
    assert_status(&care(&[&"backup", &copy, &"--port", &port], folder), 2, &["serves"]);
    assert_status(&care_served(&[&"backup", &copy, &"--requirepass", &"secret"], &server), 0, &["backed up"]);
}

pub(crate) fn compaction_gives_space_back_served_or_not(platform: &Platform) {
    let launch = filled(platform);
    assert_status(
        &care(&[&"compact"], launch.folder()),
        0,
        &["before", "now", "it grew by", "files of the log"],
    );
    let server = launch.start();
    assert_status(&care_served(&[&"compact"], &server), 0, &["before", "now", "give"]);
    assert_filled(&server);
    drop(server);
    assert_status(&care(&[&"check"], launch.folder()), 0, &["no damage"]);
}

pub(crate) fn a_full_backup_shares_no_byte_with_the_data_and_a_linked_one_its_tables(platform: &Platform) {
    for served in [true, false] {
        let launch = filled(platform);
        assert_status(&care(&[&"compact"], launch.folder()), 0, &[]);
        let around = tempfile::tempdir().expect("a folder can be made");
        let (linked, full) = (around.path().join("linked"), around.path().join("full"));
        let server = served.then(|| launch.start());
        let backup = |words: &[&dyn AsRef<OsStr>]| match &server {
            Some(server) => care_served(words, server),
            None => care(words, launch.folder()),
        };
        assert_status(&backup(&[&"backup", &linked]), 0, &["backed up"]);
        assert_status(&backup(&[&"backup", &full, &"--full"]), 0, &["backed up"]);
        assert_status(&care(&[&"check", &"--full"], launch.folder()), 2, &["--full"]);
        drop(server);
        for copy in [&linked, &full] {
            assert_status(&care(&[&"check"], copy), 0, &["1999 keys", "no damage"]);
        }
        // Into the very file, whatever names it has.
        flip_a_byte(&largest(&launch.folder().join("tables"), "tables"), 20_000);
        assert_status(&care(&[&"check"], &linked), 1, &["corrupt data in tables/"]);
        assert_status(&care(&[&"check"], &full), 0, &["no damage"]);
        assert_filled(&Launch::new(platform).in_folder(&full).start());
    }
}

/// Cuts a file to a part of it.
fn cut(file: &Path, percent: u64) {
    let file = fs::File::options().write(true).open(file).expect("a test may write its own file");
    let bytes = file.metadata().expect("it is there").len();
    file.set_len(bytes * percent / 100).expect("a test may cut its own file");
}

/// All files of a folder but the lock, with what is in them.
pub(crate) fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a test may list its own folder").flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else if entry.file_name() != "LOCK" {
                found.push((entry.path(), fs::read(entry.path()).expect("a test may read its own file")));
            }
        }
    }
    found.sort();
    found
}

pub(crate) fn a_copy_or_a_closed_folder_that_lost_something_is_refused(platform: &Platform) {
    let around = tempfile::tempdir().expect("a folder can be made");
    let server = Launch::new(platform).start();
    fill(&server);
    type Harm = &'static dyn Fn(&Path);
    let harms: [(&str, Harm); 4] = [
        ("cut", &|copy| cut(&largest(copy, "log-"), 30)),
        ("gone", &|copy| fs::remove_file(largest(copy, "log-")).expect("a test may remove its own file")),
        ("flipped", &|copy| flip_a_byte(&largest(copy, "log-"), 10_000)),
        ("cut-table", &|copy| cut(&largest(copy, "tables"), 90)),
    ];
    for (name, harm) in harms {
        let (copy, restored) = (around.path().join(name), around.path().join("restored"));
        assert_status(&care_served(&[&"backup", &copy], &server), 0, &["backed up"]);
        assert_status(&care(&[&"check"], &copy), 0, &["no damage"]);
        harm(&copy);
        let harmed = files(&copy);
        let place = if name == "cut-table" { "tables" } else { "log-" };
        for _ in 0..2 {
            assert_status(&care(&[&"check"], &copy), 1, &["corrupt data", place]);
            assert_status(&care(&[&"restore", &copy], &restored), 1, &["corrupt data", place]);
            assert!(!restored.exists(), "nothing of it is left");
            let refusal = Launch::new(platform).in_folder(&copy).start_expecting_refusal();
            assert!(refusal.output.contains("corrupt data"), "{}", refusal.output);
        }
        assert!(files(&copy) == harmed, "{name}: whoever refused it changed nothing");
    }
    drop(server);

    // Closed, and then cut at its end: as before a start for writing, so after one that was refused.
    let launch = filled(platform);
    cut(&largest(launch.folder(), "log-"), 99);
    for _ in 0..2 {
        assert_status(&care(&[&"check"], launch.folder()), 1, &["corrupt data", "log-"]);
        launch.start_expecting_refusal();
    }
    // What a server that was killed leaves states no end.
    let launch = Launch::new(platform);
    let mut server = launch.start();
    fill(&server);
    server.kill();
    assert_status(&care(&[&"check"], launch.folder()), 0, &["no damage"]);
    assert_filled(&launch.start());
}

pub(crate) fn a_task_that_failed_leaves_nothing_behind(platform: &Platform) {
    let launch = filled(platform);
    assert_status(&care(&[&"compact"], launch.folder()), 0, &["before", "now"]);
    flip_a_byte(&largest(launch.folder(), "tables"), 20_000);
    let around = tempfile::tempdir().expect("a folder can be made");
    let target = around.path().join("a").join("b");
    for kind in ["--full", "--dir=unused"] {
        let words: [&dyn AsRef<OsStr>; 3] = [&"backup", &target, &kind];
        assert_status(&care(&words, launch.folder()), 1, &["corrupt data in tables/"]);
    }
    assert_status(&care(&[&"restore", &launch.folder()], &target), 1, &[]);
    assert_eq!(fs::read_dir(around.path()).expect("it is there").count(), 0, "nor the folders around it");
    fs::create_dir_all(&target).expect("a folder can be made");
    assert_status(&care(&[&"backup", &target], launch.folder()), 1, &[]);
    assert_eq!(fs::read_dir(&target).expect("what was there stays").count(), 0);
}

pub(crate) fn check_and_backup_need_no_disk_that_can_be_written(platform: &Platform) {
    let disk = match SmallDisk::mount() {
        Ok(disk) => disk,
        Err(why) => skip!("{why}"),
    };
    let around = tempfile::tempdir().expect("a folder can be made");
    let (closed, killed) = (disk.path().join("closed"), disk.path().join("killed"));
    let mut server = Launch::new(platform).in_folder(&closed).start();
    fill(&server);
    server.stop();
    let mut server = Launch::new(platform).in_folder(&killed).start();
    fill(&server);
    server.kill();
    // What a crash leaves for the next start to remove.
    fs::write(killed.join("tables").join("tables").join("99"), "half")
        .expect("a test may write its own folder");
    let writable = files(disk.path());
    for copy in ["first", "second"] {
        for (name, folder) in [("closed", &closed), ("killed", &killed)] {
            assert_status(&care(&[&"check"], folder), 0, &["1999 keys", "no damage"]);
            let copy = around.path().join(format!("{copy}-{name}"));
            assert_status(&care(&[&"backup", &copy], folder), 0, &["backed up"]);
            assert_filled(&Launch::new(platform).in_folder(&copy).start());
        }
        assert!(files(disk.path()) == writable, "nothing was changed");
        if platform.wine {
            skip!("Wine makes no links from one disk to another; where the disk can be written it ran");
        }
        if let Err(why) = disk.make_read_only() {
            skip!("{why}");
        }
    }
    Launch::new(platform).in_folder(&closed).start_expecting_refusal();
}
