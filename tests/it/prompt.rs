//! The prompt of `modb-client` in a real terminal: what is typed, pasted and interrupted, and what is then to be seen.
//!
//! Screens are compared as a whole. In what is expected, `█` is the cursor and `$` the server's address. Where the cursor stands
//! on an empty line, something is being waited for.

use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::thread;

use modb_tests::{Launch, Peer, Platform, Reply, Server, Terminal, binary, wait};

/// The client, at a terminal of 80 columns.
fn client(addr: SocketAddr, args: &[&str]) -> Terminal {
    Terminal::start(command(addr).args(args), 80)
}

fn command(addr: SocketAddr) -> Command {
    let mut command = binary::client().command();
    command.args(["-h", &addr.ip().to_string(), "-p", &addr.port().to_string()]);
    command.env("MODB_CLIENT_HISTORY", "").env("LC_ALL", "C.UTF-8");
    command.env_remove("REDISCLI_AUTH").env_remove("MODB_PASSWORD").env_remove("NO_COLOR");
    command.env_remove("CLICOLOR_FORCE").env("MODB_PAGER", "");
    command
}

/// Writes wait from now on.
fn pause(server: &Server) {
    assert_eq!(server.peer().ask("CLIENT PAUSE 60000 WRITE"), Reply::ok());
}

fn go_on(server: &Server) {
    assert_eq!(server.peer().ask("CLIENT UNPAUSE"), Reply::ok());
}

/// A server that greets the first `greeted` clients, answers nothing else, and accepts all others without a word.
fn mute_server(greeted: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the system has a free port");
    let addr = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        let mut kept = Vec::new();
        for mut stream in listener.incoming().map_while(Result::ok) {
            if kept.len() < greeted {
                // HELLO, and COMMAND DOCS.
                for reply in [&b"%0\r\n"[..], b"-ERR no\r\n"] {
                    let asked = stream.read(&mut [0; 1024]);
                    asked.and_then(|_| stream.write_all(reply)).expect("the client asks and reads");
                }
            }
            kept.push(stream);
        }
    });
    addr
}

pub(crate) fn a_password_can_be_typed_and_is_remembered(platform: &Platform) {
    let server = Launch::new(platform).with_password("secret").start();
    let mut terminal = client(server.addr(), &["-n", "3"]);
    let at = |text: &str| text.replace('$', &format!("{}[3]", server.addr()));
    let begin = "modb-client: the server wants to know who you are: AUTH [USER] PASSWORD\n";
    terminal.assert_shows(&at(&format!("{begin}$> █")));
    terminal.enter("GET a\rAUTH wrong\rAUTH secret\rSET a 1\r");
    let after = "$> GET a\n(error) NOAUTH Authentication required.\n\
                 $> AUTH wrong\n(error) WRONGPASS invalid username-password pair or user is disabled.\n\
                 $> AUTH secret\nOK\n\
                 $> SET a 1\nOK\n";
    terminal.assert_shows(&at(&format!("{begin}{after}$> █")));
    // It went to the database that was asked for, on a connection that has made up for its beginning.
    let mut peer = server.peer();
    assert_eq!(peer.ask("SELECT 3"), Reply::ok());
    assert_eq!(peer.ask("GET a"), Reply::bulk("1"));
    // A new connection needs the password again, and nobody types it.
    let closed = |peer: &mut Peer| {
        let text = peer.ask("INFO stats").text();
        text.lines().find(|line| line.starts_with("modb_closed_requested:")).map(str::to_owned)
    };
    let before = closed(&mut peer);
    assert_eq!(peer.ask("CLIENT KILL TYPE normal"), Reply::Int(1));
    // Its worker closes it, a moment after the answer.
    wait::until("it is closed", || (closed(&mut peer) != before).then_some(()));
    terminal.enter("GET a\r");
    terminal.assert_shows(&at(&format!("{begin}{after}$> GET a\n\"1\"\n$> █")));
    terminal.enter("\x04");
    assert!(terminal.wait_for_end().success());
}

pub(crate) fn the_password_is_asked_for_behind_a_mask(platform: &Platform) {
    let server = Launch::new(platform).with_password("secret").start();
    let mut terminal = client(server.addr(), &["--askpass", "ECHO", "it is me"]);
    terminal.assert_shows("Password: █");
    terminal.enter("sex\x7fcret");
    terminal.assert_shows("Password: ******█");
    terminal.enter("\r");
    assert!(terminal.wait_for_end().success());
    terminal.assert_shows("Password: ******\n\"it is me\"\n█");
    // Not typed.
    let mut terminal = client(server.addr(), &["--askpass", "PING"]);
    terminal.wait_for("Password: █");
    terminal.enter("se\x03");
    assert_eq!(terminal.wait_for_end().code(), Some(2));
    assert!(terminal.screen().text().contains("no password was given: it was not typed"));
}

pub(crate) fn names_of_keys_are_completed(platform: &Platform) {
    let server = Launch::new(platform).start();
    let mut peer = server.peer();
    for key in ["user:1", "user:22", "other", "two words"] {
        assert_eq!(peer.call(["SET", key, "v"]), Reply::ok());
    }
    let terminal = client(server.addr(), &[]);
    let at = |text: &str| text.replace('$', &server.addr().to_string());
    terminal.assert_shows(&at("$> █"));
    terminal.enter("GET user:2\t");
    terminal.assert_shows(&at("$> GET user:22 █"));
    terminal.enter("\x15DEL o\ttw\t");
    terminal.assert_shows(&at("$> DEL other \"two words\" █key ...]"));
    // Where no key stands, none is offered.
    terminal.enter("\x15SET user:1 o\t");
    terminal.wait_for(&at("$> SET user:1 o█"));
}

pub(crate) fn what_removes_everything_is_asked_about(platform: &Platform) {
    let server = Launch::new(platform).start();
    let mut peer = server.peer();
    assert_eq!(peer.ask("SET a 1"), Reply::ok());
    let terminal = client(server.addr(), &[]);
    let at = |text: &str| text.replace('$', &server.addr().to_string());
    terminal.assert_shows(&at("$> █"));
    let question = "FLUSHALL removes all keys of all databases of $. Go on? [y/N] ";
    let question_db = "FLUSHDB removes all keys of database 0 of $. Go on? [y/N] ";
    terminal.enter("flushall async\r");
    terminal.assert_shows(&at(&format!("$> flushall async\n{question}█")));
    terminal.enter("\r");
    let mut record = format!("$> flushall async\n{}\nNothing was removed.\n", question.trim_end());
    terminal.assert_shows(&at(&format!("{record}$> █")));
    // What was typed ahead is no yes.
    terminal.enter("2 FLUSHDB\rPING\r");
    record += &format!(
        "$> 2 FLUSHDB\n{question_db}PING\nmodb-client: \"PING\" is neither y nor n, and was not executed\n"
    );
    record += "Nothing was removed.\n";
    terminal.assert_shows(&at(&format!("{record}$> █")));
    terminal.enter("FLUSHDB\r\x03");
    record += &format!("$> FLUSHDB\n{}\nNothing was removed.\n", question_db.trim_end());
    terminal.assert_shows(&at(&format!("{record}$> █")));
    assert_eq!(peer.ask("EXISTS a"), Reply::Int(1));
    terminal.enter("FLUSHALL\rYes\r");
    record += &format!("$> FLUSHALL\n{question}Yes\nOK\n");
    terminal.assert_shows(&at(&format!("{record}$> █")));
    assert_eq!(peer.ask("EXISTS a"), Reply::Int(0));
}

pub(crate) fn what_is_higher_than_the_window_goes_to_the_pager(platform: &Platform) {
    let server = Launch::new(platform).start();
    let at = |text: &str| text.replace('$', &server.addr().to_string());
    let long = (0..50).map(|n| n.to_string()).collect::<Vec<_>>();
    let mut peer = server.peer();
    assert_eq!(
        peer.call(
            [vec!["MSET".to_owned()], long.iter().flat_map(|n| [n.clone(), n.clone()]).collect()].concat()
        ),
        Reply::ok()
    );
    let ask = format!("MGET {}\r", long.join(" "));
    for (pager, shown) in [
        ("tail -n 1 | sed s/^/paged:/", "paged:50) \"49\"\n"),
        ("no-such-pager", "\n50) \"49\"\n"),
        ("", "\n50) \"49\"\n"),
    ] {
        let terminal = Terminal::start(command(server.addr()).env("MODB_PAGER", pager), 200);
        terminal.wait_for(&at("$> █"));
        terminal.enter(&ask);
        let screen = terminal.wait_for(&at(&format!("{shown}$> █"))).text();
        assert_eq!(screen.contains("49) \"48\""), !shown.starts_with("paged"), "{screen}");
        // What fits is shown as ever.
        terminal.enter("GET 7\r");
        terminal.wait_for(&at("$> GET 7\n\"7\"\n$> █"));
    }
}

pub(crate) fn lines_typed_ahead_are_executed_in_order(platform: &Platform) {
    let server = Launch::new(platform).start();
    let terminal = client(server.addr(), &[]);
    let at = |text: &str| text.replace('$', &server.addr().to_string());
    terminal.assert_shows(&at("$> █"));
    terminal.enter("SET a 1\rGET a\rINCR a\rLOL");
    terminal.assert_shows(&at("$> SET a 1\nOK\n$> GET a\n\"1\"\n$> INCR a\n(integer) 2\n$> LOL█"));
    // Also while a command runs.
    pause(&server);
    terminal.enter("\x15SET a 5\r");
    let before = "$> SET a 1\nOK\n$> GET a\n\"1\"\n$> INCR a\n(integer) 2\n$> SET a 5\n";
    terminal.assert_shows(&at(&format!("{before}█")));
    terminal.enter("GET a\rLOL");
    terminal.assert_shows(&at(&format!("{before}GET a\nLOL█")));
    go_on(&server);
    terminal.assert_shows(&at(&format!("{before}GET a\nLOLOK\n$> GET a\n\"5\"\n$> LOL█")));
}

pub(crate) fn of_a_paste_each_line_is_executed(platform: &Platform) {
    let server = Launch::new(platform).start();
    let terminal = client(server.addr(), &[]);
    let at = |text: &str| text.replace('$', &server.addr().to_string());
    terminal.assert_shows(&at("$> █"));
    terminal.paste("SET a 1\r\n\r\nGET \"a\nGET a");
    let pasted = "$> SET a 1\n\nGET \"a\nGET a";
    terminal.assert_shows(&at(&format!("{pasted}█")));
    assert_eq!(server.peer().ask("EXISTS a"), Reply::Int(0), "what is pasted waits for Enter");
    terminal.enter("\r");
    let done = "$> SET a 1\nOK\n$> GET \"a\nmodb-client: unbalanced quotes\n$> GET a\n\"1\"\n";
    terminal.assert_shows(&at(&format!("{pasted}\n{done}$> █")));
    // One line is a line, also behind the mark of UTF-8.
    terminal.paste("\u{feff}GET a");
    terminal.enter("\r");
    terminal.wait_for(&at("GET a\n\"1\"\n$> █"));
}

pub(crate) fn what_a_transaction_and_messages_do_to_the_prompt(platform: &Platform) {
    let server = Launch::new(platform).start();
    let mut terminal = client(server.addr(), &[]);
    let at = |text: &str| text.replace('$', &server.addr().to_string());
    terminal.assert_shows(&at("$> █"));
    for (line, shown) in [
        ("MULTI", "OK\n$(TX)> █"),
        ("SELECT 3", "QUEUED\n$(TX)> █"),
        ("DISCARD", "OK\n$> █"),
        ("MULTI", "OK\n$(TX)> █"),
        ("SELECT 3", "QUEUED\n$(TX)> █"),
        ("EXEC", "1) OK\n$[3]> █"),
        ("MULTI", "OK\n$[3](TX)> █"),
        ("SELECT 99999999999", "QUEUED\n$[3](TX)> █"),
        ("NOPE", "$[3](TX)> █"),
        ("EXEC", "(error) EXECABORT Transaction discarded because of previous errors.\n$[3]> █"),
        ("MULTI", "OK\n$[3](TX)> █"),
        ("SELECT 4", "QUEUED\n$[3](TX)> █"),
        ("SELECT 99", "QUEUED\n$[3](TX)> █"),
        ("EXEC", "(error) ERR DB index is out of range\n$[4]> █"),
        ("SELECT 3", "OK\n$[3]> █"),
        ("WATCH a", "OK\n$[3]> █"),
        ("SET a 1", "OK\n$[3]> █"),
        ("MULTI", "OK\n$[3](TX)> █"),
        ("SELECT 5", "QUEUED\n$[3](TX)> █"),
        ("EXEC", "(nil)\n$[3]> █"),
    ] {
        terminal.enter(&format!("{line}\r"));
        terminal.wait_for(&format!("> {line}\n"));
        terminal.wait_for(&at(shown));
    }
    // What is shown comes until Ctrl-C, and then the prompt is back where it was.
    terminal.enter("MONITOR\r");
    terminal.wait_for("MONITOR\nOK\nListening. Ctrl-C ends it.\n");
    assert!(server.peer().ask("ECHO seen").text().contains("seen"));
    terminal.wait_for("\"ECHO\" \"seen\"");
    terminal.enter("\x03");
    terminal.wait_for(&at("^C\n$[3]> █"));
    terminal.enter("GET a\r");
    terminal.wait_for(&at("GET a\n\"1\"\n$[3]> █"));
    terminal.enter("\x04");
    assert!(terminal.wait_for_end().success());
}

pub(crate) fn what_comes_unasked_is_shown_above_the_line(platform: &Platform) {
    let server = Launch::new(platform).start();
    let mut peer = server.peer();
    let mut terminal = client(server.addr(), &[]);
    let at = |text: &str| text.replace('$', &server.addr().to_string());
    terminal.assert_shows(&at("$> █"));
    terminal.enter("CLIENT TRACKING ON\rGET a\r");
    let mut record = at("$> CLIENT TRACKING ON\nOK\n$> GET a\n(nil)\n");
    terminal.assert_shows(&format!("{record}{}", at("$> █")));
    // In the middle of a line, which stays, and so does the cursor in it.
    terminal.enter("ECHO \"two words\"\x1b[D\x1b[D\x1b[D");
    terminal.assert_shows(&format!("{record}{}", at("$> ECHO \"two wor█s\"")));
    assert_eq!(peer.ask("SET a 1"), Reply::ok());
    record += "1) \"invalidate\"\n2) 1) \"a\"\n";
    terminal.assert_shows(&format!("{record}{}", at("$> ECHO \"two wor█s\"")));
    terminal.enter("l\r");
    record += &at("$> ECHO \"two worlds\"\n\"two worlds\"\n");
    terminal.assert_shows(&format!("{record}{}", at("$> █")));
    // Messages as well, between commands, until they are no longer wanted.
    terminal.enter("SUBSCRIBE news\r");
    record += &at("$> SUBSCRIBE news\n1) \"subscribe\"\n2) \"news\"\n3) (integer) 1\n");
    record += "What comes is shown above the line. UNSUBSCRIBE ends it.\n";
    terminal.assert_shows(&format!("{record}{}", at("$> █")));
    for text in ["hello", "again"] {
        assert_eq!(peer.call(["PUBLISH", "news", text]), Reply::Int(1));
        record += &format!("1) \"message\"\n2) \"news\"\n3) \"{text}\"\n");
        terminal.assert_shows(&format!("{record}{}", at("$> █")));
    }
    terminal.enter("UNSUBSCRIBE\r");
    record += &at("$> UNSUBSCRIBE\n1) \"unsubscribe\"\n2) \"news\"\n3) (integer) 0\n");
    terminal.assert_shows(&format!("{record}{}", at("$> █")));
    assert_eq!(peer.ask("PUBLISH news x"), Reply::Int(0));
    terminal.enter("\x04");
    assert!(terminal.wait_for_end().success());
}

pub(crate) fn who_listens_is_told_that_the_connection_is_lost_and_listens_again_over_another(
    platform: &Platform,
) {
    let server = Launch::new(platform).start();
    let mut peer = server.peer();
    let mut terminal = client(server.addr(), &[]);
    let at = |text: &str| text.replace('$', &server.addr().to_string());
    terminal.assert_shows(&at("$> █"));
    terminal.enter("SUBSCRIBE news\rCLIENT TRACKING ON BCAST\r");
    terminal.wait_for(&at("$> CLIENT TRACKING ON BCAST\nOK\n$> █"));
    terminal.enter("\x0cECHO \"two");
    terminal.assert_shows(&at("$> ECHO \"two█"));
    assert_eq!(peer.ask("CLIENT KILL TYPE pubsub"), Reply::Int(1));
    let lost = "Nothing comes any more: the connection is lost. The next command listens again.\n";
    terminal.assert_shows(&format!("{lost}{}", at("$> ECHO \"two█")));
    // As it says, whether or not the server is there again.
    terminal.enter(" words\"\r");
    let again = "Connected anew, and listening again. What came meanwhile was missed.\n\
                 OK\n1) \"subscribe\"\n2) \"news\"\n3) (integer) 1\n\"two words\"\n";
    let mut record = format!("{lost}{}{again}", at("$> ECHO \"two words\"\n"));
    terminal.assert_shows(&format!("{record}{}", at("$> █")));
    assert_eq!(peer.ask("PUBLISH news hello"), Reply::Int(1));
    assert_eq!(peer.ask("SET a 1"), Reply::ok());
    record += "1) \"message\"\n2) \"news\"\n3) \"hello\"\n1) \"invalidate\"\n2) 1) \"a\"\n";
    terminal.assert_shows(&format!("{record}{}", at("$> █")));
    // Ctrl-C gives a connection up as well.
    terminal.enter("\x0c");
    terminal.assert_shows(&at("$> █"));
    terminal.enter("BLPOP none 0\r");
    wait::until("it waits", || (server.info("blocked_clients") == "1").then_some(()));
    terminal.enter("\x03");
    let mut record = at("$> BLPOP none 0\n^C\n") + lost;
    terminal.assert_shows(&format!("{record}{}", at("$> █")));
    terminal.enter("PING\r");
    record += &format!("{}{}PONG\n", at("$> PING\n"), again.replace("\"two words\"\n", ""));
    terminal.assert_shows(&format!("{record}{}", at("$> █")));
    terminal.enter("\x04");
    assert!(terminal.wait_for_end().success());
}

pub(crate) fn messages_of_the_older_protocol_come_until_ctrl_c(platform: &Platform) {
    let server = Launch::new(platform).start();
    let mut terminal = client(server.addr(), &["-2"]);
    let at = |text: &str| text.replace('$', &server.addr().to_string());
    terminal.assert_shows(&at("$> █"));
    terminal.enter("SUBSCRIBE news\r");
    terminal.wait_for("Listening. Ctrl-C ends it.\n");
    assert_eq!(server.peer().ask("PUBLISH news hello"), Reply::Int(1));
    terminal.wait_for("3) \"hello\"\n");
    terminal.enter("\x03");
    terminal.wait_for(&at("^C\n$> █"));
    wait::until("it listens no longer", || {
        (server.peer().ask("PUBLISH news x") == Reply::Int(0)).then_some(())
    });
    terminal.enter("\x04");
    assert!(terminal.wait_for_end().success());
}

pub(crate) fn ctrl_c_ends_every_wait(platform: &Platform) {
    let server = Launch::new(platform).start();
    let mut terminal = client(server.addr(), &[]);
    let at = |text: &str| text.replace('$', &server.addr().to_string());
    terminal.assert_shows(&at("$> █"));
    // A line that is being typed.
    terminal.enter("LOL\x03");
    let mut record = "$> LOL\n".to_owned();
    terminal.assert_shows(&at(&format!("{record}$> █")));
    // A command that waits.
    pause(&server);
    terminal.enter("SET a 1\r");
    terminal.assert_shows(&at(&format!("{record}$> SET a 1\n█")));
    terminal.enter("\x03");
    record += "$> SET a 1\n^C\n";
    terminal.assert_shows(&at(&format!("{record}$> █")));
    // The rest of a paste.
    terminal.paste("SET b 1\rPING\r");
    terminal.enter("\r");
    record += "$> SET b 1\nPING\n\n$> SET b 1\n";
    terminal.assert_shows(&at(&format!("{record}█")));
    terminal.enter("\x03");
    record += "^C\n";
    terminal.assert_shows(&at(&format!("{record}$> █")));
    go_on(&server);
    terminal.enter("EXISTS a b\rexit\r");
    let seen = terminal.wait_for_end();
    assert!(seen.success());
    terminal.assert_shows(&at(&format!("{record}$> EXISTS a b\n(integer) 0\n$> exit\n█")));
}

pub(crate) fn a_server_that_hangs_is_given_up(_: &Platform) {
    // While connecting: by -t, and by Ctrl-C.
    let addr = mute_server(0);
    let at = |text: &str| text.replace('$', &addr.to_string());
    let terminal = client(addr, &["-t", "0.2"]);
    let reason = at("modb-client: cannot connect to $: it accepts the connection and does not answer");
    let (line, rest) = reason.split_at(80);
    terminal.assert_shows(&format!("{line}\n{rest}\nnot connected> █"));
    let mut terminal = client(addr, &["-t", "1000"]);
    terminal.assert_shows(&at("modb-client: connecting to $; Ctrl-C gives up\n█"));
    terminal.enter("\x03");
    terminal.assert_shows(&at("modb-client: connecting to $; Ctrl-C gives up\n^C\nnot connected> █"));
    terminal.enter("\x04");
    assert!(terminal.wait_for_end().success());
    // While a command waits, also if there is then no new connection.
    let addr = mute_server(1);
    let at = |text: &str| text.replace('$', &addr.to_string());
    let terminal = client(addr, &[]);
    terminal.assert_shows(&at("$> █"));
    terminal.enter("PING\r");
    terminal.assert_shows(&at("$> PING\n█"));
    terminal.enter("\x03");
    terminal.assert_shows(&at("$> PING\n^C\nnot connected> █"));
}

pub(crate) fn a_line_survives_every_width_of_the_window(platform: &Platform) {
    let server = Launch::new(platform).start();
    let terminal = client(server.addr(), &[]);
    let at = |text: &str| text.replace('$', &server.addr().to_string());
    terminal.assert_shows(&at("$> █"));
    let value = "0123456789".repeat(7);
    terminal.enter(&format!("ECHO {value}"));
    for columns in [80, 50, 200, 80] {
        terminal.resize(columns);
        let line: Vec<char> = at(&format!("$> ECHO {value}█")).chars().collect();
        let rows: Vec<String> = line.chunks(columns.into()).map(|row| row.iter().collect()).collect();
        terminal.assert_shows(&rows.join("\n"));
    }
    terminal.enter("\r");
    terminal.wait_for(&at(&format!("\"{value}\"\n$> █")));
    // The same while a command runs: the next prompt knows.
    pause(&server);
    terminal.enter("SET a 1\r");
    terminal.wait_for("SET a 1\n█");
    terminal.resize(50);
    go_on(&server);
    terminal.wait_for(&at("OK\n$> █"));
    terminal.enter(&format!("ECHO {}", &value[..50]));
    let line: Vec<char> = at(&format!("$> ECHO {}█", &value[..50])).chars().collect();
    let rows: Vec<String> = line.chunks(50).map(|row| row.iter().collect()).collect();
    terminal.wait_for(&rows.join("\n"));
}

pub(crate) fn bars_and_tables_fit_a_narrow_window(platform: &Platform) {
    let server = Launch::new(platform).start();
    let bench = |charset: &str, args: &[&str]| {
        let mut command = binary::client().command();
        command.args(["bench", "-p", &server.addr().port().to_string(), "-P", "9"]).args(args);
        command.env("LC_ALL", charset);
        Terminal::start(&mut command, 50)
    };
    for charset in ["C.UTF-8", "C"] {
        let mut terminal = bench(charset, &["--duration", "0.5"]);
        let frame = if charset == "C" { "measuring [" } else { "measuring ▕" };
        assert_eq!(terminal.wait_for(frame).text().lines().count(), 1, "a bar is one line");
        assert!(terminal.wait_for_end().success());
        let screen = terminal.screen();
        assert!(
            screen.text().contains("p99.99") && !screen.text().contains("measuring"),
            "{}",
            screen.text()
        );
        assert_eq!(screen.wraps(), 0, "{}", screen.text());
        assert!(charset != "C" || screen.text().trim_end_matches('█').is_ascii(), "{}", screen.text());
    }
    let mut terminal = bench("C.UTF-8", &["-q", "-t", "lpush,hget,lrange", "--requests", "100"]);
    assert!(terminal.wait_for_end().success());
    let screen = terminal.screen();
    assert!(screen.text().contains("LRANGE_600") && screen.text().contains("p99"), "{}", screen.text());
    assert_eq!(screen.wraps(), 0, "{}", screen.text());
    for args in [&["--stat", "-i", "0.01", "-r", "3"][..], &["--latency", "-i", "0.02", "-r", "3"]] {
        let mut terminal = Terminal::start(command(server.addr()).args(args), 50);
        assert!(terminal.wait_for_end().success());
        let screen = terminal.screen();
        assert_eq!(screen.wraps(), 0, "{args:?}: {}", screen.text());
    }
}

pub(crate) fn without_utf_8_nothing_else_is_shown(platform: &Platform) {
    let server = Launch::new(platform).start();
    assert_eq!(server.peer().call(["SET", "a", "grüße"]), Reply::ok());
    for (charset, shown) in [
        ("C.UTF-8", "\"grüße\"\n█"),
        ("C", "\"gr\\xc3\\xbc\\xc3\\x9fe\"\n█"),
        ("", "\"gr\\xc3\\xbc\\xc3\\x9fe\"\n█"),
    ] {
        let mut command = command(server.addr());
        let unset = command.args(["GET", "a"]).env_remove("LC_CTYPE").env_remove("LANG");
        Terminal::start(unset.env("LC_ALL", charset), 80).assert_shows(shown);
    }
}

pub(crate) fn the_end_of_a_server_is_seen_and_its_return_too(platform: &Platform) {
    let mut server = Launch::new(platform).with_durability("always").start();
    let addr = server.addr();
    let at = |text: &str| text.replace('$', &addr.to_string());
    let mut terminal = client(addr, &[]);
    terminal.assert_shows(&at("$> █"));
    terminal.enter("SET a 1\rSHUTDOWN\r");
    terminal.assert_shows(&at("$> SET a 1\nOK\n$> SHUTDOWN\nnot connected> █"));
    assert!(server.wait_for_end().success());
    terminal.enter("GET a\r");
    terminal.wait_for(&at("modb-client: cannot connect to $: Connection refused"));
    let _server = server.launch().clone().with("--port", &addr.port().to_string()).start();
    terminal.enter("GET a\r");
    terminal.wait_for(&at("not connected> GET a\n\"1\"\n$> █"));
    terminal.enter("\x04");
    assert!(terminal.wait_for_end().success());
}

pub(crate) fn a_prompt_whose_output_is_full_ends_with_status_2(platform: &Platform) {
    let server = Launch::new(platform).start();
    let full = OpenOptions::new().write(true).open("/dev/full").expect("Linux has a device that is full");
    let mut terminal = Terminal::start_with_output(&mut command(server.addr()), 80, Some(full));
    assert_eq!(terminal.wait_for_end().code(), Some(2));
    terminal.wait_for("modb-client: cannot write the output: No space left on device\n");
}
