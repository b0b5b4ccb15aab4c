//! What is made of several sets, as a reply or stored as another set.
//!
//! The sets are read some members at a time, and what is stored is another set from the start; so the destination may be
//! among them. What is stored of large ones is walked in the order of the hashes, in which the other is filled.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};

use bytes::Bytes;
use modb_net::resp::{Args, parse_i64};

use super::find;
use crate::command::language::error::err;
use crate::command::language::packed::{Packed, Shape};
use crate::command::language::parse::{Options, at_least_one, is, positive};
use crate::command::{CommandError, Ctx, Reply};
use crate::data::{DataError, Set, SetResult, Tx};
use crate::messages::Event;

/// Members that are read at a time, about.
const MEMBERS_PER_STEP: usize = 128;

/// Sets of so many are not compact, mostly: what of them is stored is stored in no particular order, and only as many are remembered.
const LARGE: usize = 1_024;

/// Integers that Redis keeps in their order.
const MOST_IN_ORDER: usize = 512;

/// The sets at these keys; `None` where there is no key.
fn sets<'k>(
    ctx: &mut Ctx<'_, '_>,
    keys: impl Iterator<Item = &'k [u8]>,
) -> Result<Vec<Option<Set<'k>>>, DataError> {
    keys.map(|key| find(ctx, key)).collect()
}

/// In which order members are visited.
#[derive(Clone, Copy)]
enum Walk {
    /// As they are shown: as Redis has them, while they are few.
    AsShown,
    /// So that they can be stored; where they are few that is as shown.
    ToStore,
}

/// Visits the members of a set; `visit` may read others, and says `false` to end.
fn for_each(
    tx: &mut Tx<'_>,
    set: &mut Set<'_>,
    walk: Walk,
    mut visit: impl FnMut(&mut Tx<'_>, &Bytes) -> Result<bool, DataError>,
) -> Result<bool, DataError> {
    let by_hash = matches!(walk, Walk::ToStore) && set.goes_by_hash();
    let mut cursor = 0;
    loop {
        let (members, next) = if by_hash {
            let (members, next) = set.steps_by_hash(tx, cursor, MEMBERS_PER_STEP)?;
            (members.into_iter().map(|(_, member)| member).collect(), next)
        } else {
            set.scan(tx, cursor, MEMBERS_PER_STEP)?
        };
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
    walk: Walk,
    mut visit: impl FnMut(&mut Tx<'_>, &Bytes) -> Result<bool, DataError>,
) -> Result<(), DataError> {
    let Some(mut sets) = sets.into_iter().collect::<Option<Vec<_>>>() else { return Ok(()) };
    sets.sort_by_key(Set::len);
    let Some((smallest, others)) = sets.split_first_mut() else { return Ok(()) };
    for_each(tx, smallest, walk, |tx, member| {
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
        if !for_each(tx, &mut set, Walk::AsShown, &mut visit)? {
            break;
        }
    }
    Ok(())
}

/// Visits the members of the first set that are in none of the others; `passed` sees all of the first.
fn subtract(
    tx: &mut Tx<'_>,
    sets: Vec<Option<Set<'_>>>,
    walk: Walk,
    mut passed: impl FnMut(&Bytes),
    mut visit: impl FnMut(&mut Tx<'_>, &Bytes) -> Result<bool, DataError>,
) -> Result<(), DataError> {
    let mut sets = sets.into_iter();
    let Some(mut first) = sets.next().flatten() else { return Ok(()) };
    let mut others: Vec<_> = sets.flatten().collect();
    others.sort_by_key(|set| Reverse(set.len()));
    for_each(tx, &mut first, walk, |tx, member| {
        passed(member);
        if in_any(tx, &mut others, member)? { Ok(true) } else { visit(tx, member) }
    })?;
    Ok(())
}

/// Visits the members of all sets, each once, in the order of their hashes.
fn merge(
    tx: &mut Tx<'_>,
    sets: Vec<Option<Set<'_>>>,
    mut visit: impl FnMut(&mut Tx<'_>, &Bytes) -> Result<(), DataError>,
) -> Result<(), DataError> {
    /// A set, what of it was read and is not visited yet, and where to read on; 0 at its end.
    struct Source<'k> {
        set: Set<'k>,
        read: std::iter::Peekable<std::vec::IntoIter<(u64, Bytes)>>,
        next: u64,
    }
    impl Source<'_> {
        /// The hash of the member that comes next; `None` at the end.
        fn hash(&mut self, tx: &mut Tx<'_>) -> Result<Option<u64>, DataError> {
            while self.read.peek().is_none() && self.next != 0 {
                let (members, next) = self.set.steps_by_hash(tx, self.next, MEMBERS_PER_STEP)?;
                (self.read, self.next) = (members.into_iter().peekable(), next);
            }
            Ok(self.read.peek().map(|(hash, _)| *hash))
        }
    }
    let mut sources = Vec::with_capacity(sets.len());
    let mut due = BinaryHeap::new();
    for mut set in sets.into_iter().flatten() {
        let (members, next) = set.steps_by_hash(tx, 0, MEMBERS_PER_STEP)?;
        let mut source = Source { set, read: members.into_iter().peekable(), next };
        due.extend(source.hash(tx)?.map(|hash| Reverse((hash, sources.len()))));
        sources.push(source);
    }
    // Those of one hash, which are mostly one member of some sets.
    let mut equal: Vec<Bytes> = Vec::new();
    while let Some(&Reverse((hash, _))) = due.peek() {
        while let Some(&Reverse((other, at))) = due.peek()
            && other == hash
        {
            due.pop();
            let source = &mut sources[at];
            while let Some((_, member)) = source.read.next_if(|(other, _)| *other == hash) {
                if !equal.contains(&member) {
                    equal.push(member);
                }
            }
            due.extend(source.hash(tx)?.map(|hash| Reverse((hash, at))));
        }
        equal.drain(..).try_for_each(|member| visit(tx, &member))?;
    }
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
    intersect(ctx.tx, sets, Walk::AsShown, |_, member| Ok(items.push(member)))?;
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
    subtract(ctx.tx, sets, Walk::AsShown, |_| (), |_, member| Ok(items.push(member)))?;
    items.reply()
}

/// What is to be stored, empty as yet. `by_hash`: of which the members will come by hash.
fn target<'k>(ctx: &mut Ctx<'_, '_>, key: &'k [u8], by_hash: bool) -> Result<SetResult<'k>, DataError> {
    let db = ctx.db();
    let entry = ctx.tx.entry(db, key)?;
    Ok(SetResult::new(Set::replacing(ctx.tx, entry), by_hash))
}

fn store(ctx: &mut Ctx<'_, '_>, set: &Set<'_>, name: &'static str) -> Result<Reply, CommandError> {
    set.save(ctx.tx, Event::set(name))?;
    Ok(Reply::Int(set.len() as i64))
}

pub(super) fn sinterstore(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let sets = sets(ctx, args.iter().skip(2))?;
    let smallest = sets.iter().flatten().min_by_key(|set| set.len());
    let mut target = target(ctx, &args[1], smallest.is_some_and(Set::goes_by_hash))?;
    intersect(ctx.tx, sets, Walk::ToStore, |tx, member| target.add(tx, member).map(|()| true))?;
    let target = target.finish(ctx.tx)?;
    store(ctx, &target, "sinterstore")
}

pub(super) fn sunionstore(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let sets = sets(ctx, args.iter().skip(2))?;
    // A union is no smaller than any of them.
    let by_hash = sets.iter().flatten().any(|set| set.len() >= LARGE as u64 && set.goes_by_hash());
    let mut target = target(ctx, &args[1], by_hash)?;
    if by_hash {
        merge(ctx.tx, sets, |tx, member| target.add(tx, member))?;
    } else {
        unite(ctx.tx, sets, |tx, member| target.add(tx, member).map(|()| true))?;
    }
    let target = target.finish(ctx.tx)?;
    store(ctx, &target, "sunionstore")
}

pub(super) fn sdiffstore(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let sets = sets(ctx, args.iter().skip(2))?;
    let by_hash = sets.first().is_some_and(|first| first.as_ref().is_some_and(Set::goes_by_hash));
    let mut target = target(ctx, &args[1], by_hash)?;
    let (copies, mut passed, mut count) = (copies_first(&sets), Vec::new(), 0);
    subtract(
        ctx.tx,
        sets,
        Walk::ToStore,
        |member| {
            count += 1;
            if copies && passed.len() < LARGE {
                passed.push(Bytes::copy_from_slice(member));
            }
        },
        |tx, member| target.add(tx, member).map(|()| true),
    )?;
    let mut target = target.finish(ctx.tx)?;
    for (at, member) in passed.iter().enumerate() {
        // Those behind the last that is remembered are as that one.
        let had = if at + 1 == LARGE { count } else { at as u64 + 1 };
        target.had(ctx.tx, member, had);
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
    intersect(ctx.tx, sets, Walk::AsShown, |_, _| {
        found += 1;
        Ok(found != limit)
    })?;
    Ok(Reply::Int(found as i64))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::ops::Range;

    use crate::command::testing::{Bench, run};

    fn add(bench: &Bench, key: &str, prefix: &str, numbers: Range<u32>) {
        let numbers: Vec<u32> = numbers.collect();
        for some in numbers.chunks(500) {
            let members: Vec<String> = some.iter().map(|number| format!("{prefix}{number}")).collect();
            bench.text(&format!("SADD {key} {}", members.join(" ")));
        }
    }

    /// The words of a reply, of which each may be there once.
    fn words(reply: &str) -> BTreeSet<&str> {
        let words: Vec<&str> = reply.trim_matches(['[', ']']).split(' ').collect();
        let set: BTreeSet<&str> = words.iter().copied().collect();
        assert_eq!(set.len(), words.len(), "each once");
        set
    }

    fn assert_whole(bench: &Bench) {
        let report = crate::data::check(&**bench.instance.data.store(), &mut |_, _| {}).unwrap();
        assert_eq!(report.described, [""; 0]);
    }

    /// Trees of many levels, of which leaves end where those of others do not; also one that takes the place of a source, and
    /// small ones, of integers or not, beside large ones.
    #[test]
    fn what_is_stored_of_large_sets_is_what_is_shown_of_them() {
        let bench = Bench::new();
        bench.instance.data.keep_pages_small(true);
        add(&bench, "a", "m", 0..3_000);
        add(&bench, "b", "m", 1_000..4_500);
        add(&bench, "c", "", 0..1_500);
        bench.text("SADD few 1 7 m5 m4000 x");
        bench.text("SADD integers 1 2 9999");
        for (stores, shows) in [("SUNIONSTORE", "SUNION"), ("SINTERSTORE", "SINTER"), ("SDIFFSTORE", "SDIFF")]
        {
            for keys in
                ["a b c few none integers", "c integers", "few a", "a few", "a b", "a a", "b a c", "c"]
            {
                let shown = bench.text(&format!("{shows} {keys}"));
                let count = if shown == "[]" { 0 } else { words(&shown).len() };
                assert_eq!(bench.text(&format!("{stores} d {keys}")), format!(":{count}"), "{stores} {keys}");
                assert_eq!(words(&bench.text("SMEMBERS d")), words(&shown), "{stores} {keys}");
            }
        }
        assert_whole(&bench);
        let union = bench.text("SUNION a b");
        assert_eq!(bench.text("SUNIONSTORE a a b"), ":4500");
        assert_eq!(words(&bench.text("SMEMBERS a")), words(&union));
        assert_eq!(bench.text("OBJECT ENCODING a"), "hashtable");
        assert_eq!(bench.text("SADD a new m1"), ":1");
        assert_eq!(bench.text("SREM a m1 m4499 new"), ":3");
        assert_whole(&bench);
    }

    #[test]
    fn of_what_is_stored_of_large_sets_each_page_is_full() {
        let bench = Bench::new();
        add(&bench, "a", "member:", 10_000..20_000);
        add(&bench, "b", "member:", 15_000..30_000);
        let pages =
            || bench.instance.data.store().scan(&[0x11], &[0x12], usize::MAX >> 1).unwrap().records.len();
        let there = pages();
        let mut before = there;
        for (command, members) in
            [("SUNIONSTORE u a b", 20_000), ("SINTERSTORE i b a", 5_000), ("SDIFFSTORE d b a", 10_000)]
        {
            assert_eq!(bench.text(command), format!(":{members}"));
            // An entry of 12 bytes takes 15.
            let (made, full) = (pages() - before, members * 15 / 452);
            assert!(made <= full * 108 / 100 + 2, "{command}: {made} pages, {full} full ones");
            before = pages();
        }
        assert_eq!(bench.text("SCARD u"), ":20000");
        assert_whole(&bench);
    }

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
