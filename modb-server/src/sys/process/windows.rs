//! Windows: console events, and what the process uses.
#![allow(unsafe_code)]

use std::io;
use std::sync::OnceLock;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use windows_sys::Win32::Foundation::FILETIME;
use windows_sys::Win32::System::Console::{
    CTRL_BREAK_EVENT, CTRL_C_EVENT, CTRL_CLOSE_EVENT, CTRL_LOGOFF_EVENT, CTRL_SHUTDOWN_EVENT,
    SetConsoleCtrlHandler,
};
use windows_sys::Win32::System::ProcessStatus::{GetProcessMemoryInfo, PROCESS_MEMORY_COUNTERS};
use windows_sys::Win32::System::SystemInformation::{GlobalMemoryStatusEx, MEMORYSTATUSEX};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, GetProcessTimes};

/// Windows ends the process when the handler of a closing console returns, and at the latest after some
/// seconds; it waits so long for the process to end by itself.
const CLOSE_WAIT: Duration = Duration::from_secs(30);

/// Where the handler, which has no state of its own, leaves the news.
static EVENTS: OnceLock<SyncSender<u32>> = OnceLock::new();

/// Calls `told` on a thread of its own when the process is asked to end (Ctrl-C, Ctrl-Break, the console closes,
/// logoff, shutdown). For programs; a library never takes console events.
///
/// # Errors
/// If the handler cannot be installed, or was installed before.
#[cfg(feature = "cli")]
pub fn on_signals(told: impl Fn(super::Told) + Send + 'static) -> io::Result<()> {
    let (sender, receiver) = sync_channel(1);
    if EVENTS.set(sender).is_err() {
        return Err(io::Error::other("a console handler is installed already"));
    }
    std::thread::Builder::new().name("modb-console".into()).spawn(move || {
        for event in receiver {
            told(super::Told::End(match event {
                CTRL_C_EVENT => "Ctrl-C",
                CTRL_BREAK_EVENT => "Ctrl-Break",
                CTRL_CLOSE_EVENT => "its console, which closes",
                _ => "the end of the session",
            }));
        }
    })?;
    // SAFETY: `handler` has the signature that is asked for, and lives as long as the process.
    if unsafe { SetConsoleCtrlHandler(Some(handler), 1) } == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Tells the service manager, if it has started this process.
#[cfg(feature = "cli")]
pub fn tell_service_manager(what: &str) {
    crate::sys::service::tell(what);
}

/// The rights of new files are those of the folder around them here.
#[cfg(feature = "cli")]
pub fn make_files_private() {}

unsafe extern "system" fn handler(event: u32) -> i32 {
    if let Some(sender) = EVENTS.get() {
        // Full: it was told already.
        let _ = sender.try_send(event);
    }
    match event {
        CTRL_C_EVENT | CTRL_BREAK_EVENT => 1,
        CTRL_CLOSE_EVENT | CTRL_LOGOFF_EVENT | CTRL_SHUTDOWN_EVENT => {
            std::thread::sleep(CLOSE_WAIT);
            1
        }
        _ => 0,
    }
}

/// Memory the process has in use, in bytes.
pub fn memory_bytes() -> Option<u64> {
    counters().map(|counters| counters.WorkingSetSize as u64)
}

/// The most memory the process ever had in use, in bytes.
pub fn peak_memory_bytes() -> Option<u64> {
    counters().map(|counters| counters.PeakWorkingSetSize as u64)
}

/// The memory of the machine, in bytes.
pub fn total_memory_bytes() -> Option<u64> {
    let size = size_of::<MEMORYSTATUSEX>() as u32;
    let mut status = MEMORYSTATUSEX { dwLength: size, ..MEMORYSTATUSEX::default() };
    // SAFETY: `status` is valid for writes and says how large it is.
    let done = unsafe { GlobalMemoryStatusEx(&mut status) };
    (done != 0).then_some(status.ullTotalPhys)
}

fn counters() -> Option<PROCESS_MEMORY_COUNTERS> {
    let mut counters = PROCESS_MEMORY_COUNTERS::default();
    let size = size_of::<PROCESS_MEMORY_COUNTERS>() as u32;
    // SAFETY: the handle is that of this process, and `counters` is as large as `size` says.
    let done = unsafe { GetProcessMemoryInfo(GetCurrentProcess(), &mut counters, size) };
    (done != 0).then_some(counters)
}

/// Processor time used in the system and in the program, in seconds.
pub fn cpu_seconds() -> Option<(f64, f64)> {
    let mut times = [FILETIME::default(); 4];
    let [created, ended, system, user] = &mut times;
    // SAFETY: the handle is that of this process, and all four places are valid for writes.
    let done = unsafe { GetProcessTimes(GetCurrentProcess(), created, ended, system, user) };
    // In units of 100 ns.
    let seconds = |time: &FILETIME| {
        (f64::from(time.dwHighDateTime) * 4_294_967_296.0 + f64::from(time.dwLowDateTime)) / 1e7
    };
    (done != 0).then(|| (seconds(&times[2]), seconds(&times[3])))
}

/// Nothing to allow: Windows lets a port be used again at once, and `SO_REUSEADDR` would let others steal it.
pub(crate) fn prepare_listener(_: &socket2::Socket) -> io::Result<()> {
    Ok(())
}

/// How often this process is a fork of a fork: there are none.
pub(crate) fn forks() -> u64 {
    0
}
