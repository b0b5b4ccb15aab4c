//! The Rust standard library for Windows: rustup's, else one built here from Debian's sources.
//!
//! Debian packages the compiler (`rustc-web`) and the library's sources (`rust-web-src`) but no Windows library, so it
//! is built once, in about two minutes, and kept in the cache folder by version. That compiler is used for it and
//! for everything linked against it, whatever other compiler builds for Linux.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{LINKER, TARGET};
use crate::failure::{Context as _, Result};
use crate::process;
use crate::workspace;

/// Set to `rustup` or `debian` to allow only that one; unset, the first that is installed is taken.
const CHOICE: &str = "MODB_WINDOWS_STD";

/// Debian's compiler, by its full path: another one usually stands before it on the path.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_RUSTDOC: &str = "/usr/bin/rustdoc";
const HOST: &str = "x86_64-unknown-linux-gnu";

/// A standard library for Windows, and whose it is.
pub(crate) enum StdLibrary {
    /// The compiler in use has it.
    Toolchain,
    /// Built from Debian's sources; the sysroot stands here.
    Built(PathBuf),
}

impl StdLibrary {
    /// The one that is there, if one is.
    pub(crate) fn installed() -> Result<Option<Self>> {
        if allowed("rustup") && toolchain_has_it() {
            return Ok(Some(Self::Toolchain));
        }
        let debian = if allowed("debian") { Debian::installed()? } else { None };
        Ok(debian.filter(Debian::is_built).map(|debian| Self::Built(debian.sysroot)))
    }

    /// Adds rustup's to the toolchain in use; `false` if there is no rustup or it cannot.
    pub(crate) fn add_with_rustup() -> bool {
        if !allowed("rustup") || process::find("rustup", &[]).is_none() {
            return false;
        }
        println!("setup: rustup target add {TARGET}");
        let mut rustup = process::command("rustup");
        rustup.current_dir(workspace::root()).args(["target", "add", TARGET]);
        process::run_quietly(&mut rustup).is_ok() && toolchain_has_it()
    }

    /// Builds it from Debian's sources, which must be installed.
    pub(crate) fn build_from_debian() -> Result<()> {
        let debian = Debian::installed()?.ok_or("rustc-web and rust-web-src are not installed")?;
        if debian.is_built() { Ok(()) } else { debian.build() }
    }

    /// Debian's compiler comes without clippy; rustup's with it.
    pub(super) fn has_clippy(&self) -> bool {
        matches!(self, Self::Toolchain)
    }

    /// Tells cargo which compiler and which library to use.
    pub(super) fn configure(&self, cargo: &mut Command, prefix: &str) {
        if let Self::Built(sysroot) = self {
            let flag = format!("--sysroot {}", sysroot.display());
            cargo
                .env("RUSTC", DEBIAN_RUSTC)
                .env("RUSTDOC", DEBIAN_RUSTDOC)
                .env(format!("{prefix}_RUSTFLAGS"), &flag)
                .env(format!("{prefix}_RUSTDOCFLAGS"), &flag);
        }
    }
}

fn allowed(source: &str) -> bool {
    std::env::var(CHOICE).map_or(true, |choice| choice.is_empty() || choice == source)
}

fn toolchain_has_it() -> bool {
    let mut rustc = process::command("rustc");
    rustc.current_dir(workspace::root()).args(["--print", "target-libdir", "--target", TARGET]);
    process::answer(&mut rustc).is_some_and(|folder| holds_std(Path::new(&folder)))
}

fn holds_std(folder: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        name == "libstd.rlib" || (name.starts_with("libstd-") && name.ends_with(".rlib"))
    })
}

/// Debian's compiler with its sources, and where the library built from them goes.
struct Debian {
    sources: PathBuf,
    host_sysroot: PathBuf,
    sysroot: PathBuf,
}

impl Debian {
    fn installed() -> Result<Option<Self>> {
        let ask = |args: &[&str]| process::answer(process::command(DEBIAN_RUSTC).args(args));
        let Some(verbose) = ask(&["-vV"]) else { return Ok(None) };
        let version = verbose.lines().find_map(|line| line.strip_prefix("release: ")).unwrap_or_default();
        let sources = PathBuf::from(format!("/usr/src/rustc-{version}/library"));
        let Some(host_sysroot) = ask(&["--print", "sysroot"]).map(PathBuf::from) else { return Ok(None) };
        if !sources.is_dir() {
            return Ok(None);
        }
        let sysroot = workspace::cache()?.join("windows-std").join(version);
        Ok(Some(Self { sources, host_sysroot, sysroot }))
    }

    fn lib(&self) -> PathBuf {
        self.sysroot.join("lib/rustlib").join(TARGET).join("lib")
    }

    fn is_built(&self) -> bool {
        holds_std(&self.lib()) && self.sysroot.join("lib/rustlib").join(HOST).exists()
    }

    /// Builds in a folder of its own and renames at the end, so that an interrupted build leaves nothing that
    /// looks complete; the next one takes its place.
    fn build(&self) -> Result<()> {
        println!("setup: building the standard library for Windows (once, about two minutes)");
        let work = self.sysroot.with_file_name("unfinished");
        workspace::remove_folder(&work)?;
        let (library, lib) =
            (work.join("library"), work.join("sysroot/lib/rustlib").join(TARGET).join("lib"));
        workspace::make_folder(&lib)?;
        workspace::copy_folder(&self.sources, &library)?;

        let mut cargo = process::cargo();
        cargo
            .current_dir(&library)
            .env("RUSTC", DEBIAN_RUSTC)
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTFLAGS", "-Zforce-unstable-if-unmarked")
            .env("CARGO_TARGET_DIR", work.join("target"))
            .env(format!("CARGO_TARGET_{}_LINKER", TARGET.to_uppercase().replace('-', "_")), LINKER)
            .args([
                "build",
                "--release",
                "--locked",
                "--manifest-path",
                "sysroot/Cargo.toml",
                "--target",
                TARGET,
            ])
            .args(["--features", "panic-unwind,backtrace"]);
        process::run_quietly(&mut cargo)?;

        let built = work.join("target").join(TARGET).join("release/deps");
        let entries = std::fs::read_dir(&built).context(format_args!("cannot read {}", built.display()))?;
        for entry in entries.flatten().filter(|entry| entry.path().extension().is_some_and(|e| e == "rlib")) {
            let target = lib.join(entry.file_name());
            std::fs::copy(entry.path(), &target)
                .context(format_args!("cannot write {}", target.display()))?;
        }
        for object in ["rsbegin", "rsend"] {
            let mut rustc = process::command(DEBIAN_RUSTC);
            rustc
                .env("RUSTC_BOOTSTRAP", "1")
                .args(["--target", TARGET, "--crate-type=lib", "--emit=obj", "-o"])
                .arg(lib.join(format!("{object}.o")))
                .arg(library.join(format!("rtstartup/{object}.rs")));
            process::run_quietly(&mut rustc)?;
        }
        self.borrow_host(&work.join("sysroot/lib/rustlib").join(HOST))?;

        workspace::remove_folder(&self.sysroot)?;
        std::fs::rename(work.join("sysroot"), &self.sysroot)
            .context(format_args!("cannot move the finished library to {}", self.sysroot.display()))?;
        workspace::remove_folder(&work)
    }

    /// Build scripts and macros run on the host: its library is linked into the sysroot, not copied.
    fn borrow_host(&self, link: &Path) -> Result<()> {
        let host = self.host_sysroot.join("lib/rustlib").join(HOST);
        let mut ln = process::command("ln");
        process::run_quietly(ln.arg("-sfn").arg(&host).arg(link)).map(drop)
    }
}
