//! Programs beyond memory: in between, so much is written beside them that what they wrote is flushed, merged and dropped from
//! memory. Then what is left of a key there is a ghost or nothing, and the reply has to be the same all the same.
//!
//! What crowds lies in a database of the server under test that no program names, so the other server needs none of it. A
//! crowd that nobody waits for goes on beside the next steps, through kills, too.

use std::sync::LazyLock;
use std::thread::{self, JoinHandle};

use modb_tests::peer::encode;
use modb_tests::{Peer, Server};

use crate::commands::{KEYS, Syntax};
use crate::hashes::HASHES;
use crate::lists::LISTS;
use crate::sets::SETS;
use crate::sorted_sets::SORTED_SETS;

/// What the server may keep in memory, for the flag: of it three quarters are for records, and never less than 4 MiB.
pub(crate) const CACHE_MB: &str = "5";
/// No program selects it, moves to it or swaps it.
const DATABASE: &str = "14";
/// In all more than memory takes of records twice: what was read lately is spared once.
const VALUES: usize = 640;
const VALUE_BYTES: usize = 16 << 10;
/// Values that are sent before their replies are read.
const PIPELINE: usize = 32;
/// So many crowds write to other keys, for what is in memory already is only written over.
const DIFFERENT: usize = 4;

/// Strings, of which some lie apart from small records, and all that looks whether a key is there or replaces what it holds.
#[rustfmt::skip]
pub(crate) const STRINGS: &[Syntax] = &[
    (10, "SET <key> <value>"),
    (6, "SET <key> <value> [ NX | XX ] [ GET ] [ EX <seconds> | PXAT <futuredatems> | KEEPTTL ]"),
    (4, "SET <key> <value> NX"),
    (3, "SET <key> <value> XX"),
    (4, "SET <key> <value> GET"),
    (6, "SETNX <key> <value>"),
    (2, "SETEX <key> <seconds> <value>"),
    (3, "SETRANGE <key> 66000 <bit>"),
    (4, "MSET <key> <value> [ <key> <value> ] [ <key> <value> ]"),
    (6, "MSETNX <key> <value> [ <key> <value> ]"),
    (3, "GET <key>"),
    (2, "GETDEL <key>"),
    (2, "GETSET <key> <value>"),
    (2, "GETEX <key> [ EX <seconds> | PERSIST ]"),
    (2, "APPEND <key> <value>"),
    (2, "INCR <key>"),
    (2, "STRLEN <key>"),
    (10, "DEL <key>+"),
    (3, "UNLINK <key>+"),
    (4, "EXISTS <key>+"),
    (2, "TYPE <key>"),
    (3, "EXPIRE <key> <seconds>"),
    (1, "EXPIRE <key> -1"),
    (2, "EXPIREAT <key> <date> [ NX | XX | GT | LT ]"),
    (2, "TTL <key>"),
    (2, "PERSIST <key>"),
    (4, "RENAME <key> <key>"),
    (4, "RENAMENX <key> <key>"),
    (4, "COPY <key> <key> [ DB <db> ] [ REPLACE ]"),
    (3, "MOVE <key> <db>"),
    (2, "SWAPDB <db> <db>"),
    (1, "SELECT <db>"),
    (2, "SELECT 0"),
    (2, "DBSIZE"),
    (1, "KEYS <pattern>"),
    (1, "RANDOMKEY"),
    (1, "RPUSH <key> <element>"),
    (1, "BITOP NOT <key> <key>"),
    (1, "FLUSHDB"),
    (1, "FLUSHALL"),
];

/// All other types, but what a list is called when it is small, in which 7.2 differs from 7.0.
pub(crate) fn collections() -> Vec<Syntax> {
    let all = [LISTS, SORTED_SETS, HASHES, SETS, KEYS, &[(1, "FLUSHALL")]].concat();
    all.into_iter().filter(|(_, syntax)| !syntax.starts_with("OBJECT ENCODING")).collect()
}

/// The crowd that is under way.
#[derive(Default)]
pub(crate) struct Crowds {
    now: Option<JoinHandle<()>>,
    came: usize,
}

impl Crowds {
    /// The next comes, at whose end most of what was in memory before is no longer. Two at once would only take longer.
    pub(crate) fn come(&mut self, server: &Server) {
        self.end();
        let (peer, which) = (server.peer(), self.came % DIFFERENT);
        self.came += 1;
        self.now = Some(thread::spawn(move || _ = crowd(peer, which)));
    }

    /// Waits until it has passed, or was cut off.
    pub(crate) fn end(&mut self) {
        self.now.take().into_iter().for_each(|crowd| crowd.join().expect("a crowd has nothing to fail at"));
    }
}

/// Ends early if the server does.
fn crowd(mut peer: Peer, which: usize) -> std::io::Result<()> {
    static VALUE: LazyLock<Vec<u8>> = LazyLock::new(|| vec![b'c'; VALUE_BYTES]);
    peer.try_send(&encode(["SELECT", DATABASE]))?;
    peer.try_reply()?;
    for first in (0..VALUES).step_by(PIPELINE) {
        let set = |n: usize| encode([b"SET", format!("c{which}:{n}").as_bytes(), &VALUE]);
        peer.try_send(&(first..first + PIPELINE).map(set).collect::<Vec<_>>().concat())?;
        for _ in 0..PIPELINE {
            peer.try_reply()?;
        }
    }
    Ok(())
}
