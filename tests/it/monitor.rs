//! `MONITOR`: what is shown of what others do, in which order, and what becomes of those who do not read it.

use std::thread;

use modb_tests::peer::encode;
use modb_tests::platform::Product;
use modb_tests::{Launch, Peer, Platform, Reply, Server, wait};

fn start(platform: &Platform, workers: usize) -> Server {
    let launch = Launch::new(platform);
    match platform.product {
        Product::Modb => launch.with("--workers", &workers.to_string()).start(),
        _ => launch.start(),
    }
}

/// One who monitors.
fn monitor(server: &Server) -> Peer {
    let mut peer = server.peer();
    assert_eq!(peer.ask("MONITOR"), Reply::ok());
    peer
}

/// The database, who it was, and the words as they are quoted, of the next line.
fn line(peer: &mut Peer) -> (String, String, String) {
    let reply = peer.reply();
    let Reply::Simple(text) = &reply else { panic!("no line: {reply:?}") };
    let text = String::from_utf8(text.clone()).expect("it is quoted");
    let (time, rest) = text.split_once(" [").expect("a time, and who");
    let (seconds, micros) = time.split_once('.').expect("microseconds");
    assert!(seconds.parse::<u64>().is_ok() && micros.len() == 6 && micros.parse::<u32>().is_ok(), "{text}");
    let (who, words) = rest.split_once("] ").expect("words");
    let (database, address) = who.split_once(' ').expect("a database");
    (database.to_owned(), address.to_owned(), words.to_owned())
}

pub(crate) fn what_is_executed_is_shown_as_redis_shows_it(platform: &Platform) {
    let server = start(platform, 2);
    let (mut peer, mut ears) = (server.peer(), monitor(&server));
    let address = peer.stream().local_addr().expect("it is connected").to_string();
    // What is refused, or queued, or of an administrator is not shown; what fails is.
    let steps: &[(&str, &[&str])] = &[
        ("SELECT 5", &[r#"5 "SELECT" "5""#]),
        ("get a", &[r#"5 "get" "a""#]),
        ("SET s x", &[r#"5 "SET" "s" "x""#]),
        ("FOO bar", &[]),
        ("GET", &[]),
        ("INCR s", &[r#"5 "INCR" "s""#]),
        ("CONFIG GET port", &[]),
        ("CLIENT LIST", &[]),
        ("CLIENT ID", &[r#"5 "CLIENT" "ID""#]),
        ("EXEC", &[r#"5 "EXEC""#]),
        ("MULTI", &[r#"5 "MULTI""#]),
        ("SET q 1", &[]),
        ("SELECT 3", &[]),
        ("LPUSH q 1", &[]),
        ("INCR s", &[]),
        ("CONFIG GET port", &[]),
        ("PUBLISH a b", &[]),
        (
            "EXEC",
            &[
                r#"5 "SET" "q" "1""#,
                r#"3 "SELECT" "3""#,
                r#"3 "LPUSH" "q" "1""#,
                r#"3 "INCR" "s""#,
                r#"3 "PUBLISH" "a" "b""#,
                r#"3 "EXEC""#,
            ],
        ),
        ("MULTI", &[r#"3 "MULTI""#]),
        ("GET", &[]),
        ("EXEC", &[r#"3 "EXEC""#]),
        ("MULTI", &[r#"3 "MULTI""#]),
        ("MONITOR", &[]),
        ("EXEC", &[r#"3 "EXEC""#]),
        ("BLPOP none 0.01", &[r#"3 "BLPOP" "none" "0.01""#]),
        ("AUTH default secret", &[r#"3 "AUTH" "(redacted)" "(redacted)""#]),
        (
            "HELLO 2 AUTH default secret SETNAME me",
            &[r#"3 "HELLO" "2" "AUTH" "(redacted)" "(redacted)" "SETNAME" "me""#],
        ),
        ("RESET", &[r#"0 "RESET""#]),
        ("SUBSCRIBE a", &[r#"0 "SUBSCRIBE" "a""#]),
        ("PING", &[r#"0 "PING""#]),
    ];
    for (step, lines) in steps {
        let reply = peer.ask(step);
        if let (Reply::Array(replies), "EXEC", 1) = (&reply, *step, lines.len()) {
            assert_eq!(
                replies[0].error().as_deref(),
                Some("ERR MONITOR isn't allowed for DENY BLOCKING client")
            );
        }
        for expected in *lines {
            let (database, who, words) = line(&mut ears);
            assert_eq!((format!("{database} {words}"), &who), ((*expected).to_owned(), &address), "{step}");
        }
    }
    let mut other = server.peer();
    other.call([&b"SET"[..], b"", b"\x00\n\r\t\x07\x08\"\\\x7f\xc3\xa9"]);
    assert_eq!(line(&mut ears).2, r#""SET" "" "\x00\n\r\t\a\b\"\\\x7f\xc3\xa9""#);
    // Who waits is shown when he begins to, and not again when he is served.
    peer.send(&encode(["RESET"]));
    peer.reply();
    assert_eq!(line(&mut ears).2, r#""RESET""#);
    peer.send(&encode(["BLPOP", "list", "0"]));
    assert_eq!(line(&mut ears).2, r#""BLPOP" "list" "0""#);
    other.ask("RPUSH list x");
    assert_eq!(peer.reply().items()[1], Reply::bulk("x"));
    other.ask("PING");
    assert_eq!([line(&mut ears).2, line(&mut ears).2], [r#""RPUSH" "list" "x""#, r#""PING""#]);
    assert_eq!(other.call(["CONFIG", "SET", "slowlog-log-slower-than", "0"]), Reply::ok());
    other.ask("AUTH default hush");
    let slow = format!("{:?}", other.ask("SLOWLOG GET 1"));
    assert!(slow.contains("(redacted)") && !slow.contains("hush"), "{slow}");
}

pub(crate) fn who_monitors_sees_what_he_does_himself_and_may_not_touch_keys(platform: &Platform) {
    let server = start(platform, 2);
    let (mut peer, mut other) = (monitor(&server), server.peer());
    assert!(other.ask("CLIENT LIST").text().contains(" flags=O "));
    // A second time there is no answer.
    peer.send(&[encode(["MONITOR"]), encode(["PING"]), encode(["PING", "x"])].concat());
    assert_eq!(peer.reply(), Reply::Simple(b"PONG".to_vec()));
    assert_eq!(line(&mut peer).2, r#""PING""#);
    assert_eq!(peer.reply(), Reply::bulk("x"));
    assert_eq!(line(&mut peer).2, r#""PING" "x""#);
    for refused in ["GET a", "SET a b", "PUBLISH a b", "DBSIZE"] {
        let error = peer.ask(refused).error();
        assert_eq!(error.as_deref(), Some("ERR Replica can't interact with the keyspace"), "{refused}");
    }
    // In RESP3, too, a line is a reply.
    assert!(matches!(peer.ask("HELLO 3"), Reply::Map(_)));
    assert_eq!(line(&mut peer).2, r#""HELLO" "3""#);
    peer.send(&encode(["CLIENT", "REPLY", "OFF"]));
    peer.send(&encode(["PING"]));
    assert_eq!(peer.ask("CLIENT REPLY ON"), Reply::ok());
    assert_eq!(line(&mut peer).2, r#""CLIENT" "REPLY" "ON""#);
    assert_eq!(peer.ask("RESET"), Reply::Simple(b"RESET".to_vec()));
    other.ask("GET a");
    peer.send(&[encode(["PING"]), encode(["GET", "a"])].concat());
    assert_eq!(peer.reply(), Reply::Simple(b"PONG".to_vec()));
    assert!(peer.reply().is_null(), "it is over");
    assert!(other.ask("CLIENT LIST").text().contains(" flags=N "));
    let mut peer = monitor(&server);
    peer.send(&encode(["QUIT"]));
    assert_eq!(peer.reply(), Reply::ok());
    peer.read_to_close();
    wait::until("nobody monitors", || (!other.ask("CLIENT LIST").text().contains(" flags=O ")).then_some(()));
}

pub(crate) fn all_who_monitor_see_one_order_and_that_of_each_connection_and_key(platform: &Platform) {
    const CLIENTS: usize = 4;
    const EACH: usize = 500;
    let server = start(platform, 4);
    // On all workers, and more than one on some.
    let mut ears: Vec<Peer> = (0..6).map(|_| monitor(&server)).collect();
    let (numbers, seen) = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let server = &server;
                scope.spawn(move || {
                    let (mut peer, own) = (server.peer(), format!("own{client}"));
                    let mut numbers = Vec::new();
                    for n in 0..EACH {
                        peer.call(["SET", &own, &n.to_string()]);
                        numbers.push(peer.call(["INCR", "shared"]).int());
                    }
                    numbers
                })
            })
            .collect();
        let readers: Vec<_> = ears
            .iter_mut()
            .map(|ears| scope.spawn(|| (0..2 * CLIENTS * EACH).map(|_| line(ears)).collect::<Vec<_>>()))
            .collect();
        let numbers: Vec<Vec<i64>> =
            clients.into_iter().map(|client| client.join().expect("it did not panic")).collect();
        let seen: Vec<_> =
            readers.into_iter().map(|reader| reader.join().expect("it did not panic")).collect();
        (numbers, seen)
    });
    for other in &seen {
        assert!(*other == seen[0], "all see one order");
    }
    let mut increments = Vec::new();
    let mut addresses = Vec::new();
    for client in 0..CLIENTS {
        let own = format!(r#""SET" "own{client}" "#);
        let sets: Vec<_> = seen[0].iter().filter(|(_, _, words)| words.starts_with(&own)).collect();
        let expected = (0..EACH).map(|n| format!(r#"{own}"{n}""#));
        assert!(
            sets.iter().map(|(_, _, words)| words.clone()).eq(expected),
            "in the order of each connection"
        );
        addresses.push(sets[0].1.clone());
    }
    for (_, who, words) in &seen[0] {
        if words.starts_with(r#""INCR""#) {
            increments.push(addresses.iter().position(|address| address == who).expect("one of them"));
        }
    }
    for (client, numbers) in numbers.iter().enumerate() {
        for number in numbers {
            assert_eq!(increments[*number as usize - 1], client, "in the order of the commits of a key");
        }
    }
}

pub(crate) fn who_monitors_and_does_not_read_is_closed_and_harms_nobody(platform: &Platform) {
    let server = start(platform, 2);
    let mut peer = server.peer();
    let limits = if platform.product == Product::Modb { "pubsub 1mb 0 0" } else { "normal 1mb 0 0" };
    assert_eq!(peer.call(["CONFIG", "SET", "client-output-buffer-limit", limits]), Reply::ok());
    let mut deaf = Peer::connect_with_small_window(server.addr());
    deaf.send(&encode(["MONITOR"]));
    assert_eq!(deaf.reply(), Reply::ok());
    let mut reader = monitor(&server);
    let text = "x".repeat(16 << 10);
    let mut shown = 0;
    wait::until("the one who does not read is closed", || {
        for _ in 0..50 {
            assert_eq!(peer.call(["SET", "k", &text]), Reply::ok());
            assert!(line(&mut reader).2.len() > text.len(), "the other one sees all");
            shown += 1;
        }
        let monitors = peer.ask("CLIENT LIST").text().matches(" flags=O ").count();
        (monitors == 1).then_some(())
    });
    assert!(shown > 40, "{shown} lines of 16 KiB are not 1 MiB");
    if platform.product == Product::Modb {
        assert!(server.comes_to_say("client-output-buffer-limit"), "the log tells why");
    }
}
