//! Connections and messages over several workers.

use std::net::TcpListener;
use std::sync::Mutex;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::mpsc;

use modb_net::{Handoff, Server};

use crate::lines::{self, Client};

const CONNECTIONS: usize = 1000;
const WORKERS: usize = 4;

fn spread(handoff: Handoff) -> Vec<usize> {
    modb_net::raise_descriptor_limit(4096).unwrap();
    let running = lines::start_with(Server::builder().workers(WORKERS).handoff(handoff));
    let mut clients: Vec<Client> = (0..CONNECTIONS).map(|_| running.connect()).collect();
    let mut by_worker = vec![0; WORKERS];
    for client in &mut clients {
        by_worker[client.ask("where").parse::<usize>().unwrap()] += 1;
    }
    running.assert_no_spin();
    let workers = running.server.workers();
    running.until("it is counted", |_| {
        (0..WORKERS).all(|worker| workers.stats(worker).connections >= by_worker[worker] as u64)
    });
    clients.into_iter().for_each(Client::reset);
    running.until("all have gone", |_| workers.connections() == 0);
    running.end();
    by_worker
}

#[test]
fn a_thousand_connections_are_spread_evenly_in_turn() {
    assert_eq!(spread(Handoff::RoundRobin), [CONNECTIONS / WORKERS; WORKERS]);
}

#[test]
fn a_thousand_connections_are_spread_evenly_by_load() {
    assert_eq!(spread(Handoff::LeastConnections), [CONNECTIONS / WORKERS; WORKERS]);
}

#[test]
fn a_thousand_connections_are_all_served_from_the_shared_queue() {
    // Who gets how many is the scheduler's choice.
    assert_eq!(spread(Handoff::Shared).iter().sum::<usize>(), CONNECTIONS);
}

#[test]
fn the_least_loaded_worker_gets_the_next_connection() {
    let builder = Server::builder().workers(3).handoff(Handoff::LeastConnections);
    let running = lines::start_with(builder);
    let mut clients: Vec<Client> = (0..9).map(|_| running.connect()).collect();
    let places: Vec<String> = clients.iter_mut().map(|client| client.ask("where")).collect();
    // All of worker 1 leave; the next three go there.
    let (leaving, _staying): (Vec<_>, Vec<_>) =
        clients.into_iter().zip(places).partition(|(_, place)| place == "1");
    leaving.into_iter().for_each(|(client, _)| client.reset());
    running.until("they have gone", |running| running.server.workers().connections() == 6);
    let mut new: Vec<Client> = (0..3).map(|_| running.connect()).collect();
    assert!(new.iter_mut().all(|client| client.ask("where") == "1"));
    running.end();
}

#[test]
fn several_listeners_lead_to_the_same_workers() {
    let second = TcpListener::bind("127.0.0.1:0").unwrap();
    let running = lines::start_with(Server::builder().workers(2).listen(second));
    let addresses = running.server.local_addrs().to_vec();
    assert_eq!(addresses.len(), 2);
    for address in addresses {
        assert_eq!(Client::connect(address).ask("echo x"), "x");
    }
    running.end();
}

#[test]
fn messages_reach_the_other_workers() {
    let running = lines::start(2, lines::limits());
    let (mut one, mut two) = (running.connect(), running.connect());
    let (at, other) = (one.ask("where"), two.ask("where"));
    assert_ne!(at, other);
    assert_eq!(one.ask(&format!("post {other} hello")), "posted");
    assert_eq!(two.line(), "hello");
    assert_eq!(two.ask(&format!("post {at} and back")), "posted");
    assert_eq!(one.line(), "and back");
    running.end();
}

#[test]
fn a_commit_finished_by_another_thread_lets_the_reply_leave() {
    let (sender, receiver) = mpsc::channel();
    let sender = Mutex::new(sender);
    let running = lines::start_service(Server::builder().workers(1), move |context| {
        sender.lock().unwrap().send(context.waker.clone()).unwrap();
    });
    let waker = receiver.recv().unwrap();
    let mut client = running.connect();
    for seq in 1..=200 {
        client.send(&format!("hold {seq}"));
        client.stream.set_nonblocking(false).unwrap();
        running.ledger.committed.store(seq, SeqCst);
        waker.wake().unwrap();
        assert_eq!(client.line(), "held");
    }
    running.end();
}
