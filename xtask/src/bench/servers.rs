//! The servers that are compared: started on a free port in a folder of their own, measured, stopped.
//!
//! Only a child that this file started is ever stopped. One server runs at a time, so that each has the
//! whole machine (the load generator shares it with every one of them alike).

use crate::failure::{Context as _, Result};
use crate::process;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to accept its first connection.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// What a reply promises: Modb's names; Redis's `appendfsync` has the same three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Durability {
    Always,
    EverySecond,
    Os,
}

impl Durability {
    pub(crate) const ALL: [Self; 3] = [Self::EverySecond, Self::Always, Self::Os];

    /// The name that Modb's `--durability` takes.
    pub(crate) fn modb_name(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::EverySecond => "everysec",
            Self::Os => "os",
        }
    }

    /// The name that Redis's `--appendfsync` takes.
    fn redis_name(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::EverySecond => "everysec",
            Self::Os => "no",
        }
    }
}

/// Which server, and with how many threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// The loop that only receives and sends (`modb-net/benches/bare`).
    Bare,
    Modb {
        workers: usize,
    },
    Redis,
    Memcached,
}

impl Kind {
    pub(crate) fn name(self) -> String {
        match self {
            Self::Bare => "bare loop".into(),
            Self::Modb { workers: 1 } => "modb (1 worker)".into(),
            Self::Modb { workers } => format!("modb ({workers} workers)"),
            Self::Redis => "redis".into(),
            Self::Memcached => "memcached".into(),
        }
    }
}

/// A disk whose sync takes longer than this machine's: a library preloaded into the servers.
pub(crate) struct SlowDisk {
    library: PathBuf,
    sync_delay_ms: u32,
}

impl SlowDisk {
    /// Builds the library with the system's C compiler.
    pub(crate) fn build(sync_delay_ms: u32) -> Result<Self> {
        let folder = scratch_folder()?;
        let (source, library) = (folder.join("slow_sync.c"), folder.join("slow_sync.so"));
        fs::write(&source, include_str!("slow_sync.c")).context(format_args!("{}", source.display()))?;
        let status = Command::new("cc")
            .args(["-shared", "-fPIC", "-O2", "-o"])
            .args([&library, &source])
            .arg("-ldl")
            .status()
            .context(format_args!("cc (Debian: apt-get install gcc)"))?;
        if status.success() {
            Ok(Self { library, sync_delay_ms })
        } else {
            Err(format!("cc: {status}").into())
        }
    }

    fn apply(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.library).env("MODB_SYNC_DELAY_MS", self.sync_delay_ms.to_string());
    }
}

impl Drop for SlowDisk {
    fn drop(&mut self) {
        if let Some(folder) = self.library.parent() {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

/// What is the same for every server of a run.
pub(crate) struct Setting<'a> {
    pub(crate) modb_server: &'a Path,
    /// Where it takes part.
    pub(crate) bare_loop: Option<&'a Path>,
    pub(crate) modb_options: &'a [String],
    pub(crate) slow_disk: Option<&'a SlowDisk>,
    /// The one core that it may use.
    pub(crate) core: Option<usize>,
}

impl<'a> Setting<'a> {
    /// Modb as it is, on a disk as it is, on any core.
    pub(crate) fn plain(modb_server: &'a Path) -> Self {
        Self { modb_server, bare_loop: None, modb_options: &[], slow_disk: None, core: None }
    }
}

impl Setting<'_> {
    fn command(&self, program: &Path) -> Command {
        let mut command = on_core(self.core, program);
        if let Some(disk) = self.slow_disk {
            disk.apply(&mut command);
        }
        command
    }
}

/// A command for `program` that stays on one core, if one is named.
pub(crate) fn on_core(core: Option<usize>, program: &Path) -> Command {
    match core {
        None => process::command(program),
        Some(core) => {
            let mut command = process::command("taskset");
            command.arg("-c").arg(core.to_string()).arg(program);
            command
        }
    }
}

/// A server that runs; stopped, and its folder removed, when dropped.
pub(crate) struct Running {
    child: Child,
    pub(crate) port: u16,
    folder: PathBuf,
}

impl Running {
    /// Starts `kind` with an empty data folder, and waits until it accepts.
    pub(crate) fn start(kind: Kind, durability: Durability, setting: &Setting<'_>) -> Result<Self> {
        let folder = scratch_folder()?;
        let started = match kind {
            Kind::Bare => start_bare_loop(setting),
            Kind::Modb { workers } => start_modb(setting, workers, durability, &folder),
            Kind::Redis => start_redis(setting, durability, &folder),
            Kind::Memcached => start_memcached(),
        };
        match started {
            Ok((child, port)) => {
                let mut running = Self { child, port, folder };
                running.wait_until_accepting().map_err(|why| format!("{}: {why}", kind.name()))?;
                Ok(running)
            }
            Err(why) => {
                let _ = fs::remove_dir_all(&folder);
                Err(format!("{}: {why}", kind.name()).into())
            }
        }
    }

    fn wait_until_accepting(&mut self) -> Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
                return Ok(());
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("ended at once with {status}").into());
            }
            if Instant::now() >= deadline {
                return Err(format!("did not accept within {} s", START_TIMEOUT.as_secs()).into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The processor time that all its threads have used, in nanoseconds, from the scheduler's own account
    /// (`/proc/PID/task/*/schedstat`; the tick counts of `stat` are too coarse for a run of a second).
    pub(crate) fn cpu_ns(&self) -> Result<u64> {
        let tasks = format!("/proc/{}/task", self.child.id());
        let entries = fs::read_dir(&tasks).context(format_args!("{tasks}"))?;
        Ok(entries
            .filter_map(std::result::Result::ok)
            .filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok())
            .filter_map(|text| text.split_whitespace().next()?.parse::<u64>().ok())
            .sum())
    }

    /// How often its threads have gone to sleep of their own, in all.
    pub(crate) fn sleeps(&self) -> Result<u64> {
        let tasks = format!("/proc/{}/task", self.child.id());
        let entries = fs::read_dir(&tasks).context(format_args!("{tasks}"))?;
        Ok(entries
            .filter_map(std::result::Result::ok)
            .filter_map(|task| fs::read_to_string(task.path().join("status")).ok())
            .filter_map(|text| {
                text.lines()
                    .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?
                    .trim()
                    .parse::<u64>()
                    .ok()
            })
            .sum())
    }

    /// Resident memory, in bytes.
    pub(crate) fn rss_bytes(&self) -> Result<u64> {
        self.status_bytes("VmRSS:")
    }

    /// The most resident memory it ever had, in bytes.
    pub(crate) fn peak_rss_bytes(&self) -> Result<u64> {
        self.status_bytes("VmHWM:")
    }

    fn status_bytes(&self, name: &str) -> Result<u64> {
        let path = format!("/proc/{}/status", self.child.id());
        let text = fs::read_to_string(&path).context(format_args!("{path}"))?;
        text.lines()
            .find_map(|line| line.strip_prefix(name))
            .and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok())
            .map(|kib| kib * 1024)
            .ok_or_else(|| format!("{path} has no {name}").into())
    }

    /// Kills a Modb and starts it again on the same folder; how long that took until it accepts.
    pub(crate) fn kill_and_reopen(
        &mut self,
        workers: usize,
        durability: Durability,
        setting: &Setting<'_>,
    ) -> Result<Duration> {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let begin = Instant::now();
        (self.child, self.port) = start_modb(setting, workers, durability, &self.folder)?;
        self.wait_until_accepting()?;
        Ok(begin.elapsed())
    }

    /// Bytes of all files in its data folder.
    pub(crate) fn disk_bytes(&self) -> u64 {
        folder_bytes(&self.folder)
    }
}

fn folder_bytes(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(data) if data.is_dir() => folder_bytes(&entry.path()),
            Ok(data) => data.len(),
            Err(_) => 0,
        })
        .sum()
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn start_modb(
    setting: &Setting<'_>,
    workers: usize,
    durability: Durability,
    folder: &Path,
) -> Result<(Child, u16)> {
    let mut command = setting.command(setting.modb_server);
    command
        .args(["--port", "0", "--workers", &workers.to_string(), "--durability", durability.modb_name()])
        .arg("--dir")
        .arg(folder)
        .args(setting.modb_options);
    start_telling_its_port(command)
}

fn start_bare_loop(setting: &Setting<'_>) -> Result<(Child, u16)> {
    let mut command = setting.command(setting.bare_loop.ok_or("not built")?);
    command.arg("serve");
    start_telling_its_port(command)
}

/// Starts a server whose first line says where it serves.
fn start_telling_its_port(mut command: Command) -> Result<(Child, u16)> {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context(format_args!("{}", command.get_program().display()))?;
    let stdout = child.stdout.take().ok_or("no standard output")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).context(format_args!("its start-up line"))?;
    match port_of(&line) {
        Some(port) => Ok((child, port)),
        None => {
            let _ = child.kill();
            let _ = child.wait();
            Err(format!("no port in its start-up line {line:?}").into())
        }
    }
}

/// The port in `... 127.0.0.1:6379 ...`.
pub(super) fn port_of(line: &str) -> Option<u16> {
    let (_, rest) = line.split_once("127.0.0.1:")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

fn start_redis(setting: &Setting<'_>, durability: Durability, folder: &Path) -> Result<(Child, u16)> {
    let port = free_port()?;
    let child = setting
        .command(Path::new("redis-server"))
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"])
        .args(["--appendfsync", durability.redis_name(), "--dir"])
        .arg(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context(format_args!("redis-server (Debian: apt-get install redis-server)"))?;
    Ok((child, port))
}

fn start_memcached() -> Result<(Child, u16)> {
    let port = free_port()?;
    let child = Command::new("memcached")
        .args([
            "-l",
            "127.0.0.1",
            "-U",
            "0",
            "-p",
            &port.to_string(),
            "-t",
            "2",
            "-m",
            "1024",
            "-u",
            "nobody",
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context(format_args!("memcached (Debian: apt-get install memcached)"))?;
    Ok((child, port))
}

/// A port that was free a moment ago: these servers cannot be asked to choose one themselves.
fn free_port() -> Result<u16> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .context(format_args!("no free port"))
}

fn scratch_folder() -> Result<PathBuf> {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("modb-bench-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let folder = std::env::temp_dir().join(name);
    fs::create_dir_all(&folder).context(format_args!("{}", folder.display()))?;
    Ok(folder)
}
