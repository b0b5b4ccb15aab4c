//! Checking values, and the form in which they are kept. Pure.

use crate::messages::Classes;
use crate::store::EngineKind;

use super::amount::memory;
use super::{ConfigError, Kind, Param};

/// The value in the form in which `CONFIG GET` shows it; `before`: the one that it replaces.
pub(super) fn check(param: &'static Param, value: &str, before: &str) -> Result<String, ConfigError> {
    let invalid = |why: String| Err(ConfigError::Invalid { name: param.name, why });
    match param.kind {
        Kind::Text | Kind::Called(_) => Ok(value.to_owned()),
        Kind::YesNo => match value.to_ascii_lowercase().as_str() {
            word @ ("yes" | "no") => Ok(word.to_owned()),
            "true" => Ok("yes".to_owned()),
            "false" => Ok("no".to_owned()),
            _ => invalid("must be yes or no".into()),
        },
        Kind::Number { min, max } => match value.parse::<i64>() {
            Ok(number) if (min..=max).contains(&number) => Ok(number.to_string()),
            _ => invalid(format!("must be a number from {min} to {max}")),
        },
        Kind::Memory { min, max } => match memory(value) {
            Some(bytes) if (min..=max).contains(&bytes) => Ok(bytes.to_string()),
            _ => invalid(format!("must be an amount of memory from {min} to {max}, such as 16mb")),
        },
        Kind::Share => {
            let percent = value.strip_suffix('%').and_then(|percent| percent.parse::<u8>().ok());
            match (percent, memory(value)) {
                (Some(percent @ 1..=100), _) => Ok(format!("{percent}%")),
                (None, Some(bytes)) => Ok(bytes.to_string()),
                _ => invalid("must be an amount of memory such as 256mb, or a percentage such as 5%".into()),
            }
        }
        Kind::OneOf(words) => {
            let value = value.to_ascii_lowercase();
            if words.contains(&value.as_str()) {
                Ok(value)
            } else {
                invalid(format!("must be one of {}", words.join(", ")))
            }
        }
        Kind::Outputs => super::outputs::merged(before, value).or_else(invalid),
        Kind::Events => match Classes::parse(value) {
            Some(classes) => Ok(classes.to_string()),
            None => invalid("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.".into()),
        },
        Kind::Percentiles => {
            let fits = |word: &str| word.parse().is_ok_and(|number: f64| (0.0..=100.0).contains(&number));
            if value.split_whitespace().all(fits) {
                Ok(value.split_whitespace().collect::<Vec<_>>().join(" "))
            } else {
                invalid("must be numbers from 0 to 100, with spaces between".into())
            }
        }
        Kind::Engine if value.is_empty() => Ok(EngineKind::default().name().to_owned()),
        Kind::Engine => match value.parse::<EngineKind>() {
            Ok(engine) => Ok(engine.name().to_owned()),
            Err(why) => invalid(why),
        },
        Kind::Mode => match u32::from_str_radix(value, 8) {
            Ok(0..=0o777) => Ok(value.to_owned()),
            _ if value.is_empty() => Ok(String::new()),
            _ => invalid("must be permissions in three octal digits, such as 700".into()),
        },
        Kind::Folder if value.is_empty() => invalid("must name a folder".into()),
        Kind::Folder => match value.chars().find(|c| c.is_control()) {
            Some(found) => invalid(format!(
                "the name of the folder holds a control character ({}); in TOML, a path with backslashes stands in \
                 single quotes",
                found.escape_default()
            )),
            None => Ok(value.to_owned()),
        },
        Kind::Only(only, why) => {
            let word = match value.to_ascii_lowercase().as_str() {
                "true" => "yes".to_owned(),
                "false" => "no".to_owned(),
                _ => value.to_owned(),
            };
            if word.eq_ignore_ascii_case(only) {
                Ok(only.to_owned())
            } else {
                invalid(format!("can only be {}: {why}", if only.is_empty() { "empty" } else { only }))
            }
        }
        Kind::OnlyZero(why) => match memory(value) {
            Some(0) => Ok("0".to_owned()),
            _ => invalid(why.to_owned()),
        },
    }
}
