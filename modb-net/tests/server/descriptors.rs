//! Running out of descriptors. In a process of its own, whose limit a shell lowers.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::process::Command;

use modb_net::Server;

use crate::lines::{self, Client};

const CHILD: &str = "MODB_NET_TEST_FEW_DESCRIPTORS";

/// The limit is Unix's; the path is the same everywhere (any refusal of the system by `accept`).
#[test]
fn when_descriptors_run_out_the_listener_waits_and_then_goes_on() {
    if std::env::consts::FAMILY != "unix" {
        println!("not tried: this system has no limit that a test could lower");
        return;
    }
    let test = std::env::current_exe().unwrap();
    let output = Command::new("sh")
        .arg("-c")
        .arg("ulimit -n 64 && exec \"$0\" --exact descriptors::few_descriptors --nocapture --include-ignored")
        .arg(&test)
        .env(CHILD, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
#[ignore = "run by the test above, with few descriptors"]
fn few_descriptors() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let running = lines::start_with(Server::builder().workers(1));
    let workers = running.server.workers();
    let mut served = running.connect();
    served.ask("echo x");
    // Others of the process take them all: connections alone cannot, they are refused first.
    let mut hoard = Vec::new();
    while let Ok(file) = File::open(std::env::current_exe().unwrap()) {
        hoard.push(file);
    }
    hoard.pop();
    let mut waiting = TcpStream::connect(running.address()).unwrap();
    running.until("accepting was refused", |_| workers.acceptor_stats().system_refusals >= 1);
    // It waits rather than spins: a hundred questions take far less time than a thousand retries would.
    for _ in 0..100 {
        assert_eq!(served.ask("echo x"), "x");
    }
    let tries = workers.acceptor_stats().system_refusals;
    assert!(tries <= 20, "{tries} tries of an acceptor that cannot accept");
    drop(hoard);
    waiting.write_all(b"echo late\n").unwrap();
    waiting.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    waiting.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("late\n"), "{answer:?}");
    assert_eq!(Client::connect(running.address()).ask("echo again"), "again");
    assert_eq!(served.ask("echo still"), "still");
    running.end();
}
