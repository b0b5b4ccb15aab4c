//! Mail for which room is reserved: all of it arrives, in order, however little a lane holds.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Condvar, Mutex};

use modb_net::{
    Connections, Flow, Handle, In, Limits, Messages, Opening, Out, Peer, Room, Server, Service, Token, Turn,
};

use crate::lines::{self, DEADLINE};

/// A service without connections, which notes what it is told.
struct Reader {
    worker: usize,
    /// Messages taken in before this is opened are not looked at.
    told: Sender<(usize, u64)>,
    gate: Arc<(Mutex<bool>, Condvar)>,
}

impl Service for Reader {
    type Session = ();
    type Message = u64;

    fn open(&mut self, _: Handle<'_>, _: &Peer, _: &mut Out<'_>, _: &Turn<'_, Self>) -> Opening<()> {
        Opening::Refused
    }

    fn on_input(
        &mut self,
        _: Handle<'_>,
        _: &mut (),
        _: &mut In<'_>,
        _: &mut Out<'_>,
        _: &Turn<'_, Self>,
    ) -> Flow {
        Flow::Close
    }

    fn on_message(
        &mut self,
        message: u64,
        _: Option<Token>,
        _: &mut dyn Connections<()>,
        _: &Turn<'_, Self>,
    ) {
        let (open, changed) = &*self.gate;
        let mut open = open.lock().unwrap();
        while !*open {
            open = changed.wait_timeout(open, DEADLINE).unwrap().0;
        }
        // The test may be over.
        let _ = self.told.send((self.worker, message));
    }
}

/// Two workers, each with a lane for some ten small messages.
fn start(told: Sender<(usize, u64)>, open: bool) -> (Server<u64>, Arc<(Mutex<bool>, Condvar)>) {
    let gate = Arc::new((Mutex::new(open), Condvar::new()));
    let limits = Limits { mail_bytes: 1000, mailbox_capacity: 1, ..Limits::default() };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (shared, told) = (gate.clone(), Mutex::new(told));
    let server = Server::builder().listen(listener).workers(2).limits(limits).start(move |context| Reader {
        worker: context.index,
        told: told.lock().unwrap().clone(),
        gate: shared.clone(),
    });
    (server.unwrap(), gate)
}

/// Waits until the room is there, asleep.
fn reserve(workers: &dyn Messages<u64>, worker: usize, bytes: usize) -> Room {
    let told = Arc::new((Mutex::new(false), Condvar::new()));
    let room = workers.reserve(worker, bytes, &|| {
        let told = told.clone();
        Box::new(move || {
            *told.0.lock().unwrap() = true;
            told.1.notify_one();
        })
    });
    let mut came = told.0.lock().unwrap();
    while !room.is_there() {
        let (next, late) = told.1.wait_timeout(came, DEADLINE).unwrap();
        assert!(!late.timed_out(), "nobody told that there is room");
        came = next;
    }
    drop(came);
    room
}

#[test]
fn mail_of_several_threads_all_arrives_in_the_order_of_each_and_the_largest_goes_alone() {
    const EACH: u64 = 2000;
    let (told, heard) = mpsc::channel();
    let (server, _) = start(told, true);
    let workers = server.workers();
    std::thread::scope(|scope| {
        for sender in 0..4 {
            let workers = &workers;
            scope.spawn(move || {
                for n in 0..EACH {
                    let bytes = if n % 50 == 0 { 5000 } else { 40 };
                    let worker = usize::from(n % 2 == 1);
                    let room = reserve(&**workers, worker, bytes);
                    workers.post_in(room, sender << 32 | n).unwrap();
                }
            });
        }
        let mut next = [[0; 4], [1; 4]];
        for _ in 0..4 * EACH {
            let (worker, message) = heard.recv_timeout(DEADLINE).unwrap();
            let (sender, n) = ((message >> 32) as usize, message & 0xffff_ffff);
            assert_eq!(n, next[worker][sender], "worker {worker}, sender {sender}");
            next[worker][sender] += 2;
        }
    });
    assert!(heard.try_recv().is_err());
    server.shutdown();
    server.join().unwrap();
    assert!(workers.post_in(reserve(&*workers, 0, 1), 1).is_err(), "the worker has ended");
    assert!(workers.post_in(reserve(&*workers, 7, 1), 1).is_err(), "there is no such worker");
}

#[test]
fn mail_that_waits_counts_in_the_budget_and_leaves_the_mailbox_to_others() {
    let (told, heard) = mpsc::channel();
    let (server, gate) = start(told, false);
    let workers = server.workers();
    let before = workers.memory_bytes();
    for n in 0..10 {
        workers.post_in(reserve(&*workers, 0, 30), n).unwrap();
    }
    assert!(workers.memory_bytes() >= before + 10 * 30);
    let told_of_room = Arc::new(AtomicUsize::new(0));
    let full = workers.reserve(0, 500, &|| {
        let told = told_of_room.clone();
        Box::new(move || {
            told.fetch_add(1, SeqCst);
        })
    });
    assert!(!full.is_there());
    assert!(reserve(&*workers, 1, 500).is_there(), "the other lane is empty");
    *gate.0.lock().unwrap() = true;
    gate.1.notify_all();
    for n in 0..10 {
        assert_eq!(heard.recv_timeout(DEADLINE).unwrap(), (0, n));
    }
    lines::wait_until("somebody tells that there is room", || told_of_room.load(SeqCst) == 1);
    assert!(full.is_there());
    drop(full);
    lines::wait_until("nothing is counted", || workers.memory_bytes() <= before);
    server.shutdown();
    server.join().unwrap();
}
