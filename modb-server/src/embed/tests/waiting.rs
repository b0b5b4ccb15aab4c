//! Threads of a program that wait for what others bring.

use std::time::Instant;

use super::*;

/// Until so many wait.
fn wait_until_waiting(database: &Database, count: usize) {
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
