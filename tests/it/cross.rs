//! Both systems at once: a client of one, a server of the other, over the loopback interface.
//!
//! The whole list runs against the Windows server when `MODB_SERVER_BIN` names an `.exe`; these scenarios are for
//! the clients. `MODB_WINDOWS_CLIENT_BIN` and `MODB_WINDOWS_SERVER_BIN` name the Windows programs.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use modb_tests::binary::{self, Program};
use modb_tests::tool;
use modb_tests::wait::DEADLINE;
use modb_tests::{Launch, Platform, Reply, Server, skip};

/// The Windows program that `variable` names.
fn windows_program(variable: &str) -> Option<Program> {
    std::env::var_os(variable).map(|path| Program::at(PathBuf::from(path)))
}

pub(crate) fn a_windows_client_speaks_to_a_linux_server(platform: &Platform) {
    let Some(client) = windows_program("MODB_WINDOWS_CLIENT_BIN") else {
        skip!("MODB_WINDOWS_CLIENT_BIN names no Windows client")
    };
    let server = Launch::new(platform).start();
    let port = server.addr().port().to_string();
    let run = |args: &[&str]| {
        let mut command = client.command();
        tool::run(command.args(["-h", "127.0.0.1", "-p", &port]).args(args), b"", DEADLINE)
    };
    assert_eq!(run(&["SET", "from", "windows"]).success().trim_end(), "OK");
    assert_eq!(server.peer().ask("GET from"), Reply::bulk("windows"));
    assert_ne!(run(&["INCR", "from"]).status, Some(0));
}

pub(crate) fn linux_clients_speak_to_a_windows_server(platform: &Platform) {
    let program = if platform.windows_server {
        binary::server()
    } else if let Some(program) = windows_program("MODB_WINDOWS_SERVER_BIN") {
        program
    } else {
        skip!("MODB_WINDOWS_SERVER_BIN names no Windows server")
    };
    let server = Launch::new(platform).of_program(program).start();
    clients(&server);
    let server = server.kill_and_restart();
    assert_eq!(server.peer().ask("GET cli"), Reply::bulk("1"));
}

fn clients(server: &Server) {
    let port = server.addr().port().to_string();
    if !binary::is_installed("redis-cli") {
        skip!("redis-cli is not installed");
    }
    let mut cli = Command::new("redis-cli");
    cli.args(["-p", &port, "SET", "cli", "1"]);
    assert_eq!(tool::run(&mut cli, b"", DEADLINE).success().trim_end(), "OK");
    let mut native = binary::native_client().command();
    native.args(["-h", "127.0.0.1", "-p", &port, "GET", "cli"]);
    assert_eq!(tool::run(&mut native, b"", DEADLINE).success().trim_end(), "1");
    let Some(python) = std::env::var_os("MODB_PYTHON") else {
        skip!("MODB_PYTHON names no Python with redis-py; redis-cli and modb-client ran")
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/compat/redis_py.py");
    tool::run(Command::new(python).args([script, &port]), b"", Duration::from_secs(300)).success();
}
