//! Finds the programs under test. A stale binary would pass for a fresh one, so without a variable that names the
//! program, this workspace's own is built first, once per run.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// How to start a program: the program to start, and what comes before the arguments proper.
#[derive(Clone, Debug)]
pub struct Program {
    /// The file itself.
    pub path: PathBuf,
    /// Wine, if the file is an `.exe` and this is not Windows.
    runner: Option<OsString>,
}

impl Program {
    /// Whether Wine, started from this system, runs it.
    pub fn runs_under_wine(&self) -> bool {
        self.runner.is_some()
    }

    /// The program at `path`, through Wine where that is needed.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let runner = (is_exe(&path) && !crate::sys::IS_WINDOWS)
            .then(|| std::env::var_os("MODB_WINE").unwrap_or_else(|| "/usr/lib/wine/wine64".into()));
        Self { path, runner }
    }

    /// Whether it is a Windows program.
    pub fn is_exe(&self) -> bool {
        crate::sys::IS_WINDOWS || is_exe(&self.path)
    }

    /// A command that starts it.
    pub fn command(&self) -> Command {
        match &self.runner {
            Some(wine) => {
                let mut command = Command::new(wine);
                command.arg(&self.path).env("WINEDEBUG", "-all").env_remove("DISPLAY");
                command
            }
            None => Command::new(&self.path),
        }
    }
}

/// The server under test.
pub fn server() -> Program {
    Program::at(std::env::var_os("MODB_SERVER_BIN").map_or_else(|| built("modb-server"), PathBuf::from))
}

/// The command-line client under test.
pub fn client() -> Program {
    Program::at(std::env::var_os("MODB_CLIENT_BIN").map_or_else(|| built("modb-client"), PathBuf::from))
}

/// The command-line client of this system, whatever is under test.
pub fn native_client() -> Program {
    match std::env::var_os("MODB_CLIENT_BIN") {
        Some(path) if !is_exe(Path::new(&path)) || crate::sys::IS_WINDOWS => Program::at(PathBuf::from(path)),
        _ => Program::at(built("modb-client")),
    }
}

/// Whether the server under test is a Windows program.
pub fn server_is_exe() -> bool {
    crate::sys::IS_WINDOWS || std::env::var_os("MODB_SERVER_BIN").is_some_and(|path| is_exe(Path::new(&path)))
}

/// Whether `name` can be started from the search path.
pub fn is_installed(name: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(name).is_file()))
}

fn is_exe(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("exe"))
}

/// Builds the server and the client like the tests themselves and gives the path of `name`.
fn built(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let test = std::env::current_exe().expect("a test knows where it is");
        // target/<profile>/deps/<test>
        let folder = test.ancestors().nth(2).expect("tests lie in target/<profile>/deps").to_path_buf();
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--package", "modb-server", "--package", "modb-client", "--bins"]);
        build.current_dir(env!("CARGO_MANIFEST_DIR"));
        if folder.file_name().is_some_and(|profile| profile == "release") {
            build.arg("--release");
        }
        let status = build.status().expect("cargo can be started; or name the programs in MODB_SERVER_BIN");
        assert!(status.success(), "the programs under test do not build");
        folder
    });
    folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}
