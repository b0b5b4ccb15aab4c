//! Data folders of other versions, and bytes that look like a piece of one.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::time::Duration;

use modb_tests::peer::encode;
use modb_tests::tool::{self, Outcome};
use modb_tests::{Launch, Platform, Reply, binary};

use crate::care::files;

/// A folder that a program of an earlier version left: each file's name and content.
macro_rules! folder {
    ($name:literal: $($file:literal),*) => {
        [$(($file, &include_bytes!(concat!("../fixtures/", $name, "/", $file))[..])),*]
    };
}

fn write(files: &[(&str, &[u8])], folder: &Path) {
    for (name, bytes) in files {
        let file = folder.join(name);
        fs::create_dir_all(file.parent().expect("it is in the folder")).expect("a folder can be made");
        fs::write(file, bytes).expect("a test may write its own folder");
    }
}

fn care(words: &[&dyn AsRef<OsStr>], folder: &Path) -> Outcome {
    let mut command = binary::server().command();
    for word in words {
        command.arg(word.as_ref());
    }
    tool::run(command.arg("--dir").arg(folder), b"", Duration::from_secs(60))
}

/// A folder of an earlier version, and what it says of that when nobody has it.
struct Old<'a> {
    files: &'a [(&'a str, &'a [u8])],
    restored: &'a str,
    keys: i64,
    /// The length of the value of one of them.
    large: i64,
}

/// What the folders of `tests/fixtures` hold: keys 0 to 189, of which the first 100 were written again, and some others.
fn assert_whole(launch: &Launch, old: &Old<'_>) {
    let server = launch.start();
    let mut peer = server.peer();
    assert_eq!((peer.ask("DBSIZE"), peer.ask("STRLEN large")), (Reply::Int(old.keys), Reply::Int(old.large)));
    for n in 0..190 {
        let value = if n < 100 { format!("new:{n}") } else { format!("old:{n}") };
        assert_eq!(peer.ask(&format!("GET key:{n}")), Reply::bulk(value));
    }
    assert_eq!((peer.ask("GET key:195"), peer.ask("GET gone")), (Reply::NullBulk, Reply::bulk("x")));
    assert_eq!((peer.ask("SELECT 5"), peer.ask("GET other")), (Reply::ok(), Reply::bulk("v")));
    assert_eq!(peer.ask("SET later x"), Reply::ok());
}

pub(crate) fn a_folder_of_version_1_is_read_and_brought_forward(platform: &Platform) {
    let closed = folder!("version_1/clean": "FORMAT", "log/log-000001", "tables/current", "tables/v1", "tables/v2",
        "tables/tables/1");
    let killed = folder!("version_1/killed": "FORMAT", "log/log-000001", "tables/current", "tables/v1", "tables/v2",
        "tables/tables/0", "tables/tables/1");
    for files in [&closed[..], &killed[..]] {
        let old = Old { files, restored: "modb 1 log\n", keys: 191, large: 0 };
        assert_read_and_brought_forward(platform, &old);
    }
}

/// These have a large value where later ones have none: among the small.
pub(crate) fn a_folder_of_version_2_is_read_and_brought_forward(platform: &Platform) {
    let closed = folder!("version_2/clean": "FORMAT", "FORMAT.spare", "log/log-000001", "tables/current", "tables/v3",
        "tables/tables/2");
    let killed = folder!("version_2/killed": "FORMAT", "log/log-000001", "log/log-000002", "log/log-000003",
        "tables/current", "tables/v2", "tables/tables/2");
    for (files, restored) in [(&closed[..], "modb 2 log ended\n"), (&killed[..], "modb 2 log\n")] {
        assert_read_and_brought_forward(platform, &Old { files, restored, keys: 192, large: 70_000 });
    }
}

fn assert_read_and_brought_forward(platform: &Platform, old: &Old<'_>) {
    let around = tempfile::tempdir().expect("a folder can be made");
    let folder = around.path().join("data");
    write(old.files, &folder);
    let before = files(&folder);
    let (copy, restored) = (around.path().join("copy"), around.path().join("restored"));
    for outcome in [
        care(&[&"check"], &folder),
        care(&[&"backup", &copy], &folder),
        care(&[&"check"], &copy),
        care(&[&"restore", &folder], &restored),
    ] {
        assert_eq!(outcome.status, Some(0), "{}{}", outcome.stdout, outcome.stderr);
    }
    assert!(files(&folder) == before, "who only reads it changes nothing");
    let format = |folder: &Path| fs::read_to_string(folder.join("FORMAT")).expect("it is there");
    assert!(format(&copy).starts_with("modb 3 log ended\n"), "a copy is of the present version");
    assert!(format(&restored).starts_with(old.restored), "what is restored is as it was");
    for folder in [folder, copy, restored] {
        let launch = Launch::new(platform).in_folder(&folder);
        assert_whole(&launch, old);
        assert_eq!(format(&folder), "modb 3 log\n");
        assert_whole_after_kill(&launch, old);
    }
}

/// The server before was killed when it was dropped.
fn assert_whole_after_kill(launch: &Launch, old: &Old<'_>) {
    let mut server = launch.start();
    assert_eq!(server.peer().ask("DBSIZE"), Reply::Int(old.keys));
    server.stop();
    assert_eq!(care(&[&"check"], launch.folder()).status, Some(0));
}

pub(crate) fn a_folder_of_a_later_version_is_refused_and_no_damage(platform: &Platform) {
    let launch = Launch::new(platform);
    let mut server = launch.start();
    assert_eq!(server.peer().ask("SET a 1"), Reply::ok());
    server.stop();
    let whole = files(launch.folder());
    fs::write(launch.folder().join("FORMAT"), "modb 4 log\n").expect("a test may write its own folder");
    let outcome = care(&[&"check"], launch.folder());
    assert_eq!(outcome.status, Some(2), "it is not damaged");
    assert!(
        outcome.stderr.contains("newer version") && outcome.stderr.contains("modb 4 log"),
        "{}",
        outcome.stderr
    );
    let refusal = launch.start_expecting_refusal();
    assert!(refusal.output.contains("newer version"), "{}", refusal.output);
    let left = files(launch.folder());
    assert!(left.iter().zip(&whole).all(|(left, whole)| left == whole || whole.0.ends_with("FORMAT")));
}

/// A chunk of the log that says it is of commit 549,755,813,888, as far as one can who does not know the seal.
fn forged(sealed: bool) -> Vec<u8> {
    let seal: &[u8] = if sealed { &[7; 8] } else { &[] };
    let seq = (1u64 << 39).to_le_bytes();
    let covered = [&4u32.to_le_bytes()[..], seal, &seq, &seq, &1u32.to_le_bytes(), &[0; 4], &[0; 4]].concat();
    [&crc32c(&covered).to_le_bytes()[..], &covered].concat()
}

fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 },
        )
    })
}

pub(crate) fn no_value_is_taken_for_a_piece_of_the_log(platform: &Platform) {
    const VALUE_BYTES: usize = 64 << 10;
    let launch = Launch::new(platform).with("--cache-mb", "8");
    let mut value = Vec::new();
    for shift in 0..16 {
        for sealed in [false, true] {
            value.resize(value.len().next_multiple_of(16) + shift, 0);
            value.extend(forged(sealed));
        }
    }
    let value: Vec<u8> = value.into_iter().cycle().take(VALUE_BYTES).collect();
    // Enough for files to be used again, and then little, so that the values lie behind the last chunk.
    let mut server = launch.start();
    let mut peer = server.peer();
    for n in 0..1500 {
        assert_eq!(peer.call([&b"SET"[..], format!("key:{}", n % 50).as_bytes(), &value]), Reply::ok());
    }
    let wire: Vec<u8> = (0..300).flat_map(|n| encode(["SET", &format!("small:{n}"), "x"])).collect();
    peer.send(&wire);
    peer.replies(300);
    for ends_cleanly in [false, true] {
        if ends_cleanly {
            server.stop();
        } else {
            server.kill();
        }
        server = launch.start();
        assert_eq!(server.peer().ask("DBSIZE"), Reply::Int(350));
    }
}
