//! The client library against a real server: transactions, and subscriptions that end when they are meant to.

use std::thread;

use modb_client::{Client, Config, Connection, Error, Pipeline, Protocol, Subscriber, Value};
use modb_tests::{Launch, Peer, Platform, Reply, Server, wait};

fn config(server: &Server) -> Config {
    Config::new(server.addr().ip().to_string(), server.addr().port())
}

fn open(server: &Server) -> Connection {
    Connection::open(&config(server)).expect("the server takes it")
}

pub(crate) fn the_library_has_requests_executed_as_one(platform: &Platform) {
    let server = Launch::new(platform).start();
    let mut connection = open(&server);
    let mut pipeline = Pipeline::new();
    pipeline.push(["SET", "a", "x"]).push(["INCR", "a"]).push(["APPEND", "a", "y"]);
    let replies = connection.run_atomic(&pipeline).expect("it is executed");
    assert_eq!(replies[0], Ok(Value::Simple(b"OK".to_vec())));
    assert!(replies[1].as_ref().is_err_and(|error| error.code() == "ERR"), "{replies:?}");
    assert_eq!(replies[2], Ok(Value::Integer(2)), "what is behind a failed one is done");
    assert_eq!(connection.run_atomic(&Pipeline::new()).expect("it is executed"), []);
    // What is not taken says why, and nothing is done.
    pipeline.push(["NOPE"]);
    let refused = connection.run_atomic(&pipeline).expect_err("there is no such command");
    assert!(
        matches!(&refused, Error::Server(error) if error.message().contains("unknown command")),
        "{refused}"
    );
    assert_eq!(connection.call::<String>(["GET", "a"]).expect("it goes on"), "xy");
}

pub(crate) fn a_transaction_of_the_library_begins_anew_until_nobody_interferes(platform: &Platform) {
    const THREADS: usize = 4;
    const EACH: usize = 100;
    let server = Launch::new(platform).start();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            let mut client = Client::connect(config(&server)).expect("the server takes it");
            scope.spawn(move || {
                for _ in 0..EACH {
                    let increment = |connection: &mut Connection, then: &mut Pipeline| {
                        let count: Option<i64> = connection.call(["GET", "count"])?;
                        then.push(["SET", "count", &(count.unwrap_or(0) + 1).to_string()]);
                        Ok::<_, Error>(())
                    };
                    client.transaction(["count"], increment).expect("the server answers");
                }
            });
        }
    });
    assert_eq!(server.peer().ask("GET count"), Reply::bulk((THREADS * EACH).to_string()));

    let (mut connection, mut other) = (open(&server), server.peer());
    let mut attempts = 0;
    let replies = connection.transaction(["a", "b"], |_, then| {
        attempts += 1;
        if attempts == 1 {
            assert_eq!(other.ask("SET b theirs"), Reply::ok());
        }
        then.push(["SET", "a", &attempts.to_string()]);
        Ok::<_, Error>(())
    });
    assert_eq!((replies.expect("it is executed").len(), attempts), (1, 2));
    assert_eq!(other.ask("GET a"), Reply::bulk("2"));
    // One that is given up does nothing, and watches nothing any more.
    let given_up = connection.transaction(["a"], |connection, then| {
        then.push(["DEL", "a"]);
        connection.call::<i64>(["INCR", "b"]).map(drop)
    });
    assert!(matches!(given_up, Err(Error::Server(_))));
    assert_eq!(other.ask("SET a theirs"), Reply::ok());
    let mut pipeline = Pipeline::new();
    pipeline.push(["GET", "a"]);
    let replies = connection.run_atomic(&pipeline).expect("nothing breaks it");
    assert_eq!(replies, [Ok(Value::Bulk(b"theirs".to_vec()))]);
}

pub(crate) fn a_subscription_of_the_library_ends_without_an_error_where_it_is_meant_to(platform: &Platform) {
    let mut server = Launch::new(platform).start();
    let mut teller = server.peer();
    let payloads = |subscriber: &mut Subscriber| -> Vec<String> {
        let text = |message: modb_client::Result<modb_client::Message>| match message {
            Ok(message) => String::from_utf8_lossy(&message.payload).into_owned(),
            Err(error) => format!("{error:?}"),
        };
        subscriber.messages().map(text).collect()
    };
    let subscribers = [(); 3].map(|()| {
        let mut subscriber = Subscriber::open(&config(&server)).expect("the server takes it");
        subscriber.subscribe_patterns(["n*"]).expect("it is sent");
        subscriber.subscribe(["news"]).expect("it is sent");
        subscriber
    });
    wait::until("all listen", || {
        (teller.ask("PUBSUB NUMSUB news").items()[1] == Reply::Int(3)).then_some(())
    });
    let [mut leaves, mut ended, mut loses] = subscribers;
    assert_eq!(teller.ask("PUBLISH news 1"), Reply::Int(6));
    // Who leaves everything hears what came before, and the end.
    leaves.unsubscribe([]).expect("it is sent");
    leaves.unsubscribe_patterns(["n*"]).expect("it is sent");
    assert_eq!(payloads(&mut leaves), ["1", "1"]);
    let closer = ended.closer().expect("the system has a descriptor");
    let heard = thread::scope(|scope| {
        let reader = scope.spawn(|| payloads(&mut ended));
        closer.close();
        reader.join().expect("it does not panic")
    });
    assert!(heard.iter().all(|payload| payload == "1"), "{heard:?}");
    drop(teller);
    server.kill();
    let heard = payloads(&mut loses);
    assert_eq!(heard[..2], ["1", "1"]);
    assert_eq!(heard.len(), 3, "a server that goes is an error: {heard:?}");
}

pub(crate) fn a_subscription_of_the_library_hears_shard_channels_beside_others(platform: &Platform) {
    let server = Launch::new(platform).start();
    let mut teller = server.peer();
    for protocol in [Protocol::Resp2, Protocol::Resp3] {
        let mut config = config(&server);
        config.protocol = protocol;
        let mut subscriber = Subscriber::open(&config).expect("the server takes it");
        subscriber.subscribe_sharded(["a", "b"]).expect("it is sent");
        subscriber.subscribe(["a"]).expect("it is sent");
        subscriber.subscribe_patterns(["*"]).expect("it is sent");
        listened_to(&mut teller, 1, 1, 1);
        assert_eq!(teller.ask("SPUBLISH a 1"), Reply::Int(1));
        assert_eq!(teller.ask("PUBLISH a 2"), Reply::Int(2));
        assert_eq!(teller.ask("SPUBLISH b 3"), Reply::Int(1));
        let messages = subscriber.messages().take(4).map(line);
        assert_eq!(
            Vec::from_iter(messages),
            ["shard a 1", "channel a 2", "* a 2", "shard b 3"],
            "{protocol:?}"
        );
        // Whichever are left, it goes on while any are.
        subscriber.unsubscribe([]).expect("it is sent");
        subscriber.unsubscribe_patterns([]).expect("it is sent");
        listened_to(&mut teller, 0, 0, 1);
        assert_eq!(teller.ask("SPUBLISH a 4"), Reply::Int(1));
        subscriber.subscribe(["a"]).expect("it is sent");
        subscriber.unsubscribe_sharded(["a"]).expect("it is sent");
        subscriber.unsubscribe_sharded([]).expect("it is sent");
        listened_to(&mut teller, 1, 0, 0);
        assert_eq!(teller.ask("PUBLISH a 5"), Reply::Int(1));
        subscriber.unsubscribe(["a"]).expect("it is sent");
        let messages = subscriber.messages().map(line);
        assert_eq!(Vec::from_iter(messages), ["shard a 4", "channel a 5"], "{protocol:?}");
    }
}

/// Waits until so many listen to the channel `a`, through patterns and to the shard channel `a`.
fn listened_to(teller: &mut Peer, channel: i64, patterns: i64, shard: i64) {
    wait::until("the server knows what is listened to", || {
        let mut is = |question: &str, count| teller.ask(question).items()[1] == Reply::Int(count);
        let named = is("PUBSUB NUMSUB a", channel) && is("PUBSUB SHARDNUMSUB a", shard);
        (named && teller.ask("PUBSUB NUMPAT") == Reply::Int(patterns)).then_some(())
    });
}

fn line(message: modb_client::Result<modb_client::Message>) -> String {
    let modb_client::Message { pattern, channel, payload, sharded, .. } = message.expect("nothing is lost");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let through = pattern.map_or(if sharded { "shard".into() } else { "channel".into() }, |name| text(&name));
    format!("{through} {} {}", text(&channel), text(&payload))
}
