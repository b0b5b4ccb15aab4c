//! Members of a set chosen at random.

use modb_net::resp::Args;

use super::{find, open};
use crate::command::language::packed::{Packed, Shape};
use crate::command::language::parse::{int_within, positive};
use crate::command::{CommandError, Ctx, Reply};
use crate::messages::Event;

const POPPED: Event = Event::set("spop");

pub(super) fn spop(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    if args.len() > 3 {
        return Err(CommandError::Syntax);
    }
    let Some(count) = args.get(2) else {
        let mut set = open(ctx, &args[1])?;
        let Some(member) = set.pop(ctx.tx)? else { return Ok(Reply::Null) };
        set.save(ctx.tx, POPPED)?;
        return Ok(Reply::Bulk(member));
    };
    let count = positive(count, "ERR value is out of range, must be positive")?;
    let mut set = open(ctx, &args[1])?;
    let mut items = Packed::new(Shape::Set);
    if count >= set.len() {
        set.for_each(ctx.tx, |member| items.push(member))?;
        set.remove_key(ctx.tx, POPPED);
        return items.reply();
    }
    for member in set.choose_some(ctx.tx, count)? {
        set.remove(ctx.tx, &member)?;
        items.push(&member);
    }
    set.after_pop(ctx.tx, count)?;
    set.save(ctx.tx, POPPED)?;
    items.reply()
}

pub(super) fn srandmember(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    if args.len() > 3 {
        return Err(CommandError::Syntax);
    }
    let Some(count) = args.get(2) else {
        let Some(mut set) = find(ctx, &args[1])? else { return Ok(Reply::Null) };
        return Ok(Reply::bulk_or_null(set.choose(ctx.tx)?));
    };
    let count = int_within(count, -i64::MAX, i64::MAX)?;
    let mut items = Packed::new(Shape::Array);
    let Some(mut set) = find(ctx, &args[1])? else { return items.reply() };
    if count >= 0 {
        set.choose_some(ctx.tx, count.unsigned_abs())?.iter().all(|member| items.push(member));
    } else {
        items.check_room(count.unsigned_abs())?;
        for _ in 0..count.unsigned_abs() {
            let Some(member) = set.choose(ctx.tx)? else { break };
            if !items.push(&member) {
                break;
            }
        }
    }
    items.reply()
}

#[cfg(test)]
mod tests {
    use crate::command::testing::run;

    run! {
        counts_are_checked_before_the_key {
            "SPOP s x" => "-ERR value is out of range, must be positive", "SPOP s -1" => "-ERR value is out of range, must be positive", "SPOP s 1 2" => "-ERR syntax error",
            "SET t 1" => "+OK", "SPOP t x" => "-ERR value is out of range, must be positive", "SPOP t 0" => "-WRONGTYPE Operation against a key holding the wrong kind of value",
            "SPOP t" => "-WRONGTYPE Operation against a key holding the wrong kind of value", "SPOP s" => "nil", "SPOP s 3" => "[]",
            "SRANDMEMBER s x" => "-ERR value is not an integer or out of range", "SRANDMEMBER s 1 2" => "-ERR syntax error", "SRANDMEMBER s" => "nil", "SRANDMEMBER s 3" => "[]",
            "SRANDMEMBER s -9223372036854775808" => "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
            "SRANDMEMBER t" => "-WRONGTYPE Operation against a key holding the wrong kind of value"
        }
        one_member_is_always_the_one {
            "SADD s a" => ":1", "SRANDMEMBER s" => "a", "SRANDMEMBER s -3" => "[a a a]", "SRANDMEMBER s 3" => "[a]", "SRANDMEMBER s 0" => "[]",
            "SRANDMEMBER s -9223372036854775807" => "-ERR the reply would be too large", "SPOP s 0" => "[]",
            "SPOP s" => "a", "EXISTS s" => ":0", "SADD s b a" => ":2", "SPOP s 2" => "[b a]", "EXISTS s" => ":0", "DBSIZE" => ":0"
        }
    }
}
