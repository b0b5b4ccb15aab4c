//! What `MULTI` and `EXEC` answer, and what they leave.

use crate::command::testing::{Bench, run};
use crate::command::{Client, CommandError, Registry};

run! {
    what_is_queued_is_executed_in_order {
        "MULTI" => "+OK", "SET a 1" => "+QUEUED", "INCR a" => "+QUEUED", "GET a" => "+QUEUED", "EXEC" => "[+OK :2 2]", "GET a" => "2",
        "EXEC" => "-ERR EXEC without MULTI", "DISCARD" => "-ERR DISCARD without MULTI",
        "MULTI" => "+OK", "MULTI" => "-ERR MULTI calls can not be nested", "WATCH a" => "-ERR WATCH inside MULTI is not allowed",
        "UNWATCH" => "+QUEUED", "EXEC" => "[+OK]", "MULTI" => "+OK", "EXEC" => "[]"
    }
    what_is_discarded_is_not_executed {
        "MULTI" => "+OK", "SET a 1" => "+QUEUED", "DISCARD" => "+OK", "GET a" => "nil", "MULTI" => "+OK", "SET a 1" => "+QUEUED", "RESET" => "+RESET",
        "GET a" => "nil", "EXEC" => "-ERR EXEC without MULTI"
    }
    what_was_refused_when_it_came_spoils_all {
        "MULTI" => "+OK", "SET a 1" => "+QUEUED", "GET" => "-ERR wrong number of arguments for 'get' command",
        "EXEC" => "-EXECABORT Transaction discarded because of previous errors.", "GET a" => "nil",
        "MULTI" => "+OK", "NOPE" => "-ERR unknown command 'NOPE', with args beginning with: ", "DISCARD" => "+OK",
        "MULTI" => "+OK", "SET a 1" => "+QUEUED", "SAVE" => "-ERR Command not allowed inside a transaction",
        "EXEC" => "-EXECABORT Transaction discarded because of previous errors.", "GET a" => "nil",
        "MULTI" => "+OK", "EXEC a" => "-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command",
        "EXEC" => "-ERR EXEC without MULTI", "EXEC a" => "-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command",
        "MULTI" => "+OK", "DISCARD x" => "-ERR wrong number of arguments for 'discard' command", "EXEC" => "-EXECABORT Transaction discarded because of previous errors."
    }
    what_fails_when_it_is_executed_leaves_the_others_alone {
        "SET s x" => "+OK", "MULTI" => "+OK", "INCR s" => "+QUEUED", "LPUSH s 1" => "+QUEUED", "SET t 1" => "+QUEUED", "EXEC" =>
            "[-ERR value is not an integer or out of range -WRONGTYPE Operation against a key holding the wrong kind of value +OK]",
        "GET t" => "1"
    }
    whole_databases_are_seen_as_they_are_within {
        "MSET a 1 b 2" => "+OK", "MULTI" => "+OK", "DEL a" => "+QUEUED", "SET c 3 PX 100000" => "+QUEUED", "DBSIZE" => "+QUEUED", "KEYS [ac]" => "+QUEUED", "SCAN 0 COUNT 100 MATCH c" => "+QUEUED",
        "FLUSHDB" => "+QUEUED", "RANDOMKEY" => "+QUEUED", "SET d 4" => "+QUEUED", "RANDOMKEY" => "+QUEUED", "SWAPDB 0 1" => "+QUEUED", "DBSIZE" => "+QUEUED", "SELECT 1" => "+QUEUED",
        "GET d" => "+QUEUED", "PEXPIRE d -1" => "+QUEUED", "DBSIZE" => "+QUEUED", "SET e 5" => "+QUEUED",
        "EXEC" => "[:1 +OK :2 [c] [0 [c]] +OK nil +OK d +OK :0 +OK 4 :1 :0 +OK]", "DBSIZE" => ":1", "GET e" => "5", "SELECT 0" => "+OK", "DBSIZE" => ":0"
    }
    watched_keys {
        "WATCH a b" => "+OK", "SET c 1" => "+OK", "MULTI" => "+OK", "GET c" => "+QUEUED", "EXEC" => "[1]",
        "WATCH a" => "+OK", "SET a 1" => "+OK", "MULTI" => "+OK", "GET a" => "+QUEUED", "EXEC" => "nil", "MULTI" => "+OK", "GET a" => "+QUEUED", "EXEC" => "[1]",
        "WATCH a" => "+OK", "SET a 1" => "+OK", "UNWATCH" => "+OK", "MULTI" => "+OK", "EXEC" => "[]",
        "WATCH none" => "+OK", "DEL none" => ":0", "MULTI" => "+OK", "EXEC" => "[]",
        "WATCH a" => "+OK", "SET a 2" => "+OK", "MULTI" => "+OK", "DISCARD" => "+OK", "MULTI" => "+OK", "EXEC" => "[]",
        "WATCH a" => "+OK", "EXEC" => "-ERR EXEC without MULTI", "SET a 3" => "+OK", "MULTI" => "+OK", "EXEC" => "nil",
        "WATCH a" => "+OK", "EXEC x" => "-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command", "SET a 3" => "+OK", "MULTI" => "+OK", "EXEC" => "[]",
        "WATCH a" => "+OK", "SELECT 1" => "+OK", "SET a 1" => "+OK", "MULTI" => "+OK", "EXEC" => "[]",
        "WATCH a" => "+OK", "SWAPDB 0 1" => "+OK", "MULTI" => "+OK", "EXEC" => "nil", "WATCH a" => "+OK", "FLUSHALL" => "+OK", "MULTI" => "+OK", "EXEC" => "nil",
        "WATCH a" => "+OK", "FLUSHALL" => "+OK", "MULTI" => "+OK", "EXEC" => "[]",
        "WATCH a" => "+OK", "SET a 1" => "+OK", "MULTI" => "+OK", "NOPE" => "-ERR unknown command 'NOPE', with args beginning with: ", "EXEC" => "-EXECABORT Transaction discarded because of previous errors."
    }
}

#[test]
fn a_key_that_expires_while_it_is_watched_breaks_the_transaction_and_one_that_had_expired_does_not() {
    let bench = Bench::new();
    let later = |ms: u64| bench.now_ms.set(bench.now_ms.get() + ms);
    bench.text("SET a 1 PX 100");
    bench.text("WATCH a");
    bench.text("MULTI");
    later(100);
    assert_eq!(bench.text("EXEC"), "nil", "though it was not removed yet");
    bench.text("SET a 1 PX 100");
    later(100);
    bench.text("WATCH a");
    let tally = crate::data::Tally::default();
    while bench.instance.data.remove_expired(bench.now_ms.get(), 16, &tally).unwrap() {}
    bench.text("MULTI");
    assert_eq!(bench.text("EXEC"), "[]", "it had expired");
}

#[test]
fn the_clock_stands_still_within() {
    let bench = Bench::new();
    for line in ["MULTI", "TIME", "SET a 1 PX 1", "PTTL a", "GET a", "TIME"] {
        bench.text(line);
    }
    let reply = bench.text("EXEC");
    assert!(reply.contains(" +OK :1 1 "), "{reply}");
}

#[test]
fn what_a_client_changes_of_itself_within_holds_after_it() {
    let bench = Bench::new();
    for line in ["MULTI", "CLIENT SETNAME me", "SELECT 3", "SET a 1", "GET b", "HELLO 3", "GET b"] {
        bench.text(line);
    }
    // The first null is one of RESP2 and the second one of RESP3, as in Redis.
    assert!(bench.text("EXEC").starts_with("[+OK +OK +OK nil {"));
    assert_eq!((bench.text("CLIENT GETNAME"), bench.text("GET a")), ("me".into(), "1".into()));
    bench.text("HELLO 2");
    let info = bench.text("CLIENT INFO");
    assert!(info.contains(" db=3 ") && info.contains(" name=me "), "{info}");
}

#[test]
fn others_see_how_much_is_queued() {
    let bench = Bench::new();
    assert!(
        bench.text("CLIENT INFO").contains(" flags=N ") && bench.text("CLIENT INFO").contains(" multi=-1 ")
    );
    bench.text("MULTI");
    bench.text("CLIENT INFO");
    bench.text("PING");
    let reply = bench.text("EXEC");
    assert!(reply.contains(" flags=x ") && reply.contains(" multi=2 "), "{reply}");
    assert!(bench.text("CLIENT INFO").contains(" multi=-1 "));
}

#[test]
fn ten_thousand_commands_are_one() {
    let bench = Bench::new();
    bench.text("MULTI");
    for n in 0..10_000 {
        assert_eq!(bench.text(&format!("SET key:{} {n}", n % 5000)), "+QUEUED");
    }
    let commits = bench.instance.data.store().committed();
    assert_eq!(bench.text("EXEC").len(), "[]".len() + 10_000 * "+OK ".len() - 1);
    assert_eq!(bench.instance.data.store().committed().0, commits.0 + 1, "one batch");
    assert_eq!((bench.text("DBSIZE"), bench.text("GET key:0")), (":5000".into(), "5000".into()));
}

#[test]
fn of_a_run_that_is_given_up_nothing_is_seen() {
    let bench = Bench::new();
    bench.text(&format!("SET large {}", "x".repeat(40_000)));
    bench.text("WATCH watched");
    for line in [
        "MULTI",
        "INCR n",
        "SELECT 2",
        "CLIENT SETNAME me",
        "HELLO 3",
        "CONFIG SET slowlog-max-len 7",
        "SELECT 0",
    ] {
        bench.text(line);
    }
    for line in ["GET large", "GET large", "UNWATCH", "CLIENT KILL ID 99", "SELECT 5"] {
        bench.text(line);
    }
    bench.is_short.set(true);
    for _ in 0..2 {
        assert_eq!(bench.text("EXEC"), "-ERR no memory for the reply now");
        bench.instance.settings.set("slowlog-max-len", "9").unwrap();
    }
    bench.is_short.set(false);
    let reply = bench.text("EXEC");
    assert!(reply.starts_with("[:1 +OK +OK {") && reply.ends_with(" +OK :0 +OK]"), "{}", &reply[..40]);
    assert_eq!(
        bench.instance.settings.get("slowlog-max-len"),
        "9",
        "what acts outside of the data is done once"
    );
    assert_eq!(
        (bench.text("GET n"), bench.text("SELECT 0"), bench.text("GET n")),
        ("nil".into(), "+OK".into(), "1".into())
    );
}

#[test]
fn of_a_run_that_is_given_up_the_watches_stay() {
    let bench = Bench::new();
    bench.text(&format!("SET large {}", "x".repeat(40_000)));
    for line in [
        "CLIENT SETNAME before",
        "WATCH watched",
        "MULTI",
        "CLIENT SETNAME within",
        "UNWATCH",
        "GET large",
        "GET large",
        "SELECT 3",
    ] {
        bench.text(line);
    }
    bench.is_short.set(true);
    assert_eq!(bench.text("EXEC"), "-ERR no memory for the reply now");
    let mut buf = Vec::new();
    let (data, tally) = (&bench.instance.data, crate::data::Tally::default());
    let held = data.hold_sleeping(data.need_one(b"watched"));
    let mut tx = crate::data::Tx::new(data, &held, &tally, &mut buf, bench.now_ms.get());
    tx.set(0, b"watched", b"by another", None).unwrap();
    tx.commit().unwrap();
    held.end();
    assert_eq!(bench.text("EXEC"), "nil");
    let info = bench.text("CLIENT INFO");
    assert!(info.contains(" db=0 ") && info.contains(" name=before "), "{info}");
}

#[test]
fn what_cannot_be_written_leaves_the_client_as_it_was() {
    let mut client = Client::new(Registry::default().add(None, 0), true);
    client.select(1);
    client.begin_transaction();
    let queue = client.take_queue().unwrap();
    client.select(2);
    client.put_back(queue);
    let mut reply = Err(CommandError::Text("MISCONF the disk is full".into()));
    super::has_run(&mut client, &mut reply);
    let text = reply.unwrap_err().text().into_owned();
    assert_eq!(text, b"EXECABORT Transaction discarded because of: MISCONF the disk is full");
    assert!(client.database == 1 && !client.is_in_multi() && client.rare().is_none());
}

#[test]
fn a_command_that_fails_half_way_leaves_nothing_of_itself_to_those_behind_it() {
    let bench = Bench::new();
    bench.text("MULTI");
    let too_long = "k".repeat(65_510);
    assert_eq!(bench.text(&format!("MSET a 1 {too_long} 2")), "+QUEUED");
    ["GET a", "DBSIZE", "SET b 1"].iter().for_each(|line| assert_eq!(bench.text(line), "+QUEUED"));
    assert_eq!(bench.text("EXEC"), "[-ERR key is longer than 65500 bytes nil :0 +OK]");
    assert_eq!((bench.text("GET a"), bench.text("DBSIZE")), ("nil".into(), ":1".into()));
}

#[test]
fn a_transaction_whose_words_alone_take_long_is_left_to_a_thread() {
    let bench = Bench::new();
    let exec = |incrs: u64| {
        bench.text("MULTI");
        (0..incrs).for_each(|_| drop(bench.text("INCR n")));
        bench.is_left_to_a_thread("EXEC")
    };
    assert!(!exec(3));
    assert_eq!(bench.text("GET n"), "3", "it was executed");
    bench.text("CONFIG SET long-command-us 10");
    assert!(!exec(2));
    assert!(exec(20));
    bench.text("DISCARD");
    assert_eq!(bench.text("GET n"), "5", "nothing was done of it");
}

#[test]
fn the_stripes_of_all_that_is_queued_and_watched_are_held() {
    let bench = Bench::new();
    let data = &bench.instance.data;
    let keys = |keys: &[&str]| data.need_many(keys.iter().map(|key| key.as_bytes())).to_list();
    let needed = || bench.with_client(|client| client.needs_to_execute().to_list());
    bench.text("WATCH w1 w2");
    bench.text("MULTI");
    for line in ["GET a", "MSET b 1 c 2", "SINTERCARD 2 d e LIMIT 3", "PING", "RENAME f g", "SELECT 1"] {
        bench.text(line);
    }
    assert_eq!(needed(), keys(&["a", "b", "c", "d", "e", "f", "g", "w1", "w2"]));
    bench.text("DBSIZE");
    assert_eq!(needed().len(), 1024, "how many keys there are follows from every key");
    bench.text("DISCARD");
    bench.text("MULTI");
    bench.text("GET a");
    assert_eq!(needed(), keys(&["a"]), "nothing is watched any more");
    bench.text("SORT a BY weight:*");
    assert_eq!(needed().len(), 1024, "its elements say which keys it reads");
}

#[test]
fn a_run_in_vain_counts_nothing() {
    let bench = Bench::new();
    let counted = || {
        let tally = &bench.tally;
        [&tally.hits, &tally.misses, &tally.errors].map(crate::data::Total::get)
    };
    // More is not copied by who serves others, which shows when it is.
    bench.text("SETRANGE large 20971520 x");
    bench.text("SET text x");
    let execute = "EXEC";
    for words in ["MULTI", "GET text", "GET none", "INCR text", "GETEX large EX 100"] {
        bench.text(words);
    }
    assert!(bench.is_left_to_a_thread(execute));
    assert_eq!(counted(), [0, 0, 0]);
    bench.text(execute);
    assert_eq!(counted(), [2, 1, 1]);
    // It needs every stripe, which shows once it knows the elements.
    bench.text("RPUSH list 1 2");
    bench.text("SORT list BY weight_*");
    assert_eq!(counted(), [3, 3, 1]);
    // There is no room for its reply.
    bench.is_short.set(true);
    bench.run("GET large");
    bench.is_short.set(false);
    assert_eq!(counted(), [3, 3, 1]);
    // What fails is over.
    bench.text("HGET text field");
    assert_eq!(counted(), [4, 3, 2]);
}
