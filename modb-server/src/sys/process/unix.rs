//! Unix: signals, forks, and what the process uses.

use std::io;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

/// Calls `told` on a thread of its own for each signal that asks the process to end (SIGINT, SIGTERM) or that says that its
/// terminal has gone (SIGHUP). A second signal to end ends it at once. For programs; a library never takes signals.
///
/// # Errors
/// If the handlers cannot be installed.
#[cfg(feature = "cli")]
pub fn on_signals(told: impl Fn(super::Told) + Send + 'static) -> io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first signal sets the flag that makes the second one final.
        signal_hook::flag::register_conditional_shutdown(signal, 1, std::sync::Arc::clone(&stop))?;
        signal_hook::flag::register(signal, std::sync::Arc::clone(&stop))?;
    }
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    std::thread::Builder::new().name("modb-signals".into()).spawn(move || {
        for signal in signals.forever() {
            told(match signal {
                SIGINT => super::Told::End("SIGINT"),
                SIGTERM => super::Told::End("SIGTERM"),
                _ => super::Told::HungUp,
            });
        }
    })?;
    Ok(())
}

/// Tells the service manager that started the process how it is, if one did and wants to know (`NOTIFY_SOCKET`, as in
/// sd_notify(3)). Whether it hears it changes nothing.
#[cfg(feature = "cli")]
pub fn tell_service_manager(state: &str) {
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::net::{SocketAddr, UnixDatagram};
    let Some(name) = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else { return };
    let tell = || {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        let address = match name.as_bytes().strip_prefix(b"@") {
            #[cfg(target_os = "linux")]
            Some(name) => <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name)?,
            _ => SocketAddr::from_pathname(&name)?,
        };
        socket.send_to_addr(state.as_bytes(), &address)
    };
    let told: io::Result<usize> = tell();
    if let Err(error) = told {
        tracing::warn!(%error, "the service manager cannot be told {state:?}");
    }
}

/// From now on the files that this process makes are for its user alone. For programs: it concerns the whole process.
#[cfg(feature = "cli")]
pub fn make_files_private() {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
}

/// Memory the process has in use, in bytes, where the system says so in `/proc`.
pub fn memory_bytes() -> Option<u64> {
    // Not in pages: valgrind does not show what rustix asks for their size.
    kilobytes("/proc/self/status", "VmRSS:")
}

/// The most memory the process ever had in use, in bytes, where the system says so in `/proc`.
pub fn peak_memory_bytes() -> Option<u64> {
    kilobytes("/proc/self/status", "VmHWM:")
}

/// The memory of the machine, in bytes, where the system says so in `/proc`.
pub fn total_memory_bytes() -> Option<u64> {
    kilobytes("/proc/meminfo", "MemTotal:")
}

/// The value behind a name in one of the files that write `Name:   123 kB`, in bytes.
fn kilobytes(file: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    value.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// Processor time used in the system and in the program, in seconds, where the system says so in `/proc`.
pub fn cpu_seconds() -> Option<(f64, f64)> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name of the program, in parentheses, may contain anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((system / ticks, user / ticks))
}

/// A port whose last user has just ended can be listened on again.
pub(crate) fn prepare_listener(socket: &socket2::Socket) -> io::Result<()> {
    socket.set_reuse_address(true)
}

/// How often this process is a fork of a fork, since the first call: it differs in a copy of the process from what it was
/// before, from the copy's first moment on.
#[allow(unsafe_code)]
pub(crate) fn forks() -> u64 {
    static FORKS: AtomicU64 = AtomicU64::new(0);
    static COUNTING: Once = Once::new();

    extern "C" fn count() {
        FORKS.fetch_add(1, Ordering::Relaxed);
    }

    unsafe extern "C" {
        // Of every Unix's C library, which the standard library is linked with.
        fn pthread_atfork(
            before: Option<extern "C" fn()>,
            in_parent: Option<extern "C" fn()>,
            in_child: Option<extern "C" fn()>,
        ) -> core::ffi::c_int;
    }

    COUNTING.call_once(|| {
        // SAFETY: the declaration is that of POSIX, and `count`, which runs in the child, only adds to an atomic number.
        if unsafe { pthread_atfork(None, None, Some(count)) } != 0 {
            tracing::warn!(
                "no memory left to notice a fork of this process: a copy must not use its databases"
            );
        }
    });
    FORKS.load(Ordering::Relaxed)
}
