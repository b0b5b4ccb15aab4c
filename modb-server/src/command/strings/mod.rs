//! Strings: setting and reading values.

pub(crate) mod bitfield;
pub(crate) mod bits;
pub(crate) mod lcs;
pub(crate) mod numbers;

use modb_net::resp::Args;

use crate::command::language::deadline::{Deadline, deadline};
use crate::command::language::error::err;
use crate::command::language::parse::{Options, int, int_or, is};
use crate::command::language::reply::MAX_REPLY_BYTES;
use crate::command::machine::spec::{Access, Find, Flags, KeySpec, Spec, Words, key, keys};
use crate::command::machine::weight::COPIED;
use crate::command::{CommandError, Ctx, Reply};
use crate::data::{DataError, Form, Head, Kind, MAX_VALUE_BYTES, Stored, ensure_memory};
use crate::messages::Event;

const READ: &[Flags] = &[Flags::READONLY];
const READ_FAST: &[Flags] = &[Flags::READONLY, Flags::FAST];
const WRITE_FAST: &[Flags] = &[Flags::WRITE, Flags::FAST];
const GROW: &[Flags] = &[Flags::WRITE, Flags::DENYOOM];
const GROW_FAST: &[Flags] = &[Flags::WRITE, Flags::DENYOOM, Flags::FAST];

#[rustfmt::skip]
pub(super) static COMMANDS: [Spec; 17] = [
    Spec::new("string", "get", get, 2).flags(READ_FAST).keys(&[key(Access::Read, 1)])
        .docs("key", "1.0.0", "O(1)", "Returns the string at a key."),
    Spec::new("string", "set", set, -3).flags(GROW).keys(&[key(Access::Update, 1)])
        .docs("key value [NX|XX] [GET] [EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|KEEPTTL]",
            "1.0.0", "O(1)", "Sets a key to a string, whatever it held before."),
    Spec::new("string", "setnx", setnx, 3).flags(GROW_FAST).keys(&[key(Access::Insert, 1)])
        .docs("key value", "1.0.0", "O(1)", "Sets a key to a string, if there is no such key."),
    Spec::new("string", "setex", setex, 4).flags(GROW).keys(&[key(Access::Overwrite, 1)])
        .docs("key seconds value", "2.0.0", "O(1)", "Sets a key to a string that expires after so many seconds."),
    Spec::new("string", "psetex", psetex, 4).flags(GROW).keys(&[key(Access::Overwrite, 1)])
        .docs("key milliseconds value", "2.6.0", "O(1)", "Sets a key to a string that expires after so many milliseconds."),
    Spec::new("string", "getset", getset, 3).flags(GROW_FAST).keys(&[key(Access::Update, 1)])
        .docs("key value", "1.0.0", "O(1)", "Sets a key to a string and returns what it was."),
    Spec::new("string", "getdel", getdel, 2).flags(WRITE_FAST).keys(&[key(Access::Take, 1)])
        .docs("key", "6.2.0", "O(1)", "Returns the string at a key and removes the key."),
    Spec::new("string", "getex", getex, -2).flags(WRITE_FAST).keys(&[key(Access::Update, 1)])
        .docs("key [EX seconds|PX milliseconds|EXAT unix-time-seconds|PXAT unix-time-milliseconds|PERSIST]",
            "6.2.0", "O(1)", "Returns the string at a key and changes when it expires."),
    Spec::new("string", "mget", mget, -2).weighed().flags(READ_FAST).keys(&[keys(Access::Read, 1, 1)])
        .docs("key...", "1.0.0", "O(N) with N keys", "Returns the strings at several keys.")
        .differs("a reply of more than 512 MiB is refused"),
    Spec::new("string", "mset", mset, -3).many(Words::Pairs).flags(GROW).keys(&[keys(Access::Overwrite, 1, 2)])
        .docs("(key value)...", "1.0.1", "O(N) with N keys", "Sets several keys at once."),
    Spec::new("string", "msetnx", msetnx, -3).many(Words::Pairs).flags(GROW).keys(&[keys(Access::Insert, 1, 2)])
        .docs("(key value)...", "1.0.1", "O(N) with N keys", "Sets several keys at once, if none of them exists."),
    Spec::new("string", "append", append, 3).weighs(COPIED).flags(GROW_FAST).keys(&[key(Access::Extend, 1)])
        .docs("key value", "2.0.0", "O(N) with the length of the string", "Adds to the end of a string."),
    Spec::new("string", "strlen", strlen, 2).flags(READ_FAST).keys(&[key(Access::Inspect, 1)])
        .docs("key", "2.2.0", "O(1)", "Returns the length of a string."),
    Spec::new("string", "getrange", getrange, 4).flags(READ).keys(&[key(Access::Read, 1)])
        .docs("key start end", "2.4.0", "O(N) with the length of the reply", "Returns a part of a string."),
    Spec::new("string", "substr", getrange, 4).flags(READ).keys(&[key(Access::Read, 1)])
        .docs("key start end", "1.0.0", "O(N) with the length of the reply", "Returns a part of a string (an older name of GETRANGE)."),
    Spec::new("string", "setrange", setrange, 4).weighs(|scale, args| scale.reaching(&args[1], range_end(&args[2], &args[3]))).flags(GROW).keys(&[key(Access::Change, 1)])
        .docs("key offset value", "2.2.0", "O(N) with the length of the string", "Overwrites a part of a string."),
    Spec::new("string", "lcs", lcs::lcs, -3).weighs(lcs::weigh).flags(READ).keys(&[KeySpec {
        access: Access::Read, find: Find::Range { first: 1, last: 2, step: 1 } }])
        .docs("key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]", "7.0.0", "O(N*M) with the lengths of both strings",
            "Finds the longest common subsequence of two strings."),
];

fn get(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let db = ctx.db();
    Ok(Reply::bulk_or_null(ctx.tx.get(db, &args[1])?))
}

/// The condition of `SET`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Only {
    Always,
    IfAbsent,
    IfPresent,
}

fn set(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let (mut only, mut get, mut keep, mut expires) = (Only::Always, false, false, None);
    let mut options = Options::from(args, 3);
    while let Some(word) = options.next() {
        if is(word, "nx") && only != Only::IfPresent {
            only = Only::IfAbsent;
        } else if is(word, "xx") && only != Only::IfAbsent {
            only = Only::IfPresent;
        } else if is(word, "get") {
            get = true;
        } else if is(word, "keepttl") && expires.is_none() {
            keep = true;
        } else if let Some(kind) = Deadline::named(word).filter(|kind| !keep && same(expires, *kind)) {
            expires = Some((kind, options.value()?));
        } else {
            return Err(CommandError::Syntax);
        }
    }
    let expires_at_ms = match expires {
        None => None,
        Some((kind, arg)) => Some(deadline("set", kind, int(arg)?, ctx.tx.now_ms())?),
    };
    let db = ctx.db();
    let old = if get { Some(Reply::bulk_or_null(ctx.tx.get(db, &args[1])?)) } else { None };
    let entry = ctx.tx.replaced(db, &args[1])?;
    let met = match only {
        Only::Always => true,
        Only::IfAbsent => entry.live().is_none(),
        Only::IfPresent => entry.live().is_some(),
    };
    if !met {
        return Ok(old.unwrap_or(Reply::Null));
    }
    let head = if keep { entry.string_head() } else { Head::STRING.expiring(expires_at_ms) };
    ctx.tx.put(&entry, head, &[&args[2]], Event::SET)?;
    ctx.tx.notify_of_expiry(&entry, expires_at_ms);
    Ok(old.unwrap_or(Reply::Ok))
}

/// The same option may come again, and its last value counts; another one may not.
fn same(given: Option<(Deadline, &[u8])>, kind: Deadline) -> bool {
    given.is_none_or(|(first, _)| first == kind)
}

fn setnx(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let db = ctx.db();
    let entry = ctx.tx.replaced(db, &args[1])?;
    let absent = entry.live().is_none();
    if absent {
        ctx.tx.put(&entry, Head::STRING, &[&args[2]], Event::SET)?;
    }
    Ok(Reply::flag(absent))
}

fn setex(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    set_expiring(ctx, args, "setex", Deadline::Seconds)
}

fn psetex(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    set_expiring(ctx, args, "psetex", Deadline::Milliseconds)
}

fn set_expiring(
    ctx: &mut Ctx<'_, '_>,
    args: Args<'_>,
    name: &'static str,
    kind: Deadline,
) -> Result<Reply, CommandError> {
    let at = deadline(name, kind, int(&args[2])?, ctx.tx.now_ms())?;
    let db = ctx.db();
    ctx.tx.set(db, &args[1], &args[3], Some(at))?;
    Ok(Reply::Ok)
}

fn getset(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let db = ctx.db();
    let entry = ctx.tx.entry(db, &args[1])?;
    let old = entry.string()?.map(|record| record.to_payload());
    ctx.tx.looked_up(db, &args[1], old.is_some());
    ctx.tx.put(&entry, Head::STRING, &[&args[2]], Event::SET)?;
    Ok(Reply::bulk_or_null(old))
}

fn getdel(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let db = ctx.db();
    let value = ctx.tx.get(db, &args[1])?;
    if value.is_some() {
        ctx.tx.delete(db, &args[1])?;
    }
    Ok(Reply::bulk_or_null(value))
}

fn getex(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let (mut persist, mut expires) = (false, None);
    let mut options = Options::from(args, 2);
    while let Some(word) = options.next() {
        if is(word, "persist") && expires.is_none() {
            persist = true;
        } else if let Some(kind) = Deadline::named(word).filter(|kind| !persist && same(expires, *kind)) {
            expires = Some((kind, options.value()?));
        } else {
            return Err(CommandError::Syntax);
        }
    }
    let db = ctx.db();
    let Some(entry) = ctx.tx.read_entry(db, &args[1])? else { return Ok(Reply::Null) };
    let Some(record) = entry.string()? else { return Ok(Reply::Null) };
    let value = record.to_payload();
    if let Some((kind, arg)) = expires {
        let at = deadline("getex", kind, int(arg)?, ctx.tx.now_ms())?;
        ctx.tx.edit(&entry, record.head.expiring(Some(at)), &[&value], Event::EXPIRE)?;
    } else if persist && record.head.expires_at_ms.is_some() {
        ctx.tx.edit(&entry, record.head.expiring(None), &[&value], Event::PERSIST)?;
    }
    Ok(Reply::Bulk(value))
}

fn mget(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let db = ctx.db();
    let mut values = Vec::with_capacity(args.len() - 1);
    let mut bytes = 0;
    for key in args.iter().skip(1) {
        let value = match ctx.tx.get(db, key) {
            Err(DataError::WrongType) => None,
            value => value?,
        };
        let value_bytes = value.as_ref().map_or(0, |value| value.len());
        ctx.tx.answers(value_bytes)?;
        bytes += value_bytes;
        if bytes > MAX_REPLY_BYTES {
            return err("ERR the reply would be too large, ask for fewer keys at once");
        }
        values.push(Reply::bulk_or_null(value));
    }
    Ok(Reply::Array(values))
}

fn mset(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    set_pairs(ctx, args, "mset")?;
    Ok(Reply::Ok)
}

fn msetnx(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    if args.len().is_multiple_of(2) {
        return Err(odd_pairs("msetnx"));
    }
    let db = ctx.db();
    if let Some(many) = ctx.tx.many(db) {
        if ctx.tx.has_any_of(db, many)? {
            return Ok(Reply::Int(0));
        }
    } else {
        for key in args.iter().skip(1).step_by(2) {
            if ctx.tx.replaced(db, key)?.live().is_some() {
                return Ok(Reply::Int(0));
            }
        }
    }
    set_pairs(ctx, args, "msetnx")?;
    Ok(Reply::Int(1))
}

fn set_pairs(ctx: &mut Ctx<'_, '_>, args: Args<'_>, name: &str) -> Result<(), CommandError> {
    if args.len().is_multiple_of(2) {
        return Err(odd_pairs(name));
    }
    let db = ctx.db();
    if let Some(many) = ctx.tx.many(db) {
        return Ok(ctx.tx.put_all(db, many)?);
    }
    for at in (1..args.len()).step_by(2) {
        ctx.tx.set(db, &args[at], &args[at + 1], None)?;
    }
    Ok(())
}

fn odd_pairs(name: &str) -> CommandError {
    format!("ERR wrong number of arguments for '{name}' command").into()
}

fn append(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let db = ctx.db();
    Ok(Reply::count(ctx.tx.append(db, &args[1], &args[2])?))
}

fn strlen(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let db = ctx.db();
    match ctx.tx.read_outline(db, &args[1])? {
        None => Ok(Reply::Int(0)),
        Some(string) if string.head.kind == Kind::String => Ok(Reply::count(string.payload_bytes())),
        Some(_) => Err(DataError::WrongType.into()),
    }
}

/// A small part of a larger value is copied for the reply, which would keep all of the value in memory until it has left, and counts as long as it is itself.
const SHARED_BYTES: usize = 64 << 10;

fn getrange(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let (start, end) = (int(&args[2])?, int(&args[3])?);
    let db = ctx.db();
    let value = ctx.tx.get(db, &args[1])?.unwrap_or_default();
    if start < 0 && end < 0 && start > end {
        return Ok(Reply::text(""));
    }
    let len = value.len() as i64;
    let from_end = |at: i64| if at < 0 { at.saturating_add(len).max(0) } else { at };
    let (start, end) = (from_end(start), from_end(end).min(len - 1));
    if start > end || len == 0 {
        return Ok(Reply::text(""));
    }
    let part = value.slice(start as usize..=end as usize);
    if value.len() <= SHARED_BYTES || part.len() > value.len() / 2 {
        return Ok(Reply::Bulk(part));
    }
    ctx.tx.moves(part.len())?;
    Ok(Reply::copied(&part))
}

/// Behind the last byte that is set; 0 where the command will be refused.
fn range_end(offset: &[u8], new: &[u8]) -> usize {
    let offset = int(offset).ok().and_then(|offset| usize::try_from(offset).ok());
    offset.map_or(0, |offset| offset.saturating_add(new.len()))
}

fn setrange(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let Ok(offset) = usize::try_from(int(&args[2])?) else { return err("ERR offset is out of range") };
    let new = &args[3];
    let db = ctx.db();
    let entry = ctx.tx.entry(db, &args[1])?;
    let old = entry.string_bytes()?;
    if new.is_empty() {
        return Ok(Reply::count(old.len()));
    }
    if offset.saturating_add(new.len()) > MAX_VALUE_BYTES {
        return Err(DataError::ValueTooLong.into());
    }
    let before = &old[..offset.min(old.len())];
    ensure_memory(offset)?;
    let gap = vec![0; offset - before.len()];
    let after = old.get(offset + new.len()..).unwrap_or_default();
    ctx.tx.edit(&entry, entry.edited_head(), &[before, &gap, new, after], Event::string("setrange"))?;
    Ok(Reply::count(old.len().max(offset + new.len())))
}

/// What `OBJECT ENCODING` says of a string: an integer, a short string, or a long or edited one.
pub(super) fn encoding(record: &impl Stored) -> &'static str {
    /// The longest string that Redis keeps in one piece with its object.
    const EMBEDDED_BYTES: usize = 44;
    // Where that is all of it. Integers are shorter.
    let is_int = || {
        record.payload_begin().len() == record.payload_bytes() && int_or(record.payload_begin(), "").is_ok()
    };
    match record.head().form {
        Form::Raw => "raw",
        Form::Plain if is_int() => "int",
        _ if record.payload_bytes() <= EMBEDDED_BYTES => "embstr",
        _ => "raw",
    }
}

#[cfg(test)]
mod tests {
    use crate::command::testing::run;

    // The expected replies are those of Redis.
    run! {
        set_with_conditions {
            "SET a 1" => "+OK", "GET a" => "1", "SET a 2 NX" => "nil", "SET a 2 XX" => "+OK", "SET b 1 XX" => "nil",
            "SET a 3 GET" => "2", "SET b 1 NX GET" => "nil", "SET b 2 NX GET" => "1", "GET b" => "1",
            "SET a 1 NX XX" => "-ERR syntax error", "SET a 1 EX" => "-ERR syntax error",
            "SET a 1 EX 0" => "-ERR invalid expire time in 'set' command",
            "SET a 1 EX x" => "-ERR value is not an integer or out of range",
            "SET a 1 EX 10 KEEPTTL" => "-ERR syntax error",
            "SET a 1 EX 10" => "+OK", "TTL a" => ":10", "SET a 2 KEEPTTL" => "+OK", "TTL a" => ":10", "SET a 2" => "+OK", "TTL a" => ":-1",
            "SET a 1 PXAT 1" => "+OK", "EXISTS a" => ":0", "DBSIZE" => ":1"
        }
        several_at_once {
            "MSET a 1 a 2 b 3" => "+OK", "MGET a b c" => "[2 3 nil]", "DBSIZE" => ":2", "MSETNX c 1 a 1" => ":0",
            "EXISTS c" => ":0", "MSETNX c 1 d 1" => ":1", "MSET a" => "-ERR wrong number of arguments for 'mset' command",
            "MSET a 1 b" => "-ERR wrong number of arguments for 'mset' command"
        }
        parts_of_a_string {
            "SET a hello" => "+OK", "GETRANGE a 1 -2" => "ell", "GETRANGE a -100 1" => "he", "GETRANGE a 3 1" => "", "GETRANGE a -1 -3" => "",
            "SETRANGE a 7 x" => ":8", "GET a" => "hello\0\0x", "SETRANGE a -1 x" => "-ERR offset is out of range",
            "SETRANGE b 0 \"\"" => ":0", "EXISTS b" => ":0", "SETRANGE a 536870912 x" => "-ERR string exceeds maximum allowed size (proto-max-bulk-len)",
            "APPEND a y" => ":9", "STRLEN a" => ":9", "APPEND new y" => ":1"
        }
        getex_and_getdel {
            "GETEX a" => "nil", "SET a 1" => "+OK", "GETEX a EX 100" => "1", "TTL a" => ":100", "GETEX a PERSIST" => "1", "TTL a" => ":-1",
            "GETEX a PXAT 1" => "1", "EXISTS a" => ":0", "SET a 1" => "+OK", "GETDEL a" => "1", "GETDEL a" => "nil", "DBSIZE" => ":0",
            "SET a 1 EX 5" => "+OK", "GETSET a 2" => "1", "TTL a" => ":-1"
        }
    }
}
