//! Linux: what a child inherits, a network without a loopback interface, an older kernel, and libevent's loop.

#![allow(unsafe_code)] // libevent, seccomp.

use std::cell::{Cell, RefCell};
use std::ffi::{c_char, c_int, c_short, c_void};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use modb_net::notify::{Notifier, Wait};
use modb_net::poll::{Events, Interest, Poller};
use modb_net::socketpair::{DEFAULT_DEADLINE, Step, Strategy, pair, pair_by};

use crate::child::{in_child, in_child_by};
use crate::loops::{ITEMS_EACH, PRODUCERS, produce};

#[test]
fn a_program_that_is_started_inherits_nothing() {
    let pairs: Vec<_> = Strategy::ALL.iter().map(|&by| pair_by(&[by], DEFAULT_DEADLINE).unwrap()).collect();
    let (notifier, poller) = (Notifier::new().unwrap(), Poller::new().unwrap());
    let listing = Command::new("ls").args(["-l", "/proc/self/fd"]).output().unwrap();
    let listing = String::from_utf8(listing.stdout).unwrap();
    assert!(listing.contains("/proc/"), "the listing itself is there: {listing}");
    for kind in ["socket:", "eventpoll", "eventfd", "timerfd"] {
        assert!(!listing.contains(kind), "{listing}");
    }
    drop((pairs, notifier, poller));
}

#[test]
fn without_a_loopback_interface_the_error_says_so_and_the_others_work() {
    let name = "sys::linux::without_a_loopback_interface_the_error_says_so_and_the_others_work";
    let unshare = ["unshare", "--net"];
    if !Command::new(unshare[0]).args([unshare[1], "true"]).output().is_ok_and(|it| it.status.success()) {
        return skip(name, "a network namespace of its own needs root");
    }
    in_child_by(&unshare, name, || {
        let loopback = [Strategy::LoopbackV4, Strategy::LoopbackV6];
        let error = pair_by(&loopback, DEFAULT_DEADLINE).unwrap_err();
        let steps: Vec<_> = error.failed.iter().map(|failed| (failed.strategy, failed.step)).collect();
        assert_eq!(steps, [(Strategy::LoopbackV4, Step::Connect), (Strategy::LoopbackV6, Step::Bind)]);
        assert!(error.to_string().contains("Network is unreachable"), "{error}");
        pair().unwrap();
        pair_by(&[loopback[0], loopback[1], Strategy::UnixPath], DEFAULT_DEADLINE).unwrap();
    });
}

#[test]
fn no_wait_however_long_asks_for_what_kernels_before_5_11_do_not_have() {
    let name = "sys::linux::no_wait_however_long_asks_for_what_kernels_before_5_11_do_not_have";
    in_child(name, || {
        forbid_epoll_pwait2();
        crate::far::serve();
        let (near, mut far) = pair().unwrap();
        let mut poller = Poller::new().unwrap();
        poller.add(1, Arc::new(near), Interest::READ).unwrap();
        far.write_all(b"x").unwrap();
        let mut events = Events::new();
        for wait in [Duration::MAX, Duration::from_secs(1 << 32), Duration::from_nanos(1)] {
            poller.wait(&mut events, Some(wait)).unwrap();
            assert_eq!(events.len(), 1);
        }
    });
}

/// From now on `epoll_pwait2` answers this thread, and those that it starts, as an older kernel would.
fn forbid_epoll_pwait2() {
    let statement = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let number = statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0);
    let is_it = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let otherwise = libc::sock_filter { jf: 1, ..statement(is_it, libc::SYS_epoll_pwait2 as u32) };
    let unknown = statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32);
    let allowed = statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW);
    let mut filter = [number, otherwise, unknown, allowed];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: the filter lives as long as the call that copies it; the last call is made to fail.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program), 0);
        assert_eq!(libc::syscall(libc::SYS_epoll_pwait2, -1, 0, 0, 0, 0), -1);
    }
    assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(libc::ENOSYS));
}

/// For a test that finds that it cannot run here: leaves the reason where `cargo xtask test` counts it.
fn skip(name: &str, reason: &str) {
    eprintln!("skipped: {name}: {reason}");
    if let Some(log) = std::env::var_os("MODB_SKIP_LOG") {
        let mut log = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        writeln!(log, "{name}: {reason}").unwrap();
    }
}

/// libevent, loaded at run time so that only this test needs it.
struct LibEvent(*mut c_void);

type Callback = extern "C" fn(c_int, c_short, *mut c_void);
const EV_READ_PERSIST: c_short = 0x02 | 0x10;

impl LibEvent {
    fn load() -> Self {
        // SAFETY: the name is terminated; the library's initialisers are harmless.
        let library = unsafe { libc::dlopen(c"libevent-2.1.so.7".as_ptr(), libc::RTLD_NOW) };
        assert!(!library.is_null(), "libevent is missing: apt-get install libevent-dev");
        Self(library)
    }

    fn function(&self, name: &std::ffi::CStr) -> *mut c_void {
        // SAFETY: the library is open and the name is terminated.
        let function = unsafe { libc::dlsym(self.0, name.as_ptr().cast::<c_char>()) };
        assert!(!function.is_null(), "{name:?} is not in libevent");
        function
    }
}

/// Declares a function of libevent, with the type it has in `event2/event.h`.
macro_rules! function {
    ($library:expr, $name:ident: $type:ty) => {
        // SAFETY: the type is that of the header.
        let $name: $type = unsafe {
            let name = concat!(stringify!($name), "\0");
            let name = std::ffi::CStr::from_bytes_with_nul_unchecked(name.as_bytes());
            std::mem::transmute::<*mut c_void, $type>($library.function(name))
        };
    };
}

/// What the callback needs.
struct Guest<'a> {
    notifier: &'a Notifier,
    wait: RefCell<Option<Wait<'a>>>,
    items: mpsc::Receiver<usize>,
    count: Cell<usize>,
    stop: &'a dyn Fn(),
}

impl Guest<'_> {
    /// Takes what is there until the notifier may sleep; libevent does the sleeping.
    fn serve(&self) {
        loop {
            self.count.set(self.count.get() + self.items.try_iter().count());
            if self.count.get() == PRODUCERS * ITEMS_EACH {
                return (self.stop)();
            }
            let wait = self.notifier.begin_wait(true);
            if wait.may_block() {
                *self.wait.borrow_mut() = Some(wait);
                return;
            }
            wait.end(false).unwrap();
        }
    }
}

extern "C" fn on_readable(_: c_int, _: c_short, guest: *mut c_void) {
    // SAFETY: the pointer is to the guest, which outlives the loop and is used by this thread alone.
    let guest = unsafe { &*guest.cast::<Guest<'_>>() };
    if let Some(wait) = guest.wait.take() {
        wait.end(true).unwrap();
    }
    guest.serve();
}

#[test]
fn the_notifier_works_in_libevents_loop() {
    let library = LibEvent::load();
    function!(library, event_base_new: extern "C" fn() -> *mut c_void);
    function!(library, event_new: extern "C" fn(*mut c_void, c_int, c_short, Callback, *mut c_void) -> *mut c_void);
    function!(library, event_add: extern "C" fn(*mut c_void, *const c_void) -> c_int);
    function!(library, event_base_dispatch: extern "C" fn(*mut c_void) -> c_int);
    function!(library, event_base_loopbreak: extern "C" fn(*mut c_void) -> c_int);
    function!(library, event_free: extern "C" fn(*mut c_void));
    function!(library, event_base_free: extern "C" fn(*mut c_void));

    let notifier = Notifier::new().unwrap();
    let base = event_base_new();
    let stop = || assert_eq!(event_base_loopbreak(base), 0);
    let (items, threads) = produce(&notifier.waker());
    let guest =
        Guest { notifier: &notifier, wait: RefCell::new(None), items, count: Cell::new(0), stop: &stop };
    let pointer = (&raw const guest).cast_mut().cast();
    let event = event_new(base, notifier.as_raw_fd(), EV_READ_PERSIST, on_readable, pointer);
    assert_eq!(event_add(event, std::ptr::null()), 0);
    guest.serve();
    if guest.count.get() < PRODUCERS * ITEMS_EACH {
        assert_eq!(event_base_dispatch(base), 0);
    }
    event_free(event);
    event_base_free(base);
    assert_eq!(guest.count.get(), PRODUCERS * ITEMS_EACH);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}
