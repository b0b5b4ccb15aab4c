//! When keys expire: setting it, asking for it, taking it away.

use modb_net::resp::Args;

use crate::command::language::deadline::Deadline;
use crate::command::language::error::{echo, err};
use crate::command::language::parse::{Options, int, is};
use crate::command::machine::spec::{Access, Flags, Spec, key};
use crate::command::{CommandError, Ctx, Reply};
use crate::messages::Event;

const READ_FAST: &[Flags] = &[Flags::READONLY, Flags::FAST];
const WRITE_FAST: &[Flags] = &[Flags::WRITE, Flags::FAST];

#[rustfmt::skip]
pub(crate) static COMMANDS: [Spec; 9] = [
    Spec::new("generic", "expire", expire, -3).flags(WRITE_FAST).keys(&[key(Access::Change, 1)])
        .docs("key seconds [NX|XX|GT|LT]", "1.0.0", "O(1)", "Lets a key expire after so many seconds."),
    Spec::new("generic", "pexpire", pexpire, -3).flags(WRITE_FAST).keys(&[key(Access::Change, 1)])
        .docs("key milliseconds [NX|XX|GT|LT]", "2.6.0", "O(1)", "Lets a key expire after so many milliseconds."),
    Spec::new("generic", "expireat", expireat, -3).flags(WRITE_FAST).keys(&[key(Access::Change, 1)])
        .docs("key unix-time-seconds [NX|XX|GT|LT]", "1.2.0", "O(1)", "Lets a key expire at a time, in seconds since 1970."),
    Spec::new("generic", "pexpireat", pexpireat, -3).flags(WRITE_FAST).keys(&[key(Access::Change, 1)])
        .docs("key unix-time-milliseconds [NX|XX|GT|LT]", "2.6.0", "O(1)", "Lets a key expire at a time, in milliseconds since 1970."),
    Spec::new("generic", "ttl", ttl, 2).flags(READ_FAST).keys(&[key(Access::Read, 1)])
        .docs("key", "1.0.0", "O(1)", "Returns how many seconds a key has left."),
    Spec::new("generic", "pttl", pttl, 2).flags(READ_FAST).keys(&[key(Access::Read, 1)])
        .docs("key", "2.6.0", "O(1)", "Returns how many milliseconds a key has left."),
    Spec::new("generic", "expiretime", expiretime, 2).flags(READ_FAST).keys(&[key(Access::Read, 1)])
        .docs("key", "7.0.0", "O(1)", "Returns when a key expires, in seconds since 1970."),
    Spec::new("generic", "pexpiretime", pexpiretime, 2).flags(READ_FAST).keys(&[key(Access::Read, 1)])
        .docs("key", "7.0.0", "O(1)", "Returns when a key expires, in milliseconds since 1970."),
    Spec::new("generic", "persist", persist, 2).flags(WRITE_FAST).keys(&[key(Access::Change, 1)])
        .docs("key", "2.2.0", "O(1)", "Takes the expiry of a key away."),
];

fn expire(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    set_expiry(ctx, args, "expire", Deadline::Seconds)
}

fn pexpire(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    set_expiry(ctx, args, "pexpire", Deadline::Milliseconds)
}

fn expireat(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    set_expiry(ctx, args, "expireat", Deadline::AtSeconds)
}

fn pexpireat(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    set_expiry(ctx, args, "pexpireat", Deadline::AtMilliseconds)
}

/// When `EXPIRE` may change the expiry.
#[derive(Clone, Copy, Default)]
struct Conditions {
    nx: bool,
    xx: bool,
    gt: bool,
    lt: bool,
}

impl Conditions {
    fn read(args: Args<'_>) -> Result<Self, CommandError> {
        let mut conditions = Self::default();
        let mut options = Options::from(args, 3);
        while let Some(word) = options.next() {
            match () {
                () if is(word, "nx") => conditions.nx = true,
                () if is(word, "xx") => conditions.xx = true,
                () if is(word, "gt") => conditions.gt = true,
                () if is(word, "lt") => conditions.lt = true,
                () => return Err(echo("ERR Unsupported option ", word, "")),
            }
        }
        let Self { nx, xx, gt, lt } = conditions;
        if nx && (xx || gt || lt) {
            return err("ERR NX and XX, GT or LT options at the same time are not compatible");
        }
        if gt && lt {
            return err("ERR GT and LT options at the same time are not compatible");
        }
        Ok(conditions)
    }

    /// A key without an expiry lives for ever, which is later than anything.
    fn allow(self, new: i64, current: Option<u64>) -> bool {
        let current = current.map(|at| i64::try_from(at).unwrap_or(i64::MAX));
        !(self.nx && current.is_some()
            || self.xx && current.is_none()
            || self.gt && current.is_none_or(|at| new <= at)
            || self.lt && current.is_some_and(|at| new >= at))
    }
}

fn set_expiry(
    ctx: &mut Ctx<'_, '_>,
    args: Args<'_>,
    command: &'static str,
    kind: Deadline,
) -> Result<Reply, CommandError> {
    let conditions = Conditions::read(args)?;
    let at = kind.at_ms(int(&args[2])?, ctx.tx.now_ms()).ok_or(CommandError::InvalidExpire(command))?;
    let db = ctx.db();
    let entry = ctx.tx.outlined(db, &args[1])?;
    let Some(record) = entry.live() else { return Ok(Reply::Int(0)) };
    if !conditions.allow(at, record.head.expires_at_ms) {
        return Ok(Reply::Int(0));
    }
    // In the past: the key is removed.
    let at = u64::try_from(at).unwrap_or(0);
    if at <= ctx.tx.now_ms() {
        ctx.tx.remove(&entry);
        return Ok(Reply::Int(1));
    }
    ctx.tx.set_expiry(db, &args[1], Some(at), Event::EXPIRE)?;
    Ok(Reply::Int(1))
}

fn persist(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let db = ctx.db();
    let expires =
        ctx.tx.outlined(db, &args[1])?.live().is_some_and(|record| record.head.expires_at_ms.is_some());
    if expires {
        ctx.tx.set_expiry(db, &args[1], None, Event::PERSIST)?;
    }
    Ok(Reply::flag(expires))
}

fn ttl(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let now_ms = ctx.tx.now_ms();
    ask(ctx, args, |at| seconds(at - now_ms))
}

fn pttl(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let now_ms = ctx.tx.now_ms();
    ask(ctx, args, |at| at - now_ms)
}

fn expiretime(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    ask(ctx, args, seconds)
}

fn pexpiretime(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    ask(ctx, args, |at| at)
}

/// Rounded, as in Redis.
fn seconds(ms: u64) -> u64 {
    ms.saturating_add(500) / 1000
}

fn ask(ctx: &mut Ctx<'_, '_>, args: Args<'_>, answer: impl Fn(u64) -> u64) -> Result<Reply, CommandError> {
    let db = ctx.db();
    Ok(Reply::Int(match ctx.tx.read_outline(db, &args[1])? {
        None => -2,
        Some(record) => record.head.expires_at_ms.map_or(-1, |at| answer(at) as i64),
    }))
}

#[cfg(test)]
mod tests {
    use crate::command::testing::run;

    run! {
        expiry_with_conditions {
            "EXPIRE a 10" => ":0", "TTL a" => ":-2", "SET a 1" => "+OK", "TTL a" => ":-1", "EXPIRE a 100 XX" => ":0",
            "EXPIRE a 100 GT" => ":0", "EXPIRE a 100 LT" => ":1", "TTL a" => ":100", "EXPIRE a 50 GT" => ":0", "EXPIRE a 200 GT" => ":1",
            "EXPIRE a 10 NX" => ":0", "PTTL a" => ":200000", "PERSIST a" => ":1", "PERSIST a" => ":0", "EXPIRE a 10 NX" => ":1",
            "EXPIRE a 10 NX XX" => "-ERR NX and XX, GT or LT options at the same time are not compatible",
            "EXPIRE a 10 GT LT" => "-ERR GT and LT options at the same time are not compatible",
            "EXPIRE a 10 AB" => "-ERR Unsupported option AB", "EXPIRE a x" => "-ERR value is not an integer or out of range",
            "EXPIRE a 9223372036854775807" => "-ERR invalid expire time in 'expire' command",
            "PEXPIRE a 9223372036854775807" => "-ERR invalid expire time in 'pexpire' command",
            "EXPIRE a -1" => ":1", "EXISTS a" => ":0", "DBSIZE" => ":0"
        }
        absolute_times {
            "SET a 1" => "+OK", "EXPIREAT a 33177117420" => ":1", "EXPIRETIME a" => ":33177117420", "PEXPIRETIME a" => ":33177117420000",
            "PEXPIREAT a 33177117420501" => ":1", "EXPIRETIME a" => ":33177117421", "EXPIRETIME b" => ":-2", "EXPIREAT a 1" => ":1", "GET a" => "nil"
        }
    }
}
