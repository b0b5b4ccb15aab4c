//! Crowds of hostile clients while an honest one does its work: what they can take is bounded, and it does not notice.
//!
//! Asserted all the while: descriptors of the server (on Linux), its resident memory, no error to the honest client
//! before, during or after, and that whoever comes has a seat, the reason or the end within a second. On Linux also the
//! honest client's latency: its 99th percentile is at most 50 ms, or twice that beside as many threads that only burn
//! processor time.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use modb_tests::hostile::{BIG_KEY, Crowd, Kind, Size};
use modb_tests::{Launch, Peer, Platform, Reply, Server, sys, wait};

/// Requests of the honest client, evenly over the time.
const REQUESTS: u32 = 1000;

const TIME: Duration = Duration::from_secs(5);
const LONG_TIME: Duration = Duration::from_secs(60);

const MAX_P99: Duration = Duration::from_millis(50);

/// How long who comes during a flood may have to wait until it has a seat, the reason or the end.
const ANSWERED_WITHIN: Duration = Duration::from_secs(1);

/// So many of the fifty who come may meet a machine that stands still for longer.
const MOST_LATE: usize = 5;

/// So much that as many replies as there are seats are more than is allowed.
const BIG_BYTES: usize = 1 << 20;

/// Sockets that are being refused at the same time.
const REFUSING: usize = 32;
/// Files and pollers that the server may open meanwhile.
const OWN_FILES: usize = 32;

const CACHE_MB: u64 = 32;
const CLIENTS_MB: u64 = 32;
/// What the README allows beside: the program, its indexes and buffers, and what an allocator wastes.
const BESIDE_MB: u64 = 96;

const FULL: &str = "-ERR max number of clients reached\r\n";

pub(crate) fn a_flood_of_connects_takes_only_its_share(platform: &Platform) {
    endure(platform, Kind::Connects, 400, TIME);
}

pub(crate) fn silent_clients_take_only_their_share(platform: &Platform) {
    endure(platform, Kind::Silent, 500, TIME);
}

pub(crate) fn half_sent_requests_take_only_their_share(platform: &Platform) {
    endure(platform, Kind::HalfSent, 300, TIME);
}

pub(crate) fn a_byte_a_second_takes_only_its_share(platform: &Platform) {
    endure(platform, Kind::ByteASecond, 300, TIME);
}

pub(crate) fn clients_that_never_read_take_only_their_share(platform: &Platform) {
    endure(platform, Kind::NeverReading, 150, TIME);
}

pub(crate) fn resets_while_paused_take_only_their_share(platform: &Platform) {
    endure(platform, Kind::ResetWhilePaused, 150, TIME);
}

pub(crate) fn a_thousand_at_once_take_only_their_share(platform: &Platform) {
    endure(platform, Kind::AllAtOnce, 1000, TIME);
}

pub(crate) fn long_every_kind_of_hostile_client_for_a_minute(platform: &Platform) {
    for (kind, connections) in [
        (Kind::Connects, 400),
        (Kind::Silent, 500),
        (Kind::HalfSent, 300),
        (Kind::ByteASecond, 300),
        (Kind::NeverReading, 150),
        (Kind::ResetWhilePaused, 150),
        (Kind::AllAtOnce, 1000),
    ] {
        endure(platform, kind, connections, LONG_TIME);
    }
}

/// Lets a crowd at a server with a few hundred seats, and looks at it meanwhile.
fn endure(platform: &Platform, kind: Kind, connections: usize, time: Duration) {
    wait::not_each_time(|| delay_beside_a_crowd(platform, kind, connections, time));
}

/// What an honest client met beside a crowd, if it was served late.
fn delay_beside_a_crowd(
    platform: &Platform,
    kind: Kind,
    connections: usize,
    time: Duration,
) -> Option<String> {
    // For each event Wine's server looks at every socket that is waited for, in one thread for all programs.
    let (seats, size) = match platform.wine {
        true => (40, Size { threads: 2, connections: connections / 10 }),
        false => (200, Size { threads: 4, connections }),
    };
    sys::raise_descriptor_limit(4000);
    let server = Launch::new(platform)
        .with("--maxclients", &seats.to_string())
        .with("--cache-mb", &CACHE_MB.to_string())
        .with("--maxmemory-clients", &(CLIENTS_MB << 20).to_string())
        .start();
    let mut honest = server.peer();
    assert_eq!(honest.call([b"SET", BIG_KEY.as_bytes(), &vec![b'v'; BIG_BYTES]]), Reply::ok());
    let files = sys::open_descriptors(server.pid()).filter(|_| !platform.windows_server);
    let bounds = Bounds {
        descriptors: files.map(|files| files + seats + REFUSING + OWN_FILES),
        is_timed: !platform.wine,
    };

    let crowd = Crowd::start(kind, server.addr(), size);
    let watched = work(&server, &mut honest, &bounds, time);
    let connects = crowd.connects();
    crowd.stop();
    println!("{kind:?}: {connects} connects; {watched}");
    assert!(connects > 0, "the crowd never came");
    // Asked by who is connected: the seats of those who have just gone may not be free yet.
    let info = honest.ask("INFO everything").text();
    let refused = info.lines().find_map(|line| line.strip_prefix("rejected_connections:")).map(str::trim);
    // Under Wine those of a moment may not all be there at the same time.
    let must_refuse = size.connections > seats && (bounds.is_timed || kind != Kind::AllAtOnce);
    assert!(refused.is_some_and(|n| n != "0") || !must_refuse, "{refused:?} were refused");

    assert_eq!(honest.ask("GET honest"), Reply::bulk((REQUESTS - 1).to_string()));
    wait::until("a new client has a seat again", || {
        let mut peer = Peer::try_connect(server.addr()).ok()?;
        peer.try_send(b"PING\r\n").ok()?;
        peer.try_reply().ok().filter(|reply| *reply == Reply::Simple(b"PONG".to_vec()))
    });
    if !bounds.is_timed {
        return None;
    }
    if watched.late > MOST_LATE {
        return Some(format!("{} of who came were answered late; {watched}", watched.late));
    }
    if watched.p99 <= MAX_P99 {
        return None;
    }
    let burners = Crowd::start(Kind::Burn, server.addr(), size);
    let control = work(&server, &mut honest, &bounds, time.min(TIME));
    burners.stop();
    println!("beside threads that only burn processor time: {control}");
    (watched.p99 > control.p99 * 2).then(|| format!("{watched}; the control: {control}"))
}

/// What must hold while a crowd is at work.
struct Bounds {
    /// `None`: this system does not tell.
    descriptors: Option<usize>,
    /// Whether waiting times say something about the server.
    is_timed: bool,
}

/// What was seen.
struct Watched {
    p50: Duration,
    p99: Duration,
    max: Duration,
    descriptors: usize,
    rss_bytes: u64,
    newcomers: [usize; 3],
    /// Of those, who was answered later than [`ANSWERED_WITHIN`] allows.
    late: usize,
}

impl std::fmt::Display for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [served, told, ended] = self.newcomers;
        write!(
            f,
            "the honest client's p50 {:?}, p99 {:?}, max {:?}; at most {} descriptors, {} MiB; of who came, {served} were \
             served, {told} told why not, {ended} closed",
            self.p50,
            self.p99,
            self.max,
            self.descriptors,
            self.rss_bytes >> 20
        )
    }
}

/// The honest client's requests, with a look at the server after every few.
fn work(server: &Server, honest: &mut Peer, bounds: &Bounds, time: Duration) -> Watched {
    const LOOK_EVERY: u32 = 20;
    let begun = Instant::now();
    let mut took = Vec::new();
    let mut seen = Watched {
        p50: Duration::ZERO,
        p99: Duration::ZERO,
        max: Duration::ZERO,
        descriptors: 0,
        rss_bytes: 0,
        newcomers: [0; 3],
        late: 0,
    };
    for n in 0..REQUESTS {
        // Evenly paced, and behind its time as soon as it can.
        std::thread::sleep((time * n / REQUESTS).saturating_sub(begun.elapsed()));
        let asked = Instant::now();
        if n % 2 == 1 {
            assert_eq!(honest.ask(&format!("SET honest {n}")), Reply::ok());
        } else if n > 0 {
            assert_eq!(honest.ask("GET honest"), Reply::bulk((n - 1).to_string()));
        }
        took.push(asked.elapsed());
        if n % LOOK_EVERY == 0 {
            look(server, bounds, &mut seen);
            let came = Instant::now();
            seen.newcomers[come(server.addr()) as usize] += 1;
            // Twice for a machine that is busy with the crowd itself.
            seen.late += usize::from(came.elapsed() > 2 * ANSWERED_WITHIN);
        }
    }
    took.sort_unstable();
    seen.p50 = took[took.len() / 2];
    seen.p99 = took[took.len() * 99 / 100];
    seen.max = took[took.len() - 1];
    seen
}

fn look(server: &Server, bounds: &Bounds, seen: &mut Watched) {
    if let Some(most) = bounds.descriptors {
        let open = sys::open_descriptors(server.pid()).expect("it was told before");
        seen.descriptors = seen.descriptors.max(open);
        assert!(open <= most, "{open} descriptors, at most {most} allowed");
    }
    if let Some(rss_bytes) = server.rss_bytes() {
        seen.rss_bytes = seen.rss_bytes.max(rss_bytes);
        let most = (CACHE_MB + CLIENTS_MB + BESIDE_MB) << 20;
        assert!(rss_bytes <= most, "{} MiB resident, at most {} allowed", rss_bytes >> 20, most >> 20);
    }
}

/// What somebody has who comes.
#[derive(Clone, Copy)]
enum Reception {
    Served,
    Told,
    Closed,
}

/// Someone comes, asks, and goes.
fn come(addr: SocketAddr) -> Reception {
    let Ok(mut peer) = Peer::try_connect(addr) else { return Reception::Closed };
    let reception = match peer.try_send(b"PING\r\n").and_then(|()| peer.try_reply()) {
        Ok(Reply::Simple(pong)) if pong == b"PONG" => Reception::Served,
        Ok(reply) => {
            let text = reply.error().map(|text| format!("-{text}\r\n"));
            assert_eq!(text.as_deref(), Some(FULL), "{reply:?}");
            Reception::Told
        }
        Err(error) => {
            assert_ne!(
                error.kind(),
                std::io::ErrorKind::WouldBlock,
                "neither a seat, nor the reason, nor the end"
            );
            Reception::Closed
        }
    };
    peer.reset();
    reception
}
