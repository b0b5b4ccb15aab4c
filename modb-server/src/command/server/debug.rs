//! `DEBUG`: what tests of clients and of servers ask for. Only for those to whom `enable-debug-command` opens it.
//!
//! Of Redis's there is what its and others' test suites use between their cases; what looks at Redis's own inside is unknown.

use std::sync::Arc;
use std::time::Duration;

use modb_net::resp::Args;

use crate::command::keys::encoding_of;
use crate::command::language::error::err;
use crate::command::language::parse::{int, is, lossy};
use crate::command::machine::help::help_of;
use crate::command::machine::spec::{Access, Find, Flags, KeySpec, Spec};
use crate::command::{CommandError, Ctx, Reply, in_thread};
use crate::data::{DataError, Stored as _};

const ANY: &[Flags] = &[Flags::LOADING, Flags::STALE];
const ADMIN: &[Flags] = &[Flags::ADMIN, Flags::NOSCRIPT, Flags::LOADING, Flags::STALE];
const HELD_KEY: &[KeySpec] =
    &[KeySpec { access: Access::Update, find: Find::Range { first: 2, last: 2, step: 1 } }];
const OBJECT_KEY: &[KeySpec] =
    &[KeySpec { access: Access::Inspect, find: Find::Range { first: 2, last: 2, step: 1 } }];

#[rustfmt::skip]
pub(super) static SUBCOMMANDS: [Spec; 13] = [
    Spec::new("server", "sleep", sleep, 3).flags(ADMIN).flags(&[Flags::OUTSIDE]).docs("seconds", "1.0.0", "O(1)", "Lets this connection's worker sleep.")
        .differs("one worker sleeps, not the server; at most 60 seconds"),
    Spec::new("server", "hold", hold, 4).flags(ADMIN).flags(&[Flags::NO_MULTI]).keys(HELD_KEY).docs("key milliseconds", "7.2.0", "O(1)", "Keeps others from writing the key until it is released, and for so long at most, as a slow command does.")
        .differs("Redis has none: there a slow command stops everybody"),
    Spec::new("server", "holds", holds, 2).flags(ADMIN).docs("", "7.2.0", "O(1)", "How many keys are held (`DEBUG HOLD`).").differs("only here"),
    Spec::new("server", "release", release, 2).flags(ADMIN).flags(&[Flags::OUTSIDE]).docs("", "7.2.0", "O(1)", "Releases the keys that are held, and says how many they were.")
        .differs("only here"),
    Spec::new("server", "error", error, 3).flags(ADMIN).docs("text", "1.0.0", "O(1)", "Answers with this error."),
    Spec::new("server", "small-pages", small_pages, 3).flags(ADMIN)
        .docs("yes|no", "1.0.0", "O(1)", "Has collections become trees of many levels after a few elements.").differs("only here"),
    Spec::new("server", "object", object, 3).flags(ADMIN).keys(OBJECT_KEY)
        .docs("key", "1.0.0", "O(1)", "Says how the value of a key is kept.").differs("no address and no use; `serializedlength` is that of its record"),
    Spec::new("server", "reload", reload, -2).flags(ADMIN).flags(&[Flags::NO_MULTI])
        .docs("", "1.0.0", "O(1)", "Brings to the disk what is not there yet.").differs("syncs the log: nothing has to be loaded again; without options"),
    Spec::new("server", "set-active-expire", set_active_expire, 3).flags(ADMIN).flags(&[Flags::OUTSIDE])
        .docs("0|1", "1.0.0", "O(1)", "Whether expired keys are removed although nobody asks for them."),
    Spec::new("server", "log", log, 3).flags(ADMIN).flags(&[Flags::OUTSIDE]).docs("text", "7.0.0", "O(1)", "Writes the text into the log."),
    Spec::new("server", "quicklist-packed-threshold", without_effect, 3).flags(ADMIN)
        .docs("bytes", "7.0.0", "O(1)", "Is taken.").differs("without effect: it is about the inside of Redis"),
    Spec::new("server", "change-repl-id", without_effect, 2).flags(ADMIN)
        .docs("", "1.0.0", "O(1)", "Is taken.").differs("without effect: there is no replication"),
    Spec::new("server", "help", help, 2).flags(ANY).docs("", "1.0.0", "O(1)", "Says what the subcommands do."),
];

fn help(ctx: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    help_of(ctx, b"debug")
}

fn sleep(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    /// Longer is a mistake, and would hold up a shutdown.
    const MAX_SECONDS: f64 = 60.0;
    ctx.check_enabled("debug", "DEBUG")?;
    let seconds = std::str::from_utf8(&args[2]).ok().and_then(|text| text.parse::<f64>().ok());
    match seconds {
        Some(seconds) if (0.0..=MAX_SECONDS).contains(&seconds) => {
            std::thread::sleep(Duration::from_secs_f64(seconds));
            Ok(Reply::Ok)
        }
        _ => err("ERR the time to sleep must be from 0 to 60 seconds"),
    }
}

fn hold(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    /// Who wants longer has forgotten to release it. A shutdown ends it.
    const MAX_MS: i64 = 600_000;
    ctx.check_enabled("debug", "DEBUG")?;
    match int(&args[3])? {
        ms @ 0..=MAX_MS => {
            // From now on, with the stripes.
            let hold = ctx.instance.holds.begin();
            if ctx.network.is_ending() {
                // It has released those that it found, and does not wait for this one.
                return Ok(Reply::Ok);
            }
            in_thread(move || {
                hold.last(Duration::from_millis(ms.unsigned_abs()));
                Ok(Reply::Ok)
            })
        }
        _ => err("ERR the time to hold must be from 0 to 600000 milliseconds"),
    }
}

fn holds(ctx: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    ctx.check_enabled("debug", "DEBUG")?;
    Ok(Reply::count(ctx.instance.holds.count()))
}

fn release(ctx: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    ctx.check_enabled("debug", "DEBUG")?;
    Ok(Reply::count(ctx.instance.holds.release()))
}

fn error(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    ctx.check_enabled("debug", "DEBUG")?;
    // An error is one line.
    Err(lossy(&args[2]).replace(['\r', '\n'], " ").into())
}

fn small_pages(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    ctx.check_enabled("debug", "DEBUG")?;
    let small = match &args[2] {
        word if is(word, "yes") => true,
        word if is(word, "no") => false,
        _ => return Err(CommandError::Syntax),
    };
    ctx.tx.data().keep_pages_small(small);
    Ok(Reply::Ok)
}

fn object(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    ctx.check_enabled("debug", "DEBUG")?;
    let db = ctx.db();
    let Some(record) = ctx.tx.look(db, &args[2])? else { return err("ERR no such key") };
    let (encoding, bytes) = (encoding_of(&record), record.payload_bytes());
    Ok(Reply::string(format!(
        "Value at:0x0 refcount:1 encoding:{encoding} serializedlength:{bytes} lru:0 lru_seconds_idle:0"
    )))
}

fn reload(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    ctx.check_enabled("debug", "DEBUG")?;
    if args.len() > 2 {
        return err("ERR there is no dump file to load: DEBUG RELOAD takes no options here");
    }
    let store = Arc::clone(ctx.tx.data().store());
    in_thread(move || {
        store.sync().map_err(DataError::from)?;
        Ok(Reply::Ok)
    })
}

fn set_active_expire(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    ctx.check_enabled("debug", "DEBUG")?;
    ctx.tx.data().leave_expired(int(&args[2])? == 0);
    Ok(Reply::Ok)
}

fn log(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    ctx.check_enabled("debug", "DEBUG")?;
    tracing::warn!("DEBUG LOG: {}", lossy(&args[2]).escape_debug());
    Ok(Reply::Ok)
}

fn without_effect(ctx: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    ctx.check_enabled("debug", "DEBUG")?;
    Ok(Reply::Ok)
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Bench;
    use crate::data::Tally;

    #[test]
    fn debug_is_for_those_to_whom_it_was_opened() {
        let bench = Bench::new();
        let refused = bench.text("DEBUG SLEEP 0");
        assert!(
            refused.starts_with("-ERR DEBUG command not allowed. If the enable-debug-command"),
            "{refused}"
        );
        bench.instance.settings.set("enable-debug-command", "local").unwrap();
        for (line, reply) in [
            ("DEBUG SLEEP 0", "+OK"),
            ("DEBUG SLEEP 99", "-ERR the time to sleep must be from 0 to 60 seconds"),
            ("DEBUG HOLD k 600001", "-ERR the time to hold must be from 0 to 600000 milliseconds"),
            ("DEBUG HOLD k 0", "+OK"),
            ("DEBUG HOLDS", ":0"),
            ("DEBUG RELEASE", ":0"),
            ("DEBUG OBJECT none", "-ERR no such key"),
            ("SADD s 1 2", ":2"),
            (
                "DEBUG OBJECT s",
                "Value at:0x0 refcount:1 encoding:intset serializedlength:12 lru:0 lru_seconds_idle:0",
            ),
            ("DEBUG RELOAD", "+OK"),
            ("DEBUG RELOAD NOSAVE", "-ERR there is no dump file to load: DEBUG RELOAD takes no options here"),
            ("DEBUG SET-ACTIVE-EXPIRE 0", "+OK"),
            ("DEBUG SET-ACTIVE-EXPIRE x", "-ERR value is not an integer or out of range"),
            ("DEBUG LOG hello", "+OK"),
            ("DEBUG QUICKLIST-PACKED-THRESHOLD 100b", "+OK"),
            ("DEBUG CHANGE-REPL-ID", "+OK"),
            ("DEBUG ERROR \"MINE all mine\"", "-MINE all mine"),
        ] {
            assert_eq!(bench.text(line), reply, "a client in this process is local");
        }
    }
    #[test]
    fn expired_keys_are_left_until_they_may_be_removed() {
        let (bench, tally) = (Bench::new(), Tally::default());
        bench.instance.settings.set("enable-debug-command", "local").unwrap();
        bench.text("SET k v PX 1");
        for (removes, left) in [("0", ":1"), ("1", ":0")] {
            bench.text(&format!("DEBUG SET-ACTIVE-EXPIRE {removes}"));
            bench.instance.data.remove_due(&tally).unwrap();
            assert_eq!(bench.text("DBSIZE"), left);
        }
    }
}
