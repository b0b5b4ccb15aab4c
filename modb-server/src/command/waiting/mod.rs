//! Waiting: commands that, where they find nothing, wait until somebody brings it. Lists are in [`lists`], sorted sets in
//! [`sorted_sets`], waiting for time and the disk in [`wait`].
//!
//! Such a command says what it wants to do ([`What`](super::language::until::What)). That is tried at once, under the stripes of its
//! keys; if there is nothing, the client enters the queues of its keys under the same stripes ([`room`](super::machine::room)), and whoever
//! brings something does it for him (`data/interests/serve.rs`). Inside `EXEC` it is answered as if its time were over.

pub(super) mod lists;
pub(super) mod sorted_sets;
pub(super) mod wait;

use std::sync::Arc;

use bytes::Bytes;
use modb_net::resp::Args;

use super::language::error::CommandError;
use super::language::reply::Reply;
use super::language::until::{Until, What};
use super::machine::context::Ctx;
use super::machine::spec::{Access, Find, Flags, KeySpec};

const WAITS: &[Flags] = &[Flags::WRITE, Flags::BLOCKING];
const WAITS_FAST: &[Flags] = &[Flags::WRITE, Flags::BLOCKING, Flags::FAST];
const WAITS_AND_GROWS: &[Flags] = &[Flags::WRITE, Flags::DENYOOM, Flags::BLOCKING];
const WAITS_COUNTED: &[Flags] = &[Flags::WRITE, Flags::BLOCKING, Flags::MOVABLEKEYS];
/// All arguments but the last, which says for how long.
const ALL_BUT_LAST: &[KeySpec] =
    &[KeySpec { access: Access::Take, find: Find::Range { first: 1, last: -2, step: 1 } }];
const COUNTED: &[KeySpec] = &[KeySpec { access: Access::Take, find: Find::Counted { count: 2 } }];

/// Only what somebody writes is looked at when one who waits is served: so the reply does not depend on what else is held.
const PASSES: &str = "a key that has got another type while its client waits is passed over";

/// Does what was asked, or waits until it can be done.
fn do_or_wait(
    ctx: &mut Ctx<'_, '_>,
    what: impl What + 'static,
    timeout_ms: Option<u64>,
    none: Reply,
) -> Result<Reply, CommandError> {
    let db = ctx.db();
    if let Some(reply) = what.attempt(ctx.tx, db)? {
        return Ok(reply);
    }
    if ctx.client.is_executing() {
        return Ok(none);
    }
    // Whoever is answered late is answered with an array, whatever he asked for.
    Err(CommandError::Waits(Box::new(Until {
        what: Some(Arc::new(what)),
        timeout_ms,
        timed_out: Reply::NullArray,
    })))
}

/// The keys of a command that names them from its first argument on, and the time last.
fn keys_before_timeout(args: Args<'_>) -> Box<[Bytes]> {
    owned(args.iter().take(args.len() - 1).skip(1))
}

/// Keys that are kept while somebody waits.
fn owned<'a>(keys: impl Iterator<Item = &'a [u8]>) -> Box<[Bytes]> {
    keys.map(Bytes::copy_from_slice).collect()
}

#[cfg(test)]
mod tests {
    use crate::command::testing::run;

    run! {
        what_is_there_is_taken_at_once {
            "RPUSH l a b c d" => ":4", "BLPOP none l 0" => "[l a]", "BRPOP l none 0" => "[l d]", "BLMPOP 0 2 none l RIGHT COUNT 5" => "[l [c b]]", "EXISTS l" => ":0",
            "RPUSH l a b" => ":2", "BLMOVE l m LEFT RIGHT 0" => "a", "BRPOPLPUSH l m 0" => "b", "LRANGE m 0 -1" => "[b a]",
            "ZADD z 1 a 2 b 3 c 4 d" => ":4", "BZPOPMIN none z 0" => "[z a 1]", "BZPOPMAX z 0" => "[z d 4]", "BZMPOP 0 1 z MAX COUNT 9" => "[z [[c 3] [b 2]]]",
            "SET s 1" => "+OK", "BLPOP s m 0" => "-WRONGTYPE Operation against a key holding the wrong kind of value", "BLPOP m s 0" => "[m b]",
            "BLMOVE m s LEFT LEFT 0" => "-WRONGTYPE Operation against a key holding the wrong kind of value", "LLEN m" => ":1"
        }
        what_is_not_there_is_waited_for {
            "BLPOP q 0.001" => "nil", "BLMOVE q r LEFT LEFT 0.001" => "nil", "BZPOPMIN q r 0.001" => "nil", "BZMPOP 0.001 1 q MIN" => "nil",
            "WAIT 1 1" => ":0", "WAIT 0 0" => ":0", "WAITAOF 1 0 0" => "[:1 :0]", "WAITAOF 1 1 1" => "[:1 :0]", "WAITAOF 0 1 1" => "[:0 :0]", "WAITAOF 0 0 0" => "[:0 :0]"
        }
        inside_exec_nothing_is_waited_for {
            "MULTI" => "+OK", "BLPOP q 0" => "+QUEUED", "BLMOVE q r LEFT LEFT 0" => "+QUEUED", "RPUSH q a" => "+QUEUED", "BRPOP q 0" => "+QUEUED",
            "BZPOPMAX z 0" => "+QUEUED", "WAIT 1 0" => "+QUEUED", "WAITAOF 1 0 0" => "+QUEUED", "EXEC" => "[nil nil :1 [q a] nil :0 [:0 :0]]"
        }
        how_long_is_said_as_in_redis {
            "BLPOP q -1" => "-ERR timeout is negative", "BLPOP q x" => "-ERR timeout is not a float or out of range", "BLPOP q 1e30" => "-ERR timeout is out of range",
            "BLPOP q inf" => "-ERR timeout is out of range", "WAIT 1 -1" => "-ERR timeout is negative", "WAIT x 1" => "-ERR value is not an integer or out of range",
            "WAIT 1 9223372036854775807" => "-ERR timeout is out of range", "BLMPOP 0 0 q LEFT" => "-ERR numkeys should be greater than 0", "BLMPOP 0 2 q LEFT" => "-ERR syntax error",
            "BLMPOP x 1 q LEFT" => "-ERR timeout is not a float or out of range", "BLMPOP 0 1 q UP" => "-ERR syntax error", "BZMPOP 0 1 q MIN COUNT 0" => "-ERR count should be greater than 0",
            "BLMPOP 0 1 q UP COUNT 0" => "-ERR syntax error", "BZMPOP 0 1 q UP COUNT 0" => "-ERR syntax error",
            "WAITAOF 2 0 0" => "-ERR value is out of range, value must between 0 and 1"
        }
    }
}
