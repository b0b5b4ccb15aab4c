//! Linux: bare epoll with an eventfd, a pipe or a socket pair, and libevent.

#![allow(unsafe_code)] // libc and libevent.

use std::ffi::{CStr, c_int, c_short, c_void};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;

use crate::contenders::{BARE_PAIR, Contender, OURS_RAW, Wait, Wake, over_pair};

pub fn contenders() -> Vec<Contender> {
    let mut all = vec![
        Contender { name: OURS_RAW, coalesces: true, polls: true, writes: false, make: notifier_in_epoll },
        Contender { name: BARE_PAIR, coalesces: false, polls: true, writes: true, make: bare_pair },
        Contender {
            name: "eventfd, raw epoll",
            coalesces: false,
            polls: true,
            writes: true,
            make: bare_eventfd,
        },
        Contender { name: "pipe, raw epoll", coalesces: false, polls: true, writes: true, make: bare_pipe },
    ];
    if LibEvent::load().is_some() {
        all.push(Contender { name: "libevent", coalesces: true, polls: true, writes: true, make: libevent });
    }
    all
}

pub fn pin(core: usize) {
    // SAFETY: an all-zero set is an empty one; `core` is below its size.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(core, &mut set);
        // On a machine with one processor there is nothing to choose.
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set);
    }
}

pub fn context_switches() -> f64 {
    // SAFETY: the structure is filled by the call.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    (usage.ru_nvcsw + usage.ru_nivcsw) as f64
}

/// The kernel's count of this process's `write` calls.
pub fn writes() -> Option<u64> {
    let counts = std::fs::read_to_string("/proc/self/io").ok()?;
    counts.lines().find_map(|line| line.strip_prefix("syscw: "))?.parse().ok()
}

pub fn open_descriptors() -> Option<usize> {
    Some(std::fs::read_dir("/proc/self/fd").ok()?.count())
}

struct Epoll(OwnedFd);

impl Epoll {
    /// Watches `fd`, level-triggered, which its owner keeps open as long as this.
    fn watching(fd: RawFd) -> Self {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 0 };
        // SAFETY: the new descriptor is owned by nobody else, and the event is read by the call.
        unsafe {
            let epoll = OwnedFd::from_raw_fd(libc::epoll_create1(libc::EPOLL_CLOEXEC));
            assert_eq!(libc::epoll_ctl(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &mut event), 0);
            Self(epoll)
        }
    }

    fn wait(&self, timeout_ms: c_int) -> bool {
        // SAFETY: room for the one event asked for.
        unsafe {
            let mut event: libc::epoll_event = std::mem::zeroed();
            libc::epoll_wait(self.0.as_raw_fd(), &mut event, 1, timeout_ms) == 1
        }
    }
}

fn notifier_in_epoll() -> (Wait, Wake) {
    let notifier = over_pair();
    let (epoll, waker) = (Epoll::watching(notifier.as_raw_fd()), notifier.waker());
    let wait = move || {
        let wait = notifier.begin_wait(true);
        let readable = epoll.wait(if wait.may_block() { -1 } else { 0 });
        wait.end(readable).unwrap();
    };
    (Box::new(wait), Arc::new(move || _ = waker.wake()))
}

/// Waits for `reader` in epoll and reads `bytes` at most; waking writes `message`.
fn bare(
    mut reader: impl Read + AsRawFd + Send + 'static,
    writer: File,
    message: &'static [u8],
) -> (Wait, Wake) {
    let epoll = Epoll::watching(reader.as_raw_fd());
    let wait = move || {
        if epoll.wait(-1) {
            let _ = reader.read(&mut [0; 4096]);
        }
    };
    // A full one is readable already.
    (Box::new(wait), Arc::new(move || _ = (&writer).write(message)))
}

fn bare_pair() -> (Wait, Wake) {
    let (near, far) = modb_net::socketpair::pair().unwrap();
    bare(near, File::from(OwnedFd::from(far)), &[1])
}

fn bare_eventfd() -> (Wait, Wake) {
    // SAFETY: the new descriptor is owned by nobody else.
    let event = unsafe { File::from_raw_fd(libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK)) };
    bare(event.try_clone().unwrap(), event, &[1, 0, 0, 0, 0, 0, 0, 0])
}

fn bare_pipe() -> (Wait, Wake) {
    let (reader, writer) = std::io::pipe().unwrap();
    for fd in [reader.as_raw_fd(), writer.as_raw_fd()] {
        // SAFETY: the descriptor is open.
        unsafe { libc::fcntl(fd, libc::F_SETFL, libc::O_NONBLOCK) };
    }
    bare(reader, File::from(OwnedFd::from(writer)), &[1])
}

/// libevent, loaded at run time: it is compared if it is there.
#[derive(Clone, Copy)]
struct LibEvent {
    base_new: extern "C" fn() -> *mut c_void,
    new: extern "C" fn(*mut c_void, c_int, c_short, Callback, *mut c_void) -> *mut c_void,
    add: extern "C" fn(*mut c_void, *const c_void) -> c_int,
    active: extern "C" fn(*mut c_void, c_int, c_short),
    base_loop: extern "C" fn(*mut c_void, c_int) -> c_int,
    free: extern "C" fn(*mut c_void),
    base_free: extern "C" fn(*mut c_void),
}

type Callback = extern "C" fn(c_int, c_short, *mut c_void);
const EV_READ: c_int = 0x02;
const EV_PERSIST: c_short = 0x10;
/// `EVLOOP_ONCE` and `EVLOOP_NO_EXIT_ON_EMPTY`: its event waits for nothing but us.
const EVLOOP_ONCE: c_int = 0x01 | 0x04;

impl LibEvent {
    fn load() -> Option<Self> {
        // SAFETY: the names are terminated, and the types are those of `event2/event.h` and `event2/thread.h`.
        unsafe {
            let open = |name: &CStr| {
                let library = libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL);
                (!library.is_null()).then_some(library)
            };
            let (library, threads) = (open(c"libevent-2.1.so.7")?, open(c"libevent_pthreads-2.1.so.7")?);
            let use_pthreads: extern "C" fn() -> c_int = function(threads, c"evthread_use_pthreads")?;
            use_pthreads();
            Some(Self {
                base_new: function(library, c"event_base_new")?,
                new: function(library, c"event_new")?,
                add: function(library, c"event_add")?,
                active: function(library, c"event_active")?,
                base_loop: function(library, c"event_base_loop")?,
                free: function(library, c"event_free")?,
                base_free: function(library, c"event_base_free")?,
            })
        }
    }
}

/// The function of that name.
///
/// # Safety
/// `library` is open, and `F` is the function's type as a pointer.
unsafe fn function<F>(library: *mut c_void, name: &CStr) -> Option<F> {
    // SAFETY: the name is terminated; the rest is the caller's promise.
    unsafe {
        let function = libc::dlsym(library, name.as_ptr());
        (!function.is_null()).then(|| std::mem::transmute_copy(&function))
    }
}

extern "C" fn on_event(_: c_int, _: c_short, _: *mut c_void) {}

/// A base with one event, shared by the two halves; libevent locks it itself.
struct Base {
    library: LibEvent,
    base: *mut c_void,
    event: *mut c_void,
}

// SAFETY: `evthread_use_pthreads` makes a base usable from several threads.
unsafe impl Send for Base {}
// SAFETY: as above.
unsafe impl Sync for Base {}

impl Drop for Base {
    fn drop(&mut self) {
        (self.library.free)(self.event);
        (self.library.base_free)(self.base);
    }
}

fn libevent() -> (Wait, Wake) {
    let library = LibEvent::load().unwrap();
    let base = (library.base_new)();
    let event = (library.new)(base, -1, EV_PERSIST, on_event, std::ptr::null_mut());
    (library.add)(event, std::ptr::null());
    let waiting = Arc::new(Base { library, base, event });
    let waking = waiting.clone();
    let wait = move || _ = (waiting.library.base_loop)(waiting.base, EVLOOP_ONCE);
    (Box::new(wait), Arc::new(move || (waking.library.active)(waking.event, EV_READ, 0)))
}
