//! Publishing and listening by a program, alone and beside clients.

use std::collections::HashSet;

use super::*;
use crate::Durability;

/// The next payloads, which are there already.
fn heard(subscription: &Subscription) -> Vec<String> {
    std::iter::from_fn(|| subscription.try_recv().unwrap())
        .map(|message| message.payload.to_string())
        .collect()
}

/// A line of `INFO`.
fn info(database: &Database, name: &str) -> String {
    let Reply::Bulk(text) = database.client().unwrap().run(["INFO", "everything"]).unwrap() else {
        panic!("no text")
    };
    let text = String::from_utf8(text).unwrap();
    text.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.to_owned())).unwrap()
}

#[test]
fn shard_channels_have_names_of_their_own_for_the_program_as_for_clients() {
    let database = Database::in_memory().unwrap();
    let server = serve(&database);
    let mut peer = Peer::new(&server);
    peer.exchange("SSUBSCRIBE a", "*3|$10|ssubscribe|$1|a|:1|");
    let (shard, channel) = (database.subscribe_sharded(&["a"]).unwrap(), database.subscribe(&["a"]).unwrap());
    let pattern = database.subscribe_matching(&["*"]).unwrap();
    assert_eq!((database.publish_sharded("a", "1").unwrap(), database.publish("a", "2").unwrap()), (2, 2));
    database.update(&["k"], |keys| keys.publish_sharded("a", "3")).unwrap();
    for payload in ["1", "3"] {
        peer.expect(&format!("*3|$8|smessage|$1|a|$1|{payload}|"));
        let message = shard.try_recv().unwrap().unwrap();
        assert!(message.sharded && message.channel == "a" && message.payload == payload, "{message:?}");
    }
    assert!(!channel.try_recv().unwrap().unwrap().sharded);
    assert_eq!([&channel, &pattern].map(heard), [vec![], vec!["2".to_owned()]]);
    shard.unsubscribe_sharded(&["a"]).unwrap();
    assert_eq!(database.publish_sharded("a", "4").unwrap(), 1);
    shard.subscribe_sharded(&["b"]).unwrap();
    Peer::new(&server).exchange("SPUBLISH b 5", ":1|");
    assert_eq!(heard(&shard), ["5"]);
}

#[test]
fn a_subscription_hears_the_program_and_the_clients_of_all_servers_and_is_counted() {
    let database = in_memory();
    let news = database.subscribe(&["news", "news"]).unwrap();
    let all = database.subscribe_matching(&["n*", "*s"]).unwrap();
    assert_eq!(database.publish("news", "1").unwrap(), 3, "without a server");
    let servers = [serve(&database), serve(&database)];
    let [mut one, mut two] = [0, 1].map(|n| Peer::new(&servers[n]));
    two.exchange("SUBSCRIBE news", "*3|$9|subscribe|$4|news|:1|");
    one.exchange("PUBLISH news 2", ":4|");
    two.expect("*3|$7|message|$4|news|$1|2|");
    let mut local = database.client().unwrap();
    assert_eq!(local.run(["PUBLISH", "news", "3"]).unwrap(), Reply::Integer(4));
    assert_eq!(database.publish("no", "4").unwrap(), 1);
    two.expect("*3|$7|message|$4|news|$1|3|");
    assert_eq!(heard(&news), ["1", "2", "3"]);
    assert_eq!(heard(&all), ["1", "1", "2", "2", "3", "3", "4"]);

    one.exchange("PUBSUB NUMSUB news x", "*4|$4|news|:2|$1|x|:0|");
    one.exchange("PUBSUB CHANNELS", "*1|$4|news|");
    one.exchange("PUBSUB NUMPAT", ":2|");
    assert_eq!(info(&database, "pubsub_clients"), "3");
    assert_eq!(info(&database, "pubsub_patterns"), "2");
    drop(all);
    one.exchange("PUBSUB NUMPAT", ":0|");
    news.subscribe(&["more"]).unwrap();
    news.subscribe_matching(&["mor?"]).unwrap();
    one.exchange("PUBLISH more 5", ":2|");
    news.unsubscribe(&["news", "more"]).unwrap();
    news.unsubscribe_matching(&["mor?"]).unwrap();
    one.exchange("PUBLISH more 6", ":0|");
    assert_eq!(info(&database, "pubsub_clients"), "1", "it listens to nothing");
    assert_eq!(heard(&news), ["5", "5"]);
    drop(servers);
    news.subscribe(&["news"]).unwrap();
    assert_eq!(database.publish("news", "7").unwrap(), 1, "the servers have gone");
    assert_eq!(heard(&news), ["7"]);
}

#[test]
fn events_of_keys_and_what_a_closure_publishes_are_heard_once_they_are_committed() {
    let database = with("notify-keyspace-events", "KA");
    let all = database.subscribe_matching(&["*"]).unwrap();
    database.set("k", "1").unwrap();
    let failed = database.update(&["k"], |keys| {
        keys.set("k", "lost")?;
        assert_eq!(keys.publish("c", "lost")?, 1);
        Err::<(), _>(Error::Overflow)
    });
    assert!(matches!(failed, Err(Error::Overflow)));
    assert_eq!(heard(&all), ["set"]);
    database
        .update(&["k", "l"], |keys| {
            keys.publish("c", "first")?;
            keys.list("l")?.push_back("x")?;
            keys.publish("c", "last")?;
            assert!(matches!(all.try_recv(), Err(Error::InsideUpdate)));
            assert!(matches!(all.unsubscribe(&["x"]), Err(Error::InsideUpdate)));
            assert!(matches!(database.publish("c", "x"), Err(Error::InsideUpdate)));
            Ok::<_, Error>(())
        })
        .unwrap();
    assert_eq!(heard(&all), ["first", "rpush", "last"]);
    database.update(&[] as &[&str], |keys| keys.publish("c", "alone")).unwrap();
    assert_eq!(heard(&all), ["alone"]);
    // Dropping one is allowed.
    let drops = |_: &mut Update<'_>| {
        drop(all);
        Ok::<_, Error>(())
    };
    database.update(&["k"], drops).unwrap();
    assert_eq!(info(&database, "pubsub_clients"), "0");
}

#[test]
fn all_hear_all_channels_in_one_order_wherever_they_listen() {
    const EACH: usize = 500;
    let database = in_memory();
    let server = serve(&database);
    let subscriptions = [(); 3].map(|()| database.subscribe_matching(&["c*"]).unwrap());
    let mut peer = Peer::new(&server);
    peer.exchange("PSUBSCRIBE c*", "*3|$10|psubscribe|$2|c*|:1|");
    std::thread::scope(|scope| {
        for publisher in 0..4 {
            let (database, server) = (&database, &server);
            scope.spawn(move || {
                let channel = format!("c{publisher}");
                let mut peer = (publisher % 2 == 0).then(|| Peer::new(server));
                for n in 0..EACH {
                    match &mut peer {
                        Some(peer) => peer.exchange(&format!("PUBLISH {channel} {n}"), ":4|"),
                        None => assert_eq!(database.publish(&channel, n.to_string()).unwrap(), 4),
                    }
                }
            });
        }
        let read = |subscription: &Subscription| -> Vec<Message> {
            subscription.iter().take(4 * EACH).map(Result::unwrap).collect()
        };
        let readers = subscriptions.each_ref().map(|subscription| scope.spawn(move || read(subscription)));
        let [first, second, third] = readers.map(|reader| reader.join().unwrap());
        assert!(first == second && second == third, "one order");
        for Message { channel, payload, .. } in first {
            let (channel_len, len) = (channel.len(), payload.len());
            peer.expect(&format!("*4|$8|pmessage|$2|c*|${channel_len}|{channel}|${len}|{payload}|"));
        }
    });
}

#[test]
fn each_message_is_read_by_one_of_the_threads_that_read() {
    const COUNT: usize = 2000;
    let database = in_memory();
    let jobs = database.subscribe(&["jobs"]).unwrap();
    let heard: Vec<String> = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..4)
            .map(|n| {
                let jobs = &jobs;
                scope.spawn(move || {
                    let receive = || match n % 2 {
                        0 => jobs.recv().unwrap(),
                        _ => jobs.recv_timeout(Duration::MAX).unwrap().unwrap(),
                    };
                    let payloads = std::iter::from_fn(|| Some(receive().payload.to_string()));
                    payloads.take_while(|payload| payload != "end").collect::<Vec<_>>()
                })
            })
            .collect();
        for n in 0..COUNT {
            assert_eq!(database.publish("jobs", n.to_string()).unwrap(), 1);
        }
        for _ in &readers {
            database.publish("jobs", "end").unwrap();
        }
        readers.into_iter().flat_map(|reader| reader.join().unwrap()).collect()
    });
    assert_eq!((heard.len(), heard.into_iter().collect::<HashSet<_>>().len()), (COUNT, COUNT));
}

#[test]
fn one_that_is_not_read_is_cut_off_holds_nobody_up_and_says_so() {
    let database = in_memory();
    let mut local = database.client().unwrap();
    let limit = ["CONFIG", "SET", "client-output-buffer-limit", "pubsub 20kb 0 0"];
    assert_eq!(local.run(limit).unwrap(), Reply::Simple(b"OK".to_vec()));
    let (slow, read) = (database.subscribe(&["c"]).unwrap(), database.subscribe(&["c"]).unwrap());
    let mut receivers = Vec::new();
    for n in 0..1000 {
        receivers.push(database.publish("c", n.to_string()).unwrap());
        assert_eq!(heard(&read), [n.to_string()]);
    }
    assert_eq!((receivers[0], receivers[999]), (2, 1));
    let mut kept = 0;
    let error = slow
        .iter()
        .find_map(|message| {
            assert_eq!(
                message.as_ref().map_or(kept.to_string(), |m| m.payload.to_string()),
                kept.to_string()
            );
            kept += 1;
            message.err()
        })
        .unwrap();
    assert!(matches!(error, Error::CutOff) && (10..500).contains(&kept), "{kept}");
    assert!(matches!(slow.recv_timeout(LONG), Err(Error::CutOff)));
    assert!(matches!(slow.subscribe(&["d"]), Err(Error::CutOff)));
    assert_eq!(database.publish("d", "x").unwrap(), 0);
}

#[test]
fn closing_the_database_ends_those_who_read_and_dropping_a_server_does_not() {
    let database = in_memory();
    drop(serve(&database));
    let subscription = database.subscribe(&["c"]).unwrap();
    let unread = database.subscribe(&["c"]).unwrap();
    database.publish("c", "unread").unwrap();
    assert_eq!(heard(&subscription), ["unread"]);
    std::thread::scope(|scope| {
        let readers = [(); 3].map(|()| scope.spawn(|| subscription.recv_timeout(LONG)));
        while subscription.sleepers() < readers.len() {
            std::thread::yield_now();
        }
        database.close().unwrap();
        for reader in readers {
            assert!(matches!(reader.join().unwrap(), Err(Error::Closed)));
        }
    });
    assert!(matches!(subscription.iter().collect::<Vec<_>>()[..], [Err(Error::Closed)]));
    assert!(matches!(unread.try_recv(), Err(Error::Closed)));
    assert!(matches!(unread.subscribe(&["c"]), Err(Error::Closed)));
    assert!(matches!(database.publish("c", "x"), Err(Error::Closed)));
}

#[test]
fn in_always_nothing_is_heard_before_it_is_safe() {
    const COUNT: u64 = 100;
    let options = Options::temporary().durability(Durability::Always);
    let database = options.set("notify-keyspace-events", "KA").unwrap().open().unwrap();
    let events = database.subscribe(&["__keyspace@0__:k"]).unwrap();
    let settled =
        || database.shared().run(|open| Ok::<_, Error>(open.instance.data.store().settled())).unwrap();
    database.set("k", "0").unwrap();
    events.recv().unwrap();
    let before = settled();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| (0..COUNT).for_each(|n| database.set("k", n.to_string()).unwrap()));
        for n in 1..=COUNT {
            let message = match n % 2 {
                0 => events.recv().unwrap(),
                _ => std::iter::from_fn(|| Some(events.try_recv().unwrap())).flatten().next().unwrap(),
            };
            assert_eq!(message.payload, "set");
            assert!(settled().0 >= before.0 + n, "each set is a commit");
        }
        writer.join().unwrap();
    });
}

#[test]
fn where_a_worker_has_no_room_a_call_of_the_program_waits() {
    let database = with("notify-keyspace-events", "KA");
    let server = serve(&database);
    let mut peer = Peer::new(&server);
    peer.exchange("PSUBSCRIBE *", "*3|$10|psubscribe|$1|*|:1|");
    let heard_here = database.subscribe_matching(&["*"]).unwrap();
    let full = || (0..server.workers()).map(|worker| server.fill_lane(worker)).collect::<Vec<_>>();
    // What is published leaves once there is room.
    let rooms = full();
    std::thread::scope(|scope| {
        let publisher = scope.spawn(|| database.publish("c", "x").unwrap());
        assert_eq!(heard_here.recv_timeout(Duration::from_millis(100)).unwrap(), None);
        assert!(!publisher.is_finished());
        drop(rooms);
        assert_eq!(publisher.join().unwrap(), 2);
    });
    peer.expect("*4|$8|pmessage|$1|*|$1|c|$1|x|");
    assert_eq!(heard_here.recv().unwrap().payload, "x");
    // What a commit tells goes with it, and the call waits behind.
    let calls: [(&str, &(dyn Fn() + Sync)); 2] = [
        ("set", &|| database.set("k", "1").unwrap()),
        ("told", &|| {
            database.update(&["k"], |keys| keys.publish("c", "told")).unwrap();
        }),
    ];
    for (tells, call) in calls {
        let rooms = full();
        std::thread::scope(|scope| {
            let caller = scope.spawn(call);
            assert_eq!(heard_here.recv().unwrap().payload, tells);
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_millis(50) {
                assert!(!caller.is_finished(), "{tells}: it has not waited");
                // It holds nothing meanwhile.
                assert!(
                    database.exists("k").is_ok() && database.client().unwrap().run(["LLEN", "k"]).is_ok()
                );
                std::thread::yield_now();
            }
            drop(rooms);
            caller.join().unwrap();
        });
    }
}

/// So many keys expire, and are removed only once all of them have.
fn expire_together(database: &Database, keys: usize) {
    let data = database.shared.run(|open| Ok::<_, Error>(Arc::clone(&open.instance.data))).unwrap();
    data.leave_expired(true);
    for n in 0..keys {
        database.set_for(n.to_string(), "x", Duration::from_millis(1)).unwrap();
    }
    while database.exists((keys - 1).to_string()).unwrap() {
        std::thread::yield_now();
    }
    data.leave_expired(false);
}

#[test]
fn where_a_worker_has_no_room_the_housekeeper_removes_a_few_keys_and_waits() {
    const KEYS: usize = 1000;
    /// What it removes at once.
    const BATCH: usize = 64;
    let database = with("notify-keyspace-events", "Ex");
    let server = serve(&database);
    let mut peer = Peer::new(&server);
    peer.exchange("PSUBSCRIBE *", "*3|$10|psubscribe|$1|*|:1|");
    let heard_here = database.subscribe_matching(&["*"]).unwrap();
    let rooms: Vec<_> = (0..server.workers()).map(|worker| server.fill_lane(worker)).collect();
    expire_together(&database, KEYS);
    assert!(heard_here.recv().unwrap().channel.ends_with(b":expired"));
    std::thread::sleep(Duration::from_millis(300)); // what is tested: nothing happens meanwhile
    let heard = 1 + heard(&heard_here).len();
    assert!(heard <= BATCH, "{heard} of {KEYS} are told without room");
    assert_eq!(database.get("0").unwrap(), None, "nobody waits for it");
    drop(rooms);
    (heard..KEYS).for_each(|_| drop(heard_here.recv().unwrap()));
}

#[test]
fn who_closes_a_database_does_not_wait_for_room_that_its_housekeeper_waits_for() {
    const KEYS: usize = 200;
    let database = with("notify-keyspace-events", "Ex");
    let server = serve(&database);
    let mut peer = Peer::new(&server);
    peer.exchange("PSUBSCRIBE *", "*3|$10|psubscribe|$1|*|:1|");
    let heard_here = database.subscribe_matching(&["*"]).unwrap();
    let _rooms: Vec<_> = (0..server.workers()).map(|worker| server.fill_lane(worker)).collect();
    expire_together(&database, KEYS);
    assert!(heard_here.recv().unwrap().channel.ends_with(b":expired"));
    database.close().unwrap();
}

#[test]
fn a_call_waits_for_room_also_where_only_those_are_told_who_track_what_it_changes() {
    let database = in_memory();
    let server = serve(&database);
    let mut tracker = Peer::new(&server);
    tracker.send("HELLO 3");
    tracker.skip();
    tracker.exchange("CLIENT TRACKING ON BCAST", "+OK|");
    type Call<'c> = (&'c str, bool, &'c (dyn Fn() + Sync));
    let calls: [Call<'_>; 2] = [
        ("*1|$1|k|", true, &|| database.set("k", "1").unwrap()),
        ("_|", false, &|| database.clear().unwrap()),
    ];
    for (told, is_there, call) in calls {
        let rooms: Vec<_> = (0..server.workers()).map(|worker| server.fill_lane(worker)).collect();
        std::thread::scope(|scope| {
            let caller = scope.spawn(call);
            while database.exists("k").unwrap() != is_there {
                std::thread::yield_now();
            }
            std::thread::sleep(Duration::from_millis(50)); // what is tested: it does not go on
            assert!(!caller.is_finished(), "{told}: it has not waited");
            drop(rooms);
            caller.join().unwrap();
        });
        tracker.expect(&format!(">2|$10|invalidate|{told}"));
    }
}
