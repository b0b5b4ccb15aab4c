//! Threads of a program that wait for what others bring.

use super::*;
use crate::Durability;

/// Until so many wait.
pub(super) fn wait_until_waiting(database: &Database, count: usize) {
    let waiting = || database.shared.run(|open| Ok::<_, Error>(open.instance.waiting.count())).unwrap();
    let begun = Instant::now();
    while waiting() != count {
        assert!(begun.elapsed() < Duration::from_secs(60), "{count} do not come to wait");
        std::thread::yield_now();
    }
}

fn pair(key: &str, element: &str) -> Reply {
    Reply::Array([key, element].map(|word| Reply::Bulk(word.into())).into())
}

#[test]
fn a_thread_that_waits_is_served_by_whatever_writes() {
    let database = in_memory();
    let brings: [&(dyn Fn() + Sync); 3] = [
        &|| drop(database.client().unwrap().run(["RPUSH", "q", "v"]).unwrap()),
        &|| assert_eq!(database.list("q").push_back("v").unwrap(), 1),
        &|| assert_eq!(database.update(&["q"], |keys| keys.list("q")?.push_back("v")).unwrap(), 1),
    ];
    for bring in brings {
        std::thread::scope(|scope| {
            let waiter =
                scope.spawn(|| database.client().unwrap().run(["BLPOP", "none", "q", "60"]).unwrap());
            wait_until_waiting(&database, 1);
            bring();
            assert_eq!(waiter.join().unwrap(), pair("q", "v"));
        });
        wait_until_waiting(&database, 0);
        assert!(!database.exists("q").unwrap());
    }
}

#[test]
fn a_wait_ends_with_its_time_or_by_another_client() {
    let database = in_memory();
    let mut client = database.client().unwrap();
    assert_eq!(client.run(["BLPOP", "q", "0.01"]).unwrap(), Reply::Null);
    assert_eq!(client.run(["WAIT", "1", "10"]).unwrap(), Reply::Integer(0));
    let acknowledged = |local| Reply::Array(vec![Reply::Integer(local), Reply::Integer(0)]);
    assert_eq!(client.run(["WAITAOF", "1", "0", "0"]).unwrap(), acknowledged(1));
    assert_eq!(client.run(["WAITAOF", "1", "1", "10"]).unwrap(), acknowledged(1));
    assert_eq!(client.run(["WAITAOF", "0", "1", "10"]).unwrap(), acknowledged(0));
    std::thread::scope(|scope| {
        let mut other = database.client().unwrap();
        let Reply::Integer(id) = other.run(["CLIENT", "ID"]).unwrap() else { panic!("no number") };
        let waiter = scope.spawn(move || other.run(["BLMOVE", "q", "r", "LEFT", "LEFT", "60"]).unwrap());
        wait_until_waiting(&database, 1);
        let unblock = ["CLIENT", "UNBLOCK", &id.to_string(), "ERROR"];
        assert_eq!(client.run(unblock).unwrap(), Reply::Integer(1));
        assert_eq!(client.run(unblock).unwrap(), Reply::Integer(0));
        let error = b"UNBLOCKED client unblocked via CLIENT UNBLOCK".to_vec();
        assert_eq!(waiter.join().unwrap(), Reply::Error(error));
    });
    wait_until_waiting(&database, 0);
    client.run(["RPUSH", "q", "v"]).unwrap();
    assert!(database.exists("q").unwrap());
}

#[test]
fn closing_the_database_ends_all_waits() {
    let database = in_memory();
    std::thread::scope(|scope| {
        let waiters: Vec<_> = (0..4)
            .map(|n| {
                let mut client = database.client().unwrap();
                scope.spawn(move || client.run(["BLPOP", &format!("q{n}"), "60"]))
            })
            .collect();
        wait_until_waiting(&database, 4);
        database.clone().close().unwrap();
        for waiter in waiters {
            assert!(matches!(waiter.join().unwrap(), Err(Error::Closed)));
        }
    });
}

/// What nobody waits for in vain takes less.
const LONG: Duration = Duration::from_secs(60);

type Waits = (&'static str, fn(&Database, Duration) -> Result<String, Error>);

/// Every call that waits, on the key `q`, with what it gives as text.
const WAITS: [Waits; 7] = [
    ("front", |database, timeout| show(database.list("q").pop_front_wait(timeout))),
    ("back", |database, timeout| show(database.list("q").pop_back_wait(timeout))),
    ("move", |database, timeout| {
        let moved = database.list("q").move_wait(Side::Front, "to", Side::Back, timeout);
        if let Ok(Some(element)) = &moved {
            assert_eq!(database.list("to").pop_back().unwrap().as_ref(), Some(element));
        }
        show(moved)
    }),
    ("lists", |database, timeout| {
        show(database.pop_of_lists_wait(&["none", "q"], Side::Front, timeout).map(|popped| {
            popped.map(|(key, element)| {
                assert_eq!(key, "q");
                element
            })
        }))
    }),
    ("first", |database, timeout| show_member(database.sorted_set("q").pop_first_wait(timeout))),
    ("last", |database, timeout| show_member(database.sorted_set("q").pop_last_wait(timeout))),
    ("sorted sets", |database, timeout| {
        show_member(database.pop_of_sorted_sets_wait(&["q", "none"], Side::Back, timeout).map(|popped| {
            popped.map(|(key, member, score)| {
                assert_eq!(key, "q");
                (member, score)
            })
        }))
    }),
];

fn show(popped: Result<Option<Value>, Error>) -> Result<String, Error> {
    Ok(popped?.map_or("nothing".into(), |element| element.to_string()))
}

fn show_member(popped: Result<Option<(Value, f64)>, Error>) -> Result<String, Error> {
    show(popped.map(|popped| {
        popped.map(|(member, score)| {
            assert_eq!(score.to_bits(), 7f64.to_bits());
            member
        })
    }))
}

/// Brings `v` to the key `q` for a call of that name.
fn bring(database: &Database, name: &str) {
    match name {
        "first" | "last" | "sorted sets" => drop(database.sorted_set("q").insert("v", 7.0).unwrap()),
        _ => drop(database.list("q").push_back("v").unwrap()),
    }
}

#[test]
fn each_call_takes_what_is_there_and_otherwise_what_is_brought_or_nothing() {
    let database = in_memory();
    for (name, wait) in WAITS {
        for timeout in [Duration::ZERO, Duration::from_nanos(1), Duration::from_millis(3)] {
            assert_eq!(wait(&database, timeout).unwrap(), "nothing", "{name}");
        }
        for timeout in [Duration::ZERO, LONG, Duration::MAX] {
            bring(&database, name);
            assert_eq!(wait(&database, timeout).unwrap(), "v", "{name}");
        }
        for timeout in [LONG, Duration::MAX] {
            std::thread::scope(|scope| {
                let waiter = scope.spawn(|| wait(&database, timeout));
                wait_until_waiting(&database, 1);
                bring(&database, name);
                assert_eq!(waiter.join().unwrap().unwrap(), "v", "{name}");
            });
        }
        wait_until_waiting(&database, 0);
        assert!(database.is_empty().unwrap(), "{name}");
        database.set("q", "another type").unwrap();
        assert!(matches!(wait(&database, LONG), Err(Error::WrongType)), "{name}");
        database.delete("q").unwrap();
    }
}

#[test]
fn threads_and_clients_that_wait_stand_in_one_queue() {
    const COUNT: usize = 12;
    let database = in_memory();
    let server = Server::bind(&database, ([127, 0, 0, 1], 0).into()).unwrap();
    let (told, served) = mpsc::channel();
    std::thread::scope(|scope| {
        for n in 0..COUNT {
            let (database, server, told) = (&database, &server, told.clone());
            scope.spawn(move || {
                let element = match n % 3 {
                    0 => database.list("q").pop_front_wait(LONG).unwrap().unwrap().to_string(),
                    1 => {
                        let mut client = database.client().unwrap();
                        let Reply::Array(pair) = client.run(["BLPOP", "q", "60"]).unwrap() else {
                            panic!("no pair")
                        };
                        pair[1].to_string()
                    }
                    _ => {
                        let mut peer = TcpStream::connect(server.local_addrs()[0]).unwrap();
                        peer.set_read_timeout(Some(LONG)).unwrap();
                        peer.write_all(b"BLPOP q 60\r\n").unwrap();
                        let mut reply = [0; "*2\r\n$1\r\nq\r\n$2\r\n00\r\n".len()];
                        peer.read_exact(&mut reply).unwrap();
                        String::from_utf8_lossy(&reply[reply.len() - 4..reply.len() - 2]).into_owned()
                    }
                };
                told.send((n, element)).unwrap();
            });
            wait_until_waiting(database, n + 1);
        }
        // Each is in the queue before the next comes.
        for n in 0..COUNT {
            database.list("q").push_back(format!("{n:02}")).unwrap();
        }
    });
    drop(told);
    let mut served: Vec<_> = served.iter().collect();
    served.sort();
    for (n, element) in served {
        assert!(element.contains(&format!("{n:02}")), "{n} was served with {element}");
    }
    assert!(!database.exists("q").unwrap());
}

#[test]
fn what_closes_the_database_ends_every_wait_and_inside_a_closure_none_begins() {
    let database = in_memory();
    database
        .update(&["q"], |keys| {
            for (name, wait) in WAITS {
                assert!(matches!(wait(&database, LONG), Err(Error::InsideUpdate)), "{name}");
            }
            keys.delete("q")
        })
        .unwrap();
    std::thread::scope(|scope| {
        let database = &database;
        let waiters = WAITS.map(|(name, wait)| (name, scope.spawn(move || wait(database, LONG))));
        wait_until_waiting(database, WAITS.len());
        database.clone().close().unwrap();
        for (name, waiter) in waiters {
            assert!(matches!(waiter.join().unwrap(), Err(Error::Closed)), "{name}");
        }
    });
    for (name, wait) in WAITS {
        assert!(matches!(wait(&database, LONG), Err(Error::Closed)), "{name}");
    }
}

#[test]
fn in_always_what_was_waited_for_is_safe_when_it_is_there() {
    let database = Options::temporary().durability(Durability::Always).open().unwrap();
    let is_safe = || {
        database.shared().run(|open| {
            let store = open.instance.data.store();
            Ok::<_, Error>(store.settled() >= store.committed())
        })
    };
    for (name, wait) in WAITS.iter().filter(|(name, _)| *name != "move") {
        for _ in 0..5 {
            std::thread::scope(|scope| {
                let waiter = scope.spawn(|| {
                    let popped = wait(&database, LONG).unwrap();
                    (popped, is_safe().unwrap())
                });
                wait_until_waiting(&database, 1);
                bring(&database, name);
                assert_eq!(waiter.join().unwrap(), ("v".into(), true), "{name}");
            });
        }
    }
}

#[test]
fn what_many_threads_push_and_pop_comes_once_and_in_order() {
    const EACH: usize = 500;
    let database = in_memory();
    let popped: Vec<Vec<String>> = std::thread::scope(|scope| {
        let poppers: Vec<_> = (0..4)
            .map(|n| {
                let jobs = database.list("q");
                scope.spawn(move || {
                    let timeout = if n % 2 == 0 { LONG } else { Duration::from_millis(1) };
                    let next =
                        || std::iter::repeat_with(|| jobs.pop_front_wait(timeout).unwrap()).flatten().next();
                    std::iter::from_fn(next)
                        .map(|job| job.to_string())
                        .take_while(|job| job != "end")
                        .collect()
                })
            })
            .collect();
        std::thread::scope(|scope| {
            for n in 0..2 {
                let jobs = database.list("q");
                scope.spawn(move || {
                    for job in 0..EACH {
                        jobs.push_back(format!("{n} {job:03}")).unwrap();
                    }
                });
            }
        });
        database.list("q").extend(["end"; 4]).unwrap();
        poppers.into_iter().map(|popper| popper.join().unwrap()).collect()
    });
    for jobs in &popped {
        for pusher in ["0", "1"] {
            let of_pusher: Vec<_> = jobs.iter().filter(|job| job.starts_with(pusher)).collect();
            assert!(of_pusher.is_sorted(), "in order");
        }
    }
    let mut all: Vec<_> = popped.into_iter().flatten().collect();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 2 * EACH, "each once");
    wait_until_waiting(&database, 0);
}
