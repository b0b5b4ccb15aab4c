//! Connections that move to another worker with what they have begun, and those that stay.

use std::sync::atomic::{AtomicBool, Ordering};

use super::waiting::wait_until_waiting;
use super::*;

const WORKERS: usize = 3;

/// A client that says by its name where it is.
struct Mover {
    name: &'static str,
    peer: Peer,
}

impl Mover {
    fn new(server: &Server, name: &'static str) -> Self {
        let mut peer = Peer::new(server);
        peer.exchange(&format!("CLIENT SETNAME {name}"), "+OK|");
        Self { name, peer }
    }

    /// The worker that serves it.
    fn worker(&self, database: &Database) -> usize {
        let Reply::Bulk(list) = database.client().unwrap().run(["CLIENT", "LIST"]).unwrap() else {
            panic!("no list")
        };
        let list = String::from_utf8(list).unwrap();
        let line = list.lines().find(|line| line.contains(&format!(" name={} ", self.name))).unwrap();
        let worker = line.split(' ').find_map(|field| field.strip_prefix("worker=")).unwrap();
        worker.parse().unwrap()
    }

    /// Waits until another worker serves it.
    fn moves(&self, database: &Database, server: &Server) {
        let begun = Instant::now();
        let before = self.worker(database);
        while self.worker(database) == before {
            assert!(begun.elapsed() < LONG, "{} stays", self.name);
            server.move_away(before, WORKERS);
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_transaction_and_what_it_watches_move_with_their_connection() {
    let database = with("workers", &WORKERS.to_string());
    let server = serve(&database);
    let mut mover = Mover::new(&server, "mover");
    for breaks in [false, true] {
        mover.peer.exchange("SELECT 3", "+OK|");
        mover.peer.exchange("WATCH watched", "+OK|");
        mover.moves(&database, &server);
        mover.peer.exchange("MULTI", "+OK|");
        mover.peer.exchange("SET a 1", "+QUEUED|");
        mover.moves(&database, &server);
        mover.peer.exchange("INCR a", "+QUEUED|");
        mover.moves(&database, &server);
        if breaks {
            let mut other = database.client().unwrap();
            other.run(["SELECT", "3"]).unwrap();
            other.run(["SET", "watched", "1"]).unwrap();
        }
        mover.peer.exchange("EXEC", if breaks { "*-1|" } else { "*2|+OK|:2|" });
    }
    mover.peer.exchange("GET a", "$1|2|");
}

#[test]
fn who_is_told_of_what_others_do_stays_where_he_is() {
    let database = with("workers", &WORKERS.to_string());
    let server = serve(&database);
    let mut listener = Mover::new(&server, "listener");
    listener.peer.exchange("SUBSCRIBE c", "*3|$9|subscribe|$1|c|:1|");
    let mut tracker = Mover::new(&server, "tracker");
    tracker.peer.send("HELLO 3");
    tracker.peer.skip();
    tracker.peer.exchange("CLIENT TRACKING ON", "+OK|");
    tracker.peer.exchange("GET k", "_|");
    let mut mover = Mover::new(&server, "mover");
    let before = [&listener, &tracker].map(|peer| peer.worker(&database));
    // All others move away from there, and some come back.
    for _ in 0..4 {
        (0..WORKERS).for_each(|worker| server.move_away(worker, WORKERS));
        mover.moves(&database, &server);
    }
    assert_eq!([&listener, &tracker].map(|peer| peer.worker(&database)), before);
    mover.peer.exchange("PUBLISH c x", ":1|");
    mover.peer.exchange("SET k 1", "+OK|");
    listener.peer.expect("*3|$7|message|$1|c|$1|x|");
    tracker.peer.expect(">2|$10|invalidate|*1|$1|k|");
}

#[test]
fn those_who_wait_are_served_in_their_order_while_others_move() {
    const WAITING: usize = 24;
    let database = with("workers", &WORKERS.to_string());
    let server = serve(&database);
    let mut movers = ["a", "b", "c", "d", "e", "f"].map(|name| Mover::new(&server, name));
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                (0..WORKERS).for_each(|worker| server.move_away(worker, 1));
                std::thread::yield_now();
            }
        });
        let _over = Over(&is_over);
        // Each goes on to be served, wherever he is.
        movers[0].moves(&database, &server);
        let mut waiting: Vec<Peer> = (0..WAITING)
            .map(|n| {
                let mut peer = Peer::new(&server);
                peer.send("BLPOP q 0");
                wait_until_waiting(&database, n + 1);
                peer
            })
            .collect();
        for n in 0..WAITING {
            let pusher = &mut movers[n % 6].peer;
            pusher.exchange(&format!("RPUSH q {n:02}"), ":1|");
        }
        for (n, peer) in waiting.iter_mut().enumerate() {
            peer.expect(&format!("*2|$1|q|$2|{n:02}|"));
        }
        movers[1].moves(&database, &server);
    });
}

/// Ends a helper thread, also where its owner panics.
struct Over<'o>(&'o AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
