//! `MODB`: care of the data folder while it is served. Our own commands; Redis has none like them.
//!
//! A backup and a compaction take long, so a thread does them (`machine/tasks.rs`), and `MODB STATUS` says how the last
//! one went.

use std::sync::Arc;

use modb_net::resp::Args;

use crate::command::machine::help::{help_of, unreachable_parent};
use crate::command::machine::spec::{Flags, Spec};
use crate::command::{CommandError, Ctx, Reply};
use crate::config::Settings;
use crate::store::BackupKind;

const ADMIN: &[Flags] = &[Flags::ADMIN, Flags::NOSCRIPT, Flags::NO_ASYNC_LOADING];

#[rustfmt::skip]
pub(crate) static COMMANDS: [Spec; 1] = [
    Spec::new("server", "modb", unreachable_parent, -2).docs("", "7.2.0", "Depends on subcommand.", "Care of the data folder.")
        .with(&[
            Spec::new("server", "backup", backup, -3).flags(ADMIN).flags(&[Flags::OUTSIDE]).docs("folder [FULL]", "7.2.0", "O(N) with N bytes of data", "Copies the data into a new folder, in the background."),
            Spec::new("server", "compact", compact, 2).flags(ADMIN).flags(&[Flags::OUTSIDE]).docs("", "7.2.0", "O(N) with N bytes of data", "Gives back the space of what was removed, in the background."),
            Spec::new("server", "status", status, 2).flags(ADMIN).docs("", "7.2.0", "O(1)", "Says which folder is served and how the last such task went."),
            Spec::new("server", "help", help, 2).flags(&[Flags::LOADING, Flags::STALE]).docs("", "7.2.0", "O(1)", "Says what the subcommands do."),
        ]),
];

fn help(ctx: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    help_of(ctx, b"modb")
}

fn backup(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    ctx.check_enabled("backup", "MODB BACKUP")?;
    let folder = crate::sys::path_from(&args[2]).ok_or("ERR the folder must be named in UTF-8".to_owned())?;
    if let Err(error) = Settings::default().set_folder(&folder) {
        return Err(format!("ERR {}", error.to_string().replacen("dir: ", "", 1)).into());
    }
    let kind = match args.iter().skip(3).collect::<Vec<_>>()[..] {
        [] => BackupKind::Linked,
        [word] if word.eq_ignore_ascii_case(b"full") => BackupKind::Full,
        _ => return Err(CommandError::Syntax),
    };
    let store = Arc::clone(ctx.tx.data().store());
    ctx.instance.tasks.start(store, move |store| store.backup(&folder, kind)).map(Reply::Int)
}

fn compact(ctx: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    let store = Arc::clone(ctx.tx.data().store());
    ctx.instance.tasks.start(store, |store| store.compact()).map(Reply::Int)
}

fn status(ctx: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    let folder = ctx.instance.settings.folder();
    let folder = folder.canonicalize().or_else(|_| std::path::absolute(&folder)).unwrap_or(folder);
    let last = ctx.instance.tasks.last();
    Ok(Reply::Map(vec![
        (Reply::text("folder"), Reply::copied(folder.as_os_str().as_encoded_bytes())),
        (Reply::text("task"), Reply::Int(last.number)),
        (Reply::text("state"), Reply::text(last.state.name())),
        (Reply::text("error"), Reply::string(last.error)),
    ]))
}

#[cfg(test)]
mod tests {
    use crate::command::testing::Bench;

    #[test]
    fn a_task_that_fails_says_why_and_makes_room_for_the_next() {
        let bench = Bench::new();
        assert!(bench.text("MODB STATUS").contains("state none"));
        for number in 1..=2 {
            assert_eq!(
                bench.text("MODB BACKUP somewhere"),
                format!(":{number}"),
                "memory cannot be backed up"
            );
            while bench.text("MODB STATUS").contains("running") {
                std::thread::yield_now();
            }
            let said = bench.text("MODB STATUS");
            assert!(said.contains("state failed"), "{said}");
        }
    }

    #[test]
    fn backups_can_be_refused_to_clients() {
        let bench = Bench::new();
        bench.instance.settings.set("enable-backup-command", "no").unwrap();
        let refused = bench.text("MODB BACKUP somewhere");
        assert!(refused.starts_with("-ERR MODB BACKUP command not allowed."), "{refused}");
        assert!(bench.text("MODB STATUS").contains("state none"));
    }
}
