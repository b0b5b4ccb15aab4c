//! `modb-client` as scripts use it: what it prints, and what its exit status says.

use std::fs::{self, OpenOptions};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};

use modb_tests::peer::encode;
use modb_tests::tool::{self, Outcome};
use modb_tests::wait::DEADLINE;
use modb_tests::{Launch, Platform, Reply, binary, skip};

fn client(addr: SocketAddr, args: &[&str]) -> Outcome {
    client_with(addr, args, b"")
}

/// With `input` on its standard input.
fn client_with(addr: SocketAddr, args: &[&str], input: &[u8]) -> Outcome {
    let mut command: Command = binary::client().command();
    command.args(["-h", &addr.ip().to_string(), "-p", &addr.port().to_string()]).args(args);
    tool::run(&mut command, input, DEADLINE)
}

/// Its exit status and what it printed; nothing on standard error.
#[track_caller]
fn assert_says(outcome: &Outcome, status: i32, stdout: &str) {
    assert_eq!((outcome.status, outcome.stdout.as_str()), (Some(status), stdout), "{outcome:?}");
    assert_eq!(outcome.stderr, "");
}

pub(crate) fn one_shot_commands_print_the_reply(platform: &Platform) {
    let server = Launch::new(platform).start();
    let says = |args: &[&str]| client(server.addr(), args).success().trim_end().to_owned();
    assert_eq!(says(&["SET", "a", "1"]), "OK");
    // Not a terminal: raw, as redis-cli does.
    assert_eq!(says(&["GET", "a"]), "1");
    assert_eq!(says(&["INCRBY", "a", "-5"]), "-4");
    assert_eq!(says(&["GET", "missing"]), "");
    assert_eq!(says(&["SET", "with space", "two words"]), "OK");
    assert_eq!(says(&["GET", "with space"]), "two words");
    assert_eq!(server.peer().call(["GET", "with space"]), Reply::bulk("two words"));
}

pub(crate) fn the_exit_status_tells_errors(platform: &Platform) {
    let server = Launch::new(platform).start();
    client(server.addr(), &["SET", "a", "x"]).success();
    let outcome = client(server.addr(), &["INCR", "a"]);
    assert!(!matches!(outcome.status, Some(0) | None), "{outcome:?}");
    let said = outcome.stdout + &outcome.stderr;
    assert!(said.contains("ERR value is not an integer or out of range"), "{said}");
}

pub(crate) fn a_dead_server_is_one_clear_line(_platform: &Platform) {
    let addr = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port");
    let outcome = client(addr, &["PING"]);
    assert!(!matches!(outcome.status, Some(0) | None), "{outcome:?}");
    assert!(outcome.stderr.contains(&addr.port().to_string()), "{outcome:?}");
    assert_eq!(outcome.stderr.trim_end().lines().count(), 1, "{outcome:?}");
}

pub(crate) fn the_password_and_the_database_can_be_given(platform: &Platform) {
    let server = Launch::new(platform).with_password("secret").start();
    assert!(client(server.addr(), &["SET", "a", "1"]).status != Some(0));
    client(server.addr(), &["-a", "secret", "-n", "3", "SET", "a", "1"]).success();
    let mut peer = server.peer();
    assert_eq!(peer.ask("EXISTS a"), Reply::Int(0));
    assert_eq!(peer.ask("SELECT 3"), Reply::ok());
    assert_eq!(peer.ask("GET a"), Reply::bulk("1"));
}

pub(crate) fn a_full_output_is_an_error_with_status_2(platform: &Platform) {
    let server = Launch::new(platform).start();
    let port = server.addr().port().to_string();
    let full = || OpenOptions::new().write(true).open("/dev/full").expect("Linux has a device that is full");
    let run = |args: &[&str], input: &str| {
        let mut command = binary::client().command();
        command.args(args).stdin(Stdio::piped()).stdout(full()).stderr(Stdio::piped());
        let mut child = tool::spawn(&mut command);
        // What it does not read does not matter.
        let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
        child.wait_with_output().expect("it ends")
    };
    for (args, input) in [
        (&["--help"][..], ""),
        (&["--version"], ""),
        (&["--man"], ""),
        (&["bench", "--help"], ""),
        (&["-p", &port, "SET", "a", "1"], ""),
        (&["-p", &port], "GET a\n"),
        (&["-p", &port, "--scan"], ""),
        (&["-p", &port, "--bigkeys"], ""),
        (&["-p", &port, "--stat"], ""),
        (&["-p", &port, "--latency", "-i", "0.01"], ""),
        (&["bench", "-p", &port, "--requests", "10"], ""),
    ] {
        let output = run(args, input);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains("cannot write the output: ") && !said.contains("os error"), "{args:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{args:?}: {said}");
    }
    // Where even the complaint cannot be written, the status still tells.
    for args in [&["--nope"][..], &["bench", "--nope"], &["-p", "1", "PING"]] {
        let mut command = binary::client().command();
        let status = command.args(args).stderr(full()).stdout(Stdio::null()).status().expect("it starts");
        assert_eq!(status.code(), Some(2), "{args:?}");
    }
}

pub(crate) fn a_reader_that_goes_ends_it_quietly(platform: &Platform) {
    let server = Launch::new(platform).start();
    let port = server.addr().port().to_string();
    // More than a pipe holds, so that it is still writing when the reader has gone.
    let mut peer = server.peer();
    assert_eq!(peer.call(["SET", "a", &"x".repeat(1 << 20)]), Reply::ok());
    let endless = ["-p", &port, "-r", "-1", "GET", "a"];
    let lines = ["-p", &port, "--stat", "-i", "0"];
    let bench = ["bench", "-p", &port, "--requests", "10"];
    for (args, reads) in [(&endless[..], true), (&lines, true), (&bench, false), (&["--help"], false)] {
        let mut command = binary::client().command();
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = tool::spawn(&mut command);
        let mut stdout = child.stdout.take().expect("piped");
        if reads {
            stdout.read_exact(&mut [0]).expect("something is written");
        }
        drop(stdout);
        let output = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), said.as_ref()), (Some(0), ""), "{args:?}");
    }
}

pub(crate) fn a_complaint_names_the_thing_and_says_what_to_do(platform: &Platform) {
    let server = Launch::new(platform).with_password("secret").start();
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let mute = silent.local_addr().expect("it is bound").port().to_string();
    let (port, addr) = (server.addr().port().to_string(), server.addr().to_string());
    for (args, parts) in [
        (
            &["-p", &port, "-a", "wrong", "--json", "PING"][..],
            &[&addr[..], "WRONGPASS", "; -a and --user say who asks"][..],
        ),
        (
            &["-p", &port, "-a", "secret", "-n", "9999", "PING"],
            &[&addr, "DB index", "; -n says which database"],
        ),
        (&["-p", &port, "--scan"], &[&addr, "NOAUTH", "; -a and --user say who asks"]),
        (
            &["-p", &mute, "-t", "0.1", "-3", "PING"],
            &[&mute, "does not answer", "say which server, -t how long"],
        ),
        (&["-p", &port, "--user", "me", "PING"], &["a user needs a password: -a"]),
        (&["bench", "-p", &port], &[&addr, "NOAUTH", "; -a and --user say who asks"]),
        (
            &["bench", "-p", &port, "-a", "secret", "--json", "no/such/folder"],
            &["no/such/folder", "cannot write"],
        ),
    ] {
        let mut command = binary::client().command();
        command.args(args).env_remove("MODB_PASSWORD").env_remove("REDISCLI_AUTH");
        let outcome = tool::run(&mut command, b"", DEADLINE);
        assert_eq!(outcome.status, Some(2), "{args:?}: {outcome:?}");
        for part in parts {
            assert!(outcome.stderr.contains(part), "{args:?}: {part:?} is not in {outcome:?}");
        }
        assert!(!outcome.stderr.contains("os error") && outcome.stdout.is_empty(), "{args:?}: {outcome:?}");
    }
}

pub(crate) fn shutting_down_is_a_success(platform: &Platform) {
    for (args, input, stdout) in [
        (&["SHUTDOWN"][..], &b""[..], ""),
        (&[], b"SET a 1\nshutdown nosave\n", "OK\n"),
        (&["--json", "SHUTDOWN"], b"", ""),
    ] {
        let mut server = Launch::new(platform).start();
        assert_says(&client_with(server.addr(), args, input), 0, stdout);
        assert!(server.wait_for_end().success());
    }
    // One that the server refuses is still an error, and so is an end that was not asked for.
    let server = Launch::new(platform).start();
    assert_eq!(client(server.addr(), &["SHUTDOWN", "NONSENSE"]).status, Some(1));
    let outcome = client_with(server.addr(), &[], b"SET a 1\nCLIENT KILL TYPE normal SKIPME no\nGET a\n");
    assert_eq!(outcome.status, Some(2), "{outcome:?}");
    assert!(outcome.stdout.starts_with("OK\n"), "what was answered is printed: {outcome:?}");
    assert!(outcome.stderr.contains("closed the connection"), "{outcome:?}");
}

pub(crate) fn commands_without_a_reply_are_not_waited_for(platform: &Platform) {
    let server = Launch::new(platform).start();
    for protocol in ["-2", "-3"] {
        for mode in ["OFF", "skip"] {
            assert_says(&client(server.addr(), &[protocol, "CLIENT", "REPLY", mode]), 0, "");
        }
        assert_says(&client(server.addr(), &[protocol, "CLIENT", "REPLY", "ON"]), 0, "OK\n");
        let input = b"SET a 1\nCLIENT REPLY OFF\nINCR a\nnonsense\nclient reply off\nINCR a\nCLIENT REPLY ON\nGET a\n\
            CLIENT REPLY SKIP\nSET a 7\nGET a\n";
        assert_says(&client_with(server.addr(), &[protocol], input), 0, "OK\nOK\n3\n7\n");
    }
    // One that is refused has a reply.
    let server = Launch::new(platform).with_password("secret").start();
    let outcome = client(server.addr(), &["CLIENT", "REPLY", "OFF"]);
    assert_eq!(outcome.status, Some(1), "{outcome:?}");
    assert!(outcome.stdout.starts_with("NOAUTH"), "{outcome:?}");
}

pub(crate) fn a_pipe_may_begin_with_the_mark_of_utf_8(platform: &Platform) {
    let server = Launch::new(platform).start();
    assert_says(&client_with(server.addr(), &[], b"\xef\xbb\xbfSET a 1\nGET a\n"), 0, "OK\n1\n");
    // Only there: a value that is read from a pipe is what it is.
    assert_says(&client_with(server.addr(), &["-x", "SET", "b"], b"\xef\xbb\xbfx"), 0, "OK\n");
    assert_eq!(server.peer().ask("STRLEN b"), Reply::Int(4));
    for mark in [&b"\xff\xfeP\0I\0N\0G\0\n\0"[..], b"\xfe\xff\0P\0I\0N\0G\0\n"] {
        let outcome = client_with(server.addr(), &[], mark);
        assert_eq!(outcome.status, Some(2), "{outcome:?}");
        assert!(outcome.stderr.contains("UTF-16"), "{outcome:?}");
    }
}

pub(crate) fn json_keeps_all_bytes_apart(platform: &Platform) {
    let server = Launch::new(platform).start();
    let mut peer = server.peer();
    let values = [&b"\xff"[..], b"\xc3\xbf", b"data:;base64,/w==", b"plain"];
    for (key, value) in ["a", "b", "c", "d"].into_iter().zip(values) {
        assert_eq!(peer.call([b"SET", key.as_bytes(), value]), Reply::ok());
    }
    let expected = "[\"data:;base64,/w==\",\"ÿ\",\"data:;base64,ZGF0YTo7YmFzZTY0LC93PT0=\",\"plain\"]\n";
    assert_says(&client(server.addr(), &["--json", "MGET", "a", "b", "c", "d"]), 0, expected);
}

pub(crate) fn a_socket_of_this_machine_is_spoken_to_by_its_path(platform: &Platform) {
    let around = tempfile::tempdir().expect("a folder can be made");
    let path = around.path().join("modb.sock").display().to_string();
    let _server = Launch::new(platform).with("--unixsocket", &path).start();
    let run = |args: &[&str]| tool::run(binary::client().command().args(args), b"", DEADLINE);
    assert_says(&run(&["-s", &path, "-n", "2", "SET", "a", "1"]), 0, "OK\n");
    assert_says(&run(&["-s", &path, "-n", "2", "--json", "GET", "a"]), 0, "\"1\"\n");
    let missing = format!("{path}.missing");
    let outcome = run(&["-s", &missing, "PING"]);
    assert_eq!(outcome.status, Some(2), "{outcome:?}");
    assert!(outcome.stderr.contains(&format!("cannot connect to {missing}: ")), "{outcome:?}");
}

pub(crate) fn bulk_data_is_sent_as_it_is_and_its_replies_are_counted(platform: &Platform) {
    let server = Launch::new(platform).start();
    const SENT: &str =
        "All data transferred. Waiting for the last reply...\nLast reply received from server.\n";
    // More than sockets hold while replies are not read, bytes of all kinds, and a last command without a line end.
    const COUNT: usize = 50_000;
    let mut data: Vec<u8> =
        (0..COUNT).flat_map(|n| encode(["SET".into(), format!("k{n}"), "\r\n\u{ff}".repeat(20)])).collect();
    data.extend_from_slice(b"GET k7");
    let outcome = client_with(server.addr(), &["--pipe"], &data);
    assert_says(&outcome, 0, &format!("{SENT}errors: 0, replies: {}\n", COUNT + 1));
    assert_eq!(server.peer().ask("DBSIZE"), Reply::Int(COUNT as i64));
    let outcome = client_with(server.addr(), &["--pipe"], b"SET a x\r\nINCR a\r\nNOSUCH\r\n");
    assert_eq!(
        (outcome.status, &*outcome.stdout),
        (Some(1), &*format!("{SENT}errors: 2, replies: 3\n")),
        "{outcome:?}"
    );
    assert!(
        outcome.stderr.starts_with("ERR value is not an integer or out of range\nERR unknown"),
        "{outcome:?}"
    );
    // Half a request, whose end is never seen.
    let outcome =
        client_with(server.addr(), &["--pipe", "--pipe-timeout", "0.5"], b"*2\r\n$3\r\nGET\r\n$5000\r\nx");
    assert_eq!(outcome.status, Some(2), "{outcome:?}");
    assert!(outcome.stderr.contains("no reply came for 500ms"), "{outcome:?}");
}

pub(crate) fn a_script_can_end_at_the_first_error(platform: &Platform) {
    let server = Launch::new(platform).start();
    let input = b"SET a x\nINCR a\nSET behind 1\n";
    let outcome = client_with(server.addr(), &["-e"], input);
    let error = "ERR value is not an integer or out of range\n";
    assert_eq!((outcome.status, &*outcome.stdout, &*outcome.stderr), (Some(1), "OK\n", error));
    assert_eq!(server.peer().ask("EXISTS behind"), Reply::Int(0));
    let outcome = client(server.addr(), &["-e", "-r", "3", "INCR", "a"]);
    assert_eq!((outcome.status, &*outcome.stdout, &*outcome.stderr), (Some(1), "", error));
    // Without it, the rest goes on.
    assert_eq!(client_with(server.addr(), &[], input).status, Some(1));
    assert_eq!(server.peer().ask("EXISTS behind"), Reply::Int(1));
}

pub(crate) fn an_argument_can_come_from_standard_input(platform: &Platform) {
    let server = Launch::new(platform).start();
    let binary = b"a\r\n\x00\xff";
    assert_says(
        &client_with(server.addr(), &["-X", "VALUE", "SET", "k", "VALUE", "EX", "100"], binary),
        0,
        "OK\n",
    );
    assert_eq!(server.peer().ask("GET k"), Reply::Bulk(binary.to_vec()));
    assert_says(&client_with(server.addr(), &["-x", "SET", "k"], binary), 0, "OK\n");
    assert_eq!(server.peer().ask("TTL k"), Reply::Int(-1));
}

pub(crate) fn colours_are_where_the_environment_wants_them(platform: &Platform) {
    let server = Launch::new(platform).start();
    let port = server.addr().port().to_string();
    for (no_color, force, is_colored) in
        [("", "1", true), ("", "0", false), ("", "", false), ("1", "1", false)]
    {
        let mut command = binary::client().command();
        command
            .args(["-p", &port, "--no-raw", "GET", "a"])
            .env("NO_COLOR", no_color)
            .env("CLICOLOR_FORCE", force);
        let expected = if is_colored { "\x1b[90m(nil)\x1b[0m\n" } else { "(nil)\n" };
        assert_says(&tool::run(&mut command, b"", DEADLINE), 0, expected);
    }
}

pub(crate) fn raw_output_has_the_delimiters_that_are_asked_for(platform: &Platform) {
    let server = Launch::new(platform).start();
    let outcome = client(server.addr(), &["-d", ", ", "-D", ";", "-r", "2", "MGET", "a", "b"]);
    assert_says(&outcome, 0, ", ;, ;");
    assert_says(&client(server.addr(), &["-D", "", "ECHO", "x"]), 0, "x");
}

pub(crate) fn keys_are_rated_by_the_memory_they_take(platform: &Platform) {
    let server = Launch::new(platform).start();
    let mut peer = server.peer();
    for (key, length) in [("small", 10), ("large", 5000)] {
        assert_eq!(peer.call(["SET", key, &"x".repeat(length)]), Reply::ok());
    }
    let outcome = client(server.addr(), &["--memkeys", "--memkeys-samples", "5"]);
    assert_eq!(outcome.status, Some(0), "{outcome:?}");
    let line = outcome.stdout.lines().nth(1).expect("a line for strings");
    assert!(
        outcome.stdout.starts_with("2 keys\n") && line.ends_with("in the largest, \"large\""),
        "{outcome:?}"
    );
    assert!(line.contains("bytes of memory"), "{outcome:?}");
    let says = format!("modb-client {}\n", env!("CARGO_PKG_VERSION"));
    for version in ["-V", "-v", "--version"] {
        assert_says(&client(server.addr(), &[version]), 0, &says);
    }
}

pub(crate) fn a_pipe_can_authenticate_itself(platform: &Platform) {
    let server = Launch::new(platform).with_password("secret").start();
    for format in ["--json", "--raw"] {
        let ok = if format == "--json" { "\"OK\"" } else { "OK" };
        let one = if format == "--json" { "\"1\"" } else { "1" };
        let input = b"AUTH secret\nSET a 1\nGET a\n";
        let expected = format!("{ok}\n{ok}\n{one}\n");
        assert_says(&client_with(server.addr(), &[format], input), 0, &expected);
    }
    // What could not be made before is made up for: RESP3 has maps, and the database was asked for.
    let input = b"AUTH secret\nSET here 1\nCONFIG GET port\n";
    let outcome = client_with(server.addr(), &["--json", "-n", "3"], input);
    assert!(outcome.success().ends_with("\n{\"port\":\"0\"}\n"));
    let mut peer = server.peer();
    assert_eq!(peer.ask("SELECT 3"), Reply::ok());
    assert_eq!(peer.ask("EXISTS here"), Reply::Int(1));
    // Without it, and with a wrong one, the reason is told.
    let outcome = client(server.addr(), &["--json", "GET", "a"]);
    assert_eq!(outcome.status, Some(1), "{outcome:?}");
    assert!(outcome.stdout.contains("NOAUTH"), "{outcome:?}");
    let outcome = client(server.addr(), &["--json", "-a", "wrong", "GET", "a"]);
    assert_eq!(outcome.status, Some(2), "{outcome:?}");
    assert!(outcome.stderr.contains("WRONGPASS"), "{outcome:?}");
}

pub(crate) fn an_address_may_stand_in_brackets(platform: &Platform) {
    let server = Launch::new(platform).start();
    let port = server.addr().port().to_string();
    for args in [
        &["-h", "[127.0.0.1]", "-p", &port, "PING"][..],
        &["bench", "-h", "[127.0.0.1]", "-p", &port, "--requests", "1"],
    ] {
        let mut command = binary::client().command();
        tool::run(command.args(args), b"", DEADLINE).success();
    }
}

pub(crate) fn completions_complete_in_a_shell(_: &Platform) {
    if !binary::is_installed("bash") {
        skip!("bash is not installed");
    }
    let script = |program: binary::Program| {
        tool::run(program.command().args(["--completion", "bash"]), b"", DEADLINE).success()
    };
    // In a folder of its own, since what stands there completes paths.
    let around = tempfile::tempdir().expect("a folder can be made");
    fs::write(around.path().join("data"), "").expect("a test may write its own folder");
    let scripts = script(binary::client()) + &script(binary::server());
    for (line, completed) in [
        ("modb-client --s", "--scan --stat"),
        ("modb-client be", "bench"),
        ("modb-client --completion f", "fish"),
        ("modb-client bench --protocol m", "memcached"),
        ("modb-client bench --sk", "--skew"),
        ("modb-client bench --sc", ""),
        ("modb-client -p 7", ""),
        ("modb-server --durab", "--durability"),
        ("modb-server --durability e", "everysec"),
        ("modb-server --config d", "data"),
        ("modb-server ba", "backup"),
        ("modb-server check d", "data"),
        ("modb-server backup --p", "--port"),
        ("modb-server check --p", ""),
    ] {
        let function = if line.starts_with("modb-server") { "_modb_server" } else { "_modb_client" };
        let asked = format!(
            "{scripts}COMP_WORDS=({line}); COMP_CWORD=$((${{#COMP_WORDS[@]}}-1)); {function}; echo \"${{COMPREPLY[*]}}\""
        );
        let mut bash = Command::new("bash");
        let reply = tool::run(bash.args(["--norc", "-c", &asked]).current_dir(around.path()), b"", DEADLINE)
            .success();
        assert_eq!(reply.trim_end(), completed, "{line}");
    }
}
