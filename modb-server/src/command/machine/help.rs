//! What commands with subcommands have in common: they are never called without one, and each has a `HELP`.

use modb_net::resp::Args;

use super::spec::Spec;
use crate::command::language::parse::lossy;
use crate::command::{CommandError, Ctx, Reply};

/// The function of a command that only has subcommands: its arity does not allow it to be called without one.
pub(crate) fn unreachable_parent(_: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    Err(format!("ERR wrong number of arguments for '{}' command", lossy(&args[0])).into())
}

/// The reply of a `HELP` subcommand, from the table.
pub(crate) fn help_for(spec: &Spec) -> Reply {
    let name = spec.name.to_ascii_uppercase();
    let mut lines = vec![format!("{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")];
    for sub in spec.subcommands {
        lines.push(format!("{} {}", sub.name.to_ascii_uppercase(), sub.syntax).trim_end().to_owned());
        lines.push(format!("    {}", sub.summary));
    }
    Reply::Array(lines.into_iter().map(Reply::string).collect())
}

/// The reply of the `HELP` subcommand of a command.
pub(crate) fn help_of(ctx: &Ctx<'_, '_>, name: &[u8]) -> Result<Reply, CommandError> {
    Ok(ctx.instance.table.lookup(name).map_or(Reply::Null, help_for))
}
