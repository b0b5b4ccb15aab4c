//! A real file system that runs full under the store, and has space again.
//!
//! It needs a small one of its own: `MODB_TEST_SMALL_DISK` names a folder on a file system of some 64 to 512 MiB, on Linux
//! for example a tmpfs (which takes root to mount). The simulated disk shows the same without, for the log alone.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use modb_server::store::{Batch, EngineKind, OpenOptions, Store, StoreError, Write, open};

const VALUE_BYTES: usize = 10_000;
/// Space that is given back: enough for a flush.
const BALLAST_BYTES: usize = 24 << 20;
const PATIENCE: Duration = Duration::from_secs(60);

fn open_store(folder: &Path) -> Arc<dyn Store> {
    let options =
        OpenOptions { engine: EngineKind::Log, cache_mb: 8, min_free_bytes: 0, ..OpenOptions::new(folder) };
    open(&options).expect("opens")
}

fn put(n: u64) -> Batch {
    let mut key = vec![0x10, 0, 0, 0, 0];
    key.extend_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    Batch { writes: vec![Write::Put(key.into(), value(n))] }
}

fn value(n: u64) -> Bytes {
    let mut value = vec![n as u8; VALUE_BYTES];
    value[..8].copy_from_slice(&n.to_be_bytes());
    Bytes::from(value)
}

fn is_there(store: &dyn Store, n: u64) -> bool {
    let Write::Put(key, value) = &put(n).writes[0] else { return false };
    store.get(key).expect("reads").value.as_ref() == Some(value)
}

#[test]
#[ignore = "needs a small file system of its own, named by MODB_TEST_SMALL_DISK"]
fn a_full_disk_refuses_writes_loses_nothing_and_serves_again() {
    let Ok(disk) = std::env::var("MODB_TEST_SMALL_DISK") else { return };
    let dir = tempfile::tempdir_in(&disk).expect("a folder there");
    let folder = dir.path().join("data");
    let ballast = dir.path().join("ballast");
    File::create(&ballast)
        .and_then(|mut f| f.write_all(&vec![1; BALLAST_BYTES]))
        .expect("room for the ballast");
    let store = open_store(&folder);
    let (mut made, mut acknowledged) = (0, 0);
    let refused = loop {
        match store.apply(put(made)) {
            Ok(seq) => {
                made += 1;
                if store.settle().expect("a full disk is no failure") >= seq {
                    acknowledged = made;
                }
            }
            Err(refused) => break refused,
        }
        assert!(made < 1_000_000, "the file system is too large for this test");
    };
    assert!(matches!(refused, StoreError::ReadOnly(_)), "{refused}");
    assert!(store.read_only_reason().expect("a reason").contains("full"));
    assert!((0..made).all(|n| is_there(&*store, n)), "reads go on");

    std::fs::remove_file(&ballast).expect("the ballast is there");
    let since = Instant::now();
    while store.read_only_reason().is_some() {
        assert!(since.elapsed() < PATIENCE, "still {:?}", store.read_only_reason());
        std::thread::sleep(Duration::from_millis(20));
    }
    store.apply(put(made)).expect("writes again");
    store.sync().expect("what waited is on the disk");
    println!("{made} commits until full, {acknowledged} acknowledged");
    assert!(acknowledged > 1000 && acknowledged <= made);
    drop(store);
    let store = open_store(&folder);
    assert!((0..=made).all(|n| is_there(&*store, n)), "nothing is lost");
    store.check().expect("whole");
}
