//! Windows: memory and time from the process API, console events in place of signals. It has no descriptor limit.
#![allow(unsafe_code)]

use std::io;
use std::os::windows::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::Ask;
use windows_sys::Win32::Foundation::{CloseHandle, FILETIME, HANDLE};
use windows_sys::Win32::System::Console::{
    AttachConsole, CTRL_BREAK_EVENT, CTRL_C_EVENT, FreeConsole, GenerateConsoleCtrlEvent,
    SetConsoleCtrlHandler,
};
use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleA, GetProcAddress};
use windows_sys::Win32::System::ProcessStatus::{K32GetProcessMemoryInfo, PROCESS_MEMORY_COUNTERS};
use windows_sys::Win32::System::Threading::{
    CREATE_NO_WINDOW, GetProcessTimes, OpenProcess, PROCESS_QUERY_INFORMATION, PROCESS_VM_READ,
};

/// The event of that name in the console of a child that has one of its own: sent by a process of its own, since it
/// reaches all who are in the console.
///
/// # Errors
/// What the system says, or that process.
pub fn ask_to_end(pid: u32, ask: Ask) -> io::Result<()> {
    let test = std::env::current_exe()?;
    // target/<profile>/deps/<test>
    let folder = test.ancestors().nth(2).expect("tests lie in target/<profile>/deps");
    let mut command = Command::new(folder.join("ask-to-end.exe"));
    let output = command.args([&pid.to_string(), ask.name()]).stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()))
}

/// The event in the console of `pid`, which this process joins for it.
///
/// # Errors
/// What the system says.
pub fn ask_to_end_from_here(pid: u32, ask: Ask) -> io::Result<()> {
    let event = match ask {
        Ask::Terminate => CTRL_BREAK_EVENT,
        Ask::Interrupt => CTRL_C_EVENT,
    };
    let done = |ok: i32| if ok == 0 { Err(io::Error::last_os_error()) } else { Ok(()) };
    // SAFETY: these take numbers only, and the handler lives as long as the process.
    unsafe {
        // It fails if this process has none, which is as well.
        FreeConsole();
        done(AttachConsole(pid))?;
        done(SetConsoleCtrlHandler(Some(survive), 1))?;
        done(GenerateConsoleCtrlEvent(event, 0))
    }
}

/// Events that are sent from here come here, too.
unsafe extern "system" fn survive(_event: u32) -> i32 {
    1
}

/// A console without a window, for this child alone.
pub fn give_own_console(command: &mut Command) {
    command.creation_flags(CREATE_NO_WINDOW);
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
pub fn make_executable(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// Resident memory of a process, in bytes.
pub fn rss_bytes(pid: u32) -> Option<u64> {
    memory_of(pid).map(|counters| counters.WorkingSetSize as u64)
}

/// The most memory that a process ever had resident, in bytes.
pub fn peak_rss_bytes(pid: u32) -> Option<u64> {
    memory_of(pid).map(|counters| counters.PeakWorkingSetSize as u64)
}

fn memory_of(pid: u32) -> Option<PROCESS_MEMORY_COUNTERS> {
    let process = Process::open(pid)?;
    let size = size_of::<PROCESS_MEMORY_COUNTERS>() as u32;
    // SAFETY: the structure is plain numbers, for which zeros are valid.
    let mut counters: PROCESS_MEMORY_COUNTERS = unsafe { std::mem::zeroed() };
    // SAFETY: the handle is open, and the structure is as large as `size` says.
    let ok = unsafe { K32GetProcessMemoryInfo(process.0, &raw mut counters, size) };
    (ok != 0).then_some(counters)
}

/// It is not asked.
pub fn bytes_read(_pid: u32) -> Option<u64> {
    None
}

/// There are job objects, which the scenarios do not use.
#[derive(Debug)]
pub struct MemoryGroup;

impl MemoryGroup {
    /// None.
    pub fn of_bytes(_bytes: u64) -> Result<Self, &'static str> {
        Err("control groups are Linux's")
    }

    /// Never asked for.
    pub fn script(&self) -> String {
        String::new()
    }
}

/// There are none.
#[derive(Debug)]
pub struct Network;

impl Network {
    /// None.
    pub fn new() -> Result<Self, &'static str> {
        Err("networks of one's own are Linux's")
    }

    /// Never asked for.
    pub fn inside(&self) -> std::net::Ipv4Addr {
        std::net::Ipv4Addr::LOCALHOST
    }

    /// Never asked for.
    pub fn script(&self) -> String {
        String::new()
    }
}

/// Rust's library has no such sockets here.
pub fn through_file(_path: &Path, _request: &[u8]) -> Option<String> {
    None
}

/// Windows counts other things as well.
pub fn open_descriptors(_pid: u32) -> Option<usize> {
    None
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

/// A file system of its own that is soon full. Emptied when dropped.
#[derive(Debug)]
pub struct SmallDisk {
    folder: PathBuf,
}

/// How many of the disks in `MODB_TEST_SMALL_DISKS` are taken.
static TAKEN: AtomicUsize = AtomicUsize::new(0);

impl SmallDisk {
    /// One of those that whoever runs the suite has mounted, since a Windows program mounts none without a driver:
    /// `MODB_TEST_SMALL_DISKS` names a folder that holds them. They are [`super::SMALL_DISK_BYTES`] large.
    pub fn mount() -> Result<Self, &'static str> {
        let Some(folder) = std::env::var_os("MODB_TEST_SMALL_DISKS") else {
            return Err(
                "Windows mounts no small disk without a driver, and MODB_TEST_SMALL_DISKS names none",
            );
        };
        let folder = PathBuf::from(folder).join(TAKEN.fetch_add(1, Ordering::Relaxed).to_string());
        if !folder.is_dir() {
            return Err("MODB_TEST_SMALL_DISKS holds too few small disks");
        }
        let disk = Self { folder };
        disk.clear();
        Ok(disk)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// It is somebody else's.
    pub fn make_read_only(&self) -> Result<(), &'static str> {
        Err("a disk that others have mounted stays writable")
    }

    fn clear(&self) {
        for entry in std::fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            // What cannot be removed will be missed as space, and then the scenario says so.
            let _ = std::fs::remove_dir_all(entry.path()).or_else(|_| std::fs::remove_file(entry.path()));
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        self.clear();
    }
}

/// There is none.
pub fn set_descriptor_limit_of(_pid: u32, _limit: u64) -> Option<u64> {
    None
}

/// Jobs bound the memory of processes, and only of those that were put into one.
pub fn bound_memory_of(_pid: u32, _more_bytes: Option<u64>) -> bool {
    false
}

/// There is no limit to lower.
pub fn lower_descriptor_limit_of(_pid: u32, _limit: u64) -> Option<u64> {
    None
}

/// Rights are lists here, not bits.
pub fn mode_of(_path: &Path) -> u32 {
    0
}

/// Rights are lists here, not bits: nothing is changed.
pub fn set_mode(_path: &Path, _mode: u32) {}

/// Links need a right of their own here: none is made.
pub fn make_link(_link: &Path, _target: &Path) {}

/// Text that is not UTF-16, as an argument or a name: half of a pair.
pub fn not_utf8() -> std::ffi::OsString {
    std::os::windows::ffi::OsStringExt::from_wide(&[0x62, 0xd800])
}

/// There is nothing to hang up with.
///
/// # Errors
/// Always.
pub fn hang_up(_pid: u32) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Windows does not show the timers of sockets.
pub fn keepalive_timer(_local: std::net::SocketAddr, _remote: std::net::SocketAddr) -> Option<bool> {
    None
}

/// Windows tells it through snapshots only, which nobody needs here.
pub fn child_of(_pid: u32) -> Option<u32> {
    None
}

/// There are no such sockets here.
#[derive(Debug)]
pub struct Mailbox(std::convert::Infallible);

impl Mailbox {
    /// There is none.
    ///
    /// # Errors
    /// Always.
    pub fn at(_path: &Path) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// The next message.
    ///
    /// # Errors
    /// Never: there is no mailbox.
    pub fn next(&self) -> io::Result<String> {
        match self.0 {}
    }
}
