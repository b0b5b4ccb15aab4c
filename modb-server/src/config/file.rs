//! The configuration file: TOML with the options of the command line.

use std::io::Write as _;
use std::path::Path;

use toml_edit::{DocumentMut, Item, Value};

use super::{ConfigError, PARAMS, Settings};

/// Reads a file into `settings`.
///
/// # Errors
/// If it cannot be read, is no TOML, or has a wrong option.
pub fn read(path: &Path, settings: &Settings) -> Result<(), ConfigError> {
    let place = path.display();
    let bytes =
        std::fs::read(path).map_err(|error| ConfigError::File(format!("cannot read {place}: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let line =
            error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
        ConfigError::File(format!("{place}: line {line} is no text in UTF-8"))
    })?;
    // Some editors put a mark in front that says which text it is.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    apply(text, settings).map_err(|error| ConfigError::File(format!("{place}: {error}")))
}

fn apply(text: &str, settings: &Settings) -> Result<(), ConfigError> {
    let document: DocumentMut = text
        .parse()
        .map_err(|error: toml_edit::TomlError| ConfigError::File(error.to_string().trim_end().to_owned()))?;
    let mut seen = Vec::new();
    for (name, item) in document.iter() {
        let value = item.as_value().and_then(as_text);
        let Some(value) = value else {
            return Err(ConfigError::File(format!("option '{name}' must be text, a number, true or false")));
        };
        // TOML has no dashes in bare keys of other tools' making: both forms are taken.
        let plain = name.replace('_', "-").to_lowercase();
        settings.set(&plain, &value)?;
        if seen.contains(&plain) {
            return Err(ConfigError::File(format!("option '{name}' stands there twice")));
        }
        seen.push(plain);
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
/// included, stays. An option that stands there under its other name keeps it.
///
/// # Errors
/// If the file cannot be read or replaced.
pub fn rewrite(path: &Path, settings: &Settings) -> Result<(), ConfigError> {
    let failed = |error: &dyn std::fmt::Display| ConfigError::File(format!("{}: {error}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| failed(&error))?;
    let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| failed(&error))?;
    let defaults = Settings::default();
    let dir_is_text = settings.folder().to_str().is_some();
    let is_written = |name| match name {
        "dir" => dir_is_text,
        "requirepass" => !settings.keeps_password_outside(),
        _ => true,
    };
    for param in PARAMS.iter().filter(|param| is_written(param.name)) {
        let (name, value) = (param.name, settings.get(param.name));
        let names =
            [Some(name), param.alias, TWINS.iter().find(|(one, _)| *one == name).map(|(_, other)| *other)];
        let stands = names.into_iter().flatten().any(|name| document.contains_key(name));
        for name in [Some(name), param.alias].into_iter().flatten() {
            let there = document.get(name).and_then(Item::as_value).and_then(as_text);
            if there.is_some_and(|there| there != value) {
                set(&mut document, name, &value);
            }
        }
        if !stands && defaults.get(name) != value && !TWINS.iter().any(|(_, other)| *other == name) {
            set(&mut document, name, &value);
        }
    }
    replace(path, document.to_string().as_bytes()).map_err(|error| failed(&error))
}

/// Two options for one thing, of which setting one sets both: the second is written only if it stands there already, or
/// whoever changes the first by hand would change nothing.
const TWINS: [(&str, &str); 1] = [("durability", "appendfsync")];

/// Changes a value where it stands, with the comment behind it, or adds it at the end.
fn set(document: &mut DocumentMut, name: &str, value: &str) {
    let mut new = value.parse::<i64>().map_or_else(|_| Value::from(value), Value::from);
    if let Some(old) = document.get(name).and_then(Item::as_value) {
        *new.decor_mut() = old.decor().clone();
    }
    document.insert(name, Item::Value(new));
}

/// A crash in between leaves the old file or the new one. Who could not read the old one cannot read the new one: it may
/// hold a password.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    // The file itself, if the name is a link.
    let path = path.canonicalize()?;
    let new = path.with_extension("new");
    let mut file = std::fs::File::create(&new)?;
    file.set_permissions(std::fs::metadata(&path)?.permissions())?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    std::fs::rename(&new, &path)
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
        for twice in ["port = 7\nPORT = 8", "min-free-mb = 5\nmin_free_mb = 5"] {
            assert!(
                apply(twice, &settings).unwrap_err().to_string().ends_with("stands there twice"),
                "{twice}"
            );
        }
        assert!(apply("[section]\nport = 7", &settings).is_err());
        let error = apply("port = 1\ndir = ", &settings).unwrap_err().to_string();
        assert!(
            error.contains("line 2") && error.lines().any(|line| line.trim_end().ends_with('^')),
            "{error}"
        );
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

    #[test]
    fn rewriting_writes_one_name_for_one_thing_and_keeps_what_stands_behind_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("modb.toml");
        for (before, after) in [
            ("port = 7 # seven\n", "port = 8 # seven\ndurability = \"os\"\nhash-max-listpack-entries = 5\n"),
            (
                "appendfsync = \"always\"\nhash-max-ziplist-entries = 4\nport = 9\n",
                "appendfsync = \"no\"\nhash-max-ziplist-entries = 5\nport = 8\n",
            ),
        ] {
            std::fs::write(&path, before).unwrap();
            let settings = Settings::default();
            read(&path, &settings).unwrap();
            for (name, value) in [("port", "8"), ("durability", "os"), ("hash-max-listpack-entries", "5")] {
                settings.set(name, value).unwrap();
            }
            rewrite(&path, &settings).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), after);
        }
    }

    #[test]
    fn a_rewritten_file_is_as_open_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("modb.toml");
        std::fs::write(&path, "port = 7\n").unwrap();
        let mut permissions = std::fs::metadata(&path).unwrap().permissions();
        permissions.set_readonly(true);
        std::fs::set_permissions(&path, permissions.clone()).unwrap();
        let settings = Settings::default();
        settings.set("requirepass", "secret").unwrap();
        // Windows does not replace a file that is read-only.
        if rewrite(&path, &settings).is_ok() {
            assert_eq!(std::fs::metadata(&path).unwrap().permissions(), permissions);
            assert!(std::fs::read_to_string(&path).unwrap().contains("secret"));
        }
    }
}
