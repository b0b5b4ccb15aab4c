//! The configuration: one table of parameters, their values, and where they come from.
//!
//! The command line, the file, `CONFIG GET`, `CONFIG SET` and `CONFIG REWRITE` all read the table in
//! `params`. Pure, but for the `cli` feature, whose modules read arguments and a file.
//! Invariant: every value that is kept has passed its parameter's check.

mod amount;
#[cfg(feature = "cli")]
pub mod args;
#[cfg(feature = "cli")]
pub mod file;
mod outputs;
mod params;
#[cfg(feature = "cli")]
mod password;
#[cfg(feature = "cli")]
pub mod usage;
mod values;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError, RwLock};

use modb_net::OutputLimits;

pub use outputs::OutputClass;
pub use params::{Change, Kind, PARAMS, Param};

/// Why a value was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// There is no such parameter.
    #[error("unknown option '{name}'{}", hint(.similar))]
    Unknown {
        /// What was given.
        name: String,
        /// A parameter with a similar name.
        similar: Option<&'static str>,
    },
    /// The value does not fit.
    #[error("{name}: {why}")]
    Invalid {
        /// The parameter.
        name: &'static str,
        /// What it takes.
        why: String,
    },
    /// It cannot change while the server runs.
    #[error("{0}: can't set immutable config")]
    Immutable(&'static str),
    /// It is set twice at once.
    #[error("{0}: duplicate parameter")]
    Duplicate(&'static str),
    /// The command line is wrong.
    #[error("{0}")]
    CommandLine(String),
    /// The file cannot be read or is wrong.
    #[error("{0}")]
    File(String),
}

fn hint(similar: &Option<&'static str>) -> String {
    similar.map_or_else(String::new, |name| format!("; did you mean '{name}'?"))
}

/// The values of all parameters.
pub struct Settings {
    /// In the order of [`PARAMS`].
    values: RwLock<Vec<String>>,
    /// The data folder, which need not be text.
    folder: RwLock<PathBuf>,
    hot: Hot,
    idle: Mutex<Idle>,
    log_level: OnceLock<LogLevel>,
    /// The password that came from a file of its own or from the environment.
    #[cfg(feature = "cli")]
    outside_password: OnceLock<String>,
}

/// Changes what is logged.
type LogLevel = Box<dyn Fn(&str) + Send + Sync>;

/// Options without effect that were set: those that nobody was told of yet, and the others.
#[derive(Default)]
struct Idle {
    untold: Vec<&'static Param>,
    told: Vec<&'static str>,
}

/// What is read for every command or connection, without a lock.
#[derive(Default)]
struct Hot {
    has_password: AtomicBool,
    slowlog_us: AtomicI64,
    long_command_us: AtomicU64,
    max_bulk_bytes: AtomicU32,
    query_buffer_bytes: AtomicUsize,
    /// By class of clients.
    outputs: Mutex<[OutputLimits; 2]>,
}

impl Default for Settings {
    fn default() -> Self {
        let default =
            |param| values::check(param, param.default, "").expect("defaults pass, as a test shows");
        let settings = Self {
            values: RwLock::new(PARAMS.iter().map(default).collect()),
            folder: RwLock::default(),
            hot: Hot::default(),
            idle: Mutex::default(),
            log_level: OnceLock::new(),
            #[cfg(feature = "cli")]
            outside_password: OnceLock::new(),
        };
        settings.refresh();
        settings
    }
}

impl Settings {
    /// Sets a parameter before the server runs.
    ///
    /// # Errors
    /// [`ConfigError::Unknown`], [`ConfigError::Invalid`].
    pub fn set(&self, name: &str, value: &str) -> Result<(), ConfigError> {
        let (at, param) = params::find(name)?;
        let value = values::check(param, value, &self.get(param.name))?;
        self.note_idle(at, param, &value);
        // Two names for one thing: whichever is set, both show it.
        let twin = match param.name {
            "durability" => Some(("appendfsync", if value == "os" { "no" } else { value.as_str() })),
            "appendfsync" => Some(("durability", if value == "no" { "os" } else { value.as_str() })),
            _ => None,
        };
        if let Some((name, value)) = twin {
            self.write(&mut [(params::find(name)?.0, value.to_owned())]);
        }
        if param.kind == Kind::Folder {
            *self.folder.write().unwrap_or_else(PoisonError::into_inner) = PathBuf::from(&value);
        }
        self.write(&mut [(at, value)]);
        Ok(())
    }

    /// Sets the data folder, whose name need not be text.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`].
    pub fn set_folder(&self, folder: &Path) -> Result<(), ConfigError> {
        self.set("dir", &folder.to_string_lossy())?;
        *self.folder.write().unwrap_or_else(PoisonError::into_inner) = folder.to_path_buf();
        Ok(())
    }

    /// The data folder.
    pub fn folder(&self) -> PathBuf {
        let folder = self.folder.read().unwrap_or_else(PoisonError::into_inner).clone();
        if folder.as_os_str().is_empty() { PathBuf::from(self.get("dir")) } else { folder }
    }

    /// Has `change` called with the new value of `loglevel` when it changes. Without, the program that embeds the
    /// database decides what is logged, and the option cannot be changed.
    pub fn on_log_level(&self, change: impl Fn(&str) + Send + Sync + 'static) {
        let _ = self.log_level.set(Box::new(change));
    }

    fn note_idle(&self, at: usize, param: &'static Param, value: &str) {
        let changes = self.values.read().unwrap_or_else(PoisonError::into_inner)[at] != value;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if param.change == Change::Kept && changes && !idle.told.contains(&param.name) {
            idle.told.push(param.name);
            idle.untold.push(param);
        }
    }

    /// The options that were set and have no effect here, each of them once.
    pub fn take_idle(&self) -> Vec<&'static Param> {
        std::mem::take(&mut self.idle.lock().unwrap_or_else(PoisonError::into_inner).untold)
    }

    /// Sets parameters while the server runs: all of them or none.
    ///
    /// # Errors
    /// The parameter that failed, and why.
    pub fn set_live(&self, pairs: &[(&str, &str)]) -> Result<(), (String, ConfigError)> {
        let failed = |name: &str, error| Err((name.to_owned(), error));
        let mut found = Vec::with_capacity(pairs.len());
        for (name, value) in pairs {
            match params::find(name) {
                Ok((at, param)) => found.push((*name, at, param, *value)),
                Err(error) => return failed(name, error),
            }
        }
        // Of several mistakes Redis names the last one.
        for (before, (name, _, param, _)) in found.iter().enumerate().rev() {
            if found[..before].iter().any(|(other, ..)| name.eq_ignore_ascii_case(other)) {
                return failed(name, ConfigError::Duplicate(param.name));
            }
            if param.change == Change::AtStart {
                return failed(name, ConfigError::Immutable(param.name));
            }
        }
        let mut checked = Vec::with_capacity(found.len());
        for (name, at, param, value) in found {
            let value = match values::check(param, value, &self.get(param.name)) {
                Ok(value) if param.name == "loglevel" && self.log_level.get().is_none() => {
                    let why = format!("the program that embeds the database decides that, not '{value}'");
                    return failed(name, ConfigError::Invalid { name: param.name, why });
                }
                Ok(value) => value,
                Err(error) => return failed(name, error),
            };
            checked.push((at, param, value));
        }
        for (at, param, value) in &checked {
            self.note_idle(*at, param, value);
        }
        let mut checked: Vec<_> = checked.into_iter().map(|(at, _, value)| (at, value)).collect();
        self.write(&mut checked);
        if let Some(change) = self.log_level.get() {
            change(&self.get("loglevel"));
        }
        Ok(())
    }

    fn write(&self, pairs: &mut [(usize, String)]) {
        let mut values = self.values.write().unwrap_or_else(PoisonError::into_inner);
        for (at, value) in pairs {
            values[*at] = std::mem::take(value);
        }
        drop(values);
        self.refresh();
    }

    fn refresh(&self) {
        self.hot.has_password.store(!self.get("requirepass").is_empty(), Ordering::Release);
        self.hot.slowlog_us.store(self.number("slowlog-log-slower-than"), Ordering::Relaxed);
        let long = u64::try_from(self.number("long-command-us")).unwrap_or(0);
        self.hot.long_command_us.store(long, Ordering::Relaxed);
        let bulk = u32::try_from(self.number("proto-max-bulk-len")).unwrap_or(u32::MAX);
        self.hot.max_bulk_bytes.store(bulk, Ordering::Relaxed);
        let query = usize::try_from(self.number("client-query-buffer-limit")).unwrap_or(usize::MAX);
        self.hot.query_buffer_bytes.store(query, Ordering::Relaxed);
        let outputs = self.get("client-output-buffer-limit");
        *self.hot.outputs.lock().unwrap_or_else(PoisonError::into_inner) =
            [OutputClass::Normal, OutputClass::Pubsub].map(|class| outputs::of(&outputs, class));
    }

    /// The value of a parameter, as `CONFIG GET` shows it.
    ///
    /// # Panics
    /// If there is no such parameter: names in the code are constants.
    pub fn get(&self, name: &str) -> String {
        let (at, _) = params::find(name).expect("a parameter of the table");
        self.values.read().unwrap_or_else(PoisonError::into_inner)[at].clone()
    }

    /// The value of a parameter that is a number (or an amount of memory, in bytes).
    ///
    /// # Panics
    /// As [`Settings::get`].
    pub fn number(&self, name: &str) -> i64 {
        self.get(name).parse().unwrap_or(0)
    }

    /// The value of a parameter that is `yes` or `no`.
    ///
    /// # Panics
    /// As [`Settings::get`].
    pub fn is_yes(&self, name: &str) -> bool {
        self.get(name) == "yes"
    }

    /// All parameters with their values, under every name they have.
    pub fn all(&self) -> Vec<(&'static str, String)> {
        let values = self.values.read().unwrap_or_else(PoisonError::into_inner);
        let mut all = Vec::new();
        for (param, value) in PARAMS.iter().zip(values.iter()) {
            all.push((param.name, value.clone()));
            all.extend(param.alias.map(|alias| (alias, value.clone())));
        }
        all
    }

    /// Writes what differs from the defaults into the configuration file.
    ///
    /// # Errors
    /// If the file cannot be read or replaced, or this build reads no files.
    pub fn rewrite(&self, path: &Path) -> Result<(), ConfigError> {
        #[cfg(feature = "cli")]
        return file::rewrite(path, self);
        #[cfg(not(feature = "cli"))]
        Err(ConfigError::File(format!("{}: built without configuration files", path.display())))
    }

    /// Whether clients must give a password.
    pub fn has_password(&self) -> bool {
        self.hot.has_password.load(Ordering::Acquire)
    }

    /// Whether the password is kept elsewhere, and not to be written into the file of options.
    #[cfg(feature = "cli")]
    fn keeps_password_outside(&self) -> bool {
        !self.get("requirepass-file").is_empty()
            || self.outside_password.get() == Some(&self.get("requirepass"))
    }

    /// Whether anybody who reaches one of its addresses may give commands, and one of them is not of this machine alone.
    pub fn is_open_to_all(&self) -> bool {
        let is_of_this_machine = |word: &str| {
            let name = word.strip_prefix('-').unwrap_or(word);
            name.parse().map_or(name == "localhost", |ip: std::net::IpAddr| ip.is_loopback())
        };
        !self.has_password()
            && !self.is_yes("protected-mode")
            && !self.get("bind").split_whitespace().all(is_of_this_machine)
    }

    /// Commands that take at least so many microseconds are logged; negative: none.
    pub fn slowlog_us(&self) -> i64 {
        self.hot.slowlog_us.load(Ordering::Relaxed)
    }

    /// A command that will take more microseconds is left to a thread.
    pub fn long_command_us(&self) -> u64 {
        self.hot.long_command_us.load(Ordering::Relaxed)
    }

    /// How much unsent output a client of this class may have.
    pub fn output_limits(&self, class: OutputClass) -> OutputLimits {
        let [normal, pubsub] = *self.hot.outputs.lock().unwrap_or_else(PoisonError::into_inner);
        match class {
            OutputClass::Normal => normal,
            OutputClass::Pubsub => pubsub,
        }
    }

    /// The most that a request takes, or what is queued of one client, in bytes.
    pub fn query_buffer_bytes(&self) -> usize {
        self.hot.query_buffer_bytes.load(Ordering::Relaxed)
    }

    /// The longest argument of a request, in bytes.
    pub fn max_bulk_bytes(&self) -> u32 {
        self.hot.max_bulk_bytes.load(Ordering::Relaxed)
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The password stays out of logs.
        f.debug_map().entries(self.all().into_iter().filter(|(name, _)| *name != "requirepass")).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_passes_its_own_check_and_names_are_unique() {
        let mut names: Vec<_> = PARAMS.iter().flat_map(|p| [Some(p.name), p.alias]).flatten().collect();
        for param in PARAMS {
            let kept = values::check(param, param.default, "").unwrap();
            assert_eq!(values::check(param, &kept, ""), Ok(kept), "{}", param.name);
        }
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn a_wrong_name_is_answered_with_a_similar_one() {
        let error = Settings::default().set("prot", "1").unwrap_err();
        assert_eq!(error.to_string(), "unknown option 'prot'; did you mean 'port'?");
    }

    #[test]
    fn several_parameters_are_set_all_or_none() {
        let settings = Settings::default();
        let failed = settings.set_live(&[("slowlog-max-len", "5"), ("databases", "3")]).unwrap_err();
        assert_eq!(failed, ("databases".into(), ConfigError::Immutable("databases")));
        assert_eq!(settings.get("slowlog-max-len"), "128");
        settings.set_live(&[("SLOWLOG-MAX-LEN", "5"), ("requirepass", "x")]).unwrap();
        assert_eq!((settings.number("slowlog-max-len"), settings.has_password()), (5, true));
    }

    #[test]
    fn values_are_checked() {
        let settings = Settings::default();
        for (name, value, why) in [
            ("port", "70000", "port: must be a number from 0 to 65535"),
            ("durability", "allways", "durability: must be one of always, everysec, os"),
            (
                "unixsocketperm",
                "999",
                "unixsocketperm: must be permissions in three octal digits, such as 700",
            ),
            ("protected-mode", "maybe", "protected-mode: must be yes or no"),
            ("maxmemory", "100mb", "maxmemory: Modb keeps its data on disk and evicts nothing; see cache-mb"),
        ] {
            assert_eq!(settings.set(name, value).unwrap_err().to_string(), why);
        }
        settings.set("proto-max-bulk-len", "16mb").unwrap();
        assert_eq!(settings.get("proto-max-bulk-len"), "16777216");
    }

    #[test]
    fn nothing_is_set_twice_at_once() {
        let settings = Settings::default();
        let failed = settings.set_live(&[("timeout", "1"), ("TIMEOUT", "2")]).unwrap_err();
        assert_eq!(failed, ("TIMEOUT".into(), ConfigError::Duplicate("timeout")));
        assert_eq!(settings.get("timeout"), "0");
        // Two names of one thing are two parameters, as in Redis.
        settings.set_live(&[("hash-max-listpack-value", "1"), ("hash-max-ziplist-value", "2")]).unwrap();
        assert_eq!(settings.get("hash-max-listpack-value"), "2");
    }

    #[test]
    fn an_option_without_effect_is_told_once_and_one_that_promises_more_is_refused() {
        let settings = Settings::default();
        settings.set("save", "").unwrap();
        assert!(settings.take_idle().is_empty(), "it is so anyway");
        settings.set("save", "900 1").unwrap();
        settings.set_live(&[("maxmemory-policy", "allkeys-lru"), ("save", "60 1")]).unwrap();
        let names: Vec<_> = settings.take_idle().iter().map(|param| param.name).collect();
        assert_eq!(names, ["save", "maxmemory-policy"]);
        settings.set("maxmemory-policy", "noeviction").unwrap();
        assert!(settings.take_idle().is_empty());
        for (name, value) in [
            ("cluster-enabled", "yes"),
            ("appendonly", "no"),
            ("logfile", "x.log"),
            ("tls-port", "6380"),
            ("daemonize", "yes"),
        ] {
            let error = settings.set(name, value).unwrap_err().to_string();
            assert!(error.len() > name.len() + 20, "{error}");
        }
        settings.set("daemonize", "False").unwrap();
        assert_eq!(settings.get("daemonize"), "no");
    }

    #[test]
    fn a_server_is_open_to_all_without_password_and_protection_on_a_public_address() {
        for (bind, protected, password, open) in [
            ("127.0.0.1 -::1 localhost", "no", "", false),
            ("127.0.0.1 192.0.2.1", "no", "", true),
            ("*", "no", "", true),
            ("-::*", "no", "", true),
            ("db.example", "no", "", true),
            ("0.0.0.0", "yes", "", false),
            ("0.0.0.0", "no", "secret", false),
        ] {
            let settings = Settings::default();
            for (name, value) in [("bind", bind), ("protected-mode", protected), ("requirepass", password)] {
                settings.set(name, value).unwrap();
            }
            assert_eq!(settings.is_open_to_all(), open, "{bind} {protected} {password:?}");
        }
    }

    #[test]
    fn every_option_without_effect_says_why() {
        for param in PARAMS {
            assert!(!param.help.is_empty(), "{}", param.name);
        }
    }

    #[test]
    fn the_name_of_a_folder_holds_no_control_characters() {
        let settings = Settings::default();
        let error = settings.set("dir", "C:\new").unwrap_err().to_string();
        assert!(error.contains("\\n") && error.contains("single quotes"), "{error}");
        assert!(settings.set("dir", "").is_err());
        settings.set_folder(Path::new("a b")).unwrap();
        assert_eq!((settings.get("dir"), settings.folder()), ("a b".into(), PathBuf::from("a b")));
        settings.set("dir", "c").unwrap();
        assert_eq!(settings.folder(), PathBuf::from("c"));
    }

    #[test]
    fn the_level_of_the_log_changes_where_a_program_logs() {
        let settings = Settings::default();
        assert!(settings.set_live(&[("loglevel", "debug")]).is_err());
        let heard = std::sync::Arc::new(Mutex::new(String::new()));
        let hears = std::sync::Arc::clone(&heard);
        settings.on_log_level(move |level| *hears.lock().unwrap() = level.to_owned());
        settings.set_live(&[("loglevel", "Debug")]).unwrap();
        assert_eq!(*heard.lock().unwrap(), "debug");
    }
}
