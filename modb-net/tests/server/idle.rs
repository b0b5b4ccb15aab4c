//! What a service does once nothing else is to be done.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use modb_net::{Flow, Handle, In, Opening, Out, Peer, Release, Seq, Server, Service, Turn};

use crate::lines::Client;

/// Turns that a busy connection goes on for once somebody waits.
const BUSY_TURNS: u32 = 50;

/// Answers `keep` when it is kept, which it is once the worker is idle; `busy` goes on from turn to turn until then, and longer.
struct Keeper {
    written: u64,
    kept: u64,
    busy_turns: Option<u32>,
    /// For each time it was idle: whether a connection could have gone on.
    idle: Arc<Mutex<Vec<bool>>>,
}

impl Service for Keeper {
    type Session = ();
    type Message = ();

    fn open(&mut self, _: Handle<'_>, _: &Peer, _: &mut Out<'_>, _: &Turn<'_, Self>) -> Opening<()> {
        Opening::Serve(())
    }

    fn on_input(
        &mut self,
        _: Handle<'_>,
        _: &mut (),
        input: &mut In<'_>,
        out: &mut Out<'_>,
        _: &Turn<'_, Self>,
    ) -> Flow {
        if input.bytes().starts_with(b"busy\n") {
            if self.busy_turns.is_none() {
                out.tail().extend_from_slice(b"begun\n");
            }
            let turns = self.busy_turns.get_or_insert(0);
            *turns += u32::from(self.written > 0);
            if *turns < BUSY_TURNS {
                return Flow::Yield;
            }
            self.busy_turns = None;
        } else {
            self.written += 1;
            out.hold_until(Seq(self.written));
        }
        input.consume(5);
        out.tail().extend_from_slice(b"done\n");
        Flow::NeedInput
    }

    fn end_turn(&mut self, _: &Turn<'_, Self>) -> Release {
        Release::Upto(Seq(self.kept))
    }

    fn has_idle_work(&self) -> bool {
        self.kept < self.written
    }

    fn on_idle(&mut self) {
        self.kept = self.written;
        self.idle.lock().unwrap().push(self.busy_turns.is_some());
    }
}

fn start() -> (Server<()>, Arc<Mutex<Vec<bool>>>) {
    let idle = Arc::new(Mutex::new(Vec::new()));
    let told = idle.clone();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let service = move |_| Keeper { written: 0, kept: 0, busy_turns: None, idle: told.clone() };
    (Server::builder().workers(1).listen(listener).start(service).unwrap(), idle)
}

#[test]
fn what_is_left_for_idleness_is_done_before_the_worker_sleeps() {
    let (server, idle) = start();
    let mut client = Client::connect(server.local_addrs()[0]);
    for _ in 0..10 {
        assert_eq!(client.ask("keep"), "done");
    }
    assert_eq!(*idle.lock().unwrap(), [false; 10], "once for each");
    server.shutdown();
    server.join().unwrap();
}

#[test]
fn nothing_is_done_for_idleness_while_a_connection_can_go_on() {
    let (server, idle) = start();
    let [mut busy, mut client] = [0; 2].map(|_| Client::connect(server.local_addrs()[0]));
    assert_eq!(busy.ask("busy"), "begun");
    assert_eq!(client.ask("keep"), "done");
    assert_eq!(busy.line(), "done");
    assert_eq!(*idle.lock().unwrap(), [false]);
    server.shutdown();
    server.join().unwrap();
}
