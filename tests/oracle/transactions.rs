//! Transactions: what is tried of them, between and around all other commands, and how what `EXEC` answers is compared.

use std::sync::atomic::{AtomicU64, Ordering};

use modb_tests::Reply;

use crate::commands::{self, Syntax};
use crate::exceptions;
use crate::grammar::Arg;
use crate::hashes::HASHES;
use crate::lists::LISTS;
use crate::program::written;
use crate::sets::SETS;
use crate::sorted_sets::SORTED_SETS;

#[rustfmt::skip]
pub(crate) const TRANSACTIONS: &[Syntax] = &[
    (140, "MULTI"),
    (150, "EXEC"),
    (12, "DISCARD"),
    (70, "WATCH <key>"),
    (10, "WATCH <key>+"),
    (8, "UNWATCH"),
];

// What is right or wrong from version to version spoils a transaction in one of them, or is another error for a list.
const LEFT_OUT: [&str; 6] = ["COMMAND ", "OBJECT ENCODING", "BITCOUNT ", "BITPOS ", "ZRANK ", "ZREVRANK "];
// What is compared apart takes several steps.
const APART: [&str; 3] = ["SPOP ", "HSCAN ", "SSCAN "];

/// What can be compared when it is executed by a transaction.
pub(crate) fn can_be_queued(syntax: &str) -> bool {
    !LEFT_OUT.iter().chain(&APART).any(|begin| syntax.starts_with(begin))
}

/// Transactions of everything.
pub(crate) fn with_others() -> Vec<Syntax> {
    let others = [LISTS, HASHES, SETS, SORTED_SETS, commands::STRINGS].concat();
    let others = others.into_iter().filter(|(_, syntax)| can_be_queued(syntax));
    TRANSACTIONS.iter().copied().chain(others).collect()
}

/// How `EXEC` has ended so far: executed something, broken by a watched key, discarded for what was refused.
pub(crate) static ENDED: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];

/// Whether transactions ended in all ways, so that something was compared.
pub(crate) fn assert_tried(commands: u64) {
    let [executed, broken, discarded] = ENDED.each_ref().map(|count| count.load(Ordering::Relaxed));
    println!("{executed} transactions were executed, {broken} broken, {discarded} discarded");
    let least = commands / 1000;
    assert!(executed > 10 * least && broken > least && discarded > least, "too few to show anything");
}

/// What one client has queued on both servers.
#[derive(Default)]
pub(crate) struct Queue(Option<Vec<Vec<Arg>>>);

impl Queue {
    /// Whether commands are queued.
    pub(crate) fn is_open(&self) -> bool {
        self.0.is_some()
    }

    /// Compares what both answered to a command of the client.
    ///
    /// # Errors
    /// The difference, in words.
    pub(crate) fn compare(&mut self, command: &[Arg], ours: &Reply, theirs: &Reply) -> Result<(), String> {
        let differs = || Err(format!("{}: {ours:?}, redis: {theirs:?}", written(command)));
        let name = command[0].to_ascii_uppercase();
        if name != b"EXEC" {
            let both_queued =
                [ours, theirs].iter().all(|reply| matches!(reply, Reply::Simple(text) if text == b"QUEUED"));
            if let (Some(queued), true) = (&mut self.0, both_queued) {
                queued.push(command.to_vec());
                return Ok(());
            }
            if !exceptions::same(command, ours, theirs) {
                return differs();
            }
            match &name[..] {
                b"MULTI" if *ours == Reply::ok() => self.0 = Some(Vec::new()),
                b"DISCARD" if *ours == Reply::ok() => self.0 = None,
                b"RESET" if !matches!(ours, Reply::Error(_)) => self.0 = None,
                _ => {}
            }
            return Ok(());
        }
        let queued = self.0.take();
        let end = match ours {
            Reply::Array(replies) if !replies.is_empty() => Some(0),
            reply if reply.is_null() => Some(1),
            Reply::Error(text) if text.starts_with(b"EXECABORT") => Some(2),
            _ => None,
        };
        end.map(|end: usize| ENDED[end].fetch_add(1, Ordering::Relaxed));
        let (Some(queued), Reply::Array(our), Reply::Array(their)) = (queued, ours, theirs) else {
            return if ours == theirs { Ok(()) } else { differs() };
        };
        if our.len() != queued.len() || their.len() != queued.len() {
            return differs();
        }
        for ((command, ours), theirs) in queued.iter().zip(our).zip(their) {
            if !exceptions::same(command, ours, theirs) {
                return Err(format!("in EXEC, {}: {ours:?}, redis: {theirs:?}", written(command)));
            }
        }
        Ok(())
    }
}
