//! Linux, macOS and the BSDs: signals, descriptors, and loops on `select` and `poll`.

#![allow(unsafe_code)] // libc.

use std::fs::File;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use modb_net::notify::{Notifier, NotifyError};
use modb_net::poll::{Events, Interest, Poller};
use modb_net::socketpair::{self, DEFAULT_DEADLINE, Step, Strategy, pair_by};
use socket2::Socket;

use crate::child::in_child;
use crate::loops::{ITEMS_EACH, PRODUCERS, notifiers, produce, runs_in};

/// Puts a file in the place of the socket, of which another descriptor remains: nothing but writing fails.
pub(crate) fn breaker_of(socket: &Socket) -> impl FnOnce() + use<> {
    let (fd, still_open) = (socket.as_raw_fd(), socket.try_clone().unwrap());
    move || {
        std::mem::forget(still_open);
        let null = File::open("/dev/null").unwrap();
        // SAFETY: both descriptors are open. That `fd` is no socket any more is what the test is about.
        assert_eq!(unsafe { libc::dup2(null.as_raw_fd(), fd) }, fd);
    }
}

#[test]
fn the_notifier_works_in_a_select_loop() {
    runs_in(|notifier, timeout| select(notifier.as_raw_fd(), timeout));
}

fn select(fd: RawFd, timeout: Duration) -> bool {
    assert!((fd as usize) < libc::FD_SETSIZE);
    let mut timeout =
        libc::timeval { tv_sec: timeout.as_secs() as libc::time_t, tv_usec: timeout.subsec_micros().into() };
    // SAFETY: an all-zero `fd_set` is an empty one, and `fd` is below FD_SETSIZE.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::FD_SET(fd, &mut set);
        let none = std::ptr::null_mut();
        libc::select(fd + 1, &mut set, none, none, &mut timeout) == 1
    }
}

#[test]
fn the_notifier_works_in_a_poll_loop() {
    runs_in(|notifier, timeout| {
        let mut fd = libc::pollfd { fd: notifier.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one entry, which is open.
        unsafe { libc::poll(&mut fd, 1, timeout.as_millis() as libc::c_int) == 1 }
    });
}

#[test]
fn select_works_on_a_pipe_here() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    std::io::Write::write_all(&mut writer, b"x").unwrap();
    assert!(select(reader.as_raw_fd(), Duration::ZERO));
}

static ALARMS: AtomicU32 = AtomicU32::new(0);

extern "C" fn on_alarm(_: libc::c_int) {
    ALARMS.fetch_add(1, Ordering::Relaxed);
}

/// A signal every 200 microseconds to this process, which interrupts system calls.
fn be_interrupted() {
    let handler: extern "C" fn(libc::c_int) = on_alarm;
    let every = libc::timeval { tv_sec: 0, tv_usec: 200 };
    let timer = libc::itimerval { it_interval: every, it_value: every };
    // SAFETY: the handler only touches an atomic, and the structures are complete (zero means no flags, so
    // no SA_RESTART, and an empty mask).
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as libc::sighandler_t;
        assert_eq!(libc::sigaction(libc::SIGALRM, &action, std::ptr::null_mut()), 0);
        assert_eq!(libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut()), 0);
    }
}

#[test]
fn interruptions_do_no_harm() {
    in_child("sys::unix::interruptions_do_no_harm", || {
        be_interrupted();
        for _ in 0..100 {
            for &strategy in Strategy::ALL {
                pair_by(&[strategy], DEFAULT_DEADLINE).unwrap_or_else(|error| panic!("{error}"));
            }
        }
        for notifier in notifiers() {
            let (mut poller, mut events) = (Poller::new().unwrap(), Events::new());
            poller.add(0, notifier.source(), Interest::READ).unwrap();
            let (items, threads) = produce(&notifier.waker());
            let mut count = 0;
            while count < PRODUCERS * ITEMS_EACH {
                let wait = notifier.begin_wait(true);
                poller.wait(&mut events, wait.timeout(None)).unwrap();
                wait.end(!events.is_empty()).unwrap();
                count += items.try_iter().count();
            }
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        }
        assert!(ALARMS.load(Ordering::Relaxed) > 10, "the interruptions came");
    });
}

#[test]
fn a_closed_peer_is_an_error_and_not_a_signal() {
    in_child("sys::unix::a_closed_peer_is_an_error_and_not_a_signal", || {
        // What a host written in C has; Rust's own main ignores the signal.
        // SAFETY: no handler is installed.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        for strategy in [Strategy::Native, Strategy::UnixPath] {
            let (receiver, sender) = pair_by(&[strategy], DEFAULT_DEADLINE).unwrap();
            receiver.shutdown(std::net::Shutdown::Both).unwrap();
            let notifier = Notifier::over((receiver, sender));
            let _asleep = notifier.begin_wait(true);
            assert_eq!(notifier.waker().wake(), Err(NotifyError::Broken));
        }
    });
}

/// Leaves exactly `room` free descriptors in this process; they come back when this is dropped.
fn leave_room(room: usize) -> Vec<File> {
    let open = || File::open("/dev/null");
    let mut files: Vec<_> = std::iter::repeat_with(open).map_while(Result::ok).collect();
    files.truncate(files.len() - room);
    files
}

#[test]
fn without_descriptors_there_is_no_pair_and_none_is_leaked() {
    in_child("sys::unix::without_descriptors_there_is_no_pair_and_none_is_leaked", || {
        let limit = libc::rlimit { rlim_cur: 64, rlim_max: 64 };
        // SAFETY: the structure is complete.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
        for &strategy in Strategy::ALL {
            let needed = if strategy == Strategy::Native { 2 } else { 3 };
            for room in 0..needed {
                let full = leave_room(room);
                for _ in 0..10 {
                    let error = pair_by(&[strategy], DEFAULT_DEADLINE).unwrap_err();
                    let step = error.failed[0].step;
                    assert!(matches!(step, Step::Create | Step::Accept), "{error}");
                    assert!(error.to_string().contains("Too many open files"), "{error}");
                }
                assert_eq!(leave_room(0).len(), room, "{strategy}: as many are free as before");
                drop(full);
            }
            let _full = leave_room(needed);
            pair_by(&[strategy], DEFAULT_DEADLINE).unwrap_or_else(|error| panic!("{error}"));
        }
    });
}

#[test]
fn without_descriptors_there_is_no_notifier_and_no_poller() {
    in_child("sys::unix::without_descriptors_there_is_no_notifier_and_no_poller", || {
        let limit = libc::rlimit { rlim_cur: 64, rlim_max: 64 };
        // SAFETY: the structure is complete.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
        for room in 0..3 {
            let full = leave_room(room);
            let notifier = Notifier::new();
            let needed = if cfg!(target_os = "linux") { 1 } else { 2 }; // An eventfd is one descriptor.
            assert_eq!(notifier.is_ok(), room >= needed);
            drop(notifier);
            let _ = Poller::new().map(|_| ()).map_err(|error| error.to_string());
            assert_eq!(leave_room(0).len(), room);
            drop(full);
        }
    });
}

#[test]
fn a_bad_temporary_folder_is_no_hindrance() {
    in_child("sys::unix::a_bad_temporary_folder_is_no_hindrance", || {
        for bad in ["/nonexistent".to_owned(), format!("/tmp/{}", "d".repeat(120))] {
            // SAFETY: this process has no other thread that reads or sets the environment.
            unsafe { std::env::set_var("TMPDIR", &bad) };
            pair_by(&[Strategy::UnixPath], DEFAULT_DEADLINE).unwrap_or_else(|error| panic!("{error}"));
        }
    });
}

#[test]
fn the_descriptor_limit_is_raised_and_never_lowered() {
    in_child("sys::unix::the_descriptor_limit_is_raised_and_never_lowered", || {
        let limit = libc::rlimit { rlim_cur: 64, rlim_max: 128 };
        // SAFETY: the structure is complete.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
        assert_eq!(modb_net::raise_descriptor_limit(10).unwrap(), 64);
        assert_eq!(modb_net::raise_descriptor_limit(100).unwrap(), 100);
        assert_eq!(modb_net::raise_descriptor_limit(1_000_000).unwrap(), 128);
        let files = leave_room(0);
        assert!(files.len() > 100, "{} descriptors", files.len());
    });
}

#[test]
fn the_default_pair_is_the_systems_own() {
    let (a, _) = socketpair::pair().unwrap();
    assert!(a.local_addr().unwrap().is_unix());
}
