//! What connections cost: memory while they idle, context switches while they are handed over. Read from
//! Linux's `/proc`; elsewhere these tests say so and measure nothing.

use std::fs;
use std::net::TcpStream;
use std::thread;

use modb_net::{Handoff, Limits, Server};

use crate::lines::{self, Client, Running};

/// The page size of every system that has a `/proc` and runs these tests.
const PAGE_BYTES: usize = 4096;

fn resident_bytes() -> Option<usize> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    Some(statm.split(' ').nth(1)?.parse::<usize>().ok()? * PAGE_BYTES)
}

/// How often the threads of this server have gone to sleep.
fn sleeps(threads: &[String]) -> usize {
    let sleeps_of = |thread: &String| {
        let status = fs::read_to_string(format!("/proc/self/task/{thread}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap()
    };
    threads.iter().map(sleeps_of).sum()
}

fn threads() -> Option<Vec<String>> {
    let tasks = fs::read_dir("/proc/self/task").ok()?;
    Some(tasks.map(|task| task.unwrap().file_name().into_string().unwrap()).collect())
}

#[test]
#[ignore = "run alone by the test below: the memory of other tests would count"]
fn idle_memory() {
    // Both ends are in this process. Where the system allows fewer, fewer tell the same.
    let descriptors = modb_net::raise_descriptor_limit(21_000).unwrap();
    let connections = 10_000.min((descriptors as usize - 1000) / 2);
    let running = lines::start(2, Limits { max_connections: 20_000, ..lines::limits() });
    // The client's own buffer is not the server's: given back as soon as it was used.
    let connect = |count: usize| -> Vec<TcpStream> {
        (0..count)
            .map(|_| {
                let mut client = running.connect();
                assert_eq!(client.ask("echo x"), "x");
                client.stream
            })
            .collect()
    };
    let warm = connect(200);
    let before = resident_bytes().unwrap();
    let clients = connect(connections);
    let each = (resident_bytes().unwrap() - before) / connections;
    println!("{connections} connections: {each} bytes of memory each");
    assert!(each <= 1024, "{each} bytes per idle connection");
    for stream in clients.into_iter().chain(warm) {
        socket2::Socket::from(stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    }
    running.end();
}

/// In a process of its own.
fn alone(test: &str) {
    // Wine shows the host's.
    if std::env::consts::OS != "linux" {
        println!("not measured: this system has no /proc of its own");
        return;
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--include-ignored"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}{errors}");
}

#[test]
fn ten_thousand_idle_connections_cost_at_most_a_kibibyte_each() {
    alone("cost::idle_memory");
}

#[test]
fn a_handoff_costs_two_context_switches_for_any_number_of_workers() {
    alone("cost::handoff_switches");
}

#[test]
#[ignore = "run alone by the test above: the threads of other tests would count"]
fn handoff_switches() {
    for workers in [2, 8] {
        let each = switches_per_handoff(workers, Handoff::RoundRobin);
        println!("{workers} workers, each with a mailbox: {each:.2} context switches per connection");
        assert!(each <= 2.2, "{each:.2} context switches with {workers} workers");
        let each = switches_per_handoff(workers, Handoff::Shared);
        println!("{workers} workers, one shared queue: {each:.2} context switches per connection");
    }
}

fn switches_per_handoff(workers: usize, handoff: Handoff) -> f64 {
    const CONNECTIONS: usize = 300;
    let others = threads().unwrap();
    let running = lines::start_with(Server::builder().workers(workers).handoff(handoff));
    let mut clients: Vec<Client> = (0..2 * workers).map(|_| one_more(&running)).collect();
    let servers: Vec<String> =
        threads().unwrap().into_iter().filter(|thread| !others.contains(thread)).collect();
    assert_eq!(servers.len(), workers + 1);
    until_all_sleep(&servers);
    let before = sleeps(&servers);
    for _ in 0..CONNECTIONS {
        clients.push(one_more(&running));
        // Idle is the dear case: a loop that is awake is not woken, and costs nothing.
        until_all_sleep(&servers);
    }
    let each = (sleeps(&servers) - before) as f64 / CONNECTIONS as f64;
    clients.into_iter().for_each(Client::reset);
    running.end();
    each
}

fn one_more(running: &Running) -> Client {
    let before = running.ledger.opened.load(std::sync::atomic::Ordering::SeqCst);
    let client = running.connect();
    running.until("it is served", |running| {
        running.ledger.opened.load(std::sync::atomic::Ordering::SeqCst) > before
    });
    client
}

fn until_all_sleep(threads: &[String]) {
    let asleep = |thread: &String| {
        let status = fs::read_to_string(format!("/proc/self/task/{thread}/stat")).unwrap();
        // After the name in parentheses comes the state.
        status.rsplit(") ").next().is_some_and(|rest| rest.starts_with('S'))
    };
    while !threads.iter().all(asleep) {
        thread::yield_now();
    }
}
