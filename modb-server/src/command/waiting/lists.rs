//! Waiting for elements of lists.

use std::sync::Arc;

use bytes::Bytes;
use modb_net::resp::Args;

use super::{
    ALL_BUT_LAST, COUNTED, PASSES, WAITS, WAITS_AND_GROWS, WAITS_COUNTED, do_or_wait, keys_before_timeout,
    owned,
};
use crate::command::language::counted::Counted;
use crate::command::language::error::CommandError;
use crate::command::language::reply::Reply;
use crate::command::language::until::{What, timeout_in_seconds};
use crate::command::lists::{end_named, move_element, take};
use crate::command::machine::context::Ctx;
use crate::command::machine::spec::{Access, KeySpec, Spec, key};
use crate::command::machine::weight::READ_NS;
use crate::data::{End, Kind, List, Tx};

const MOVED: &[KeySpec] = &[key(Access::Take, 1), key(Access::Extend, 2)];

#[rustfmt::skip]
pub(in crate::command) static COMMANDS: [Spec; 5] = [
    Spec::new("list", "blpop", blpop, -3).weighed().flags(WAITS).keys(ALL_BUT_LAST)
        .docs("key... timeout", "2.0.0", "O(N) with N keys", "Removes and returns the element at the left end of the first of some lists that has one; waits for it.")
        .differs(PASSES),
    Spec::new("list", "brpop", brpop, -3).weighed().flags(WAITS).keys(ALL_BUT_LAST)
        .docs("key... timeout", "2.0.0", "O(N) with N keys", "Removes and returns the element at the right end of the first of some lists that has one; waits for it.")
        .differs(PASSES),
    Spec::new("list", "blmpop", blmpop, -5).weighs(|scale, args| scale.taken(args, 2, READ_NS)).flags(WAITS_COUNTED).keys(COUNTED)
        .docs("timeout numkeys key... LEFT|RIGHT [COUNT count]", "7.0.0", "O(N+M) with N keys and M elements", "Removes and returns elements of the first of some lists that has any; waits for them.")
        .differs(PASSES),
    Spec::new("list", "blmove", blmove, 6).flags(WAITS_AND_GROWS).keys(MOVED)
        .docs("source destination LEFT|RIGHT LEFT|RIGHT timeout", "6.2.0", "O(1)", "Moves an element from an end of a list to an end of another, and returns it; waits for it."),
    Spec::new("list", "brpoplpush", brpoplpush, 4).flags(WAITS_AND_GROWS).keys(MOVED)
        .docs("source destination timeout", "2.2.0", "O(1)", "Moves the element at the right end of a list to the left end of another, and returns it; waits for it."),
];

/// Takes elements off an end of the first list that has any.
struct Take {
    keys: Box<[Bytes]>,
    end: End,
    /// None: one, and the reply is not nested.
    count: Option<u64>,
}

impl What for Take {
    fn kind(&self) -> Kind {
        Kind::List
    }

    fn keys(&self) -> &[Bytes] {
        &self.keys
    }

    fn attempt(&self, tx: &mut Tx<'_>, database: u32) -> Result<Option<Reply>, CommandError> {
        for key in &self.keys {
            if !tx.may_take_from(database, key, Kind::List)? {
                continue;
            }
            let mut list = List::open(tx, database, key)?;
            if list.is_empty() {
                continue;
            }
            let mut taken = take(tx, &mut list, self.end, self.count.unwrap_or(1))?;
            let taken = match self.count {
                None => taken.pop().unwrap_or(Reply::Null),
                Some(_) => Reply::Array(taken),
            };
            return Ok(Some(Reply::Array(vec![Reply::Bulk(key.clone()), taken])));
        }
        Ok(None)
    }
}

/// Moves an element.
struct Move {
    from: [Bytes; 1],
    to: Bytes,
    ends: (End, End),
}

impl What for Move {
    fn kind(&self) -> Kind {
        Kind::List
    }

    fn keys(&self) -> &[Bytes] {
        &self.from
    }

    fn target(&self) -> Option<&Bytes> {
        Some(&self.to)
    }

    fn attempt(&self, tx: &mut Tx<'_>, database: u32) -> Result<Option<Reply>, CommandError> {
        let (from, to) = self.ends;
        move_element(tx, database, [&self.from[0], &self.to], from, to)
    }
}

/// Takes the element at an end of the first of these lists that has any, for a call of a program: answered with the key, and the element.
pub(crate) fn pop_of_lists(keys: Box<[Bytes]>, end: End) -> Arc<dyn What> {
    Arc::new(Take { keys, end, count: None })
}

/// Moves an element between ends of lists, for a call of a program: answered with it.
pub(crate) fn move_of_list(from: Bytes, to: Bytes, ends: (End, End)) -> Arc<dyn What> {
    Arc::new(Move { from: [from], to, ends })
}

fn blpop(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    pop(ctx, args, End::Left)
}

fn brpop(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    pop(ctx, args, End::Right)
}

fn pop(ctx: &mut Ctx<'_, '_>, args: Args<'_>, end: End) -> Result<Reply, CommandError> {
    let timeout_ms = timeout_in_seconds(&args[args.len() - 1])?;
    let take = Take { keys: keys_before_timeout(args), end, count: None };
    do_or_wait(ctx, take, timeout_ms, Reply::NullArray)
}

fn blmpop(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let timeout_ms = timeout_in_seconds(&args[1])?;
    let asked = Counted::parse(args, 2, end_named)?;
    let take = Take { keys: owned(asked.keys(args)), end: asked.word, count: Some(asked.count) };
    do_or_wait(ctx, take, timeout_ms, Reply::NullArray)
}

fn blmove(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let ends = (end_named(&args[3])?, end_named(&args[4])?);
    let timeout_ms = timeout_in_seconds(&args[5])?;
    move_or_wait(ctx, args, ends, timeout_ms)
}

fn brpoplpush(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let timeout_ms = timeout_in_seconds(&args[3])?;
    move_or_wait(ctx, args, (End::Right, End::Left), timeout_ms)
}

fn move_or_wait(
    ctx: &mut Ctx<'_, '_>,
    args: Args<'_>,
    ends: (End, End),
    timeout_ms: Option<u64>,
) -> Result<Reply, CommandError> {
    let [from, to] = [1, 2].map(|at| Bytes::copy_from_slice(&args[at]));
    do_or_wait(ctx, Move { from: [from], to, ends }, timeout_ms, Reply::Null)
}
