//! Which batches have more to be seen than one key.

use super::*;
use crate::data::Need;
use crate::store::{EngineKind, OpenOptions, open};

#[test]
fn what_has_more_to_be_seen_than_one_key_is_published_as_such() {
    let options = OpenOptions { engine: EngineKind::Memory, ..OpenOptions::new("") };
    let data = Data::open(open(&options).unwrap(), 16, false).unwrap();
    let (held, tally) = (data.hold_sleeping(Need::everything()), Tally::default());
    let several = |work: &dyn Fn(&mut Tx<'_>)| {
        let mut key_buf = Vec::new();
        let mut tx = Tx::new(&data, &held, &tally, &mut key_buf, 1000);
        work(&mut tx);
        let several = tx.changes_several();
        tx.commit().unwrap();
        several
    };
    assert!(!several(&|tx| tx.set(0, b"a", b"1", None).unwrap()));
    assert!(!several(&|tx| tx.set(0, b"a", b"1", Some(5000)).unwrap()), "its expiry is read by nobody else");
    assert!(several(&|tx| {
        tx.set(0, b"b", b"1", None).unwrap();
        tx.delete(0, b"a").unwrap();
    }));
    assert!(several(&|tx| {
        tx.set(1, b"b", b"1", None).unwrap();
        tx.delete(0, b"b").unwrap();
    }));
    assert!(several(&|tx| tx.swap_databases(0, 1)));
    assert!(several(&|tx| tx.flush_database(0).unwrap()));
}
