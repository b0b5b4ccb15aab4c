//! `CLIENT` and its subcommands.

use std::sync::Arc;

use modb_net::resp::Args;

use super::tracking_commands::{caching, getredir, tracking, trackinginfo};
use crate::command::language::error::{echo, err};
use crate::command::language::parse::{Options, int, int_or, is, lossy};
use crate::command::machine::help::help_of;
use crate::command::machine::spec::{Flags, Spec};
use crate::command::machine::weight::{FIND_NS, Weigh, Weight};
use crate::command::{ClientInfo, CommandError, Ctx, Pause, Reply, ReplyMode, Then};

const ANY: &[Flags] = &[Flags::NOSCRIPT, Flags::LOADING, Flags::STALE];
const ADMIN: &[Flags] = &[Flags::ADMIN, Flags::NOSCRIPT, Flags::LOADING, Flags::STALE];

/// Every connection is looked at.
const EVERYBODY: Weigh = |scale, _| Weight::each(scale.instance.clients.len() as u64, 4 * FIND_NS);

#[rustfmt::skip]
pub(crate) static SUBCOMMANDS: [Spec; 18] = [
    Spec::new("connection", "id", id, 2).flags(ANY).docs("", "5.0.0", "O(1)", "Returns the number of this connection."),
    Spec::new("connection", "setname", setname, 3).flags(ANY).docs("connection-name", "2.6.9", "O(1)", "Names this connection."),
    Spec::new("connection", "getname", getname, 2).flags(ANY).docs("", "2.6.9", "O(1)", "Returns the name of this connection."),
    Spec::new("connection", "setinfo", setinfo, 4).flags(ANY)
        .docs("<LIB-NAME libname|LIB-VER libver>", "7.2.0", "O(1)", "Says which library the client uses."),
    Spec::new("connection", "info", info, 2).flags(ANY).docs("", "6.2.0", "O(1)", "Describes this connection.")
        .differs("as `CLIENT LIST`"),
    Spec::new("connection", "list", list, -2).weighs(EVERYBODY).flags(ADMIN)
        .docs("[TYPE normal|master|replica|pubsub] [ID client-id...]", "2.4.0", "O(N) with N connections", "Describes connections.")
        .differs("`tot-mem` is what is counted for the connection (`maxmemory-clients`), at the end of its last turn: of one that holds nothing it is 0, and so are `argv-mem`, `rbs`, `rbp` and `oll` of all"),
    Spec::new("connection", "kill", kill, -3).flags(ADMIN).flags(&[Flags::OUTSIDE])
        .docs("<ip:port|([ID client-id]|[TYPE normal|master|replica|pubsub]|[USER username]|[ADDR ip:port]|[LADDR ip:port]|[SKIPME yes-no])...>",
            "2.4.0", "O(N) with N connections", "Closes connections."),
    Spec::new("connection", "pause", pause, -3).flags(ADMIN).flags(&[Flags::OUTSIDE])
        .docs("timeout [WRITE|ALL]", "3.0.0", "O(1)", "Lets commands wait for so many milliseconds."),
    Spec::new("connection", "unpause", unpause, 2).flags(ADMIN).flags(&[Flags::OUTSIDE]).docs("", "6.2.0", "O(N) with N waiting connections", "Ends the pause."),
    Spec::new("connection", "reply", reply, 3).flags(ANY).flags(&[Flags::NO_MULTI]).docs("<ON|OFF|SKIP>", "3.2.0", "O(1)", "Chooses which replies this connection gets."),
    Spec::new("connection", "unblock", unblock, -3).flags(ADMIN)
        .docs("client-id [TIMEOUT|ERROR]", "5.0.0", "O(1)", "Ends the waiting of a connection that waits."),
    Spec::new("connection", "no-evict", no_evict, 3).flags(ADMIN).docs("<ON|OFF>", "7.0.0", "O(1)", "Spares this connection when memory runs out.")
        .differs("it is spared where others wait for the memory that it holds; Redis closes connections for what they hold together"),
    Spec::new("connection", "no-touch", no_touch, 3).flags(ANY).docs("<ON|OFF>", "7.2.0", "O(1)", "Lets reads not count as uses.")
        .differs("noted and shown; uses are not recorded"),
    Spec::new("connection", "getredir", getredir, 2).flags(ANY).docs("", "6.0.0", "O(1)", "Returns where invalidations of tracked keys go."),
    Spec::new("connection", "trackinginfo", trackinginfo, 2).flags(ANY).docs("", "6.2.0", "O(1)", "Describes the tracking of keys."),
    Spec::new("connection", "tracking", tracking, -3).flags(ANY).flags(&[Flags::OUTSIDE])
        .docs("<ON|OFF> [REDIRECT client-id] [PREFIX prefix]... [BCAST] [OPTIN] [OPTOUT] [NOLOOP]", "6.0.0", "O(1)", "Has this connection told when keys change that it has read.")
        .differs("`SWAPDB` tells what `FLUSHALL` does; `OFF` forgets what was read before; with `BCAST` each command is told by itself, and `client-output-buffer-limit pubsub` \
            bounds what waits to be told; of a key that a \
            transaction reads and writes its client is told; inside `MULTI` `REDIRECT` takes only a client that is told of keys already"),
    Spec::new("connection", "caching", caching, 3).flags(ANY).flags(&[Flags::OUTSIDE])
        .docs("<YES|NO>", "6.0.0", "O(1)", "Has the next command tracked, or not."),
    Spec::new("connection", "help", help, 2).flags(&[Flags::LOADING, Flags::STALE]).docs("", "5.0.0", "O(1)", "Says what the subcommands do."),
];

fn help(ctx: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    help_of(ctx, b"client")
}

fn id(ctx: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    Ok(Reply::Int(ctx.client.info.id as i64))
}

/// A name must not break the lines of `CLIENT LIST`.
pub(crate) fn check_name(name: &[u8]) -> Result<(), CommandError> {
    if name.iter().all(u8::is_ascii_graphic) {
        Ok(())
    } else {
        err("ERR Client names cannot contain spaces, newlines or special characters.")
    }
}

fn setname(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    check_name(&args[2])?;
    ctx.client.info.set_name(&args[2]);
    Ok(Reply::Ok)
}

fn getname(ctx: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    let name = ctx.client.info.name();
    Ok(if name.is_empty() { Reply::Null } else { Reply::string(name) })
}

fn setinfo(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let (option, value) = (&args[2], &args[3]);
    let (name, version) = match () {
        () if is(option, "lib-name") => (Some(value), None),
        () if is(option, "lib-ver") => (None, Some(value)),
        () => return Err(format!("ERR Unrecognized option '{}'", lossy(option)).into()),
    };
    if !value.iter().all(u8::is_ascii_graphic) {
        let option = lossy(option).to_ascii_lowercase();
        return Err(format!("ERR {option} cannot contain spaces, newlines or special characters.").into());
    }
    ctx.client.info.set_library(name, version);
    Ok(Reply::Ok)
}

fn info(ctx: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    Ok(Reply::Verbatim(ctx.client.info.line(ctx.instance.table, ctx.tx.now_ms(), false) + "\n"))
}

/// Which clients are of a kind. There are two here: those that listen, and the others.
fn are(kind: &[u8]) -> Result<fn(&ClientInfo) -> bool, CommandError> {
    match () {
        () if is(kind, "normal") => Ok(|client| !client.listens()),
        () if is(kind, "pubsub") => Ok(ClientInfo::listens),
        () if ["master", "replica", "slave"].iter().any(|other| is(kind, other)) => Ok(|_| false),
        () => Err(format!("ERR Unknown client type '{}'", lossy(kind)).into()),
    }
}

fn list(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let mut wanted = ctx.instance.clients.list();
    match args.get(2) {
        None => {}
        Some(word) if is(word, "type") && args.len() == 4 => {
            let of_kind = are(&args[3])?;
            wanted.retain(|client| of_kind(client));
        }
        Some(word) if is(word, "id") && args.len() > 3 => {
            let mut ids = Vec::new();
            for arg in args.iter().skip(3) {
                ids.push(client_id(arg)?);
            }
            wanted.retain(|client| ids.contains(&client.id));
        }
        Some(_) => return Err(CommandError::Syntax),
    }
    let now_ms = ctx.tx.now_ms();
    let line = |client: &Arc<ClientInfo>| {
        client.line(ctx.instance.table, now_ms, ctx.instance.waiting.has(client.id)) + "\n"
    };
    Ok(Reply::Verbatim(wanted.iter().map(line).collect()))
}

fn client_id(arg: &[u8]) -> Result<u64, CommandError> {
    let id = int_or(arg, "ERR Invalid client ID")?;
    u64::try_from(id).or_else(|_| err("ERR Invalid client ID"))
}

/// Whether a client is meant by one of the filters of `CLIENT KILL`.
type Test = Box<dyn Fn(&ClientInfo) -> bool>;

fn kill(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let clients = ctx.instance.clients.list();
    if args.len() == 3 {
        let address = lossy(&args[2]);
        let Some(client) = clients.iter().find(|client| client.address() == address) else {
            return err("ERR No such client");
        };
        if !close(ctx, client) {
            return err("ERR The client cannot be closed now, its worker is too busy");
        }
        return Ok(Reply::Ok);
    }
    let mut skip_me = true;
    let mut tests: Vec<Test> = Vec::new();
    let mut options = Options::from(args, 2);
    while let Some(word) = options.next() {
        let value = options.value()?;
        if is(word, "id") {
            let id = int_or(value, "ERR client-id should be greater than 0")?;
            let Some(id) = u64::try_from(id).ok().filter(|id| *id > 0) else {
                return err("ERR client-id should be greater than 0");
            };
            tests.push(Box::new(move |client| client.id == id));
        } else if is(word, "addr") {
            let address = lossy(value);
            tests.push(Box::new(move |client| client.address() == address));
        } else if is(word, "laddr") {
            let address = lossy(value);
            tests.push(Box::new(move |client| client.local_address() == address));
        } else if is(word, "type") {
            let of_kind = are(value)?;
            tests.push(Box::new(of_kind));
        } else if is(word, "user") {
            if value != b"default" {
                return Err(format!("ERR No such user '{}'", lossy(value)).into());
            }
        } else if is(word, "skipme") {
            skip_me = match () {
                () if is(value, "yes") => true,
                () if is(value, "no") => false,
                () => return Err(CommandError::Syntax),
            };
        } else {
            return Err(CommandError::Syntax);
        }
    }
    let me = ctx.client.info.id;
    let mut closed = 0;
    for client in clients {
        if (client.id != me || !skip_me) && tests.iter().all(|test| test(&client)) {
            closed += i64::from(close(ctx, &client));
        }
    }
    Ok(Reply::Int(closed))
}

/// Closes a client's connection; `false` if its worker could not be told.
fn close(ctx: &mut Ctx<'_, '_>, client: &ClientInfo) -> bool {
    if client.id == ctx.client.info.id {
        ctx.client.then = Then::Close;
        return true;
    }
    let told = ctx.network.kill(client);
    if told {
        // Its worker closes the connection in its next turn. From now on there is no such client, and nothing that it sends is
        // executed.
        client.set_killed();
        client.end();
        ctx.instance.clients.remove(client.id);
    }
    told
}

fn pause(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let what = match args.get(3) {
        None => Pause::All,
        Some(word) if args.len() == 4 && is(word, "all") => Pause::All,
        Some(word) if args.len() == 4 && is(word, "write") => Pause::Writes,
        Some(_) => return err("ERR CLIENT PAUSE mode must be WRITE or ALL"),
    };
    let text = "ERR timeout is not an integer or out of range";
    let Ok(timeout_ms) = u64::try_from(int_or(&args[2], text)?) else {
        return err("ERR timeout is negative");
    };
    ctx.instance.clients.pause(ctx.tx.now_ms().saturating_add(timeout_ms), what);
    Ok(Reply::Ok)
}

fn unpause(ctx: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    ctx.instance.clients.pause(0, Pause::All);
    ctx.network.resume();
    Ok(Reply::Ok)
}

fn reply(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    ctx.client.reply_mode = match () {
        () if is(&args[2], "on") => ReplyMode::On,
        () if is(&args[2], "off") => ReplyMode::Off,
        () if is(&args[2], "skip") => ReplyMode::SkipNext,
        () => return Err(CommandError::Syntax),
    };
    Ok(Reply::Ok)
}

fn unblock(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    if args.len() > 4 {
        let before = "ERR unknown subcommand or wrong number of arguments for '";
        return Err(echo(before, &args[1], "'. Try CLIENT HELP."));
    }
    if let Some(word) = args.get(3)
        && !(is(word, "timeout") || is(word, "error"))
    {
        return err("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
    }
    let Ok(id) = u64::try_from(int(&args[2])?) else { return Ok(Reply::Int(0)) };
    let error = args.get(3).is_some_and(|word| is(word, "error"));
    Ok(Reply::flag(ctx.instance.waiting.unblock(id, error)))
}

fn on_off(arg: &[u8]) -> Result<bool, CommandError> {
    match () {
        () if is(arg, "on") => Ok(true),
        () if is(arg, "off") => Ok(false),
        () => Err(CommandError::Syntax),
    }
}

fn no_evict(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    ctx.client.info.set_no_evict(on_off(&args[2])?);
    Ok(Reply::Ok)
}

fn no_touch(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    ctx.client.info.set_no_touch(on_off(&args[2])?);
    Ok(Reply::Ok)
}

#[cfg(test)]
mod tests {
    use crate::command::testing::run;

    run! {
        names_are_kept_and_checked {
            "CLIENT GETNAME" => "nil", "CLIENT SETNAME me" => "+OK", "CLIENT GETNAME" => "me", "CLIENT SETNAME \"\"" => "+OK", "CLIENT GETNAME" => "nil",
            "CLIENT SETNAME \"a b\"" => "-ERR Client names cannot contain spaces, newlines or special characters.",
            "CLIENT SETINFO LIB-NAME x" => "+OK", "CLIENT SETINFO LIB-VER 1" => "+OK", "CLIENT SETINFO FOO 1" => "-ERR Unrecognized option 'FOO'",
            "CLIENT SETINFO lib-name \"a b\"" => "-ERR lib-name cannot contain spaces, newlines or special characters."
        }
        what_nobody_waits_for {
            "CLIENT UNBLOCK 1" => ":0", "CLIENT KILL 1.2.3.4:5" => "-ERR No such client", "CLIENT KILL ID 77" => ":0", "CLIENT KILL ID 0" => "-ERR client-id should be greater than 0",
            "CLIENT PAUSE -1" => "-ERR timeout is negative", "CLIENT PAUSE x" => "-ERR timeout is not an integer or out of range", "CLIENT UNPAUSE" => "+OK",
            "CLIENT NO-EVICT ON" => "+OK", "CLIENT NO-TOUCH x" => "-ERR syntax error", "CLIENT GETREDIR" => ":-1"
        }
    }
}
