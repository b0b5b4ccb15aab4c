//! The configuration: one table of parameters, their values, and where they come from.
//!
//! The command line, the file, `CONFIG GET`, `CONFIG SET` and `CONFIG REWRITE` all read the table in
//! `params`. Pure, but for the `cli` feature, whose modules read arguments and a file.
//! Invariant: every value that is kept has passed its parameter's check.

#[cfg(feature = "cli")]
pub mod args;
#[cfg(feature = "cli")]
pub mod file;
mod params;
mod values;

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::sync::{PoisonError, RwLock};

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
    /// The command line or the file cannot be read.
    #[error("{0}")]
    Source(String),
}

fn hint(similar: &Option<&'static str>) -> String {
    similar.map_or_else(String::new, |name| format!("; did you mean '{name}'?"))
}

/// The values of all parameters.
pub struct Settings {
    /// In the order of [`PARAMS`].
    values: RwLock<Vec<String>>,
    hot: Hot,
}

/// What is read for every command or connection, without a lock.
#[derive(Default)]
struct Hot {
    has_password: AtomicBool,
    slowlog_us: AtomicI64,
    latency_tracking: AtomicBool,
    max_bulk_bytes: AtomicU32,
}

impl Default for Settings {
    fn default() -> Self {
        let default = |param| values::check(param, param.default).expect("defaults pass, as a test shows");
        let settings =
            Self { values: RwLock::new(PARAMS.iter().map(default).collect()), hot: Hot::default() };
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
        let value = values::check(param, value)?;
        // Two names for one thing: whichever is set, both show it.
        let twin = match param.name {
            "durability" => Some(("appendfsync", if value == "os" { "no" } else { value.as_str() })),
            "appendfsync" => Some(("durability", if value == "no" { "os" } else { value.as_str() })),
            _ => None,
        };
        if let Some((name, value)) = twin {
            self.write(&mut [(params::find(name)?.0, value.to_owned())]);
        }
        self.write(&mut [(at, value)]);
        Ok(())
    }

    /// Sets parameters while the server runs: all of them or none.
    ///
    /// # Errors
    /// The parameter that failed, and why.
    pub fn set_live(&self, pairs: &[(&str, &str)]) -> Result<(), (String, ConfigError)> {
        let mut checked = Vec::with_capacity(pairs.len());
        for (name, value) in pairs {
            let one = || {
                let (at, param) = params::find(name)?;
                if param.change == Change::AtStart {
                    return Err(ConfigError::Immutable(param.name));
                }
                Ok((at, values::check(param, value)?))
            };
            checked.push(one().map_err(|error| ((*name).to_owned(), error))?);
        }
        self.write(&mut checked);
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
        self.hot.latency_tracking.store(self.is_yes("latency-tracking"), Ordering::Relaxed);
        let bulk = u32::try_from(self.number("proto-max-bulk-len")).unwrap_or(u32::MAX);
        self.hot.max_bulk_bytes.store(bulk, Ordering::Relaxed);
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
    pub fn rewrite(&self, path: &std::path::Path) -> Result<(), ConfigError> {
        #[cfg(feature = "cli")]
        return file::rewrite(path, self);
        #[cfg(not(feature = "cli"))]
        Err(ConfigError::Source(format!("{}: built without configuration files", path.display())))
    }

    /// Whether clients must give a password.
    pub fn has_password(&self) -> bool {
        self.hot.has_password.load(Ordering::Acquire)
    }

    /// Commands that take at least so many microseconds are logged; negative: none.
    pub fn slowlog_us(&self) -> i64 {
        self.hot.slowlog_us.load(Ordering::Relaxed)
    }

    /// Whether the time that commands take is measured.
    pub fn times_commands(&self) -> bool {
        self.hot.latency_tracking.load(Ordering::Relaxed) || self.slowlog_us() >= 0
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
            let kept = values::check(param, param.default).unwrap();
            assert_eq!(values::check(param, &kept), Ok(kept), "{}", param.name);
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
            ("protected-mode", "maybe", "protected-mode: must be yes or no"),
            ("maxmemory", "100mb", "maxmemory: Modb keeps its data on disk and evicts nothing; see cache-mb"),
        ] {
            assert_eq!(settings.set(name, value).unwrap_err().to_string(), why);
        }
        settings.set("proto-max-bulk-len", "16mb").unwrap();
        assert_eq!(settings.get("proto-max-bulk-len"), "16777216");
    }
}
