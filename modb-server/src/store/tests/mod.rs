//! The suite that every engine passes: what the trait promises, through reopening, beside the in-memory model.

mod conformance;
mod model;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::{Batch, Counter, EngineKind, OpenOptions, Store, Write, open};

/// One module of tests per engine that keeps data.
macro_rules! for_each_engine {
    ($($name:ident: $kind:expr;)*) => {$(
        mod $name {
            use super::super::EngineKind;
            const KIND: EngineKind = $kind;
            super::conformance::suite!();
        }
    )*};
}

for_each_engine! {
    log: EngineKind::Log;
}

#[cfg(feature = "fjall")]
for_each_engine! {
    fjall: EngineKind::Fjall;
}

fn options(folder: &Path, engine: EngineKind) -> OpenOptions {
    OpenOptions { engine, cache_mb: 16, min_free_bytes: 0, ..OpenOptions::new(folder) }
}

fn open_in(folder: &Path, engine: EngineKind) -> Arc<dyn Store> {
    open(&options(folder, engine)).unwrap()
}

fn put(key: &str, value: &str) -> Write {
    Write::Put(key.into(), Bytes::copy_from_slice(value.as_bytes()))
}

fn delete(key: &str) -> Write {
    Write::Delete(key.into())
}

fn batch(writes: impl Into<Vec<Write>>) -> Batch {
    Batch { writes: writes.into() }
}

fn add(counter: u32, by: i64) -> Write {
    Write::Add(Counter(counter), by)
}

fn value(store: &dyn Store, key: &str) -> Option<String> {
    let got = store.get(key.as_bytes()).unwrap();
    let mut shown = None;
    if let Some(seq) = store.look(key.as_bytes(), &mut |value| shown = Some(value.to_vec())).unwrap() {
        assert_eq!((shown.as_deref(), seq), (got.value.as_deref(), got.seq), "shown where it lies");
    } else {
        assert_eq!(shown, None, "nothing is shown then");
    }
    got.value.map(|v| String::from_utf8(v.to_vec()).unwrap())
}

/// All records, read in pages of `limit`.
fn all(store: &dyn Store, limit: usize) -> Vec<(Bytes, Bytes)> {
    let mut records = Vec::new();
    let mut from = vec![0];
    loop {
        let page = store.scan(&from, &[0xff], limit).unwrap();
        assert!(page.records.len() <= limit);
        records.extend(page.records);
        match page.next {
            Some(next) => from = next,
            None => return records,
        }
    }
}
