//! `EXEC`: what was queued is executed on one view of the data, command by command, as one batch.
//!
//! Invariants: each command sees what those before it have written; one that fails leaves nothing, and the others go on; the
//! clock stands still. It may be run again, if it needs more stripes or there is no room for its reply: then nothing of the run
//! before is seen by anybody.

use modb_net::resp::{Args, Protocol};

use crate::command::language::error::{CommandError, err};
use crate::command::language::parse;
use crate::command::language::reply::{MAX_REPLY_BYTES, Reply};
use crate::command::machine::client::Client;
use crate::command::machine::context::Ctx;
use crate::command::machine::env::Env;
use crate::command::machine::instance::Instance;
use crate::command::machine::monitor;
use crate::command::machine::spec::Flags;
use crate::command::machine::stopwatch::Stopwatch;
use crate::command::machine::table::Resolved;
use crate::command::machine::tracking;
use crate::command::machine::transaction::{Queue, Transaction};
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
    let Some(mut queue) = ctx.client.take_queue() else { return err("ERR EXEC without MULTI") };
    let replies = execute(ctx, &mut queue);
    ctx.client.put_back(queue);
    Ok(Reply::Array(replies?))
}

/// What all commands take together.
pub(super) fn weigh(scale: &mut Scale<'_, '_>, _: Args<'_>) -> Weight {
    let client = scale.client;
    let Some(queue) = client.transaction().and_then(Transaction::queue) else { return Weight::default() };
    if let Some(weight) = queue.weight() {
        return weight;
    }
    scale.weigh_whole(|scale| {
        let mut sum = Weight::default();
        for (resolved, args) in queue.iter() {
            if resolved.spec.name == "select"
                && let Ok(database) = parse::database(&args[1], scale.tx.data().databases())
            {
                scale.database = database;
            }
            sum = sum.and(scale.weigh(resolved.spec, args));
        }
        sum
    })
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

fn execute(ctx: &mut Ctx<'_, '_>, queue: &mut Queue) -> Result<Vec<Reply>, CommandError> {
    ctx.tx.set_freeing(!queue.flags().has(Flags::DENYOOM));
    let mut replies = Vec::with_capacity(queue.len());
    let (requests, mut notes) = queue.run();
    let (mut bytes, mut watch) = (0, Stopwatch::start());
    for (at, (resolved, args)) in requests.enumerate() {
        let spoken = ctx.client.protocol;
        let reply = match notes.done(at) {
            Some(reply) => reply.clone(),
            None => {
                let reply = one(ctx, resolved, args)?;
                if resolved.spec.flags.has(Flags::OUTSIDE) {
                    notes.note_done(at, reply.clone());
                }
                reply
            }
        };
        notes.note_lap(watch.lap_ns());
        bytes += reply.bytes();
        if bytes > MAX_REPLY_BYTES {
            return err("ERR the reply would be too large");
        }
        if ctx.tx.data().exchange().is_attended() {
            tracking::remember(ctx.tx, ctx.client, resolved.spec, args);
            monitor::show(ctx.tx, ctx.client, resolved.spec, args);
        }
        if ctx.client.protocol != spoken {
            // What was answered before a `HELLO`.
            replies.iter_mut().for_each(|reply| keep_spoken(reply, spoken));
        }
        replies.push(reply);
    }
    if queue.has_everything() {
        ctx.tx.has_seen_all();
    }
    Ok(replies)
}

/// It stays in this protocol, whatever is spoken when it is written.
#[cold]
fn keep_spoken(reply: &mut Reply, protocol: Protocol) {
    if !matches!(reply, Reply::Spoken(..)) {
        *reply = Reply::Spoken(protocol, Box::new(std::mem::replace(reply, Reply::Nothing)));
    }
}

/// Executes one of the commands. What fails is the run as a whole.
fn one(ctx: &mut Ctx<'_, '_>, resolved: Resolved, args: Args<'_>) -> Result<Reply, CommandError> {
    ctx.tx.save();
    let reply = (resolved.spec.run)(ctx, args);
    if ctx.tx.missed().is_some() {
        return Err(DataError::Missed.into());
    }
    match reply {
        Ok(reply) => {
            if !resolved.spec.flags.has(Flags::WRITE) {
                ctx.tx.holds_only(reply.bytes());
            }
            Ok(reply)
        }
        Err(CommandError::NoRoom) => Err(CommandError::NoRoom),
        Err(error) => {
            ctx.tx.roll_back();
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

/// Counts the commands of a transaction that was executed, and notes those that were slow.
pub(in crate::command) fn count(client: &Client, reply: &Reply, env: &Env<'_>) {
    let Reply::Array(replies) = reply else { return };
    env.tally.errors.add(replies.iter().filter(|reply| reply.error().is_some()).count() as u64);
    let queue = client.transaction().and_then(Transaction::queue);
    let (Some(queue), Some(calls)) = (queue, env.host.calls()) else { return };
    for (((resolved, args), took_ns), reply) in queue.iter().zip(queue.laps_ns()).zip(replies) {
        let error = reply.error();
        calls.add(resolved, *took_ns, error.is_some());
        error.into_iter().for_each(|text| calls.add_error(text));
        env.instance.note_if_slow(resolved, args, *took_ns, &client.info, env.now_ms);
    }
}

/// What a request is answered with that is refused before it is executed or queued; nothing of a transaction is executed then.
pub(in crate::command) fn refuse(
    args: Args<'_>,
    client: &mut Client,
    instance: &Instance,
    error: CommandError,
) -> CommandError {
    if !args[0].eq_ignore_ascii_case(b"exec") {
        client.spoil();
        tracking::is_over(client, args);
        return error;
    }
    // The transaction is over, of which the beginning was shown.
    monitor::show_refused(instance.data.exchange(), client, args);
    // Also what is watched is forgotten, and also before `MULTI`.
    client.end_transaction();
    tracking::is_over(client, args);
    let text = error.text();
    CommandError::Echo([DISCARDED.as_bytes(), b": ", text.strip_prefix(b"ERR ").unwrap_or(&text)].concat())
}
