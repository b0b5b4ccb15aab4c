//! Times that never come: a server all of whose timeouts are as long as can be said, with timers in a thousand years.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use modb_net::{Flow, Handle, In, Limits, Opening, Out, Peer, Server, Service, Turn};

/// Echoes, and waits for the year 3000.
struct Far;

fn far() -> Option<Instant> {
    Instant::now().checked_add(Duration::from_secs(1000 * 365 * 24 * 3600))
}

impl Service for Far {
    type Session = ();
    type Message = ();

    fn open(&mut self, conn: Handle<'_>, _: &Peer, _: &mut Out<'_>, _: &Turn<'_, Self>) -> Opening<()> {
        if let Some(far) = far() {
            conn.set_alarm(far);
        }
        Opening::Serve(())
    }

    fn on_input(
        &mut self,
        _: Handle<'_>,
        (): &mut (),
        input: &mut In<'_>,
        out: &mut Out<'_>,
        _: &Turn<'_, Self>,
    ) -> Flow {
        out.tail().extend_from_slice(input.bytes());
        input.consume(input.bytes().len());
        Flow::NeedInput
    }

    fn next_timer(&self) -> Option<Instant> {
        far()
    }
}

/// Serves, refuses, opens, rests and ends.
pub(crate) fn serve() {
    let forever = Duration::MAX;
    let limits = Limits {
        max_connections: 2,
        refusal_timeout: forever,
        stall_timeout: forever,
        idle_timeout: Some(forever),
        keep_alive: Some(forever),
        closing_timeout: forever,
        linger_timeout: forever,
        shutdown_timeout: forever,
        ..Limits::default()
    };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let builder = Server::builder().listen(listener).workers(1).limits(limits);
    let server = builder.refuse_with(|_| b"full\n".to_vec()).start(|_| Far).unwrap();
    let workers = server.workers();
    let connect = || BufReader::new(TcpStream::connect(server.local_addrs()[0]).unwrap());
    let ask = |client: &mut BufReader<TcpStream>| {
        client.get_mut().write_all(b"hello\n").unwrap();
        let mut line = String::new();
        client.read_line(&mut line).unwrap();
        assert_eq!(line, "hello\n");
    };
    let mut client = connect();
    ask(&mut client);
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    workers.connect(elsewhere.local_addr().unwrap(), forever, ()).unwrap();
    let mut opened = BufReader::new(elsewhere.accept().unwrap().0);
    ask(&mut opened);
    let (mut refused, mut said) = (connect(), String::new());
    refused.read_to_string(&mut said).unwrap();
    assert_eq!(said, "full\n");
    let turns = || workers.stats(0).turns + workers.acceptor_stats().turns;
    let before = turns();
    thread::sleep(Duration::from_millis(100)); // what is measured: time in which nothing happens
    let turns = turns() - before;
    assert!(turns <= 5, "{turns} turns for timers in a thousand years");
    workers.set_idle_timeout(Some(forever));
    ask(&mut client);
    drop((client, opened));
    server.shutdown();
    server.join().unwrap();
}

#[test]
fn what_is_to_come_in_a_thousand_years_costs_nothing_now() {
    serve();
}
