//! A database as a handle: opened once, shared by as many threads and servers as like.
//!
//! Invariants: no global state; when the last handle is dropped (or [`Database::close`] was called) the
//! housekeeping thread has ended and the store is synced and closed.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use modb_net::Seq;

use crate::command::{Instance, warn_of_idle};
use crate::config::{ConfigError, Settings};
use crate::data::{Data, Housekeeper};
use crate::session::now_ms;
use crate::settled::Settled;
use crate::store::{self, Durability, EngineKind, OpenOptions, Store, StoreError};

/// An announcement may be missed between the look and the wait; so look again after this long.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// How often a folder that another process has is asked for.
const TRY_AGAIN: Duration = Duration::from_millis(20);

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// An option has a wrong value.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data folder cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system has no thread left.
    #[error("no thread for housekeeping: {0}")]
    Thread(#[source] std::io::Error),
}

/// How a database is opened. Begin with [`Options::new`].
#[derive(Debug, Default)]
pub struct Options {
    settings: Settings,
    /// What was wrong with the folder's name; told when it is opened.
    wrong: Option<ConfigError>,
    patience: Duration,
}

impl Options {
    /// The defaults, for the data folder `path`, which is made if it is missing.
    pub fn new(path: impl AsRef<Path>) -> Self {
        let settings = Settings::default();
        let wrong = settings.set_folder(path.as_ref()).err();
        Self { settings, wrong, patience: Duration::ZERO }
    }

    /// Takes all options from a configuration.
    pub fn from_settings(settings: Settings) -> Self {
        Self { settings, wrong: None, patience: Duration::ZERO }
    }

    /// Waits so long for a folder that another process has. Without, that is an error at once.
    #[must_use]
    pub fn wait_for_folder(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Sets an option by the name it has on the command line.
    ///
    /// # Errors
    /// If there is no such option, or the value does not fit.
    pub fn set(self, name: &str, value: &str) -> Result<Self, ConfigError> {
        self.settings.set(name, value)?;
        Ok(self)
    }

    /// Opens the database.
    ///
    /// # Errors
    /// The folder is used by another process, unreadable, damaged or of another version.
    pub fn open(self) -> Result<Database, OpenError> {
        // What stays in memory has no folder.
        let needs_folder = self.settings.get("store") != EngineKind::Memory.name();
        match self.wrong {
            Some(error) if needs_folder => Err(error.into()),
            _ => Database::from_settings(self.settings, self.patience),
        }
    }
}

/// An open database. Cloning gives another handle to the same one.
#[derive(Clone)]
pub struct Database {
    inner: Arc<Inner>,
}

struct Inner {
    instance: Arc<Instance>,
    settled: Arc<Settled>,
    housekeeper: Mutex<Option<Housekeeper>>,
}

impl Database {
    /// Opens the database in the folder `path` with the defaults; the folder is made if it is missing.
    ///
    /// # Errors
    /// As [`Options::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Options::new(path).open()
    }

    fn from_settings(settings: Settings, patience: Duration) -> Result<Self, OpenError> {
        let store = open_store(&settings, patience)?;
        let databases = u32::try_from(settings.number("databases")).unwrap_or(crate::data::DEFAULT_DATABASES);
        warn_of_idle(&settings);
        let data = Arc::new(Data::open(store, databases, settings.get("durability") == "always")?);
        let instance = Arc::new(Instance::new(data, settings, now_ms()));
        let settled = Arc::new(Settled::default());
        let told = Arc::clone(&settled);
        instance.data.store().on_settled(Arc::new(move || told.announce()));
        let housekeeper = Housekeeper::start(Arc::clone(&instance.data), instance.new_tally());
        let housekeeper = Mutex::new(Some(housekeeper.map_err(OpenError::Thread)?));
        Ok(Self { inner: Arc::new(Inner { instance, settled, housekeeper }) })
    }

    /// The shared state behind the commands.
    pub fn instance(&self) -> &Arc<Instance> {
        &self.inner.instance
    }

    pub(crate) fn settled(&self) -> &Arc<Settled> {
        &self.inner.settled
    }

    /// Stops housekeeping, syncs, and closes. Other handles and servers get errors from then on.
    ///
    /// # Errors
    /// If the last sync fails.
    pub fn close(&self) -> Result<(), StoreError> {
        self.inner.close()
    }

    /// Makes a commit as safe as the durability mode promises, and waits until it is.
    ///
    /// # Errors
    /// If it cannot be made safe; its outcome is unknown then.
    pub fn wait_for(&self, seq: Seq) -> Result<(), StoreError> {
        let store = self.inner.instance.data.store();
        if store.settled() >= seq {
            return Ok(());
        }
        let mut reached = store.settle()?;
        while reached < seq {
            self.inner.settled.wait(LOOK_AGAIN);
            reached = store.settle()?;
        }
        Ok(())
    }
}

impl Inner {
    fn close(&self) -> Result<(), StoreError> {
        drop(self.housekeeper.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.instance.data.store().close()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        match self.close() {
            Ok(()) | Err(StoreError::Closed) => {}
            Err(error) => tracing::error!(%error, "the database could not be closed cleanly"),
        }
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database")
            .field("dir", &self.inner.instance.settings.get("dir"))
            .finish_non_exhaustive()
    }
}

/// Opens the store; a folder that another process has, as soon as that process gives it back.
fn open_store(settings: &Settings, patience: Duration) -> Result<Arc<dyn Store>, StoreError> {
    let options = open_options(settings);
    let began = Instant::now();
    let mut told = false;
    loop {
        match store::open(&options) {
            Err(error @ StoreError::Locked { .. }) if began.elapsed() < patience => {
                if !told {
                    tracing::warn!("{error}: waiting for it, for {patience:?} at most");
                    told = true;
                }
                std::thread::sleep(TRY_AGAIN);
            }
            opened => return opened,
        }
    }
}

fn open_options(settings: &Settings) -> OpenOptions {
    OpenOptions {
        folder: settings.folder(),
        engine: settings.get("store").parse().unwrap_or(EngineKind::default()),
        durability: match settings.get("durability").as_str() {
            "always" => Durability::Always,
            "os" => Durability::Os,
            _ => Durability::EverySecond,
        },
        cache_mb: u64::try_from(settings.number("cache-mb")).unwrap_or(256),
        min_free_bytes: u64::try_from(settings.number("min-free-mb")).unwrap_or(256) << 20,
        accept_data_loss: settings.is_yes("accept-data-loss"),
        passive: false,
    }
}
