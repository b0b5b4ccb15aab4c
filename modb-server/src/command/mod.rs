//! The commands: one table, one file per group, and how one of them is executed.
//!
//! This floor parses arguments and makes replies; it knows no socket. Invariants: a command takes no stripe
//! itself (the rule of docs/ARCHITECTURE.md is applied here, for all); its writes are one batch, applied
//! before its stripes are given back; its reply is encoded only after that.

mod admin;
mod bitfield;
mod bits;
mod calls;
mod care;
mod client;
mod client_commands;
mod clients;
mod config;
mod connection;
mod errands;
mod error;
mod expire;
mod info;
mod instance;
mod introspect;
mod keys;
mod lcs;
mod numbers;
mod parse;
mod reply;
mod server;
mod slowlog;
pub mod spec;
mod strangers;
mod strings;
mod syntax;
mod table;
#[cfg(test)]
pub(crate) mod testing;
mod times;

use modb_net::Seq;
use modb_net::resp::Args;

pub use calls::{Calls, CommandSums, Rate, SAMPLE_INTERVAL, Sums};
pub use care::Tasks;
pub use client::{Client, ReplyMode, Then};
pub use clients::{ClientInfo, Pause, Registry};
pub use config::warn_of_idle;
use errands::Work;
pub use errands::{Errands, Waits};
pub use error::CommandError;
use error::{ECHOED_BYTES, echo, echoed};
pub use instance::{Instance, Network, NoNetwork};
pub use reply::Reply;
pub use slowlog::SlowLog;
pub use spec::{Flags, Spec};
pub use strangers::{Notices, spoken_by_strangers};
pub use table::{COMMANDS, lookup};
pub use times::Times;

use crate::data::{Committed, Data, Need, Tally, Tx, Wake};

/// What a command works with.
pub struct Ctx<'c, 'd> {
    /// The data, as this command sees it.
    pub tx: &'c mut Tx<'d>,
    /// Who asks.
    pub client: &'c mut Client,
    /// What all connections share.
    pub instance: &'c Instance,
    /// The other connections.
    pub network: &'c dyn Network,
    /// What the command leaves to a thread, see [`Ctx::in_thread`].
    work: Option<Work>,
}

impl Ctx<'_, '_> {
    /// Fails unless the option `enable-WHAT-command` allows this client to use `command`.
    fn check_enabled(&self, what: &str, command: &str) -> Result<(), CommandError> {
        let option = format!("enable-{what}-command");
        let enabled = self.instance.settings.get(&option);
        if enabled == "yes" || (enabled == "local" && self.client.info.is_local()) {
            return Ok(());
        }
        Err(format!(
            "ERR {command} command not allowed. If the {option} option is set to \"local\", you can run it from a \
             local connection, otherwise you need to set this option in the configuration file, and then restart \
             the server."
        )
        .into())
    }

    /// For what takes long, as waiting for the disk does: `work` is done by a thread, with the stripes of this command held, and
    /// its reply is the command's. Nothing was written before.
    fn in_thread(
        &mut self,
        work: impl FnOnce() -> Result<Reply, CommandError> + Send + 'static,
    ) -> Result<Reply, CommandError> {
        self.work = Some(Box::new(work));
        Ok(Reply::Nothing)
    }

    /// The database that the client has selected.
    pub fn db(&self) -> u32 {
        self.client.database
    }
}

/// Space that is used again for every command of a worker.
#[derive(Debug, Default)]
pub struct Scratch {
    key: Vec<u8>,
}

/// The outcome of a command.
#[derive(Debug)]
pub struct Outcome {
    /// What to answer.
    pub reply: Result<Reply, CommandError>,
    /// What the reply has to wait for.
    pub committed: Committed,
}

/// A request whose command was found.
#[derive(Clone, Copy, Debug)]
pub struct Resolved {
    /// The command or subcommand.
    pub spec: &'static Spec,
    /// Its number, for [`ClientInfo`].
    number: u32,
}

/// Finds the command of a request, or says why it cannot be executed.
///
/// # Errors
/// The error reply for an unknown command or a wrong number of arguments.
pub fn resolve(args: Args<'_>) -> Result<Resolved, CommandError> {
    let Some(index) = table::index_of(&args[0]) else { return Err(unknown(args)) };
    let spec = COMMANDS[index];
    if spec.subcommands.is_empty() || args.len() < 2 {
        if !spec.takes(args.len()) {
            return Err(wrong_arity(spec.name));
        }
        return Ok(Resolved { spec, number: table::number(index, None) });
    }
    let Some(sub) = spec.subcommands.iter().position(|sub| parse::is(&args[1], sub.name)) else {
        let command = spec.name.to_ascii_uppercase();
        return Err(echo("ERR unknown subcommand '", &args[1], &format!("'. Try {command} HELP.")));
    };
    let subcommand = &spec.subcommands[sub];
    if !subcommand.takes(args.len()) {
        return Err(wrong_arity(&format!("{}|{}", spec.name, subcommand.name)));
    }
    Ok(Resolved { spec: subcommand, number: table::number(index, Some(sub)) })
}

/// What a command is executed with, besides its arguments and the client.
#[derive(Clone, Copy)]
pub struct Env<'e> {
    /// What all clients share.
    pub instance: &'e Instance,
    /// The other connections.
    pub network: &'e dyn Network,
    /// The counts of this worker.
    pub tally: &'e Tally,
    /// The time, in milliseconds since 1970.
    pub now_ms: u64,
    /// Whether there is room for a reply of so many bytes; asked before anything is committed, for large ones.
    pub room: &'e dyn Fn(usize) -> bool,
    /// Makes what wakes whoever executes this, if it has to wait.
    pub wake: &'e dyn Fn() -> Box<dyn Wake>,
}

/// Executes a resolved command: takes the stripes it needs, runs it, commits, gives them back. `None`: it waits for
/// something that others hold or do, as `waits` says; to be called again with the same request once woken.
pub fn execute(
    resolved: Resolved,
    args: Args<'_>,
    client: &mut Client,
    env: Env<'_>,
    scratch: &mut Scratch,
    waits: &mut Waits,
) -> Option<Outcome> {
    let Resolved { spec, number } = resolved;
    let Env { instance, network, tally, now_ms, room, wake } = env;
    let data = &instance.data;
    let mut held = match std::mem::take(waits) {
        Waits::Nothing => {
            tally.commands.bump();
            client.info.touch(number, now_ms);
            data.hold(need(spec, args, data), wake)
        }
        Waits::Stripes(ticket) => data.hold_queued(ticket),
        Waits::Work(done) => {
            let reply = done.take();
            if reply.is_none() {
                *waits = Waits::Work(done);
            }
            return reply.map(|reply| outcome(reply, Committed::default(), tally));
        }
    };
    let (mut reply, mut committed);
    loop {
        let holding = match held {
            Ok(holding) => holding,
            Err(ticket) => {
                *waits = Waits::Stripes(ticket);
                return None;
            }
        };
        // What it waited for is whole; a walk takes long, and needs no more.
        let holding = if spec.walks() { holding.give_back() } else { holding };
        let mut tx = Tx::new(data, &holding, tally, &mut scratch.key, now_ms);
        let mut ctx = Ctx { tx: &mut tx, client, instance, network, work: None };
        reply = (spec.run)(&mut ctx, args);
        if let Some(work) = ctx.work.take() {
            drop(tx);
            *waits = Waits::Work(instance.errands.begin(work, holding.keep(), wake()));
            return None;
        }
        // It has changed nothing, and is run again.
        if let Some(missed) = tx.missed() {
            drop(tx);
            held = data.hold(data.need_more(holding, missed), wake);
            continue;
        }
        committed = Committed { read: tx.read_seq(), written: Seq::ZERO };
        if reply.as_ref().is_ok_and(|reply| reply.is_large() && !room(reply.bytes())) {
            reply = Err(CommandError::NoRoom);
        }
        if reply.is_ok() {
            match tx.commit() {
                Ok(done) => committed = done,
                Err(error) => reply = Err(error.into()),
            }
        }
        break;
    }
    if spec.keys.is_empty() && spec.flags.has(Flags::READONLY) {
        // It has seen a whole database.
        committed.read = data.store().committed();
    }
    Some(outcome(reply, committed, tally))
}

fn outcome(reply: Result<Reply, CommandError>, committed: Committed, tally: &Tally) -> Outcome {
    if reply.as_ref().is_err_and(|error| !matches!(error, CommandError::NoRoom)) {
        tally.errors.bump();
    }
    Outcome { reply, committed }
}

/// The stripes that the rule asks for.
fn need(spec: &Spec, args: Args<'_>, data: &Data) -> Need {
    if spec.flags.has(Flags::ALL_KEYS) {
        return Need::EVERYTHING;
    }
    if let [only] = spec.keys
        && let Some(index) = only.single()
    {
        let one_record = spec.flags.has(Flags::READONLY) && !spec.flags.has(Flags::MANY_RECORDS);
        return if one_record { Need::NOTHING } else { data.need_one(&args[index]) };
    }
    if spec.keys.is_empty() {
        return if spec.walks() { data.need_to_walk() } else { Need::NOTHING };
    }
    let mut places = Vec::new();
    spec.for_each_key(args, |index, _| places.push(index));
    data.need_many(places.into_iter().map(|index| &args[index]))
}

fn wrong_arity(name: &str) -> CommandError {
    format!("ERR wrong number of arguments for '{name}' command").into()
}

fn unknown(args: Args<'_>) -> CommandError {
    let mut text = [b"ERR unknown command '", echoed(&args[0]), b"', with args beginning with: "].concat();
    let mut written = 0;
    for arg in args.iter().skip(1) {
        if written >= ECHOED_BYTES {
            break;
        }
        let arg = echoed(arg);
        let word = [b"'", &arg[..arg.len().min(ECHOED_BYTES - written)], b"' "].concat();
        written += word.len();
        text.extend(word);
    }
    CommandError::Echo(text)
}
