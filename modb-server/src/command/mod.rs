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
mod error;
mod expire;
mod hashes;
mod info;
mod instance;
mod introspect;
mod keys;
mod lcs;
mod lists;
mod numbers;
mod packed;
mod parse;
mod reply;
mod server;
mod sets;
mod slowlog;
mod sorted_sets;
pub mod spec;
mod strangers;
mod strings;
mod syntax;
mod table;
#[cfg(test)]
pub(crate) mod testing;
mod times;
mod walk;

use modb_net::Seq;
use modb_net::resp::Args;

pub use calls::{Calls, CommandSums, Rate, SAMPLE_INTERVAL, Sums};
pub use care::Tasks;
pub use client::{Client, ReplyMode, Then};
pub use clients::{ClientInfo, Pause, Registry};
pub use config::{warn_of_idle, warn_of_open_door};
pub use error::CommandError;
use error::{ECHOED_BYTES, echo, echoed};
pub use instance::{Instance, Network, NoNetwork};
pub use reply::Reply;
pub use slowlog::SlowLog;
pub use spec::{Flags, Spec};
pub use strangers::{Notices, spoken_by_strangers};
pub use table::{COMMANDS, lookup};
pub use times::Times;

use crate::data::{Committed, Data, Held, Tally, Tx};

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

    /// The database that the client has selected.
    pub fn db(&self) -> u32 {
        self.client.database
    }
}

/// Space that is used again for every command of a worker.
#[derive(Debug, Default)]
pub struct Scratch {
    key: Vec<u8>,
    hashes: Vec<u64>,
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
}

/// Executes a resolved command: takes the stripes it needs, runs it, commits, gives them back.
pub fn execute(
    resolved: Resolved,
    args: Args<'_>,
    client: &mut Client,
    env: Env<'_>,
    scratch: &mut Scratch,
) -> Outcome {
    let Resolved { spec, number } = resolved;
    let Env { instance, network, tally, now_ms, room } = env;
    tally.commands.bump();
    client.info.touch(number, now_ms);
    let mut held = hold(spec, args, &instance.data, &mut scratch.hashes);
    let (mut reply, mut committed);
    loop {
        let frees = !spec.flags.has(Flags::DENYOOM);
        let mut tx = Tx::new(&instance.data, &held, tally, &mut scratch.key, now_ms).freeing(frees);
        reply = (spec.run)(&mut Ctx { tx: &mut tx, client, instance, network }, args);
        // It has changed nothing, and is run again.
        if let Some(missed) = tx.missed() {
            held = instance.data.hold_more(held, missed);
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
    drop(held);
    if spec.keys.is_empty() && spec.flags.has(Flags::READONLY) {
        // It has seen a whole database.
        committed.read = instance.data.store().committed();
    }
    if reply.as_ref().is_err_and(|error| !matches!(error, CommandError::NoRoom)) {
        tally.errors.bump();
    }
    Outcome { reply, committed }
}

/// Takes the stripes that the rule asks for.
fn hold<'d>(spec: &Spec, args: Args<'_>, data: &'d Data, hashes: &mut Vec<u64>) -> Held<'d> {
    if spec.flags.has(Flags::ALL_KEYS) {
        return data.hold_all();
    }
    if let [only] = spec.keys
        && let Some(index) = only.single()
    {
        let one_record = spec.flags.has(Flags::READONLY) && !spec.flags.has(Flags::MANY_RECORDS);
        return if one_record { data.hold_none() } else { data.hold_one(&args[index]) };
    }
    if spec.keys.is_empty() {
        if spec.walks() {
            data.wait_for_batches();
        }
        return data.hold_none();
    }
    let mut places = Vec::new();
    spec.for_each_key(args, |index, _| places.push(index));
    data.hold_many(places.into_iter().map(|index| &args[index]), hashes)
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
