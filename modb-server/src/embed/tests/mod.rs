//! The traps of an embedding API, each with its outcome, and what the calls do.

mod collections;
mod messages;
mod moving;
mod transactions;
mod waiting;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::*;
use crate::data::Parker;
use crate::store::{Batch, Write};
use crate::{Database, Options, Reply, Server};

/// What nobody waits for in vain takes less.
const LONG: Duration = Duration::from_secs(60);

fn in_memory() -> Database {
    Database::in_memory().unwrap()
}

fn with(name: &str, value: &str) -> Database {
    Options::in_memory().set(name, value).unwrap().open().unwrap()
}

fn serve(database: &Database) -> Server {
    Server::bind(database, ([127, 0, 0, 1], 0).into()).unwrap()
}

/// A client of a server, which writes lines and reads what is expected.
struct Peer(TcpStream);

impl Peer {
    fn new(server: &Server) -> Self {
        let stream = TcpStream::connect(server.local_addrs()[0]).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        Self(stream)
    }

    /// Sends a line, and reads exactly this, with `|` for the ends of lines.
    fn exchange(&mut self, line: &str, reply: &str) {
        self.send(line);
        self.expect(reply);
    }

    fn send(&mut self, line: &str) {
        self.0.write_all(format!("{line}\r\n").as_bytes()).unwrap();
    }

    /// Reads until everything is answered that was asked before.
    fn skip(&mut self) {
        self.send("PING");
        let mut read = Vec::new();
        while !read.ends_with(b"+PONG\r\n") {
            let at = read.len();
            read.push(0);
            self.0.read_exact(&mut read[at..]).unwrap();
        }
    }

    fn expect(&mut self, reply: &str) {
        let expected = reply.replace('|', "\r\n");
        let mut read = vec![0; expected.len()];
        self.0.read_exact(&mut read).unwrap();
        assert_eq!(read.escape_ascii().to_string(), expected.as_bytes().escape_ascii().to_string());
    }
}

#[test]
fn handles_can_be_sent_shared_and_kept() {
    fn check<T: Send + Sync + 'static>() {}
    check::<Database>();
    check::<Keyspace>();
    check::<Keys>();
    check::<Subscription>();
    check::<Server>();
    check::<Error>();
    fn send<T: Send>() {}
    send::<LocalClient>();
}

#[test]
fn typed_calls_and_commands_see_the_same_data() {
    let database = in_memory();
    database.set("a", "1").unwrap();
    assert_eq!(database.increment("a", 4).unwrap(), 5);
    let mut client = database.client().unwrap();
    assert_eq!(client.run(["GET", "a"]).unwrap(), Reply::Bulk(b"5".to_vec()));
    assert_eq!(client.run(["SELECT", "3"]).unwrap(), Reply::Simple(b"OK".to_vec()));
    client.run(["SET", "b", "x"]).unwrap();
    let third = database.keyspace(3).unwrap();
    assert_eq!(third.get("b").unwrap(), Some("x".into()));
    assert!(third.expire("b", Duration::ZERO).unwrap() && third.is_empty().unwrap());
    let none = database.keyspace(16);
    assert!(matches!(none, Err(Error::NoSuchKeyspace { index: 16, count: 16 })));
    assert!(database.delete("a").unwrap() && !database.delete("a").unwrap());
    assert!(matches!(client.run(["NOPE"]).unwrap(), Reply::Error(_)));
}

#[test]
fn single_calls_do_what_they_say() {
    let database = in_memory();
    assert!(database.set_if_absent("a", "1").unwrap() && !database.set_if_absent("a", "2").unwrap());
    assert!(!database.compare_and_set("a", "2", "3").unwrap());
    assert!(!database.compare_and_set("none", "", "3").unwrap() && !database.exists("none").unwrap());
    database.expire("a", Duration::from_secs(100)).unwrap();
    assert!(database.compare_and_set("a", "1", "3").unwrap());
    assert!(matches!(database.ttl("a").unwrap(), Ttl::Left(time) if time.as_secs() >= 99), "it stays");
    assert!(database.persist("a").unwrap() && !database.persist("none").unwrap());
    assert_eq!((database.ttl("a").unwrap(), database.ttl("none").unwrap()), (Ttl::Forever, Ttl::NoKey));
    assert_eq!(database.append("a", "4").unwrap(), 2);
    assert_eq!(database.get_many(&["a", "none", "a"]).unwrap(), [Some("34".into()), None, Some("34".into())]);
    assert_eq!(database.kind("a").unwrap(), Some(Kind::String));
    database.set_for("b", "1", Duration::from_nanos(1)).unwrap();
    assert_eq!(database.len().unwrap(), 2, "it lived, for a moment");
    database.clear().unwrap();
    assert!(database.is_empty().unwrap() && !database.exists("a").unwrap());
}

#[test]
fn a_closure_that_fails_writes_nothing_whatever_its_error() {
    #[derive(Debug)]
    struct Mine(&'static str);
    impl From<Error> for Mine {
        fn from(_: Error) -> Self {
            Self("the database's")
        }
    }
    let database = in_memory();
    database.set("text", "x").unwrap();
    let failed = database.update(&["a", "text"], |keys| {
        keys.set("a", "1")?;
        keys.increment("text", 1)
    });
    assert!(matches!(failed, Err(Error::NotAnInteger)));
    let failed = database.update(&["a"], |keys| {
        keys.set("a", "1")?;
        Err::<(), _>(Mine("my own"))
    });
    assert_eq!(failed.unwrap_err().0, "my own");
    let failed: Result<i64, Mine> = database.update(&["text"], |keys| Ok(keys.increment("text", 1)?));
    assert_eq!(failed.unwrap_err().0, "the database's");
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        database.update(&["a"], |keys| -> Result<(), Error> {
            keys.set("a", "1")?;
            panic!("on purpose")
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(database.get("a").unwrap(), None);
    database.set("a", "free again").unwrap();
}

#[test]
fn a_closure_has_access_to_the_keys_that_were_named_only() {
    let database = in_memory();
    let many: Vec<String> = (0..20).map(|n| format!("key {n}")).collect();
    for named in [&many[..2], &many[..]] {
        database
            .update(named, |keys| {
                for key in named {
                    keys.increment(key, 1)?;
                }
                let refused = keys.increment("other", 1).unwrap_err();
                assert!(matches!(&refused, Error::KeyNotNamed { key } if key == "other"), "{refused}");
                assert!(matches!(keys.get("other"), Err(Error::KeyNotNamed { .. })));
                assert!(matches!(keys.delete("key"), Err(Error::KeyNotNamed { .. })));
                Ok::<_, Error>(())
            })
            .unwrap();
    }
    assert_eq!(database.len().unwrap(), 20);
    assert_eq!(database.get("key 1").unwrap(), Some("2".into()));
}

#[test]
fn increments_of_several_threads_are_all_counted() {
    let database = in_memory();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let database = database.clone();
            scope.spawn(move || {
                for _ in 0..500 {
                    let change = |keys: &mut Update<'_>| {
                        let a = keys.increment("a", 1)?;
                        assert_eq!(keys.increment("b", 1)?, a, "nobody sees half of it");
                        Ok::<_, Error>(())
                    };
                    database.update(&["a", "b"], change).unwrap();
                }
            });
        }
    });
    assert_eq!(database.get("b").unwrap(), Some("2000".into()));
}

/// Every call that goes through a handle, each with its name.
fn calls(database: &Database) -> Vec<(&'static str, Result<(), Error>)> {
    let mut client = database.client();
    let keyspace = &**database;
    let bind = Server::bind(database, ([127, 0, 0, 1], 0).into());
    let served = bind.map(drop).map_err(|error| match error {
        crate::ServeError::Database(error) => error,
        other => Error::Other(other.to_string()),
    });
    let ran = match &mut client {
        Ok(client) => client.run(["SET", "a", "1"]).map(drop),
        Err(error) => Err(copy(error)),
    };
    vec![
        ("get", keyspace.get("a").map(drop)),
        ("get_many", keyspace.get_many(&["a", "b"]).map(drop)),
        ("exists", keyspace.exists("a").map(drop)),
        ("kind", keyspace.kind("a").map(drop)),
        ("ttl", keyspace.ttl("a").map(drop)),
        ("set", keyspace.set("a", "1")),
        ("set_for", keyspace.set_for("a", "1", Duration::from_secs(9))),
        ("set_if_absent", keyspace.set_if_absent("a", "1").map(drop)),
        ("compare_and_set", keyspace.compare_and_set("a", "1", "1").map(drop)),
        ("append", keyspace.append("b", "1").map(drop)),
        ("increment", keyspace.increment("c", 1).map(drop)),
        ("delete", keyspace.delete("c").map(drop)),
        ("expire", keyspace.expire("a", Duration::from_secs(9)).map(drop)),
        ("persist", keyspace.persist("a").map(drop)),
        ("len", keyspace.len().map(drop)),
        ("is_empty", keyspace.is_empty().map(drop)),
        ("clear", keyspace.clear()),
        ("keys", keyspace.keys().next().map_or(Ok(()), |key| key.map(drop))),
        ("map get", keyspace.map("map").get("a").map(drop)),
        ("map insert", keyspace.map("map").insert("a", "1").map(drop)),
        ("map remove", keyspace.map("map").remove("a").map(drop)),
        ("map len", keyspace.map("map").len().map(drop)),
        ("map nth", keyspace.map("map").nth(0).map(drop)),
        ("map rank", keyspace.map("map").rank("a").map(drop)),
        ("map iter", keyspace.map("map").iter().next().map_or(Ok(()), |entry| entry.map(drop))),
        ("hash get", keyspace.hash("hash").get("a").map(drop)),
        ("hash insert", keyspace.hash("hash").insert("a", "1").map(drop)),
        ("hash iter", keyspace.hash("hash").iter().next().map_or(Ok(()), |entry| entry.map(drop))),
        ("list get", keyspace.list("list").get(0).map(drop)),
        ("list push_back", keyspace.list("list").push_back("a").map(drop)),
        ("list iter", keyspace.list("list").iter().next().map_or(Ok(()), |element| element.map(drop))),
        ("set contains", keyspace.set_at("set").contains("a").map(drop)),
        ("set insert", keyspace.set_at("set").insert("a").map(drop)),
        ("set iter", keyspace.set_at("set").iter().next().map_or(Ok(()), |member| member.map(drop))),
        ("sorted set score", keyspace.sorted_set("sorted").score("a").map(drop)),
        ("sorted set insert", keyspace.sorted_set("sorted").insert("a", 1.0).map(drop)),
        (
            "sorted set iter",
            keyspace.sorted_set("sorted").iter().next().map_or(Ok(()), |entry| entry.map(drop)),
        ),
        ("update", keyspace.update(&["a"], |_| Ok(()))),
        ("subscribe", database.subscribe(&["c"]).map(drop)),
        ("subscribe_matching", database.subscribe_matching(&["c"]).map(drop)),
        ("publish", database.publish("c", "x").map(drop)),
        ("keyspace", database.keyspace(1).map(drop)),
        ("client", client.map(drop)),
        ("sync", database.sync()),
        ("compact", database.compact()),
        ("serve", served),
        ("run", ran),
    ]
}

/// Errors are not `Clone`.
fn copy(error: &Error) -> Error {
    match error {
        Error::InsideUpdate => Error::InsideUpdate,
        Error::Closed => Error::Closed,
        other => Error::Other(other.to_string()),
    }
}

#[test]
fn every_call_works_outside_fails_at_once_inside_a_closure_and_works_again() {
    let database = in_memory();
    let other = in_memory();
    let mut client = database.client().unwrap();
    let mut walk = database.keys();
    for (name, outcome) in calls(&database) {
        outcome.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    database
        .update(&["a"], |keys| {
            keys.set("a", "1")?;
            // First one that would not wait for this closure.
            assert!(matches!(database.get("a"), Err(Error::InsideUpdate)));
            for (name, outcome) in calls(&database.clone()) {
                assert!(matches!(outcome, Err(Error::InsideUpdate)), "{name}: {outcome:?}");
            }
            assert!(matches!(database.close(), Err(Error::InsideUpdate)));
            assert!(matches!(database.backup("nowhere"), Err(Error::InsideUpdate)));
            assert!(matches!(client.run(["PING"]), Err(Error::InsideUpdate)));
            assert!(matches!(walk.next(), Some(Err(Error::InsideUpdate))));
            assert!(walk.next().is_none(), "an error ends it");
            // Another database is another matter, also in a closure of its own.
            other.update(&["b"], |theirs| {
                assert!(matches!(database.get("a"), Err(Error::InsideUpdate)));
                theirs.set("b", "2")
            })?;
            assert!(matches!(database.get("a"), Err(Error::InsideUpdate)));
            other.get("b")
        })
        .unwrap();
    for (name, outcome) in calls(&database) {
        outcome.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn a_server_can_be_dropped_inside_a_closure_that_its_clients_wait_for() {
    let database = in_memory();
    let server = Server::bind(&database, ([127, 0, 0, 1], 0).into()).unwrap();
    let addr = server.local_addrs()[0];
    let mut stream = database
        .update(&["a"], |keys| {
            let mut stream = TcpStream::connect(addr).unwrap();
            stream.write_all(b"SET a client\r\n").unwrap();
            drop(server);
            keys.set("a", "closure")?;
            Ok::<_, Error>(stream)
        })
        .unwrap();
    // It ends in the background, and closing waits for it.
    database.close().unwrap();
    let mut rest = Vec::new();
    // The command may have been read before the end came, or not.
    let ended = stream.read_to_end(&mut rest);
    assert!(ended.is_err() || rest.is_empty() || rest == b"+OK\r\n", "{ended:?} {rest:?}");
}

#[test]
fn walks_hold_nothing_between_their_steps_and_meet_each_key_once() {
    let database = in_memory();
    let names: Vec<String> = (0..1000).map(|n| format!("key {n}")).collect();
    for name in &names {
        database.set(name, "x").unwrap();
    }
    let mut met = Vec::new();
    for (n, key) in database.keys().enumerate() {
        met.push(key.unwrap().to_string());
        if n % 100 == 0 {
            database.set(format!("new {n}"), "x").unwrap();
            database.update(&["key 1", "key 2"], |keys| keys.set("key 1", "y")).unwrap();
        }
    }
    met.retain(|key| key.starts_with("key"));
    met.sort();
    let mut names = names;
    names.sort();
    assert_eq!(met, names);
}

#[test]
fn a_read_through_another_thread_does_not_wait_for_a_closure() {
    let database = in_memory();
    database.set("a", "before").unwrap();
    let (ask, asked) = mpsc::channel::<()>();
    let (tell, told) = mpsc::channel();
    let reader = database.clone();
    let thread = std::thread::spawn(move || {
        asked.recv().unwrap();
        tell.send(reader.get("a").unwrap()).unwrap();
    });
    database
        .update(&["a"], |keys| {
            keys.set("a", "after")?;
            ask.send(()).unwrap();
            assert_eq!(told.recv().unwrap(), Some("before".into()));
            Ok::<_, Error>(())
        })
        .unwrap();
    thread.join().unwrap();
}

#[test]
fn options_are_told_when_they_are_wrong() {
    let refused = Options::in_memory().databases(0).open().unwrap_err().to_string();
    assert!(refused.starts_with("databases: "), "{refused}");
    let database = Options::in_memory().databases(3).open().unwrap();
    assert!(database.keyspace(2).is_ok() && database.keyspace(3).is_err());
    assert!(Options::in_memory().read_only().open().is_err());
}

/// A database in which a closure may keep others waiting for so long.
fn with_patience(ms: u64) -> Database {
    let mut options = Options::in_memory();
    options.patience_with_closures = Duration::from_millis(ms);
    options.open().unwrap()
}

/// Runs `change` in a closure on these keys, on a thread of that name, while `meanwhile` runs here.
fn while_a_closure_runs<R>(database: &Database, keys: &[&str], meanwhile: impl FnOnce() -> R) -> R {
    let ((begun, begins), (end, ends)) = (mpsc::channel(), mpsc::channel::<()>());
    std::thread::scope(|scope| {
        // Here, so that a panic of `meanwhile` ends the closure as well.
        let end = end;
        let body = move || {
            let change = |keys: &mut Update<'_>| {
                begun.send(()).unwrap();
                ends.recv().unwrap();
                // If it is one of them.
                keys.set("held", "by a closure").or(Ok::<_, Error>(()))
            };
            database.update(keys, change).unwrap();
        };
        let closure = std::thread::Builder::new().name("the slow one".into()).spawn_scoped(scope, body);
        begins.recv().unwrap();
        let result = meanwhile();
        end.send(()).unwrap();
        closure.unwrap().join().unwrap();
        result
    })
}

#[test]
fn a_wait_for_a_closure_ends_with_an_error_that_names_it() {
    let database = with_patience(50);
    let mut client = database.client().unwrap();
    while_a_closure_runs(&database, &["other", "held"], || {
        let mut set = database.client().unwrap();
        let waits: [(&str, Result<(), Error>); 6] = [
            ("set", database.set("held", "1")),
            ("update", database.update(&["a", "held"], |_| Ok(()))),
            ("get_many", database.get_many(&["a", "held"]).map(drop)),
            ("clear", database.clear()),
            ("another keyspace", database.keyspace(1).unwrap().set("held", "1")),
            ("run", set.run(["MSET", "a", "1", "held", "1"]).map(drop)),
        ];
        for (name, outcome) in waits {
            let Err(Error::UpdateTooSlow { keys, thread }) = &outcome else { panic!("{name}: {outcome:?}") };
            assert_eq!(*keys, ["other", "held"]);
            assert_eq!(thread, "thread 'the slow one'", "{name}");
        }
        assert_eq!(database.get("held").unwrap(), None, "what reads one key does not wait");
        database.set("a", "free").unwrap();
    });
    assert_eq!(database.get("held").unwrap(), Some("by a closure".into()));
    assert_eq!(database.get("a").unwrap(), Some("free".into()), "nothing of what gave up was done");
    client.run(["SET", "held", "free"]).unwrap();
}

#[test]
fn records_of_pipelined_requests_are_fetched_while_those_before_them_run() {
    const KEYS: usize = 200;
    let database = Options::temporary().open().unwrap();
    let server = serve(&database);
    let mut peer = Peer::new(&server);
    let fetched =
        || database.shared().run(|open| Ok::<_, Error>(open.instance.data.store().fetched())).unwrap();
    let all = |request: fn(usize) -> String| (0..KEYS).map(request).collect::<String>();
    let set = |n: usize| format!("*3\r\n$3\r\nSET\r\n$6\r\nkey{n:03}\r\n$3\r\n{n:03}\r\n");
    peer.0.write_all(all(set).as_bytes()).unwrap();
    peer.expect(&"+OK|".repeat(KEYS));
    assert_eq!(fetched(), 0, "none of them was there");
    peer.0.write_all(all(|n| format!("*2\r\n$3\r\nGET\r\n$6\r\nkey{n:03}\r\n")).as_bytes()).unwrap();
    peer.expect(&(0..KEYS).map(|n| format!("$3|{n:03}|")).collect::<String>());
    // Of what is read of the connection at once all but the first.
    assert!(
        !crate::sys::CAN_PREFETCH || (KEYS as u64 * 9 / 10..KEYS as u64).contains(&fetched()),
        "{} of {KEYS}",
        fetched()
    );
}

#[test]
fn leaves_of_a_sorted_set_are_fetched_before_they_are_read() {
    const MEMBERS: usize = 2_000;
    const CHANGES: usize = 100;
    let database = Options::temporary().open().unwrap();
    let mut client = database.client().unwrap();
    let mut add = |n: usize, score: usize| {
        client.run(["ZADD", "z", &score.to_string(), &format!("member:{n:09}")]).unwrap();
    };
    (0..MEMBERS).for_each(|n| add(n, n));
    let fetched =
        || database.shared().run(|open| Ok::<_, Error>(open.instance.data.store().fetched())).unwrap();
    let before = fetched();
    (0..CHANGES).for_each(|n| add(n * 17, MEMBERS - n * 17));
    // The leaf that has the member, the one that it leaves by score and the one that it goes to; some go to where they were.
    let leaves = 3 * CHANGES as u64;
    let fetched = fetched() - before;
    assert!(
        !crate::sys::CAN_PREFETCH || (leaves * 9 / 10..=leaves).contains(&fetched),
        "{fetched} of {leaves}"
    );
}

#[test]
fn a_wait_behind_a_command_that_waits_for_a_closure_ends_as_well() {
    let database = with_patience(50);
    while_a_closure_runs(&database, &["held"], || {
        let outcome = database.shared().run(|open| {
            let data = &open.instance.data;
            let quick = open.hold(data.need_one(b"b"))?;
            // As a client's MSET: it has what is free, and waits for the closure.
            let wake = || Parker::default().waker();
            let both = data.need_many([&b"b"[..], b"held"].into_iter());
            let Err(client) = data.hold_or_queue(both, &wake) else { panic!("the closure runs") };
            drop(quick);
            std::thread::scope(|scope| {
                let (told, ends) = mpsc::channel();
                let database = &database;
                scope.spawn(move || told.send(database.set("b", "1")));
                let outcome = ends.recv_timeout(LONG);
                // Whatever came of it: what waits behind this goes on.
                drop(client);
                outcome.expect("the wait ends before the closure does")
            })
        });
        let Err(Error::UpdateTooSlow { keys, thread }) = &outcome else { panic!("{outcome:?}") };
        assert_eq!((&**keys, &**thread), (&["held".into()][..], "thread 'the slow one'"));
        database.set("b", "2").unwrap();
    });
}

#[test]
fn a_wait_for_anything_but_a_closure_lasts_as_long_as_that() {
    let database = with_patience(20);
    let (waiting, waits) = mpsc::channel();
    // One that has ended is nobody's excuse.
    database.update(&["held"], |keys| keys.delete("held")).unwrap();
    database
        .shared()
        .run(|open| {
            // As a long command does.
            let held = open.hold(open.instance.data.need_one(b"held"))?;
            std::thread::scope(|scope| {
                let waiter = scope.spawn(|| {
                    waiting.send(()).unwrap();
                    // A closure on another stripe runs as well, for longer than the patience.
                    database.set("held", "1")
                });
                waits.recv().unwrap();
                while_a_closure_runs(&database, &["other than that", "held elsewhere"], || {
                    let begin = Instant::now();
                    while begin.elapsed() < Duration::from_millis(300) {
                        std::thread::yield_now();
                    }
                });
                drop(held);
                waiter.join().unwrap()
            })
        })
        .unwrap();
    assert_eq!(database.get("held").unwrap(), Some("1".into()));
}

#[test]
fn a_wait_for_many_closures_of_which_each_is_quick_goes_on() {
    const CLOSURES: u64 = 8;
    // Whether all went on, if each was quick: where the machine stands still one is not.
    let all_go_on = |patience_ms: u64| {
        let (database, patience) = (with_patience(patience_ms), Duration::from_millis(patience_ms));
        let slowest_ms = AtomicU64::new(0);
        let gone_on = std::thread::scope(|scope| {
            let one = || {
                database.update(&["held"], |keys| {
                    let begun = Instant::now();
                    std::thread::sleep(patience / 4);
                    let number = keys.increment("held", 1);
                    slowest_ms.fetch_max(begun.elapsed().as_millis() as u64, Ordering::Relaxed);
                    number
                })
            };
            let threads: Vec<_> = (0..CLOSURES).map(|_| scope.spawn(one)).collect();
            threads.into_iter().filter_map(|thread| thread.join().unwrap().ok()).count() as u64
        });
        let slowest_ms = slowest_ms.into_inner();
        assert!(
            gone_on == CLOSURES || slowest_ms > patience_ms / 2,
            "{gone_on}, the slowest {slowest_ms} ms"
        );
        gone_on == CLOSURES
    };
    assert!([400, 4_000, 20_000].into_iter().any(all_go_on), "the machine is too slow");
}

#[test]
fn a_call_that_has_waited_for_room_does_not_do_so_while_others_wait_for_its_keys() {
    let database = Options::temporary().cache_mb(8).min_free_mb(0).open().unwrap();
    let store = database.shared.run(|open| Ok::<_, Error>(Arc::clone(open.instance.data.store()))).unwrap();
    // Until a flush has been slow enough to be seen from both sides.
    let did_not_wait = (0..3).any(|_| {
        let is_crowded = database.update(&["a"], |keys| {
            let puts = (0..12_u32).map(|n| Write::Put(n.to_string().into(), vec![7; 1 << 20].into()));
            store.apply_at_once(&mut Batch { writes: puts.collect() }, false).unwrap();
            keys.set("a", "1")?;
            Ok::<_, Error>(store.crowded_until().is_some())
        });
        is_crowded.unwrap() && store.crowded_until().is_some()
    });
    assert!(did_not_wait);
}
