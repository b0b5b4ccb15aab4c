//! Keys of any type: existence, names, walks.

pub(crate) mod expire;
pub(crate) mod sort;

use modb_net::resp::Args;

use crate::command::language::error::err;
use crate::command::language::parse::{self, Options, is};
use crate::command::language::reply::MAX_REPLY_BYTES;
use crate::command::language::walk::{Walk, walk};
use crate::command::machine::help::{help_for, unreachable_parent};
use crate::command::machine::spec::{Access, Find, Flags, KeySpec, Spec, Words, key, keys};
use crate::command::machine::weight::{COPIED, FIND_NS, Weight, scanned};
use crate::command::{CommandError, Ctx, Reply};
use crate::data::{Kind, Stored, glob_matches};
use crate::messages::Event;

const READ: &[Flags] = &[Flags::READONLY];
const READ_FAST: &[Flags] = &[Flags::READONLY, Flags::FAST];
const WRITE: &[Flags] = &[Flags::WRITE];
const WRITE_FAST: &[Flags] = &[Flags::WRITE, Flags::FAST];
const INSPECT: &[KeySpec] = &[keys(Access::Inspect, 1, 1)];
const REMOVE: &[KeySpec] = &[keys(Access::Remove, 1, 1)];

#[rustfmt::skip]
pub(super) static COMMANDS: [Spec; 13] = [
    Spec::new("generic", "del", del, -2).many(Words::Keys).flags(WRITE).keys(REMOVE)
        .docs("key...", "1.0.0", "O(N) with N keys", "Removes keys."),
    Spec::new("generic", "unlink", del, -2).many(Words::Keys).flags(WRITE_FAST).keys(REMOVE)
        .docs("key...", "4.0.0", "O(N) with N keys", "Removes keys (their memory later)."),
    Spec::new("generic", "exists", exists, -2).weighed().flags(READ_FAST).keys(INSPECT)
        .docs("key...", "1.0.0", "O(N) with N keys", "Counts which of the keys exist; one named twice counts twice."),
    Spec::new("generic", "touch", exists, -2).weighed().flags(READ_FAST).keys(INSPECT)
        .docs("key...", "3.2.1", "O(N) with N keys", "Counts which of the keys exist, and says they were used."),
    Spec::new("generic", "type", kind, 2).flags(READ_FAST).keys(&[key(Access::Inspect, 1)])
        .docs("key", "1.0.0", "O(1)", "Returns the type of a key."),
    Spec::new("generic", "keys", all_keys, 2).weighs(|scale, _| Weight::each(scale.keys(), FIND_NS)).flags(READ).acl(&["@dangerous"])
        .docs("pattern", "1.0.0", "O(N) with N keys in the database", "Returns all keys that match a pattern.")
        .differs("keys that others add or remove meanwhile may or may not be in the reply, which is limited to 512 MiB"),
    Spec::new("generic", "scan", scan, -2).weighs(|_, args| scanned(args, 2)).flags(READ)
        .docs("cursor [MATCH pattern] [COUNT count] [TYPE type]", "2.8.0", "O(1) per call, O(N) for a walk over N keys",
            "Walks over the keys, some at each call. No key comes twice.")
        .differs("cursors are stateless numbers below 2^53 that survive restarts; no key is returned twice"),
    Spec::new("generic", "randomkey", random_key, 1).flags(READ)
        .docs("", "1.0.0", "O(1)", "Returns a key chosen at random."),
    Spec::new("generic", "rename", rename, 3).flags(WRITE).keys(&[key(Access::Take, 1), key(Access::Overwrite, 2)])
        .docs("key newkey", "1.0.0", "O(1)", "Gives a key another name, whatever had that name before."),
    Spec::new("generic", "renamenx", renamenx, 3).flags(WRITE_FAST).keys(&[key(Access::Take, 1), key(Access::Insert, 2)])
        .docs("key newkey", "1.0.0", "O(1)", "Gives a key another name, if nothing has that name."),
    Spec::new("generic", "copy", copy, -3).weighs(COPIED).flags(&[Flags::WRITE, Flags::DENYOOM]).keys(&[key(Access::Read, 1), key(Access::Overwrite, 2)])
        .docs("source destination [DB destination-db] [REPLACE]", "6.2.0", "O(N) with the size of the value", "Copies a key."),
    Spec::new("generic", "move", move_key, 3).flags(WRITE_FAST).keys(&[key(Access::Update, 1)])
        .docs("key db", "1.0.0", "O(1)", "Moves a key to another database."),
    Spec::new("generic", "object", unreachable_parent, -2)
        .docs("", "2.2.3", "Depends on subcommand.", "What is known about the value of a key.")
        .with(&[
            Spec::new("generic", "encoding", object_encoding, 3).flags(READ).keys(&[OBJECT_KEY])
                .docs("key", "2.2.3", "O(1)", "Returns how Redis would keep the value in memory.")
                .differs("a list meets `list-max-listpack-size`, where that is an amount of bytes, to within some pages of 1 KiB"),
            Spec::new("generic", "refcount", object_refcount, 3).flags(READ).keys(&[OBJECT_KEY])
                .docs("key", "2.2.3", "O(1)", "Returns how many references there are to the value.").differs("always 1: values are not shared"),
            Spec::new("generic", "idletime", object_idletime, 3).flags(READ).keys(&[OBJECT_KEY])
                .docs("key", "2.2.3", "O(1)", "Returns how long the value was not used.").differs("always 0: uses are not recorded"),
            Spec::new("generic", "freq", object_freq, 3).flags(READ).keys(&[OBJECT_KEY])
                .docs("key", "4.0.0", "O(1)", "Returns how often the value was used.").differs("always the error for other policies than LFU"),
            Spec::new("generic", "help", object_help, 2).flags(&[Flags::LOADING, Flags::STALE])
                .docs("", "6.2.0", "O(1)", "Says what the subcommands do."),
        ]),
];

const OBJECT_KEY: KeySpec =
    KeySpec { access: Access::Inspect, find: Find::Range { first: 2, last: 2, step: 1 } };

fn del(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let db = ctx.db();
    if let Some(many) = ctx.tx.many(db) {
        return Ok(Reply::Int(ctx.tx.delete_all(db, many)? as i64));
    }
    let mut removed = 0;
    for key in args.iter().skip(1) {
        removed += i64::from(ctx.tx.delete(db, key)?);
    }
    Ok(Reply::Int(removed))
}

fn exists(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let db = ctx.db();
    let mut found = 0;
    for key in args.iter().skip(1) {
        found += i64::from(ctx.tx.read_outline(db, key)?.is_some());
    }
    Ok(Reply::Int(found))
}

fn kind(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let db = ctx.db();
    Ok(Reply::Status(ctx.tx.read_outline(db, &args[1])?.map_or("none", |record| record.head.kind.name())))
}

fn all_keys(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let (mut found, mut bytes) = (Vec::new(), 0);
    let pattern = &args[1];
    ctx.tx.for_each_key(ctx.db(), |key, _| {
        if glob_matches(pattern, &key, false) {
            bytes += key.len();
            found.push(Reply::Bulk(key));
        }
        bytes <= MAX_REPLY_BYTES
    })?;
    if bytes > MAX_REPLY_BYTES {
        return err("ERR the reply would be too large, use SCAN");
    }
    Ok(Reply::Array(found))
}

fn scan(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let mut only = None;
    let asked = Walk::parse_with(args, 1, |word, value| {
        let is_type = is(word, "type");
        if is_type {
            only = Some(value);
        }
        is_type
    })?;
    let page = ctx.tx.scan(ctx.db(), asked.cursor, asked.count)?;
    let wanted = page.keys.into_iter().filter(|(key, record)| {
        asked.pattern.is_none_or(|pattern| glob_matches(pattern, key, false))
            && only.is_none_or(|kind| is(kind, record.head.kind.name()))
    });
    let found = wanted.map(|(key, _)| Reply::Bulk(key)).collect();
    Ok(walk(page.cursor, Reply::Array(found)))
}

fn random_key(ctx: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    Ok(Reply::bulk_or_null(ctx.tx.random_key(ctx.db())?))
}

fn rename(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    rename_if(ctx, args, true)?;
    Ok(Reply::Ok)
}

fn renamenx(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    Ok(Reply::flag(rename_if(ctx, args, false)?))
}

fn rename_if(ctx: &mut Ctx<'_, '_>, args: Args<'_>, replace: bool) -> Result<bool, CommandError> {
    let db = ctx.db();
    // What is renamed is read once it is: a large value takes long.
    if ctx.tx.outlined(db, &args[1])?.live().is_none() {
        return Err(CommandError::NoSuchKey);
    }
    if args[1] == args[2] {
        return Ok(replace);
    }
    let target = ctx.tx.outlined(db, &args[2])?;
    if target.live().is_some() && !replace {
        return Ok(false);
    }
    let source = ctx.tx.entry(db, &args[1])?;
    ctx.tx.rename(&source, &target, ["rename_from", "rename_to"].map(Event::generic))?;
    Ok(true)
}

fn copy(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let db = ctx.db();
    let (mut to_db, mut replace) = (db, false);
    let mut options = Options::from(args, 3);
    while let Some(word) = options.next() {
        if is(word, "replace") {
            replace = true;
        } else if is(word, "db") && options.left() > 0 {
            to_db = parse::database(options.value()?, ctx.tx.data().databases())?;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    if to_db == db && args[1] == args[2] {
        return err("ERR source and destination objects are the same");
    }
    if ctx.tx.read_outline(db, &args[1])?.is_none() {
        return Ok(Reply::Int(0));
    }
    let target = ctx.tx.outlined(to_db, &args[2])?;
    if target.live().is_some() && !replace {
        return Ok(Reply::Int(0));
    }
    let Some(record) = ctx.tx.entry(db, &args[1])?.into_live() else { return Ok(Reply::Int(0)) };
    let event = Event::generic("copy_to");
    if record.head.kind == Kind::String {
        ctx.tx.put_again(&target, &record, event)?;
    } else {
        let payload = ctx.tx.copy(&record)?;
        ctx.tx.replace(&target, record.head, &payload, event)?;
    }
    Ok(Reply::Int(1))
}

fn move_key(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let db = ctx.db();
    let to_db = parse::database(&args[2], ctx.tx.data().databases())?;
    if to_db == db {
        return err("ERR source and destination objects are the same");
    }
    if ctx.tx.outlined(db, &args[1])?.live().is_none() {
        return Ok(Reply::Int(0));
    }
    let target = ctx.tx.outlined(to_db, &args[1])?;
    if target.live().is_some() {
        return Ok(Reply::Int(0));
    }
    let source = ctx.tx.entry(db, &args[1])?;
    ctx.tx.rename(&source, &target, ["move_from", "move_to"].map(Event::generic))?;
    Ok(Reply::Int(1))
}

fn object_encoding(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let db = ctx.db();
    let record = ctx.tx.look(db, &args[2])?;
    Ok(record.map_or(Reply::Null, |record| Reply::text(encoding_of(&record))))
}

/// How Redis would keep a value in memory.
pub(crate) fn encoding_of(record: &impl Stored) -> &'static str {
    match record.head().kind {
        Kind::String => crate::command::strings::encoding(record),
        Kind::List if crate::data::is_big(record) => "quicklist",
        Kind::List => "listpack",
        Kind::Set if crate::data::has_only_integers(record) => "intset",
        Kind::Set | Kind::Hash => {
            if crate::data::is_big(record) {
                "hashtable"
            } else {
                "listpack"
            }
        }
        Kind::SortedSet => {
            if crate::data::is_big(record) {
                "skiplist"
            } else {
                "listpack"
            }
        }
        Kind::Stream => "stream",
        Kind::Map => "map",
    }
}

fn object_refcount(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let db = ctx.db();
    Ok(ctx.tx.look(db, &args[2])?.map_or(Reply::Null, |_| Reply::Int(1)))
}

fn object_idletime(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let db = ctx.db();
    Ok(ctx.tx.look(db, &args[2])?.map_or(Reply::Null, |_| Reply::Int(0)))
}

fn object_freq(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let db = ctx.db();
    match ctx.tx.look(db, &args[2])? {
        None => Ok(Reply::Null),
        Some(_) => err(
            "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when \
             switching between policies at runtime LRU and LFU data will take some time to adjust.",
        ),
    }
}

fn object_help(_: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    Ok(help_for(&COMMANDS[COMMANDS.len() - 1]))
}

#[cfg(test)]
mod tests {
    use crate::command::testing::{Bench, run};

    run! {
        existence_counts_every_mention {
            "MSET a 1 b 2" => "+OK", "EXISTS a a b c" => ":3", "TYPE a" => "+string", "TYPE x" => "+none", "DEL a a c" => ":1",
            "UNLINK b" => ":1", "DBSIZE" => ":0", "RANDOMKEY" => "nil", "SET a 1" => "+OK", "RANDOMKEY" => "a", "TOUCH a x" => ":1"
        }
        names_change {
            "RENAME a b" => "-ERR no such key", "SET a 1 EX 100" => "+OK", "SET b 2" => "+OK", "RENAMENX a b" => ":0", "RENAME a b" => "+OK",
            "TTL b" => ":100", "GET b" => "1", "EXISTS a" => ":0", "DBSIZE" => ":1", "RENAME b b" => "+OK", "RENAMENX b b" => ":0", "RENAMENX b c" => ":1"
        }
        copies_and_moves {
            "SET a 1 EX 100" => "+OK", "COPY a b" => ":1", "TTL b" => ":100", "SET a 2" => "+OK", "COPY a b" => ":0", "COPY a b REPLACE" => ":1",
            "GET b" => "2", "TTL b" => ":-1", "COPY a a" => "-ERR source and destination objects are the same", "COPY a a DB 3" => ":1",
            "COPY a b DB 16" => "-ERR DB index is out of range", "MOVE a 3" => ":0", "MOVE b 3" => ":1", "MOVE b 0" => "-ERR source and destination objects are the same",
            "EXISTS b" => ":0", "SELECT 3" => "+OK", "MGET a b" => "[2 2]", "DBSIZE" => ":2"
        }
        limits_of_what_is_compact {
            "CONFIG SET hash-max-listpack-entries 2 hash-max-ziplist-value 3" => "+OK", "HSET h a 1 b 123" => ":2", "OBJECT ENCODING h" => "listpack",
            "HSET h a 1234" => ":0", "OBJECT ENCODING h" => "hashtable", "HSET g a 1 a 2 a 3" => ":1", "OBJECT ENCODING g" => "hashtable",
            "HSET i a 1" => ":1", "HSETNX i b 2" => ":1", "OBJECT ENCODING i" => "listpack", "HSETNX i c 3" => ":1", "OBJECT ENCODING i" => "hashtable",
            "HSET j a 1 b 2" => ":2", "CONFIG SET hash-max-listpack-entries 1" => "+OK", "OBJECT ENCODING j" => "listpack", "HSET j a 1" => ":0", "OBJECT ENCODING j" => "hashtable",
            "CONFIG SET set-max-intset-entries 2 set-max-listpack-entries 4 set-max-listpack-value 3" => "+OK", "SADD s 1 2" => ":2", "OBJECT ENCODING s" => "intset",
            "SADD s 3" => ":1", "OBJECT ENCODING s" => "hashtable", "SADD t 1 2 3" => ":3", "OBJECT ENCODING t" => "listpack", "SADD u 1" => ":1", "SADD u a b" => ":2", "SADD u c" => ":1",
            "OBJECT ENCODING u" => "listpack", "SADD u d" => ":1", "OBJECT ENCODING u" => "hashtable", "SADD v 1234" => ":1", "SADD v a" => ":1", "OBJECT ENCODING v" => "hashtable",
            "SADD w abcd" => ":1", "OBJECT ENCODING w" => "hashtable", "SADD x a b c d e" => ":5", "OBJECT ENCODING x" => "hashtable", "SPOP x 5" => "[a b c d e]",
            "CONFIG SET zset-max-ziplist-entries 2 zset-max-listpack-value 3" => "+OK", "ZADD z 1 a 1 b" => ":2", "OBJECT ENCODING z" => "listpack",
            "ZADD z 1 c" => ":1", "OBJECT ENCODING z" => "skiplist", "ZADD y 1 abcd" => ":1", "OBJECT ENCODING y" => "skiplist",
            "CONFIG SET list-max-listpack-size 4" => "+OK", "RPUSH l a b c d" => ":4", "OBJECT ENCODING l" => "listpack", "RPUSH l e" => ":5", "OBJECT ENCODING l" => "quicklist",
            "RPOP l" => "e", "OBJECT ENCODING l" => "quicklist", "RPOP l 2" => "[d c]", "OBJECT ENCODING l" => "listpack", "CONFIG GET list-max-ziplist-size" => "[list-max-ziplist-size 4]"
        }
        what_objects_are {
            "SET a 1" => "+OK", "OBJECT ENCODING a" => "int", "APPEND a 2" => ":2", "OBJECT ENCODING a" => "raw", "SET a x" => "+OK",
            "OBJECT ENCODING a" => "embstr", "OBJECT ENCODING b" => "nil", "OBJECT REFCOUNT a" => ":1", "OBJECT REFCOUNT b" => "nil"
        }
        walks_take_options {
            "SCAN x" => "-ERR invalid cursor", "SCAN 0 COUNT 0" => "-ERR syntax error", "SCAN 0 COUNT x" => "-ERR value is not an integer or out of range",
            "SCAN 0" => "[0 []]", "SET abc 1" => "+OK", "SCAN 0 MATCH x*" => "[0 []]", "SCAN 0 MATCH a* TYPE string" => "[0 [abc]]",
            "SCAN 0 TYPE list" => "[0 []]", "KEYS a*c" => "[abc]", "KEYS b" => "[]"
        }
    }

    #[test]
    fn a_walk_returns_every_key_exactly_once_whatever_the_count() {
        let bench = Bench::new();
        for n in 0..500 {
            bench.text(&format!("SET key:{n} {n}"));
        }
        for count in [1, 2, 10, 499, 500, 1000] {
            let (mut cursor, mut seen) = ("0".to_owned(), Vec::new());
            loop {
                let page = bench.text(&format!("SCAN {cursor} COUNT {count}"));
                let (next, keys) = page[1..page.len() - 1].split_once(' ').unwrap();
                seen.extend(keys[1..keys.len() - 1].split_whitespace().map(str::to_owned));
                cursor = next.to_owned();
                assert!(cursor.parse::<u64>().unwrap() < 1 << 53);
                if cursor == "0" {
                    break;
                }
            }
            assert_eq!(seen.len(), 500, "count {count}");
            seen.sort();
            seen.dedup();
            assert_eq!(seen.len(), 500, "count {count}");
        }
    }
}
