//! How a server begins, and how it refuses to: one clear line, a status that is not 0, nothing damaged.

use std::fs;
use std::io::{ErrorKind, Read as _};
use std::net::TcpListener;
use std::time::Duration;

use modb_tests::peer::encode;
use modb_tests::server::Refusal;
use modb_tests::sys::{self, SmallDisk};
use modb_tests::{Launch, Platform, Reply, skip, wait};

/// How the systems say that a disk is full: Linux and Windows, and Wine.
const NO_SPACE: [&str; 2] = ["space", "Disk full"];

/// A refusal says these words, in few lines, without a panic.
fn assert_clear(refusal: &Refusal, words: &[&str]) {
    assert!(!refusal.status.success(), "refused with status 0: {}", refusal.output);
    for word in words {
        assert!(refusal.output.contains(word), "{word:?} is not in:\n{}", refusal.output);
    }
    assert!(!refusal.output.contains("panicked"), "{}", refusal.output);
}

pub(crate) fn the_start_up_line_says_what_serves_where(platform: &Platform) {
    let launch = Launch::new(platform).with("--workers", "3").with_durability("always");
    let server = launch.start();
    let line = wait::until("the line is printed", || {
        let output = server.output();
        output
            .lines()
            .find(|line| line.starts_with("modb-server ") && line.contains(" ready: "))
            .map(str::to_owned)
    });
    assert!(line.contains(&server.addr().to_string()), "{line}");
    let folder = launch.folder().file_name().expect("a folder has a name").to_string_lossy();
    for part in [env!("CARGO_PKG_VERSION"), "always", "3", &folder] {
        assert!(line.contains(part), "{part:?} is not in {line:?}");
    }
}

pub(crate) fn an_unknown_flag_is_refused_with_its_name(platform: &Platform) {
    let refusal = Launch::new(platform).with("--no-such-flag", "1").start_expecting_refusal();
    assert_clear(&refusal, &["no-such-flag"]);
}

pub(crate) fn a_value_that_makes_no_sense_is_refused_with_its_flag(platform: &Platform) {
    let wrong = [
        ("--maxclients", "many"),
        ("--maxclients", "-1"),
        ("--timeout", "-5"),
        ("--databases", "0"),
        ("--workers", "three"),
        ("--durability", "sometimes"),
        ("--bind", "not an address"),
    ];
    for (flag, value) in wrong {
        let refusal = Launch::new(platform).with(flag, value).start_expecting_refusal();
        assert_clear(&refusal, &[flag.trim_start_matches('-')]);
        assert!(refusal.output.lines().count() <= 2, "{value}: {}", refusal.output);
    }
}

pub(crate) fn a_taken_port_is_refused_and_damages_nothing(platform: &Platform) {
    let launch = Launch::new(platform).with_durability("always");
    let mut server = launch.start();
    assert_eq!(server.peer().ask("SET a 1"), Reply::ok());
    server.stop();

    let taken = TcpListener::bind("127.0.0.1:0").expect("the system has a free port");
    let port = taken.local_addr().expect("it is bound").port();
    let refusal = launch.start_on_port_expecting_refusal(port);
    assert_clear(&refusal, &[&port.to_string()]);

    assert_eq!(launch.start().peer().ask("GET a"), Reply::bulk("1"));
}

pub(crate) fn a_locked_folder_is_refused_and_the_owner_goes_on(platform: &Platform) {
    let launch = Launch::new(platform);
    let server = launch.start();
    assert_eq!(server.peer().ask("SET a 1"), Reply::ok());

    let refusal = launch.start_expecting_refusal();
    let folder = launch.folder().file_name().expect("a folder has a name").to_string_lossy();
    assert_clear(&refusal, &[&folder]);

    assert_eq!(server.peer().ask("GET a"), Reply::bulk("1"));
    assert_eq!(server.kill_and_restart().peer().ask("GET a"), Reply::bulk("1"));
}

pub(crate) fn a_folder_that_cannot_be_read_is_refused(platform: &Platform) {
    if sys::is_root() {
        skip!("permissions mean nothing to root");
    }
    let launch = Launch::new(platform);
    let mut server = launch.start();
    assert_eq!(server.peer().ask("SET a 1"), Reply::ok());
    server.stop();

    sys::set_accessible(launch.folder(), false);
    let refusal = launch.start_expecting_refusal();
    sys::set_accessible(launch.folder(), true);
    let folder = launch.folder().file_name().expect("a folder has a name").to_string_lossy();
    assert_clear(&refusal, &[&folder]);

    assert_eq!(launch.start().peer().ask("GET a"), Reply::bulk("1"));
}

pub(crate) fn a_file_in_place_of_the_folder_is_refused(platform: &Platform) {
    let around = tempfile::tempdir().expect("a folder can be made");
    let file = around.path().join("not-a-folder");
    fs::write(&file, b"mine").expect("a test may write its own folder");
    let refusal = Launch::new(platform).in_folder(&file).start_expecting_refusal();
    assert_clear(&refusal, &["not-a-folder"]);
    assert_eq!(fs::read(&file).expect("it is still there"), b"mine");
}

pub(crate) fn a_full_disk_is_one_clear_line_and_nothing_is_damaged(platform: &Platform) {
    let disk = match SmallDisk::mount() {
        Ok(disk) => disk,
        Err(why) => skip!("{why}"),
    };
    let launch = Launch::new(platform).in_folder(disk.path().join("data"));
    let mut server = launch.start();
    assert_eq!(server.peer().ask("SET a 1"), Reply::ok());
    server.stop();

    let ballast = disk.path().join("ballast");
    fill(&ballast);
    // What is there can still be read; nothing new can begin.
    let server = launch.start();
    let mut peer = server.peer();
    let refusal = peer.ask("SET b 2").error().expect("a write on a full disk is refused");
    assert!(refusal.contains("disk"), "{refusal}");
    assert_eq!(peer.ask("GET a"), Reply::bulk("1"));
    drop(server);
    let new = Launch::new(platform).in_folder(disk.path().join("new"));
    let refusal = new.start_expecting_refusal();
    assert_clear(&refusal, &["new"]);
    assert!(NO_SPACE.iter().any(|words| refusal.output.contains(words)), "{}", refusal.output);

    fs::remove_file(&ballast).expect("a test may remove its own file");
    let server = launch.start();
    assert_eq!(server.peer().ask("GET a"), Reply::bulk("1"));
    assert_eq!(server.peer().ask("SET b 2"), Reply::ok());
}

pub(crate) fn a_write_that_a_full_disk_keeps_waiting_is_cut_off_and_serving_goes_on(platform: &Platform) {
    /// Longer than the server's patience and a tick of its sync thread.
    const PATIENCE: Duration = Duration::from_secs(15);
    const VALUE_BYTES: usize = 1 << 20;
    /// What the server finds free.
    const ROOM_BYTES: u64 = 48 << 20;
    let disk = match SmallDisk::mount() {
        Ok(disk) => disk,
        Err(why) => skip!("{why}"),
    };
    let ballast = disk.path().join("ballast");
    let mut file = fs::File::create(&ballast).expect("a test may write its own disk");
    std::io::copy(&mut std::io::repeat(1).take(sys::SMALL_DISK_BYTES - ROOM_BYTES), &mut file)
        .expect("there is room");
    drop(file);
    let launch = Launch::new(platform).in_folder(disk.path().join("data")).with("--min-free-mb", "0");
    let server = launch.start();
    let mut peer = server.peer();
    peer.stream().set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    let value = "x".repeat(VALUE_BYTES);
    let mut written = 0;
    // Each reply says that its write is with the system, until the disk is full: that one has none.
    let end = loop {
        peer.send(&encode(["SET", &format!("k{written}"), &value]));
        match peer.try_reply() {
            Ok(reply) => assert_eq!(reply, Reply::ok()),
            Err(end) => break end,
        }
        written += 1;
    };
    assert!(written > 0, "the disk is full at once");
    assert!(
        !matches!(end.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        "cut off, not left alone: {end}"
    );
    let mut peer = server.peer();
    let refusal = peer.call(["SET", "more", &value]).error().expect("a write on a full disk is refused");
    assert!(refusal.contains("full"), "{refusal}");
    assert_eq!(peer.call(["STRLEN", "k0"]), Reply::Int(VALUE_BYTES as i64));

    fs::remove_file(&ballast).expect("a test may remove its own file");
    wait::until("writes are taken again", || (peer.ask("SET more 1") == Reply::ok()).then_some(()));
    drop(peer);
    let server = server.kill_and_restart();
    let mut peer = server.peer();
    for n in 0..written {
        assert_eq!(
            peer.call(["STRLEN", &format!("k{n}")]),
            Reply::Int(VALUE_BYTES as i64),
            "k{n} was acknowledged"
        );
    }
}

/// Writes zeros until the disk is full.
pub(crate) fn fill(ballast: &std::path::Path) {
    use std::io::Write as _;
    let mut file = fs::File::create(ballast).expect("a test may write its own disk");
    let zeros = vec![0; 64 << 10];
    while file.write_all(&zeros).is_ok() {}
    while file.write_all(&zeros[..1]).is_ok() {}
}

pub(crate) fn a_file_gives_the_same_options_as_flags(platform: &Platform) {
    let around = tempfile::tempdir().expect("a folder can be made");
    let file = around.path().join("modb.toml");
    fs::write(&file, "databases = 3\nrequirepass = \"from the file\"\n")
        .expect("a test may write its folder");
    let server = Launch::new(platform).with("--config", &file.to_string_lossy()).start();
    let mut peer = modb_tests::Peer::connect(server.addr());
    assert_eq!(peer.call(["AUTH", "from the file"]), Reply::ok());
    assert_eq!(peer.ask("SELECT 2"), Reply::ok());
    assert_eq!(peer.ask("SELECT 3").error().as_deref(), Some("ERR DB index is out of range"));

    fs::write(&file, "databases = 3\nno-such-option = 1\n").expect("a test may write its folder");
    let refusal = Launch::new(platform).with("--config", &file.to_string_lossy()).start_expecting_refusal();
    assert_clear(&refusal, &["no-such-option"]);
}
