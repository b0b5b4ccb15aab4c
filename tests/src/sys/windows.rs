//! Windows: memory and time from the process API. It has no signals and no descriptor limit.
#![allow(unsafe_code)]

use std::path::Path;
use std::time::Duration;

use windows_sys::Win32::Foundation::{CloseHandle, FILETIME, HANDLE};
use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleA, GetProcAddress};
use windows_sys::Win32::System::ProcessStatus::{K32GetProcessMemoryInfo, PROCESS_MEMORY_COUNTERS};
use windows_sys::Win32::System::Threading::{
    GetProcessTimes, OpenProcess, PROCESS_QUERY_INFORMATION, PROCESS_VM_READ,
};

/// A signal that asks a program to end.
#[derive(Clone, Copy, Debug)]
pub enum Ask {
    /// SIGTERM on Unix.
    Terminate,
    /// Ctrl-C.
    Interrupt,
}

/// Sends the signal to a child; `false`, since Windows has no signals.
pub fn ask_to_end(_pid: u32, _ask: Ask) -> bool {
    false
}

struct Process(HANDLE);

impl Process {
    fn open(pid: u32) -> Option<Self> {
        // SAFETY: takes numbers only; a null handle is checked.
        let handle = unsafe { OpenProcess(PROCESS_QUERY_INFORMATION | PROCESS_VM_READ, 0, pid) };
        (!handle.is_null()).then_some(Self(handle))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SAFETY: the handle came from OpenProcess and is closed once.
        unsafe { CloseHandle(self.0) };
    }
}

/// Lets a script be started. Windows goes by the name.
///
/// # Errors
/// None.
pub fn make_executable(_path: &Path) -> std::io::Result<()> {
    Ok(())
}

/// Resident memory of a process, in bytes.
pub fn rss_bytes(pid: u32) -> Option<u64> {
    let process = Process::open(pid)?;
    let size = size_of::<PROCESS_MEMORY_COUNTERS>() as u32;
    // SAFETY: the structure is plain numbers, for which zeros are valid.
    let mut counters: PROCESS_MEMORY_COUNTERS = unsafe { std::mem::zeroed() };
    // SAFETY: the handle is open, and the structure is as large as `size` says.
    let ok = unsafe { K32GetProcessMemoryInfo(process.0, &raw mut counters, size) };
    (ok != 0).then_some(counters.WorkingSetSize as u64)
}

/// Processor time a process has used, in user and kernel together.
pub fn cpu_time(pid: u32) -> Option<Duration> {
    let process = Process::open(pid)?;
    let mut times = [FILETIME { dwLowDateTime: 0, dwHighDateTime: 0 }; 4];
    let [created, ended, kernel, user] = &mut times;
    // SAFETY: the handle is open and the four structures outlive the call.
    let ok = unsafe {
        GetProcessTimes(process.0, &raw mut *created, &raw mut *ended, &raw mut *kernel, &raw mut *user)
    };
    let hundred_ns = |t: &FILETIME| u64::from(t.dwHighDateTime) << 32 | u64::from(t.dwLowDateTime);
    (ok != 0).then(|| Duration::from_nanos((hundred_ns(kernel) + hundred_ns(user)) * 100))
}

/// There is no limit to raise.
pub fn raise_descriptor_limit(wanted: u64) -> u64 {
    wanted
}

/// Whether file permissions mean nothing to this user. Not asked on Windows.
pub fn is_root() -> bool {
    false
}

/// Whether Wine stands in for Windows: only Wine's ntdll has this function.
pub fn under_wine() -> bool {
    // SAFETY: both names are C strings; ntdll is loaded in every process and never unloaded.
    unsafe {
        let ntdll = GetModuleHandleA(c"ntdll.dll".as_ptr().cast());
        !ntdll.is_null() && GetProcAddress(ntdll, c"wine_get_version".as_ptr().cast()).is_some()
    }
}

/// Not done on Windows, where rights are lists, not bits: scenarios that need it say so and skip.
pub fn set_accessible(_folder: &Path, _accessible: bool) {}

/// A file system of its own that is soon full.
#[derive(Debug)]
pub struct SmallDisk;

impl SmallDisk {
    /// None: Windows mounts no memory disk without a driver.
    pub fn mount(_bytes: u64) -> Option<Self> {
        None
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        Path::new("")
    }
}

/// There is no limit to lower.
pub fn lower_descriptor_limit_of(_pid: u32, _limit: u64) -> Option<u64> {
    None
}
