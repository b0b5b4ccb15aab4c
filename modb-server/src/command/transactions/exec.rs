//! `EXEC`: what was queued is executed on one view of the data, command by command, as one batch.
//!
//! Invariants: each command sees what those before it have written; one that fails leaves nothing, and the others go on; the
//! clock stands still. It may be run again, if it needs more stripes or there is no room for its reply: then nothing of the run
//! before is seen by anybody.

use std::collections::BTreeMap;

use modb_net::resp::{Args, Protocol};

use crate::command::language::error::{CommandError, err};
use crate::command::language::parse;
use crate::command::language::reply::{MAX_REPLY_BYTES, Reply};
use crate::command::machine::client::Client;
use crate::command::machine::context::Ctx;
use crate::command::machine::instance::Instance;
use crate::command::machine::monitor;
use crate::command::machine::spec::Flags;
use crate::command::machine::table::Resolved;
use crate::command::machine::tracking;
use crate::command::machine::transaction::Queue;
use crate::command::machine::weight::{Scale, Weight};
use crate::data::DataError;

/// What a transaction is answered with that was not executed, before the reason.
const DISCARDED: &str = "EXECABORT Transaction discarded because of";

pub(super) fn exec(ctx: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    let Some(transaction) = ctx.client.transaction() else { return err("ERR EXEC without MULTI") };
    // Between two runs it may be broken.
    if transaction.spoiled {
        ctx.client.end_transaction();
        return Err(format!("{DISCARDED} previous errors.").into());
    }
    match is_broken(ctx) {
        Ok(false) => {}
        Ok(true) => {
            ctx.client.end_transaction();
            return Ok(Reply::NullArray);
        }
        Err(DataError::Missed) => return Err(DataError::Missed.into()),
        Err(error) => {
            ctx.client.end_transaction();
            return Err(error.into());
        }
    }
    let mut queue = ctx.client.take_queue();
    let mut done = BTreeMap::new();
    let replies = execute(ctx, &queue, &mut done);
    queue.note_done(done);
    ctx.client.put_back(queue);
    Ok(Reply::Array(replies?))
}

/// What all commands take together.
pub(super) fn weigh(scale: &mut Scale<'_, '_>, _: Args<'_>) -> Weight {
    let client = scale.client;
    let Some(transaction) = client.transaction() else { return Weight::default() };
    let mut sum = Weight::default();
    // Nothing fails.
    let Ok(()) = transaction.queue.for_each(|_, resolved, args| {
        if resolved.spec.name == "select"
            && let Ok(database) = parse::database(&args[1], scale.tx.data().databases())
        {
            scale.database = database;
        }
        sum = sum.and(scale.weigh(resolved.spec, args));
        Ok::<(), std::convert::Infallible>(())
    });
    sum
}

/// Whether a watched key was changed, or has expired. Their stripes are held.
fn is_broken(ctx: &mut Ctx<'_, '_>) -> Result<bool, DataError> {
    let Some(watches) = ctx.client.watches() else { return Ok(false) };
    if watches.told.is_told() {
        return Ok(true);
    }
    for watch in watches.keys.values() {
        if ctx.tx.has_expired_since(watch)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn execute(
    ctx: &mut Ctx<'_, '_>,
    queue: &Queue,
    done: &mut BTreeMap<usize, Reply>,
) -> Result<Vec<Reply>, CommandError> {
    ctx.tx.set_freeing(!queue.flags().has(Flags::DENYOOM));
    let mut replies: Vec<(Protocol, Reply)> = Vec::with_capacity(queue.len());
    let mut bytes = 0;
    queue.for_each(|at, resolved, args| {
        let reply = match queue.done(at) {
            Some(reply) => reply.clone(),
            None => one(ctx, resolved, args)?,
        };
        if resolved.spec.flags.has(Flags::OUTSIDE) {
            done.insert(at, reply.clone());
        }
        bytes += reply.bytes();
        if bytes > MAX_REPLY_BYTES {
            return err("ERR the reply would be too large");
        }
        if ctx.tx.data().exchange().is_attended() {
            tracking::remember(ctx.tx, ctx.client, resolved.spec, args);
            monitor::show(ctx.tx, ctx.client, resolved.spec, args);
        }
        replies.push((ctx.client.protocol, reply));
        Ok(())
    })?;
    if queue.has_everything() {
        ctx.tx.has_seen_all();
    }
    let protocol = ctx.client.protocol;
    let in_turn = |(spoken, reply)| match reply {
        // What was answered before a `HELLO`.
        reply if spoken != protocol => Reply::Spoken(spoken, Box::new(reply)),
        reply => reply,
    };
    Ok(replies.into_iter().map(in_turn).collect())
}

/// Executes one of the commands. What fails is the run as a whole.
fn one(ctx: &mut Ctx<'_, '_>, resolved: Resolved, args: Args<'_>) -> Result<Reply, CommandError> {
    ctx.tx.save();
    let reply = (resolved.spec.run)(ctx, args);
    if ctx.tx.missed().is_some() {
        return Err(DataError::Missed.into());
    }
    match reply {
        Ok(reply) => Ok(reply),
        Err(CommandError::NoRoom) => Err(CommandError::NoRoom),
        Err(error) => {
            ctx.tx.roll_back();
            ctx.tx.tally().errors.bump();
            let text = match error {
                // No command of this kind can be queued.
                CommandError::InThread(_) => b"ERR Command not allowed inside a transaction".to_vec(),
                error => error.text().into_owned(),
            };
            Ok(Reply::Error(text))
        }
    }
}

/// What has become of a run: it has been committed, or has failed, or is to be run again ([`CommandError::NoRoom`]).
pub(in crate::command) fn has_run(client: &mut Client, reply: &mut Result<Reply, CommandError>) {
    if !client.is_executing() {
        return;
    }
    match reply {
        Ok(_) => client.end_transaction(),
        Err(CommandError::NoRoom) => client.take_back(),
        Err(error) => {
            let text = [DISCARDED.as_bytes(), b": ", &error.text()].concat();
            client.take_back();
            client.end_transaction();
            *reply = Err(CommandError::Echo(text));
        }
    }
}

/// What a request is answered with that is refused before it is executed or queued; nothing of a transaction is executed then.
pub(in crate::command) fn refuse(
    args: Args<'_>,
    client: &mut Client,
    instance: &Instance,
    error: CommandError,
) -> CommandError {
    tracking::is_over(client, args);
    if !args[0].eq_ignore_ascii_case(b"exec") {
        client.spoil();
        return error;
    }
    // The transaction is over, of which the beginning was shown.
    monitor::show_refused(instance.data.exchange(), client, args);
    // Also what is watched is forgotten, and also before `MULTI`.
    client.end_transaction();
    let text = error.text();
    CommandError::Echo([DISCARDED.as_bytes(), b": ", text.strip_prefix(b"ERR ").unwrap_or(&text)].concat())
}
