//! What `modb-server` does: configuration, start, signals, end, exit status.
//!
//! Invariants: signals are taken before anything else happens, so that none is lost, also as the first process of a
//! container; nothing that cannot be printed stops a start; the exit status is one of three, of which the README says what
//! they mean.

mod service;

use std::ffi::OsString;
use std::fmt::Display;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::care::{self, DAMAGED, DONE, FAILED};
use crate::config::args::{self, Asked};
use crate::config::{ConfigError, Settings};
use crate::database::{Database, OpenError, Options};
use crate::error::Error;
use crate::log::{self, Format, Log};
use crate::output::{complain, say, with_causes};
use crate::server::{Server, Shutdown};
use crate::sys::{self, Told};

/// How long a start waits for a data folder that another process has: a server that was asked to end gives it back soon.
const FOLDER_PATIENCE: Duration = Duration::from_secs(5);

/// Runs the program with these arguments (without its name).
pub fn run(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let words: Vec<OsString> = words.into_iter().collect();
    ExitCode::from(match words.split_first() {
        // Not for its help.
        Some((word, rest))
            if word == service::WORD && !rest.iter().any(|word| word == "--help" || word == "-h") =>
        {
            service::command(rest)
        }
        _ => main(words, sys::on_signals),
    })
}

/// Does what `words` say, and ends as asked by whom `listen` listens to; the exit status.
fn main<L>(words: Vec<OsString>, listen: L) -> u8
where
    L: FnOnce(Box<dyn Fn(Told) + Send>) -> std::io::Result<()>,
{
    let end = Arc::new(Mutex::new(End::NotServing { status: DONE }));
    let told = {
        let end = Arc::clone(&end);
        listen(Box::new(move |told| obey(told, &end)))
    };
    if let Err(error) = told {
        // As before: the system's own ways to end a process work.
        complain(&format!("modb-server: signals cannot be handled: {error}"));
    }
    sys::make_files_private();
    sys::give_large_memory_back();
    let settings = Settings::default();
    match args::read(words, &settings) {
        Ok(Asked::Print(text)) => printed(&text),
        Ok(Asked::Care { task, operand, full }) => {
            *lock(&end) = End::NotServing { status: FAILED };
            care::run(task, operand, full, &settings)
        }
        Ok(Asked::Serve { file }) => {
            let status = serve_with_log(settings, file, &end);
            log::flush();
            status
        }
        Err(error) => {
            let hint = if matches!(error, ConfigError::CommandLine(_) | ConfigError::Unknown { .. }) {
                HINT
            } else {
                ""
            };
            complain(&format!("modb-server: {}{hint}", with_causes(&error)));
            FAILED
        }
    }
}

fn serve_with_log(settings: Settings, file: Option<std::path::PathBuf>, end: &Mutex<End>) -> u8 {
    let format = if settings.get("log-format") == "json" { Format::Json } else { Format::Text };
    let log = match Log::start(&settings.get("loglevel"), format) {
        Ok(log) => log,
        Err(error) => {
            complain(&format!("modb-server: there can be no thread for the log: {error}"));
            return FAILED;
        }
    };
    let changes = log.clone();
    settings.on_log_level(move |level| changes.set_level(level));
    match serve(settings, file, end) {
        Ok(()) => DONE,
        Err(failure) => {
            log.fatal(&failure.text);
            failure.status
        }
    }
}

const HINT: &str = "\nmodb-server --help says what there is";

fn printed(text: &str) -> u8 {
    match say(text) {
        Ok(()) => DONE,
        Err(error) => {
            complain(&format!("modb-server: cannot write to standard output: {error}"));
            FAILED
        }
    }
}

/// What ends when the process is asked to end.
enum End {
    /// Nothing is served, so the process itself; what it was doing ends as by a crash, which it is made for.
    NotServing {
        /// With this status.
        status: u8,
    },
    /// The server, gracefully.
    Serving(Shutdown),
    /// It is ending.
    Ending,
}

fn obey(told: Told, end: &Mutex<End>) {
    let end = lock(end);
    match (told, &*end) {
        (Told::End(_), End::Ending) => {}
        (Told::HungUp, End::Serving(_) | End::Ending | End::NotServing { status: DONE }) => {
            tracing::info!("SIGHUP: the terminal has gone, which is no reason to end; SIGTERM is");
        }
        (Told::End(by), End::Serving(shutdown)) => {
            tracing::info!("asked to end by {by}");
            shutdown.begin();
        }
        (Told::End(by), End::NotServing { status }) => {
            tracing::info!("asked to end by {by} before it served");
            log::flush();
            std::process::exit(i32::from(*status));
        }
        (Told::HungUp, End::NotServing { status }) => std::process::exit(i32::from(*status)),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why a server did not start, or did not end well.
struct Failure {
    text: String,
    status: u8,
}

impl Failure {
    fn before(error: &(dyn std::error::Error + 'static)) -> Self {
        Self { text: with_causes(error), status: FAILED }
    }

    fn after(error: &(dyn std::error::Error + 'static)) -> Self {
        Self { text: with_causes(error), status: DAMAGED }
    }
}

fn serve(settings: Settings, file: Option<std::path::PathBuf>, end: &Mutex<End>) -> Result<(), Failure> {
    let began = Instant::now();
    let folder = settings.folder();
    let folder = std::path::absolute(&folder).unwrap_or(folder);
    tracing::info!(pid = std::process::id(), dir = %folder.display(), "modb-server {} starts", env!("CARGO_PKG_VERSION"));
    let database =
        Options::from_settings(settings).wait_for_folder(FOLDER_PATIENCE).open().map_err(refused)?;
    if let Some(file) = file {
        // Just opened: it is not closed, and nobody has set it before.
        let _ = database.shared().run(|open| Ok::<_, Error>(open.instance.config_file.set(file)));
    }
    let server = Server::start(&database).map_err(|error| Failure::before(&error))?;
    *lock(end) = End::Serving(server.shutdown_handle());
    announce(&server, &database, &folder.display(), began.elapsed());
    sys::tell_service_manager("READY=1");
    let farewell = server.farewell();
    let ended = server.join();
    sys::tell_service_manager("STOPPING=1");
    *lock(end) = End::Ending;
    let closed = database.close_for_good();
    // First the folder, then the word: who hears that it is over may start the next server.
    drop(database);
    drop(farewell);
    match (&ended, &closed) {
        (Ok(()), Ok(())) => {}
        (Err(error), _) => return Err(Failure::after(error)),
        (_, Err(error)) => return Err(Failure::after(error)),
    }
    tracing::info!("ended as asked");
    Ok(())
}

/// A folder that cannot be opened: damage is told apart from what is in the way.
fn refused(error: OpenError) -> Failure {
    let mut text = with_causes(&error);
    let damaged = matches!(&error, OpenError::Store(error) if error.is_damage());
    if damaged {
        text += ": restore a backup (modb-server help restore), or open without what is lost of the log \
                 (accept-data-loss)";
    }
    Failure { text, status: if damaged { DAMAGED } else { FAILED } }
}

/// The start-up line, which programs that start the server read: `name=value` behind the colon, addresses with
/// commas between, the folder last because it may contain spaces.
fn announce(server: &Server, database: &Database, folder: &dyn Display, took: Duration) {
    let values = database.shared().run(|open| {
        let settings = &open.instance.settings;
        Ok::<_, Error>((settings.get("durability"), settings.get("store")))
    });
    // It is open until this returns.
    let (durability, store) = values.unwrap_or_default();
    let addresses: Vec<String> = server.local_addrs().iter().map(ToString::to_string).collect();
    let addresses = addresses.join(",");
    tracing::info!(
        listen = addresses,
        workers = server.workers(),
        durability,
        store,
        "ready after {} ms",
        took.as_millis()
    );
    let line = format!(
        "modb-server {} ready: listen={addresses} workers={} durability={durability} store={store} pid={} dir={folder}\n",
        env!("CARGO_PKG_VERSION"),
        server.workers(),
        std::process::id(),
    );
    // Behind all that the start had to say; and by a thread of its own, since nobody may be reading.
    log::flush();
    let say = move || {
        if let Err(error) = say(&line) {
            tracing::warn!(%error, "the start-up line could not be written to standard output");
        }
    };
    if let Err(error) = std::thread::Builder::new().name("modb-start-up-line".into()).spawn(say) {
        tracing::warn!(%error, "there can be no thread that writes the start-up line");
    }
}
