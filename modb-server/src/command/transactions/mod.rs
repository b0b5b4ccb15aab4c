//! Transactions: `MULTI`, and what watches keys for one.

mod exec;
use modb_net::resp::Args;

pub(super) use self::exec::{count, has_run, refuse};
use super::language::error::{CommandError, err};
use super::language::reply::Reply;
use super::machine::client::{Client, Then};
use super::machine::context::Ctx;
use super::machine::instance::Instance;
use super::machine::spec::{Access, Flags, Spec, keys};
use super::machine::table::Resolved;
use super::machine::transaction::Watches;

const ANY: &[Flags] =
    &[Flags::NOSCRIPT, Flags::LOADING, Flags::STALE, Flags::FAST, Flags::ALLOW_BUSY, Flags::AT_ONCE];
const EXEC: &[Flags] =
    &[Flags::NOSCRIPT, Flags::LOADING, Flags::STALE, Flags::SKIP_SLOWLOG, Flags::AT_ONCE, Flags::EXECUTES];

#[rustfmt::skip]
pub(super) static COMMANDS: [Spec; 5] = [
    Spec::new("transactions", "multi", multi, 1).flags(ANY)
        .docs("", "1.2.0", "O(1)", "Begins a transaction: commands are queued from now on."),
    Spec::new("transactions", "exec", exec::exec, 1).weighs(exec::weigh).flags(EXEC)
        .docs("", "1.2.0", "Depends on commands in the transaction.", "Executes what was queued, all of it as one.")
        .differs("a command that fails leaves nothing, though it may have written before; the replies are at most 512 MiB; \
            `CLIENT REPLY` and `DEBUG HOLD` are refused inside `MULTI`"),
    Spec::new("transactions", "discard", discard, 1).flags(ANY)
        .docs("", "2.0.0", "O(N) with N queued commands", "Forgets what was queued."),
    Spec::new("transactions", "watch", watch, -2).weighed().flags(ANY).flags(&[Flags::WATCHES]).keys(&[keys(Access::Inspect, 1, 1)])
        .docs("key...", "2.2.0", "O(N) with N keys", "Has EXEC execute nothing if one of the keys is changed before."),
    Spec::new("transactions", "unwatch", unwatch, 1).flags(&[Flags::NOSCRIPT, Flags::LOADING, Flags::STALE, Flags::FAST, Flags::ALLOW_BUSY])
        .docs("", "2.2.0", "O(N) with N watched keys", "Watches no key any more."),
];

/// Queues a request of a client that has said `MULTI`. Or why not.
#[inline(never)]
pub(super) fn queue(
    resolved: Resolved,
    args: Args<'_>,
    client: &mut Client,
    instance: &Instance,
) -> Option<CommandError> {
    if resolved.spec.flags.has(Flags::NO_MULTI) {
        client.spoil();
        return Some(CommandError::Text("ERR Command not allowed inside a transaction".into()));
    }
    let bytes = client.queue(resolved, args, &instance.data);
    if bytes <= instance.settings.query_buffer_bytes() {
        return None;
    }
    client.end_transaction();
    client.then = Then::Close;
    let text = "ERR closed: what was queued since MULTI is larger than client-query-buffer-limit";
    Some(CommandError::Text(text.into()))
}

fn multi(ctx: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    if ctx.client.is_in_multi() {
        return err("ERR MULTI calls can not be nested");
    }
    ctx.client.begin_transaction();
    Ok(Reply::Ok)
}

fn discard(ctx: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    if !ctx.client.is_in_multi() {
        return err("ERR DISCARD without MULTI");
    }
    ctx.client.end_transaction();
    Ok(Reply::Ok)
}

fn watch(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    if ctx.client.is_in_multi() {
        return err("ERR WATCH inside MULTI is not allowed");
    }
    let (db, most) = (ctx.db(), ctx.instance.settings.query_buffer_bytes());
    for key in args.iter().skip(1) {
        let watched = |watches: &Watches| watches.keys.contains_key(&(db, key.into()));
        if ctx.client.watches().is_some_and(watched) {
            continue;
        }
        if ctx.client.transaction_bytes() >= most {
            return err("ERR the keys that are watched take more than client-query-buffer-limit");
        }
        let told = ctx.client.change_rare(|rare| rare.watches.get_or_insert_default().told.clone());
        let watch = ctx.tx.watch(db, key, &told)?;
        let data = ctx.tx.data();
        ctx.client.change_rare(|rare| rare.watches.get_or_insert_default().add(watch, data));
    }
    Ok(Reply::Ok)
}

fn unwatch(ctx: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    // Inside a transaction there is nothing to be done: what was watched until then is not watched after it.
    if !ctx.client.is_executing() {
        ctx.client.change_rare(|rare| rare.watches = None);
    }
    Ok(Reply::Ok)
}

#[cfg(test)]
mod tests;
