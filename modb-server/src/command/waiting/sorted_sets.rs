//! Waiting for members of sorted sets.

use std::sync::Arc;

use bytes::Bytes;
use modb_net::resp::Args;

use super::{
    ALL_BUT_LAST, COUNTED, PASSES, WAITS_COUNTED, WAITS_FAST, do_or_wait, keys_before_timeout, owned,
};
use crate::command::language::counted::Counted;
use crate::command::language::error::CommandError;
use crate::command::language::reply::Reply;
use crate::command::language::until::{What, timeout_in_seconds};
use crate::command::machine::context::Ctx;
use crate::command::machine::spec::Spec;
use crate::command::machine::weight::WRITE_NS;
use crate::command::sorted_sets::{is_highest, take};
use crate::data::{Kind, SortedSet, Tx};

#[rustfmt::skip]
pub(in crate::command) static COMMANDS: [Spec; 3] = [
    Spec::new("sorted-set", "bzpopmin", bzpopmin, -3).weighed().flags(WAITS_FAST).keys(ALL_BUT_LAST)
        .docs("key... timeout", "5.0.0", "O(log(N))", "Removes and returns the member with the lowest score of the first of some sorted sets that has one; waits for it.")
        .differs(PASSES),
    Spec::new("sorted-set", "bzpopmax", bzpopmax, -3).weighed().flags(WAITS_FAST).keys(ALL_BUT_LAST)
        .docs("key... timeout", "5.0.0", "O(log(N))", "Removes and returns the member with the highest score of the first of some sorted sets that has one; waits for it.")
        .differs(PASSES),
    Spec::new("sorted-set", "bzmpop", bzmpop, -5).weighs(|scale, args| scale.taken(args, 2, WRITE_NS)).flags(WAITS_COUNTED).keys(COUNTED)
        .docs("timeout numkeys key... MIN|MAX [COUNT count]", "7.0.0", "O(K)+O(M*log(N)) with K keys and M members", "Removes and returns members of the first of some sorted sets that has any; waits for them.")
        .differs(PASSES),
];

/// Takes members off an end of the first sorted set that has any.
struct Take {
    keys: Box<[Bytes]>,
    highest: bool,
    /// None: one, and the reply is flat.
    count: Option<u64>,
}

impl What for Take {
    fn kind(&self) -> Kind {
        Kind::SortedSet
    }

    fn keys(&self) -> &[Bytes] {
        &self.keys
    }

    fn attempt(&self, tx: &mut Tx<'_>, database: u32) -> Result<Option<Reply>, CommandError> {
        for key in &self.keys {
            if !tx.may_take_from(database, key, Kind::SortedSet)? {
                continue;
            }
            let mut set = SortedSet::open(tx, database, key)?;
            if set.is_empty() {
                continue;
            }
            let taken = take(tx, &mut set, self.count.unwrap_or(1), self.highest)?;
            let pairs = taken.into_iter().map(|(score, member)| [Reply::Bulk(member), Reply::Double(score)]);
            let mut reply = vec![Reply::Bulk(key.clone())];
            match self.count {
                None => reply.extend(pairs.flatten()),
                Some(_) => reply.push(Reply::Array(pairs.map(|pair| Reply::Array(pair.into())).collect())),
            }
            return Ok(Some(Reply::Array(reply)));
        }
        Ok(None)
    }
}

/// Takes the lowest or highest member of the first of these sorted sets that has any, for a call of a program: answered with key, member and
/// score.
pub(crate) fn pop_of_sorted_sets(keys: Box<[Bytes]>, highest: bool) -> Arc<dyn What> {
    Arc::new(Take { keys, highest, count: None })
}

fn bzpopmin(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    pop(ctx, args, false)
}

fn bzpopmax(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    pop(ctx, args, true)
}

fn pop(ctx: &mut Ctx<'_, '_>, args: Args<'_>, highest: bool) -> Result<Reply, CommandError> {
    let timeout_ms = timeout_in_seconds(&args[args.len() - 1])?;
    let take = Take { keys: keys_before_timeout(args), highest, count: None };
    do_or_wait(ctx, take, timeout_ms, Reply::NullArray)
}

fn bzmpop(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let timeout_ms = timeout_in_seconds(&args[1])?;
    let asked = Counted::parse(args, 2, is_highest)?;
    let take = Take { keys: owned(asked.keys(args)), highest: asked.word, count: Some(asked.count) };
    do_or_wait(ctx, take, timeout_ms, Reply::NullArray)
}
