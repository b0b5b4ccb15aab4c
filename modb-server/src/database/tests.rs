//! How a database begins and ends: folders, forks apart, handles in every order.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;

use super::*;
use crate::Server;
use crate::store::vast;

fn open(folder: &Path) -> Result<Database, OpenError> {
    Options::new(folder).min_free_mb(0).open()
}

fn any_port() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

#[test]
fn closing_frees_the_folder_whatever_lives_and_all_of_it_says_so() {
    let around = tempfile::tempdir().unwrap();
    let folder = around.path().join("data");
    let database = open(&folder).unwrap();
    let (clone, keyspace) = (database.clone(), database.keyspace(1).unwrap());
    let mut client = database.client().unwrap();
    let server = Server::bind(&database, any_port()).unwrap();
    let mut connection = TcpStream::connect(server.local_addrs()[0]).unwrap();
    connection.write_all(b"PING\r\n").unwrap();
    connection.read_exact(&mut [0; 7]).unwrap();
    let mut walk = database.keys();
    keyspace.set("a", "1").unwrap();
    database.set("b", "1").unwrap();

    database.close().unwrap();
    let again = open(&folder).unwrap();
    assert_eq!(again.keyspace(1).unwrap().get("a").unwrap(), Some("1".into()));
    assert!(matches!(clone.get("a"), Err(Error::Closed)));
    assert!(matches!(clone.set("a", "2"), Err(Error::Closed)));
    assert!(matches!(keyspace.update(&["a"], |keys| keys.set("a", "2")), Err(Error::Closed)));
    assert!(matches!(client.run(["PING"]), Err(Error::Closed)));
    assert!(matches!(walk.next(), Some(Err(Error::Closed))));
    assert!(matches!(Server::bind(&clone, any_port()), Err(crate::ServeError::Database(Error::Closed))));
    assert_eq!(connection.read(&mut [0; 9]).unwrap(), 0, "the server has ended");
    server.join().unwrap();
    clone.close().unwrap();
    assert_eq!(clone.folder(), Some(&*folder));
    drop((database, clone, keyspace, client, walk));
    again.set("still", "mine").unwrap();
}

#[test]
fn very_large_values_are_given_back_by_who_calls_or_a_thread_that_has_ended_when_the_database_is_closed() {
    let database = Database::in_memory().unwrap();
    let (value, by) = vast::watched::value("removed by a call");
    database.set("a", &value).unwrap();
    database.delete("a").unwrap();
    assert_eq!(by.try_recv().unwrap().id(), std::thread::current().id());

    let server = Server::bind(&database, any_port()).unwrap();
    let (value, by) = vast::watched::value("removed by a worker");
    database.set("a", &value).unwrap();
    let mut connection = TcpStream::connect(server.local_addrs()[0]).unwrap();
    connection.write_all(b"DEL a\r\n").unwrap();
    connection.read_exact(&mut [0; 4]).unwrap();
    database.close().unwrap();
    assert_eq!(by.try_recv().unwrap().name(), Some("modb-errand"));
}

#[test]
fn closing_waits_for_a_closure_and_new_calls_do_not_wait_for_it() {
    let database = Database::temporary().unwrap();
    let (closing, ends) = (database.clone(), mpsc::channel());
    let closer = database
        .update(&["a"], |keys| {
            let closer = std::thread::spawn(move || {
                closing.close().unwrap();
                ends.0.send(()).unwrap();
            });
            let other = database.clone();
            // Until it has begun, another thread can call.
            while std::thread::scope(|scope| scope.spawn(|| other.exists("b").is_ok()).join().unwrap()) {}
            keys.set("a", "1")?;
            assert!(ends.1.try_recv().is_err(), "not before this closure has ended");
            Ok::<_, Error>(closer)
        })
        .unwrap();
    closer.join().unwrap();
}

#[test]
fn who_ends_a_server_or_the_database_ends_what_a_test_holds() {
    let database = Options::in_memory().set("enable-debug-command", "local").unwrap().open().unwrap();
    let wait_until_held = || {
        let count = || database.shared().run(|open| Ok::<_, Error>(open.instance.holds.count())).unwrap();
        while count() == 0 {
            std::thread::yield_now();
        }
    };
    let server = Server::bind(&database, any_port()).unwrap();
    let mut connection = TcpStream::connect(server.local_addrs()[0]).unwrap();
    connection.write_all(b"DEBUG HOLD key 600000\r\n").unwrap();
    wait_until_held();
    server.shutdown();
    let mut all = String::new();
    connection.read_to_string(&mut all).unwrap();
    assert_eq!(all, "+OK\r\n", "it need not be waited for until the shutdown has waited long enough");
    drop(connection);
    server.join().unwrap();

    let server = Server::bind(&database, any_port()).unwrap();
    let mut connection = TcpStream::connect(server.local_addrs()[0]).unwrap();
    let commands = || {
        let sum = |open: &Open| Ok::<_, Error>(open.instance.sum(|tally| tally.commands.get()));
        database.shared().run(sum).unwrap()
    };
    let before = commands();
    connection.write_all(b"DEBUG SLEEP 0.3\r\nDEBUG HOLD key 600000\r\n").unwrap();
    while commands() == before {
        std::thread::yield_now();
    }
    server.shutdown();
    connection.read_to_string(&mut all).unwrap();
    assert_eq!(all, "+OK\r\n".repeat(3), "nor one that begins when it has begun");
    drop(connection);
    server.join().unwrap();

    std::thread::scope(|scope| {
        let mut client = database.client().unwrap();
        let holder = scope.spawn(move || client.run(["DEBUG", "HOLD", "key", "600000"]));
        wait_until_held();
        database.close().unwrap();
        assert_eq!(holder.join().unwrap().unwrap(), crate::Reply::Simple(b"OK"[..].into()));
    });
}

#[test]
fn a_folder_is_opened_once_in_a_process_as_in_any_other() {
    let around = tempfile::tempdir().unwrap();
    let database = open(around.path()).unwrap();
    let refused = open(around.path()).unwrap_err();
    assert!(matches!(&refused, OpenError::Store(StoreError::Locked { .. })), "{refused}");
    assert!(refused.to_string().contains("this process"), "{refused}");
    database.set("a", "1").unwrap();
    drop(database);
    assert_eq!(open(around.path()).unwrap().get("a").unwrap(), Some("1".into()));
}

#[test]
fn database_server_and_client_are_dropped_in_any_order() {
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let around = tempfile::tempdir().unwrap();
        let database = open(around.path()).unwrap();
        let mut client = database.client().unwrap();
        client.run(["SET", "a", "1"]).unwrap();
        let server = Server::bind(&database, any_port()).unwrap();
        let mut handles: [Option<Box<dyn std::any::Any>>; 3] =
            [Some(Box::new(database)), Some(Box::new(server)), Some(Box::new(client))];
        for (dropped, which) in order.into_iter().enumerate() {
            let refused = open(around.path()).is_err();
            assert!(refused, "{order:?}: open until the last is dropped, and {dropped} are");
            drop(handles[which].take());
        }
        assert_eq!(open(around.path()).unwrap().get("a").unwrap(), Some("1".into()), "{order:?}");
    }
}

#[test]
fn a_temporary_database_has_a_folder_of_its_own_and_leaves_nothing() {
    let (first, second) = (Database::temporary().unwrap(), Database::temporary().unwrap());
    first.set("a", "1").unwrap();
    assert_eq!(second.get("a").unwrap(), None);
    let folders: Vec<_> =
        [&first, &second].map(|database| database.folder().unwrap().to_path_buf()).into_iter().collect();
    assert!(folders.iter().all(|folder| folder.is_dir()));
    drop(first);
    second.close().unwrap();
    assert!(!folders.iter().any(|folder| folder.exists()));
}

#[test]
fn what_stays_in_memory_has_no_folder_and_is_gone_at_the_end() {
    let database = Database::in_memory().unwrap();
    assert_eq!(database.folder(), None);
    assert!(matches!(database.backup("nowhere"), Err(Error::Store(StoreError::Unsupported(_)))));
}

#[test]
fn a_database_that_is_only_read_changes_nothing_and_has_company() {
    let around = tempfile::tempdir().unwrap();
    let look = || Options::new(around.path()).read_only().open();
    assert!(look().is_err(), "there is nothing to read");
    let database = open(around.path()).unwrap();
    database.set("a", "1").unwrap();
    database.set_for("gone", "1", Duration::from_nanos(1)).unwrap();
    assert!(matches!(look(), Err(OpenError::Store(StoreError::Locked { .. }))), "not while it is written");
    database.close().unwrap();
    let files = files(around.path());
    let (first, second) = (look().unwrap(), look().unwrap());
    assert!(open(around.path()).is_err(), "nor the other way round");
    // With the expired one, unless it was removed before the database was closed.
    let kept = first.len().unwrap();
    assert!((1..=2).contains(&kept), "{kept}");
    for database in [&first, &second] {
        assert_eq!(database.get("a").unwrap(), Some("1".into()));
        assert_eq!(database.keys().count(), 1, "the other has expired, though nobody removes it");
        assert!(matches!(database.set("a", "2"), Err(Error::ReadOnly(_))), "{:?}", database.set("a", "2"));
        assert!(matches!(database.clear(), Err(Error::ReadOnly(_))));
        assert!(database.update(&["a"], |keys| keys.delete("a")).is_err());
        assert_eq!(database.len().unwrap(), kept);
    }
    drop((first, second));
    assert_eq!(self::files(around.path()), files);
    open(around.path()).unwrap().set("a", "2").unwrap();
}

/// The names and contents of all files in and below a folder.
fn files(folder: &Path) -> std::collections::BTreeMap<std::path::PathBuf, Vec<u8>> {
    let mut files = std::collections::BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else {
            files.insert(path.clone(), std::fs::read(path).unwrap());
        }
    }
    files
}
