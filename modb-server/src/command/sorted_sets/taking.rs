//! What is taken off an end of a sorted set, chosen from it at random, or walked over.

use std::collections::HashSet;

use bytes::Bytes;
use modb_net::resp::Args;

use super::{CommandError, Ctx, MAX_REPLY_BYTES, Pairs, Reply, TOO_LARGE, err, is, parse};
use crate::command::language::counted::Counted;
use crate::command::language::walk::{Walk, walk};
use crate::data::{SortedSet, Tx};
use crate::messages::Event;

pub(super) fn zpopmin(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    pop_one_key(ctx, args, false)
}

pub(super) fn zpopmax(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    pop_one_key(ctx, args, true)
}

fn pop_one_key(ctx: &mut Ctx<'_, '_>, args: Args<'_>, highest: bool) -> Result<Reply, CommandError> {
    let count = match args.len() {
        2 => None,
        3 => Some(parse::positive(&args[2], "ERR value is out of range, must be positive")?),
        _ => return Err(CommandError::Syntax),
    };
    // Flat if there can be only one.
    let mut pairs = Pairs::new(ctx, true);
    if count.is_none() {
        pairs.scores = super::Shape::Flat;
    }
    pop(ctx, &args[1], count.unwrap_or(1), highest, &mut pairs)?;
    pairs.reply()
}

/// Takes members off an end; says whether there was a sorted set.
fn pop(
    ctx: &mut Ctx<'_, '_>,
    key: &[u8],
    count: u64,
    highest: bool,
    pairs: &mut Pairs,
) -> Result<bool, CommandError> {
    let db = ctx.db();
    let mut set = SortedSet::open(ctx.tx, db, key)?;
    let found = !set.is_empty();
    pairs.check_room(count.min(set.len()))?;
    let taken = take(ctx.tx, &mut set, count, highest)?;
    taken.into_iter().for_each(|(score, member)| pairs.push(score, member));
    Ok(found)
}

/// Takes members off an end, the outermost first.
pub(crate) fn take(
    tx: &mut Tx<'_>,
    set: &mut SortedSet<'_>,
    count: u64,
    highest: bool,
) -> Result<Vec<(f64, Bytes)>, CommandError> {
    let count = count.min(set.len());
    let from = if highest { set.len() - count } else { 0 };
    let mut taken = Vec::new();
    if count > 0 {
        set.remove_ranks(tx, from, from + count, |score, member| taken.push((score, member)))?;
        if taken.iter().map(|(_, member)| member.len()).sum::<usize>() > MAX_REPLY_BYTES {
            return err(TOO_LARGE);
        }
        set.save(tx, Event::sorted_set(if highest { "zpopmax" } else { "zpopmin" }))?;
    }
    if highest {
        taken.reverse();
    }
    Ok(taken)
}

pub(super) fn zmpop(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let asked = Counted::parse(args, 1, is_highest)?;
    let mut pairs = Pairs::new(ctx, true);
    pairs.scores = super::Shape::Nested;
    for key in asked.keys(args) {
        if pop(ctx, key, asked.count, asked.word, &mut pairs)? {
            return Ok(Reply::Array(vec![Reply::copied(key), pairs.reply()?]));
        }
    }
    Ok(Reply::NullArray)
}

/// Which end of a sorted set `MIN` and `MAX` name.
pub(in crate::command) fn is_highest(word: &[u8]) -> Result<bool, CommandError> {
    match word {
        word if is(word, "min") => Ok(false),
        word if is(word, "max") => Ok(true),
        _ => Err(CommandError::Syntax),
    }
}

pub(super) fn zrandmember(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let db = ctx.db();
    if args.len() == 2 {
        let Some(mut set) = SortedSet::find(ctx.tx, db, &args[1])? else { return Ok(Reply::Null) };
        let rank = ctx.tx.data().below(set.len());
        return Ok(set.nth(ctx.tx, rank)?.map_or(Reply::Null, |(_, member)| Reply::Bulk(member)));
    }
    let count = parse::int_within(&args[2], -i64::MAX, i64::MAX)?;
    let scores = match args.len() {
        3 => false,
        4 if is(&args[3], "withscores") => true,
        _ => return Err(CommandError::Syntax),
    };
    if scores && !(-i64::MAX / 2..=i64::MAX / 2).contains(&count) {
        return err("ERR value is out of range");
    }
    let mut pairs = Pairs::new(ctx, scores);
    let Some(mut set) = SortedSet::find(ctx.tx, db, &args[1])? else { return pairs.reply() };
    let len = set.len();
    if count < 0 {
        pairs.check_room(count.unsigned_abs())?;
        for left in (0..count.unsigned_abs()).rev() {
            let rank = ctx.tx.data().below(len);
            set.for_each(ctx.tx, rank, 1, false, |score, member| pairs.push(score, member))?;
            pairs.check_room(left)?;
        }
    } else if count as u64 >= len {
        pairs.check_room(len)?;
        set.for_each(ctx.tx, 0, len, false, |score, member| pairs.push(score, member))?;
    } else {
        // Floyd's choice of so many different ones (Bentley, Floyd 1987), in the order in which they were chosen.
        let mut chosen = HashSet::new();
        for top in len - count as u64..len {
            let rank =
                Some(ctx.tx.data().below(top + 1)).filter(|rank| !chosen.contains(rank)).unwrap_or(top);
            chosen.insert(rank);
            set.for_each(ctx.tx, rank, 1, false, |score, member| pairs.push(score, member))?;
        }
    }
    pairs.reply()
}

pub(super) fn zscan(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let Walk { cursor, pattern, count } = Walk::parse(args, 2)?;
    let db = ctx.db();
    let Some(mut set) = SortedSet::find(ctx.tx, db, &args[1])? else {
        return Ok(walk(0, Reply::Array(Vec::new())));
    };
    let mut items = Vec::new();
    let next = set.scan(ctx.tx, cursor, count, |score, member| {
        if pattern.is_none_or(|pattern| crate::data::glob_matches(pattern, &member, false)) {
            items.extend([Reply::Bulk(member), Reply::Score(score)]);
        }
    })?;
    Ok(walk(next, Reply::Array(items)))
}
