//! Requests of a pipeline that change one key: answered as if each were executed alone, though a server may execute them together.

use modb_tests::peer::encode;
use modb_tests::platform::Product;
use modb_tests::{Launch, Peer, Platform, Reply, Server, wait};

/// Sends all of these in one piece.
fn send(peer: &mut Peer, lines: &[&str]) {
    peer.send(&lines.iter().flat_map(|line| encode(line.split(' '))).collect::<Vec<_>>());
}

fn ask(peer: &mut Peer, lines: &[&str]) -> Vec<Reply> {
    send(peer, lines);
    peer.replies(lines.len())
}

/// How many requests were executed together with those before them.
fn followed(server: &Server) -> usize {
    server.info("modb_commands_followed").parse().expect("a number")
}

fn error(text: &str) -> Reply {
    Reply::Error(text.into())
}

pub(crate) fn pipelined_changes_of_one_key_are_answered_as_if_one_by_one(platform: &Platform) {
    let server = Launch::new(platform).start();
    let mut peer = server.peer();
    let wrong = "WRONGTYPE Operation against a key holding the wrong kind of value";
    let replies = ask(
        &mut peer,
        &[
            "RPUSH l a b",
            "LPUSH l c",
            "INCR l",
            "RPOP l",
            "LSET l 9 x",
            "LSET l 0 d",
            "EXPIRE l 100",
            "RPUSH l e",
            "LRANGE l 0 -1",
        ],
    );
    let list = ["d", "a", "e"].map(Reply::bulk);
    let expected = [
        Reply::Int(2),
        Reply::Int(3),
        error(wrong),
        Reply::bulk("b"),
        error("ERR index out of range"),
        Reply::ok(),
        Reply::Int(1),
        Reply::Int(3),
        Reply::Array(list.into()),
    ];
    assert_eq!(replies, expected);
    assert_eq!(peer.ask("TTL l"), Reply::Int(100));
    let calls = |name: &str| {
        let stats = peer_stats(&server);
        stats
            .lines()
            .find(|line| line.starts_with(&format!("cmdstat_{name}:")))
            .unwrap_or_default()
            .to_owned()
    };
    assert!(
        calls("rpush").contains("calls=2,") && calls("rpush").contains("failed_calls=0"),
        "{}",
        calls("rpush")
    );
    assert!(
        calls("lset").contains("calls=2,") && calls("lset").contains("failed_calls=1"),
        "{}",
        calls("lset")
    );
    if platform.product == Product::Modb {
        // None is added once it has taken long.
        wait::until("some are executed together", || {
            assert_eq!(
                ask(&mut peer, &["SET n 1", "INCR n", "INCR n"]),
                [Reply::ok(), Reply::Int(2), Reply::Int(3)]
            );
            (followed(&server) > 0).then_some(())
        });
    }
}

fn peer_stats(server: &Server) -> String {
    server.peer().ask("INFO commandstats").text()
}

pub(crate) fn who_waits_for_an_element_gets_the_first_of_a_pipeline(platform: &Platform) {
    let server = Launch::new(platform).start();
    let mut waiter = server.peer();
    waiter.send(&encode(["BLPOP", "q", "0"]));
    wait::until("it waits", || (server.info("blocked_clients") == "1").then_some(()));
    let mut peer = server.peer();
    assert_eq!(ask(&mut peer, &["LPUSH q a", "LPUSH q b", "LPUSH q c"]), [1, 1, 2].map(Reply::Int));
    assert_eq!(waiter.reply(), Reply::Array(vec![Reply::bulk("q"), Reply::bulk("a")]));
    if platform.product == Product::Modb {
        assert_eq!(followed(&server), 0, "each was seen by who waited");
        waiter.send(&encode(["BLPOP", "other", "0"]));
        wait::until("it waits again", || (server.info("blocked_clients") == "1").then_some(()));
        wait::until("nobody waits for this key, so that requests are executed together", || {
            assert_eq!(ask(&mut peer, &["SET n 1", "INCR n"]), [Reply::ok(), Reply::Int(2)]);
            (followed(&server) > 0).then_some(())
        });
    }
}

pub(crate) fn who_watches_a_key_is_told_of_a_pipeline_that_changes_it(platform: &Platform) {
    let server = Launch::new(platform).start();
    let (mut watcher, mut peer) = (server.peer(), server.peer());
    assert_eq!(watcher.ask("WATCH n"), Reply::ok());
    assert_eq!(ask(&mut peer, &["INCR n", "INCR n", "DECRBY n 2"]), [1, 2, 0].map(Reply::Int));
    assert_eq!(ask(&mut watcher, &["MULTI", "GET n", "EXEC"]).pop(), Some(Reply::NullArray));
}

pub(crate) fn who_listens_hears_of_each_request_of_a_pipeline(platform: &Platform) {
    let server = Launch::new(platform).start();
    let (mut listener, mut peer) = (server.peer(), server.peer());
    assert_eq!(peer.ask("CONFIG SET notify-keyspace-events KA"), Reply::ok());
    listener.send(&encode(["SUBSCRIBE", "__keyspace@0__:n"]));
    listener.reply();
    assert_eq!(ask(&mut peer, &["SET n 1", "INCR n", "APPEND n x", "EXPIRE n 10"]).len(), 4);
    for event in ["set", "incrby", "append", "expire"] {
        let message = ["message", "__keyspace@0__:n", event].map(Reply::bulk);
        assert_eq!(listener.reply(), Reply::Array(message.into()));
    }
}

pub(crate) fn two_pipelines_on_one_key_lose_nothing(platform: &Platform) {
    const ROUNDS: usize = 200;
    const PIPELINE: usize = 50;
    let server = Launch::new(platform).start();
    std::thread::scope(|scope| {
        for name in ["a", "b"] {
            let server = &server;
            scope.spawn(move || {
                let mut peer = server.peer();
                let push = format!("RPUSH l {name}");
                let lines = vec![push.as_str(); PIPELINE];
                let mut last = 0;
                for _ in 0..ROUNDS {
                    for reply in ask(&mut peer, &lines) {
                        assert!(reply.int() > last, "it only grows");
                        last = reply.int();
                    }
                }
            });
        }
    });
    let mut peer = server.peer();
    assert_eq!(peer.ask("LLEN l"), Reply::Int((2 * ROUNDS * PIPELINE) as i64));
    if platform.product == Product::Modb {
        assert!(followed(&server) > 0);
    }
}
