//! Python's clients, each in a virtual environment of its own in the cache folder: redis-py with what its own tests need, iredis, and
//! applications that use it.
//!
//! Where packages come from is pip's own setting. The folder is named after what it holds, so another version in the
//! lists below is another folder.

use std::path::PathBuf;

use super::Wanted;
use crate::failure::{Context as _, Result};
use crate::process;
use crate::workspace;

/// redis-py.
pub(super) const REDIS_PY: Environment = Environment {
    packages: &["redis==8.1.0", "pytest==8.4.2", "pytest-asyncio==1.5.0", "pytest-timeout==2.4.0"],
    with_source: true,
};

/// iredis, which wants an older redis-py.
pub(super) const IREDIS: Environment = Environment { packages: &["iredis==1.16.1"], with_source: false };

/// Two job queues that need no scripts. Their redis-py is older, too.
pub(super) const APPLICATIONS: Environment =
    Environment { packages: &["arq==0.28.0", "rq==1.11.1", "redis==5.3.1"], with_source: false };

/// A virtual environment with packages in it.
pub(super) struct Environment {
    /// Exact versions: a client that changes by itself would change what is tested. The first is the client.
    packages: &'static [&'static str],
    /// With the client's source archive, which holds its tests, unlike what is installed.
    with_source: bool,
}

/// Those that are wanted. Only Linux runs Python clients.
pub(super) fn environments(wanted: Wanted) -> Vec<Environment> {
    match std::env::consts::OS {
        "linux" if wanted.long => vec![REDIS_PY, APPLICATIONS, IREDIS],
        "linux" => vec![REDIS_PY, APPLICATIONS],
        _ => Vec::new(),
    }
}

impl Environment {
    /// The client with its version, as pip names it.
    pub(super) fn client(&self) -> &'static str {
        self.packages[0]
    }

    pub(super) fn is_installed(&self) -> Result<bool> {
        Ok(self.folder()?.join("complete").exists())
    }

    /// A program of the environment, if it is complete.
    pub(super) fn program(&self, name: &str) -> Result<Option<PathBuf>> {
        Ok(if self.is_installed()? { Some(self.folder()?.join("bin").join(name)) } else { None })
    }

    /// The client's sources, if they are there.
    pub(super) fn source(&self) -> Result<Option<PathBuf>> {
        let folder = self.folder()?.join("source").join(self.client().replace("==", "-"));
        Ok((self.is_installed()? && self.with_source).then_some(folder))
    }

    /// Makes the environment; `true` if there was something to do.
    pub(super) fn install(&self) -> Result<bool> {
        if self.is_installed()? {
            return Ok(false);
        }
        let folder = self.folder()?;
        println!("setup: {} in {}", self.packages.join(", "), folder.display());
        process::run_quietly(process::command("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
        let python = || process::command(folder.join("bin/python"));
        let pip = |task: &str| {
            let mut pip = python();
            pip.args(["-m", "pip", task, "--quiet", "--disable-pip-version-check"]);
            pip
        };
        process::run_quietly(pip("install").args(self.packages))?;
        if self.with_source {
            let source = folder.join("source");
            let mut download = pip("download");
            download.args(["--no-deps", "--no-binary=:all:", self.client(), "--dest"]).arg(&source);
            process::run_quietly(&mut download)?;
            let archive = source.join(format!("{}.tar.gz", self.client().replace("==", "-")));
            process::run_quietly(python().args(["-m", "tarfile", "-e"]).arg(&archive).arg(&source))?;
        }
        std::fs::write(folder.join("complete"), "").context("cannot mark the environment as complete")?;
        Ok(true)
    }

    fn folder(&self) -> Result<PathBuf> {
        Ok(workspace::cache()?.join("python").join(self.packages.join("-").replace("==", "-")))
    }
}
