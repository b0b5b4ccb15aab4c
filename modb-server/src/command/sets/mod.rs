//! Sets: members. What is made of several is in [`algebra`], what is chosen at random in [`chosen`].

mod algebra;
mod chosen;

use modb_net::resp::Args;

use crate::command::language::packed::{Packed, Shape};
use crate::command::language::walk::{self, Walk};
use crate::command::machine::spec::{Access, Find, Flags, KeySpec, Spec, key, keys};
use crate::command::machine::weight::{ANSWERED, FIND_NS, SCANNED, WRITE_NS, numbered};
use crate::command::{CommandError, Ctx, Reply};
use crate::data::{DataError, Set, glob_matches};
use crate::messages::Event;

const READ: &[Flags] = &[Flags::READONLY, Flags::MANY_RECORDS];
const READ_FAST: &[Flags] = &[Flags::READONLY, Flags::FAST, Flags::MANY_RECORDS];
const GROW: &[Flags] = &[Flags::WRITE, Flags::DENYOOM];
const SHRINK: &[Flags] = &[Flags::WRITE, Flags::FAST];
const ONE_READ: &[KeySpec] = &[key(Access::Read, 1)];
const ONE_INSPECTED: &[KeySpec] = &[key(Access::Inspect, 1)];
const SEVERAL: &[KeySpec] = &[keys(Access::Read, 1, 1)];
const OVERWRITTEN: &[KeySpec] = &[key(Access::Overwrite, 1), keys(Access::Read, 2, 1)];
const TOO_LARGE: &str = "a reply of more than 512 MiB is refused";

#[rustfmt::skip]
pub(super) static COMMANDS: [Spec; 17] = [
    Spec::new("set", "sadd", sadd, -3).weighed().flags(&[Flags::WRITE, Flags::DENYOOM, Flags::FAST]).keys(&[key(Access::Extend, 1)])
        .docs("key member...", "1.0.0", "O(N) with N members", "Adds members to a set."),
    Spec::new("set", "srem", srem, -3).weighed().flags(SHRINK).keys(&[key(Access::Shrink, 1)])
        .docs("key member...", "1.0.0", "O(N) with N members", "Removes members from a set."),
    Spec::new("set", "smove", smove, 4).flags(SHRINK).keys(&[key(Access::Take, 1), key(Access::Extend, 2)])
        .docs("source destination member", "1.0.0", "O(1)", "Moves a member from one set to another."),
    Spec::new("set", "sismember", sismember, 3).flags(READ_FAST).keys(ONE_INSPECTED)
        .docs("key member", "1.0.0", "O(1)", "Says whether a set has a member."),
    Spec::new("set", "smismember", smismember, -3).weighed().flags(READ_FAST).keys(ONE_READ)
        .docs("key member...", "6.2.0", "O(N) with N members", "Says of each of some members whether a set has it."),
    Spec::new("set", "scard", scard, 2).flags(READ_FAST).keys(ONE_INSPECTED)
        .docs("key", "1.0.0", "O(1)", "Returns how many members a set has."),
    Spec::new("set", "smembers", smembers, 2).weighs(ANSWERED).flags(READ).keys(ONE_READ)
        .docs("key", "1.0.0", "O(N) with N members", "Returns all members of a set.").differs(TOO_LARGE),
    Spec::new("set", "spop", chosen::spop, -2).weighs(|scale, args| scale.counted(&args[1], args.get(2), WRITE_NS)).flags(SHRINK).keys(&[key(Access::Take, 1)])
        .docs("key [count]", "1.0.0", "O(N) with N members returned", "Removes and returns members chosen at random."),
    Spec::new("set", "srandmember", chosen::srandmember, -2).weighs(|scale, args| scale.counted(&args[1], args.get(2), FIND_NS)).flags(READ).keys(ONE_READ)
        .docs("key [count]", "1.0.0", "O(N) with N members returned", "Returns members chosen at random.").differs(TOO_LARGE),
    Spec::new("set", "sscan", sscan, -3).weighs(SCANNED).flags(READ).keys(ONE_READ)
        .docs("key cursor [MATCH pattern] [COUNT count]", "2.8.0", "O(1) per call, O(N) for a walk over N members",
            "Walks over the members of a set, some at each call. No member comes twice."),
    Spec::new("set", "sinter", algebra::sinter, -2).weighs(|scale, args| scale.met(args.iter().skip(1), FIND_NS)).flags(READ).keys(SEVERAL)
        .docs("key...", "1.0.0", "O(N*K) with N members in the smallest of K sets", "Returns the members of all of some sets.").differs(TOO_LARGE),
    Spec::new("set", "sinterstore", algebra::sinterstore, -3).weighs(|scale, args| scale.met(args.iter().skip(2), WRITE_NS)).flags(GROW).keys(&[key(Access::Change, 1), keys(Access::Read, 2, 1)])
        .docs("destination key...", "1.0.0", "O(N*K) with N members in the smallest of K sets", "Stores the members of all of some sets."),
    Spec::new("set", "sintercard", algebra::sintercard, -3).weighs(|scale, args| scale.met(numbered(args, 1), FIND_NS)).flags(&[Flags::READONLY, Flags::MANY_RECORDS, Flags::MOVABLEKEYS])
        .keys(&[KeySpec { access: Access::Read, find: Find::Counted { count: 1 } }])
        .docs("numkeys key... [LIMIT limit]", "7.0.0", "O(N*K) with N members in the smallest of K sets", "Counts the members of all of some sets."),
    Spec::new("set", "sunion", algebra::sunion, -2).weighs(|scale, args| scale.joined(args.iter().skip(1), FIND_NS)).flags(READ).keys(SEVERAL)
        .docs("key...", "1.0.0", "O(N) with N members in all", "Returns the members of any of some sets.").differs(TOO_LARGE),
    Spec::new("set", "sunionstore", algebra::sunionstore, -3).weighs(|scale, args| scale.joined(args.iter().skip(2), WRITE_NS)).flags(GROW).keys(OVERWRITTEN)
        .docs("destination key...", "1.0.0", "O(N) with N members in all", "Stores the members of any of some sets."),
    Spec::new("set", "sdiff", algebra::sdiff, -2).weighs(|scale, args| scale.joined(args.iter().skip(1).take(1), FIND_NS * args.len() as u64)).flags(READ).keys(SEVERAL)
        .docs("key...", "1.0.0", "O(N*K) with N members in the first of K sets", "Returns the members of a set that are in none of others.").differs(TOO_LARGE),
    Spec::new("set", "sdiffstore", algebra::sdiffstore, -3).weighs(|scale, args| scale.joined(args.iter().skip(2).take(1), WRITE_NS * args.len() as u64)).flags(GROW).keys(OVERWRITTEN)
        .docs("destination key...", "1.0.0", "O(N*K) with N members in the first of K sets", "Stores the members of a set that are in none of others."),
];

fn open<'k>(ctx: &mut Ctx<'_, '_>, key: &'k [u8]) -> Result<Set<'k>, DataError> {
    let db = ctx.db();
    Set::open(ctx.tx, db, key)
}

/// The set at a key, if there is one, in order to read it.
fn find<'k>(ctx: &mut Ctx<'_, '_>, key: &'k [u8]) -> Result<Option<Set<'k>>, DataError> {
    let db = ctx.db();
    Set::find(ctx.tx, db, key)
}

const ADDED: Event = Event::set("sadd");
const REMOVED: Event = Event::set("srem");

fn sadd(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let mut set = open(ctx, &args[1])?;
    set.expect(ctx.tx, args.len() - 2, &args[2]);
    let mut added = 0;
    for member in args.iter().skip(2) {
        added += usize::from(set.add(ctx.tx, member)?);
    }
    set.save(ctx.tx, ADDED)?;
    Ok(Reply::count(added))
}

fn srem(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let mut set = open(ctx, &args[1])?;
    let mut removed = 0;
    for member in args.iter().skip(2) {
        removed += usize::from(set.remove(ctx.tx, member)?);
    }
    set.save(ctx.tx, REMOVED)?;
    Ok(Reply::count(removed))
}

fn smove(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let member = &args[3];
    let mut source = open(ctx, &args[1])?;
    if source.is_empty() {
        return Ok(Reply::Int(0));
    }
    let mut target = open(ctx, &args[2])?;
    if args[1] == args[2] {
        return Ok(Reply::flag(source.contains(ctx.tx, member)?));
    }
    let moved = source.remove(ctx.tx, member)?;
    if moved {
        target.add(ctx.tx, member)?;
        source.save(ctx.tx, REMOVED)?;
        target.save(ctx.tx, ADDED)?;
    }
    Ok(Reply::flag(moved))
}

fn sismember(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let Some(mut set) = find(ctx, &args[1])? else { return Ok(Reply::Int(0)) };
    Ok(Reply::flag(set.contains(ctx.tx, &args[2])?))
}

fn smismember(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let mut set = find(ctx, &args[1])?;
    let mut known = Vec::with_capacity(args.len() - 2);
    for member in args.iter().skip(2) {
        known.push(Reply::flag(match &mut set {
            Some(set) => set.contains(ctx.tx, member)?,
            None => false,
        }));
    }
    Ok(Reply::Array(known))
}

fn scard(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    Ok(Reply::Int(find(ctx, &args[1])?.map_or(0, |set| set.len() as i64)))
}

fn smembers(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let mut items = Packed::new(Shape::Set);
    if let Some(mut set) = find(ctx, &args[1])? {
        set.for_each(ctx.tx, |member| items.push(member))?;
    }
    items.reply()
}

fn sscan(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    walk::cursor_at(args, 2)?;
    let mut items = Packed::new(Shape::Array);
    // Without a key nobody looks at the options.
    let Some(mut set) = find(ctx, &args[1])? else { return Ok(walk::walk(0, items.reply()?)) };
    let Walk { cursor, pattern, count } = Walk::parse(args, 2)?;
    let (members, next) = set.scan(ctx.tx, cursor, count)?;
    for member in members {
        if pattern.is_none_or(|pattern| glob_matches(pattern, &member, false)) {
            items.push(&member);
        }
    }
    Ok(walk::walk(next, items.reply()?))
}

#[cfg(test)]
mod tests {
    use crate::command::testing::{Bench, run};

    // The expected replies are those of Redis.
    run! {
        members_come_and_go {
            "SADD s b a b" => ":2", "SADD s a c" => ":1", "SCARD s" => ":3", "SMEMBERS s" => "[b a c]", "SISMEMBER s a" => ":1", "SISMEMBER s x" => ":0",
            "SMISMEMBER s a x c" => "[:1 :0 :1]", "SMISMEMBER none a b" => "[:0 :0]", "SREM s a x b a" => ":2", "SMEMBERS s" => "[c]", "SREM s c" => ":1",
            "EXISTS s" => ":0", "SREM s c" => ":0", "SMEMBERS s" => "[]", "SCARD s" => ":0", "SISMEMBER s c" => ":0", "DBSIZE" => ":0"
        }
        integers_stand_in_their_order {
            "SADD s 10 9 -1 100 9" => ":4", "OBJECT ENCODING s" => "intset", "SMEMBERS s" => "[-1 9 10 100]", "SSCAN s 0" => "[0 [-1 9 10 100]]",
            "SINTER s s" => "[-1 9 10 100]", "SADD s x" => ":1", "OBJECT ENCODING s" => "listpack", "SADD s 0" => ":1", "SMEMBERS s" => "[-1 9 10 100 x 0]",
            "SREM s x" => ":1", "OBJECT ENCODING s" => "listpack", "SREM s -1 9 10 100" => ":4", "SMEMBERS s" => "[0]", "SREM s 0" => ":1",
            "SADD s 01" => ":1", "OBJECT ENCODING s" => "listpack", "SUNION n" => "[]", "SADD n 3 1" => ":2", "SADD m 2" => ":1", "SUNION n m" => "[1 2 3]"
        }
        members_move {
            "SADD a 1 2" => ":2", "SMOVE a b 1" => ":1", "SMEMBERS b" => "[1]", "SMOVE a b 1" => ":0", "SMOVE a a 2" => ":1", "SMOVE a a 3" => ":0",
            "SET t x" => "+OK", "SMOVE a t 2" => "-WRONGTYPE Operation against a key holding the wrong kind of value", "SMOVE none t 2" => ":0",
            "SMOVE t a 2" => "-WRONGTYPE Operation against a key holding the wrong kind of value", "SADD b 2" => ":1", "SMOVE a b 2" => ":1",
            "EXISTS a" => ":0", "SMEMBERS b" => "[1 2]"
        }
        walks_look_at_options_where_there_is_a_key {
            "SSCAN s x" => "-ERR invalid cursor", "SSCAN s 0 COUNT x" => "[0 []]", "SADD s ab ac b" => ":3", "SSCAN s 0 COUNT x" => "-ERR value is not an integer or out of range",
            "SSCAN s 0 COUNT 0" => "-ERR syntax error", "SSCAN s 0 TYPE set" => "-ERR syntax error", "SSCAN s 0 MATCH a* COUNT 1" => "[0 [ab ac]]", "SSCAN s 99" => "[0 [ab ac b]]"
        }
        others_find_a_set {
            "SADD s a" => ":1", "GET s" => "-WRONGTYPE Operation against a key holding the wrong kind of value", "TYPE s" => "+set", "EXPIRE s 100" => ":1",
            "SADD s b" => ":1", "TTL s" => ":100", "COPY s c" => ":1", "SREM c a" => ":1", "SMEMBERS s" => "[a b]", "RENAME s d" => "+OK", "SMEMBERS d" => "[a b]",
            "TTL d" => ":100", "MOVE d 1" => ":1", "SMEMBERS d" => "[]", "SET str 1" => "+OK", "SADD str a" => "-WRONGTYPE Operation against a key holding the wrong kind of value",
            "SET c x" => "+OK", "SMEMBERS c" => "-WRONGTYPE Operation against a key holding the wrong kind of value"
        }
    }

    #[test]
    fn what_a_set_is_kept_as_follows_from_all_that_it_ever_had() {
        let bench = Bench::new();
        let add = |key: &str, members: std::ops::Range<u32>, prefix: &str| {
            for n in members {
                bench.text(&format!("SADD {key} {prefix}{n}"));
            }
            bench.text(&format!("OBJECT ENCODING {key}"))
        };
        assert_eq!(add("i", 0..512, ""), "intset");
        assert_eq!(
            bench.text("SMEMBERS i"),
            format!("[{}]", (0..512).map(|n| n.to_string()).collect::<Vec<_>>().join(" "))
        );
        assert_eq!(add("i", 512..513, ""), "hashtable");
        assert_eq!(add("l", 0..128, "m"), "listpack");
        assert_eq!(add("l", 128..129, "m"), "hashtable");
        bench.text("SREM l m1 m2 m3");
        assert_eq!(bench.text("OBJECT ENCODING l"), "hashtable", "it does not go back");
        assert_eq!(add("both", 0..128, ""), "intset");
        assert_eq!(add("both", 0..1, "m"), "hashtable");
        for (member, encoding) in [("x".repeat(64), "listpack"), ("x".repeat(65), "hashtable")] {
            bench.text(&format!("SADD {encoding} {member}"));
            assert_eq!(bench.text(&format!("OBJECT ENCODING {encoding}")), encoding);
        }
        // So many at once are expected to be different.
        bench.text(&format!("SADD many {}", "m ".repeat(129)));
        bench.text(&format!("SADD numbers {}", "1 ".repeat(512)));
        assert_eq!(
            (bench.text("OBJECT ENCODING many"), bench.text("SCARD many")),
            ("hashtable".into(), ":1".into())
        );
        assert_eq!(bench.text("OBJECT ENCODING numbers"), "intset");
    }

    #[test]
    fn sets_have_a_shape_of_their_own() {
        let bench = Bench::new();
        bench.text("HELLO 3");
        for (line, reply) in [
            ("SADD s 1 2", ":2"),
            ("SMEMBERS s", "~[1 2]"),
            ("SMEMBERS none", "~[]"),
            ("SINTER s none", "~[]"),
            ("SUNION s", "~[1 2]"),
            ("SDIFF s s", "~[]"),
            ("SRANDMEMBER s 5", "[1 2]"),
            ("SPOP s 0", "~[]"),
            ("SPOP s 5", "~[1 2]"),
            ("SPOP s", "nil"),
            ("SPOP s 5", "~[]"),
            ("SRANDMEMBER s", "nil"),
        ] {
            assert_eq!(bench.text(line), reply, "{line}");
        }
    }
}
