//! What is made of several sets, as a reply or stored as another set.
//!
//! The sets are read some members at a time, and what is stored is another set from the start; so the destination may be
//! among them.

use std::collections::HashSet;

use bytes::Bytes;
use modb_net::resp::{Args, parse_i64};

use super::find;
use crate::command::language::error::err;
use crate::command::language::packed::{Packed, Shape};
use crate::command::language::parse::{Options, at_least_one, is, positive};
use crate::command::{CommandError, Ctx, Reply};
use crate::data::{DataError, Set, Tx};
use crate::messages::Event;

/// Members that are read at a time, about.
const MEMBERS_PER_STEP: usize = 128;

/// Integers that Redis keeps in their order.
const MOST_IN_ORDER: usize = 512;

/// The sets at these keys; `None` where there is no key.
fn sets<'k>(
    ctx: &mut Ctx<'_, '_>,
    keys: impl Iterator<Item = &'k [u8]>,
) -> Result<Vec<Option<Set<'k>>>, DataError> {
    keys.map(|key| find(ctx, key)).collect()
}

/// Visits the members of a set; `visit` may read others, and says `false` to end.
fn for_each(
    tx: &mut Tx<'_>,
    set: &mut Set<'_>,
    mut visit: impl FnMut(&mut Tx<'_>, &Bytes) -> Result<bool, DataError>,
) -> Result<bool, DataError> {
    let mut cursor = 0;
    loop {
        let (members, next) = set.scan(tx, cursor, MEMBERS_PER_STEP)?;
        for member in &members {
            if !visit(tx, member)? {
                return Ok(false);
            }
        }
        if next == 0 {
            return Ok(true);
        }
        cursor = next;
    }
}

fn in_any(tx: &mut Tx<'_>, sets: &mut [Set<'_>], member: &[u8]) -> Result<bool, DataError> {
    for set in sets {
        if set.contains(tx, member)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Visits what is in all sets: the members of the smallest are looked up in the others.
fn intersect(
    tx: &mut Tx<'_>,
    sets: Vec<Option<Set<'_>>>,
    mut visit: impl FnMut(&mut Tx<'_>, &Bytes) -> Result<bool, DataError>,
) -> Result<(), DataError> {
    let Some(mut sets) = sets.into_iter().collect::<Option<Vec<_>>>() else { return Ok(()) };
    sets.sort_by_key(Set::len);
    let Some((smallest, others)) = sets.split_first_mut() else { return Ok(()) };
    for_each(tx, smallest, |tx, member| {
        for set in &mut *others {
            if !set.contains(tx, member)? {
                return Ok(true);
            }
        }
        visit(tx, member)
    })?;
    Ok(())
}

/// Visits the members of all sets, each as often as there are sets that have it.
fn unite(
    tx: &mut Tx<'_>,
    sets: Vec<Option<Set<'_>>>,
    mut visit: impl FnMut(&mut Tx<'_>, &Bytes) -> Result<bool, DataError>,
) -> Result<(), DataError> {
    for mut set in sets.into_iter().flatten() {
        if !for_each(tx, &mut set, &mut visit)? {
            break;
        }
    }
    Ok(())
}

/// Visits the members of the first set that are in none of the others; `passed` sees all of the first.
fn subtract(
    tx: &mut Tx<'_>,
    sets: Vec<Option<Set<'_>>>,
    mut passed: impl FnMut(&Bytes),
    mut visit: impl FnMut(&mut Tx<'_>, &Bytes) -> Result<bool, DataError>,
) -> Result<(), DataError> {
    let mut sets = sets.into_iter();
    let Some(mut first) = sets.next().flatten() else { return Ok(()) };
    let mut others: Vec<_> = sets.flatten().collect();
    others.sort_by_key(|set| std::cmp::Reverse(set.len()));
    for_each(tx, &mut first, |tx, member| {
        passed(member);
        if in_any(tx, &mut others, member)? { Ok(true) } else { visit(tx, member) }
    })?;
    Ok(())
}

/// Whether Redis would make a difference of a copy of the first set, and not of what is left of it.
fn copies_first(sets: &[Option<Set<'_>>]) -> bool {
    let Some(Some(first)) = sets.first() else { return false };
    let (there, all) = sets.iter().flatten().fold((0, 0), |(there, all), set| (there + 1, all + set.len()));
    first.len() * there / 2 > all
}

/// Members of a union or difference in the order in which Redis has them while they are few.
#[derive(Default)]
struct Collected {
    members: Vec<Bytes>,
    /// Bytes of the members.
    bytes: usize,
    mixed: bool,
}

impl Collected {
    fn push(&mut self, member: &Bytes) -> bool {
        if !self.mixed && parse_i64(member).is_none() {
            self.arrange();
            self.mixed = true;
        }
        self.bytes += member.len();
        self.members.push(member.clone());
        self.bytes <= crate::command::language::reply::MAX_REPLY_BYTES
    }

    /// Integers stand in their order until another member comes.
    fn arrange(&mut self) {
        if self.members.len() <= MOST_IN_ORDER {
            self.members.sort_by_cached_key(|member| parse_i64(member));
        }
    }

    fn reply(mut self) -> Result<Reply, CommandError> {
        if !self.mixed {
            self.arrange();
        }
        let mut items = Packed::new(Shape::Set);
        self.members.iter().all(|member| items.push(member));
        items.reply()
    }
}

pub(super) fn sinter(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let sets = sets(ctx, args.iter().skip(1))?;
    let mut items = Packed::new(Shape::Set);
    intersect(ctx.tx, sets, |_, member| Ok(items.push(member)))?;
    items.reply()
}

pub(super) fn sunion(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let sets = sets(ctx, args.iter().skip(1))?;
    let (mut items, mut seen) = (Collected::default(), HashSet::new());
    unite(ctx.tx, sets, |_, member| Ok(!seen.insert(member.clone()) || items.push(member)))?;
    items.reply()
}

pub(super) fn sdiff(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let sets = sets(ctx, args.iter().skip(1))?;
    let mut items = Collected::default();
    subtract(ctx.tx, sets, |_| (), |_, member| Ok(items.push(member)))?;
    items.reply()
}

/// What is to be stored, empty as yet.
fn target<'k>(ctx: &mut Ctx<'_, '_>, key: &'k [u8]) -> Result<Set<'k>, DataError> {
    let db = ctx.db();
    let entry = ctx.tx.entry(db, key)?;
    Ok(Set::replacing(ctx.tx, entry))
}

fn store(ctx: &mut Ctx<'_, '_>, set: &Set<'_>, name: &'static str) -> Result<Reply, CommandError> {
    set.save(ctx.tx, Event::set(name))?;
    Ok(Reply::Int(set.len() as i64))
}

pub(super) fn sinterstore(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let sets = sets(ctx, args.iter().skip(2))?;
    let mut target = target(ctx, &args[1])?;
    intersect(ctx.tx, sets, |tx, member| target.add(tx, member).map(|_| true))?;
    store(ctx, &target, "sinterstore")
}

pub(super) fn sunionstore(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let sets = sets(ctx, args.iter().skip(2))?;
    let mut target = target(ctx, &args[1])?;
    unite(ctx.tx, sets, |tx, member| target.add(tx, member).map(|_| true))?;
    store(ctx, &target, "sunionstore")
}

pub(super) fn sdiffstore(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let sets = sets(ctx, args.iter().skip(2))?;
    let mut target = target(ctx, &args[1])?;
    let (copies, mut passed) = (copies_first(&sets), Vec::new());
    subtract(
        ctx.tx,
        sets,
        |member| {
            if copies {
                passed.push(member.clone());
            }
        },
        |tx, member| target.add(tx, member).map(|_| true),
    )?;
    for (at, member) in passed.iter().enumerate() {
        target.had(ctx.tx, member, at as u64 + 1);
    }
    store(ctx, &target, "sdiffstore")
}

pub(super) fn sintercard(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let count = at_least_one(&args[1], "ERR numkeys should be greater than 0")?;
    let Some(behind) =
        usize::try_from(count).ok().and_then(|n| n.checked_add(2)).filter(|n| *n <= args.len())
    else {
        return err("ERR Number of keys can't be greater than number of args");
    };
    let mut limit = 0;
    let mut options = Options::from(args, behind);
    while let Some(word) = options.next() {
        if !is(word, "limit") {
            return Err(CommandError::Syntax);
        }
        limit = positive(options.value()?, "ERR LIMIT can't be negative")?;
    }
    let sets = sets(ctx, args.iter().take(behind).skip(2))?;
    let mut found = 0;
    intersect(ctx.tx, sets, |_, _| {
        found += 1;
        Ok(found != limit)
    })?;
    Ok(Reply::Int(found as i64))
}

#[cfg(test)]
mod tests {
    use crate::command::machine::testing::run;

    run! {
        sets_are_cut_joined_and_taken_away {
            "SADD a 1 2 3 x" => ":4", "SADD b 2 3 4" => ":3", "SADD c x 3" => ":2", "SINTER a b" => "[2 3]", "SINTER a b c" => "[3]", "SINTER a none" => "[]",
            "SUNION b a none" => "[1 2 3 4 x]", "SDIFF a b" => "[1 x]", "SDIFF a b c" => "[1]", "SDIFF none a" => "[]", "SDIFF a none" => "[1 2 3 x]", "SDIFF a a" => "[]",
            "SINTERCARD 2 a b" => ":2", "SINTERCARD 2 a b LIMIT 1" => ":1", "SINTERCARD 2 a b LIMIT 0" => ":2", "SINTERCARD 2 a none" => ":0",
            "SINTERCARD 0 a" => "-ERR numkeys should be greater than 0", "SINTERCARD x a" => "-ERR numkeys should be greater than 0",
            "SINTERCARD 3 a b" => "-ERR Number of keys can't be greater than number of args", "SINTERCARD 1 a b" => "-ERR syntax error", "SINTERCARD 1 a LIMIT" => "-ERR syntax error",
            "SINTERCARD 9223372036854775807 a" => "-ERR Number of keys can't be greater than number of args",
            "SINTERCARD 1 a LIMIT -1" => "-ERR LIMIT can't be negative", "SINTERCARD 1 a LIMIT x" => "-ERR LIMIT can't be negative"
        }
        what_is_stored_takes_the_place_of_anything {
            "SADD a 1 2 3" => ":3", "SADD b 2 3 4" => ":3", "SET d x EX 100" => "+OK", "SINTERSTORE d a b" => ":2", "TTL d" => ":-1", "SMEMBERS d" => "[2 3]",
            "EXPIRE a 100" => ":1", "SUNIONSTORE a a b" => ":4", "TTL a" => ":-1", "SMEMBERS a" => "[1 2 3 4]", "SDIFFSTORE a b a" => ":0", "EXISTS a" => ":0",
            "SINTERSTORE d none b" => ":0", "EXISTS d" => ":0", "SET t x" => "+OK", "SUNIONSTORE d b t" => "-WRONGTYPE Operation against a key holding the wrong kind of value",
            "SINTERSTORE d none t" => "-WRONGTYPE Operation against a key holding the wrong kind of value", "EXISTS d" => ":0", "SINTERSTORE t none b" => ":0", "EXISTS t" => ":0",
            "SDIFF none b b" => "[]", "DBSIZE" => ":1"
        }
        a_difference_remembers_a_copy {
            "SADD a 1 2 3 4 5 x" => ":6", "SADD b x" => ":1", "SADD c y" => ":1", "SDIFFSTORE d a b c" => ":5", "OBJECT ENCODING d" => "listpack",
            "SDIFFSTORE d a b" => ":5", "OBJECT ENCODING d" => "intset", "SINTERSTORE d a a" => ":6", "SREM a x" => ":1", "OBJECT ENCODING a" => "listpack",
            "SINTERSTORE d a a" => ":5", "OBJECT ENCODING d" => "intset"
        }
    }
}
