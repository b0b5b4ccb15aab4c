//! Wine: the prefix that the tests run in, and its server while they run.
//!
//! The prefix is the project's own, in the cache folder by Wine's version, and never the user's. Several runs may
//! share it: each holds a lock on it, and the last one to leave ends the server.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::LINKER;
use crate::failure::{Context as _, Result};
use crate::process;
use crate::workspace;

/// Debian 12 installs Wine outside the path.
const ELSEWHERE: &[&str] = &["/usr/lib/wine"];

/// Every Rust program for Windows asks this library for random numbers; Wine before 10 does not have it.
const SHIM: &str = "bcryptprimitives.dll";
const SHIM_SOURCE: &str = include_str!("bcryptprimitives.c");

/// An installed Wine with its prepared prefix.
pub(crate) struct Wine {
    program: PathBuf,
    server: PathBuf,
    prefix: PathBuf,
}

impl Wine {
    /// The Wine of this machine, if it is there and its prefix is prepared.
    pub(crate) fn installed() -> Result<Option<Self>> {
        Ok(Self::found()?.filter(Self::is_prepared))
    }

    /// Whether Wine itself is there, with or without its prefix.
    pub(crate) fn is_found() -> Result<bool> {
        Ok(Self::found()?.is_some())
    }

    /// Makes the prefix and puts into it what this Wine lacks; `true` if there was something to do. Wine must be
    /// installed.
    pub(crate) fn prepare() -> Result<bool> {
        let wine = Self::found()?.ok_or("wine64 is missing")?;
        if wine.is_prepared() {
            return Ok(false);
        }
        println!("setup: making a Wine prefix in {}", wine.prefix.display());
        // What an interrupted run left is not worth a guess.
        workspace::remove_folder(&wine.prefix)?;
        workspace::make_folder(&wine.prefix)?;
        wine.run(&["wineboot.exe", "--init"])?;
        wine.wait_for_server()?;
        let system = wine.prefix.join("drive_c/windows/system32");
        if !system.join(SHIM).exists() {
            build_shim(&system)?;
        }
        std::fs::write(wine.mark(), "").context(format_args!("cannot write {}", wine.mark().display()))?;
        Ok(true)
    }

    /// Keeps the server up as long as the session lives.
    pub(super) fn session(&self) -> Result<Session> {
        let path = self.prefix.join("in-use");
        let lock = File::create(&path).context(format_args!("cannot write {}", path.display()))?;
        lock.lock_shared().context("cannot lock the Wine prefix")?;
        let mut server = process::command(&self.server);
        self.configure(&mut server);
        // It stays in the background; with our output in its hands, whoever reads that would wait for it.
        server.arg("-p").stdout(Stdio::null()).stderr(Stdio::null());
        let status = server.status().context(format_args!("cannot start {}", self.server.display()))?;
        // 2: one is up already, that of another session or what a killed one left behind. It will do.
        if !matches!(status.code(), Some(0 | 2)) {
            return Err(format!("{} ended with {status}", self.server.display()).into());
        }
        Ok(Session { server: self.server.clone(), prefix: self.prefix.clone(), lock })
    }

    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    /// The environment in which a program runs under this Wine.
    pub(super) fn configure(&self, command: &mut Command) {
        configure(command, &self.prefix);
    }

    fn found() -> Result<Option<Self>> {
        let find = |names: [&str; 2]| names.into_iter().find_map(|name| process::find(name, ELSEWHERE));
        let (Some(program), Some(server)) = (find(["wine64", "wine"]), find(["wineserver64", "wineserver"]))
        else {
            return Ok(None);
        };
        let Some(version) = process::answer(process::command(&program).arg("--version")) else {
            return Ok(None);
        };
        let version: String = version.split_whitespace().next().unwrap_or("wine").to_owned();
        let prefix = workspace::cache()?.join("wine").join(version);
        Ok(Some(Self { program, server, prefix }))
    }

    fn mark(&self) -> PathBuf {
        self.prefix.join("prepared")
    }

    fn is_prepared(&self) -> bool {
        self.mark().exists()
    }

    fn run(&self, args: &[&str]) -> Result<()> {
        let mut wine = process::command(&self.program);
        self.configure(&mut wine);
        process::run_quietly(wine.args(args)).map(drop)
    }

    /// Until the last program in the prefix has ended and the server has written its registry.
    fn wait_for_server(&self) -> Result<()> {
        let mut server = process::command(&self.server);
        self.configure(&mut server);
        process::run(server.arg("-w").stdout(Stdio::null()).stderr(Stdio::null()))
    }
}

fn configure(command: &mut Command, prefix: &Path) {
    command
        .env("WINEPREFIX", prefix)
        .env("WINEDEBUG", "-all")
        // Neither .NET nor a browser is needed; without this Wine asks whether to download them.
        .env("WINEDLLOVERRIDES", "mscoree,mshtml=")
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY");
}

fn build_shim(system: &Path) -> Result<()> {
    println!("setup: this Wine lacks {SHIM}, building it");
    let source = system.join("bcryptprimitives.c");
    std::fs::write(&source, SHIM_SOURCE).context(format_args!("cannot write {}", source.display()))?;
    let mut gcc = process::command(LINKER);
    gcc.args(["-shared", "-O2", "-o"]).arg(system.join(SHIM)).arg(&source).arg("-ladvapi32");
    process::run_quietly(&mut gcc).map(drop)
}

/// Wine's server, kept up; the last session of a prefix ends it, and with it whatever still runs in there.
pub(crate) struct Session {
    server: PathBuf,
    prefix: PathBuf,
    lock: File,
}

impl Drop for Session {
    fn drop(&mut self) {
        // Another run in the same prefix still holds its shared lock: then the server is its to end. A failure
        // here leaves an idle server behind, which harms nothing.
        if self.lock.unlock().is_ok() && self.lock.try_lock().is_ok() {
            let mut server = process::command(&self.server);
            configure(&mut server, &self.prefix);
            let _ = server.arg("-k").stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
    }
}
