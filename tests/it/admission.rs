//! Who gets in, and what it costs who is there: descriptors under a flood, the seats of this machine, the door on a file.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use modb_tests::hostile::{Crowd, Kind, Size};
use modb_tests::wait::DEADLINE;
use modb_tests::{Launch, Peer, Platform, Reply, binary, skip, sys, tool, wait};

const FULL: &str = "-ERR max number of clients reached\r\n";

/// A flood of connects beside someone who writes values of so many bytes, with so many descriptors.
fn flood_beside_writes(platform: &Platform, descriptors: usize, value_bytes: usize) {
    const TIME: Duration = Duration::from_secs(4);
    const FLOOD: u64 = 400;
    sys::raise_descriptor_limit(4000);
    let server = Launch::new(platform)
        .with("--maxclients", "400")
        .with("--cache-mb", "64")
        .in_shell(&format!("ulimit -n {descriptors} && exec \"$@\""))
        .start();
    let (mut writer, value) = (server.peer(), vec![b'v'; value_bytes]);
    let crowd = Crowd::start(Kind::Connects, server.addr(), Size { threads: 4, connections: 800 });
    let (begun, mut written) = (Instant::now(), 0);
    // Longer where the machine is so slow that the flood takes its time to come.
    while begun.elapsed() < TIME || (crowd.connects() <= FLOOD && begun.elapsed() < DEADLINE) {
        assert_eq!(writer.call([b"SET", format!("k{}", written % 50).as_bytes(), &value]), Reply::ok());
        written += 1;
    }
    let connects = crowd.connects();
    crowd.stop();
    println!("{connects} connects beside {written} writes");
    assert!(connects > FLOOD, "the crowd never came");
    assert_eq!(writer.ask("SET after the-flood"), Reply::ok());
    // Asked by who is connected: the seats of those who have just gone may not be free yet.
    let info = writer.ask("INFO everything").text();
    assert!(info.contains("modb_store_trouble:\r\n"), "{info}");
    assert!(!server.says("Too many open files"), "{}", server.output());
}

pub(crate) fn a_flood_leaves_the_descriptors_that_large_writes_need(platform: &Platform) {
    flood_beside_writes(platform, 912, 4 << 20);
}

pub(crate) fn a_flood_leaves_the_descriptors_that_writes_need_also_when_they_are_few(platform: &Platform) {
    flood_beside_writes(platform, 420, 1 << 10);
}

/// Seats, how many of them strangers get, and whether one of this machine gets in then.
const SEATS: [(usize, usize, bool); 4] = [(1, 1, false), (2, 1, true), (5, 3, true), (12, 8, true)];

pub(crate) fn strangers_leave_seats_for_this_machine(platform: &Platform) {
    let net = match sys::Network::new() {
        Ok(net) => net,
        Err(reason) => skip!("{reason}"),
    };
    for (seats, for_strangers, local_gets_in) in SEATS {
        let server = Launch::new(platform)
            .with("--maxclients", &seats.to_string())
            .with("--bind", "0.0.0.0")
            .with("--protected-mode", "no")
            .in_shell(&net.script())
            .start();
        let outside = SocketAddr::new(IpAddr::V4(net.inside()), server.addr().port());
        let mut strangers: Vec<Peer> = (0..for_strangers).map(|_| Peer::connect(outside)).collect();
        for stranger in &mut strangers {
            assert_eq!(stranger.ask("PING"), Reply::Simple(b"PONG".to_vec()), "of {seats} seats");
        }
        // More of them, again and again, all the while.
        let crowd = Crowd::start(Kind::Connects, outside, Size { threads: 1, connections: 20 });
        wait::until("one is told that all are taken", || {
            let mut peer = Peer::try_connect(outside).ok()?;
            let told = peer.try_reply().ok()?.error()?;
            assert_eq!(format!("-{told}\r\n"), FULL);
            Some(())
        });
        let mut ping = std::process::Command::new("sh");
        let client = binary::client().path;
        let port = server.addr().port().to_string();
        ping.args(["-c", &net.script(), "sh"]).arg(client).args(["-h", "127.0.0.1", "-p", &port, "PING"]);
        let outcome = tool::run(&mut ping, b"", DEADLINE);
        if local_gets_in {
            assert_eq!(outcome.success().trim_end(), "PONG", "of {seats} seats");
        } else {
            assert!((outcome.stdout.clone() + &outcome.stderr).contains("max number"), "{outcome:?}");
        }
        crowd.stop();
        for stranger in &mut strangers {
            assert_eq!(stranger.ask("PING"), Reply::Simple(b"PONG".to_vec()), "who was there stays");
        }
    }
    let refusal = Launch::new(platform).with("--maxclients", "0").start_expecting_refusal();
    assert!(refusal.output.contains("maxclients"), "{}", refusal.output);
}

pub(crate) fn a_file_is_a_door_too_and_a_dead_servers_file_is_taken_over(platform: &Platform) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let path = folder.path().join("door");
    let launch = Launch::new(platform)
        .with("--unixsocket", path.to_str().expect("names of test folders are text"))
        .with("--unixsocketperm", "700");
    let mut server = launch.start();
    assert_eq!(sys::through_file(&path, b"SET a 1\r\n"), Some("+OK\r\n".to_owned()));
    assert_eq!(sys::mode_of(&path) & 0o777, 0o700);
    assert_eq!(server.peer().ask("GET a"), Reply::bulk("1"));
    let mut client = binary::client().command();
    client.arg("-s").arg(&path).args(["GET", "a"]);
    assert_eq!(tool::run(&mut client, b"", DEADLINE).success().trim_end(), "1");
    assert!(sys::through_file(&path, b"CLIENT LIST\r\n").is_some_and(|list| list.contains("door")));
    // Nobody takes the file of a living server.
    let refusal = Launch::new(platform)
        .with("--unixsocket", path.to_str().expect("names of test folders are text"))
        .start_expecting_refusal();
    assert!(refusal.output.contains("door"), "{}", refusal.output);
    assert_eq!(sys::through_file(&path, b"GET a\r\n"), Some("$1\r\n1\r\n".to_owned()));
    // That of a dead one is.
    server.kill();
    assert!(path.exists(), "nobody removed it");
    let mut server = launch.start();
    assert_eq!(sys::through_file(&path, b"GET a\r\n"), Some("$1\r\n1\r\n".to_owned()));
    server.stop();
    assert!(!path.exists(), "its own file is removed");
}
