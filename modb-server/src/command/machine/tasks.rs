//! A backup or a compaction, in a thread of its own, one at a time.
//!
//! The thread keeps the store, and thereby the folder, until it is done; when the process ends first, a half backup has
//! no format record and is refused by whoever opens it.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::command::CommandError;
use crate::store::{Store, StoreError};

/// The long tasks of one database: one at a time.
#[derive(Default)]
pub struct Tasks {
    last: Arc<Mutex<Last>>,
    /// Runs the last one.
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// The last task, or the one that runs.
#[derive(Clone, Default)]
pub(crate) struct Last {
    /// 0: there was none.
    pub(crate) number: i64,
    pub(crate) state: State,
    pub(crate) error: String,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum State {
    #[default]
    None,
    Running,
    Done,
    Failed,
}

impl State {
    pub(crate) fn name(self) -> &'static str {
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
    pub(crate) fn start(
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

    pub(crate) fn last(&self) -> Last {
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
