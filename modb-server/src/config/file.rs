//! The configuration file: TOML with the options of the command line.

use std::path::Path;

use toml_edit::{DocumentMut, Item, Value};

use super::{ConfigError, Settings};

/// Reads a file into `settings`.
///
/// # Errors
/// If it cannot be read, is no TOML, or has a wrong option.
pub fn read(path: &Path, settings: &Settings) -> Result<(), ConfigError> {
    let place = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| ConfigError::Source(format!("cannot read {place}: {error}")))?;
    apply(&text, settings).map_err(|error| ConfigError::Source(format!("{place}: {error}")))
}

fn apply(text: &str, settings: &Settings) -> Result<(), ConfigError> {
    let document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| {
        ConfigError::Source(error.to_string().trim_end().replace('\n', " "))
    })?;
    for (name, item) in document.iter() {
        let value = item.as_value().and_then(as_text);
        let Some(value) = value else {
            return Err(ConfigError::Source(format!(
                "option '{name}' must be text, a number, true or false"
            )));
        };
        // TOML has no dashes in bare keys of other tools' making: both forms are taken.
        settings.set(&name.replace('_', "-"), &value)?;
    }
    Ok(())
}

/// The value as it would stand on the command line. A list is its elements with spaces between.
fn as_text(value: &Value) -> Option<String> {
    Some(match value {
        Value::String(text) => text.value().clone(),
        Value::Integer(number) => number.value().to_string(),
        Value::Boolean(yes) => (if *yes.value() { "yes" } else { "no" }).to_owned(),
        Value::Array(items) => items.iter().map(as_text).collect::<Option<Vec<_>>>()?.join(" "),
        _ => return None,
    })
}

/// Writes the options that differ from their defaults into the file; what else stands there, comments
/// included, stays.
///
/// # Errors
/// If the file cannot be read or replaced.
pub fn rewrite(path: &Path, settings: &Settings) -> Result<(), ConfigError> {
    let failed = |error: &dyn std::fmt::Display| ConfigError::Source(format!("{}: {error}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| failed(&error))?;
    let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| failed(&error))?;
    let defaults = Settings::default();
    for (name, value) in settings.all() {
        let stands = document.contains_key(name);
        let same = document.get(name).and_then(Item::as_value).and_then(as_text).as_deref() == Some(&value);
        if (stands && !same) || (!stands && defaults.get(name) != value) {
            let value = value.parse::<i64>().map_or_else(|_| Value::from(value.as_str()), Value::from);
            document.insert(name, Item::Value(value));
        }
    }
    // A crash in between leaves the old file or the new one.
    let new = path.with_extension("new");
    std::fs::write(&new, document.to_string()).map_err(|error| failed(&error))?;
    std::fs::rename(&new, path).map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_the_options_of_the_command_line() {
        let settings = Settings::default();
        apply("port = 7\nbind = ['127.0.0.1', '-::1']\nprotected-mode = false\nmin_free_mb = 5", &settings)
            .unwrap();
        let got = ["port", "bind", "protected-mode", "min-free-mb"].map(|name| settings.get(name));
        assert_eq!(got, ["7", "127.0.0.1 -::1", "no", "5"]);
        assert_eq!(
            apply("prot = 7", &settings).unwrap_err().to_string(),
            "unknown option 'prot'; did you mean 'port'?"
        );
        assert!(apply("[section]\nport = 7", &settings).is_err());
        assert!(apply("port = ", &settings).unwrap_err().to_string().lines().count() == 1);
    }

    #[test]
    fn rewriting_keeps_comments_and_adds_what_differs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("modb.toml");
        std::fs::write(&path, "# mine\nport = 7 # seven\n").unwrap();
        let settings = Settings::default();
        read(&path, &settings).unwrap();
        settings.set_live(&[("slowlog-max-len", "9"), ("requirepass", "x")]).unwrap();
        rewrite(&path, &settings).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# mine\nport = 7 # seven\n"), "{text}");
        let again = Settings::default();
        read(&path, &again).unwrap();
        assert_eq!(again.all(), settings.all());
    }
}
