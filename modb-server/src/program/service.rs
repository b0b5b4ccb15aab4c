//! `modb-server service`: makes the program a service of the system, takes it away, says how it is; and is it.
//!
//! Invariants: what would not start is not installed; the service runs in the folder in which it was installed, so that paths
//! mean what they meant; a password never stands in what the service manager shows to everybody.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::main;
use crate::care::{DAMAGED, DONE, FAILED};
use crate::config::Settings;
use crate::config::args::{self, Asked};
use crate::output::{complain, say, with_causes};
use crate::sys::service::{self, ACCOUNT, NAME, State};
use crate::sys::{self};

/// The word that it begins with.
pub(super) const WORD: &str = "service";
/// What the service manager has this program do; the folder stands behind it, and then what was given to `install`.
const RUN: &str = "run";
/// The log of a service, which has no standard error, in its folder.
const LOG_FILE: &str = "modb-server.log";

const USAGE: &str = "modb-server service install [OPTIONS], service remove or service status";

/// Does what `words`, those behind [`WORD`], say.
pub(super) fn command(words: &[OsString]) -> u8 {
    let (action, rest) = words.split_first().map_or((OsStr::new(""), words), |(word, rest)| (word, rest));
    let done = match (action.to_str(), rest) {
        (Some("install"), options) => install(options),
        (Some("remove"), []) => {
            service::remove().map(|()| (format!("the service '{NAME}' is removed"), DONE)).map_err(told)
        }
        (Some("status"), []) => service::state().map(shown).map_err(told),
        (Some(RUN), [folder, options @ ..]) => return run(Path::new(folder), options.to_vec()),
        _ => Err(format!("{USAGE}?")),
    };
    match done.and_then(|(text, status)| say(&format!("{text}\n")).map(|()| status).map_err(told)) {
        Ok(status) => status,
        Err(why) => {
            complain(&format!("modb-server service: {why}"));
            FAILED
        }
    }
}

fn told(error: std::io::Error) -> String {
    with_causes(&error)
}

fn shown(state: State) -> (String, u8) {
    match state {
        State::Running { pid: Some(pid) } => (format!("the service '{NAME}' runs: pid={pid}"), DONE),
        State::Running { pid: None } => (format!("the service '{NAME}' runs"), DONE),
        State::Stopped { status } => (format!("the service '{NAME}' does not run: status={status}"), DAMAGED),
        State::NotInstalled => (format!("there is no service '{NAME}'"), DAMAGED),
    }
}

fn install(options: &[OsString]) -> Result<(String, u8), String> {
    let settings = Settings::default();
    match args::read(options.to_vec(), &settings) {
        Ok(Asked::Serve { .. }) => {}
        Ok(_) => return Err(format!("what a service does is serve: {USAGE}")),
        Err(error) => return Err(with_causes(&error)),
    }
    if options.iter().any(|word| {
        word.as_encoded_bytes().starts_with(b"--requirepass")
            && !word.as_encoded_bytes().starts_with(b"--requirepass-file")
    }) {
        return Err(
            "a password on the command line of a service is seen by everybody: use --requirepass-file".into(),
        );
    }
    let folder = std::env::current_dir().map_err(told)?;
    let mut words: Vec<OsString> = vec![WORD.into(), RUN.into(), folder.clone().into()];
    words.extend_from_slice(options);
    service::install(words).map_err(told)?;
    let data = std::path::absolute(settings.folder()).map_err(told)?;
    let mut text = format!(
        "the service '{NAME}' is installed; it starts with the system, or now with: sc start {NAME}\n\
         It runs as {ACCOUNT} in {}, where its log is, too ({LOG_FILE}): {}",
        folder.display(),
        sys::let_in(&folder, ACCOUNT),
    );
    if !data.starts_with(&folder) {
        text += &format!("\nThe same for the data: {}", sys::let_in(&data, ACCOUNT));
    }
    Ok((text, DONE))
}

/// Is the service.
fn run(folder: &Path, options: Vec<OsString>) -> u8 {
    let folder = folder.to_owned();
    let served = service::run(Box::new(move |listen| {
        // If that fails, so does the data folder, and says so as far as anybody hears.
        let _ = std::env::set_current_dir(folder);
        let _ = service::send_errors_to(Path::new(LOG_FILE));
        main(options, |on_end| listen(Box::new(on_end)))
    }));
    match served {
        Ok(status) => status,
        Err(error) => {
            complain(&format!("modb-server service: this is for the service manager alone: {}", told(error)));
            FAILED
        }
    }
}
