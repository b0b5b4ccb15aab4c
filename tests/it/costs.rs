//! What commands cost grows with the number of keys as the table of commands says, and no worse: what the server reads of
//! ranges for each, counted by itself, at two sizes and in every state that the store can be in.

use modb_tests::peer::encode;
use modb_tests::random::Random;
use modb_tests::{Launch, Peer, Platform, Reply, skip, sys, wait};

const FEW: usize = 100;
const MANY: usize = 64_000;
/// Enough for the bound of what a page passes of deleted keys.
const FEW_DELETED: usize = 2_000;
/// How much worse than it should a cost may be: where a page begins and how many runs there are is chance. What grows with
/// the keys grows 32 and 640 times here.
const DOUBT: f64 = 8.0;
/// What a request may read whatever its cost: it looks into each run, and begins a page.
const BEGINNING: f64 = 64.0;

/// A request whose cost is looked at, and how often a round makes it.
const REQUESTS: &[(&str, usize)] = &[
    ("SCAN 0 COUNT 10", 50),
    ("SCAN 4503599627370496 COUNT 10", 50),
    ("SCAN 0 COUNT 100", 10),
    // Where few keys are left, the first has to find one, once around at most; the others know it then.
    ("RANDOMKEY", 500),
    ("DBSIZE", 50),
    ("GET k1", 50),
    ("EXISTS nothing", 50),
    ("KEYS nothing*", 1),
];

/// What is done to the keys before it is measured.
#[derive(Clone, Copy, Debug)]
enum State {
    /// They were just written.
    Fresh,
    /// They are in table files.
    Compacted,
    /// And all but a few were just deleted.
    Deleted,
    /// The deletions are in table files too.
    Restarted,
}

pub(crate) fn costs_grow_as_the_table_of_commands_says(platform: &Platform) {
    let [few, few_deleted, many] = [FEW, FEW_DELETED, MANY].map(|keys| measure(platform, keys));
    let few = few.into_iter().filter(|cost| matches!(cost.state, State::Fresh | State::Compacted));
    let few_deleted =
        few_deleted.into_iter().filter(|cost| matches!(cost.state, State::Deleted | State::Restarted));
    let costs: Vec<_> = few.chain(few_deleted).zip(&many).collect();
    for (few, many) in &costs {
        let allowed = if few.linear { (MANY / few.keys) as f64 * DOUBT } else { DOUBT };
        let said = format!(
            "{:?} {}: {:.1} reads with {} keys, {:.1} with {MANY}",
            few.state, few.request, few.reads, few.keys, many.reads
        );
        println!("{said}");
        assert!(many.reads <= allowed * few.reads.max(BEGINNING), "worse than the table says: {said}");
    }
    // What is not counted cannot be too much.
    let walks = |request: &str| request.starts_with("SCAN") || request.starts_with("KEYS");
    assert!(costs.iter().all(|(_, many)| !walks(many.request) || many.reads >= 1.0), "walks are counted");
}

struct Cost {
    keys: usize,
    state: State,
    request: &'static str,
    /// The table says that it grows with the keys.
    linear: bool,
    /// What one of them reads.
    reads: f64,
}

fn measure(platform: &Platform, keys: usize) -> Vec<Cost> {
    let mut server = Launch::new(platform).start();
    let mut costs = Vec::new();
    for state in [State::Fresh, State::Compacted, State::Deleted, State::Restarted] {
        match state {
            State::Fresh => pipeline(&mut server.peer(), (0..keys).map(|n| format!("SET k{n} {n}"))),
            State::Compacted => compact(&mut server.peer()),
            State::Deleted => pipeline(&mut server.peer(), (3..keys).map(|n| format!("DEL k{n}"))),
            State::Restarted => {
                server = server.restart();
            }
        }
        let mut peer = server.peer();
        for (request, times) in REQUESTS {
            let wire = encode(request.split(' ')).repeat(*times);
            let before = range_reads(&mut peer);
            peer.send(&wire);
            for reply in peer.replies(*times) {
                assert_eq!(reply.error(), None, "{request}");
            }
            let reads = (range_reads(&mut peer) - before) as f64 / *times as f64;
            costs.push(Cost { keys, state, request, linear: is_linear(&mut peer, request), reads });
        }
    }
    costs
}

/// Keys of which each large value has some hundreds beside it on the disk.
const SMALL_KEYS: usize = 4_000;
const LARGE_KEYS: usize = 4;
/// What a small record that is not in memory may cost, in bytes that are read: a block, an index and a filter.
const COLD_READ_BYTES: u64 = 16 << 10;

pub(crate) fn small_keys_cost_the_same_beside_large_values_of_any_size(platform: &Platform) {
    for large_bytes in [1_i64 << 20, 8 << 20] {
        let server = Launch::new(platform).with("--cache-mb", "32").start();
        let mut peer = server.peer();
        pipeline(&mut peer, (0..SMALL_KEYS).map(|n| format!("SET k{n} {n}")));
        for n in 0..LARGE_KEYS {
            assert_eq!(
                peer.ask(&format!("SETRANGE large{n} {} x", large_bytes - 1)),
                Reply::Int(large_bytes)
            );
        }
        compact(&mut peer);
        // Those that are written again lie in another file, and the filters of all are asked.
        pipeline(&mut peer, (0..SMALL_KEYS / 2).map(|n| format!("SET k{n} {n}")));
        compact(&mut peer);
        let server = server.restart();
        let mut peer = server.peer();
        let read_for = |peer: &mut Peer, requests: &[String]| {
            let before = sys::bytes_read(server.pid())?;
            pipeline(peer, requests.iter().cloned());
            Some(sys::bytes_read(server.pid())? - before)
        };
        let gets: Vec<String> = (0..SMALL_KEYS).map(|n| format!("GET k{n}")).collect();
        let Some(read) = read_for(&mut peer, &gets) else {
            skip!("the system does not say what a process reads");
        };
        let most = SMALL_KEYS as u64 * COLD_READ_BYTES;
        assert!(read <= most, "{read} bytes for {SMALL_KEYS} keys beside values of {large_bytes}");
        let read = read_for(&mut peer, &["KEYS *".to_owned()]).expect("as before");
        assert!(read <= most, "{read} bytes for all keys beside values of {large_bytes}");
    }
}

/// What is asked of a large value that is not in memory, `V`, and how often it is read for that; where something becomes of
/// it, it is another one each time.
const OF_LARGE: &[(&str, u64)] = &[
    ("EXISTS V", 0),
    ("TOUCH V", 0),
    ("TYPE V", 0),
    ("TTL V", 0),
    ("PEXPIRETIME V", 0),
    ("STRLEN V", 0),
    ("OBJECT ENCODING V", 0),
    ("OBJECT REFCOUNT V", 0),
    ("MEMORY USAGE V", 0),
    ("WATCH V", 0),
    ("KEYS *", 0),
    ("SCAN 0 COUNT 1000 TYPE string", 0),
    ("RANDOMKEY", 0),
    ("SETNX V x", 0),
    ("MSETNX V x other x", 0),
    ("SET V x NX", 0),
    ("EXPIRE V 100 XX", 0),
    ("PERSIST V", 0),
    ("RENAMENX V small", 0),
    ("COPY V small", 0),
    ("GET V", 1),
    // What is large and stays so is written again, so it is read.
    ("EXPIRE V 100", 1),
    ("GETEX V EX 100", 1),
    ("GETDEL V", 1),
    ("GETSET V x", 1),
    ("SET V x GET", 1),
    ("RENAME V new", 1),
    ("COPY V copy", 1),
    ("SET V x", 0),
    ("SETEX V 100 x", 0),
    ("MSET V x", 0),
    ("DEL V", 0),
    ("UNLINK V", 0),
    ("EXPIRE V 0", 0),
    ("COPY small V REPLACE", 0),
    ("RENAME small V", 0),
];

pub(crate) fn a_large_value_is_read_by_who_needs_its_bytes_and_once(platform: &Platform) {
    // The last is more than is read before there is room for it.
    for large_bytes in [128 << 10, 512 << 10, 3 << 20] {
        let server = Launch::new(platform).with("--cache-mb", "512").start();
        let mut peer = server.peer();
        let value = Random::new(large_bytes as u64).bytes(large_bytes);
        for n in 0..OF_LARGE.len() {
            peer.send(&encode([&b"SET"[..], format!("large{n}").as_bytes(), &value]));
            assert_eq!(peer.reply(), Reply::ok());
        }
        assert_eq!(peer.ask("SET small x"), Reply::ok());
        compact(&mut peer);
        let server = server.restart();
        let mut peer = server.peer();
        // Whatever is read for the first time is not counted to one of them.
        assert_eq!(peer.ask("MGET small none").items()[0], Reply::bulk("x"));
        for (n, (request, times)) in OF_LARGE.iter().enumerate() {
            let Some(before) = sys::bytes_read(server.pid()) else {
                skip!("the system does not say what a process reads");
            };
            let reply = peer.ask(&request.replace('V', &format!("large{n}")));
            assert_eq!(reply.error(), None, "{request}");
            let read = sys::bytes_read(server.pid()).expect("as before") - before;
            let value_bytes = large_bytes as u64;
            // The requests themselves and their log are small.
            let most = times * (value_bytes + value_bytes / 8) + value_bytes / 2;
            assert!((times * value_bytes..=most).contains(&read), "{request}: {read} bytes of {large_bytes}");
        }
    }
}

/// Each key is overwritten once: those that are not in memory cost no look at the disk, or one where an expiry is to be known.
pub(crate) fn overwriting_more_keys_than_memory_holds_reads_nothing(platform: &Platform) {
    for (keys, cache_mb) in [(40_000, 16), (80_000, 32)] {
        let server = Launch::new(platform).with("--cache-mb", &cache_mb.to_string()).start();
        let mut peer = server.peer();
        let value = "v".repeat(200);
        pipeline(&mut peer, (0..keys).map(|n| format!("SET key:{n} {value}")));
        compact(&mut peer);
        let before = cold_reads(&mut peer);
        pipeline(&mut peer, (0..keys).map(|n| format!("SET key:{n} {value}")));
        let set = cold_reads(&mut peer) - before;
        assert!(set <= keys / 100, "{set} records were read by {keys} SETs");
        assert_eq!(peer.ask("DBSIZE"), Reply::Int(i64::try_from(keys).expect("few")));
        compact(&mut peer);
        let before = cold_reads(&mut peer);
        pipeline(&mut peer, (0..keys).map(|n| format!("GET key:{n}")));
        let get = cold_reads(&mut peer) - before;
        assert!(get > keys / 8, "only {get} of {keys} were not in memory");
        pipeline(&mut peer, (0..keys).map(|n| format!("DEL key:{n}")));
        assert_eq!(peer.ask("DBSIZE"), Reply::Int(0));
    }
}

/// Most of the choices would be in vain where nearly all have been chosen; elements are so long that each has a leaf of its own.
pub(crate) fn nearly_all_elements_are_chosen_at_the_cost_of_passing_over_all(platform: &Platform) {
    let server = Launch::new(platform).start();
    let mut peer = server.peer();
    for len in [1_000, 4_000] {
        let member = "m".repeat(400);
        pipeline(&mut peer, (0..len).map(|n| format!("SADD set{len} {member}{n}")));
        for part in [len - 1, len * 3 / 4] {
            let before = counted(&mut peer, "modb_pages_read:");
            let Reply::Array(chosen) = peer.ask(&format!("SRANDMEMBER set{len} {part}")) else {
                panic!("an array")
            };
            assert_eq!(chosen.len(), part);
            let pages = counted(&mut peer, "modb_pages_read:") - before;
            let most = 2 * len as u64;
            assert!((part as u64 / 2..most).contains(&pages), "{pages} pages for {part} of {len}");
        }
    }
}

/// What the server has read of ranges until now.
fn range_reads(peer: &mut Peer) -> u64 {
    counted(peer, "modb_store_range_reads:")
}

/// How often it has looked for a record on the disk.
fn cold_reads(peer: &mut Peer) -> u64 {
    counted(peer, "modb_store_cold_reads:")
}

fn counted(peer: &mut Peer, name: &str) -> u64 {
    let info = peer.ask("INFO everything").text();
    let count = info.lines().find_map(|line| line.strip_prefix(name));
    count.and_then(|count| count.trim().parse().ok()).expect("the server counts")
}

/// Whether one call grows with the keys, by what the server says of the command.
fn is_linear(peer: &mut Peer, request: &str) -> bool {
    let name = request.split(' ').next().expect("a name");
    let docs = format!("{:?}", peer.ask(&format!("COMMAND DOCS {name}")));
    let (_, complexity) = docs.split_once("complexity").expect("the table says what it costs");
    let at = |what| complexity.find(what).unwrap_or(usize::MAX);
    assert!(at("O(1)") != at("O(N)"), "{complexity}");
    at("O(N)") < at("O(1)")
}

fn pipeline(peer: &mut Peer, requests: impl Iterator<Item = String>) {
    let requests: Vec<String> = requests.collect();
    for part in requests.chunks(1000) {
        peer.send(&part.iter().flat_map(|request| encode(request.split(' '))).collect::<Vec<u8>>());
        assert!(peer.replies(part.len()).iter().all(|reply| reply.error().is_none()));
    }
}

/// Moves everything into table files.
pub(crate) fn compact(peer: &mut Peer) {
    assert!(matches!(peer.ask("MODB COMPACT"), Reply::Int(_)));
    let status = |peer: &mut Peer| format!("{:?}", peer.ask("MODB STATUS"));
    wait::until("it is compacted", || (!status(peer).contains("running")).then_some(()));
    assert!(status(peer).contains("done"), "{}", status(peer));
}
