//! Publishing, subscribing and monitoring. What is published leaves with the commit of its command ([`Tx::announce`](crate::data::Tx::announce)); who
//! listens is known to the worker of the connection ([`Network::listen`](crate::command::Network::listen)).
//!
//! Invariant: confirmations are the reply of their command, so they stand where the client expects them, and before all
//! messages that they are about.

use modb_net::resp::Args;

use super::language::error::err;
use super::language::parse::is;
use super::machine::help::{help_of, unreachable_parent};
use super::machine::spec::{Access, Flags, Spec, key, keys};
use super::{CommandError, Ctx, Listening, Reply, Then};
use crate::messages::{Frame, Scope};

const LISTEN: &[Flags] = &[Flags::PUBSUB, Flags::NOSCRIPT, Flags::LOADING, Flags::STALE, Flags::OUTSIDE];
const PUBLISH: &[Flags] = &[Flags::PUBSUB, Flags::LOADING, Flags::STALE, Flags::FAST, Flags::MAY_REPLICATE];
const MONITOR: &[Flags] = &[Flags::ADMIN, Flags::NOSCRIPT, Flags::LOADING, Flags::STALE, Flags::OUTSIDE];
const LOOK: &[Flags] = &[Flags::PUBSUB, Flags::LOADING, Flags::STALE];

#[rustfmt::skip]
pub(super) static COMMANDS: [Spec; 10] = [
    Spec::new("pubsub", "subscribe", subscribe, -2).flags(LISTEN)
        .docs("channel [channel ...]", "2.0.0", "O(N) with N channels", "Listens to channels."),
    Spec::new("pubsub", "unsubscribe", unsubscribe, -1).flags(LISTEN)
        .docs("[channel [channel ...]]", "2.0.0", "O(N) with N channels", "Stops listening to channels, or to all."),
    Spec::new("pubsub", "psubscribe", psubscribe, -2).flags(LISTEN)
        .docs("pattern [pattern ...]", "2.0.0", "O(N) with N patterns", "Listens to all channels that match patterns."),
    Spec::new("pubsub", "punsubscribe", punsubscribe, -1).flags(LISTEN)
        .docs("[pattern [pattern ...]]", "2.0.0", "O(N) with N patterns", "Stops listening to patterns, or to all."),
    Spec::new("pubsub", "ssubscribe", ssubscribe, -2).flags(LISTEN).channels(&[keys(Access::NotKey, 1, 1)])
        .docs("shardchannel [shardchannel ...]", "7.0.0", "O(N) with N shard channels", "Listens to shard channels."),
    Spec::new("pubsub", "sunsubscribe", sunsubscribe, -1).flags(LISTEN).channels(&[keys(Access::NotKey, 1, 1)])
        .docs("[shardchannel [shardchannel ...]]", "7.0.0", "O(N) with N shard channels", "Stops listening to shard channels, or to all."),
    Spec::new("pubsub", "publish", publish, 3).flags(PUBLISH)
        .docs("channel message", "2.0.0", "O(N+M) with N workers that listen and M patterns", "Sends a message to all who listen to a channel."),
    Spec::new("pubsub", "spublish", spublish, 3).flags(PUBLISH).channels(&[key(Access::NotKey, 1)])
        .docs("shardchannel message", "7.0.0", "O(N) with N workers that listen", "Sends a message to all who listen to a shard channel."),
    Spec::new("pubsub", "pubsub", unreachable_parent, -2)
        .docs("", "2.8.0", "Depends on subcommand.", "Tells who listens to what.")
        .with(&SUBCOMMANDS),
    Spec::new("server", "monitor", monitor, 1).flags(MONITOR)
        .docs("", "1.0.0", "O(1)", "Shows all commands that are executed.")
        .differs("`client-output-buffer-limit pubsub` bounds what waits for it; passwords are hidden in wrong requests, too"),
];

#[rustfmt::skip]
static SUBCOMMANDS: [Spec; 6] = [
    Spec::new("pubsub", "channels", channels, -2).flags(LOOK)
        .docs("[pattern]", "2.8.0", "O(N) with N channels", "Returns the channels that somebody listens to."),
    Spec::new("pubsub", "numpat", numpat, 2).flags(LOOK)
        .docs("", "2.8.0", "O(1)", "Returns how many patterns somebody listens to."),
    Spec::new("pubsub", "numsub", numsub, -2).flags(LOOK)
        .docs("[channel [channel ...]]", "2.8.0", "O(N) with N channels", "Returns how many listen to each channel."),
    Spec::new("pubsub", "shardchannels", shardchannels, -2).flags(LOOK)
        .docs("[pattern]", "7.0.0", "O(N) with N shard channels", "Returns the shard channels that somebody listens to."),
    Spec::new("pubsub", "shardnumsub", shardnumsub, -2).flags(LOOK)
        .docs("[shardchannel [shardchannel ...]]", "7.0.0", "O(N) with N shard channels", "Returns how many listen to each shard channel."),
    Spec::new("pubsub", "help", help, 2).flags(&[Flags::LOADING, Flags::STALE])
        .docs("", "6.2.0", "O(1)", "Says what the subcommands do."),
];

fn help(ctx: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    help_of(ctx, b"pubsub")
}

fn publish(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    publish_to(Scope::Channel, ctx, args)
}

fn spublish(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    publish_to(Scope::Shard, ctx, args)
}

fn publish_to(scope: Scope, ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let listeners = ctx.tx.data().exchange().listeners(scope, &args[1]);
    // In a transaction somebody may come to listen before it is done, and see what was before it.
    if listeners > 0 || ctx.client.is_executing() {
        ctx.tx.announce(Frame::new(scope, &args[1], &args[2]));
    }
    Ok(Reply::count(listeners))
}

fn monitor(ctx: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    if ctx.client.is_executing() {
        return err("ERR MONITOR isn't allowed for DENY BLOCKING client");
    }
    if !ctx.network.can_listen() {
        return err("ERR a program that embeds the database cannot monitor");
    }
    if ctx.client.listening().is_some_and(Listening::monitors) {
        // As in Redis.
        return Ok(Reply::Nothing);
    }
    let name = ctx.network.listen(Scope::Commands, b"");
    ctx.client.change_listening(|listening| listening.add(Scope::Commands, name));
    ctx.client.then = Then::NextTurn;
    Ok(Reply::Ok)
}

fn subscribe(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    listen(Scope::Channel, "subscribe", ctx, args)
}

fn psubscribe(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    listen(Scope::Pattern, "psubscribe", ctx, args)
}

fn ssubscribe(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    listen(Scope::Shard, "ssubscribe", ctx, args)
}

fn listen(
    scope: Scope,
    kind: &'static str,
    ctx: &mut Ctx<'_, '_>,
    args: Args<'_>,
) -> Result<Reply, CommandError> {
    if !ctx.network.can_listen() {
        return err("ERR a program that embeds the database listens with Database::subscribe");
    }
    let mut replies = Vec::new();
    for name in args.iter().skip(1) {
        if !ctx.client.listening().is_some_and(|listening| listening.has(scope, name)) {
            let name = ctx.network.listen(scope, name);
            ctx.client.change_listening(|listening| listening.add(scope, name));
        }
        replies.push(confirmation(kind, ctx, scope, Reply::copied(name)));
    }
    Ok(Reply::Several(replies))
}

fn unsubscribe(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    leave(Scope::Channel, "unsubscribe", ctx, args)
}

fn punsubscribe(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    leave(Scope::Pattern, "punsubscribe", ctx, args)
}

fn sunsubscribe(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    leave(Scope::Shard, "sunsubscribe", ctx, args)
}

fn leave(
    scope: Scope,
    kind: &'static str,
    ctx: &mut Ctx<'_, '_>,
    args: Args<'_>,
) -> Result<Reply, CommandError> {
    let mut replies = Vec::new();
    if args.len() > 1 {
        for name in args.iter().skip(1) {
            if ctx.client.change_listening(|listening| listening.remove(scope, name)) {
                ctx.network.leave(scope, name);
            }
            replies.push(confirmation(kind, ctx, scope, Reply::copied(name)));
        }
        return Ok(Reply::Several(replies));
    }
    while let Some(name) = ctx.client.change_listening(|listening| listening.pop(scope)) {
        ctx.network.leave(scope, &name);
        replies.push(confirmation(kind, ctx, scope, Reply::Bulk(name)));
    }
    if replies.is_empty() {
        replies.push(confirmation(kind, ctx, scope, Reply::Null));
    }
    Ok(Reply::Several(replies))
}

/// Says what was done with a name, and to how many names the client listens now.
fn confirmation(kind: &'static str, ctx: &Ctx<'_, '_>, scope: Scope, name: Reply) -> Reply {
    let count = ctx.client.listening().map_or(0, |listening| match scope {
        Scope::Channel | Scope::Pattern => listening.count(Scope::Channel) + listening.count(Scope::Pattern),
        scope => listening.count(scope),
    });
    Reply::Push(vec![Reply::text(kind), name, Reply::count(count)])
}

/// `RESET`: listens to nothing any more, without a word.
pub(super) fn leave_all(ctx: &mut Ctx<'_, '_>) {
    for scope in Scope::ALL {
        while let Some(name) = ctx.client.change_listening(|listening| listening.pop(scope)) {
            ctx.network.leave(scope, &name);
        }
    }
}

/// Whether a command may be given by a client of RESP2 that listens: the reply of any other could not be told from a message.
pub fn may_be_given_while_listening(spec: &Spec) -> bool {
    const NAMES: [&str; 9] = [
        "ping",
        "subscribe",
        "unsubscribe",
        "psubscribe",
        "punsubscribe",
        "ssubscribe",
        "sunsubscribe",
        "quit",
        "reset",
    ];
    NAMES.iter().any(|name| is(spec.name.as_bytes(), name))
}

fn channels(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    names(Scope::Channel, ctx, args)
}

fn shardchannels(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    names(Scope::Shard, ctx, args)
}

fn names(scope: Scope, ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    if args.len() > 3 {
        let sub = args[1].escape_ascii();
        return Err(format!(
            "ERR unknown subcommand or wrong number of arguments for '{sub}'. Try PUBSUB HELP."
        )
        .into());
    }
    let names = ctx.tx.data().exchange().names(scope, args.get(2));
    Ok(Reply::Array(names.into_iter().map(Reply::Bulk).collect()))
}

fn numpat(ctx: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    Ok(Reply::count(ctx.tx.data().exchange().count(Scope::Pattern)))
}

fn numsub(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    Ok(counts(Scope::Channel, ctx, args))
}

fn shardnumsub(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    Ok(counts(Scope::Shard, ctx, args))
}

fn counts(scope: Scope, ctx: &Ctx<'_, '_>, args: Args<'_>) -> Reply {
    let exchange = ctx.tx.data().exchange();
    let names = args.iter().skip(2);
    Reply::Array(
        names.flat_map(|name| [Reply::copied(name), Reply::count(exchange.listen_to(scope, name))]).collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::super::testing::run;

    run! {
        without_anybody_who_listens {
            "PUBLISH a b" => ":0", "SPUBLISH a b" => ":0", "PUBLISH a" => "-ERR wrong number of arguments for 'publish' command",
            "PUBSUB CHANNELS" => "[]", "PUBSUB CHANNELS a*" => "[]", "PUBSUB NUMPAT" => ":0", "PUBSUB NUMSUB" => "[]", "PUBSUB NUMSUB a b" => "[a :0 b :0]",
            "PUBSUB SHARDCHANNELS" => "[]", "PUBSUB SHARDNUMSUB a" => "[a :0]", "PUBSUB" => "-ERR wrong number of arguments for 'pubsub' command",
            "PUBSUB NUMPAT a" => "-ERR wrong number of arguments for 'pubsub|numpat' command",
            "PUBSUB CHANNELS a b" => "-ERR unknown subcommand or wrong number of arguments for 'CHANNELS'. Try PUBSUB HELP.",
            "UNSUBSCRIBE" => "[unsubscribe nil :0]", "PUNSUBSCRIBE a" => "[punsubscribe a :0]", "SUNSUBSCRIBE" => "[sunsubscribe nil :0]",
            "SUBSCRIBE a" => "-ERR a program that embeds the database listens with Database::subscribe"
        }
    }
}
