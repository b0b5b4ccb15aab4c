//! Who may speak to the server, how many, and for how long.

use std::net::{IpAddr, UdpSocket};
use std::time::{Duration, Instant};

use modb_tests::peer::encode;
use modb_tests::wait::DEADLINE;
use modb_tests::{Launch, Peer, Platform, Reply, skip, wait};

const WRONG: &str = "WRONGPASS invalid username-password pair or user is disabled.";

pub(crate) fn without_the_password_nothing_is_served(platform: &Platform) {
    let server = Launch::new(platform).with_password("secret").start();
    let mut stranger = Peer::connect(server.addr());
    for words in ["GET a", "SET a 1", "PING", "SHUTDOWN", "CONFIG GET requirepass", "FLUSHALL"] {
        let refusal = stranger.ask(words).error();
        assert_eq!(refusal.as_deref(), Some("NOAUTH Authentication required."), "{words}");
    }
    assert_eq!(stranger.ask("AUTH secret"), Reply::ok());
    assert_eq!(stranger.ask("SET a 1"), Reply::ok());
    assert_eq!(stranger.ask("RESET"), Reply::Simple(b"RESET".to_vec()));
    assert!(stranger.ask("GET a").error().is_some(), "RESET forgets who it was");
}

pub(crate) fn a_wrong_password_is_refused(platform: &Platform) {
    let server = Launch::new(platform).with_password("secret").start();
    let mut stranger = Peer::connect(server.addr());
    for words in ["AUTH wrong", "AUTH secre", "AUTH secrets", "AUTH other secret", "AUTH default wrong"] {
        assert_eq!(stranger.ask(words).error().as_deref(), Some(WRONG), "{words}");
    }
    assert_eq!(stranger.ask("AUTH default secret"), Reply::ok());
}

pub(crate) fn hello_can_authenticate(platform: &Platform) {
    let server = Launch::new(platform).with_password("secret").start();
    let mut stranger = Peer::connect(server.addr());
    let refusal = stranger.ask("HELLO 3").error().expect("a refusal");
    assert!(
        refusal.starts_with("NOAUTH HELLO must be called with the client already authenticated"),
        "{refusal}"
    );
    assert_eq!(stranger.ask("HELLO 3 AUTH default wrong").error().as_deref(), Some(WRONG));
    assert!(matches!(stranger.ask("HELLO 3 AUTH default secret SETNAME me"), Reply::Map(_)));
    assert_eq!(stranger.ask("CLIENT GETNAME"), Reply::bulk("me"));
}

pub(crate) fn unauthenticated_clients_may_not_announce_large_requests(platform: &Platform) {
    let server = Launch::new(platform).with_password("secret").start();
    let cases: [(&[u8], &str); 2] = [
        (b"*11\r\n", "-ERR Protocol error: unauthenticated multibulk length\r\n"),
        (b"*2\r\n$4\r\nAUTH\r\n$16385\r\n", "-ERR Protocol error: unauthenticated bulk length\r\n"),
    ];
    for (sent, answer) in cases {
        let mut stranger = Peer::connect(server.addr());
        stranger.send(sent);
        assert_eq!(String::from_utf8_lossy(&stranger.read_to_close()), answer);
    }
}

pub(crate) fn without_a_password_clients_from_elsewhere_are_refused(platform: &Platform) {
    let Some(own) = own_address() else { skip!("this machine has no address but the loopback one") };
    let server = Launch::new(platform).with("--bind", "0.0.0.0").start();
    assert_eq!(server.peer().ask("PING"), Reply::Simple(b"PONG".to_vec()));
    let mut elsewhere = Peer::connect((own, server.addr().port()).into());
    let got = String::from_utf8_lossy(&elsewhere.read_to_close()).into_owned();
    assert!(got.starts_with("-DENIED "), "{got:?}");
    drop(server);

    let server = Launch::new(platform).with("--bind", "0.0.0.0").with_password("secret").start();
    let mut elsewhere = Peer::connect((own, server.addr().port()).into());
    assert_eq!(elsewhere.ask("AUTH secret"), Reply::ok());
}

pub(crate) fn a_server_that_is_open_to_all_is_warned_about(platform: &Platform) {
    const WARNING: &str = "warning: anybody who reaches this server can read and change everything";
    // An address that is not of this machine alone; that it is not there at all makes no difference.
    let launch = Launch::new(platform).with("--bind", "127.0.0.1 -192.0.2.1");
    let server = launch.clone().with("--protected-mode", "no").start();
    assert!(server.comes_to_say(WARNING), "{}", server.output());
    drop(server);
    let server = launch.start();
    let mut peer = server.peer();
    assert_eq!(peer.ask("CONFIG SET requirepass secret protected-mode no"), Reply::ok());
    assert!(!server.says(WARNING), "{}", server.output());
    assert_eq!(peer.call(["CONFIG", "SET", "requirepass", ""]), Reply::ok());
    assert!(server.comes_to_say(WARNING), "{}", server.output());
    assert_eq!(peer.ask("CONFIG SET timeout 0 hz 11"), Reply::ok());
    assert!(server.comes_to_say("option hz has no effect"), "{}", server.output());
    assert_eq!(server.output().matches(WARNING).count(), 1, "{}", server.output());
}

pub(crate) fn a_password_comes_from_a_file_or_the_environment(platform: &Platform) {
    let around = tempfile::tempdir().expect("a folder can be made");
    let file = around.path().join("password");
    std::fs::write(&file, "from the file\n").expect("a test may write its own folder");
    let file = file.to_string_lossy().into_owned();
    let of_file = Launch::new(platform).with("--requirepass-file", &file);
    let mut cases = vec![(of_file.clone(), "from the file")];
    if !platform.windows_server {
        let of_environment = Launch::new(platform).in_shell("MODB_PASSWORD=env exec \"$@\"");
        cases.push((of_environment.clone(), "env"));
        cases.push((of_environment.with("--requirepass-file", &file), "from the file"));
    }
    for (launch, password) in cases {
        let server = launch.start();
        let mut stranger = Peer::connect(server.addr());
        assert!(stranger.ask("PING").error().is_some());
        assert_eq!(stranger.call(["AUTH", password]), Reply::ok(), "{password}");
        assert!(!server.output().contains(password), "{}", server.output());
    }
    let refusal = of_file.with("--requirepass", "other").start_expecting_refusal();
    assert_eq!(refusal.status.code(), Some(2), "{}", refusal.output);
    assert!(
        refusal.output.contains("set one of them") && !refusal.output.contains("from the file"),
        "{}",
        refusal.output
    );
}

pub(crate) fn a_backup_is_written_for_clients_of_this_machine_only(platform: &Platform) {
    let Some(own) = own_address() else { skip!("this machine has no address but the loopback one") };
    let folder = tempfile::tempdir().expect("a folder can be made");
    let backup = |name: &str| {
        let target = folder.path().join(name).to_string_lossy().into_owned();
        ["MODB".to_owned(), "BACKUP".to_owned(), target]
    };
    let server = Launch::new(platform).with("--bind", "0.0.0.0").with_password("secret").start();
    let mut elsewhere = Peer::connect((own, server.addr().port()).into());
    assert_eq!(elsewhere.ask("AUTH secret"), Reply::ok());
    let refusal = elsewhere.call(backup("elsewhere")).error().expect("a refusal");
    assert!(refusal.starts_with("ERR MODB BACKUP command not allowed."), "{refusal}");
    assert_eq!(server.peer().call(backup("here")), Reply::Int(1));
    let done = wait::within(DEADLINE, || {
        let said = format!("{:?}", elsewhere.ask("MODB STATUS"));
        assert!(!said.contains("failed"), "{said}");
        said.contains("done").then_some(())
    });
    assert!(done.is_some() && !folder.path().join("elsewhere").exists());
}

/// An address of this machine that is not loopback. Connecting a UDP socket only asks for the route; nothing is sent.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_loopback() && !ip.is_unspecified()).then_some(ip)
}

pub(crate) fn one_client_too_many_is_told_and_closed_and_the_others_stay(platform: &Platform) {
    const MAX: usize = 5;
    let server = Launch::new(platform).with("--maxclients", &MAX.to_string()).start();
    let mut peers: Vec<Peer> = (0..MAX).map(|_| server.peer()).collect();
    for peer in &mut peers {
        assert_eq!(peer.ask("PING"), Reply::Simple(b"PONG".to_vec()));
    }
    for _ in 0..3 {
        let mut extra = server.peer();
        let got = String::from_utf8_lossy(&extra.read_to_close()).into_owned();
        assert_eq!(got, "-ERR max number of clients reached\r\n");
    }
    for peer in &mut peers {
        assert_eq!(peer.ask("PING"), Reply::Simple(b"PONG".to_vec()));
    }
    peers.pop();
    wait::until("the free place is given to a new client", || {
        let mut peer = server.peer();
        peer.try_send(&encode(["PING"])).ok()?;
        peer.try_reply().ok().filter(|reply| reply.error().is_none())
    });
}

pub(crate) fn an_idle_client_is_closed_and_a_busy_one_is_not(platform: &Platform) {
    /// Between two requests of the busy one: often enough, not a flood.
    const PACE: Duration = Duration::from_millis(20);
    let server = Launch::new(platform).start();
    let busy_was_idle = |seconds: u64| {
        assert_eq!(server.peer().ask(&format!("CONFIG SET timeout {seconds}")), Reply::ok());
        let (mut idle, mut busy) = (server.peer(), server.peer());
        assert_eq!(idle.ask("PING"), Reply::Simple(b"PONG".to_vec()));
        let waiter = std::thread::spawn(move || idle.is_closed_within(DEADLINE));
        let mut answered_at = Instant::now();
        while !waiter.is_finished() {
            let pong = busy.try_send(&encode(["PING"])).and_then(|()| busy.try_reply());
            let silence = answered_at.elapsed();
            match pong {
                Ok(pong) => assert_eq!(pong, Reply::Simple(b"PONG".to_vec())),
                // The machine stood still for so long.
                Err(_) if silence >= Duration::from_secs(seconds) => return true,
                Err(error) => panic!("{error} to who was silent for {silence:?}"),
            }
            answered_at = Instant::now();
            std::thread::sleep(PACE);
        }
        assert!(waiter.join().expect("it does not panic"), "the idle client was never closed");
        false
    };
    assert!(![1, 4, 16].into_iter().all(busy_was_idle), "the machine is too slow");
}

pub(crate) fn a_web_page_cannot_give_commands(platform: &Platform) {
    let server = Launch::new(platform).start();
    let body = "SET pwned 1\r\nCONFIG SET requirepass pwned\r\nPING\r\n";
    let heads = [
        "POST / HTTP/1.1\r\nHost: x\r\n\r\n",
        "post / HTTP/1.1\r\n\r\n",
        // A method that is no command is told so; the header that every browser sends ends it.
        "PUT / HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n\r\n",
        "Host: x\r\n",
    ];
    for head in heads {
        let mut page = Peer::connect(server.addr());
        page.send(format!("{head}{body}").as_bytes());
        let said = String::from_utf8_lossy(&page.read_to_close()).into_owned();
        assert!(!said.contains("PONG") && !said.contains("OK"), "{head:?}: {said:?}");
    }
    let mut peer = server.peer();
    assert_eq!(peer.ask("EXISTS pwned"), Reply::Int(0));
    assert_eq!(peer.ask("PING"), Reply::Simple(b"PONG".to_vec()));
    assert!(server.comes_to_say("SECURITY ATTACK"), "{}", server.output());
}

pub(crate) fn a_request_line_of_http_is_no_command_whatever_its_method(platform: &Platform) {
    let server = Launch::new(platform).start();
    for line in ["SET / HTTP/1.1", "GET / HTTP/1.1", "OPTIONS * HTTP/1.1", "\x16\x03\x01\x02 x"] {
        let mut page = Peer::connect(server.addr());
        page.send(format!("{line}\r\nSET pwned 1\r\n").as_bytes());
        assert_eq!(page.read_to_close(), b"", "{line:?}");
    }
    let mut peer = server.peer();
    assert_eq!(peer.ask("EXISTS pwned /"), Reply::Int(0));
    // An array is what only a client of ours sends.
    assert_eq!(peer.call(["SET", "/", "HTTP/1.1"]), Reply::ok());
}
