//! The reference: every worker has a listener of its own on the same port, and the system chooses (`SO_REUSEPORT`).
//!
//! It has what a fair comparison needs and no more: a poller per worker, in which every connection is kept until
//! its client goes. No limits, no back-pressure, no moves: a connection stays where the system put it.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use modb_net::notify::{Notifier, Waker};
use modb_net::poll::{Events, Interest, Poller};

use crate::sys;

const NOTIFIER: usize = 0;
const LISTENER: usize = 1;
const FIRST_CONNECTION: usize = 2;

#[derive(Default)]
struct Shared {
    connections: AtomicUsize,
    is_ending: AtomicBool,
}

pub struct ReusePort {
    address: SocketAddr,
    shared: Arc<Shared>,
    threads: Vec<(Waker, JoinHandle<()>)>,
}

impl ReusePort {
    pub fn start(workers: usize) -> Option<Self> {
        let listeners = sys::reuse_port_listeners(workers)?;
        let address = listeners[0].local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let start = |(index, listener)| {
            let (notifier, shared) = (Notifier::new().unwrap(), shared.clone());
            let waker = notifier.waker();
            (waker, std::thread::spawn(move || Worker::new(index as u8, listener, notifier, shared).run()))
        };
        let threads = listeners.into_iter().enumerate().map(start).collect();
        Some(Self { address, shared, threads })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }
}

impl Drop for ReusePort {
    fn drop(&mut self) {
        self.shared.is_ending.store(true, Ordering::Release);
        for (waker, thread) in self.threads.drain(..) {
            // One that was awake has seen it, and ended.
            let _ = waker.wake();
            thread.join().unwrap();
        }
    }
}

struct Worker {
    index: u8,
    listener: Arc<TcpListener>,
    notifier: Notifier,
    poller: Poller,
    connections: HashMap<usize, Arc<TcpStream>>,
    next_key: usize,
    shared: Arc<Shared>,
}

impl Worker {
    fn new(index: u8, listener: TcpListener, notifier: Notifier, shared: Arc<Shared>) -> Self {
        listener.set_nonblocking(true).unwrap();
        let (listener, mut poller) = (Arc::new(listener), Poller::new().unwrap());
        poller.add(NOTIFIER, notifier.source(), Interest::READ).unwrap();
        poller.add(LISTENER, listener.clone(), Interest::READ).unwrap();
        let connections = HashMap::new();
        Self { index, listener, notifier, poller, connections, next_key: FIRST_CONNECTION, shared }
    }

    fn run(mut self) {
        let mut events = Events::new();
        while !self.shared.is_ending.load(Ordering::Acquire) {
            let wait = self.notifier.begin_wait(true);
            self.poller.wait(&mut events, wait.timeout(None)).unwrap();
            wait.end(events.iter().any(|event| event.key == NOTIFIER)).unwrap();
            for event in events.iter() {
                match event.key {
                    NOTIFIER => {}
                    LISTENER => self.accept(),
                    key => self.read(key),
                }
            }
        }
    }

    fn accept(&mut self) {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => Arc::new(stream),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("accept: {error}"),
            };
            stream.set_nonblocking(true).unwrap();
            stream.set_nodelay(true).unwrap();
            self.poller.add(self.next_key, stream.clone(), Interest::READ).unwrap();
            self.shared.connections.fetch_add(1, Ordering::Relaxed);
            (&*stream).write_all(&[self.index]).unwrap();
            self.connections.insert(self.next_key, stream);
            self.next_key += 1;
        }
    }

    /// A client says nothing; it only goes.
    fn read(&mut self, key: usize) {
        let read = (&*self.connections[&key]).read(&mut [0; 16]);
        if read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
            return;
        }
        self.poller.delete(key).unwrap();
        self.connections.remove(&key);
        self.shared.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
