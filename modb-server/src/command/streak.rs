//! Requests of a pipeline that follow one another and change one key: executed one after the other on one view of the data, and
//! applied as one batch.
//!
//! So the stripe of the key is held once for all of them, what the key holds is opened once and written once, and there is one
//! commit: of what a short command costs that is most, and where two workers change one key they take turns more rarely. It is no
//! transaction that anybody asked for, and nobody may be able to tell, but by not seeing the key in between.
//!
//! Invariants: each sees what those before it have written; of one that fails nothing is left, and the others go on; all replies
//! wait for the commit. Whatever is more than that, as a large reply, a stripe that is missing, or somebody who waits for a key, ends it
//! before anything was changed, and the requests are executed one by one. Nobody begins to wait for a key while its stripe is
//! held, so who is looked for then is found.

use modb_net::Limits;
use modb_net::resp::Args;

use super::execute::{Scratch, note_begun, run_if_held, view};
use super::machine::begun::Begun;
use super::machine::client::{Client, ReplyMode, Then};
use super::machine::env::Env;
use super::machine::instance::Instance;
use super::machine::outcome::Outcome;
use super::machine::slowlog::Slow;
use super::machine::spec::Flags;
use super::machine::stopwatch::Stopwatch;
use super::machine::table::Resolved;
use super::machine::weight;
use crate::command::{CommandError, Ctx, Load, Reply, TABLE};
use crate::data::{Committed, Held, Ticket, Tx};

/// So many requests are executed together at most, and none is added after so long: others may want the key.
const MOST_REQUESTS: usize = 64;
/// A build that is not optimised takes some fifty times as long for each.
const MOST_NS: u64 = if cfg!(debug_assertions) { 50_000_000 } else { 200_000 };
/// And none once so many records are to be written: pages that several requests change stay in memory until all are committed, and then
/// in a slower cache, which costs more than it brings (two `ZADD` that change six each take 1.05 of their time).
const MOST_RECORDS: usize = 4;

/// The requests behind one that is executed.
pub(crate) trait Followers {
    /// The next one, if it has come whole, is about the same key, and [may be executed](follower) with those before it.
    fn next(&mut self, instance: &Instance) -> Option<(Resolved, Args<'_>)>;
}

/// What has come of a request that was executed with others.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Its command.
    pub resolved: Resolved,
    /// How long it took.
    pub took_ns: u64,
    /// What to answer.
    pub reply: Result<Reply, CommandError>,
}

/// Where it is noted what has come of them.
pub(crate) struct Notes<'n> {
    /// Measures each.
    pub watch: &'n mut Stopwatch,
    /// In their order.
    pub ran: &'n mut Vec<Ran>,
}

/// What has come of a request, and of those behind it that were executed with it.
pub(crate) enum Executed {
    /// It was executed alone, or has to wait.
    Alone(Result<Outcome, Begun>),
    /// They were executed together.
    Together(Committed),
}

/// Whether a request that [changes one key](changes_one_key) may have others executed with it: there is nothing special about it or its
/// client.
#[inline]
pub(crate) fn may_lead(resolved: Resolved, words: usize, client: &Client, instance: &Instance) -> bool {
    !weight::is_long_by_words(resolved.spec, words, instance)
        && client.rare().is_none()
        && client.reply_mode == ReplyMode::On
        && client.then == Then::GoOn
}

/// The command of a request of so many bytes, if it may be executed with others. Nobody asks for room for it.
pub(crate) fn follower(args: Args<'_>, bytes: usize, instance: &Instance) -> Option<Resolved> {
    let may_follow = |resolved: &Resolved| {
        let load = Load { flags: resolved.spec.flags, words: args.len(), bytes };
        changes_one_key(*resolved)
            && load.is_small()
            && !weight::is_long_by_words(resolved.spec, args.len(), instance)
    };
    TABLE.find_right(args).filter(may_follow)
}

/// Whether a command changes the key that is its second word (`MOVE` in two databases), and nothing else.
#[inline(always)]
pub(crate) fn changes_one_key(Resolved { spec, .. }: Resolved) -> bool {
    const MORE: [Flags; 3] = [Flags::BLOCKING, Flags::OUTSIDE, Flags::AT_ONCE];
    spec.flags.has(Flags::WRITE)
        && spec.only_key() == Some(1)
        && !MORE.iter().any(|flag| spec.flags.has(*flag))
}

/// Holds what a request needs that [may lead](may_lead), or queues for it.
///
/// # Errors
/// The place in the queue.
pub(crate) fn hold_for_leader<'d>(
    resolved: Resolved,
    args: Args<'_>,
    client: &Client,
    env: &Env<'d>,
) -> Result<Held<'d>, Ticket> {
    note_begun(resolved, client, env);
    let data = &env.instance.data;
    data.hold(data.need_one(&args[1]), &|| env.host.waker())
}

/// As [`execute`](super::execute()), of a request that [may lead](may_lead), and of its followers, once it holds what it needs.
pub(crate) fn execute_together<'d>(
    (resolved, args): (Resolved, Args<'_>),
    held: Result<Held<'d>, Ticket>,
    followers: &mut impl Followers,
    client: &mut Client,
    env: &Env<'d>,
    scratch: &mut Scratch,
    notes: Notes<'_>,
) -> Executed {
    if let Ok(held) = &held
        && let Some(committed) = run_all((resolved, args), followers, client, env, scratch, (notes, held))
    {
        return Executed::Together(committed);
    }
    Executed::Alone(run_if_held(resolved, args, client, env, scratch, held))
}

/// Runs and commits all of them. `None`: nothing was done.
fn run_all(
    (resolved, args): (Resolved, Args<'_>),
    followers: &mut impl Followers,
    client: &mut Client,
    env: &Env<'_>,
    scratch: &mut Scratch,
    (Notes { watch, ran }, held): (Notes<'_>, &Held<'_>),
) -> Option<Committed> {
    let &Env { instance, tally, now_ms, .. } = env;
    // Where more is held somebody waits.
    let hash = held.hash_of_key()?;
    if instance.data.is_anybody_interested(hash) {
        return None;
    }
    let mut tx = view(env, held, &mut scratch.key);
    tx.set_hash(&args[1], hash);
    ran.clear();
    let mut gathered = Gathered { frees: true, reply_bytes: 0, took_ns: 0, slow: Vec::new() };
    let reply = one(resolved, args, &mut tx, client, env)?;
    gathered.note(resolved, reply, watch, ran);
    while ran.len() < MOST_REQUESTS
        && gathered.has_room()
        && tx.records() < MOST_RECORDS
        && let Some((resolved, args)) = followers.next(instance)
    {
        let reply = one(resolved, args, &mut tx, client, env)?;
        let took_ns = gathered.note(resolved, reply, watch, ran);
        gathered.slow.extend(instance.if_slow(resolved, args, took_ns, &client.info, now_ms));
    }
    tx.set_freeing(gathered.frees);
    let committed = tx.commit().ok()?;
    // The commit is the first one's.
    let first = ran.first_mut()?;
    first.took_ns += watch.lap_ns();
    instance.note_if_slow(resolved, args, first.took_ns, &client.info, now_ms);
    gathered.slow.into_iter().for_each(|slow| instance.note_slow(slow));
    let (followed, failed) = (ran.len() - 1, ran.iter().filter(|ran| ran.reply.is_err()).count());
    tally.commands.add(followed as u64);
    tally.followed.add(followed as u64);
    tally.errors.add(failed as u64);
    if let Some(last) = ran.last() {
        client.info.touch(last.resolved.number, now_ms);
    }
    Some(committed)
}

/// What those that have run are together.
struct Gathered {
    /// After none of them more is kept.
    frees: bool,
    reply_bytes: usize,
    took_ns: u64,
    /// Those behind the first that were slow: noted once they are done.
    slow: Vec<Slow>,
}

impl Gathered {
    /// Whether another one may be added.
    fn has_room(&self) -> bool {
        self.reply_bytes <= Limits::SMALL_REPLY_BYTES && self.took_ns <= MOST_NS
    }

    /// Notes what has come of one; how long it took.
    fn note(
        &mut self,
        resolved: Resolved,
        reply: Result<Reply, CommandError>,
        watch: &mut Stopwatch,
        ran: &mut Vec<Ran>,
    ) -> u64 {
        let took_ns = watch.lap_ns();
        self.frees &= !resolved.spec.flags.has(Flags::DENYOOM);
        self.took_ns += took_ns;
        self.reply_bytes += reply.as_ref().map_or(0, Reply::bytes);
        ran.push(Ran { resolved, took_ns, reply });
        took_ns
    }
}

/// Runs one of them. `None`: it has to be executed alone.
fn one<'d>(
    resolved: Resolved,
    args: Args<'_>,
    tx: &mut Tx<'d>,
    client: &mut Client,
    env: &Env<'_>,
) -> Option<Result<Reply, CommandError>> {
    let Resolved { spec, .. } = resolved;
    if spec.weigh.is_some() && weight::long(tx, env.instance, client, spec, args).is_some() {
        return None;
    }
    tx.save();
    let mut ctx = Ctx { tx, client, instance: env.instance, network: env.network };
    let reply = (spec.run)(&mut ctx, args);
    if tx.missed().is_some() || !tx.messages().is_empty() {
        return None;
    }
    match &reply {
        Ok(reply) if reply.is_large() => return None,
        Ok(_) => {}
        Err(CommandError::NoRoom | CommandError::InThread(_) | CommandError::Waits(_)) => return None,
        Err(_) => tx.roll_back(),
    }
    Some(reply)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::testing::Bench;

    /// What the first of some requests is answered with, and those that are executed with it.
    fn together(bench: &Bench, lines: &[&str]) -> Vec<String> {
        bench.together(lines).into_iter().map(|reply| reply.unwrap_or_else(|| "waits".into())).collect()
    }

    #[test]
    fn what_follows_on_one_key_sees_what_was_written_before_it_and_is_one_commit() {
        let bench = Bench::new();
        let before = bench.instance.data.store().committed();
        let lines = ["RPUSH l a b", "LPUSH l c", "RPOP l", "LSET l 0 d", "LSET l 7 e", "INCR l", "RPUSH l f"];
        let replies = [":2", ":3", "b", "+OK", "-ERR index out of range", "", ":3"];
        let ran = together(&bench, &lines);
        assert_eq!(ran.len(), lines.len());
        for ((line, reply), expected) in lines.iter().zip(&ran).zip(replies) {
            let is_wrong_type = *line == "INCR l" && reply.starts_with("-WRONGTYPE");
            assert!(is_wrong_type || reply == expected, "{line}: {reply}");
        }
        assert_eq!(bench.instance.data.store().committed().0, before.0 + 1);
        assert_eq!(bench.text("LRANGE l 0 -1"), "[d a f]");
    }

    #[test]
    fn of_one_that_fails_nothing_is_left_and_the_others_go_on() {
        let bench = Bench::new();
        let lines =
            ["SET n 9223372036854775806", "INCR n", "INCR n", "APPEND n x", "INCRBY n 1", "EXPIRE n 100"];
        let overflow = "-ERR increment or decrement would overflow";
        let no_number = "-ERR value is not an integer or out of range";
        let replies = ["+OK", ":9223372036854775807", overflow, ":20", no_number, ":1"];
        assert_eq!(together(&bench, &lines), replies);
        assert_eq!(bench.text("GET n"), "9223372036854775807x");
        assert_eq!(bench.text("TTL n"), ":100");
        assert_eq!(
            together(&bench, &["SET n 1", "PEXPIREAT n 1", "SETNX n 2", "PERSIST n"]),
            ["+OK", ":1", ":1", ":0"]
        );
        assert_eq!(bench.text("DBSIZE"), ":1");
    }

    #[test]
    fn what_is_more_than_a_short_change_of_one_key_is_not_executed_with_others() {
        let bench = Bench::new();
        // It ends what goes together, and stays to be executed.
        for other in ["GET k", "DEL k", "BLPOP k 0", "RENAME k l", "MULTI", "nothing k", "INCR", "WATCH k"] {
            assert_eq!(together(&bench, &["SET k 1", "INCR k", other, "INCR k"]), ["+OK", ":2"], "{other}");
        }
        // What cannot be known before it was run undoes all of it, but for the first, which is executed once more, alone.
        bench.run("SETRANGE large 100000 x");
        assert_eq!(together(&bench, &["APPEND large x", "APPEND large y", "GETDEL large"]), [":100002"]);
        assert_eq!(bench.text("STRLEN large"), ":100002");
    }

    #[test]
    fn no_more_go_together_than_others_would_wait_for() {
        let bench = Bench::new();
        let lines = vec!["INCR n"; 2 * MOST_REQUESTS];
        assert_eq!(together(&bench, &lines).len(), MOST_REQUESTS);
        // Each of these writes a record of its own once there are many.
        (0..2_000).for_each(|n| _ = bench.run(&format!("HSET h field{n} {n}")));
        let lines: Vec<String> = (0..MOST_REQUESTS).map(|n| format!("HSET h field{} x", 31 * n)).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let ran = together(&bench, &lines).len();
        let gathered = |reply_bytes, took_ns| {
            Gathered { frees: true, reply_bytes, took_ns, slow: Vec::new() }.has_room()
        };
        assert!(gathered(0, 0) && !gathered(0, MOST_NS + 1) && !gathered(Limits::SMALL_REPLY_BYTES + 1, 0));
        assert!((MOST_RECORDS..2 * MOST_RECORDS).contains(&ran), "{ran}");
    }

    #[test]
    fn what_is_large_does_not_follow_since_nobody_asks_for_room_for_it() {
        let bench = Bench::new();
        let large = format!("SET k {}", "x".repeat(Limits::SMALL_REPLY_BYTES - 100));
        assert_eq!(together(&bench, &["SET k 1", "APPEND k x", &large]), ["+OK", ":2"]);
    }

    #[test]
    fn slow_ones_are_noted_once_and_in_their_order() {
        let bench = Bench::new();
        bench.run("CONFIG SET slowlog-log-slower-than 0");
        let noted = || {
            let log = bench.instance.slowlog.lock();
            log.entries.iter().rev().map(|slow| (slow.id, slow.args.join(" "))).collect::<Vec<_>>()
        };
        let lines = ["SET n 1", "INCR n", "APPEND n x"];
        together(&bench, &lines);
        assert_eq!(noted(), [0, 1, 2].map(|id| (id as i64, lines[id].to_owned())));
        // Whoever has it executed alone notes it.
        bench.run("SETRANGE large 100000 x");
        assert_eq!(together(&bench, &["PERSIST large", "PERSIST large", "GETDEL large"]).len(), 1);
        assert_eq!(noted().len(), lines.len());
    }

    #[test]
    fn what_is_looked_up_to_weigh_one_is_no_read() {
        let bench = Bench::new();
        bench.run(&format!("RPUSH l{}", " w".repeat(8_000)));
        let ran = together(&bench, &["EXPIRE l 100", "ZREMRANGEBYSCORE l -inf 2", "PERSIST l"]);
        assert_eq!((ran.len(), bench.tally.hits.get()), (3, 0));
    }

    #[test]
    fn where_somebody_is_interested_requests_are_executed_one_by_one() {
        let bench = Bench::new();
        bench.run("CONFIG SET notify-keyspace-events KEA");
        assert_eq!(together(&bench, &["INCR n", "INCR n"]), [":1"]);
        bench.run("CONFIG SET notify-keyspace-events \"\"");
        assert_eq!(together(&bench, &["INCR n", "INCR n"]), [":2", ":3"]);
    }

    #[test]
    fn a_client_with_whom_anything_is_special_gives_its_requests_one_by_one() {
        let bench = Bench::new();
        let leads = || {
            let spec = TABLE.lookup(b"incr").unwrap();
            bench.with_client(|client| may_lead(Resolved { spec, number: 0 }, 2, client, &bench.instance))
        };
        assert!(leads());
        for (begin, end) in
            [("MULTI", "DISCARD"), ("WATCH k", "UNWATCH"), ("CLIENT REPLY OFF", "CLIENT REPLY ON")]
        {
            bench.run(begin);
            assert!(!leads(), "{begin}");
            bench.run(end);
            assert!(leads(), "{end}");
        }
    }
}
