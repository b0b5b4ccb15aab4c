//! Nothing remains of a pair: no file, no port.

use std::path::PathBuf;
use std::time::Instant;

use socket2::{Socket, Type};

use super::super::{Cause, DEFAULT_DEADLINE, Step, Strategy, pair_by, unix_path};
use super::working;

/// An empty folder of this test's own.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("modb-net-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn is_empty(&self) -> bool {
        std::fs::read_dir(&self.0).unwrap().next().is_none()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn soon() -> Instant {
    Instant::now() + DEFAULT_DEADLINE
}

#[test]
fn no_file_remains_whether_the_pair_is_made_or_not() {
    let folder = Folder::new("remains");
    let made = unix_path::pair_in(std::slice::from_ref(&folder.0), soon());
    assert_eq!(made.is_ok(), working().contains(&Strategy::UnixPath));
    assert!(folder.is_empty(), "after success");
    let late = Instant::now();
    if let Ok((listener, place)) = unix_path::listen_in(&folder.0) {
        drop((unix_path::connect_to(listener, &place, late), place));
    }
    assert!(folder.is_empty(), "after failure");
}

#[test]
fn a_path_that_is_too_long_is_named_and_another_is_tried() {
    let folder = Folder::new("long");
    let deep = folder.0.join("d".repeat(120));
    std::fs::create_dir(&deep).unwrap();
    let error = unix_path::pair_in(std::slice::from_ref(&deep), soon()).unwrap_err();
    assert_eq!(error.step, Step::Bind);
    assert!(matches!(error.cause, Cause::PathTooLong), "{error}");
    assert!(error.to_string().contains("ddd"), "{error}");
    assert_eq!(
        unix_path::pair_in(&[deep, folder.0.clone()], soon()).is_ok(),
        working().contains(&Strategy::UnixPath)
    );
}

#[test]
fn a_folder_that_cannot_be_written_is_named_and_another_is_tried() {
    if !working().contains(&Strategy::UnixPath) {
        let error = pair_by(&[Strategy::UnixPath], DEFAULT_DEADLINE).unwrap_err();
        assert_eq!(error.failed[0].step, Step::Create, "without AF_UNIX it fails before: {error}");
        return;
    }
    let folder = Folder::new("unwritable");
    // A file where a folder should be: refused to root too.
    let file = folder.0.join("file");
    std::fs::write(&file, "").unwrap();
    let error = unix_path::pair_in(std::slice::from_ref(&file), soon()).unwrap_err();
    assert_eq!(error.step, Step::Directory);
    assert!(error.to_string().contains("file"), "{error}");
    unix_path::pair_in(&[file, folder.0.clone()], soon()).unwrap();
}

#[test]
fn the_ports_of_a_closed_pair_are_free_at_once() {
    for strategy in [Strategy::LoopbackV4, Strategy::LoopbackV6] {
        let (a, b) = pair_by(&[strategy], DEFAULT_DEADLINE).unwrap();
        let addresses = [a.local_addr().unwrap(), b.local_addr().unwrap()];
        drop(a);
        drop(b);
        // A port in TIME_WAIT cannot be bound without SO_REUSEADDR.
        for address in addresses {
            let socket = Socket::new(address.domain(), Type::STREAM, None).unwrap();
            socket.bind(&address).unwrap_or_else(|error| panic!("{strategy}: {error}"));
        }
    }
}
