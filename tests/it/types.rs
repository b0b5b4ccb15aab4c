//! Types through the programs: what the client shows of them, and what sorting, counting and places answer, also after a kill.

use std::net::SocketAddr;
use std::process::Command;

use modb_tests::tool;
use modb_tests::wait::DEADLINE;
use modb_tests::{Launch, Peer, Platform, binary};

fn client(addr: SocketAddr, args: &[&str]) -> String {
    let mut command: Command = binary::client().command();
    command.args(["-h", &addr.ip().to_string(), "-p", &addr.port().to_string()]).args(args);
    tool::run(&mut command, b"", DEADLINE).success()
}

fn fill(peer: &mut Peer) {
    for line in [
        "RPUSH list 3 1 2",
        "HSET hash f 1 g 2",
        "SADD set 1 2",
        "ZADD sorted 1.5 a inf b",
        "PFADD unique a b c d",
        "PFADD others d e",
        "GEOADD places 13.361389 38.115556 Palermo 15.087269 37.502669 Catania",
        "MSET w1 9 w2 8 w3 7",
    ] {
        let reply = peer.ask(line);
        assert!(reply.error().is_none(), "{line}: {reply:?}");
    }
}

pub(crate) fn nested_replies_are_shown_as_redis_cli_shows_them(platform: &Platform) {
    let server = Launch::new(platform).start();
    fill(&mut server.peer());
    for (protocol, line, shown) in [
        ("-2", "LRANGE list 0 -1", "1) \"3\"\n2) \"1\"\n3) \"2\"\n"),
        ("-2", "ZRANGE sorted 0 -1 WITHSCORES", "1) \"a\"\n2) \"1.5\"\n3) \"b\"\n4) \"inf\"\n"),
        (
            "-3",
            "ZRANGE sorted 0 -1 WITHSCORES",
            "1) 1) \"a\"\n   2) (double) 1.5\n2) 1) \"b\"\n   2) (double) inf\n",
        ),
        ("-3", "HGETALL hash", "1# \"f\" => \"1\"\n2# \"g\" => \"2\"\n"),
        ("-3", "SMEMBERS set", "1~ \"1\"\n2~ \"2\"\n"),
        ("-2", "HSCAN hash 0", "1) \"0\"\n2) 1) \"f\"\n   2) \"1\"\n   3) \"g\"\n   4) \"2\"\n"),
        ("-3", "SMEMBERS none", "(empty set)\n"),
        ("-3", "HGETALL none", "(empty hash)\n"),
        (
            "-2",
            "GEOSEARCH places FROMMEMBER Palermo BYRADIUS 1 km WITHDIST WITHHASH",
            "1) 1) \"Palermo\"\n   2) \"0.0000\"\n   3) (integer) 3479099956230698\n",
        ),
        ("-2", "LMPOP 1 list LEFT COUNT 2", "1) \"list\"\n2) 1) \"3\"\n   2) \"1\"\n"),
        ("-2", "GEOPOS places nowhere", "1) (nil)\n"),
    ] {
        let args: Vec<&str> = ["--no-raw", protocol].into_iter().chain(line.split(' ')).collect();
        assert_eq!(client(server.addr(), &args), shown, "{protocol} {line}");
    }
}

pub(crate) fn the_largest_of_each_type_are_found(platform: &Platform) {
    let server = Launch::new(platform).start();
    fill(&mut server.peer());
    server.peer().ask("RPUSH longer 1 2 3 4");
    let found = client(server.addr(), &["--bigkeys"]);
    for line in [
        "hash             1 keys, 2 fields, 2.0 on average; 2 in the largest, \"hash\"",
        "list             2 keys, 7 elements, 3.5 on average; 4 in the largest, \"longer\"",
        "set              1 keys, 2 members, 2.0 on average; 2 in the largest, \"set\"",
        "zset             2 keys, 4 members, 2.0 on average; 2 in the largest, ",
    ] {
        assert!(found.contains(line), "{found}");
    }
    let found = client(server.addr(), &["--memkeys"]);
    let rated =
        found.lines().filter(|line| line.contains("bytes of memory") && line.contains("in the largest"));
    assert_eq!(rated.count(), 5, "strings, lists, sets, hashes and sorted sets: {found}");
}

pub(crate) fn sorting_counting_and_places_answer_the_same_after_a_kill(platform: &Platform) {
    let mut server = Launch::new(platform).with_durability("always").start();
    fill(&mut server.peer());
    let questions = [
        ("SORT list", "1 2 3"),
        ("SORT list BY w* GET # GET w*", "3 7 2 8 1 9"),
        ("SORT list DESC LIMIT 0 1 STORE highest", "1"),
        ("PFCOUNT unique", "4"),
        ("PFCOUNT unique others", "5"),
        ("GEODIST places Palermo Catania km", "166.2742"),
        ("GEOSEARCH places FROMLONLAT 15 37 BYRADIUS 200 km ASC", "Catania Palermo"),
        ("GEOHASH places Palermo", "sqc8b49rny0"),
        ("TYPE unique", "string"),
        ("MEMORY USAGE none", ""),
    ];
    let ask = |addr: SocketAddr| {
        for (line, expected) in questions {
            let args: Vec<&str> = ["--raw"].into_iter().chain(line.split(' ')).collect();
            let answer = client(addr, &args);
            assert_eq!(answer.split_whitespace().collect::<Vec<_>>().join(" "), expected, "{line}");
        }
        ["hash", "list", "places", "unique"].map(|key| client(addr, &["MEMORY", "USAGE", key]))
    };
    let before = ask(server.addr());
    server = server.kill_and_restart();
    assert_eq!(ask(server.addr()), before, "the memory of each is what it was");
}
