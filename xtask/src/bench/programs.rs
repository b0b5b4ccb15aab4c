//! The programs that benches run: built here as they are released, or taken from a folder, for a machine that cannot build.
//!
//! `cargo xtask bench programs FOLDER` makes such a folder, this program with it. Where [`CARRIED`] names one nothing is built, and
//! cargo, git and the sources are not needed.
//!
//! Invariant: a folder is whole or of no use. What it lacks is a failure, never built in its place: it would be another program.

use std::path::{Path, PathBuf};

use super::base;
use crate::artifacts;
use crate::failure::{Context as _, Result};
use crate::process;
use crate::workspace;

pub(crate) const USAGE: &str = "cargo xtask bench programs FOLDER";

/// The variable that names the folder.
const CARRIED: &str = "MODB_BENCH_PROGRAMS";

/// In the folder: which commit it is of.
const COMMIT: &str = "commit";

/// Benches of `modb-net` that are programs of their own.
const OF_THE_LAYER: [&str; 3] = ["bare", "handoff", "notify"];

/// `modb-server` of the working tree.
pub(super) fn server() -> Result<PathBuf> {
    carried("modb-server").unwrap_or_else(|| build("modb-server"))
}

/// `modb-client` of the working tree.
pub(super) fn client() -> Result<PathBuf> {
    carried("modb-client").unwrap_or_else(|| build("modb-client"))
}

/// `modb-server` of an earlier commit.
pub(super) fn server_of(commit: &str) -> Result<PathBuf> {
    carried(&format!("modb-server-{commit}")).unwrap_or_else(|| base::build(commit))
}

/// A bench of `modb-net`.
pub(super) fn of_the_layer(name: &str) -> Result<PathBuf> {
    carried(name).unwrap_or_else(|| build_bench(name))
}

/// What the programs are made of.
pub(super) fn commit() -> Option<String> {
    match folder() {
        Some(folder) => std::fs::read_to_string(folder.join(COMMIT)).ok(),
        None => {
            process::answer(process::command("git").args(["describe", "--always", "--dirty", "--abbrev=12"]))
        }
    }
}

/// `cargo xtask bench programs`: everything that benches run, built and put into one folder.
pub(super) fn run(args: &[String]) -> Result<()> {
    let [to] = args else { return Err(format!("programs takes one folder\n{USAGE}").into()) };
    if folder().is_some() {
        return Err(format!("nothing is built while {CARRIED} is set").into());
    }
    let to = Path::new(to);
    workspace::make_folder(to)?;
    let own = std::env::current_exe().context("where this program is")?;
    let mut programs = vec![
        ("modb-server".to_owned(), server()?),
        ("modb-client".to_owned(), client()?),
        (format!("modb-server-{}", base::DEFAULT), server_of(base::DEFAULT)?),
        ("xtask".to_owned(), own),
    ];
    for name in OF_THE_LAYER {
        programs.push((name.to_owned(), of_the_layer(name)?));
    }
    for (name, program) in programs {
        std::fs::copy(&program, to.join(file(&name)))
            .context(format_args!("cannot copy {}", program.display()))?;
    }
    std::fs::write(to.join(COMMIT), commit().unwrap_or_default()).context("which commit it is")?;
    println!("Elsewhere: {CARRIED}=FOLDER FOLDER/{} bench ...", file("xtask"));
    Ok(())
}

fn folder() -> Option<PathBuf> {
    std::env::var_os(CARRIED).filter(|folder| !folder.is_empty()).map(PathBuf::from)
}

fn file(name: &str) -> String {
    format!("{name}{}", std::env::consts::EXE_SUFFIX)
}

/// The program of that name in the folder, if one is named.
fn carried(name: &str) -> Option<Result<PathBuf>> {
    let program = folder()?.join(file(name));
    let there = std::path::absolute(&program).context(format_args!("{}", program.display()));
    Some(there.and_then(|program| match program.is_file() {
        true => Ok(program),
        false => Err(format!("{CARRIED}: there is no {}", program.display()).into()),
    }))
}

/// Builds a program of the workspace as it is released, and says where it is.
fn build(package: &str) -> Result<PathBuf> {
    process::run(process::cargo().args(["build", "--release", "--quiet", "-p", package, "--bin", package]))?;
    Ok(workspace::target_dir().join("release").join(file(package)))
}

/// Builds a bench as benches are built, and finds out from cargo where it is.
fn build_bench(name: &str) -> Result<PathBuf> {
    let mut cargo = process::cargo();
    cargo.args(["bench", "--quiet", "-p", "modb-net", "--bench", name, "--no-run"]);
    cargo.arg("--message-format=json");
    let output = process::run_quietly(&mut cargo)?;
    let built = artifacts::programs(&String::from_utf8_lossy(&output.stdout));
    let path = built.into_iter().find(|program| program.name == name).map(|program| program.program);
    path.ok_or_else(|| format!("cargo did not say where the bench {name} is").into())
}
