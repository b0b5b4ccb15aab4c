//! Measures one contender with so many workers: a round of each of its numbers.

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::contenders::{Contender, Running};
use crate::sys;

/// Longer than anything here takes: what has not come by then never will.
const DEADLINE: Duration = Duration::from_secs(10);
/// Clients that connect at the same time, each one connection after the other.
const CLIENTS: usize = 4;

/// How many connections a round has.
#[derive(Clone, Copy)]
pub struct Counts {
    /// Opened at full speed, and kept.
    pub busy: usize,
    /// Opened one by one, each when everything sleeps.
    pub idle: usize,
}

/// What one round found.
#[derive(Clone, Copy)]
pub struct Round {
    pub per_second: f64,
    pub spread: Spread,
    /// After all connections of one worker have gone and as many have come again.
    pub spread_after_loss: Spread,
    /// Context switches per connection, where they can be counted.
    pub switches: Option<f64>,
}

/// How evenly the workers share the connections.
#[derive(Clone, Copy)]
pub struct Spread {
    /// The fewest connections a worker has, over the most.
    pub min_over_max: f64,
    /// Standard deviation over mean.
    pub variation: f64,
}

/// `None` where the system cannot.
pub fn round(contender: Contender, workers: usize, counts: Counts) -> Option<Round> {
    let others = sys::threads();
    let running = contender.start(workers)?;
    // What is done once per thread is not counted.
    reset(connect(running.address(), 2 * workers));
    until(|| running.connections() == 0, "those that warmed it up are gone");
    let switches = others.map(|others| switches(&running, &others, counts.idle));
    until(|| running.connections() == 0, "all are gone");

    let begun = Instant::now();
    let clients = connect(running.address(), counts.busy);
    let per_second = clients.len() as f64 / begun.elapsed().as_secs_f64();
    let spread = Spread::of(&clients, workers);

    let (leaving, mut clients): (Vec<_>, Vec<_>) = clients.into_iter().partition(|client| client.worker == 0);
    let count = leaving.len();
    reset(leaving);
    until(|| running.connections() == clients.len(), "those of the first worker are gone");
    clients.extend(connect(running.address(), count));
    let spread_after_loss = Spread::of(&clients, workers);
    reset(clients);
    Some(Round { per_second, spread, spread_after_loss, switches })
}

struct Client {
    worker: usize,
    stream: TcpStream,
}

impl Client {
    /// Returns when a worker has greeted it.
    fn connect(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut worker = [0];
        stream.read_exact(&mut worker).unwrap();
        Self { worker: worker[0].into(), stream }
    }
}

/// In all so many connections, by several clients at once.
fn connect(address: SocketAddr, count: usize) -> Vec<Client> {
    let share = |client: usize| count / CLIENTS + usize::from(client < count % CLIENTS);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                scope.spawn(move || (0..share(client)).map(|_| Client::connect(address)).collect::<Vec<_>>())
            })
            .collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    })
}

/// Ends connections without leaving their ports in TIME_WAIT.
fn reset(clients: Vec<Client>) {
    for client in clients {
        socket2::SockRef::from(&client.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

/// Context switches per connection that comes when every thread of the server sleeps: the dear case, since a
/// thread that is awake need not be woken.
fn switches(running: &Running, others: &[String], count: usize) -> f64 {
    let threads: Vec<String> =
        sys::threads().unwrap_or_default().into_iter().filter(|thread| !others.contains(thread)).collect();
    let all_sleep = || threads.iter().all(|thread| sys::is_asleep(thread));
    let sleeps = || threads.iter().map(|thread| sys::sleeps(thread)).sum::<u64>();
    until(all_sleep, "the server sleeps");
    let before = sleeps();
    let mut clients = Vec::new();
    for _ in 0..count {
        clients.push(Client::connect(running.address()));
        until(all_sleep, "the server sleeps again");
    }
    let each = (sleeps() - before) as f64 / count as f64;
    reset(clients);
    each
}

fn until(condition: impl Fn() -> bool, what: &str) {
    let end = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < end, "waited in vain until {what}");
        std::thread::yield_now();
    }
}

impl Spread {
    fn of(clients: &[Client], workers: usize) -> Self {
        let mut each = vec![0.0; workers];
        clients.iter().for_each(|client| each[client.worker] += 1.0);
        let mean = each.iter().sum::<f64>() / workers as f64;
        let variance = each.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / workers as f64;
        let least = each.iter().copied().fold(f64::INFINITY, f64::min);
        let most = each.iter().copied().fold(0.0, f64::max);
        Self { min_over_max: least / most, variation: variance.sqrt() / mean }
    }
}
