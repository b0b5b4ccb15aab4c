//! `SLOWLOG`: the last commands that took long.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use modb_net::resp::Args;

use super::error::err;
use super::introspect::{help_for, unreachable_parent};
use super::parse::int;
use super::spec::{Flags, Spec};
use super::{ClientInfo, CommandError, Ctx, Reply};

/// Arguments kept of one command, and bytes kept of one argument, as in Redis.
const KEPT_ARGS: usize = 32;
const KEPT_BYTES: usize = 128;

/// One slow command.
#[derive(Clone, Debug)]
struct Slow {
    id: i64,
    at_ms: u64,
    micros: i64,
    args: Vec<String>,
    address: String,
    name: String,
}

/// The last slow commands, newest first.
#[derive(Debug, Default)]
pub struct SlowLog(Mutex<Log>);

#[derive(Debug, Default)]
struct Log {
    entries: VecDeque<Slow>,
    next_id: i64,
}

impl SlowLog {
    /// Notes a command, and forgets those beyond the `keep` last ones.
    pub fn add(&self, args: Args<'_>, micros: i64, client: &ClientInfo, at_ms: u64, keep: usize) {
        let kept = if args.len() > KEPT_ARGS { KEPT_ARGS - 1 } else { args.len() };
        let mut words: Vec<String> = args.iter().take(kept).map(shortened).collect();
        if kept < args.len() {
            words.push(format!("... ({} more arguments)", args.len() - kept));
        }
        let mut log = self.lock();
        let id = log.next_id;
        log.next_id += 1;
        log.entries.push_front(Slow {
            id,
            at_ms,
            micros,
            args: words,
            address: client.address(),
            name: client.name(),
        });
        log.entries.truncate(keep);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn shortened(arg: &[u8]) -> String {
    let text = super::parse::lossy(&arg[..arg.len().min(KEPT_BYTES)]);
    if arg.len() > KEPT_BYTES { format!("{text}... ({} more bytes)", arg.len() - KEPT_BYTES) } else { text }
}

pub(super) static COMMANDS: [Spec; 1] = [Spec::new("server", "slowlog", unreachable_parent, -2)
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
        Spec::new("server", "reset", reset, 2).flags(ADMIN).docs(
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
