//! Clients that wait for what others bring: who is served when, and what is left of those who are not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use modb_tests::peer::encode;
use modb_tests::platform::Product;
use modb_tests::{Launch, Peer, Platform, Reply, Server, wait};

/// Several workers, where there are such.
fn start(platform: &Platform) -> Server {
    launch(platform).start()
}

fn launch(platform: &Platform) -> Launch {
    let launch = Launch::new(platform);
    if platform.product == Product::Modb { launch.with("--workers", "4") } else { launch }
}

fn wait_until_blocked(server: &Server, count: usize) {
    wait::until(&format!("{count} clients wait"), || {
        (server.info("blocked_clients") == count.to_string()).then_some(())
    });
}

/// A client that waits; those who wait on this server are then `count`.
fn waiting(server: &Server, command: &str, count: usize) -> Peer {
    let mut peer = server.peer();
    peer.send(&encode(command.split(' ')));
    wait_until_blocked(server, count);
    peer
}

fn pair(key: &str, element: &str) -> Reply {
    Reply::Array(vec![Reply::bulk(key), Reply::bulk(element)])
}

pub(crate) fn who_came_first_is_served_first_over_all_workers(platform: &Platform) {
    const WAITING: usize = 16;
    let server = start(platform);
    let mut peers: Vec<Peer> =
        (0..WAITING).map(|n| waiting(&server, &format!("BLPOP q other{n} 0"), n + 1)).collect();
    let mut pusher = server.peer();
    // One by one, and several at once.
    for n in 0..WAITING / 2 {
        assert_eq!(pusher.ask(&format!("RPUSH q {n}")), Reply::Int(1));
    }
    let rest: Vec<String> = (WAITING / 2..WAITING + 2).map(|n| n.to_string()).collect();
    assert_eq!(pusher.ask(&format!("RPUSH q {}", rest.join(" "))), Reply::Int(rest.len() as i64));
    for (n, peer) in peers.iter_mut().enumerate() {
        assert_eq!(peer.reply(), pair("q", &n.to_string()));
    }
    assert_eq!(pusher.ask("LLEN q"), Reply::Int(2), "nobody waited for the rest");
    wait_until_blocked(&server, 0);
}

pub(crate) fn chains_and_circles_of_moves_end(platform: &Platform) {
    let server = start(platform);
    let mut peer = server.peer();
    let mut chain = [
        waiting(&server, "BRPOP d 0", 1),
        waiting(&server, "BLMOVE c d LEFT RIGHT 0", 2),
        waiting(&server, "BRPOPLPUSH b c 0", 3),
        waiting(&server, "BLMOVE a b RIGHT LEFT 0", 4),
    ];
    assert_eq!(peer.ask("RPUSH a v"), Reply::Int(1));
    assert_eq!(
        chain.each_mut().map(Peer::reply),
        [pair("d", "v"), Reply::bulk("v"), Reply::bulk("v"), Reply::bulk("v")]
    );
    let mut circle = [
        waiting(&server, "BLMOVE x y LEFT RIGHT 0", 1),
        waiting(&server, "BLMOVE y x LEFT RIGHT 0", 2),
        waiting(&server, "BLMOVE z z LEFT RIGHT 0", 3),
    ];
    assert_eq!(peer.ask("RPUSH x v"), Reply::Int(1));
    assert_eq!(peer.ask("RPUSH z v"), Reply::Int(1));
    assert!(circle.iter_mut().all(|peer| peer.reply() == Reply::bulk("v")));
    assert_eq!(peer.ask("MGET a b c d"), Reply::Array(vec![Reply::NullBulk; 4]));
    assert_eq!(
        ["LRANGE x 0 -1", "LRANGE z 0 -1"].map(|ask| peer.ask(ask)),
        [(); 2].map(|()| Reply::Array(vec![Reply::bulk("v")]))
    );
    // What cannot be moved there stays, and the next one gets it.
    assert_eq!(peer.ask("SET text 1"), Reply::ok());
    let mut refused = waiting(&server, "BLMOVE s text LEFT RIGHT 0", 1);
    let mut next = waiting(&server, "BLPOP s 0", 2);
    assert_eq!(peer.ask("RPUSH s v"), Reply::Int(1));
    assert!(refused.reply().error().is_some_and(|text| text.starts_with("WRONGTYPE")));
    assert_eq!(next.reply(), pair("s", "v"));
    wait_until_blocked(&server, 0);
}

/// As 7.2: who waits for several keys that get something at once takes from the one that he named first.
pub(crate) fn what_was_named_first_is_taken_first(platform: &Platform) {
    let server = start(platform);
    let mut peer = server.peer();
    let mut waiter = waiting(&server, "BLPOP d e 0", 1);
    for command in ["MULTI", "RPUSH e 1", "RPUSH d 2", "EXEC"] {
        peer.ask(command);
    }
    assert_eq!(waiter.reply(), pair("d", "2"));
    // One is served by what another is: `b` has something before the rest of `a` is given away.
    let mut mover = waiting(&server, "BLMOVE a b LEFT LEFT 0", 1);
    let mut waiter = waiting(&server, "BLPOP b a 0", 2);
    assert_eq!(peer.ask("RPUSH a 1 2"), Reply::Int(2));
    assert_eq!((mover.reply(), waiter.reply()), (Reply::bulk("1"), pair("b", "1")));
    assert_eq!(peer.ask("LPOP a"), Reply::bulk("2"));
}

/// Whatever else is held: who waits takes from a list, though a key that he named before has got another type.
pub(crate) fn a_key_that_got_another_type_is_passed_over(platform: &Platform) {
    let server = start(platform);
    let mut peer = server.peer();
    for brings in [&["SET d 1", "RPUSH e v"][..], &["MULTI", "SET d 1", "RPUSH e v", "EXEC"]] {
        let mut waiter = waiting(&server, "BLPOP d e 0", 1);
        brings.iter().for_each(|command| drop(peer.ask(command)));
        assert_eq!(waiter.reply(), pair("e", "v"), "{brings:?}");
        assert!(waiter.ask("BLPOP d e 0").error().is_some_and(|text| text.starts_with("WRONGTYPE")));
        assert_eq!(peer.ask("DEL d"), Reply::Int(1));
    }
}

/// Every command that can bring something.
pub(crate) fn whoever_brings_something_serves(platform: &Platform) {
    let server = start(platform);
    let mut peer = server.peer();
    let lists = [
        ("", "RPUSH w v"),
        ("", "LPUSH w v"),
        ("RPUSH from v", "LMOVE from w LEFT LEFT"),
        ("RPUSH from v", "RPOPLPUSH from w"),
        ("RPUSH from v", "BLMOVE from w LEFT LEFT 0"),
        ("RPUSH from v", "RENAME from w"),
        ("RPUSH from v", "RENAMENX from w"),
        ("RPUSH from v", "COPY from w"),
        ("SELECT 1;RPUSH w v", "MOVE w 0"),
        ("SELECT 1;RPUSH w v", "SWAPDB 0 1"),
    ];
    let sets = [
        ("", "ZADD w 1 v"),
        ("", "ZINCRBY w 1 v"),
        ("ZADD from 1 v", "ZUNIONSTORE w 1 from"),
        ("ZADD from 1 v", "ZINTERSTORE w 1 from"),
        ("ZADD from 1 v", "ZDIFFSTORE w 1 from"),
        ("ZADD from 1 v", "ZRANGESTORE w from 0 -1"),
        ("ZADD from 1 v", "RENAME from w"),
        ("ZADD from 1 v", "COPY from w"),
        ("SELECT 1;ZADD w 1 v", "SWAPDB 0 1"),
    ];
    let lists = lists.map(|case| ("BLPOP", case)).into_iter();
    for (waits, (before, brings)) in lists.chain(sets.map(|case| ("BZPOPMAX", case))) {
        assert_eq!(peer.ask("FLUSHALL"), Reply::ok());
        before.split(';').filter(|command| !command.is_empty()).for_each(|command| drop(peer.ask(command)));
        let mut waiter = waiting(&server, &format!("{waits} w 0"), 1);
        peer.ask(brings);
        let Reply::Array(got) = waiter.reply() else { panic!("{brings}: no element") };
        assert_eq!(got[..2], [Reply::bulk("w"), Reply::bulk("v")], "{brings}");
        assert_eq!(peer.ask("SELECT 0"), Reply::ok());
        assert_eq!(peer.ask("EXISTS w"), Reply::Int(0), "{brings}");
    }
    // Another type, another database, another key.
    let mut waiter = waiting(&server, "BLPOP w 0", 1);
    for stranger in
        ["SET w 1", "DEL w", "ZADD w 1 v", "DEL w", "RPUSH w2 v", "SELECT 1", "RPUSH w v", "SELECT 0"]
    {
        peer.ask(stranger);
    }
    assert_eq!(peer.ask("RPUSH w v"), Reply::Int(1));
    assert_eq!(waiter.reply(), pair("w", "v"));
}

pub(crate) fn who_waits_no_longer_takes_nothing(platform: &Platform) {
    let server = start(platform);
    let mut peer = server.peer();
    let commands = ["BLPOP q 0", "BRPOP other q 0", "BLMOVE q target LEFT LEFT 0", "BLMPOP 0 2 q other LEFT"];
    for command in commands {
        let half_closed = waiting(&server, command, 1);
        half_closed.finish_sending();
        wait_until_blocked(&server, 0);
        waiting(&server, command, 1).reset();
        wait_until_blocked(&server, 0);
        let mut killed = server.peer();
        let id = killed.ask("CLIENT ID").int();
        killed.send(&encode(command.split(' ')));
        wait_until_blocked(&server, 1);
        assert_eq!(peer.ask(&format!("CLIENT KILL ID {id}")), Reply::Int(1));
        wait_until_blocked(&server, 0);
        assert!(killed.read_to_close().is_empty());
        // Two at the end, so that the place of the one in the queue is not the last.
        let mut first = server.peer();
        let id = first.ask("CLIENT ID").int();
        first.send(&encode(command.split(' ')));
        wait_until_blocked(&server, 1);
        let mut second = waiting(&server, command, 2);
        assert_eq!(peer.ask(&format!("CLIENT UNBLOCK {id} ERROR")), Reply::Int(1));
        assert_eq!(peer.ask(&format!("CLIENT UNBLOCK {id}")), Reply::Int(0));
        assert_eq!(first.reply().error().as_deref(), Some("UNBLOCKED client unblocked via CLIENT UNBLOCK"));
        assert_eq!(peer.ask("RPUSH q v"), Reply::Int(1));
        assert!(second.reply() != Reply::NullArray, "the one who waits still");
        wait_until_blocked(&server, 0);
        assert_eq!(peer.ask("RPUSH q v"), Reply::Int(1), "nobody waits");
        assert_eq!(peer.ask("DEL q target"), Reply::Int(if command.starts_with("BLMOVE") { 2 } else { 1 }));
    }
}

pub(crate) fn a_wait_ends_with_its_time_and_what_was_sent_behind_it_runs(platform: &Platform) {
    let server = start(platform);
    let mut peer = server.peer();
    let commands = [
        ("BLPOP q r 0.03", Reply::NullArray),
        ("BRPOPLPUSH q r 0.03", Reply::NullArray),
        ("BZMPOP 0.03 1 q MIN", Reply::NullArray),
        ("WAIT 1 30", Reply::Int(0)),
        ("WAIT 0 0", Reply::Int(0)),
    ];
    for (command, over) in commands {
        let begun = Instant::now();
        peer.send(&[encode(command.split(' ')), encode(["INCR", "n"])].concat());
        assert_eq!(peer.reply(), over, "{command}");
        assert!(begun.elapsed() >= Duration::from_millis(30) || command == "WAIT 0 0", "{command}");
        peer.reply().int();
    }
    assert_eq!(peer.ask("GET n"), Reply::bulk("5"));
    // Behind one that is served, in the same way.
    let mut waiter = server.peer();
    waiter.send(&[encode(["BLPOP", "q", "0"]), encode(["INCR", "n"]), encode(["BLPOP", "q", "0"])].concat());
    wait_until_blocked(&server, 1);
    assert_eq!(peer.ask("RPUSH q a"), Reply::Int(1));
    assert_eq!((waiter.reply(), waiter.reply().int()), (pair("q", "a"), 6));
    wait_until_blocked(&server, 1);
    assert_eq!(peer.ask("RPUSH q b"), Reply::Int(1));
    assert_eq!(waiter.reply(), pair("q", "b"));
    for (wrong, says) in [
        ("BLPOP q -1", "ERR timeout is negative"),
        ("BLPOP q x", "ERR timeout is not a float or out of range"),
        ("WAIT 1 -1", "ERR timeout is negative"),
        ("WAIT 1 1.5", "ERR timeout is not an integer or out of range"),
        ("BLMPOP 0 0 q LEFT", "ERR numkeys should be greater than 0"),
    ] {
        assert_eq!(peer.ask(wrong).error().as_deref(), Some(says), "{wrong}");
    }
}

pub(crate) fn who_waits_is_seen_and_can_be_let_go(platform: &Platform) {
    let server = start(platform);
    let mut waiter = server.peer();
    let id = waiter.ask("CLIENT ID").int();
    waiter.send(&encode(["BLMOVE", "a", "b", "LEFT", "LEFT", "0"]));
    wait_until_blocked(&server, 1);
    let mut peer = server.peer();
    let line = peer.ask(&format!("CLIENT LIST ID {id}"));
    assert!(line.text().contains(" flags=b "), "{line:?}");
    assert_eq!(peer.ask("CLIENT UNBLOCK 999999"), Reply::Int(0));
    let own = peer.ask("CLIENT ID").int();
    assert_eq!(peer.ask(&format!("CLIENT UNBLOCK {own}")), Reply::Int(0), "it does not wait");
    assert_eq!(peer.ask(&format!("CLIENT UNBLOCK {id} TIMEOUT")), Reply::Int(1));
    assert_eq!(waiter.reply(), Reply::NullArray);
    let line = peer.ask(&format!("CLIENT LIST ID {id}"));
    assert!(line.text().contains(" flags=N "), "{line:?}");
    // Who waits for the end of a pause waits for nobody to bring something, and who was served is answered during one.
    waiter.send(&encode(["BLPOP", "q", "0"]));
    wait_until_blocked(&server, 1);
    assert_eq!(peer.ask("CLIENT PAUSE 600000 WRITE"), Reply::ok());
    let mut pusher = server.peer();
    pusher.send(&encode(["RPUSH", "q", "v"]));
    let mut late = server.peer();
    late.send(&encode(["BLPOP", "other", "0.01"]));
    assert!(!waiter.is_answered_within(Duration::from_millis(50)), "nobody may write");
    assert_eq!(peer.ask("CLIENT UNPAUSE"), Reply::ok());
    assert_eq!(
        (pusher.reply(), waiter.reply(), late.reply()),
        (Reply::Int(1), pair("q", "v"), Reply::NullArray)
    );
}

/// Waits of a millisecond beside pushes: whichever comes first, each element is somewhere.
pub(crate) fn nothing_is_lost_between_the_end_of_a_wait_and_what_comes(platform: &Platform) {
    const LOOPS: usize = 1000;
    let server = start(platform);
    let done = AtomicBool::new(false);
    let (mut got, mut missed) = (Vec::new(), 0);
    let pushed = thread::scope(|scope| {
        let pusher = scope.spawn(|| {
            let (mut peer, mut pushed) = (server.peer(), 0);
            while !done.load(Ordering::Relaxed) {
                peer.call(["RPUSH", "q", &pushed.to_string()]).int();
                pushed += 1;
                // Sometimes there is nothing for as long as a wait lasts.
                if pushed % 3 == 0 {
                    thread::sleep(Duration::from_millis(1));
                }
            }
            pushed
        });
        let over = wait::Over(&done);
        let mut peer = server.peer();
        let mut next = |peer: &mut Peer, got: &mut Vec<usize>| match peer.ask("BLPOP q 0.001") {
            Reply::Array(pair) => got.push(pair[1].text().parse().expect("a number was pushed")),
            Reply::NullArray => missed += 1,
            other => panic!("{other:?}"),
        };
        (0..LOOPS).for_each(|_| next(&mut peer, &mut got));
        drop(over);
        pusher.join().expect("the pusher did not panic")
    });
    let mut peer = server.peer();
    while let Reply::Bulk(element) = peer.ask("LPOP q") {
        got.push(String::from_utf8_lossy(&element).parse().expect("a number was pushed"));
    }
    println!("{pushed} pushed, {missed} of {LOOPS} waits ended before");
    assert!(got.iter().copied().eq(0..pushed), "each once, and in order");
    assert_eq!(server.info("blocked_clients"), "0");
    assert_eq!(peer.ask("RPUSH q v"), Reply::Int(1), "nobody waits");
}

pub(crate) fn each_element_comes_once_and_in_order(platform: &Platform) {
    push_and_pop(platform, 400);
}

pub(crate) fn long_each_of_a_million_elements_comes_once_and_in_order(platform: &Platform) {
    push_and_pop(platform, 125_000);
}

/// Lists that come in at one end and go out at the other. `mirrored` is pushed from the left and popped from the right.
const LISTS: [&str; 3] = ["one", "two", "mirrored"];

/// Pushers and poppers over all workers: each element comes to one of them, and of each pusher in its order.
fn push_and_pop(platform: &Platform, each: usize) {
    const SIDES: usize = 8;
    let server = start(platform);
    let left = AtomicUsize::new(SIDES);
    let got = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for popper in 0..SIDES {
            let (server, left, got) = (&server, &left, &got);
            scope.spawn(move || {
                let mine = match popper % 4 {
                    0 => pop_until_the_end(server.peer(), "BLPOP one two end 0"),
                    1 => pop_until_the_end(server.peer(), "BLMPOP 0 3 one two end LEFT COUNT 3"),
                    2 => pop_until_the_end(server.peer(), "BRPOP mirrored end 0"),
                    _ => move_until_the_end(server.peer(), &format!("own{popper}"), left),
                };
                got.lock().expect("nobody panicked").push(mine);
            });
        }
        for pusher in 0..SIDES {
            let (server, left) = (&server, &left);
            scope.spawn(move || {
                push(&mut server.peer(), pusher, each);
                if left.fetch_sub(1, Ordering::AcqRel) == 1 {
                    // One for each, of whom some take three at a time. The lists stand before it.
                    let mut words = vec!["RPUSH".to_owned(), "end".to_owned()];
                    words.extend((0..3 * SIDES).map(|n| n.to_string()));
                    server.peer().call(&words).int();
                }
            });
        }
    });
    let mut seen = vec![false; SIDES * each];
    for mine in got.into_inner().expect("nobody panicked") {
        let mut last: BTreeMap<(String, usize), usize> = BTreeMap::new();
        for (list, element) in mine {
            let (pusher, n) = element.split_once(':').expect("as it was pushed");
            let (pusher, n): (usize, usize) =
                (pusher.parse().expect("a number"), n.parse().expect("a number"));
            assert!(!std::mem::replace(&mut seen[pusher * each + n], true), "{element} came twice");
            let before = last.insert((list, pusher), n);
            assert!(before.is_none_or(|before| before < n), "{n} after {before:?}");
        }
    }
    assert!(seen.into_iter().all(|seen| seen), "each element came");
    assert_eq!(server.info("blocked_clients"), "0");
}

/// Puts the elements of a pusher into all lists in turn: one by one, and at times three as a transaction.
fn push(peer: &mut Peer, pusher: usize, each: usize) {
    let words = |n: usize| {
        let list = (n + pusher) % LISTS.len();
        let command = if LISTS[list] == "mirrored" { "LPUSH" } else { "RPUSH" };
        encode([command, LISTS[list], &format!("{pusher}:{n}")])
    };
    let mut n = 0;
    while n < each {
        if n.is_multiple_of(5) && n + 3 <= each {
            let queued = (n..n + 3).flat_map(words);
            let wire: Vec<u8> = encode(["MULTI"]).into_iter().chain(queued).chain(encode(["EXEC"])).collect();
            peer.send(&wire);
            peer.replies(4);
            assert_eq!(peer.reply().items().len(), 3);
            n += 3;
        } else {
            peer.send(&words(n));
            peer.reply().int();
            n += 1;
        }
    }
}

/// What a command brings until it brings something of `end`: lists and their elements.
fn pop_until_the_end(mut peer: Peer, command: &str) -> Vec<(String, String)> {
    let mut mine = Vec::new();
    loop {
        let Reply::Array(pair) = peer.ask(command) else { panic!("no element") };
        let list = pair[0].text();
        if list == "end" {
            return mine;
        }
        match &pair[1] {
            Reply::Array(elements) => {
                mine.extend(elements.iter().map(|element| (list.clone(), element.text())));
            }
            one => mine.push((list, one.text())),
        }
    }
}

/// As [`pop_until_the_end`], by way of another list, which nobody else knows.
fn move_until_the_end(mut peer: Peer, own: &str, left: &AtomicUsize) -> Vec<(String, String)> {
    let mut mine = Vec::new();
    loop {
        let all_are_pushed = left.load(Ordering::Acquire) == 0;
        match peer.ask(&format!("BLMOVE one {own} LEFT RIGHT 0.05")) {
            Reply::Bulk(element) => {
                assert_eq!(peer.ask(&format!("LPOP {own}")), Reply::bulk(&element));
                mine.push(("one".to_owned(), String::from_utf8_lossy(&element).into_owned()));
            }
            _ if all_are_pushed => return mine,
            _ => {}
        }
    }
}

pub(crate) fn a_thousand_who_wait_cost_no_processor_time(platform: &Platform) {
    crowd(platform, 1000);
}

pub(crate) fn long_ten_thousand_who_wait_cost_no_processor_time(platform: &Platform) {
    crowd(platform, 10_000);
}

/// Fewer in CI, where the process of the tests may have some thousand descriptors only.
fn crowd(platform: &Platform, count: usize) {
    let server = launch(platform).with("--maxclients", "20000").start();
    let mut peers: Vec<Peer> = (0..count)
        .map(|n| {
            let mut peer = server.peer();
            peer.send(&encode(["BLPOP", "q", &format!("other{n}"), "1000"]));
            peer
        })
        .collect();
    wait_until_blocked(&server, count);
    if let Some(rests) = server.rests(Duration::from_secs(2), 5) {
        assert!(rests, "{count} clients that wait keep the server busy");
    }
    let mut pusher = server.peer();
    let words = std::iter::once("RPUSH q".to_owned()).chain((0..count).map(|n| n.to_string()));
    assert_eq!(pusher.ask(&words.collect::<Vec<_>>().join(" ")), Reply::Int(count as i64));
    // They came in no order that is known; each gets one.
    let got: BTreeSet<String> = peers
        .iter_mut()
        .map(|peer| match peer.reply() {
            Reply::Array(pair) => pair[1].text(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(got.len(), count);
    assert_eq!((server.info("blocked_clients"), pusher.ask("EXISTS q")), ("0".to_owned(), Reply::Int(0)));
}

/// In `always`: what somebody was given never comes back, and nothing of which the push was answered is gone.
pub(crate) fn what_was_given_never_comes_back_after_a_kill(platform: &Platform) {
    const ROUNDS: usize = 5;
    const SIDES: usize = 3;
    let mut server = launch(platform).with_durability("always").start();
    let (mut pushed, mut given) = (BTreeSet::new(), BTreeSet::new());
    for round in 0..ROUNDS {
        let taken = AtomicUsize::new(0);
        let addr = server.addr();
        thread::scope(|scope| {
            let poppers: Vec<_> = (0..SIDES)
                .map(|_| {
                    let taken = &taken;
                    scope.spawn(move || {
                        let (mut peer, mut mine) = (Peer::connect(addr), Vec::new());
                        while peer.try_send(&encode(["BLPOP", "q", "0"])).is_ok()
                            && let Ok(Reply::Array(pair)) = peer.try_reply()
                        {
                            mine.push(pair[1].text());
                            taken.fetch_add(1, Ordering::Relaxed);
                        }
                        mine
                    })
                })
                .collect();
            let pushers: Vec<_> = (0..SIDES)
                .map(|side| {
                    scope.spawn(move || {
                        let (mut peer, mut mine) = (Peer::connect(addr), Vec::new());
                        for n in 0.. {
                            let element = format!("{round}:{side}:{n}");
                            let sent = peer.try_send(&encode(["RPUSH", "q", &element]));
                            if sent.is_err() || peer.try_reply().is_err() {
                                break;
                            }
                            mine.push(element);
                        }
                        mine
                    })
                })
                .collect();
            wait::until("some elements were given", || (taken.load(Ordering::Relaxed) >= 50).then_some(()));
            server.kill();
            poppers.into_iter().for_each(|popper| {
                for element in popper.join().expect("the popper did not panic") {
                    assert!(given.insert(element.clone()), "{element} was given twice");
                }
            });
            pushers
                .into_iter()
                .for_each(|pusher| pushed.extend(pusher.join().expect("the pusher did not panic")));
        });
        server = server.launch().clone().start();
        let mut peer = server.peer();
        let Reply::Array(left) = peer.ask("LRANGE q 0 -1") else { panic!("no list") };
        for element in &left {
            assert!(!given.contains(&element.text()), "{element:?} came back after it was given");
        }
        let left: BTreeSet<String> = left.iter().map(|element| element.text()).collect();
        // Each popper may have been given one that it did not hear of.
        let lost =
            pushed.iter().filter(|element| !given.contains(*element) && !left.contains(*element)).count();
        assert!(lost <= SIDES * (round + 1), "{lost} elements are gone");
    }
    println!("{} pushed, {} given over {ROUNDS} kills", pushed.len(), given.len());
}
