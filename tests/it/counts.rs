//! What the server says about its clients and their commands.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use modb_tests::peer::encode;
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

/// What is told of what a command took that was called once: its name as `INFO` has it.
struct Took {
    counted: Duration,
    median: Duration,
    noted: Option<Duration>,
}

/// The histogram of times tells them to an eighth.
const BUCKET: f64 = 1.125;

impl Took {
    fn of(peer: &mut Peer, name: &str) -> Self {
        let said = info(peer, "commandstats latencystats");
        let of = |field: &str| said.get(&format!("{field}_{name}")).unwrap_or_else(|| panic!("no {name}"));
        assert_eq!(number(of("cmdstat"), "calls"), 1, "{name}");
        let median = of("latency_percentiles_usec").split([',', '=']).nth(1).expect("it has a name");
        let micros = |micros: f64| Duration::from_secs_f64(micros / 1e6);
        let noted = peer.ask("SLOWLOG GET -1");
        let is_it = |entry: &&Reply| {
            let words: Vec<String> = entry.items()[3].items().iter().map(Reply::text).collect();
            let mut of_name = name.split('|').zip(&words);
            of_name.all(|(name, word)| name.eq_ignore_ascii_case(word))
        };
        Self {
            counted: micros(number(of("cmdstat"), "usec") as f64),
            median: micros(median.parse().expect("a number")),
            noted: noted.items().iter().find(is_it).map(|entry| micros(entry.items()[2].int() as f64)),
        }
    }

    /// Says what is not within these bounds.
    fn complaint(&self, shortest: Duration, longest: Duration) -> Option<String> {
        let noted = self.noted.unwrap_or_default();
        let all = [
            ("SLOWLOG", noted, 1.0),
            ("commandstats", self.counted, 1.0),
            ("latencystats", self.median, BUCKET),
        ];
        let wrong =
            |&&(_, told, bucket): &&(_, Duration, f64)| !(shortest..=longest.mul_f64(bucket)).contains(&told);
        all.iter()
            .find(wrong)
            .map(|(who, told, _)| format!("{who}: {told:?}, not {shortest:?} to {longest:?}"))
    }
}

/// By the system's clock, whatever the server reads.
pub(crate) fn what_a_command_took_is_told_as_it_was(platform: &Platform) {
    const SLEEPS: Duration = Duration::from_millis(200);
    let server = Launch::new(platform).with("--enable-debug-command", "yes").start();
    let mut peer = server.peer();
    // What takes a worker, and what a thread does for it.
    let sleep = match platform.product {
        Product::Modb => "debug|sleep",
        Product::Redis => "debug",
    };
    let mut commands = vec![("DEBUG SLEEP 0.2", sleep)];
    if platform.product == Product::Modb {
        commands.push(("DEBUG HOLD key 200", "debug|hold"));
    }
    for (command, name) in commands {
        let asked = Instant::now();
        assert_eq!(peer.ask(command), Reply::ok());
        let (shortest, longest) = (SLEEPS.mul_f64(0.98), asked.elapsed().mul_f64(1.02));
        assert_eq!(Took::of(&mut peer, name).complaint(shortest, longest), None, "{command}");
    }
}

/// A command's time is that in which it was executed: not its waits for keys that others hold, for a thread, or for what others bring.
pub(crate) fn what_a_command_waited_for_is_no_time_of_its_own(platform: &Platform) {
    const HELD: Duration = Duration::from_millis(300);
    // What may take long is left to one thread, however little it is.
    let server = Launch::new(platform)
        .with("--long-command-us", "0")
        .with("--long-command-threads", "1")
        .with("--enable-debug-command", "local")
        .start();
    let mut asks = server.peer();
    asks.ask("CONFIG SET slowlog-log-slower-than 0 slowlog-max-len 10000");
    asks.ask("RPUSH held a b");
    wait::not_each_time(|| {
        let mut holder = server.peer();
        asks.ask("CONFIG RESETSTAT");
        asks.ask("SLOWLOG RESET");
        holder.send(&encode(["DEBUG", "HOLD", "held", "400"]));
        wait::until("it is held", || (asks.ask("DEBUG HOLDS") == Reply::Int(1)).then_some(()));
        let wait = |line: &'static str| {
            let mut peer = server.peer();
            peer.send(&encode(line.split(' ')));
            (line, peer, Instant::now())
        };
        let waiting = [
            wait("LSET held 0 c"),
            wait("LRANGE held 0 -1"),
            wait("SORT nothing"),
            wait("BLPOP nothing 0.35"),
            wait("BRPOP brought 9"),
            wait("BLMPOP 0.35 1 nothing LEFT COUNT 2"),
            wait("WAIT 1 350"),
        ];
        assert_eq!(holder.reply(), Reply::ok());
        asks.ask("LPUSH brought x");
        for (line, mut peer, since) in waiting {
            let reply = peer.try_reply().unwrap_or_else(|error| panic!("{line}: {error}"));
            assert_eq!(reply.error(), None, "{line}");
            let waited = since.elapsed();
            let name = line.split(' ').next().expect("a name").to_lowercase();
            if waited < HELD {
                return Some(format!("{line} waited {waited:?} only"));
            }
            let complaint = Took::of(&mut asks, &name).complaint(Duration::from_nanos(1), HELD / 3);
            if let Some(complaint) = complaint {
                return Some(format!("{line} waited {waited:?}; {complaint}"));
            }
        }
        // It was a thread that has worked for the one that held.
        let kept = Duration::from_micros(server.info("modb_longest_command_usec").parse().expect("a number"));
        (kept > HELD / 3).then(|| format!("a worker was kept for {kept:?}"))
    });
}

/// What somebody else does for one who waits is time of his command.
pub(crate) fn who_is_served_is_told_what_that_took(platform: &Platform) {
    const ELEMENTS: usize = 20_000;
    let server = Launch::new(platform).start();
    let (mut brings, mut waits) = (server.peer(), server.peer());
    // Nor does the reply take anything.
    waits.send(&encode(["CLIENT", "REPLY", "OFF"]));
    wait::not_each_time(|| {
        brings.ask("CONFIG RESETSTAT");
        let elements = (0..ELEMENTS).map(|n| format!("element:{n}"));
        brings.call(["RPUSH".to_owned(), "list".to_owned()].into_iter().chain(elements));
        waits.send(&encode(["BLMPOP", "0", "1", "queue", "LEFT", "COUNT", &ELEMENTS.to_string()]));
        wait::until("it waits", || (server.info("blocked_clients") == "1").then_some(()));
        assert_eq!(brings.ask("RENAME list queue"), Reply::ok());
        waits.send(&encode(["SET", "over", "1"]));
        wait::until("it goes on", || (brings.ask("DEL over") == Reply::Int(1)).then_some(()));
        assert_eq!(brings.ask("EXISTS queue"), Reply::Int(0));
        let [served, brought] = ["blmpop", "rename"].map(|name| Took::of(&mut brings, name).counted);
        println!("served {served:?}, brought {brought:?}");
        (served < brought / 2).then(|| format!("served in {served:?}, brought in {brought:?}"))
    });
}

/// Nor is it forgotten what he has done before he waits, be it his worker or a thread that does it.
pub(crate) fn who_waits_is_told_what_he_did_before(platform: &Platform) {
    const KEYS: usize = 20_000;
    let server = Launch::new(platform).start();
    let mut peer = server.peer();
    // One, so that it waits in one queue only.
    let keys = || (0..KEYS).map(|_| "key".to_owned());
    let mut looks = || {
        peer.ask("CONFIG RESETSTAT");
        let words = ["LMPOP".to_owned(), KEYS.to_string()].into_iter().chain(keys());
        assert!(peer.call(words.chain(["LEFT".to_owned()])).is_null());
        let words = ["BLMPOP".to_owned(), "0.01".to_owned(), KEYS.to_string()].into_iter().chain(keys());
        assert!(peer.call(words.chain(["LEFT".to_owned()])).is_null());
        let [waits, looks] = ["blmpop", "lmpop"].map(|name| Took::of(&mut peer, name).counted);
        println!("waits {waits:?}, looks {looks:?}");
        (waits < looks / 2).then(|| format!("{waits:?} of who waits, {looks:?} of who only looks"))
    };
    wait::not_each_time(&mut looks);
    assert_eq!(server.peer().ask("CONFIG SET long-command-us 1000000000"), Reply::ok());
    wait::not_each_time(&mut looks);
}

/// The time of a reply, and of queueing, is not that of what comes next in the pipeline.
pub(crate) fn what_comes_next_has_not_taken_the_time_of_what_was_before(platform: &Platform) {
    const LARGE_BYTES: usize = 8 << 20;
    const ROUNDS: usize = 16;
    let server = Launch::new(platform).start();
    let mut peer = server.peer();
    let large = "x".repeat(LARGE_BYTES);
    assert_eq!(peer.call(["SET", "large", &large]), Reply::ok());
    wait::not_each_time(|| {
        peer.ask("CONFIG RESETSTAT");
        for _ in 0..ROUNDS {
            peer.send(&[encode(["GET", "large"]), encode(["PING"])].concat());
            peer.replies(2);
            peer.ask("MULTI");
            peer.send(&[encode(["PUBLISH", "nobody", &large]), encode(["DISCARD"])].concat());
            peer.replies(2);
        }
        let said = info(&mut peer, "commandstats");
        let usec = |name: &str| number(&said[&format!("cmdstat_{name}")], "usec");
        // What copies that much takes as long in each of both places.
        let [copied, ping, discard] = ["get", "ping", "discard"].map(usec);
        println!("GET {copied}, PING {ping}, DISCARD {discard} us");
        (2 * ping.max(discard) > copied).then(|| format!("GET {copied}, PING {ping}, DISCARD {discard} us"))
    });
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
    let pipeline = encode(["SET", "key", "value"]).repeat(1000);
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
