//! The server as a process: signals from the first moment on, what it prints and where, and its log.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};

use modb_tests::platform::Product;
use modb_tests::sys::{self, Ask};
use modb_tests::wait;
use modb_tests::{Launch, Platform, Reply, Server, binary, skip};

fn pong() -> Reply {
    Reply::Simple(b"PONG".to_vec())
}

pub(crate) fn a_terminal_that_goes_away_does_not_end_it(platform: &Platform) {
    let mut server = Launch::new(platform).start();
    sys::hang_up(server.pid()).expect("a child may be told");
    wait::until("it says so", || server.says("SIGHUP").then_some(()));
    assert_eq!(server.peer().ask("PING"), pong());
    server.stop();
}

/// A server that waits for the folder of another one: a start that takes long.
fn start_that_waits(first: &Server, launch: &Launch) -> Server {
    let second = launch.begin();
    wait::until("it waits for the folder", || second.says("waiting").then_some(()));
    assert!(
        second.says(&format!("another process ({})", first.pid())) || sys::IS_WINDOWS || is_exe(),
        "{}",
        second.output()
    );
    second
}

fn is_exe() -> bool {
    binary::server_is_exe()
}

pub(crate) fn a_start_waits_for_the_folder_and_says_for_whom(platform: &Platform) {
    let launch = Launch::new(platform);
    let mut first = launch.start();
    assert_eq!(first.peer().ask("SET a 1"), Reply::ok());
    let second = start_that_waits(&first, &launch);
    first.stop();
    assert_eq!(second.ready().peer().ask("GET a"), Reply::bulk("1"));
}

pub(crate) fn being_asked_to_end_during_the_start_is_obeyed(platform: &Platform) {
    let launch = Launch::new(platform).in_own_console();
    let first = launch.start();
    let mut second = start_that_waits(&first, &launch);
    let ask = if platform.wine { Ask::Interrupt } else { Ask::Terminate };
    second.ask_to_end(ask);
    let status = second.wait_for_end();
    // Seen once from Linux: the server had ended as asked, and then the signal ended the process of Wine that it ran in.
    let by_wine = status.code().is_none() && is_exe();
    assert!(status.code() == Some(0) || by_wine, "{status}: {}", second.output());
    assert!(second.comes_to_say("asked to end"), "{}", second.output());
    assert!(!second.says("used by another process") || second.says("waiting"), "{}", second.output());
}

pub(crate) fn the_first_process_of_a_container_obeys_during_its_start_and_after(platform: &Platform) {
    let can = Command::new("unshare").args(["--pid", "--fork", "true"]).stderr(Stdio::null()).status();
    if !can.is_ok_and(|status| status.success()) {
        skip!("this user may not make a pid namespace");
    }
    let inside = "exec unshare --pid --fork --kill-child \"$@\"";
    let launch = Launch::new(platform).in_shell(inside);
    // What runs is below `unshare`.
    let ask = |server: &Server| {
        let pid = wait::until("the server runs", || sys::child_of(server.pid()));
        sys::ask_to_end(pid, Ask::Terminate).expect("a child may be asked to end");
    };
    let mut serving = launch.start();
    assert!(serving.comes_to_say("pid=1 "), "{}", serving.output());
    let mut waiting = launch.begin();
    wait::until("it waits for the folder", || waiting.says("waiting").then_some(()));
    for server in [&mut waiting, &mut serving] {
        ask(server);
        let status = server.wait_for_end();
        assert_eq!(status.code(), Some(0), "{}", server.output());
    }
    assert!(serving.comes_to_say("asked to end by SIGTERM"), "{}", serving.output());
}

pub(crate) fn an_output_that_is_full_or_closed_stops_nothing(platform: &Platform) {
    for place in [">/dev/full", ">&-", "2>/dev/full", "2>&-"] {
        let launch = Launch::new(platform).in_shell(&format!("exec \"$@\" {place}"));
        let mut server = launch.start();
        assert_eq!(server.peer().call(["CONFIG", "SET", "save", "1 1"]), Reply::ok(), "{place}");
        assert_eq!(server.peer().ask("PING"), pong(), "{place}");
        server.stop();
    }
}

/// The exit status of the program with these words, when its standard output is `stdout`, and its standard error.
fn status(words: &[&str], stdout: impl Into<Stdio>) -> (Option<i32>, String) {
    let mut command = binary::server().command();
    command.args(words).stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped());
    let mut child = modb_tests::tool::spawn(&mut command);
    drop(command);
    let mut said = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut said).expect("it is text");
    let status = wait::until("it ends", || child.try_wait().expect("a child can be waited for"));
    (status.code(), said)
}

pub(crate) fn a_reader_that_has_heard_enough_changes_no_status(platform: &Platform) {
    let folder = Launch::new(platform);
    drop(folder.start());
    let folder = folder.folder().to_string_lossy().into_owned();
    let pages: [&[&str]; 4] = [&["check", &folder], &["--help"], &["backup", "--help"], &["--version"]];
    for words in pages {
        let (reader, writer) = std::io::pipe().expect("a pipe can be made");
        drop(reader);
        let (code, said) = status(words, writer);
        assert_eq!((code, said.as_str()), (Some(0), ""), "{words:?}");
        if Path::new("/dev/full").exists() && !is_exe() {
            let full = File::options().write(true).open("/dev/full").expect("anybody may write there");
            let (code, said) = status(words, full);
            assert_eq!(code, Some(2), "{words:?}: {said}");
            assert!(said.contains("cannot write to standard output: No space left"), "{words:?}: {said}");
        }
    }
}

pub(crate) fn the_log_says_start_stop_and_why(platform: &Platform) {
    let mut server = Launch::new(platform).with("--maxclients", "1").start();
    let mut peer = server.peer();
    assert_eq!(peer.ask("PING"), pong());
    assert!(!server.peer().read_to_close().is_empty());
    wait::until("the refusal is logged", || {
        assert_eq!(peer.ask("PING"), pong());
        server.says("warning: refused: ERR max number of clients").then_some(())
    });
    peer.send(b"SHUTDOWN\r\n");
    assert!(server.wait_for_end().success());
    let output =
        wait::until("the last words arrive", || server.says("ended as asked").then(|| server.output()));
    for words in [
        "notice: modb-server",
        "starts pid=",
        "notice: ready after",
        "warning: refused: ERR max number of clients",
        "notice: asked to end by a client's SHUTDOWN peer=127.0.0.1:",
        "notice: ended as asked",
    ] {
        assert!(output.contains(words), "{words:?} is not in:\n{output}");
    }
}

pub(crate) fn a_service_manager_is_told_when_it_serves_and_when_it_ends(platform: &Platform) {
    let around = tempfile::tempdir().expect("a folder can be made");
    let path = around.path().join("notify");
    let launch = Launch::new(platform).in_shell(&format!("NOTIFY_SOCKET='{}' exec \"$@\"", path.display()));
    {
        let manager = sys::Mailbox::at(&path).expect("a socket can be made");
        let mut server = launch.start();
        assert_eq!(manager.next().expect("a message"), "READY=1");
        assert_eq!(server.peer().ask("PING"), pong());
        server.stop();
        assert_eq!(manager.next().expect("a message"), "STOPPING=1");
    }
    // One that has gone stops nothing.
    assert_eq!(launch.start().peer().ask("PING"), pong());
}

pub(crate) fn a_log_that_nobody_reads_holds_nobody_up(platform: &Platform) {
    let launch = Launch::new(platform).with("--loglevel", "debug").with("--workers", "2").with_unread_log();
    let mut server = launch.start();
    // Two lines each, several times as much as a pipe holds.
    for _ in 0..2000 {
        assert_eq!(server.peer().ask("PING"), pong());
    }
    let mut peer = server.peer();
    assert_eq!(peer.ask("SET a 1"), Reply::ok());
    peer.send(b"SHUTDOWN\r\n");
    assert!(server.wait_for_end().success());
}

pub(crate) fn the_level_of_the_log_changes_while_it_serves(platform: &Platform) {
    let server = Launch::new(platform).with("--loglevel", "nothing").start();
    let mut peer = server.peer();
    assert_eq!(peer.ask("CONFIG SET hz 11"), Reply::ok());
    assert_eq!(peer.ask("CONFIG SET loglevel warning"), Reply::ok());
    assert_eq!(peer.ask("CONFIG SET io-threads 2"), Reply::ok());
    wait::until("the warning is logged", || server.says("option io-threads has no effect").then_some(()));
    assert!(!server.says("option hz") && !server.says("notice:"), "{}", server.output());
    assert_eq!(peer.ask("CONFIG SET loglevel nothing"), Reply::ok());
    assert_eq!(peer.ask("CONFIG SET save 1"), Reply::ok());
    assert_eq!(peer.ask("CONFIG SET loglevel notice"), Reply::ok());
    peer.send(b"SHUTDOWN\r\n");
    wait::until("the end is logged", || server.says("ended as asked").then_some(()));
    assert!(!server.says("option save"), "{}", server.output());
}

pub(crate) fn the_log_can_be_one_object_per_line(platform: &Platform) {
    let server = Launch::new(platform).with("--log-format", "json").start();
    let output = server.output();
    let lines: Vec<_> = output.lines().filter(|line| !line.contains(" ready: listen=")).collect();
    assert!(lines.len() >= 2, "{output}");
    for line in lines {
        assert!(line.starts_with("{\"time\":\"2") && line.ends_with('}'), "{line}");
        assert!(line.contains("\"level\":\"notice\",\"message\":\""), "{line}");
    }
    let refusal = Launch::new(platform)
        .with("--log-format", "json")
        .with("--bind", "192.0.2.1")
        .start_expecting_refusal();
    let last = refusal.output.lines().last().expect("a line");
    assert!(last.starts_with("{\"time\":") && last.contains("\"level\":\"error\""), "{last}");
}

pub(crate) fn the_status_says_how_it_ended(platform: &Platform) {
    let launch = Launch::new(platform);
    let mut server = launch.start();
    assert_eq!(server.peer().ask("SET a 1"), Reply::ok());
    server.stop();
    // What cannot be done is 2; damage is 1, as for `check`.
    assert_eq!(launch.clone().with("--nope", "1").start_expecting_refusal().status.code(), Some(2));
    assert_eq!(launch.clone().with("--store", "fjall").start_expecting_refusal().status.code(), Some(2));
    assert_eq!(platform.product, Product::Modb);
    let tables = launch.folder().join("tables");
    for entry in std::fs::read_dir(&tables).expect("it is there").flatten() {
        if entry.path().is_file() {
            std::fs::write(entry.path(), b"damaged").expect("a test may write its own folder");
        }
    }
    let refusal = launch.start_expecting_refusal();
    assert_eq!(refusal.status.code(), Some(1), "{}", refusal.output);
}
