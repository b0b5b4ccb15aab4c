//! Through proxies that know Redis: HAProxy with its checks, nutcracker.
//!
//! They listen on Unix-domain sockets in a folder of their own, so no port is theirs that another could take.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use modb_tests::tool::{self, Outcome};
use modb_tests::{Launch, Platform, binary, skip, wait};

use crate::LIMIT;

/// A proxy, which ends with the test.
struct Proxy(Child);

impl Proxy {
    fn start(command: &mut Command) -> Self {
        Self(tool::spawn(command.stdout(Stdio::null()).stderr(Stdio::null())))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn through(socket: &Path, args: &[&str], input: &[u8]) -> Outcome {
    let mut cli = Command::new("redis-cli");
    tool::run(cli.arg("-s").arg(socket).args(["-a", "secret", "--no-auth-warning"]).args(args), input, LIMIT)
}

/// A thousand commands, one after the other, and a benchmark in pipelines.
fn serves(socket: &Path) {
    let lines: String = (0..1000).map(|_| "INCR counter\n").collect();
    let counted = through(socket, &[], lines.as_bytes()).success();
    assert_eq!(counted.lines().last(), Some("1000"));
    assert_eq!(through(socket, &["MSET", "a", "1", "b", "2"], b"").success(), "OK\n");
    assert_eq!(through(socket, &["MGET", "a", "b", "c"], b"").success(), "1\n2\n\n");
    assert!(through(socket, &["LPUSH", "a", "x"], b"").stdout.contains("WRONGTYPE"));
    let large = vec![b'v'; 1 << 20];
    through(socket, &["-x", "SET", "large"], &large).success();
    assert_eq!(through(socket, &["GET", "large"], b"").success().trim_end().len(), large.len());

    let mut benchmark = Command::new("redis-benchmark");
    benchmark.arg("-s").arg(socket).args(["-a", "secret", "-q", "-n", "20000", "-P", "16", "-t", "set,get"]);
    let said = tool::run(&mut benchmark, b"", LIMIT).success();
    assert_eq!(said.matches("requests per second").count(), 2, "{said}");
}

/// Two backends: HAProxy's own check, which knows no password, and the one that its users write for Redis.
const HAPROXY: &str = "\
global
    stats socket FOLDER/stats.sock mode 600
defaults
    mode tcp
    timeout connect 30s
    timeout client 60s
    timeout server 60s
    default-server check inter 50ms fastinter 50ms downinter 50ms rise 1 fall 1
frontend open
    bind unix@FOLDER/open.sock
    default_backend open
frontend closed
    bind unix@FOLDER/closed.sock
    default_backend closed
backend open
    timeout check 30s
    option redis-check
    server modb OPEN
backend closed
    timeout check 30s
    option tcp-check
    tcp-check send AUTH\\ secret\\r\\n
    tcp-check expect string +OK
    tcp-check send PING\\r\\n
    tcp-check expect string +PONG
    tcp-check send info\\ replication\\r\\n
    tcp-check expect string role:master
    tcp-check send QUIT\\r\\n
    tcp-check expect string +OK
    server modb CLOSED
";

#[test]
#[ignore = "with --long"]
fn long_haproxy_finds_it_well_serves_through_and_sees_it_go() {
    if !binary::is_installed("haproxy") || !binary::is_installed("redis-cli") {
        skip!("haproxy is not installed (Debian: haproxy, redis-tools)");
    }
    let mut open = Launch::new(&Platform::here()).start();
    let closed = Launch::new(&Platform::here()).with_password("secret").start();
    let folder = tempfile::tempdir().expect("a folder can be made");
    let config = HAPROXY
        .replace("FOLDER", &folder.path().display().to_string())
        .replace("OPEN", &open.addr().to_string())
        .replace("CLOSED", &closed.addr().to_string());
    let file = folder.path().join("haproxy.cfg");
    std::fs::write(&file, config).expect("the folder can be written");
    let _haproxy = Proxy::start(Command::new("haproxy").arg("-db").arg("-f").arg(&file));

    let stats = || {
        let socket = std::os::unix::net::UnixStream::connect(folder.path().join("stats.sock"));
        let mut text = String::new();
        let asked = socket.and_then(|mut socket| {
            socket.write_all(b"show stat\n")?;
            socket.read_to_string(&mut text)
        });
        asked.map(|_| text)
    };
    let finds = |backend: &str, state: &str, result: &str| {
        wait::until(&format!("{backend} is {state}, by {result}"), || {
            let text = stats().ok()?;
            let row = text.lines().find(|row| row.starts_with(&format!("{backend},modb,")))?;
            (row.contains(&format!(",{state},")) && row.contains(&format!(",{result},"))).then_some(())
        });
    };
    finds("open", "UP", "L7OK");
    finds("closed", "UP", "L7OK");
    serves(&folder.path().join("closed.sock"));
    assert_eq!(through(&folder.path().join("closed.sock"), &["-3", "PING"], b"").success(), "PONG\n");
    open.stop();
    finds("open", "DOWN", "L4CON");
    finds("closed", "UP", "L7OK");
}

const NUTCRACKER: &str = "\
modb:
  listen: FOLDER/modb.sock 0600
  redis: true
  redis_auth: secret
  preconnect: true
  auto_eject_hosts: false
  timeout: 60000
  servers:
   - SERVER:1 modb
";

#[test]
#[ignore = "with --long"]
fn long_nutcracker_serves_through_and_says_when_it_is_gone() {
    if !binary::is_installed("nutcracker") || !binary::is_installed("redis-cli") {
        skip!("nutcracker is not installed (Debian: nutcracker, redis-tools)");
    }
    let mut server = Launch::new(&Platform::here()).with_password("secret").start();
    let folder = tempfile::tempdir().expect("a folder can be made");
    let config = NUTCRACKER
        .replace("FOLDER", &folder.path().display().to_string())
        .replace("SERVER", &server.addr().to_string());
    let file = folder.path().join("nutcracker.yml");
    std::fs::write(&file, config).expect("the folder can be written");
    let socket = folder.path().join("modb.sock");

    // It cannot be without a port for its counters: one that was free a moment ago.
    let mut nutcracker = None;
    wait::until("nutcracker listens", || {
        let ended = |proxy: &mut Proxy| proxy.0.try_wait().is_ok_and(|status| status.is_some());
        if nutcracker.as_mut().is_none_or(ended) {
            let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
            let port = free.expect("the system has a free port").port().to_string();
            let mut command = Command::new("nutcracker");
            command.arg("-c").arg(&file).args(["-a", "127.0.0.1", "-s", &port]);
            command.arg("-p").arg(folder.path().join("pid")).arg("-o").arg(folder.path().join("log"));
            nutcracker = Some(Proxy::start(&mut command));
        }
        socket.exists().then_some(())
    });
    serves(&socket);
    // What a proxy cannot pass on it refuses itself, by closing.
    through(&socket, &["INFO"], b"");
    assert_eq!(through(&socket, &["GET", "a"], b"").success(), "1\n");
    server.stop();
    wait::within(Duration::from_secs(60), || {
        let outcome = through(&socket, &["GET", "a"], b"");
        (outcome.stdout.contains("ERR") || outcome.status != Some(0)).then_some(())
    })
    .expect("who asks is told that the server is gone");
}
