//! `SLOWLOG`: what there is to ask of the commands that took long.

use modb_net::resp::Args;

use crate::command::language::error::err;
use crate::command::language::parse::int;
use crate::command::machine::help::{help_for, unreachable_parent};
use crate::command::machine::slowlog::Slow;
use crate::command::machine::spec::{Flags, Spec};
use crate::command::{CommandError, Ctx, Reply};

pub(crate) static COMMANDS: [Spec; 1] = [Spec::new("server", "slowlog", unreachable_parent, -2)
    .docs("", "2.2.12", "Depends on subcommand.", "Commands that took long.")
    .with(&[
        Spec::new("server", "get", get, -2).flags(ADMIN).docs(
            "[count]",
            "2.2.12",
            "O(N) with N entries returned",
            "Returns the entries of the slow log.",
        ),
        Spec::new("server", "len", len, 2).flags(ADMIN).docs(
            "",
            "2.2.12",
            "O(1)",
            "Returns how many entries the slow log has.",
        ),
        Spec::new("server", "reset", reset, 2).flags(ADMIN).flags(&[Flags::OUTSIDE]).docs(
            "",
            "2.2.12",
            "O(N) with N entries",
            "Empties the slow log.",
        ),
        Spec::new("server", "help", help, 2).flags(&[Flags::LOADING, Flags::STALE]).docs(
            "",
            "6.2.0",
            "O(1)",
            "Says what the subcommands do.",
        ),
    ])];

const ADMIN: &[Flags] = &[Flags::ADMIN, Flags::LOADING, Flags::STALE];

fn help(_: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    Ok(help_for(&COMMANDS[0]))
}

fn get(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let count = match args.get(2) {
        None => 10,
        Some(arg) => match int(arg)? {
            -1 => usize::MAX,
            count => match usize::try_from(count) {
                Ok(count) => count,
                Err(_) => return err("ERR count should be greater than or equal to -1"),
            },
        },
    };
    let log = ctx.instance.slowlog.lock();
    let entry = |slow: &Slow| {
        Reply::Array(vec![
            Reply::Int(slow.id),
            Reply::Int((slow.at_ms / 1000) as i64),
            Reply::Int(slow.micros),
            Reply::Array(slow.args.iter().cloned().map(Reply::string).collect()),
            Reply::string(slow.address.clone()),
            Reply::string(slow.name.clone()),
        ])
    };
    Ok(Reply::Array(log.entries.iter().take(count).map(entry).collect()))
}

fn len(ctx: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    Ok(Reply::count(ctx.instance.slowlog.lock().entries.len()))
}

fn reset(ctx: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    ctx.instance.slowlog.lock().entries.clear();
    Ok(Reply::Ok)
}
