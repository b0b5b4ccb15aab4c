//! Strings that hold numbers.

use modb_net::resp::Args;

use crate::command::language::error::err;
use crate::command::language::parse::int;
use crate::command::machine::spec::{Access, Flags, KeySpec, Spec, key};
use crate::command::{CommandError, Ctx, Reply};

const GROW_FAST: &[Flags] = &[Flags::WRITE, Flags::DENYOOM, Flags::FAST];
const ONE: &[KeySpec] = &[key(Access::Update, 1)];

#[rustfmt::skip]
pub(crate) static COMMANDS: [Spec; 5] = [
    Spec::new("string", "incr", incr, 2).flags(GROW_FAST).keys(ONE)
        .docs("key", "1.0.0", "O(1)", "Adds one to the integer at a key."),
    Spec::new("string", "decr", decr, 2).flags(GROW_FAST).keys(ONE)
        .docs("key", "1.0.0", "O(1)", "Subtracts one from the integer at a key."),
    Spec::new("string", "incrby", incrby, 3).flags(GROW_FAST).keys(ONE)
        .docs("key increment", "1.0.0", "O(1)", "Adds to the integer at a key."),
    Spec::new("string", "decrby", decrby, 3).flags(GROW_FAST).keys(ONE)
        .docs("key decrement", "1.0.0", "O(1)", "Subtracts from the integer at a key."),
    Spec::new("string", "incrbyfloat", incrbyfloat, 3).flags(GROW_FAST).keys(ONE)
        .docs("key float-increment", "2.6.0", "O(1)", "Adds to the number at a key."),
];

fn add(ctx: &mut Ctx<'_, '_>, args: Args<'_>, by: i64) -> Result<Reply, CommandError> {
    let db = ctx.db();
    Ok(Reply::Int(ctx.tx.increment(db, &args[1], by)?))
}

fn incr(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    add(ctx, args, 1)
}

fn decr(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    add(ctx, args, -1)
}

fn incrby(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    add(ctx, args, int(&args[2])?)
}

fn decrby(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    match int(&args[2])?.checked_neg() {
        Some(by) => add(ctx, args, by),
        None => err("ERR decrement would overflow"),
    }
}

fn incrbyfloat(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let db = ctx.db();
    Ok(Reply::string(ctx.tx.increment_float(db, &args[1], &args[2])?))
}

#[cfg(test)]
mod tests {
    use crate::command::testing::run;

    run! {
        integers_count_and_stay_in_range {
            "INCR a" => ":1", "INCRBY a 10" => ":11", "DECR a" => ":10", "DECRBY a 15" => ":-5", "GET a" => "-5",
            "SET a 9223372036854775807" => "+OK", "INCR a" => "-ERR increment or decrement would overflow",
            "DECRBY a -9223372036854775808" => "-ERR decrement would overflow", "SET a 01" => "+OK",
            "INCR a" => "-ERR value is not an integer or out of range", "INCRBY a x" => "-ERR value is not an integer or out of range",
            "SET a 5 EX 100" => "+OK", "INCR a" => ":6", "TTL a" => ":100", "OBJECT ENCODING a" => "int"
        }
        numbers_with_fractions {
            "INCRBYFLOAT a 10.50" => "10.5", "INCRBYFLOAT a 0.1" => "10.6", "INCRBYFLOAT a -5" => "5.6", "SET a 5.0e3" => "+OK",
            "INCRBYFLOAT a 2.0e2" => "5200", "INCRBYFLOAT a inf" => "-ERR increment would produce NaN or Infinity",
            "INCRBYFLOAT a x" => "-ERR value is not a valid float", "SET a x" => "+OK", "INCRBYFLOAT a 1" => "-ERR value is not a valid float"
        }
    }
}
