//! Running out of descriptors. In a process of its own, whose limit a shell lowers.

use std::net::TcpStream;
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
    // Clients take descriptors as well, so the server's accept fails at the latest when they are half gone.
    let mut clients = Vec::new();
    while let Ok(client) = TcpStream::connect(running.address()) {
        clients.push(client);
    }
    running.until("accepting was refused", |_| workers.acceptor_stats().system_refusals >= 1);
    // It waits rather than spins: a hundred questions take far less time than a thousand retries would.
    let turns = workers.acceptor_stats().turns;
    for _ in 0..100 {
        assert_eq!(served.ask("echo x"), "x");
    }
    let turns = workers.acceptor_stats().turns - turns;
    assert!(turns <= 20, "{turns} turns of an acceptor that cannot accept");
    drop(clients);
    running.until("the clients have gone", |_| workers.connections() == 1);
    assert_eq!(Client::connect(running.address()).ask("echo again"), "again");
    assert_eq!(served.ask("echo still"), "still");
    running.end();
}
