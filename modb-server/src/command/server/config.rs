//! `CONFIG` and its subcommands.

use modb_net::resp::Args;

use crate::command::language::error::err;
use crate::command::language::parse::lossy;
use crate::command::{CommandError, Ctx, Reply};
use crate::config::{ConfigError, Settings};
use crate::data::glob_matches;

pub(crate) fn get(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let wanted = |name: &str| args.iter().skip(2).any(|pattern| glob_matches(pattern, name.as_bytes(), true));
    let all = ctx.instance.settings.all().into_iter().filter(|(name, _)| wanted(name));
    let shown = |(name, value)| match name {
        // What it is wherever the server was started, and as bytes, since a path need not be text.
        "dir" => (Reply::text(name), Reply::Bulk(folder(&ctx.instance.settings).into())),
        _ => (Reply::text(name), Reply::string(value)),
    };
    Ok(Reply::Map(all.map(shown).collect()))
}

/// The whole name of the data folder.
fn folder(settings: &Settings) -> Vec<u8> {
    let folder = settings.folder();
    std::path::absolute(&folder).unwrap_or(folder).into_os_string().into_encoded_bytes()
}

/// Warns, once for each, of options that were set and have no effect.
pub fn warn_of_idle(settings: &Settings) {
    for param in settings.take_idle() {
        tracing::warn!("the option {} has no effect: {}", param.name, param.help);
    }
}

/// Warns of a server that anybody may read and change.
pub fn warn_of_open_door(settings: &Settings) {
    if settings.is_open_to_all() {
        tracing::warn!(
            bind = settings.get("bind"),
            "anybody who reaches this server can read and change everything: protected-mode is no, and there is no \
             password; set requirepass"
        );
    }
}

pub(crate) fn set(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    if !args.len().is_multiple_of(2) {
        return Err(CommandError::Syntax);
    }
    let words: Vec<String> = args.iter().skip(2).map(lossy).collect();
    let pairs: Vec<(&str, &str)> = words.chunks_exact(2).map(|pair| (&*pair[0], &*pair[1])).collect();
    let settings = &ctx.instance.settings;
    let was_open = settings.is_open_to_all();
    settings.set_live(&pairs).map_err(|(name, error)| config_failed(&name, &error))?;
    warn_of_idle(settings);
    if !was_open {
        warn_of_open_door(settings);
    }
    ctx.instance.apply_settings();
    ctx.network.apply(settings);
    Ok(Reply::Ok)
}

pub(crate) fn rewrite(ctx: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    let Some(path) = ctx.instance.config_file.get() else {
        return err("ERR The server is running without a config file");
    };
    match ctx.instance.settings.rewrite(path) {
        Ok(()) => Ok(Reply::Ok),
        Err(error) => Err(format!("ERR Rewriting config file: {error}").into()),
    }
}

pub(crate) fn resetstat(ctx: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    ctx.instance.reset_counts(ctx.network);
    Ok(Reply::Ok)
}

/// The reply to a `CONFIG SET` that failed because of one parameter.
fn config_failed(name: &str, error: &ConfigError) -> CommandError {
    let why = match error {
        ConfigError::Unknown { .. } => {
            return format!("ERR Unknown option or number of arguments for CONFIG SET - '{name}'").into();
        }
        ConfigError::Immutable(_) => "can't set immutable config".to_owned(),
        ConfigError::Duplicate(_) => "duplicate parameter".to_owned(),
        ConfigError::Invalid { why, .. } => why.clone(),
        other => other.to_string(),
    };
    format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {why}").into()
}
