//! What `recorder.c` noted of a process, event by event, and how a process is started under it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use bytes::{Buf as _, Bytes};

/// Something that happened to the files below the root. Files and folders are named by inode, names by path.
#[derive(Debug)]
pub(crate) enum What {
    Create { path: String, inode: u64 },
    Truncate { inode: u64, size: u64 },
    Write { inode: u64, at: u64, bytes: Bytes },
    Zeros { inode: u64, at: u64, length: u64 },
    Rename { from: String, to: String },
    Unlink { path: String },
    MakeFolder { path: String, inode: u64 },
    SyncBegin { inode: u64, sync: u64 },
    SyncEnd { sync: u64 },
}

/// One event and its time, on a clock that only ever compares with itself.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) time: Duration,
    pub(crate) what: What,
}

/// Everything that `recorder.c` wrote.
fn read(trace: &Path) -> Vec<Event> {
    let mut rest = Bytes::from(fs::read(trace).expect("the recorder made a trace"));
    let mut events = Vec::new();
    while !rest.is_empty() {
        events.push(next(&mut rest));
    }
    events
}

/// `struct event` of `recorder.c`, then its two paths and its bytes.
fn next(rest: &mut Bytes) -> Event {
    let [kind, nanoseconds, inode, at, length] = std::array::from_fn(|_| rest.get_u64_le());
    let [first, second] = [rest.get_u32_le(), rest.get_u32_le()];
    let mut text = |length: u32| {
        String::from_utf8(rest.split_to(length as usize).to_vec()).expect("the store's names are ASCII")
    };
    let (path, second_path) = (text(first), text(second));
    let what = match kind {
        1 => What::Create { path, inode },
        2 => What::Truncate { inode, size: at },
        3 => What::Write { inode, at, bytes: rest.split_to(length as usize) },
        4 => What::Zeros { inode, at, length },
        5 => What::Rename { from: path, to: second_path },
        6 => What::Unlink { path },
        7 => What::MakeFolder { path, inode },
        8 => What::SyncBegin { inode, sync: at },
        9 => What::SyncEnd { sync: at },
        other => panic!("the recorder writes no event {other}"),
    };
    Event { time: Duration::from_nanos(nanoseconds), what }
}

/// The recorder, built for this test.
pub(crate) struct Recorder {
    folder: tempfile::TempDir,
}

impl Recorder {
    pub(crate) fn build() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let source = folder.path().join("recorder.c");
        fs::write(&source, include_str!("recorder.c")).expect("written");
        let status = Command::new("cc")
            .args(["-shared", "-fPIC", "-O2", "-pthread", "-o"])
            .args([&folder.path().join("recorder.so"), &source])
            .status()
            .expect("cc is there (Debian: apt-get install gcc)");
        assert!(status.success(), "cc: {status}");
        Self { folder }
    }

    fn trace(&self) -> PathBuf {
        self.folder.path().join("trace")
    }

    /// Has `command` recorded below `root`, which must be the folder's real name. The disk ignores the syncs of what
    /// lies at or below `lies` in it.
    pub(crate) fn watch(&self, command: &mut Command, root: &Path, lies: Option<&str>) {
        command
            .env("LD_PRELOAD", self.folder.path().join("recorder.so"))
            .env("MODB_RECORD_ROOT", root)
            .env("MODB_RECORD_TRACE", self.trace());
        if let Some(lies) = lies {
            command.env("MODB_RECORD_NO_SYNC", lies);
        }
    }

    /// What the watched process did, once it has ended.
    pub(crate) fn events(&self) -> Vec<Event> {
        read(&self.trace())
    }
}
