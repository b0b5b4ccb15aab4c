//! A process that forks while it has a database open: the copy can do nothing with it, and no harm.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "all of it is a test")]

mod sys;

use std::io;
use std::sync::{Mutex, PoisonError};

use modb_server::{Database, Error, Server};

/// A number of an error that nothing else here fails with.
const UNEXPECTED: i32 = 75;

fn expect(is_so: bool) -> io::Result<()> {
    if is_so { Ok(()) } else { Err(io::Error::from_raw_os_error(UNEXPECTED)) }
}

/// One at a time: a copy has what every test of this process has open.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn a_copy_of_the_process_gets_errors_and_its_handles_can_be_dropped() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let database = modb_server::Options::new(folder.path()).min_free_mb(0).open().unwrap();
    database.set("a", "parent").unwrap();
    let server = Server::bind(&database, ([127, 0, 0, 1], 0).into()).unwrap();
    let mut walk = database.keys();
    let mut client = database.client().unwrap();
    // All handles but these; the copy drops its own.
    let mut handles = Some((database.clone(), server));
    sys::in_a_fork(move || {
        let Some((database, server)) = handles.take() else { return expect(false) };
        expect(matches!(database.get("a"), Err(Error::Forked)))?;
        expect(matches!(database.set("a", "child"), Err(Error::Forked)))?;
        expect(matches!(database.update(&["a"], |keys| keys.set("a", "child")), Err(Error::Forked)))?;
        expect(matches!(database.close(), Err(Error::Forked)))?;
        expect(matches!(client.run(["PING"]), Err(Error::Forked)))?;
        expect(matches!(walk.next(), Some(Err(Error::Forked))))?;
        drop(server);
        drop(database);
        Ok(())
    })
    .unwrap();
    // The parent's copies of what the closure had are gone with it; the database lives on.
    database.set("b", "parent").unwrap();
    let refused = Database::open(folder.path());
    assert!(refused.is_err(), "the copy's end has not freed the folder");
    database.close().unwrap();
    let again = Database::open(folder.path()).unwrap();
    assert_eq!(again.get("a").unwrap(), Some("parent".into()));
}

#[test]
fn a_copy_that_lives_on_does_not_keep_the_folder() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let database = modb_server::Options::new(folder.path()).min_free_mb(0).open().unwrap();
    database.set("a", "1").unwrap();
    let (reader, writer) = io::pipe().unwrap();
    let (told, tell) = io::pipe().unwrap();
    let path = folder.path().to_path_buf();
    let child = std::thread::spawn(move || {
        sys::in_a_fork(move || {
            use io::{Read as _, Write as _};
            (&tell).write_all(b"x")?;
            // Until the parent has looked: it has every descriptor that the parent had.
            (&reader).read_exact(&mut [0])
        })
    });
    io::Read::read_exact(&mut &told, &mut [0]).unwrap();
    database.close().unwrap();
    let again = Database::open(&path);
    io::Write::write_all(&mut &writer, b"x").unwrap();
    child.join().unwrap().unwrap();
    assert_eq!(again.unwrap().get("a").unwrap(), Some("1".into()));
}

#[test]
fn a_database_that_a_copy_opens_is_the_copys_own() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_path_buf();
    sys::in_a_fork(move || {
        let database = modb_server::Options::new(&path).min_free_mb(0).open();
        let set = database.map(|database| database.set("a", "child").is_ok());
        expect(set.is_ok_and(|set| set))
    })
    .unwrap();
    assert_eq!(Database::open(folder.path()).unwrap().get("a").unwrap(), Some("child".into()));
}
