//! The ways to wake a thread that are compared, each as a waiting and a waking half.

use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;

use modb_net::notify::Notifier;
use modb_net::poll::{Events, Interest, Poller};
use modb_net::socketpair;

use crate::sys;

/// Blocks until it is woken. May return early, as loops do that look at their queue anyway.
pub type Wait = Box<dyn FnMut() + Send>;
/// Wakes it. The last one may find that it has ended.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

pub struct Contender {
    pub name: &'static str,
    /// Whether many wake-ups of a busy thread become few writes.
    pub coalesces: bool,
    /// Whether what it waits for can be waited for together with sockets.
    pub polls: bool,
    /// Whether it wakes by `write`, which the system counts; a socket may be written by `send`, which it does not.
    pub writes: bool,
    pub make: fn() -> (Wait, Wake),
}

impl Contender {
    /// Whether it does what the notifier does: coalesces, beside sockets.
    pub fn is_peer(&self) -> bool {
        self.coalesces && self.polls
    }
}

/// The names that the report compares by name.
pub const OURS: &str = "modb notifier";
pub const OURS_PAIR: &str = "modb notifier, socket pair";
pub const OURS_RAW: &str = "modb notifier, socket pair, raw epoll";
pub const BARE_PAIR: &str = "socket pair, raw epoll";
pub const MIO: &str = "mio Waker";
pub const POLLING: &str = "polling notify";

pub fn all() -> Vec<Contender> {
    let mut all = vec![
        Contender {
            name: OURS,
            coalesces: true,
            polls: true,
            writes: true,
            make: || in_poller(Notifier::new().unwrap()),
        },
        Contender {
            name: OURS_PAIR,
            coalesces: true,
            polls: true,
            writes: false,
            make: || in_poller(over_pair()),
        },
        Contender { name: MIO, coalesces: false, polls: true, writes: true, make: mio_waker },
        Contender { name: POLLING, coalesces: true, polls: true, writes: true, make: polling_notify },
        Contender { name: "thread::park", coalesces: true, polls: false, writes: false, make: park },
        Contender { name: "crossbeam channel", coalesces: false, polls: false, writes: false, make: channel },
    ];
    all.extend(sys::contenders());
    all
}

pub fn over_pair() -> Notifier {
    Notifier::over(socketpair::pair().unwrap())
}

fn in_poller(notifier: Notifier) -> (Wait, Wake) {
    let waker = notifier.waker();
    let (mut poller, mut events) = (Poller::new().unwrap(), Events::new());
    poller.add(0, notifier.source(), Interest::READ).unwrap();
    let wait = move || {
        let wait = notifier.begin_wait(true);
        poller.wait(&mut events, wait.timeout(None)).unwrap();
        wait.end(!events.is_empty()).unwrap();
    };
    (Box::new(wait), Arc::new(move || _ = waker.wake()))
}

fn mio_waker() -> (Wait, Wake) {
    let mut poll = mio::Poll::new().unwrap();
    let waker = mio::Waker::new(poll.registry(), mio::Token(0)).unwrap();
    let mut events = mio::Events::with_capacity(64);
    let wait = move || while poll.poll(&mut events, None).is_err() {};
    (Box::new(wait), Arc::new(move || waker.wake().unwrap()))
}

fn polling_notify() -> (Wait, Wake) {
    let poller = Arc::new(polling::Poller::new().unwrap());
    let (waking, mut events) = (poller.clone(), polling::Events::new());
    let wait = move || {
        events.clear();
        poller.wait(&mut events, None).unwrap();
    };
    (Box::new(wait), Arc::new(move || waking.notify().unwrap()))
}

fn park() -> (Wait, Wake) {
    let thread = Arc::new(OnceLock::<Thread>::new());
    let woken = Arc::new(AtomicBool::new(false));
    let (waiting, noted) = (thread.clone(), woken.clone());
    let wait = move || {
        waiting.get_or_init(std::thread::current);
        fence(Ordering::SeqCst); // Either the flag is seen here or the thread is seen below.
        while !noted.swap(false, Ordering::Acquire) {
            std::thread::park();
        }
    };
    let wake = move || {
        if !woken.swap(true, Ordering::AcqRel) {
            fence(Ordering::SeqCst);
            if let Some(thread) = thread.get() {
                thread.unpark();
            }
        }
    };
    (Box::new(wait), Arc::new(wake))
}

fn channel() -> (Wait, Wake) {
    let (send, receive) = crossbeam_channel::unbounded();
    (Box::new(move || _ = receive.recv()), Arc::new(move || _ = send.send(())))
}
