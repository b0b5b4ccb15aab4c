//! A pair over an `AF_UNIX` socket bound to a temporary path: no port, no loopback interface, invisible to
//! `netstat`. For Windows 10 1803 and later; works on Unix too, where the native pair is better.
//!
//! The path is in a new directory that others cannot enter, and both are gone when the pair is made.
//! (A process killed in between, some microseconds, leaves an empty directory and a dead socket behind.)

use std::path::{Path, PathBuf};
use std::time::Instant;

use socket2::{Domain, SockAddr, Socket, Type};

use super::connect::{self, BACKLOG, Rendezvous};
use super::error::at;
use super::{Cause, Step, StepError, Strategy};
use crate::system::sys;

const STRATEGY: Strategy = Strategy::UnixPath;

/// Makes a pair before `until`. Tries each of the folders that are for temporary files: some are not
/// writable, some are too deep for the 108 bytes of a socket address, and some file systems have no sockets.
pub(super) fn pair(until: Instant) -> Result<(Socket, Socket), StepError> {
    pair_in(&[std::env::temp_dir(), sys::short_temp_dir(), PathBuf::from(".")], until)
}

pub(super) fn pair_in(folders: &[PathBuf], until: Instant) -> Result<(Socket, Socket), StepError> {
    let mut last = None;
    for folder in folders {
        match listen_in(folder) {
            Ok((listener, place)) => return connect_to(listener, &place, until),
            Err(error) => last = Some(error),
        }
    }
    Err(last.expect("there is at least one folder"))
}

/// The directory and the socket's file in it. Both are removed with it.
pub(super) struct Place {
    folder: PathBuf,
    pub(super) file: PathBuf,
}

impl Drop for Place {
    fn drop(&mut self) {
        // Whatever cannot be removed was not made.
        let _ = std::fs::remove_file(&self.file);
        let _ = std::fs::remove_dir(&self.folder);
    }
}

pub(super) fn listen_in(parent: &Path) -> Result<(Socket, Place), StepError> {
    let mut name = [0; 8];
    getrandom::fill(&mut name).map_err(std::io::Error::from).map_err(at(
        STRATEGY,
        Step::Random,
        parent.display(),
    ))?;
    let folder = parent.join(format!("modb-{:016x}", u64::from_ne_bytes(name)));
    let file = folder.join("s");
    let address =
        SockAddr::unix(&file).map_err(|_| at(STRATEGY, Step::Bind, file.display())(Cause::PathTooLong))?;
    let socket =
        Socket::new(Domain::UNIX, Type::STREAM, None).map_err(at(STRATEGY, Step::Create, file.display()))?;
    sys::make_private_dir(&folder).map_err(at(STRATEGY, Step::Directory, folder.display()))?;
    let place = Place { folder, file };
    socket.bind(&address).map_err(at(STRATEGY, Step::Bind, place.file.display()))?;
    socket.listen(BACKLOG).map_err(at(STRATEGY, Step::Listen, place.file.display()))?;
    Ok((socket, place))
}

pub(super) fn connect_to(
    listener: Socket,
    place: &Place,
    until: Instant,
) -> Result<(Socket, Socket), StepError> {
    let what = place.file.display().to_string();
    let address = SockAddr::unix(&place.file).map_err(at(STRATEGY, Step::Connect, &what))?;
    let make_connector = || {
        let socket =
            Socket::new(Domain::UNIX, Type::STREAM, None).map_err(at(STRATEGY, Step::Create, &what))?;
        socket.set_nonblocking(true).map_err(at(STRATEGY, Step::Configure, "non-blocking"))?;
        Ok(socket)
    };
    connect::rendezvous(Rendezvous {
        strategy: STRATEGY,
        listener,
        address,
        what: what.clone(),
        make_connector: &make_connector,
        compare_addresses: false, // Its sockets have none.
        until,
    })
}
