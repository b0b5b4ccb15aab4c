//! The password from where other users of the machine do not see it: a file of its own, or the environment.
//!
//! Invariants: what is set as an option has the last word over the environment, and contradicts a file; a password that came
//! from outside is not written into the file of options, nor into a message.

use std::ffi::OsString;

use super::{ConfigError, Settings};

/// The variable that may hold it; `modb-client` reads the same.
pub(super) const VARIABLE: &str = "MODB_PASSWORD";

/// Takes the password from the file that is named, else from the environment.
pub(super) fn take(settings: &Settings, environment: Option<OsString>) -> Result<(), ConfigError> {
    let file = settings.get("requirepass-file");
    let password = match (file.is_empty(), settings.has_password(), environment) {
        (true, true, _) | (true, _, None) => return Ok(()),
        (true, false, Some(value)) => {
            value.into_string().map_err(|_| invalid(format!("{VARIABLE} must be text in UTF-8")))?
        }
        (false, true, _) => {
            return Err(invalid(format!("is {file}, and requirepass is set as well: set one of them")));
        }
        (false, false, _) => read(&file)?,
    };
    settings.set("requirepass", &password)?;
    let _ = settings.outside_password.set(password);
    Ok(())
}

/// The only line of a file.
fn read(file: &str) -> Result<String, ConfigError> {
    let text =
        std::fs::read_to_string(file).map_err(|error| invalid(format!("cannot read {file}: {error}")))?;
    let line = text.strip_suffix('\n').map_or(&*text, |line| line.strip_suffix('\r').unwrap_or(line));
    match line {
        "" => Err(invalid(format!("{file} is empty"))),
        _ if line.contains('\n') => Err(invalid(format!("{file} has more than one line"))),
        _ => Ok(line.to_owned()),
    }
}

fn invalid(why: String) -> ConfigError {
    ConfigError::Invalid { name: "requirepass-file", why }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(options: &[(&str, &str)], environment: Option<&str>) -> Result<String, String> {
        let settings = Settings::default();
        options.iter().for_each(|(name, value)| settings.set(name, value).unwrap());
        take(&settings, environment.map(OsString::from)).map_err(|error| error.to_string())?;
        Ok(settings.get("requirepass"))
    }

    #[test]
    fn an_option_goes_before_the_environment_and_contradicts_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        let file = path.to_str().unwrap();
        std::fs::write(&path, " se cret \r\n").unwrap();
        assert_eq!(taken(&[], None), Ok(String::new()));
        assert_eq!(taken(&[], Some("e")), Ok("e".into()));
        assert_eq!(taken(&[("requirepass", "o")], Some("e")), Ok("o".into()));
        assert_eq!(taken(&[("requirepass-file", file)], Some("e")), Ok(" se cret ".into()));
        let both = taken(&[("requirepass-file", file), ("requirepass", "o")], None).unwrap_err();
        assert!(both.ends_with("set one of them"), "{both}");
        for (content, part) in [("", "is empty"), ("\n", "is empty"), ("a\nb\n", "more than one line")] {
            std::fs::write(&path, content).unwrap();
            let error = taken(&[("requirepass-file", file)], None).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        let missing = taken(&[("requirepass-file", "no-such-file")], None).unwrap_err();
        assert!(missing.contains("cannot read no-such-file"), "{missing}");
    }

    #[test]
    fn a_password_from_outside_is_not_written_into_the_file_of_options() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("modb.toml");
        std::fs::write(&path, "port = 7\n").unwrap();
        let settings = Settings::default();
        take(&settings, Some("outside".into())).unwrap();
        settings.rewrite(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "port = 6379\n");
        // One that was set since is nowhere else.
        settings.set_live(&[("requirepass", "new")]).unwrap();
        settings.rewrite(&path).unwrap();
        assert!(std::fs::read_to_string(&path).unwrap().contains("requirepass = \"new\""));
    }
}
