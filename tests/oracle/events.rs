//! What both servers tell of what is done to keys: after each step of a program all events, of every class, in their order.
//!
//! Not compared: that a key has expired. Redis tells it when somebody comes across the key, Modb when it removes it, soon after.

use modb_tests::{Peer, Reply, Server};

use crate::commands::{self, Syntax};
use crate::further::{HYPERLOGLOGS, SORTED};
use crate::hashes::HASHES;
use crate::lists::LISTS;
use crate::sets::SETS;
use crate::sorted_sets::SORTED_SETS;
use crate::transactions::{TRANSACTIONS, can_be_queued};

/// Everything that tells of something, but what depends on chance.
pub(crate) fn syntax() -> Vec<Syntax> {
    let all = [LISTS, HASHES, SETS, SORTED_SETS, commands::STRINGS, SORTED, HYPERLOGLOGS, STORED].concat();
    let all = all.into_iter().filter(|(_, syntax)| {
        can_be_queued(syntax) && !LEFT_OUT.iter().any(|begin| syntax.starts_with(begin))
    });
    // Some are executed together, most alone.
    let transactions = TRANSACTIONS.iter().map(|(weight, syntax)| (weight / 4, *syntax));
    transactions.chain(all).collect()
}

/// What stores something. Places among other scores are read in a way of each server's own.
const STORED: &[Syntax] = &[
    (6, "SORT <key> ALPHA STORE <key>"),
    (6, "GEOADD <key> [ NX | XX ] [ CH ] <longitude> <latitude> <member>"),
    (4, "GEOSEARCHSTORE <key> <key> FROMLONLAT <longitude> <latitude> BYBOX <distance> <distance> km"),
    (4, "GEORADIUS <key> <longitude> <latitude> <distance> km STORE <key>"),
];

/// What reads keys that are not there in an order of each server's own; what 7.2 refuses at once; what fails in Redis after a score that
/// was out of range, whoever gave it.
const LEFT_OUT: [&str; 4] = ["SORT <key> BY ", "SORT <key> [ ", "SORT_RO ", "LPOS "];

/// Who listens to both.
pub(crate) struct Listener([Side; 2]);

struct Side {
    ears: Peer,
    mouth: Peer,
}

impl Listener {
    /// Listens to everything from now on.
    pub(crate) fn new(servers: [&Server; 2]) -> Self {
        Self(servers.map(|server| {
            let (mut ears, mut mouth) = (server.peer(), server.peer());
            assert_eq!(mouth.ask("CONFIG SET notify-keyspace-events KEAmn"), Reply::ok());
            ears.ask("PSUBSCRIBE __key*");
            Side { ears, mouth }
        }))
    }

    /// Compares what both have told since the last time; how many events that was.
    ///
    /// # Errors
    /// The first difference, in words.
    pub(crate) fn compare(&mut self) -> Result<u64, String> {
        let [ours, theirs] = self.0.each_mut().map(Side::told);
        if ours != theirs {
            let at = ours.iter().zip(&theirs).take_while(|(a, b)| a == b).count();
            let shown = |told: &[(String, String)]| format!("{:?}", &told[at.min(told.len())..]);
            return Err(format!("told: {}, redis: {}", shown(&ours), shown(&theirs)));
        }
        Ok(ours.len() as u64)
    }
}

impl Side {
    /// Channels and messages up to now.
    fn told(&mut self) -> Vec<(String, String)> {
        const END: &str = "__key-end";
        self.mouth.ask(&format!("PUBLISH {END} now"));
        let text = |reply: &Reply| reply.bytes().escape_ascii().to_string();
        let mut told = Vec::new();
        loop {
            let reply = self.ears.reply();
            let [_, _, channel, message] = reply.items() else { panic!("no message: {reply:?}") };
            let (channel, message) = (text(channel), text(message));
            if channel == END {
                return told;
            }
            if message != "expired" && !channel.ends_with(":expired") {
                told.push((channel, message));
            }
        }
    }
}
