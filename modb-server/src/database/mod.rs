//! A database as a handle: opened once, shared by as many threads and servers as like.
//!
//! Invariants: no global state; when the last handle is dropped, or [`Database::close`] was called, the threads have ended,
//! the store is synced and closed, and its folder is free (see `handle`).

mod messages;
mod options;
mod temporary;
#[cfg(test)]
mod tests;

use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use self::options::{OpenError, Options};

use self::options::Place;
use crate::command::{Instance, TABLE, warn_of_idle};
use crate::data::{Data, Housekeeper};
use crate::embed::{Keyspace, LocalClient};
use crate::error::Error;
use crate::handle::closures::Closures;
use crate::handle::{Open, Shared, Tasks};
use crate::session::now_ms;
use crate::settled::Settled;
use crate::store::{self, BackupKind, OpenOptions, Store, StoreError};

/// How often a folder that another process has is asked for.
const TRY_AGAIN: Duration = Duration::from_millis(20);

/// An open database. Cloning gives another handle to the same one, for another thread, say. All calls of a [`Keyspace`] are
/// calls of a database, too, and go to keyspace 0.
///
/// It is closed when the last handle is dropped: clones, [`Keyspace`]s, [`LocalClient`]s, [`Keys`](crate::Keys) and
/// [`Server`](crate::Server)s, in whatever order. In a fork of the process every call is [`Error::Forked`], and dropping a
/// handle does nothing: open databases after forking.
#[derive(Clone)]
pub struct Database {
    first: Keyspace,
}

impl Database {
    /// Opens the database in the folder `path` with the defaults; the folder is made if it is missing.
    ///
    /// ```no_run
    /// # // Not run: it would leave a folder behind.
    /// # fn main() -> Result<(), modb_server::OpenError> {
    /// let database = modb_server::Database::open("data")?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Options::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Options::new(path).open()
    }

    /// Opens an empty database in memory: see [`Options::in_memory`].
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let database = modb_server::Database::in_memory()?;
    /// database.set("a", "1")?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the system has no thread left.
    pub fn in_memory() -> Result<Self, OpenError> {
        Options::in_memory().open()
    }

    /// Opens an empty database in a folder that is removed when it is closed: see [`Options::temporary`].
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let database = modb_server::Database::temporary()?;
    /// let folder = database.folder().expect("it has one").to_path_buf();
    /// assert!(folder.is_dir());
    /// database.close()?;
    /// assert!(!folder.exists());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Options::open`].
    pub fn temporary() -> Result<Self, OpenError> {
        Options::temporary().open()
    }

    fn from_options(mut options: Options) -> Result<Self, OpenError> {
        let temporary = options.place == Place::Temporary;
        if temporary {
            options.settings.set_folder(&temporary::make_folder()?)?;
        }
        let folder = (options.place != Place::Memory).then(|| options.settings.folder());
        let opened = Self::open_as(&mut options);
        if let (Err(_), true, Some(folder)) = (&opened, temporary, &folder) {
            // The error says why; that this fails too would be of no use.
            let _ = std::fs::remove_dir_all(folder);
        }
        let shared = Arc::new(Shared::new(opened?, folder, temporary));
        Ok(Self { first: Keyspace { shared, index: 0 } })
    }

    fn open_as(options: &mut Options) -> Result<Open, OpenError> {
        let store = open_store(&options.of_store(), options.patience)?;
        let settings = std::mem::take(&mut options.settings);
        let databases = u32::try_from(settings.number("databases")).unwrap_or(crate::data::DEFAULT_DATABASES);
        warn_of_idle(&settings);
        let data = Arc::new(Data::open(store, databases, settings.get("durability") == "always")?);
        let instance = Arc::new(Instance::new(&TABLE, data, settings, now_ms()));
        let settled = Arc::new(Settled::default());
        let told = Arc::clone(&settled);
        instance.data.store().on_settled(Arc::new(move || told.announce()));
        let start = || Housekeeper::start(Arc::clone(&instance.data), instance.new_tally());
        let housekeeper = (!options.read_only).then(start).transpose().map_err(OpenError::Thread)?;
        let closures = Closures::new(options.patience_with_closures);
        Ok(Open { instance, settled, closures, housekeeper })
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.first.shared
    }

    /// The database's own folder, if it is in one.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let database = modb_server::Database::temporary()?;
    /// println!("the files are in {:?}", database.folder());
    /// assert_eq!(modb_server::Database::in_memory()?.folder(), None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn folder(&self) -> Option<&Path> {
        self.shared().folder().map(|folder| folder.as_path())
    }

    /// The keyspace of that index. [`Options::databases`] says how many there are.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let database = modb_server::Database::in_memory()?;
    /// let sessions = database.keyspace(1)?;
    /// sessions.set("session:1", "ann")?;
    /// assert!(database.keyspace(16).is_err()); // 0 to 15, unless `Options::databases` says otherwise
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::NoSuchKeyspace`], [`Error::Closed`], [`Error::InsideUpdate`], [`Error::Forked`].
    pub fn keyspace(&self, index: u32) -> Result<Keyspace, Error> {
        self.shared().run(|open| match open.instance.data.databases() {
            count if index < count => Ok(Keyspace { index, ..self.first.clone() }),
            count => Err(Error::NoSuchKeyspace { index, count }),
        })
    }

    /// A client in this process, which executes any command by its words.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let database = modb_server::Database::in_memory()?;
    /// let mut client = database.client()?;
    /// client.run(["MSET", "a", "1", "b", "2"])?;
    /// assert_eq!(client.run(["DBSIZE"])?, modb_server::Reply::Integer(2));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::InsideUpdate`], [`Error::Forked`].
    pub fn client(&self) -> Result<LocalClient, Error> {
        self.shared().run(|open| Ok(LocalClient::new(self.shared(), open)))
    }

    /// Waits until everything that was written is synced to the disk, whatever the durability mode promises of itself.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let database = modb_server::Database::temporary()?;
    /// for n in 0..1000 {
    ///     database.set(format!("key {n}"), "x")?;
    /// }
    /// database.sync()?; // a power cut takes none of them
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the sync fails; no write is taken after that. As every call: [`Error::Closed`], [`Error::InsideUpdate`],
    /// [`Error::Forked`].
    pub fn sync(&self) -> Result<(), Error> {
        self.shared().run(|open| Ok(open.instance.data.store().sync()?))
    }

    /// Writes a consistent copy into the empty or new folder `target`, while everything goes on: it holds what was written before
    /// the call, is synced when this returns, and is opened as any data folder is. On the same disk table files, which never
    /// change, get a second name instead of being copied, where the system has such names.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use modb_server::Database;
    ///
    /// let database = Database::temporary()?;
    /// database.set("a", "1")?;
    /// # let around = tempfile::tempdir()?;
    /// # let target = around.path().join("copy");
    /// database.backup(&target)?;
    ///
    /// let copy = Database::open(&target)?;
    /// assert_eq!(copy.get("a")?, Some("1".into()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the target holds something or cannot be written, or the source cannot be read; [`StoreError::Unsupported`] in memory.
    pub fn backup(&self, target: impl AsRef<Path>) -> Result<(), Error> {
        self.shared()
            .run(|open| Ok(open.instance.data.store().backup(target.as_ref(), BackupKind::Linked)?))
    }

    /// Gives back the space of what was overwritten and removed, which otherwise happens bit by bit. Takes long.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let database = modb_server::Database::temporary()?;
    /// database.set("a", vec![0; 1 << 20])?;
    /// database.delete("a")?;
    /// database.compact()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If files cannot be read or written.
    pub fn compact(&self) -> Result<(), Error> {
        self.shared().run(|open| Ok(open.instance.data.store().compact()?))
    }

    /// Closes the database and frees its folder, whatever other handles live: their calls are [`Error::Closed`] from then on. It
    /// waits for calls, closures and backups under way, and ends the servers on this database gracefully (their
    /// [`join`](crate::Server::join) returns). To close a closed one does nothing.
    ///
    /// Dropping the last handle does the same, but cannot say what went wrong.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use modb_server::{Database, Error};
    ///
    /// let database = Database::temporary()?;
    /// let other = database.clone();
    /// database.close()?;
    /// assert!(matches!(other.get("a"), Err(Error::Closed)));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the last sync fails; the folder is free all the same. [`Error::InsideUpdate`], [`Error::Forked`].
    pub fn close(&self) -> Result<(), Error> {
        match self.shared().may_call() {
            Err(Error::Closed) | Ok(()) => Ok(self.shared().end(Tasks::Finish)?),
            Err(error) => Err(error),
        }
    }

    /// As [`Database::close`], for a process that ends next.
    #[cfg(feature = "cli")]
    pub(crate) fn close_for_good(&self) -> Result<(), StoreError> {
        self.shared().end(Tasks::Leave)
    }
}

impl Deref for Database {
    type Target = Keyspace;

    fn deref(&self) -> &Keyspace {
        &self.first
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("folder", &self.folder()).finish_non_exhaustive()
    }
}

/// Opens the store; a folder that another process has, as soon as that process gives it back.
fn open_store(options: &OpenOptions, patience: Duration) -> Result<Arc<dyn Store>, StoreError> {
    let began = Instant::now();
    let mut told = false;
    loop {
        match store::open(options) {
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
