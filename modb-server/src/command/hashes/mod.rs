//! Hashes: fields with values.

use bytes::Bytes;
use modb_net::resp::{Args, Protocol};

use crate::command::language::error::err;
use crate::command::language::packed::{Packed, Shape};
use crate::command::language::parse::{int, int_within, is};
use crate::command::language::walk::{self, Walk};
use crate::command::machine::spec::{Access, Flags, KeySpec, Spec, key};
use crate::command::machine::weight::{ANSWERED, FIND_NS, SCANNED};
use crate::command::{CommandError, Ctx, Reply};
use crate::data::long_double::{self, Parsed};
use crate::data::{DataError, Hash, glob_matches};
use crate::messages::Event;

const READ: &[Flags] = &[Flags::READONLY, Flags::MANY_RECORDS];
const READ_FAST: &[Flags] = &[Flags::READONLY, Flags::FAST, Flags::MANY_RECORDS];
const GROW_FAST: &[Flags] = &[Flags::WRITE, Flags::DENYOOM, Flags::FAST];
const ONE_READ: &[KeySpec] = &[key(Access::Read, 1)];
const ONE_INSPECTED: &[KeySpec] = &[key(Access::Inspect, 1)];
const ONE_CHANGED: &[KeySpec] = &[key(Access::Change, 1)];
const ONE_UPDATED: &[KeySpec] = &[key(Access::Update, 1)];

#[rustfmt::skip]
pub(super) static COMMANDS: [Spec; 16] = [
    Spec::new("hash", "hset", hset, -4).weighed().flags(GROW_FAST).keys(ONE_CHANGED)
        .docs("key (field value)...", "2.0.0", "O(N) with N fields", "Sets fields of a hash."),
    Spec::new("hash", "hsetnx", hsetnx, 4).flags(GROW_FAST).keys(&[key(Access::Extend, 1)])
        .docs("key field value", "2.0.0", "O(1)", "Sets a field of a hash, if there is no such field."),
    Spec::new("hash", "hmset", hmset, -4).weighed().flags(GROW_FAST).keys(ONE_CHANGED)
        .docs("key (field value)...", "2.0.0", "O(N) with N fields", "Sets fields of a hash (an older form of HSET)."),
    Spec::new("hash", "hget", hget, 3).flags(READ_FAST).keys(ONE_READ)
        .docs("key field", "2.0.0", "O(1)", "Returns the value of a field."),
    Spec::new("hash", "hmget", hmget, -3).weighed().flags(READ_FAST).keys(ONE_READ)
        .docs("key field...", "2.0.0", "O(N) with N fields", "Returns the values of fields."),
    Spec::new("hash", "hgetall", hgetall, 2).weighs(ANSWERED).flags(READ).keys(ONE_READ)
        .docs("key", "2.0.0", "O(N) with N fields in the hash", "Returns all fields with their values.")
        .differs("a reply of more than 512 MiB is refused"),
    Spec::new("hash", "hdel", hdel, -3).weighed().flags(&[Flags::WRITE, Flags::FAST])
        .keys(&[key(Access::Shrink, 1)])
        .docs("key field...", "2.0.0", "O(N) with N fields", "Removes fields from a hash."),
    Spec::new("hash", "hlen", hlen, 2).flags(READ_FAST).keys(ONE_INSPECTED)
        .docs("key", "2.0.0", "O(1)", "Returns how many fields a hash has."),
    Spec::new("hash", "hstrlen", hstrlen, 3).flags(READ_FAST).keys(ONE_INSPECTED)
        .docs("key field", "3.2.0", "O(1)", "Returns the length of the value of a field."),
    Spec::new("hash", "hexists", hexists, 3).flags(READ_FAST).keys(ONE_INSPECTED)
        .docs("key field", "2.0.0", "O(1)", "Says whether a hash has a field."),
    Spec::new("hash", "hkeys", hkeys, 2).weighs(ANSWERED).flags(READ).keys(ONE_READ)
        .docs("key", "2.0.0", "O(N) with N fields in the hash", "Returns all fields of a hash.")
        .differs("a reply of more than 512 MiB is refused"),
    Spec::new("hash", "hvals", hvals, 2).weighs(ANSWERED).flags(READ).keys(ONE_READ)
        .docs("key", "2.0.0", "O(N) with N fields in the hash", "Returns all values of a hash.")
        .differs("a reply of more than 512 MiB is refused"),
    Spec::new("hash", "hincrby", hincrby, 4).flags(GROW_FAST).keys(ONE_UPDATED)
        .docs("key field increment", "2.0.0", "O(1)", "Adds to the integer in a field."),
    Spec::new("hash", "hincrbyfloat", hincrbyfloat, 4).flags(GROW_FAST).keys(ONE_UPDATED)
        .docs("key field float-increment", "2.6.0", "O(1)", "Adds to the number in a field."),
    Spec::new("hash", "hrandfield", hrandfield, -2).weighs(|scale, args| scale.counted(&args[1], args.get(2), FIND_NS)).flags(READ).keys(ONE_READ)
        .docs("key [count [WITHVALUES]]", "6.2.0", "O(N) with N fields returned", "Returns fields chosen at random.")
        .differs("a reply of more than 512 MiB is refused"),
    Spec::new("hash", "hscan", hscan, -3).weighs(SCANNED).flags(READ).keys(ONE_READ)
        .docs("key cursor [MATCH pattern] [COUNT count]", "2.8.0", "O(1) per call, O(N) for a walk over N fields",
            "Walks over the fields of a hash, some at each call. No field comes twice."),
];

fn open<'k>(ctx: &mut Ctx<'_, '_>, key: &'k [u8]) -> Result<Hash<'k>, DataError> {
    let db = ctx.db();
    Hash::open(ctx.tx, db, key)
}

/// The hash at a key, if there is one, in order to read it.
fn find<'k>(ctx: &mut Ctx<'_, '_>, key: &'k [u8]) -> Result<Option<Hash<'k>>, DataError> {
    let db = ctx.db();
    Hash::find(ctx.tx, db, key)
}

fn value(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Option<Bytes>, DataError> {
    match find(ctx, &args[1])? {
        Some(mut hash) => hash.get(ctx.tx, &args[2]),
        None => Ok(None),
    }
}

const SET: Event = Event::hash("hset");

/// Sets the fields that are named behind the key; returns how many are new.
fn set_pairs(ctx: &mut Ctx<'_, '_>, args: Args<'_>, name: &str) -> Result<usize, CommandError> {
    if !args.len().is_multiple_of(2) {
        return Err(format!("ERR wrong number of arguments for '{name}' command").into());
    }
    let mut hash = open(ctx, &args[1])?;
    hash.expect(ctx.tx, args.len() / 2 - 1);
    let mut new = 0;
    for at in (2..args.len()).step_by(2) {
        new += usize::from(hash.set(ctx.tx, &args[at], &args[at + 1])?);
    }
    hash.save(ctx.tx, SET)?;
    Ok(new)
}

fn hset(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    Ok(Reply::count(set_pairs(ctx, args, "hset")?))
}

fn hmset(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    set_pairs(ctx, args, "hmset")?;
    Ok(Reply::Ok)
}

fn hsetnx(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let mut hash = open(ctx, &args[1])?;
    if hash.get(ctx.tx, &args[2])?.is_some() {
        return Ok(Reply::Int(0));
    }
    hash.set(ctx.tx, &args[2], &args[3])?;
    hash.save(ctx.tx, SET)?;
    Ok(Reply::Int(1))
}

fn hget(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    Ok(Reply::bulk_or_null(value(ctx, args)?))
}

fn hmget(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let mut hash = find(ctx, &args[1])?;
    let mut values = Vec::with_capacity(args.len() - 2);
    for field in args.iter().skip(2) {
        values.push(match &mut hash {
            Some(hash) => Reply::bulk_or_null(hash.get(ctx.tx, field)?),
            None => Reply::Null,
        });
    }
    Ok(Reply::Array(values))
}

/// All of a hash, as `push` puts each field and value.
fn all(
    ctx: &mut Ctx<'_, '_>,
    args: Args<'_>,
    shape: Shape,
    push: impl Fn(&mut Packed, &[u8], &[u8]) -> bool,
) -> Result<Reply, CommandError> {
    let mut items = Packed::new(shape);
    if let Some(mut hash) = find(ctx, &args[1])? {
        hash.for_each(ctx.tx, |field, value| push(&mut items, field, value))?;
    }
    items.reply()
}

fn hgetall(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    all(ctx, args, Shape::Map, |items, field, value| items.push(field) && items.push(value))
}

fn hkeys(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    all(ctx, args, Shape::Array, |items, field, _| items.push(field))
}

fn hvals(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    all(ctx, args, Shape::Array, |items, _, value| items.push(value))
}

fn hdel(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let mut hash = open(ctx, &args[1])?;
    let mut removed = 0;
    for field in args.iter().skip(2) {
        removed += usize::from(hash.remove(ctx.tx, field)?.is_some());
    }
    hash.save(ctx.tx, Event::hash("hdel"))?;
    Ok(Reply::count(removed))
}

fn hlen(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    Ok(Reply::Int(find(ctx, &args[1])?.map_or(0, |hash| hash.len() as i64)))
}

fn hstrlen(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    Ok(Reply::count(value(ctx, args)?.map_or(0, |value| value.len())))
}

fn hexists(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    Ok(Reply::flag(value(ctx, args)?.is_some()))
}

fn hincrby(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let by = int(&args[3])?;
    let mut hash = open(ctx, &args[1])?;
    let sum = match hash.increment(ctx.tx, &args[2], by) {
        Err(DataError::NotAnInteger) => return err("ERR hash value is not an integer"),
        sum => sum?,
    };
    hash.save(ctx.tx, Event::hash("hincrby"))?;
    Ok(Reply::Int(sum))
}

fn hincrbyfloat(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let by = match long_double::parse(&args[3]).ok_or(DataError::NotAFloat)? {
        Parsed::Finite(by) => by,
        Parsed::Infinite => return err("ERR value is NaN or Infinity"),
    };
    let mut hash = open(ctx, &args[1])?;
    let now = match hash.get(ctx.tx, &args[2])? {
        None => long_double::parse(b"0"),
        Some(value) => long_double::parse(&value),
    };
    let now = match now {
        Some(Parsed::Finite(now)) => now,
        Some(Parsed::Infinite) => return Err(DataError::NotFinite.into()),
        None => return err("ERR hash value is not a float"),
    };
    let sum = now.plus(by).ok_or(DataError::NotFinite)?.print();
    hash.set(ctx.tx, &args[2], sum.as_bytes())?;
    hash.save(ctx.tx, Event::hash("hincrbyfloat"))?;
    Ok(Reply::string(sum))
}

fn hrandfield(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let Some(count) = args.get(2) else {
        let Some(mut hash) = find(ctx, &args[1])? else { return Ok(Reply::Null) };
        return Ok(Reply::bulk_or_null(hash.choose(ctx.tx)?.map(|(field, _)| field)));
    };
    let count = int_within(count, -i64::MAX, i64::MAX)?;
    let with_values = args.len() > 3;
    if args.len() > 4 || with_values && !is(&args[3], "withvalues") {
        return Err(CommandError::Syntax);
    }
    if with_values && count.unsigned_abs() > i64::MAX as u64 / 2 {
        return err("ERR value is out of range");
    }
    let nested = with_values && ctx.client.protocol == Protocol::Resp3;
    let mut items = Packed::new(if nested { Shape::Pairs } else { Shape::Array });
    let Some(mut hash) = find(ctx, &args[1])? else { return items.reply() };
    if count < 0 {
        items.check_room(count.unsigned_abs() * (1 + u64::from(with_values)))?;
    }
    let mut push = |field: &[u8], value: &[u8]| items.push(field) && (!with_values || items.push(value));
    if count >= 0 {
        let chosen = hash.choose_some(ctx.tx, count.unsigned_abs())?;
        chosen.iter().all(|(field, value)| push(field, value));
    } else {
        for _ in 0..count.unsigned_abs() {
            let Some((field, value)) = hash.choose(ctx.tx)? else { break };
            if !push(&field, &value) {
                break;
            }
        }
    }
    items.reply()
}

fn hscan(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    walk::cursor_at(args, 2)?;
    let mut items = Packed::new(Shape::Array);
    // Without a key nobody looks at the options.
    let Some(mut hash) = find(ctx, &args[1])? else { return Ok(walk::walk(0, items.reply()?)) };
    let Walk { cursor, pattern, count } = Walk::parse(args, 2)?;
    let next = hash.scan(ctx.tx, cursor, count, |field, value| {
        if pattern.is_none_or(|pattern| glob_matches(pattern, field, false)) {
            items.push(field);
            items.push(value);
        }
    })?;
    Ok(walk::walk(next, items.reply()?))
}

#[cfg(test)]
mod tests {
    use crate::command::testing::{Bench, run};

    // The expected replies are those of Redis.
    run! {
        fields_are_set_and_read {
            "HSET h a 1 b 2" => ":2", "HSET h b 3 c 4" => ":1", "HGETALL h" => "[a 1 b 3 c 4]", "HKEYS h" => "[a b c]", "HVALS h" => "[1 3 4]", "HLEN h" => ":3",
            "HGET h b" => "3", "HGET h x" => "nil", "HGET none b" => "nil", "HMGET h c x a" => "[4 nil 1]", "HMGET none a b" => "[nil nil]", "HEXISTS h a" => ":1",
            "HEXISTS h x" => ":0", "HSTRLEN h c" => ":1", "HSTRLEN h x" => ":0", "HSETNX h a 9" => ":0", "HSETNX h d 9" => ":1", "HMSET h a 5" => "+OK", "HGET h a" => "5",
            "HDEL h a x d a" => ":2", "HGETALL h" => "[b 3 c 4]", "HDEL h b c" => ":2", "EXISTS h" => ":0", "HDEL h b" => ":0", "HGETALL h" => "[]", "HKEYS h" => "[]", "HLEN h" => ":0",
            "HSET h a" => "-ERR wrong number of arguments for 'hset' command", "HSET h a 1 b" => "-ERR wrong number of arguments for 'hset' command",
            "HMSET h a 1 b" => "-ERR wrong number of arguments for 'hmset' command", "DBSIZE" => ":0"
        }
        numbers_in_fields_count {
            "HINCRBY h n 5" => ":5", "HINCRBY h n -7" => ":-2", "HINCRBY h n x" => "-ERR value is not an integer or out of range", "HSET h s abc" => ":1",
            "HINCRBY h s 1" => "-ERR hash value is not an integer", "HSET h m 9223372036854775807" => ":1", "HINCRBY h m 1" => "-ERR increment or decrement would overflow",
            "HINCRBYFLOAT h f 10.5" => "10.5", "HINCRBYFLOAT h f 0.1" => "10.6", "HINCRBYFLOAT h n 1e2" => "98", "HINCRBYFLOAT h s 1" => "-ERR hash value is not a float",
            "HINCRBYFLOAT new f inf" => "-ERR value is NaN or Infinity", "HINCRBYFLOAT new f nan" => "-ERR value is not a valid float", "EXISTS new" => ":0", "HSET h i inf" => ":1",
            "HINCRBYFLOAT h i 1" => "-ERR increment would produce NaN or Infinity"
        }
        fields_at_random {
            "HRANDFIELD h" => "nil", "HRANDFIELD h 3" => "[]", "HRANDFIELD h -3 WITHVALUES" => "[]", "HSET h a 1" => ":1", "HRANDFIELD h" => "a", "HRANDFIELD h 0" => "[]",
            "HRANDFIELD h -2" => "[a a]", "HRANDFIELD h 5 WITHVALUES" => "[a 1]", "HRANDFIELD h -2 withvalues" => "[a 1 a 1]", "HRANDFIELD h 1 x" => "-ERR syntax error",
            "HRANDFIELD h 1 withvalues x" => "-ERR syntax error", "HRANDFIELD h x" => "-ERR value is not an integer or out of range",
            "HRANDFIELD h -9223372036854775807" => "-ERR the reply would be too large",
            "HRANDFIELD h -9223372036854775808" => "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
            "HRANDFIELD h 9223372036854775807 withvalues" => "-ERR value is out of range", "HRANDFIELD h 9223372036854775807" => "[a]"
        }
        walks_look_at_options_where_there_is_a_key {
            "HSCAN h x" => "-ERR invalid cursor", "HSCAN h 0 COUNT x" => "[0 []]", "HSET h ab 1 ac 2 b 3" => ":3", "HSCAN h 0 COUNT 0" => "-ERR syntax error",
            "HSCAN h 0 COUNT x" => "-ERR value is not an integer or out of range", "HSCAN h 0 x" => "-ERR syntax error", "HSCAN h 0 MATCH a* COUNT 1" => "[0 [ab 1 ac 2]]", "HSCAN h 7" => "[0 [ab 1 ac 2 b 3]]"
        }
        others_find_a_hash {
            "HSET h a 1" => ":1", "TYPE h" => "+hash", "GET h" => "-WRONGTYPE Operation against a key holding the wrong kind of value", "EXPIRE h 100" => ":1", "HSET h b 2" => ":1", "TTL h" => ":100",
            "COPY h c" => ":1", "HDEL c a" => ":1", "HGETALL h" => "[a 1 b 2]", "TTL c" => ":100", "RENAME c d" => "+OK", "HGETALL d" => "[b 2]", "MOVE d 1" => ":1", "EXISTS d" => ":0",
            "SET s 1" => "+OK", "HSET s a 1" => "-WRONGTYPE Operation against a key holding the wrong kind of value", "HGETALL s" => "-WRONGTYPE Operation against a key holding the wrong kind of value",
            "HDEL h a b" => ":2", "TTL h" => ":-2", "HSET h a 1" => ":1", "TTL h" => ":-1", "SADD h a" => "-WRONGTYPE Operation against a key holding the wrong kind of value"
        }
    }

    #[test]
    fn what_a_hash_is_kept_as_follows_from_all_that_it_ever_had() {
        let bench = Bench::new();
        let encoding = |key: &str| bench.text(&format!("OBJECT ENCODING {key}"));
        for n in 0..512 {
            bench.text(&format!("HSET h f{n} {n}"));
        }
        assert_eq!(encoding("h"), "listpack");
        bench.text("HSET h f512 1");
        assert_eq!(encoding("h"), "hashtable");
        bench.text("HDEL h f1 f2 f3 f4");
        assert_eq!(encoding("h"), "hashtable", "it does not go back");
        let (short, long) = ("x".repeat(64), "x".repeat(65));
        bench.text(&format!("HSET short {short} {short}"));
        bench.text(&format!("HSET field {long} 1"));
        bench.text(&format!("HSET value f {long}"));
        assert_eq!(["short", "field", "value"].map(encoding), ["listpack", "hashtable", "hashtable"]);
        // So many at once are expected to be different.
        bench.text(&format!("HSET many {}", "f v ".repeat(513)));
        assert_eq!((encoding("many"), bench.text("HLEN many")), ("hashtable".into(), ":1".into()));
    }

    #[test]
    fn hashes_have_a_shape_of_their_own() {
        let bench = Bench::new();
        bench.text("HELLO 3");
        for (line, reply) in [
            ("HSET h a 1 b 2", ":2"),
            ("HGETALL h", "{a:1 b:2}"),
            ("HGETALL none", "{}"),
            ("HKEYS h", "[a b]"),
            ("HRANDFIELD h 5 WITHVALUES", "[[a 1] [b 2]]"),
            ("HRANDFIELD none 5 WITHVALUES", "[]"),
            ("HSCAN h 0", "[0 [a 1 b 2]]"),
        ] {
            assert_eq!(bench.text(line), reply, "{line}");
        }
    }
}
