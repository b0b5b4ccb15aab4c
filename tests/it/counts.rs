//! What the server says about its clients and their commands.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use modb_tests::platform::Product;
use modb_tests::wait::{self, DEADLINE};
use modb_tests::{Launch, Peer, Platform, Reply};

/// The lines `name:value` of sections of `INFO`.
fn info(peer: &mut Peer, sections: &str) -> BTreeMap<String, String> {
    let text = peer.ask(&format!("INFO {sections}")).text();
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The number behind `name=` in a line such as `calls=3,usec=5`.
fn number(line: &str, name: &str) -> u64 {
    let value = line.split(',').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    value.unwrap_or_else(|| panic!("no {name} in {line}")).parse().expect("a number")
}

pub(crate) fn commands_are_counted_by_name_and_outcome_and_forgotten_when_asked(platform: &Platform) {
    let server = Launch::new(platform).start();
    // On every worker.
    let mut peers: Vec<Peer> = (0..6).map(|_| server.peer()).collect();
    for peer in &mut peers {
        assert_eq!(peer.ask("SET text x"), Reply::ok());
        assert!(peer.ask("INCR text").error().is_some());
        assert!(peer.ask("GET").error().is_some());
        assert!(peer.ask("CLIENT NOTHING").error().is_some());
        assert!(matches!(peer.ask("CLIENT ID"), Reply::Int(_)));
    }
    let said = info(&mut peers[0], "commandstats errorstats latencystats");
    let of = |name: &str, what: &str| number(&said[&format!("cmdstat_{name}")], what);
    assert_eq!((of("set", "calls"), of("set", "failed_calls"), of("set", "rejected_calls")), (6, 0, 0));
    assert_eq!((of("incr", "calls"), of("incr", "failed_calls")), (6, 6));
    assert_eq!((of("get", "calls"), of("get", "rejected_calls")), (0, 6));
    assert_eq!(of("client|id", "calls"), 6);
    assert_eq!(said["errorstat_ERR"], "count=18");
    assert!(said["latency_percentiles_usec_set"].starts_with("p50="), "{said:?}");
    let histogram = format!("{:?}", peers[0].ask("LATENCY HISTOGRAM set"));
    assert!(histogram.contains("calls") && histogram.contains("histogram_usec"), "{histogram}");

    assert_eq!(peers[0].ask("CONFIG RESETSTAT"), Reply::ok());
    let said = info(&mut peers[1], "commandstats errorstats stats");
    assert!(!said.contains_key("cmdstat_set") && !said.contains_key("errorstat_ERR"), "{said:?}");
    assert!(said["total_net_input_bytes"].parse::<u64>().is_ok_and(|bytes| bytes < 200), "{said:?}");
    // What is counted anew is counted from 0, on the worker that had counted most as on the others.
    for peer in &mut peers {
        assert_eq!(peer.ask("SET text x"), Reply::ok());
    }
    assert_eq!(number(&info(&mut peers[0], "commandstats")["cmdstat_set"], "calls"), 6);
}

pub(crate) fn what_a_transaction_executes_is_counted_and_noted_command_by_command(platform: &Platform) {
    let server = Launch::new(platform).start();
    let mut peer = server.peer();
    let mut ask_all = |lines: &[&str]| lines.iter().for_each(|line| drop(peer.ask(line)));
    ask_all(&["SET text x", "MULTI", "INCR text", "SET other 1", "GET", "DISCARD"]);
    ask_all(&["MULTI", "INCR text", "SET other 1", "EXEC"]);
    // It is not counted where it is queued.
    ask_all(&["MULTI", "INCR text", "DECR text"]);
    let said = info(&mut server.peer(), "commandstats errorstats");
    let of = |name: &str, what: &str| number(&said[&format!("cmdstat_{name}")], what);
    assert_eq!((of("incr", "calls"), of("incr", "failed_calls")), (1, 1), "{said:?}");
    assert_eq!((of("set", "calls"), of("set", "failed_calls")), (2, 0), "{said:?}");
    assert_eq!((of("multi", "calls"), of("exec", "calls"), of("discard", "calls")), (3, 1, 1), "{said:?}");
    assert_eq!((of("get", "calls"), of("get", "rejected_calls")), (0, 1), "{said:?}");
    assert!(!said.contains_key("cmdstat_decr"), "{said:?}");
    assert_eq!(said["errorstat_ERR"], "count=2");

    ask_all(&["DISCARD", "CONFIG SET slowlog-log-slower-than 0", "MULTI", "INCR n", "EXEC"]);
    ask_all(&["CONFIG SET slowlog-log-slower-than -1"]);
    let noted = server.peer().ask("SLOWLOG GET 3");
    let words =
        |entry: &Reply| entry.items()[3].items().iter().map(Reply::text).collect::<Vec<_>>().join(" ");
    let noted: Vec<String> = noted.items().iter().map(words).collect();
    assert_eq!(noted, ["INCR n", "MULTI", "CONFIG SET slowlog-log-slower-than 0"]);
}

/// A number that `INFO` says.
fn told(said: &BTreeMap<String, String>, field: &str) -> u64 {
    said.get(field).unwrap_or_else(|| panic!("no {field}")).parse().expect("a number")
}

pub(crate) fn what_was_asked_and_answered_is_counted(platform: &Platform) {
    const LARGE_BYTES: usize = 100_000;
    let launch = Launch::new(platform).with("--databases", "3");
    let server = launch.start();
    let mut peer = server.peer();
    let large = "x".repeat(LARGE_BYTES);
    assert_eq!(peer.ask("SET text x"), Reply::ok());
    let before = info(&mut peer, "everything");
    assert_eq!(peer.call(["SET", "large", &large]), Reply::ok());
    assert_eq!(peer.ask("GET large"), Reply::bulk(&large));
    peer.ask("MGET text nothing large");
    assert!(peer.ask("INCR text").error().is_some());
    assert!(peer.ask("NOTHING").error().is_some());
    let mut listener = server.peer();
    for channel in ["a", "b"] {
        listener.ask(&format!("SSUBSCRIBE {channel}"));
    }
    let after = info(&mut peer, "everything");
    let grew = |field: &str| told(&after, field) - told(&before, field);
    assert_eq!((grew("keyspace_hits"), grew("keyspace_misses")), (3, 1), "by those who only read");
    assert_eq!(grew("total_error_replies"), 2);
    let sent = LARGE_BYTES as u64;
    assert!(
        (sent..sent + 10_000).contains(&grew("total_net_input_bytes")),
        "{}",
        grew("total_net_input_bytes")
    );
    let replies = 2 * sent..2 * sent + 50_000;
    assert!(replies.contains(&grew("total_net_output_bytes")), "{}", grew("total_net_output_bytes"));
    assert!(grew("total_reads_processed") >= 5 && grew("total_writes_processed") >= 5);
    assert_eq!(told(&after, "pubsubshard_channels"), 2);
    if platform.product == Product::Modb {
        assert_eq!(grew("modb_store_commits"), 1, "one write that was done");
        assert!((sent..2 * sent).contains(&grew("modb_store_dirty_bytes")));
        assert!(told(&after, "modb_store_dirty_bytes") < told(&after, "modb_store_memory_limit_bytes"));
    }
}

/// What the system says from outside, and how the server was started.
pub(crate) fn what_info_says_of_the_process_is_so(platform: &Platform) {
    let launch = Launch::new(platform).with_durability("always");
    let server = launch.start();
    let now_us = || SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_micros() as u64;
    let (began, cpu_before) = (now_us(), server.cpu_time());
    let mut peer = server.peer();
    let said = info(&mut peer, "everything");
    let (ended, cpu_after) = (now_us(), server.cpu_time());
    assert_eq!(told(&said, "tcp_port"), u64::from(server.addr().port()));
    // It is told to the millisecond at which a turn began.
    assert!((began - 100_000..=ended).contains(&told(&said, "server_time_usec")));
    assert!(told(&said, "uptime_in_seconds") < 60 && told(&said, "uptime_in_days") == 0);
    if platform.product == Product::Modb {
        assert_eq!((&said["modb_durability"][..], &said["modb_engine"][..]), ("always", "log"));
        let folder = Path::new(&said["modb_store_folder"]).file_name();
        assert_eq!(folder, server.launch().folder().file_name());
    }
    if let Some((before, after)) = cpu_before.zip(cpu_after) {
        /// What the system counts processor time in.
        const TICK: Duration = Duration::from_millis(20);
        let seconds = |field: &str| said[field].parse::<f64>().expect("a number");
        let used = Duration::from_secs_f64(seconds("used_cpu_sys") + seconds("used_cpu_user"));
        assert!(
            (before.saturating_sub(TICK)..=after + TICK).contains(&used),
            "{before:?} {used:?} {after:?}"
        );
    }
    if let Some(rss) = server.rss_bytes() {
        let used = told(&said, "used_memory_rss");
        assert!((rss / 4 * 3..rss / 3 * 4).contains(&used), "{used} of {rss}");
        assert!(told(&said, "used_memory_peak") >= told(&said, "used_memory"));
        assert!(told(&said, "total_system_memory") > rss);
    }
}

/// By the system's clock, whatever the server reads.
pub(crate) fn what_a_command_took_is_told_as_it_was(platform: &Platform) {
    const SLEEPS: Duration = Duration::from_millis(200);
    let server = Launch::new(platform).with("--enable-debug-command", "yes").start();
    let mut peer = server.peer();
    let asked = Instant::now();
    assert_eq!(peer.ask("DEBUG SLEEP 0.2"), Reply::ok());
    let took = SLEEPS.mul_f64(0.98)..asked.elapsed().mul_f64(1.02);
    let noted = peer.ask("SLOWLOG GET 1").items()[0].items()[2].int() as f64;
    let said = info(&mut peer, "commandstats latencystats");
    let of = |field: &str| {
        let found = said.iter().find_map(|(key, value)| key.starts_with(field).then_some(value));
        found.unwrap_or_else(|| panic!("no {field} in {said:?}"))
    };
    let counted = number(of("cmdstat_debug"), "usec") as f64;
    let median = of("latency_percentiles_usec_debug").split([',', '=']).nth(1);
    let median: f64 = median.expect("it has a name").parse().expect("a number");
    // A bucket of the histogram is an eighth of what is in it.
    for (who, micros, bucket) in
        [("SLOWLOG", noted, 1.0), ("commandstats", counted, 1.0), ("latencystats", median, 1.125)]
    {
        let told = Duration::from_secs_f64(micros / 1e6);
        assert!((took.start..took.end.mul_f64(bucket)).contains(&told), "{who}: {told:?} of {took:?}");
    }
}

/// The clock by which requests are measured is watched before it is used: when the server starts.
pub(crate) fn the_first_request_does_not_wait_for_a_clock(platform: &Platform) {
    const WATCHED_FOR: Duration = Duration::from_micros(500);
    const STARTS: usize = 100;
    // A busy machine may take as long for anything else, but not each time.
    let is_quick = (0..STARTS).any(|_| {
        let server = Launch::new(platform).start();
        let mut peer = server.peer();
        let asked = Instant::now();
        peer.ask("PING");
        asked.elapsed() < WATCHED_FOR
    });
    assert!(is_quick, "each first request of {STARTS} servers took {WATCHED_FOR:?} and more");
}

pub(crate) fn the_rate_is_that_of_the_moment(platform: &Platform) {
    let server = Launch::new(platform).start();
    let mut peer = server.peer();
    let rate =
        |peer: &mut Peer| info(peer, "stats")["instantaneous_ops_per_sec"].parse::<u64>().expect("a number");
    let pipeline = modb_tests::peer::encode(["SET", "key", "value"]).repeat(1000);
    let busy = wait::within(DEADLINE, || {
        peer.send(&pipeline);
        (0..1000).for_each(|_| assert_eq!(peer.reply(), Reply::ok()));
        (rate(&mut peer) >= 1000).then_some(())
    });
    assert!(busy.is_some(), "a thousand commands at a time came to {} in a second", rate(&mut peer));
    let idle = wait::within(DEADLINE, || (rate(&mut peer) < 1000).then_some(()));
    assert!(idle.is_some(), "nothing but INFO came to {} in a second", rate(&mut peer));
}

pub(crate) fn a_killed_client_is_gone_from_the_list_at_once(platform: &Platform) {
    let server = Launch::new(platform).start();
    let mut killer = server.peer();
    for _ in 0..50 {
        let mut victims: Vec<Peer> = (0..4).map(|_| server.peer()).collect();
        let ids: Vec<i64> = victims.iter_mut().map(|victim| victim.ask("CLIENT ID").int()).collect();
        for (victim, id) in victims.iter_mut().zip(&ids) {
            assert_eq!(killer.ask(&format!("CLIENT KILL ID {id}")), Reply::Int(1));
            assert_eq!(killer.ask(&format!("CLIENT LIST ID {id}")).text(), "");
            assert_eq!(killer.ask(&format!("CLIENT KILL ID {id}")), Reply::Int(0));
            assert_eq!(victim.read_to_close(), b"");
        }
    }
}

pub(crate) fn nothing_that_a_killed_client_sends_is_executed(platform: &Platform) {
    let server = Launch::new(platform).start();
    let mut killer = server.peer();
    for round in 0..200 {
        let mut victim = server.peer();
        let id = victim.ask("CLIENT ID").int();
        assert_eq!(killer.ask(&format!("CLIENT KILL ID {id}")), Reply::Int(1));
        // The connection may be closed already, and then this fails.
        let mut stream = victim.stream();
        let _ = stream.write_all(b"SET a 1\r\n");
        let mut answered = Vec::new();
        let _ = stream.read_to_end(&mut answered);
        assert_eq!((answered.as_slice(), killer.ask("DBSIZE")), (&b""[..], Reply::Int(0)), "round {round}");
    }
}
