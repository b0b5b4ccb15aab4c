//! What any client relies on: replies, their order, and errors that name what was wrong.

use modb_tests::peer::encode;
use modb_tests::{Launch, Peer, Platform, Reply};

pub(crate) fn a_value_that_was_set_is_got(platform: &Platform) {
    let server = Launch::new(platform).start();
    let mut peer = server.peer();
    assert_eq!(peer.ask("SET k v"), Reply::ok());
    assert_eq!(peer.ask("GET k"), Reply::bulk("v"));
    let binary: Vec<u8> = (0..=255).collect();
    assert_eq!(peer.call([b"SET", &binary[..], &binary[..]]), Reply::ok());
    assert_eq!(peer.call([b"GET", &binary[..]]), Reply::Bulk(binary));
    assert_eq!(peer.ask("GET missing"), Reply::NullBulk);
    assert_eq!(peer.call(["SET", "", ""]), Reply::ok());
    assert_eq!(peer.call(["GET", ""]), Reply::bulk(""));
}

pub(crate) fn hello_3_changes_the_types_of_replies(platform: &Platform) {
    let server = Launch::new(platform).start();
    let mut peer = server.peer();
    assert_eq!(peer.ask("GET missing"), Reply::NullBulk);
    assert!(matches!(peer.ask("HELLO 3"), Reply::Map(_)));
    assert_eq!(peer.ask("GET missing"), Reply::Null);
    assert!(matches!(peer.ask("HELLO 2"), Reply::Array(_)));
    assert_eq!(peer.ask("GET missing"), Reply::NullBulk);
    let refusal = peer.ask("HELLO 4").error();
    assert_eq!(refusal.as_deref(), Some("NOPROTO unsupported protocol version"));
}

pub(crate) fn inline_commands_are_served(platform: &Platform) {
    let server = Launch::new(platform).start();
    let mut peer = server.peer();
    peer.send(b"PING\r\nSET k \"two words\\x41\"\nGET k\r\n\r\nPING 'it''s'\r\n");
    peer.expect(b"+PONG\r\n+OK\r\n$10\r\ntwo wordsA\r\n");
    peer.expect(b"-ERR Protocol error: unbalanced quotes in request\r\n");
    assert_eq!(peer.read_to_close(), b"");
}

pub(crate) fn protocol_errors_are_answered_as_redis_does_and_close(platform: &Platform) {
    let server = Launch::new(platform).start();
    let cases: [(&[u8], &[u8]); 8] = [
        (b"*1\r\n+PING\r\n", b"-ERR Protocol error: expected '$', got '+'\r\n"),
        (b"*x\r\n", b"-ERR Protocol error: invalid multibulk length\r\n"),
        (b"*2147483648\r\n", b"-ERR Protocol error: invalid multibulk length\r\n"),
        (b"*1\r\n$-1\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
        (b"*1\r\n$x\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
        (b"*1\r\n$536870913\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
        (b"SET a \"b\r\n", b"-ERR Protocol error: unbalanced quotes in request\r\n"),
        (b"*1\r\n$4\r\nPING\r\n*1\r\n\r\n", b"+PONG\r\n-ERR Protocol error: expected '$', got ' '\r\n"),
    ];
    // A line end within an error would be two replies: Redis, and so Modb, puts a blank in its place.
    for (sent, answer) in cases {
        let mut peer = server.peer();
        peer.send(sent);
        let got = peer.read_to_close();
        let got = got.escape_ascii().to_string();
        assert_eq!(got, answer.escape_ascii().to_string(), "to {}", sent.escape_ascii());
    }
    let mut peer = server.peer();
    peer.send(b"*0\r\n*-1\r\n\r\nPING\r\n");
    peer.expect(b"+PONG\r\n");
}

pub(crate) fn errors_of_commands_keep_the_connection(platform: &Platform) {
    let server = Launch::new(platform).start();
    let mut peer = server.peer();
    let cases = [
        ("NOSUCH a b", "ERR unknown command 'NOSUCH', with args beginning with: 'a' 'b' "),
        ("GET", "ERR wrong number of arguments for 'get' command"),
        ("SET a 1 EX", "ERR syntax error"),
        ("SET a 1 EX 0", "ERR invalid expire time in 'set' command"),
        ("SET a 1 EX x", "ERR value is not an integer or out of range"),
        ("SELECT 99999", "ERR DB index is out of range"),
        ("SELECT x", "ERR value is not an integer or out of range"),
        ("CLIENT NOSUCH", "ERR unknown subcommand 'NOSUCH'. Try CLIENT HELP."),
        (
            "AUTH x",
            "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?",
        ),
    ];
    for (words, text) in cases {
        assert_eq!(peer.ask(words).error().as_deref(), Some(text), "{words}");
    }
    assert_eq!(peer.ask("SET n x"), Reply::ok());
    let not_a_number = peer.ask("INCR n").error();
    assert_eq!(not_a_number.as_deref(), Some("ERR value is not an integer or out of range"));
    assert_eq!(peer.ask("PING"), Reply::Simple(b"PONG".to_vec()));
}

pub(crate) fn a_pipeline_of_100_000_commands_in_one_write_is_answered_in_order(platform: &Platform) {
    const COMMANDS: usize = 100_000;
    let server = Launch::new(platform).start();
    let mut peer = server.peer();
    let mut wire = Vec::new();
    for n in 0..COMMANDS {
        wire.extend(encode(["ECHO", &n.to_string()]));
    }
    let mut writer = peer.stream().try_clone().expect("a socket can be cloned");
    let sender = std::thread::spawn(move || {
        use std::io::Write as _;
        writer.write_all(&wire).expect("the server takes it");
    });
    for n in 0..COMMANDS {
        assert_eq!(peer.reply(), Reply::bulk(n.to_string()));
    }
    sender.join().expect("all was sent");
}

pub(crate) fn a_command_split_anywhere_is_one_command(platform: &Platform) {
    let server = Launch::new(platform).start();
    let wire = encode(["SET", "key", "a\r\nb"]);
    let mut peer = server.peer();
    let mut other = server.peer();
    for cut in 1..wire.len() {
        peer.send(&wire[..cut]);
        // Another client's answer shows that the server has been around its loop since.
        assert_eq!(other.ask("PING"), Reply::Simple(b"PONG".to_vec()));
        peer.send(&wire[cut..]);
        assert_eq!(peer.reply(), Reply::ok(), "cut at {cut}");
        assert_eq!(peer.ask("GETDEL key"), Reply::bulk("a\r\nb"), "cut at {cut}");
    }
}

pub(crate) fn databases_are_apart(platform: &Platform) {
    let server = Launch::new(platform).start();
    let (mut first, mut second) = (server.peer(), server.peer());
    assert_eq!(first.ask("SET k zero"), Reply::ok());
    assert_eq!(second.ask("SELECT 1"), Reply::ok());
    assert_eq!(second.ask("GET k"), Reply::NullBulk);
    assert_eq!(second.ask("SET k one"), Reply::ok());
    assert_eq!(first.ask("GET k"), Reply::bulk("zero"));
    assert_eq!(second.ask("FLUSHDB"), Reply::ok());
    assert_eq!((first.ask("DBSIZE"), second.ask("DBSIZE")), (Reply::Int(1), Reply::Int(0)));
    assert_eq!(second.ask("RESET"), Reply::Simple(b"RESET".to_vec()));
    assert_eq!(second.ask("GET k"), Reply::bulk("zero"));
}

pub(crate) fn quit_answers_and_closes(platform: &Platform) {
    let server = Launch::new(platform).start();
    let mut peer = server.peer();
    peer.send(b"PING\r\nQUIT\r\nPING\r\n");
    assert_eq!(peer.read_to_close(), b"+PONG\r\n+OK\r\n");
}

pub(crate) fn half_close_after_the_request_still_gets_the_reply(platform: &Platform) {
    let server = Launch::new(platform).start();
    let mut peer = Peer::connect(server.addr());
    peer.send(b"SET k v\r\nGET k\r\n");
    peer.finish_sending();
    let got = peer.read_to_close();
    assert_eq!(got.escape_ascii().to_string(), b"+OK\r\n$1\r\nv\r\n".escape_ascii().to_string());
}

pub(crate) fn half_close_after_more_than_a_turn_takes_still_gets_every_reply(platform: &Platform) {
    // More requests than a turn executes, more replies than an output may hold, and half a request that is never finished.
    const VALUE_BYTES: usize = 20_000;
    const REQUESTS: usize = 1000;
    let server = Launch::new(platform).start();
    let mut peer = Peer::connect(server.addr());
    assert_eq!(peer.call(["SET", "k", &"v".repeat(VALUE_BYTES)]), Reply::ok());
    let mut wire = encode(["GET", "k"]).repeat(REQUESTS);
    wire.extend_from_slice(b"*2\r\n$3\r\nGE");
    peer.send(&wire);
    peer.finish_sending();
    for _ in 0..REQUESTS {
        assert!(matches!(peer.reply(), Reply::Bulk(value) if value.len() == VALUE_BYTES));
    }
    assert_eq!(peer.read_to_close(), b"");
}
