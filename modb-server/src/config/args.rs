//! The command line of `modb-server`: `--name value` for every parameter, and a few words of its own.

use std::path::PathBuf;

use super::{Change, ConfigError, Kind, PARAMS, Settings};

/// What the program was asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked {
    /// To serve.
    Serve {
        /// The configuration file, if one was named.
        file: Option<PathBuf>,
    },
    /// To say how it is used.
    Help,
    /// To say which version it is.
    Version,
}

/// Reads the arguments (without the name of the program) into `settings`. What a file says is read first, so
/// that the command line has the last word.
///
/// # Errors
/// A wrong option, named, with a similar one where there is one.
pub fn read(args: impl IntoIterator<Item = String>, settings: &Settings) -> Result<Asked, ConfigError> {
    let mut given: Vec<(String, String)> = Vec::new();
    let mut file = None;
    let mut args: std::iter::Peekable<_> = args.into_iter().peekable();
    while let Some(word) = args.next() {
        let Some(name) = word.strip_prefix("--") else {
            match word.as_str() {
                "-h" => return Ok(Asked::Help),
                "-v" => return Ok(Asked::Version),
                _ => {
                    return Err(ConfigError::Source(format!(
                        "unexpected argument '{word}'; options are written --name value"
                    )));
                }
            }
        };
        match name {
            "help" => return Ok(Asked::Help),
            "version" => return Ok(Asked::Version),
            _ => {}
        }
        let (name, value) = match name.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (name.to_owned(), args.next()),
        };
        let Some(mut value) = value else {
            return Err(ConfigError::Source(format!("option --{name} needs a value")));
        };
        if name == "config" {
            file = Some(PathBuf::from(value));
            continue;
        }
        // `--bind 127.0.0.1 -::1` takes several words, as in Redis.
        if name == "bind" {
            while let Some(next) = args.next_if(|word| !word.starts_with("--")) {
                value = format!("{value} {next}");
            }
        }
        given.push((name, value));
    }
    if let Some(file) = &file {
        super::file::read(file, settings)?;
    }
    for (name, value) in given {
        settings.set(&name, &value)?;
    }
    Ok(Asked::Serve { file })
}

/// How the program is used.
pub fn help() -> String {
    let mut text = format!(
        "modb-server {} serves a Modb database over RESP, the protocol of Redis.\n\n\
         usage: modb-server [--config FILE] [--OPTION VALUE]...\n\n\
         \x20 modb-server check [FOLDER]    reads everything and says whether it is whole\n\
         \x20 modb-server backup TARGET     copies the data into a new folder, also while a server runs\n\
         \x20 modb-server restore BACKUP    makes the data folder from a backup, and checks it\n\
         \x20 modb-server compact           gives back the space of what was removed\n\n\
         These take the same options, are about the data folder --dir, and end with the status 0 (done, no damage), \
         1 (the data is damaged) or 2 (it could not be done).\n\n\
         FILE is TOML with the same options; the command line has the last word.\n\n",
        env!("CARGO_PKG_VERSION")
    );
    for param in PARAMS.iter().filter(|param| param.change != Change::Kept) {
        let value = match param.kind {
            Kind::Text | Kind::Engine | Kind::Percentiles => "TEXT".to_owned(),
            Kind::YesNo => "yes|no".to_owned(),
            Kind::Number { .. } | Kind::OnlyZero(_) => "NUMBER".to_owned(),
            Kind::Memory { .. } | Kind::Share => "BYTES".to_owned(),
            Kind::OneOf(words) => words.join("|"),
        };
        let default = if param.default.is_empty() { String::new() } else { format!(" [{}]", param.default) };
        text += &format!("  --{} {value}\n        {}{default}\n", param.name, param.help);
    }
    text + "  --version\n  --help\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> (Result<Asked, String>, Settings) {
        let settings = Settings::default();
        let asked = read(line.split_whitespace().map(str::to_owned), &settings);
        (asked.map_err(|error| error.to_string()), settings)
    }

    #[test]
    fn options_are_read_in_both_forms() {
        let (asked, settings) = parse("--port 7 --bind 0.0.0.0 -::1 --durability=always --databases 3");
        assert_eq!(asked, Ok(Asked::Serve { file: None }));
        let got = ["port", "bind", "durability", "appendfsync", "databases"].map(|name| settings.get(name));
        assert_eq!(got, ["7", "0.0.0.0 -::1", "always", "always", "3"]);
    }

    #[test]
    fn wrong_options_are_named() {
        assert_eq!(parse("--prot 7").0.unwrap_err(), "unknown option 'prot'; did you mean 'port'?");
        assert_eq!(parse("--port").0.unwrap_err(), "option --port needs a value");
        assert_eq!(
            parse("7000").0.unwrap_err(),
            "unexpected argument '7000'; options are written --name value"
        );
        assert_eq!(parse("--port x").0.unwrap_err(), "port: must be a number from 0 to 65535");
        assert_eq!(parse("--help").0, Ok(Asked::Help));
        assert!(help().contains("--durability always|everysec|os"));
    }
}
