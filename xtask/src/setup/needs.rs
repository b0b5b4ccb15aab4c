//! What the tests need of the machine: how to see whether it is there, and which package brings it.

use std::path::Path;

use super::Wanted;
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
        is_there: || Path::new("/usr/include/event2/event.h").exists(),
    },
];

/// For the clients of other languages and the proxies, which `--long` alone runs.
const LONG: &[Need] = &[
    Need {
        what: "hiredis",
        why: "a client for C",
        package: "libhiredis-dev",
        is_there: || Path::new("/usr/include/hiredis/hiredis.h").exists(),
    },
    Need { what: "go", why: "runs go-redis", package: "golang-go", is_there: || on_path("go") },
    Need {
        what: "go-redis",
        why: "a client for Go",
        package: "golang-gopkg-redis.v5-dev",
        is_there: || Path::new("/usr/share/gocode/src/gopkg.in/redis.v5").exists(),
    },
    Need { what: "php", why: "runs phpredis and Predis", package: "php-cli", is_there: || on_path("php") },
    Need {
        what: "phpredis",
        why: "a client for PHP",
        package: "php-redis",
        is_there: || runs("php", &["-r", "exit(extension_loaded('redis') ? 0 : 1);"]),
    },
    Need {
        what: "Predis",
        why: "a client for PHP",
        package: "php-predis",
        is_there: || runs("php", &["-r", "require 'Predis/Autoloader.php';"]),
    },
    Need {
        what: "Perl's Redis",
        why: "a client for Perl",
        package: "libredis-perl",
        is_there: || runs("perl", &["-MRedis", "-e", "1"]),
    },
    Need { what: "lua5.1", why: "runs redis-lua", package: "lua5.1", is_there: || on_path("lua5.1") },
    Need {
        what: "redis-lua",
        why: "a client for Lua",
        package: "lua-redis",
        is_there: || runs("lua5.1", &["-e", "require 'redis'"]),
    },
    Need {
        what: "redis-rb",
        why: "a client for Ruby",
        package: "ruby-redis",
        is_there: || runs("ruby", &["-rredis", "-e", ""]),
    },
    Need {
        what: "haproxy",
        why: "a proxy that checks servers",
        package: "haproxy",
        is_there: || on_path("haproxy"),
    },
    Need {
        what: "nutcracker",
        why: "a proxy that speaks RESP",
        package: "nutcracker",
        is_there: || on_path("nutcracker"),
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

/// What is missing of what is wanted. Other systems than Linux need nothing beside Rust.
pub(super) fn missing(wanted: Wanted) -> Vec<&'static Need> {
    let linux = std::env::consts::OS == "linux";
    let lists = [(linux, LINUX), (linux && wanted.long, LONG), (wanted.wine, WINE)];
    let needs = lists.into_iter().filter(|(applies, _)| *applies).flat_map(|(_, list)| list);
    needs.filter(|need| !(need.is_there)()).collect()
}

fn runs(program: &str, args: &[&str]) -> bool {
    on_path(program) && process::answer(process::command(program).args(args)).is_some()
}

fn on_path(program: &str) -> bool {
    process::find(program, &[]).is_some()
}
