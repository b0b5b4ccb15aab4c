//! `cargo xtask bench pages`: the README's table and chart, made of what is recorded in `docs/performance/`; and pages for a
//! browser. Measures nothing.

use std::path::{Path, PathBuf};

use super::page;
use super::record::Record;
use crate::failure::{Context as _, Result};
use crate::workspace;

pub(crate) const USAGE: &str = "cargo xtask bench pages [--html FOLDER]";

/// The record that the README shows.
const SHOWN: &str = "everysec";
const BEGIN: &str = "<!-- bench pages: begin -->\n";
const END: &str = "<!-- bench pages: end -->";

/// Where records are.
pub(super) fn folder() -> PathBuf {
    workspace::root().join("docs/performance")
}

pub(super) fn run(args: &[String]) -> Result<()> {
    match args {
        [] => write_readme(),
        [flag, folder] if flag == "--html" => write_pages(Path::new(folder)),
        [first, ..] => Err(format!("unknown option, or no folder after it: {first}\n{USAGE}").into()),
    }
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).context(format_args!("cannot read {}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).context(format_args!("cannot write {}", path.display()))
}

fn write_readme() -> Result<()> {
    let record = Record::read(&read(&folder().join(format!("{SHOWN}.md")))?)?;
    let fact =
        |name: &str| record.facts.iter().find(|(of, _)| of == name).map_or("", |(_, value)| value.as_str());
    let under = [
        "Values of 100 bytes, 50 connections, synced every second, two workers.".to_owned(),
        format!("{}; {}", fact("machine"), fact("recorded")),
    ];
    let chart = page::chart(&record.rows, "Requests per second, with the append-only file on", &under);
    write(&folder().join("beside-redis.svg"), &chart)?;
    let path = workspace::root().join("README.md");
    let readme = read(&path)?;
    let parts = readme.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let Some((before, after)) = parts else {
        return Err("the README has no place for the bench's table".into());
    };
    let table = page::table(&record.rows);
    write(
        &path,
        &format!(
            "{before}{BEGIN}{table}\n![Modb beside redis](docs/performance/beside-redis.svg)\n{END}{after}"
        ),
    )
}

/// A page for each record.
fn write_pages(target: &Path) -> Result<()> {
    workspace::make_folder(target)?;
    let files = std::fs::read_dir(folder()).context("cannot read docs/performance")?;
    for file in
        files.flatten().map(|file| file.path()).filter(|path| path.extension().is_some_and(|e| e == "md"))
    {
        // The folder has prose, too.
        let Ok(record) = Record::read(&read(&file)?) else { continue };
        if let (false, Some(name)) = (record.rows.is_empty(), file.file_stem()) {
            write(&target.join(name).with_extension("html"), &page::html(&record))?;
        }
    }
    Ok(())
}
