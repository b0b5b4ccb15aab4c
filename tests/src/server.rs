//! A server under test: a child process that is started on a free port, speaks, and is killed when dropped.
//!
//! Never ends a process it did not start, never uses a fixed port, never leaves a file behind.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::binary::{self, Program};
use crate::peer::Peer;
use crate::platform::{Platform, Product};
use crate::wait::{self, DEADLINE};
use crate::{sys, tool};

/// How to start a server.
#[derive(Clone, Debug)]
pub struct Launch {
    product: Product,
    program: Program,
    folder: Arc<Folder>,
    args: Vec<String>,
    password: Option<String>,
    own_console: bool,
    log_is_read: bool,
    shell: Option<String>,
}

/// The data folder: of its own, or one that a test brought.
#[derive(Debug)]
enum Folder {
    Own(tempfile::TempDir),
    Given(PathBuf),
}

impl Folder {
    fn path(&self) -> &Path {
        match self {
            Self::Own(folder) => folder.path(),
            Self::Given(path) => path,
        }
    }
}

impl Launch {
    /// The product under test, in a new folder.
    pub fn new(platform: &Platform) -> Self {
        Self::product(platform.product)
    }

    /// A certain product, in a new folder.
    ///
    /// # Panics
    /// If no folder can be made.
    pub fn product(product: Product) -> Self {
        let folder = tempfile::Builder::new().prefix("modb-test-").tempdir().expect("a folder can be made");
        // As one that the server makes.
        sys::set_accessible(folder.path(), true);
        let program = match product {
            Product::Modb => binary::server(),
            Product::Redis => Program::at("redis-server"),
        };
        let folder = Arc::new(Folder::Own(folder));
        let args = Vec::new();
        Self {
            product,
            program,
            folder,
            args,
            password: None,
            own_console: false,
            log_is_read: true,
            shell: None,
        }
    }

    /// Another build of the product.
    #[must_use]
    pub fn of_program(mut self, program: Program) -> Self {
        self.program = program;
        self
    }

    /// With its data in `folder`.
    #[must_use]
    pub fn in_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Arc::new(Folder::Given(folder.into()));
        self
    }

    /// With a flag and its value, `("--maxclients", "10")`.
    #[must_use]
    pub fn with(mut self, flag: &str, value: &str) -> Self {
        self.args.extend([flag.to_owned(), value.to_owned()]);
        self
    }

    /// With a password; [`Server::peer`] then gives it.
    #[must_use]
    pub fn with_password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self.with("--requirepass", password)
    }

    /// Where the system has consoles: in one of its own, so that [`Server::ask_to_end`] reaches nobody else.
    #[must_use]
    pub fn in_own_console(mut self) -> Self {
        self.own_console = true;
        self
    }

    /// With a standard error that stays open and that nobody reads.
    #[must_use]
    pub fn with_unread_log(mut self) -> Self {
        self.log_is_read = false;
        self
    }

    /// Through a shell, whose script starts it with `"$@"`. On Unix only.
    #[must_use]
    pub fn in_shell(mut self, script: &str) -> Self {
        self.shell = Some(script.to_owned());
        self
    }

    /// With what acknowledged writes survive: `always`, `everysec` or `os`.
    #[must_use]
    pub fn with_durability(self, mode: &str) -> Self {
        match self.product {
            Product::Modb => self.with("--durability", mode),
            Product::Redis => {
                let policy = if mode == "os" { "no" } else { mode };
                self.with("--appendonly", "yes").with("--appendfsync", policy)
            }
        }
    }

    /// The data folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts it and waits until it serves.
    ///
    /// # Panics
    /// If it does not; the message holds what it printed.
    pub fn start(&self) -> Server {
        // Redis cannot choose a port itself; one that was free a moment ago may be taken: try again then.
        for _ in 0..20 {
            let mut server = self.spawn(self.free_port());
            let ready = wait::within(DEADLINE, || match server.listening_at() {
                Some(addr) => Some(Some(addr)),
                None => server.child.try_wait().expect("a child can be waited for").map(|_| None),
            });
            match ready {
                Some(Some(addr)) => {
                    server.addr = addr;
                    return server;
                }
                Some(None) if self.product == Product::Redis && server.says("already in use") => {}
                Some(None) if self.program.runs_under_wine() && server.never_began() => {}
                Some(None) => panic!("the server ended instead of serving:\n{}", server.output()),
                None => panic!("the server does not serve after {DEADLINE:?}:\n{}", server.output()),
            }
        }
        panic!("twenty ports were taken by others");
    }

    /// Starts it without waiting for anything: [`Server::ready`] does.
    pub fn begin(&self) -> Server {
        self.spawn(self.free_port())
    }

    /// Starts it where it is expected to refuse, and waits for its end.
    ///
    /// # Panics
    /// If it does not end.
    pub fn start_expecting_refusal(&self) -> Refusal {
        self.start_on_port_expecting_refusal(self.free_port())
    }

    /// The same on a port that is given.
    ///
    /// # Panics
    /// If it does not end.
    pub fn start_on_port_expecting_refusal(&self, port: u16) -> Refusal {
        tool::despite_wine(|| self.spawn(port).refusal(), |refusal| &refusal.output)
    }

    fn free_port(&self) -> u16 {
        match self.product {
            Product::Modb => 0,
            Product::Redis => TcpListener::bind("127.0.0.1:0")
                .and_then(|listener| listener.local_addr())
                .expect("the system has a free port")
                .port(),
        }
    }

    fn spawn(&self, port: u16) -> Server {
        let mut command = self.program.command();
        if self.product == Product::Redis {
            command.args(["--save", "", "--daemonize", "no"]);
        }
        command.args(["--port", &port.to_string()]);
        if !self.args.iter().any(|flag| flag == "--bind") {
            command.args(["--bind", "127.0.0.1"]);
        }
        command.arg("--dir").arg(self.folder.path()).args(&self.args);
        if self.own_console {
            sys::give_own_console(&mut command);
        }
        if let Some(script) = &self.shell {
            let mut shell = Command::new("sh");
            shell.args(["-c", script, "sh"]).arg(command.get_program()).args(command.get_args());
            command = shell;
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Whoever runs the tests may have both.
        command.env_remove("MODB_PASSWORD").env_remove("NOTIFY_SOCKET");
        // Redis sorts words as the language of the system does.
        command.env("LC_ALL", "C");
        let mut child = tool::spawn(&mut command);
        let lines = Arc::new(Mutex::new(Vec::new()));
        collect(child.stdout.take().expect("piped"), &lines);
        if self.log_is_read {
            collect(child.stderr.take().expect("piped"), &lines);
        }
        Server { launch: self.clone(), child, addr: ([127, 0, 0, 1], port).into(), lines }
    }
}

/// How a server refused to start.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Its exit status.
    pub status: ExitStatus,
    /// What it printed, stdout and stderr.
    pub output: String,
}

/// A running server. Killed when dropped.
#[derive(Debug)]
pub struct Server {
    launch: Launch,
    child: Child,
    addr: SocketAddr,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Where it serves.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Waits until one that was begun serves.
    ///
    /// # Panics
    /// If it does not.
    #[must_use]
    pub fn ready(mut self) -> Self {
        let addr = wait::within(DEADLINE, || self.listening_at());
        self.addr = addr.unwrap_or_else(|| panic!("it does not serve:\n{}", self.output()));
        self
    }

    /// How it was started, to start it again.
    pub fn launch(&self) -> &Launch {
        &self.launch
    }

    /// The id of its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A new connection, authenticated if the server wants that.
    ///
    /// # Panics
    /// If it is refused.
    pub fn peer(&self) -> Peer {
        let mut peer = Peer::connect(self.addr);
        if let Some(password) = &self.launch.password {
            assert_eq!(peer.call(["AUTH", password]), crate::Reply::ok());
        }
        peer
    }

    /// One field of `INFO`.
    ///
    /// # Panics
    /// If there is no such field.
    pub fn info(&self, field: &str) -> String {
        let all = self.peer().ask("INFO everything").text();
        let found = all.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        found.unwrap_or_else(|| panic!("INFO has no {field}:\n{all}")).trim().to_owned()
    }

    /// Everything it has printed so far.
    pub fn output(&self) -> String {
        self.lines.lock().expect("no reader panicked").join("\n")
    }

    /// Ends it at once, as a crash would, and waits until it is gone.
    ///
    /// # Panics
    /// If the system cannot.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        self.child.wait().expect("a child can be waited for");
    }

    /// Kills it and starts it again on the same data.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn kill_and_restart(mut self) -> Self {
        self.kill();
        self.launch.start()
    }

    /// Ends it gracefully and starts it again on the same data.
    ///
    /// # Panics
    /// If it does not end with status 0, or does not start.
    #[must_use]
    pub fn restart(mut self) -> Self {
        self.stop();
        self.launch.start()
    }

    /// Asks it to end, without waiting for that.
    ///
    /// # Panics
    /// If the system refuses, or if it was not started with [`Launch::in_own_console`].
    pub fn ask_to_end(&self, ask: sys::Ask) {
        assert!(self.launch.own_console, "whoever shares its console would end, too");
        sys::ask_to_end(self.pid(), ask).expect("a child may be asked to end");
    }

    /// Ends it gracefully: by a signal where the system has them, else by command.
    ///
    /// # Panics
    /// If it does not end with status 0 in time.
    pub fn stop(&mut self) {
        if self.launch.program.is_exe() || sys::ask_to_end(self.pid(), sys::Ask::Terminate).is_err() {
            let save = if self.launch.product == Product::Redis { "SHUTDOWN NOSAVE" } else { "SHUTDOWN" };
            let mut peer = self.peer();
            peer.send(&crate::peer::encode(save.split(' ')));
        }
        let status = self.wait_for_end();
        assert!(status.success(), "{status}:\n{}", self.output());
    }

    /// Waits until it has ended of its own.
    ///
    /// # Panics
    /// If it has not after the deadline.
    pub fn wait_for_end(&mut self) -> ExitStatus {
        wait::until("the server ends", || self.child.try_wait().expect("a child can be waited for"))
    }

    /// Whether it still runs.
    ///
    /// # Panics
    /// If the system does not know.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_none()
    }

    /// Resident memory, in bytes, if the system tells.
    pub fn rss_bytes(&self) -> Option<u64> {
        sys::rss_bytes(self.pid())
    }

    /// Processor time used so far, if the system tells.
    pub fn cpu_time(&self) -> Option<Duration> {
        sys::cpu_time(self.pid())
    }

    /// Whether it rests: uses less than `percent` of a processor in one of a few stretches of `time` in which it is asked
    /// nothing. A busy machine charges to it what goes on beside it, and the end of what it did before; a server
    /// that spins does so at any time. `None`: this system does not tell.
    pub fn rests(&self, time: Duration, percent: u32) -> Option<bool> {
        const STRETCHES: usize = 10;
        let mut before = self.cpu_time()?;
        Some((0..STRETCHES).any(|_| {
            thread::sleep(time); // what is measured: time in which nothing happens
            let now = self.cpu_time().expect("it was told before");
            let used = now - std::mem::replace(&mut before, now);
            println!("{used:?} of processor time in {time:?} of nothing");
            used * 100 < time * percent
        }))
    }

    /// Whether it has printed `text`.
    pub fn says(&self, text: &str) -> bool {
        self.output().contains(text)
    }

    /// Whether it has printed `text` or does so soon: its log is written by a thread of its own.
    pub fn comes_to_say(&self, text: &str) -> bool {
        wait::within(DEADLINE, || self.says(text).then_some(())).is_some()
    }

    /// Whether it never began: it said nothing, not even why it ended, or Wine spoke in its place. Wine fails to start a process
    /// now and then (`tool::spawn` meets the same as an error); a server that refuses to serve says why.
    fn never_began(&self) -> bool {
        /// What it printed may arrive after its end.
        const LAST_WORDS: Duration = Duration::from_secs(2);
        let said = wait::within(LAST_WORDS, || Some(self.output()).filter(|output| !output.is_empty()));
        said.is_none_or(|output| tool::wine_has_failed(&output))
    }

    fn listening_at(&self) -> Option<SocketAddr> {
        let lines = self.lines.lock().expect("no reader panicked");
        match self.launch.product {
            Product::Redis => {
                lines.iter().any(|line| line.contains("Ready to accept connections")).then_some(self.addr)
            }
            Product::Modb => lines.iter().find_map(|line| address_in(line)),
        }
    }

    fn refusal(mut self) -> Refusal {
        let status = self.wait_for_end();
        // The pipes are read by threads: give them until both have seen the end.
        wait::within(Duration::from_secs(5), || (Arc::strong_count(&self.lines) == 1).then_some(()));
        Refusal { status, output: self.output() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!("the server at {} printed:\n{}", self.addr, self.output());
        }
    }
}

/// The first `address:port` with a real port in a line.
fn address_in(line: &str) -> Option<SocketAddr> {
    line.split(|c: char| c.is_whitespace() || c == ',' || c == '=')
        .filter_map(|word| word.parse::<SocketAddr>().ok())
        .find(|addr| addr.port() != 0)
        .map(|addr| if addr.ip().is_unspecified() { ([127, 0, 0, 1], addr.port()).into() } else { addr })
}

/// Reads lines in a thread of its own that ends with the pipe.
fn collect(pipe: impl Read + Send + 'static, lines: &Arc<Mutex<Vec<String>>>) {
    let lines = Arc::clone(lines);
    thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            lines.lock().expect("no other reader panicked").push(line);
        }
    });
}
