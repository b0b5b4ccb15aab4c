//! What the tests need of the machine: how to see whether it is there, and which package brings it.

use crate::process;
use crate::windows;

/// A program or library that must be installed.
pub(super) struct Need {
    /// As a person would name it.
    pub(super) what: &'static str,
    pub(super) why: &'static str,
    /// Debian's and Ubuntu's name for the package.
    pub(super) package: &'static str,
    is_there: fn() -> bool,
}

/// For testing on Linux. The linker is not in the list: without it cargo could not have built this program.
const LINUX: &[Need] = &[
    Need {
        what: "redis-cli",
        why: "a client nobody here wrote",
        package: "redis-tools",
        is_there: || on_path("redis-cli"),
    },
    Need {
        what: "redis-benchmark",
        why: "a client nobody here wrote",
        package: "redis-tools",
        is_there: || on_path("redis-benchmark"),
    },
    Need {
        what: "redis-server",
        why: "the same scenarios must pass against it",
        package: "redis-server",
        is_there: || on_path("redis-server"),
    },
    Need {
        what: "python3 with venv",
        why: "runs redis-py",
        package: "python3-venv",
        is_there: || {
            process::answer(process::command("python3").args(["-c", "import venv, ensurepip"])).is_some()
        },
    },
    Need {
        what: "node",
        why: "runs ioredis and node-redis",
        package: "nodejs",
        is_there: || on_path("node"),
    },
    Need { what: "npm", why: "installs ioredis and node-redis", package: "npm", is_there: || on_path("npm") },
    Need {
        what: "libevent",
        why: "an event loop that is not ours waits for the notifier",
        package: "libevent-dev",
        is_there: || std::path::Path::new("/usr/include/event2/event.h").exists(),
    },
];

/// For building for Windows and running it, on Linux.
const WINE: &[Need] = &[
    Need {
        what: windows::LINKER,
        why: "links Windows programs",
        package: "gcc-mingw-w64-x86-64",
        is_there: || on_path(windows::LINKER),
    },
    Need {
        what: "wine64",
        why: "runs Windows programs",
        package: "wine64",
        is_there: || windows::Wine::is_found().unwrap_or(false),
    },
];

/// The compiler and the sources of its library, from which a Windows library is built where rustup has none.
pub(super) const DEBIAN_RUST: &[&str] = &["rustc-web", "rust-web-src"];

/// What is missing, with what runs Windows programs under `wine`. Other systems than Linux need nothing beside Rust.
pub(super) fn missing(wine: bool) -> Vec<&'static Need> {
    let linux = if std::env::consts::OS == "linux" { LINUX } else { &[] };
    let wine = if wine { WINE } else { &[] };
    linux.iter().chain(wine).filter(|need| !(need.is_there)()).collect()
}

fn on_path(program: &str) -> bool {
    process::find(program, &[]).is_some()
}
