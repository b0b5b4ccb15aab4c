//! Messages: who gets which, in which form and in which order, and what becomes of those who do not read.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};
use std::io::Read;
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use modb_tests::peer::encode;
use modb_tests::platform::Product;
use modb_tests::{Launch, Peer, Platform, Reply, Server, wait};

fn start(platform: &Platform, workers: usize) -> Server {
    let launch = Launch::new(platform);
    match platform.product {
        Product::Modb => launch.with("--workers", &workers.to_string()).start(),
        _ => launch.start(),
    }
}

/// Sends a line, and asserts that exactly this comes, with `|` for the ends of lines.
fn exchange(peer: &mut Peer, line: &str, reply: &str) {
    peer.send(&encode(line.split(' ')));
    expect(peer, reply);
}

fn expect(peer: &mut Peer, reply: &str) {
    peer.expect(reply.replace('|', "\r\n").as_bytes());
}

/// Listens to channels, and waits for the confirmations.
fn listener(server: &Server, command: &str, names: &[&str]) -> Peer {
    let mut peer = server.peer();
    peer.send(&encode([command].iter().chain(names)));
    peer.replies(names.len());
    peer
}

pub(crate) fn messages_that_come_together_keep_their_order_and_come_to_those_who_listened_before(
    platform: &Platform,
) {
    for by_pattern in [false, true] {
        let server = start(platform, 1);
        let (mut one, mut other) = (listener(&server, "SUBSCRIBE", &["a"]), server.peer());
        exchange(&mut other, "SUBSCRIBE a", "*3|$9|subscribe|$1|a|:1|");
        if by_pattern {
            exchange(&mut other, "PSUBSCRIBE a*", "*3|$10|psubscribe|$2|a*|:2|");
        }
        let mut teller = server.peer();
        assert!(matches!(teller.ask("HELLO 3"), Reply::Map(_)));
        let lines =
            ["PUBLISH a 1", "PUBLISH a 2", "SUBSCRIBE a", "PUBLISH a 3", "PUBLISH b 4", "PUBLISH a 5"];
        teller.send(&lines.iter().flat_map(|line| encode(line.split(' '))).collect::<Vec<_>>());
        let (before, since) = if by_pattern { (3, 4) } else { (2, 3) };
        expect(&mut teller, &format!(":{before}|:{before}|>3|$9|subscribe|$1|a|:1|:{since}|:0|:{since}|"));
        for message in ["3", "5"] {
            expect(&mut teller, &format!(">3|$7|message|$1|a|$1|{message}|"));
        }
        for message in ["1", "2", "3", "5"] {
            expect(&mut one, &format!("*3|$7|message|$1|a|$1|{message}|"));
            expect(&mut other, &format!("*3|$7|message|$1|a|$1|{message}|"));
            if by_pattern {
                expect(&mut other, &format!("*4|$8|pmessage|$2|a*|$1|a|$1|{message}|"));
            }
        }
        exchange(&mut one, "PING", "*2|$4|pong|$0||");
        exchange(&mut other, "PING", "*2|$4|pong|$0||");
    }
}

pub(crate) fn messages_and_confirmations_have_the_form_of_the_protocol(platform: &Platform) {
    let server = start(platform, 2);
    let (mut two, mut three, mut teller) = (server.peer(), server.peer(), server.peer());
    exchange(&mut two, "UNSUBSCRIBE", "*3|$11|unsubscribe|$-1|:0|");
    exchange(
        &mut two,
        "SUBSCRIBE a b a",
        "*3|$9|subscribe|$1|a|:1|*3|$9|subscribe|$1|b|:2|*3|$9|subscribe|$1|a|:2|",
    );
    exchange(&mut two, "PSUBSCRIBE a* ?", "*3|$10|psubscribe|$2|a*|:3|*3|$10|psubscribe|$1|?|:4|");
    exchange(&mut two, "SSUBSCRIBE s", "*3|$10|ssubscribe|$1|s|:1|");
    assert!(matches!(three.ask("HELLO 3"), Reply::Map(_)));
    exchange(&mut three, "SUBSCRIBE a", ">3|$9|subscribe|$1|a|:1|");
    exchange(&mut three, "PUNSUBSCRIBE", ">3|$12|punsubscribe|_|:1|");

    exchange(&mut teller, "PUBLISH a hi", ":4|");
    expect(&mut two, "*3|$7|message|$1|a|$2|hi|");
    // Which of two patterns comes first is open.
    let mut by_pattern = [two.reply(), two.reply()].map(|reply| format!("{reply:?}"));
    by_pattern.sort();
    let pushed = |pattern: &str| {
        format!("{:?}", Reply::Array(["pmessage", pattern, "a", "hi"].map(Reply::bulk).to_vec()))
    };
    let mut expected = [pushed("?"), pushed("a*")];
    expected.sort();
    assert_eq!(by_pattern, expected);
    expect(&mut three, ">3|$7|message|$1|a|$2|hi|");
    exchange(&mut teller, "SPUBLISH s x", ":1|");
    expect(&mut two, "*3|$8|smessage|$1|s|$1|x|");
    exchange(&mut teller, "PUBLISH s x", ":1|");
    expect(&mut two, "*4|$8|pmessage|$1|?|$1|s|$1|x|");
    exchange(&mut teller, "PUBLISH nobody x", ":0|");
    exchange(&mut teller, "PUBSUB NUMSUB a b c", "*6|$1|a|:2|$1|b|:1|$1|c|:0|");
    exchange(&mut teller, "PUBSUB NUMPAT", ":2|");
    exchange(&mut teller, "PUBSUB SHARDNUMSUB s", "*2|$1|s|:1|");
    exchange(&mut teller, "PUBSUB CHANNELS a*", "*1|$1|a|");
    exchange(&mut teller, "PUBSUB SHARDCHANNELS", "*1|$1|s|");

    exchange(&mut two, "UNSUBSCRIBE b x", "*3|$11|unsubscribe|$1|b|:3|*3|$11|unsubscribe|$1|x|:3|");
    exchange(&mut two, "SUNSUBSCRIBE", "*3|$12|sunsubscribe|$1|s|:0|");
    exchange(&mut two, "UNSUBSCRIBE", "*3|$11|unsubscribe|$1|a|:2|");
    exchange(&mut two, "PUNSUBSCRIBE a* ?", "*3|$12|punsubscribe|$2|a*|:1|*3|$12|punsubscribe|$1|?|:0|");
    exchange(&mut two, "PING", "+PONG|");
    exchange(&mut teller, "PUBLISH a again", ":1|");
    expect(&mut three, ">3|$7|message|$1|a|$5|again|");
}

pub(crate) fn who_listens_in_resp2_may_give_few_commands(platform: &Platform) {
    let server = start(platform, 1);
    let mut peer = listener(&server, "SUBSCRIBE", &["a"]);
    let refused = |name: &str| {
        format!(
            "ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed \
             in this context"
        )
    };
    for (line, name) in
        [("GET x", "get"), ("PUBLISH a x", "publish"), ("CLIENT ID", "client|id"), ("HELLO 3", "hello")]
    {
        peer.send(&encode(line.split(' ')));
        assert_eq!(peer.reply().error(), Some(refused(name)));
    }
    exchange(&mut peer, "PING", "*2|$4|pong|$0||");
    exchange(&mut peer, "PING you", "*2|$4|pong|$3|you|");
    exchange(&mut peer, "RESET", "+RESET|");
    exchange(&mut peer, "PUBLISH a x", ":0|");
    exchange(&mut peer, "SUBSCRIBE a", "*3|$9|subscribe|$1|a|:1|");
    exchange(&mut peer, "UNSUBSCRIBE a", "*3|$11|unsubscribe|$1|a|:0|");
    exchange(&mut peer, "GET x", "$-1|");
    // In RESP3 a reply is told from a message.
    assert!(matches!(peer.ask("HELLO 3"), Reply::Map(_)));
    exchange(&mut peer, "SUBSCRIBE a", ">3|$9|subscribe|$1|a|:1|");
    exchange(&mut peer, "GET x", "_|");
    exchange(&mut peer, "PING", "+PONG|");
    exchange(&mut peer, "QUIT", "+OK|");
    assert_eq!(peer.read_to_close(), b"");
}

pub(crate) fn a_message_comes_after_the_reply_to_who_published_it(platform: &Platform) {
    let server = start(platform, 1);
    let mut peer = server.peer();
    assert!(matches!(peer.ask("HELLO 3"), Reply::Map(_)));
    exchange(&mut peer, "SUBSCRIBE a", ">3|$9|subscribe|$1|a|:1|");
    exchange(&mut peer, "PUBLISH a x", ":1|>3|$7|message|$1|a|$1|x|");
    // What was confirmed as left brings nothing more, and replies that are not wanted are not messages.
    peer.send(&[encode(["CLIENT", "REPLY", "OFF"]), encode(["PUBLISH", "a", "y"])].concat());
    expect(&mut peer, ">3|$7|message|$1|a|$1|y|");
    peer.send(
        &[encode(["SUBSCRIBE", "b"]), encode(["PUBLISH", "b", "z"]), encode(["UNSUBSCRIBE", "b"])].concat(),
    );
    expect(&mut peer, ">3|$9|subscribe|$1|b|:2|");
    peer.send(&[encode(["CLIENT", "REPLY", "ON"]), encode(["PING"])].concat());
    let mut got = Vec::new();
    while got.last() != Some(&Reply::Simple(b"PONG".to_vec())) {
        got.push(peer.reply());
    }
    let left =
        got.iter().position(|reply| format!("{reply:?}").contains("unsubscribe")).expect("it is confirmed");
    assert!(!got[left..].iter().any(|reply| format!("{reply:?}").contains("message")), "{got:?}");
}

pub(crate) fn what_was_published_is_heard_before_what_is_asked_for_afterwards(platform: &Platform) {
    let server = start(platform, 4);
    let mut teller = server.peer();
    let mut peers: Vec<Peer> = (0..8)
        .map(|_| {
            let mut peer = server.peer();
            assert!(matches!(peer.ask("HELLO 3"), Reply::Map(_)));
            exchange(&mut peer, "SUBSCRIBE a", ">3|$9|subscribe|$1|a|:1|");
            peer
        })
        .collect();
    for _ in 0..100 {
        exchange(&mut teller, "PUBLISH a x", ":8|");
        for peer in &mut peers {
            peer.send(&encode(["PING"]));
        }
        for peer in &mut peers {
            expect(peer, ">3|$7|message|$1|a|$1|x|+PONG|");
        }
    }
}

pub(crate) fn what_a_transaction_tells_leaves_with_it_and_after_its_reply(platform: &Platform) {
    let server = start(platform, 2);
    let mut reader = listener(&server, "SUBSCRIBE", &["a"]);
    let mut peer = server.peer();
    for line in ["MULTI", "SET k 1", "PUBLISH a one", "INCR k", "PUBLISH a two", "DISCARD"] {
        peer.ask(line);
    }
    for line in ["MULTI", "SET k v", "PUBLISH a three", "INCR k", "PUBLISH a four"] {
        peer.ask(line);
    }
    peer.send(&encode(["EXEC"]));
    let replies = peer.reply();
    assert_eq!((replies.items()[1].int(), replies.items()[3].int()), (1, 1));
    assert!(replies.items()[2].error().is_some(), "the one that failed tells nothing, the others do");
    expect(&mut reader, "*3|$7|message|$1|a|$5|three|*3|$7|message|$1|a|$4|four|");
    // What was published is told once the transaction is there.
    assert_eq!(server.peer().ask("GET k"), Reply::bulk("v"));
    // Subscribing is done at its place in the transaction.
    assert!(matches!(peer.ask("HELLO 3"), Reply::Map(_)));
    for line in ["MULTI", "SUBSCRIBE b", "PUBLISH b x"] {
        peer.ask(line);
    }
    exchange(&mut peer, "EXEC", "*2|>3|$9|subscribe|$1|b|:1|:1|>3|$7|message|$1|b|$1|x|");
}

pub(crate) fn all_who_listen_hear_all_channels_in_one_order(platform: &Platform) {
    let wine = platform.is(modb_tests::Where::Wine);
    let (listeners, messages) = if wine { (40, 50) } else { (1000, 2500) };
    hear_all(platform, listeners, messages);
}

pub(crate) fn long_a_thousand_who_listen_hear_80_000_messages_in_one_order(platform: &Platform) {
    hear_all(platform, 1000, 20_000);
}

/// Four publish so many messages each in three channels, and all who listen hear all in one order.
fn hear_all(platform: &Platform, listeners: usize, messages: usize) {
    const PUBLISHERS: usize = 4;
    const CHANNELS: [&str; 3] = ["one", "two", "thr"];
    let server = start(platform, 4);
    let text = |publisher: usize, n: usize| format!("{publisher}:{n:06}");
    let mut peers: Vec<Peer> = (0..listeners).map(|_| listener(&server, "SUBSCRIBE", &CHANNELS)).collect();
    let mut by_pattern = listener(&server, "PSUBSCRIBE", &["*"]);
    // All are of one length, so that it is known where they end.
    let frame = "*3|$7|message|$3|one|$8|0:000000|".replace('|', "\r\n").len();
    let total = frame * PUBLISHERS * messages;
    let (heard, in_pattern): (Vec<Heard>, Vec<String>) = thread::scope(|scope| {
        for publisher in 0..PUBLISHERS {
            let server = &server;
            scope.spawn(move || {
                let mut peer = server.peer();
                for n in 0..messages {
                    let heard = peer.call(["PUBLISH", CHANNELS[n % 3], &text(publisher, n)]).int();
                    assert_eq!(heard, listeners as i64 + 1);
                }
            });
        }
        let pattern = scope.spawn(|| {
            (0..PUBLISHERS * messages).map(|_| by_pattern.reply().items()[3].text()).collect::<Vec<_>>()
        });
        let readers: Vec<_> = peers
            .chunks_mut(listeners.div_ceil(4))
            .map(|some| scope.spawn(move || Heard::of_all(some, total)))
            .collect();
        let heard = readers.into_iter().flat_map(|reader| reader.join().expect("it did not panic"));
        (heard.collect(), pattern.join().expect("it did not panic"))
    });
    for (n, other) in heard.iter().enumerate() {
        assert!(other.digest == heard[0].digest, "listener {n} heard another order than the first");
    }
    let first: Vec<String> = heard[0]
        .bytes
        .chunks(frame)
        .map(|frame| String::from_utf8_lossy(&frame[frame.len() - 10..frame.len() - 2]).into_owned())
        .collect();
    assert!(first == in_pattern, "who listens by pattern hears the same order");
    for publisher in 0..PUBLISHERS {
        let prefix = format!("{publisher}:");
        let own = first.iter().filter(|text| text.starts_with(&prefix));
        let sent: Vec<String> = (0..messages).map(|n| text(publisher, n)).collect();
        assert!(own.eq(&sent), "what one publishes is heard in his order, each once");
    }
}

/// What one of a crowd has heard: by its digest, since all of them heard the same, and the first of some as it came.
struct Heard {
    digest: u64,
    bytes: Vec<u8>,
}

impl Heard {
    /// Reads so many bytes from each, in turn, so that nobody falls far behind.
    fn of_all(peers: &mut [Peer], total: usize) -> Vec<Self> {
        const PIECE: usize = 32 << 10;
        let mut heard: Vec<(DefaultHasher, Vec<u8>)> = peers.iter().map(|_| Default::default()).collect();
        let mut piece = [0; PIECE];
        for from in (0..total).step_by(PIECE) {
            let len = PIECE.min(total - from);
            for (n, (peer, (hasher, bytes))) in peers.iter().zip(&mut heard).enumerate() {
                peer.stream().read_exact(&mut piece[..len]).expect("the messages come");
                hasher.write(&piece[..len]);
                if n == 0 {
                    bytes.extend_from_slice(&piece[..len]);
                }
            }
        }
        heard.into_iter().map(|(hasher, bytes)| Self { digest: hasher.finish(), bytes }).collect()
    }
}

pub(crate) fn publishers_of_more_than_waits_anywhere_are_held_up_and_nothing_is_lost(platform: &Platform) {
    /// Two of them fill a lane.
    const BYTES: usize = 7 << 20;
    const PUBLISHERS: usize = 4;
    const EACH: usize = 5;
    let server = start(platform, 2);
    assert_eq!(
        server.peer().call(["CONFIG", "SET", "client-output-buffer-limit", "pubsub 0 0 0"]),
        Reply::ok()
    );
    let mut peers: Vec<Peer> = (0..4).map(|_| listener(&server, "SUBSCRIBE", &["large", "small"])).collect();
    thread::scope(|scope| {
        for publisher in 0..PUBLISHERS {
            let server = &server;
            scope.spawn(move || {
                let mut peer = server.peer();
                let text = vec![b'a' + publisher as u8; BYTES];
                // All at once: what is behind a request that is held up waits with it.
                let mut requests =
                    vec![encode([&b"PUBLISH"[..], b"large", &text]), encode(["PUBLISH", "small", "x"])];
                // One does it in transactions: a run that is held up has done nothing.
                let in_transactions = publisher == 0;
                if in_transactions {
                    let with = [encode(["MULTI"]), encode(["INCR", "told"])];
                    requests.splice(0..0, with);
                    requests.push(encode(["EXEC"]));
                }
                for _ in 0..EACH {
                    peer.send(&requests.concat());
                }
                let replies = peer.replies(requests.len() * EACH);
                if in_transactions {
                    for (n, replies) in (1..).zip(replies.chunks(requests.len())) {
                        let exec = replies[requests.len() - 1].items();
                        assert_eq!(exec, [Reply::Int(n), Reply::Int(4), Reply::Int(4)]);
                    }
                } else {
                    assert!(replies.iter().all(|reply| reply.int() == 4));
                }
            });
        }
        let readers: Vec<_> = peers
            .iter_mut()
            .map(|peer| {
                scope.spawn(|| {
                    (0..2 * PUBLISHERS * EACH)
                        .map(|_| {
                            let reply = peer.reply();
                            let text = reply.items()[2].bytes();
                            assert!(text.len() == BYTES || text == b"x");
                            assert!(text.iter().all(|byte| *byte == text[0]), "a message is whole");
                            text[0]
                        })
                        .collect::<Vec<u8>>()
                })
            })
            .collect();
        let heard: Vec<Vec<u8>> =
            readers.into_iter().map(|reader| reader.join().expect("it did not panic")).collect();
        for order in &heard {
            assert!(*order == heard[0], "all hear one order");
        }
        for publisher in 0..PUBLISHERS {
            assert_eq!(heard[0].iter().filter(|first| **first == b'a' + publisher as u8).count(), EACH);
        }
    });
}

pub(crate) fn who_does_not_read_is_closed_within_its_limit_and_harms_nobody(platform: &Platform) {
    let server = start(platform, 2);
    let mut teller = server.peer();
    assert_eq!(
        teller.call(["CONFIG", "SET", "client-output-buffer-limit", "pubsub 1mb 64kb 1"]),
        Reply::ok()
    );
    let shown = teller.call(["CONFIG", "GET", "client-output-buffer-limit"]);
    let expected = "normal 0 0 0 slave 268435456 67108864 60 pubsub 1048576 65536 1";
    assert_eq!(shown.items()[1].text(), expected);
    // Over the hard limit at once.
    let mut deaf = Peer::connect_with_small_window(server.addr());
    deaf.send(&encode(["SUBSCRIBE", "news"]));
    deaf.replies(1);
    let mut reader = listener(&server, "SUBSCRIBE", &["news"]);
    let text = vec![b'x'; 16 << 10];
    let mut told = 0;
    wait::until("the one who does not read is closed", || {
        for _ in 0..50 {
            let count = teller.call([&b"PUBLISH"[..], b"news", &text]).int();
            assert_eq!(reader.reply().items()[2].bytes().len(), text.len(), "the other one gets all");
            told += 1;
            if count == 1 {
                return Some(());
            }
        }
        None
    });
    assert!(told > 40, "{told} messages of 16 KiB are not 1 MiB");
    if platform.product == Product::Modb {
        assert!(server.comes_to_say("client-output-buffer-limit"), "the log tells why");
    }
    // Over the soft limit for a second: nothing more is published meanwhile.
    let mut slow = Peer::connect_with_small_window(server.addr());
    slow.send(&encode(["SUBSCRIBE", "slow"]));
    slow.replies(1);
    let large = vec![b'x'; 900 << 10];
    let unsent = |server: &Server| {
        let list = server.peer().ask("CLIENT LIST TYPE pubsub").text();
        list.lines().count()
    };
    assert_eq!(unsent(&server), 2);
    // What the system's buffers take is not unsent: as often as it takes to be over, but never over the hard limit.
    wait::until("the slow one is closed", || {
        teller.call([&b"PUBLISH"[..], b"slow", &large[..100 << 10]]);
        (unsent(&server) == 1).then_some(())
    });
    exchange(&mut teller, "PUBLISH news x", ":1|");
    expect(&mut reader, "*3|$7|message|$4|news|$1|x|");
}

pub(crate) fn listeners_come_and_go_by_every_way_beside_publishers(platform: &Platform) {
    const ROUNDS: usize = 60;
    let server = start(platform, 4);
    let mut steady = listener(&server, "SUBSCRIBE", &["a"]);
    let over = AtomicBool::new(false);
    let (published, heard) = thread::scope(|scope| {
        let publishers: Vec<_> = (0..2)
            .map(|publisher| {
                let (server, over) = (&server, &over);
                scope.spawn(move || {
                    let (mut peer, mut n) = (server.peer(), 0);
                    while !over.load(Ordering::Acquire) {
                        n += 1;
                        assert!(peer.call(["PUBLISH", "a", &format!("{publisher}:{n}")]).int() >= 1);
                    }
                    n
                })
            })
            .collect();
        let reader = scope.spawn(|| {
            let mut last: HashMap<String, u64> = HashMap::new();
            loop {
                let text = steady.reply().items()[2].text();
                if text == "end" {
                    return last;
                }
                let (who, n) = text.split_once(':').expect("who and a number");
                let (before, n) = (last.get(who).copied().unwrap_or(0), n.parse().expect("a number"));
                assert_eq!(n, before + 1, "nothing is left out");
                last.insert(who.to_owned(), n);
            }
        });
        let end = wait::Over(&over);
        for round in 0..ROUNDS {
            let mut peer = listener(&server, "SUBSCRIBE", &["a", "b"]);
            peer.send(&encode(["PSUBSCRIBE", "a*"]));
            match round % 5 {
                // A reset: there is unread input.
                0 => drop(peer),
                1 => {
                    peer.stream().shutdown(Shutdown::Write).expect("a half-close");
                    peer.read_to_close();
                }
                2 => {
                    peer.send(&encode(["QUIT"]));
                    peer.read_to_close();
                }
                3 => {
                    peer.send(&encode(["UNSUBSCRIBE"]));
                    peer.send(&encode(["PUNSUBSCRIBE"]));
                    peer.send(&encode(["PING", "done"]));
                    while peer.reply() != Reply::bulk("done") {}
                }
                _ => {
                    peer.send(&encode(["RESET"]));
                    while peer.reply() != Reply::Simple(b"RESET".to_vec()) {}
                }
            }
        }
        drop(end);
        let published: Vec<u64> =
            publishers.into_iter().map(|one| one.join().expect("it did not panic")).collect();
        server.peer().call(["PUBLISH", "a", "end"]);
        (published, reader.join().expect("the reader did not panic"))
    });
    for (publisher, count) in published.iter().enumerate() {
        assert_eq!(heard[&publisher.to_string()], *count);
    }
    wait::until("nobody is left but one", || {
        let counts = server.peer().ask("PUBSUB NUMSUB a b");
        let patterns = server.peer().ask("PUBSUB NUMPAT");
        ((counts.items()[1].int(), counts.items()[3].int(), patterns.int()) == (1, 0, 0)).then_some(())
    });
}

pub(crate) fn a_shutdown_ends_those_who_listen(platform: &Platform) {
    let mut server = start(platform, 2);
    let mut peers: Vec<Peer> = (0..4).map(|_| listener(&server, "SUBSCRIBE", &["a"])).collect();
    server.stop();
    for peer in &mut peers {
        assert!(peer.is_closed_within(Duration::from_secs(30)));
    }
}
