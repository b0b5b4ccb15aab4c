//! Unix: signals and limits through `rustix`, memory and time from `/proc`.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::Ask;
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};

/// Sends the signal to a child. Wine makes a Ctrl-C of the one that a terminal sends.
///
/// # Errors
/// What the system says.
pub fn ask_to_end(pid: u32, ask: Ask) -> io::Result<()> {
    ask_to_end_from_here(pid, ask)
}

/// The same: a signal can be sent from anywhere.
///
/// # Errors
/// What the system says.
pub fn ask_to_end_from_here(pid: u32, ask: Ask) -> io::Result<()> {
    let signal = match ask {
        Ask::Terminate => Signal::TERM,
        Ask::Interrupt => Signal::INT,
    };
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a child's id is a process id");
    Ok(kill_process(pid, signal)?)
}

/// Lets a script be started.
///
/// # Errors
/// If it is not ours.
pub fn make_executable(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

/// Signals need no console.
pub fn give_own_console(_command: &mut Command) {}

/// Resident memory of a process, in bytes.
pub fn rss_bytes(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

/// The most memory that a process ever had resident, in bytes.
pub fn peak_rss_bytes(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

/// Bytes that a process has read ever, from files and sockets, if the system tells.
pub fn bytes_read(pid: u32) -> Option<u64> {
    let io = fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
    io.lines().find_map(|line| line.strip_prefix("rchar: "))?.parse().ok()
}

/// Descriptors that a process has open, if the system tells.
pub fn open_descriptors(pid: u32) -> Option<usize> {
    Some(fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count())
}

/// Processor time a process has used, in user and kernel together.
pub fn cpu_time(pid: u32) -> Option<Duration> {
    /// `sysconf(_SC_CLK_TCK)`: 100 on every Linux.
    const TICKS_PER_SECOND: u64 = 100;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in brackets may hold spaces; utime and stime are the 12th and 13th field after it.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// Raises this process's own limit of open descriptors; what is allowed now.
pub fn raise_descriptor_limit(wanted: u64) -> u64 {
    let now = getrlimit(Resource::Nofile);
    let allowed = now.maximum.unwrap_or(u64::MAX).min(wanted);
    if now.current.is_some_and(|current| current < allowed) {
        let raised = Rlimit { current: Some(allowed), maximum: now.maximum };
        if setrlimit(Resource::Nofile, raised).is_err() {
            return now.current.unwrap_or(u64::MAX);
        }
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Whether file permissions mean nothing to this user.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether this is Wine: never on Unix.
pub fn under_wine() -> bool {
    false
}

/// Takes the right to enter or read a folder away from its owner, or gives it back.
///
/// # Panics
/// If the system does not allow it.
pub fn set_accessible(folder: &Path, accessible: bool) {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = if accessible { 0o700 } else { 0 };
    fs::set_permissions(folder, fs::Permissions::from_mode(mode)).expect("an owner may change permissions");
}

/// A file system of its own that is soon full. Unmounted when dropped.
#[derive(Debug)]
pub struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    /// Mounts one of [`super::SMALL_DISK_BYTES`], or says why this user may not.
    pub fn mount() -> Result<Self, &'static str> {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let size = format!("size={}", super::SMALL_DISK_BYTES);
        let mut mount = Command::new("mount");
        let output = mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path()).output();
        match output {
            Ok(output) if output.status.success() => Ok(Self { folder }),
            _ => Err("mounting a small disk needs root"),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Nobody can write to it any more, or it is said why not.
    pub fn make_read_only(&self) -> Result<(), &'static str> {
        let mut mount = Command::new("mount");
        let status = mount.args(["-o", "remount,ro"]).arg(self.folder.path()).status();
        if status.is_ok_and(|status| status.success()) { Ok(()) } else { Err("this disk stays writable") }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, since a server that was just killed may still hold a file for a moment.
        let _ = Command::new("umount").arg("-l").arg(self.folder.path()).status();
    }
}

/// A group of processes that get so much memory and no more: beyond it the system ends one of them. Gone when dropped.
#[derive(Debug)]
pub struct MemoryGroup {
    folder: std::path::PathBuf,
}

impl MemoryGroup {
    /// Where the two versions of control groups are, and the files that bound memory, without and with swap.
    const VERSIONS: [(&str, [&str; 2]); 2] = [
        ("/sys/fs/cgroup/memory", ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"]),
        ("/sys/fs/cgroup", ["memory.max", "memory.swap.max"]),
    ];

    /// One of so many bytes, or the reason why there is none.
    pub fn of_bytes(bytes: u64) -> Result<Self, &'static str> {
        let (root, [limit, swap]) = Self::VERSIONS
            .into_iter()
            .find(|(root, _)| Path::new(root).join("cgroup.procs").exists())
            .ok_or("there are no control groups here")?;
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let folder = Path::new(root).join(format!("modb-test-{}-{number}", std::process::id()));
        fs::create_dir(&folder).map_err(|_| "making a control group needs root")?;
        let group = Self { folder };
        fs::write(group.folder.join(limit), bytes.to_string())
            .map_err(|_| "memory cannot be bounded here")?;
        // Of memory and swap together, or of swap alone; a system without swap has neither.
        let more = if swap.contains("memsw") { bytes } else { 0 };
        let _ = fs::write(group.folder.join(swap), more.to_string());
        Ok(group)
    }

    /// A script for a shell that enters the group and becomes the program of its arguments.
    pub fn script(&self) -> String {
        format!("echo $$ > '{}' && exec \"$@\"", self.folder.join("cgroup.procs").display())
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // The last process of it may be ending still.
        crate::wait::within(crate::wait::DEADLINE, || fs::remove_dir(&self.folder).ok());
    }
}

/// A network of its own for a server, connected to this one. Gone when dropped.
#[derive(Debug)]
pub struct Network {
    name: String,
    inside: std::net::Ipv4Addr,
}

impl Network {
    /// One that has nothing but its own loopback interface and a cable to here, or why there is none.
    pub fn new() -> Result<Self, &'static str> {
        let number = std::process::id();
        let [high, low] = [(number >> 6) as u8, (number << 2) as u8];
        let net = Self { name: format!("modb-test-{number}"), inside: [10, 213, high, low | 2].into() };
        let (name, inside) = (&net.name, net.inside);
        let outside = std::net::Ipv4Addr::from([10, 213, high, low | 1]);
        let cable = format!("modb{}", number % 1_000_000);
        for words in [
            format!("netns add {name}"),
            format!("link add {cable}o type veth peer name {cable}i netns {name}"),
            format!("addr add {outside}/30 dev {cable}o"),
            format!("link set {cable}o up"),
            format!("-n {name} addr add {inside}/30 dev {cable}i"),
            format!("-n {name} link set {cable}i up"),
            format!("-n {name} link set lo up"),
        ] {
            let output = Command::new("ip").args(words.split(' ')).output();
            if !output.is_ok_and(|output| output.status.success()) {
                return Err("making a network needs root and iproute2");
            }
        }
        Ok(net)
    }

    /// The address of what is in it, seen from here.
    pub fn inside(&self) -> std::net::Ipv4Addr {
        self.inside
    }

    /// A script for a shell that enters it and becomes the program of its arguments.
    pub fn script(&self) -> String {
        format!("exec ip netns exec {} \"$@\"", self.name)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // The cable goes with it.
        let _ = Command::new("ip").args(["netns", "del", &self.name]).output();
    }
}

/// What a server answers through its Unix-domain socket, if it does.
pub fn through_file(path: &Path, request: &[u8]) -> Option<String> {
    use std::io::{Read as _, Write as _};
    let mut stream = std::os::unix::net::UnixStream::connect(path).ok()?;
    stream.set_read_timeout(Some(crate::wait::DEADLINE)).ok()?;
    stream.write_all(request).ok()?;
    stream.shutdown(std::net::Shutdown::Write).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// Lowers the descriptor limit of a child to `limit`; the limit, if the system can do that.
#[cfg(target_os = "linux")]
pub fn lower_descriptor_limit_of(pid: u32, limit: u64) -> Option<u64> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw)?;
    let lower = Rlimit { current: Some(limit), maximum: Some(limit) };
    rustix::process::prlimit(Some(pid), Resource::Nofile, lower).ok().map(|_| limit)
}

/// Sets how many descriptors a child may have open, until this is called again; what it was, if the system can do that.
#[cfg(target_os = "linux")]
pub fn set_descriptor_limit_of(pid: u32, limit: u64) -> Option<u64> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw)?;
    let limits = fs::read_to_string(format!("/proc/{}/limits", pid.as_raw_nonzero())).ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let mut fields = line.split_whitespace();
    let (now, maximum) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok());
    let changed = Rlimit { current: Some(limit), maximum };
    rustix::process::prlimit(Some(pid), Resource::Nofile, changed).ok().map(|_| now)
}

/// Bounds the memory of another process to what it has and so many bytes more; `None`: no longer. Whether that could be done.
#[cfg(target_os = "linux")]
pub fn bound_memory_of(pid: u32, more_bytes: Option<u64>) -> bool {
    let bound = || {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmSize:"))?;
        let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw)?;
        let current = more_bytes.map(|more| (kib << 10) + more);
        rustix::process::prlimit(Some(pid), Resource::As, Rlimit { current, maximum: None }).ok()
    };
    bound().is_some()
}

/// Only Linux changes the limits of another process.
#[cfg(not(target_os = "linux"))]
pub fn bound_memory_of(_pid: u32, _more_bytes: Option<u64>) -> bool {
    false
}

/// Only Linux changes the limits of another process.
#[cfg(not(target_os = "linux"))]
pub fn set_descriptor_limit_of(_pid: u32, _limit: u64) -> Option<u64> {
    None
}

/// Only Linux changes the limits of another process.
#[cfg(not(target_os = "linux"))]
pub fn lower_descriptor_limit_of(_pid: u32, _limit: u64) -> Option<u64> {
    None
}

/// The rights of a file or folder, as bits.
///
/// # Panics
/// If it is not there.
pub fn mode_of(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).expect("it is there").permissions().mode() & 0o7777
}

/// Changes the rights of a file or folder.
///
/// # Panics
/// If the system does not allow it.
pub fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("an owner may change permissions");
}

/// Makes a symbolic link.
///
/// # Panics
/// If the system does not allow it.
pub fn make_link(link: &Path, target: &Path) {
    std::os::unix::fs::symlink(target, link).expect("a link can be made");
}

/// Text that is not UTF-8, as an argument or a name.
pub fn not_utf8() -> std::ffi::OsString {
    std::os::unix::ffi::OsStringExt::from_vec(b"b\xff".to_vec())
}

/// Hangs up on a process, as a terminal that closes does.
///
/// # Errors
/// What the system says.
pub fn hang_up(pid: u32) -> io::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a child's id is a process id");
    Ok(kill_process(pid, Signal::HUP)?)
}

/// Whether the end of a connection that is at `local` asks from time to time whether the one at `remote` is still there,
/// if the system tells (Linux, in `/proc`).
pub fn keepalive_timer(local: std::net::SocketAddr, remote: std::net::SocketAddr) -> Option<bool> {
    let shown = |addr: std::net::SocketAddr| match addr {
        std::net::SocketAddr::V4(addr) => {
            format!("{:08X}:{:04X}", u32::from_ne_bytes(addr.ip().octets()), addr.port())
        }
        std::net::SocketAddr::V6(_) => String::new(),
    };
    let (local, remote) = (shown(local), shown(remote));
    let table = fs::read_to_string("/proc/net/tcp").ok()?;
    let mut rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let row = rows.find(|row| row.get(1) == Some(&&*local) && row.get(2) == Some(&&*remote))?;
    // The kind of the timer that runs: 2 is the one of keepalive.
    Some(row.get(5)?.starts_with("02:"))
}

/// A child of a process, if the system tells.
pub fn child_of(pid: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

/// A socket to which programs send messages.
#[derive(Debug)]
pub struct Mailbox(std::os::unix::net::UnixDatagram);

impl Mailbox {
    /// A new one.
    ///
    /// # Errors
    /// What the system says.
    pub fn at(path: &Path) -> io::Result<Self> {
        let socket = std::os::unix::net::UnixDatagram::bind(path)?;
        socket.set_read_timeout(Some(crate::wait::DEADLINE))?;
        Ok(Self(socket))
    }

    /// Waits for the next message.
    ///
    /// # Errors
    /// None came.
    pub fn next(&self) -> io::Result<String> {
        let mut message = [0; 1024];
        let length = self.0.recv(&mut message)?;
        Ok(String::from_utf8_lossy(&message[..length]).into_owned())
    }
}
