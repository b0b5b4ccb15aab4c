//! The options: what is wrong is named and says what to do; what does nothing is refused or warned about.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::net::TcpListener;

use modb_tests::peer::encode;
use modb_tests::sys::{self, not_utf8};
use modb_tests::tool::{self, Outcome};
use modb_tests::wait::DEADLINE;
use modb_tests::{Launch, Platform, Reply, binary, skip};

/// Runs the server with these words, where it is expected to end.
fn run(words: &[&dyn AsRef<OsStr>]) -> Outcome {
    let mut command = binary::server().command();
    for word in words {
        command.arg(word.as_ref());
    }
    tool::run(&mut command, b"", DEADLINE)
}

/// It ends with 2 and says exactly this, in front of a hint perhaps.
fn assert_refused(words: &[&dyn AsRef<OsStr>], expected: &str) {
    let outcome = run(words);
    let named: Vec<&OsStr> = words.iter().map(|word| word.as_ref()).collect();
    assert_eq!(outcome.status, Some(2), "{named:?}: {outcome:?}");
    assert_eq!(outcome.stdout, "", "{named:?}");
    let said = outcome.stderr.replace("\r\n", "\n");
    assert!(said.starts_with(&format!("modb-server: {expected}\n")), "{named:?}:\n{said}");
    assert!(!said.contains("panicked"), "{said}");
}

pub(crate) fn what_is_wrong_on_the_command_line_is_named_with_status_2(_: &Platform) {
    assert_refused(&[&"--nope"], "there is no option --nope");
    assert_refused(&[&"--prot", &"7"], "there is no option --prot; did you mean --port?");
    assert_refused(&[&"--port"], "a value is missing: --port NUMBER");
    assert_refused(&[&"-p", &"7"], "there is no option -p; options are written --name value");
    assert_refused(&[&"chekc"], "there is no task 'chekc'; did you mean check?");
    assert_refused(&[&"7000"], "unexpected argument '7000'; options are written --name value");
    assert_refused(&[&"backup"], "name the folder of the backup: modb-server backup TARGET");
    assert_refused(&[&"check", &"--nope"], "there is no option --nope");
    assert_refused(&[&"--store", &"lig"], "store: must be one of log, memory");
    assert_refused(&[&"--help=x"], "--help takes no value, and \"x\" was given");
    assert_refused(
        &[&"--dir", &"a\nb"],
        "dir: the name of the folder holds a control character (\\n); in TOML, a path with backslashes stands in \
         single quotes",
    );
}

pub(crate) fn what_is_wrong_in_the_file_is_shown_where_it_stands(_: &Platform) {
    let around = tempfile::tempdir().expect("a folder can be made");
    let file = around.path().join("modb.toml");
    let refused = |text: &[u8], expected: &str| {
        fs::write(&file, text).expect("a test may write its folder");
        assert_refused(&[&"--config", &file], &format!("{}: {expected}", file.display()));
    };
    refused(
        b"port = 1\ndir = \n",
        "TOML parse error at line 2, column 7\n  |\n2 | dir = \n  |       ^\nstring values must be quoted, expected \
         literal string",
    );
    refused(b"prot = 1\n", "unknown option 'prot'; did you mean 'port'?");
    refused(b"port = 70000\n", "port: must be a number from 0 to 65535");
    refused(b"# \xff\n", "line 1 is no text in UTF-8");
    refused(b"[a]\nb = 1\n", "option 'a' must be text, a number, true or false");
    refused(
        b"dir = \"C:\\new\"\n",
        "dir: the name of the folder holds a control character (\\n); in TOML, a path with backslashes stands in \
         single quotes",
    );
    assert!(!around.path().join("C:\new").exists());
    let missing = around.path().join("missing.toml");
    let outcome = run(&[&"--config", &missing]);
    assert_eq!(outcome.status, Some(2));
    assert!(
        outcome.stderr.starts_with(&format!("modb-server: cannot read {}: ", missing.display())),
        "{outcome:?}"
    );
}

pub(crate) fn arguments_that_are_no_text_are_paths_or_refused(platform: &Platform) {
    assert_refused(&[&"--loglevel", &not_utf8()], "loglevel: must be text in UTF-8");
    assert_eq!(run(&[&not_utf8()]).status, Some(2));
    assert_eq!(run(&[&"check", &not_utf8()]).status, Some(2));
    assert_eq!(run(&[&"--config", &not_utf8()]).status, Some(2));
    if platform.windows_server && platform.wine {
        skip!("Wine's names of files are those of Linux");
    }
    let around = tempfile::tempdir().expect("a folder can be made");
    let folder = around.path().join(not_utf8());
    let launch = Launch::new(platform).in_folder(&folder);
    let server = launch.start();
    let mut peer = server.peer();
    assert_eq!(peer.ask("SET a 1"), Reply::ok());
    let Reply::Array(got) = peer.ask("CONFIG GET dir") else { panic!("a list of a name and a value") };
    assert_eq!(got[1], Reply::Bulk(folder.as_os_str().as_encoded_bytes().to_vec()));
    // The copy is made by the server, which is asked by the same name.
    let mut copied = not_utf8();
    copied.push("-copy");
    let copy = around.path().join(copied);
    let port = server.addr().port().to_string();
    let outcome = run(&[&"backup", &copy, &"--dir", &folder, &"--port", &port]);
    assert_eq!(outcome.status, Some(0), "{outcome:?}");
    drop(server);
    for whole in [&folder, &copy] {
        let outcome = run(&[&"check", whole]);
        assert_eq!(outcome.status, Some(0), "{outcome:?}");
    }
    let names: Vec<OsString> =
        fs::read_dir(around.path()).expect("it is there").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(names.len(), 2, "no other name: {names:?}");
}

pub(crate) fn options_that_promise_what_is_not_there_are_refused_with_the_reason(platform: &Platform) {
    for (name, value, reason) in [
        ("cluster-enabled", "yes", "can only be no: there is no cluster"),
        ("appendonly", "no", "can only be yes: every write is logged, always; see durability"),
        ("maxmemory", "1gb", "Modb keeps its data on disk and evicts nothing; see cache-mb"),
        ("tls-port", "6380", "there is no TLS; put a proxy that has it in front"),
        ("logfile", "x.log", "can only be empty: the log goes to standard error"),
        (
            "daemonize",
            "yes",
            "can only be no: a service manager, or '&' of a shell, keeps it in the background",
        ),
    ] {
        let outcome = run(&[&format!("--{name}"), &value]);
        assert_eq!(outcome.status, Some(2), "{outcome:?}");
        assert!(outcome.stderr.contains(reason), "{outcome:?}");
        let server = Launch::new(platform).start();
        let refusal = server.peer().call(["CONFIG", "SET", name, value]).error().expect("a refusal");
        assert!(refusal.contains(reason), "{refusal}");
    }
}

pub(crate) fn options_without_effect_are_warned_about_once(platform: &Platform) {
    let server = Launch::new(platform).with("--save", "900 1").with("--daemonize", "no").start();
    let mut peer = server.peer();
    for value in ["allkeys-lru", "volatile-lru", "noeviction"] {
        assert_eq!(peer.call(["CONFIG", "SET", "maxmemory-policy", value]), Reply::ok());
        assert_eq!(peer.call(["CONFIG", "SET", "save", "60 1"]), Reply::ok());
    }
    drop(peer);
    assert!(server.comes_to_say("the option maxmemory-policy has no effect"), "{}", server.output());
    let output = server.output();
    let warned = |text: &str| output.lines().filter(|line| line.contains(text)).count();
    assert_eq!(warned("warning: the option save has no effect: there is no dump file"), 1, "{output}");
    assert_eq!(warned("warning: the option maxmemory-policy has no effect"), 1, "{output}");
    assert_eq!(warned("has no effect"), 2, "{output}");
}

pub(crate) fn the_same_option_twice_and_contradictions_are_errors(platform: &Platform) {
    let server = Launch::new(platform).start();
    let mut peer = server.peer();
    let error = |peer: &mut modb_tests::Peer, words: &str| peer.ask(words).error().expect("a refusal");
    assert_eq!(
        error(&mut peer, "CONFIG SET timeout 1 TIMEOUT 2"),
        "ERR CONFIG SET failed (possibly related to argument 'TIMEOUT') - duplicate parameter"
    );
    assert_eq!(
        error(&mut peer, "CONFIG SET maxmemory 0 maxmemory 0"),
        "ERR CONFIG SET failed (possibly related to argument 'maxmemory') - duplicate parameter"
    );
    assert_eq!(peer.ask("CONFIG SET hash-max-listpack-entries 4 hash-max-ziplist-entries 5"), Reply::ok());
    for words in ["SHUTDOWN SAVE NOSAVE", "SHUTDOWN NOSAVE SAVE NOW", "SHUTDOWN NOW ABORT", "SHUTDOWN WHAT"] {
        assert_eq!(error(&mut peer, words), "ERR syntax error", "{words}");
    }
    assert_eq!(peer.ask("PING"), Reply::Simple(b"PONG".to_vec()));
}

pub(crate) fn the_folder_is_shown_by_its_whole_name(platform: &Platform) {
    let around = tempfile::tempdir().expect("a folder can be made");
    let script = format!("cd '{}' && exec \"$@\"", around.path().display());
    let server = Launch::new(platform).in_folder("data").in_shell(&script).start();
    let Reply::Array(got) = server.peer().ask("CONFIG GET dir") else {
        panic!("a list of a name and a value")
    };
    assert_eq!(got[1], Reply::bulk(around.path().join("data").to_string_lossy().as_bytes()));
}

pub(crate) fn an_address_that_is_taken_is_an_error_also_with_a_dash(platform: &Platform) {
    let taken = TcpListener::bind("127.0.0.1:0").expect("the system has a free port");
    let port = taken.local_addr().expect("it is bound").port();
    let bind = |addresses: &str| Launch::new(platform).with("--bind", addresses);
    let refusal = bind("-127.0.0.1").start_on_port_expecting_refusal(port);
    assert_eq!(refusal.status.code(), Some(2), "{}", refusal.output);
    assert!(refusal.output.contains(&format!("127.0.0.1:{port}")), "{}", refusal.output);
    // The second of two: it used to be left out in silence, since the first one has the same port.
    if TcpListener::bind(("127.0.0.2", 0)).is_ok() {
        let refusal = bind("127.0.0.2 -127.0.0.1").start_on_port_expecting_refusal(port);
        assert!(refusal.output.contains(&format!("127.0.0.1:{port}")), "{}", refusal.output);
    }
    assert!(refusal.output.contains("another program listens there"), "{}", refusal.output);
    // Two words for one address are one.
    assert_eq!(bind("127.0.0.1 127.0.0.1").start().peer().ask("PING"), Reply::Simple(b"PONG".to_vec()));
    // One that no machine has is left out, and said so, unless it is the only one.
    let server = bind("127.0.0.1 -192.0.2.1").start();
    assert!(server.comes_to_say("not listening on 192.0.2.1"), "{}", server.output());
    let refusal = bind("-192.0.2.1").start_expecting_refusal();
    assert!(refusal.output.contains("cannot listen anywhere"), "{}", refusal.output);
    let refusal = bind("192.0.2.1").start_expecting_refusal();
    assert!(refusal.output.contains("cannot listen on 192.0.2.1"), "{}", refusal.output);
}

pub(crate) fn a_name_is_listened_on_by_what_it_stands_for(platform: &Platform) {
    let server = Launch::new(platform).with("--bind", "localhost").start();
    assert!(server.addr().ip().is_loopback());
    assert_eq!(server.peer().ask("PING"), Reply::Simple(b"PONG".to_vec()));
    let refusal = Launch::new(platform).with("--bind", "nowhere.invalid").start_expecting_refusal();
    assert!(refusal.output.contains("nowhere.invalid"), "{}", refusal.output);
    assert_eq!(refusal.status.code(), Some(2), "{}", refusal.output);
}

pub(crate) fn a_silent_client_is_asked_whether_it_is_there(platform: &Platform) {
    for (seconds, asked) in [("30", true), ("0", false)] {
        let server = Launch::new(platform).with("--tcp-keepalive", seconds).start();
        let mut peer = server.peer();
        peer.send(&encode(["PING"]));
        assert_eq!(peer.reply(), Reply::Simple(b"PONG".to_vec()));
        let local = peer.stream().local_addr().expect("it is connected");
        let Some(timer) = sys::keepalive_timer(server.addr(), local) else {
            skip!("this system does not show the timers of sockets")
        };
        assert_eq!(timer, asked, "tcp-keepalive {seconds}");
    }
}
