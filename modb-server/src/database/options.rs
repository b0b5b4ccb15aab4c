//! How a database is opened.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Database;
use crate::config::{ConfigError, Settings};
use crate::handle::closures::PATIENCE;
use crate::store::{Durability, EngineKind, OpenOptions, StoreError};

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// An option has a wrong value.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data folder cannot be used: [`StoreError::Locked`] if somebody else has it, [`StoreError::Corrupt`] if it is
    /// damaged, and others.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system has no thread left.
    #[error("no thread for housekeeping: {0}")]
    Thread(#[source] std::io::Error),
    /// No folder for a temporary database could be made.
    #[error("cannot make the temporary folder {}: {source}", folder.display())]
    Temporary {
        /// Where.
        folder: PathBuf,
        /// The system's own error.
        source: std::io::Error,
    },
    /// A database that is not in a folder was to be opened for reading only: it would be empty for ever.
    #[error("only a database in a folder can be opened for reading only")]
    ReadOnlyWithoutFolder,
}

/// Where the data is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the folder that the settings name.
    Folder,
    /// In a folder that is made for it, and removed when it is closed.
    Temporary,
    /// Nowhere but in memory.
    Memory,
}

/// How a database is opened.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use modb_server::{Durability, Options};
///
/// let database = Options::temporary().durability(Durability::Always).cache_mb(64).open()?;
/// database.set("a", "1")?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Options {
    pub(super) settings: Settings,
    pub(super) place: Place,
    pub(super) patience: Duration,
    pub(super) read_only: bool,
    /// Shorter in tests.
    pub(crate) patience_with_closures: Duration,
    /// The first value that was not taken; told when it is opened.
    wrong: Option<ConfigError>,
}

impl Options {
    /// The defaults, for the data folder `path`, which is made if it is missing.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path();
    /// let database = modb_server::Options::new(path).cache_mb(64).open()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn new(path: impl AsRef<Path>) -> Self {
        let options = Self::at(Place::Folder);
        let wrong = options.settings.set_folder(path.as_ref()).err();
        Self { wrong, ..options }
    }

    /// For data that stays in memory and is gone when the database is closed. Nothing is written to the disk, so it has to
    /// fit in memory, and [`Database::backup`] is refused.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let database = modb_server::Options::in_memory().databases(1).open()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn in_memory() -> Self {
        Self::at(Place::Memory).with("store", EngineKind::Memory.name())
    }

    /// For a folder of its own in the system's folder for temporary files, which is removed when the database is closed. If the
    /// process is killed it stays.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let database = modb_server::Options::temporary().cache_mb(16).open()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn temporary() -> Self {
        Self::at(Place::Temporary)
    }

    fn at(place: Place) -> Self {
        let settings = Settings::default();
        Self {
            settings,
            place,
            patience: Duration::ZERO,
            read_only: false,
            patience_with_closures: PATIENCE,
            wrong: None,
        }
    }

    /// Takes all options from a configuration.
    #[cfg(feature = "cli")]
    pub(crate) fn from_settings(settings: Settings) -> Self {
        let in_memory = settings.get("store") == EngineKind::Memory.name();
        let place = if in_memory { Place::Memory } else { Place::Folder };
        Self { settings, ..Self::at(place) }
    }

    /// What a write that was acknowledged survives. Default: [`Durability::EverySecond`].
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use modb_server::{Durability, Options};
    ///
    /// let database = Options::temporary().durability(Durability::Always).open()?;
    /// database.set("a", "1")?; // when this returns, no power cut can take it
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn durability(self, durability: Durability) -> Self {
        let name = match durability {
            Durability::Always => "always",
            Durability::EverySecond => "everysec",
            Durability::Os => "os",
        };
        self.with("durability", name)
    }

    /// Memory for hot and recent data, in MiB, at least 1; the process takes up to 96 MiB more, and with glibc's allocator, which keeps for
    /// each thread what was freed of its memory, up to a third of it if one thread after another fills it. Default: 256.
    #[must_use]
    pub fn cache_mb(self, mib: u32) -> Self {
        self.with("cache-mb", &mib.to_string())
    }

    /// How many keyspaces there are, from 1 to 65,536. Default: 16.
    #[must_use]
    pub fn databases(self, count: u32) -> Self {
        self.with("databases", &count.to_string())
    }

    /// Writes are refused while the folder's disk has less free space than this, in MiB. Default: 256.
    #[must_use]
    pub fn min_free_mb(self, mib: u32) -> Self {
        self.with("min-free-mb", &mib.to_string())
    }

    /// Opens a damaged folder without what is lost, instead of refusing.
    #[must_use]
    pub fn accept_data_loss(self, accept: bool) -> Self {
        self.with("accept-data-loss", if accept { "yes" } else { "no" })
    }

    /// Waits so long for a folder that somebody else has. Without, that is an error at once.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::time::Duration;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path();
    /// // The process that this one replaces may not have ended yet.
    /// let database = modb_server::Options::new(path).wait_for_folder(Duration::from_secs(5)).open()?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn wait_for_folder(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Changes nothing in the folder, which has to be there: writes are [`Error::ReadOnly`](crate::Error::ReadOnly). Several may
    /// read a folder at once, while nobody writes it.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use modb_server::{Database, Error, Options};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path();
    /// Database::open(path)?.set("a", "1")?;
    /// let database = Options::new(path).read_only().open()?;
    /// assert_eq!(database.get("a")?, Some("1".into()));
    /// assert!(matches!(database.set("a", "2"), Err(Error::ReadOnly(_))));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn read_only(self) -> Self {
        Self { read_only: true, ..self }
    }

    /// The password that a [`Server`](crate::Server) on this database asks for. Without one, it serves clients of this machine
    /// only.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use modb_server::{Options, Server};
    ///
    /// let database = Options::in_memory().password("a long one").max_clients(100).workers(1).open()?;
    /// let server = Server::bind(&database, "127.0.0.1:0".parse()?)?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn password(self, password: &str) -> Self {
        self.with("requirepass", password)
    }

    /// How many clients a [`Server`](crate::Server) on this database serves at the same time. Default: 10,000.
    #[must_use]
    pub fn max_clients(self, count: u32) -> Self {
        self.with("maxclients", &count.to_string())
    }

    /// How many threads serve the clients of a [`Server`](crate::Server) on this database; 0: one per core, the default.
    #[must_use]
    pub fn workers(self, count: u32) -> Self {
        self.with("workers", &count.to_string())
    }

    /// Sets any option of `modb-server`, by the name it has on the command line.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let options = modb_server::Options::in_memory().set("timeout", "60")?;
    /// assert!(options.set("timeuot", "60").is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If there is no such option, or the value does not fit.
    pub fn set(self, name: &str, value: &str) -> Result<Self, ConfigError> {
        self.settings.set(name, value)?;
        let place = match name {
            "store" if value == EngineKind::Memory.name() => Place::Memory,
            _ => self.place,
        };
        Ok(Self { place, ..self })
    }

    /// Opens the database.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// assert!(modb_server::Options::in_memory().cache_mb(0).open().is_err()); // every wrong value is told here
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`OpenError`]. A folder that is already open in this process is one that somebody else has: clone the [`Database`].
    pub fn open(mut self) -> Result<Database, OpenError> {
        match (self.wrong.take(), self.place) {
            (Some(error), _) => return Err(error.into()),
            (None, Place::Memory | Place::Temporary) if self.read_only => {
                return Err(OpenError::ReadOnlyWithoutFolder);
            }
            _ => {}
        }
        Database::from_options(self)
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        if let Err(error) = self.settings.set(name, value) {
            self.wrong.get_or_insert(error);
        }
        self
    }

    /// For the store.
    pub(super) fn of_store(&self) -> OpenOptions {
        let settings = &self.settings;
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
            passive: self.read_only,
        }
    }
}
