//! `MODB`: care of the data folder while it is served. Our own commands; Redis has none like them.
//!
//! A backup and a compaction take long, so they run in a thread of their own, one at a time, and `MODB STATUS` says
//! how the last one went. The thread keeps the store, and thereby the folder, until it is done; when the process ends
//! first, a half backup has no format record and is refused by whoever opens it.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use modb_net::resp::Args;

use super::introspect::{help_for, unreachable_parent};
use super::spec::{Flags, Spec};
use super::{CommandError, Ctx, Reply, lookup};
use crate::config::Settings;
use crate::store::{BackupKind, Store, StoreError};

const ADMIN: &[Flags] = &[Flags::ADMIN, Flags::NOSCRIPT, Flags::NO_ASYNC_LOADING];

#[rustfmt::skip]
pub(super) static COMMANDS: [Spec; 1] = [
    Spec::new("server", "modb", unreachable_parent, -2).docs("", "7.2.0", "Depends on subcommand.", "Care of the data folder.")
        .with(&[
            Spec::new("server", "backup", backup, -3).flags(ADMIN).docs("folder [FULL]", "7.2.0", "O(N) with N bytes of data", "Copies the data into a new folder, in the background."),
            Spec::new("server", "compact", compact, 2).flags(ADMIN).docs("", "7.2.0", "O(N) with N bytes of data", "Gives back the space of what was removed, in the background."),
            Spec::new("server", "status", status, 2).flags(ADMIN).docs("", "7.2.0", "O(1)", "Says which folder is served and how the last such task went."),
            Spec::new("server", "help", help, 2).flags(&[Flags::LOADING, Flags::STALE]).docs("", "7.2.0", "O(1)", "Says what the subcommands do."),
        ]),
];

/// The long tasks of one database: one at a time.
#[derive(Default)]
pub struct Tasks {
    last: Arc<Mutex<Last>>,
    /// Runs the last one.
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// The last task, or the one that runs.
#[derive(Clone, Default)]
struct Last {
    /// 0: there was none.
    number: i64,
    state: State,
    error: String,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    None,
    Running,
    Done,
    Failed,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

impl Tasks {
    /// Runs `task` in a thread of its own; its number.
    fn start(
        &self,
        store: Arc<dyn Store>,
        task: impl FnOnce(&dyn Store) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<i64, CommandError> {
        let number = {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            if last.state == State::Running {
                return Err(CommandError::Text("ERR a backup or a compaction is in progress".into()));
            }
            *last = Last { number: last.number + 1, state: State::Running, error: String::new() };
            last.number
        };
        let ending = Ending { number, last: Arc::clone(&self.last) };
        let spawned = std::thread::Builder::new().name("modb-care".to_owned()).spawn(move || {
            crate::sys::lower_thread_priority();
            let result = task(&*store);
            // First the store, then the word: who hears that it is over may open the folder.
            drop(store);
            ending.say(result);
        });
        match spawned {
            Ok(thread) => {
                // The one before it has ended.
                *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
                Ok(number)
            }
            Err(error) => Err(format!("ERR no thread for the task: {error}").into()),
        }
    }

    /// Waits until none runs. A panic in one was reported, see [`Ending`].
    pub fn wait(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let _ = thread.map(JoinHandle::join);
    }

    fn last(&self) -> Last {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Says how a task ended, also one that panicked.
struct Ending {
    number: i64,
    last: Arc<Mutex<Last>>,
}

impl Ending {
    fn say(&self, result: Result<(), StoreError>) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(()) => last.state = State::Done,
            Err(error) => {
                last.state = State::Failed;
                last.error = error.to_string();
            }
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.number == self.number && last.state == State::Running {
            last.state = State::Failed;
            "it was cut short, see the log".clone_into(&mut last.error);
        }
    }
}

fn help(_: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    Ok(lookup(b"modb").map_or(Reply::Null, help_for))
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
    use super::super::testing::Bench;

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
