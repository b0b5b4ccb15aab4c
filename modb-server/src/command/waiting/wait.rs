//! Waiting for replicas, of which there are none, and for the disk.

use std::sync::Arc;

use modb_net::resp::Args;

use crate::command::language::error::CommandError;
use crate::command::language::parse::{self, int};
use crate::command::language::reply::Reply;
use crate::command::language::until::{Until, timeout_in_ms};
use crate::command::machine::context::{Ctx, in_thread};
use crate::command::machine::spec::{Flags, Spec};

#[rustfmt::skip]
pub(in crate::command) static COMMANDS: [Spec; 2] = [
    Spec::new("generic", "wait", wait, 3).flags(&[Flags::BLOCKING]).acl(&["@connection"])
        .docs("numreplicas timeout", "3.0.0", "O(1)", "Waits until replicas have the writes of this connection.")
        .differs("there are no replicas: 0, after the timeout if any are asked for"),
    Spec::new("generic", "waitaof", waitaof, 4).flags(&[Flags::BLOCKING]).acl(&["@connection"])
        .docs("numlocal numreplicas timeout", "7.2.0", "O(1)", "Waits until the writes of this connection are on the disk, here and on replicas.")
        .differs("there are no replicas; `WAITAOF 1 0` syncs at once whatever `durability` says"),
];

fn wait(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let replicas = int(&args[1])?;
    let timeout_ms = timeout_in_ms(&args[2])?;
    let none = Reply::Int(0);
    if replicas <= 0 || ctx.client.is_executing() {
        return Ok(none);
    }
    Err(waits(timeout_ms, none))
}

fn waitaof(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let local = parse::int_within(&args[1], 0, 1)? == 1;
    let replicas = parse::positive(&args[2], "ERR value is out of range, must be positive")?;
    let timeout_ms = timeout_in_ms(&args[3])?;
    if ctx.client.is_executing() || !local && replicas == 0 {
        return Ok(acknowledged(false));
    }
    if !local {
        return Err(waits(timeout_ms, acknowledged(false)));
    }
    let store = Arc::clone(ctx.tx.data().store());
    in_thread(move || {
        store.sync().map_err(crate::data::DataError::from)?;
        if replicas == 0 { Ok(acknowledged(true)) } else { Err(waits(timeout_ms, acknowledged(true))) }
    })
}

/// How many have synced, here and elsewhere.
fn acknowledged(local: bool) -> Reply {
    Reply::Array(vec![Reply::flag(local), Reply::Int(0)])
}

/// For time only.
fn waits(timeout_ms: Option<u64>, timed_out: Reply) -> CommandError {
    CommandError::Waits(Box::new(Until { what: None, timeout_ms, timed_out }))
}
