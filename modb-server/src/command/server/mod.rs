//! The server as a whole: databases, configuration, state, end.

pub(crate) mod admin;
pub(crate) mod care;
pub(crate) mod config;
mod debug;
pub(crate) mod info;
pub(crate) mod introspect;
pub(crate) mod slowlog;

use modb_net::resp::Args;

use crate::command::language::error::err;
use crate::command::language::parse::{self, is};
use crate::command::machine::help::{help_of, unreachable_parent};
use crate::command::machine::spec::{Flags, Spec};
use crate::command::{CommandError, Ctx, Reply, Then, in_thread};

const ADMIN: &[Flags] = &[Flags::ADMIN, Flags::NOSCRIPT, Flags::LOADING, Flags::STALE];
const SAVING: &[Flags] = &[Flags::ADMIN, Flags::NOSCRIPT, Flags::NO_ASYNC_LOADING];
const OUTSIDE: &[Flags] = &[Flags::OUTSIDE];
const ANY_FAST: &[Flags] = &[Flags::LOADING, Flags::STALE, Flags::FAST];
const WHOLE: &[Flags] = &[Flags::WRITE, Flags::ALL_KEYS];

#[rustfmt::skip]
pub(super) static COMMANDS: [Spec; 11] = [
    Spec::new("server", "dbsize", dbsize, 1).flags(&[Flags::READONLY, Flags::FAST]).acl(&["@keyspace"])
        .docs("", "1.0.0", "O(1)", "Returns how many keys the database has."),
    Spec::new("server", "flushdb", flushdb, -1).flags(WHOLE).acl(&["@keyspace", "@dangerous"])
        .docs("[ASYNC|SYNC]", "1.0.0", "O(1)", "Empties the database.").differs("O(1): the records are removed in the background, even with SYNC"),
    Spec::new("server", "flushall", flushall, -1).flags(WHOLE).acl(&["@keyspace", "@dangerous"])
        .docs("[ASYNC|SYNC]", "1.0.0", "O(N) with N databases", "Empties all databases.").differs("the records are removed in the background, even with SYNC"),
    Spec::new("server", "swapdb", swapdb, 3).flags(&[Flags::WRITE, Flags::FAST, Flags::ALL_KEYS]).acl(&["@keyspace", "@dangerous"])
        .docs("index1 index2", "4.0.0", "O(1)", "Exchanges two databases."),
    Spec::new("server", "time", time, 1).flags(ANY_FAST).docs("", "2.6.0", "O(1)", "Returns the time: seconds since 1970, and microseconds."),
    Spec::new("server", "info", info::info, -1).flags(&[Flags::LOADING, Flags::STALE]).acl(&["@dangerous"])
        .docs("[section...]", "1.0.0", "O(1)", "Describes the server in numbers."),
    Spec::new("server", "shutdown", shutdown, -1).flags(&[Flags::ADMIN, Flags::NOSCRIPT, Flags::LOADING, Flags::STALE, Flags::NO_MULTI, Flags::ALLOW_BUSY])
        .docs("[NOSAVE|SAVE] [NOW] [FORCE] [ABORT]", "1.0.0", "O(1)", "Ends the server.").differs("always graceful; nothing acknowledged is lost, whatever the options"),
    Spec::new("server", "save", save, 1).flags(SAVING).flags(&[Flags::NO_MULTI]).docs("", "1.0.0", "O(N) with N bytes not yet synced", "Syncs the data to the disk.")
        .differs("syncs the log; there is no dump file"),
    Spec::new("server", "bgsave", bgsave, -1).flags(SAVING).flags(OUTSIDE).docs("[SCHEDULE]", "1.0.0", "O(N) with N bytes not yet synced", "Syncs the data to the disk.")
        .differs("syncs the log; there is no dump file"),
    Spec::new("server", "lastsave", lastsave, 1).flags(&[Flags::ADMIN, Flags::LOADING, Flags::STALE, Flags::FAST])
        .docs("", "1.0.0", "O(1)", "Returns when data was saved, in seconds since 1970.").differs("always now: every write is logged when it is acknowledged"),
    Spec::new("server", "config", unreachable_parent, -2).docs("", "2.0.0", "Depends on subcommand.", "The configuration of the server.")
        .with(&[
            Spec::new("server", "get", config::get, -3).flags(ADMIN).docs("parameter...", "2.0.0", "O(N) with N parameters", "Returns parameters whose names match."),
            Spec::new("server", "set", config::set, -4).flags(ADMIN).flags(OUTSIDE).docs("(parameter value)...", "2.0.0", "O(N) with N parameters", "Sets parameters, all of them or none."),
            Spec::new("server", "rewrite", config::rewrite, 2).flags(ADMIN).flags(OUTSIDE).docs("", "2.8.0", "O(N) with N parameters", "Writes the configuration into its file."),
            Spec::new("server", "resetstat", config::resetstat, 2).flags(ADMIN).flags(OUTSIDE).docs("", "2.0.0", "O(1)", "Sets the counts of INFO to 0."),
            Spec::new("server", "help", config_help, 2).flags(&[Flags::LOADING, Flags::STALE]).docs("", "5.0.0", "O(1)", "Says what the subcommands do."),
        ]),
];

fn config_help(ctx: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    help_of(ctx, b"config")
}

fn dbsize(ctx: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    Ok(Reply::Int(ctx.tx.size(ctx.db()) as i64))
}

/// `ASYNC` or `SYNC`: both are what happens anyway.
fn check_flush(args: Args<'_>) -> Result<(), CommandError> {
    match args.get(1) {
        None => Ok(()),
        Some(word) if args.len() == 2 && (is(word, "async") || is(word, "sync")) => Ok(()),
        Some(_) => Err(CommandError::Syntax),
    }
}

fn flushdb(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    check_flush(args)?;
    let db = ctx.db();
    ctx.tx.flush_database(db)?;
    Ok(Reply::Ok)
}

fn flushall(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    check_flush(args)?;
    for database in 0..ctx.tx.data().databases() {
        ctx.tx.flush_database(database)?;
    }
    Ok(Reply::Ok)
}

fn swapdb(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let databases = ctx.tx.data().databases();
    let check = |arg, text: &'static str| parse::int32(arg).map_err(|_| CommandError::Text(text.into()));
    check(&args[1], "ERR invalid first DB index")?;
    check(&args[2], "ERR invalid second DB index")?;
    let (first, second) = (parse::database(&args[1], databases)?, parse::database(&args[2], databases)?);
    ctx.tx.swap_databases(first, second);
    Ok(Reply::Ok)
}

fn time(ctx: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    let now_ms = ctx.tx.now_ms();
    let text = |n: u64| Reply::string(n.to_string());
    Ok(Reply::Array(vec![text(now_ms / 1000), text(now_ms % 1000 * 1000)]))
}

fn shutdown(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let has = |word| args.iter().skip(1).any(|arg| is(arg, word));
    if has("save") && has("nosave") {
        return Err(CommandError::Syntax);
    }
    for word in args.iter().skip(1) {
        match () {
            () if is(word, "abort") && args.len() == 2 => return err("ERR No shutdown in progress."),
            () if ["nosave", "save", "now", "force"].iter().any(|known| is(word, known)) => {}
            () => return Err(CommandError::Syntax),
        }
    }
    tracing::info!(peer = ctx.client.info.address(), "asked to end by a client's SHUTDOWN");
    ctx.network.shutdown();
    ctx.instance.holds.release();
    ctx.client.then = Then::EndWithServer;
    Ok(Reply::Nothing)
}

fn save(ctx: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    let store = std::sync::Arc::clone(ctx.tx.data().store());
    in_thread(move || {
        store.sync().map_err(crate::data::DataError::from)?;
        Ok(Reply::Ok)
    })
}

fn bgsave(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    match args.get(1) {
        Some(word) if args.len() > 2 || !is(word, "schedule") => Err(CommandError::Syntax),
        _ => {
            ctx.tx.data().sync_soon();
            Ok(Reply::Status("Background saving started"))
        }
    }
}

fn lastsave(ctx: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    Ok(Reply::Int((ctx.tx.now_ms() / 1000) as i64))
}

#[cfg(test)]
mod tests {
    use crate::command::testing::{Bench, run};

    run! {
        databases_are_emptied_and_exchanged {
            "SET a 1" => "+OK", "SELECT 1" => "+OK", "SET b 1 EX 100" => "+OK", "SWAPDB 0 1" => "+OK", "GET a" => "1", "GET b" => "nil",
            "SELECT 0" => "+OK", "TTL b" => ":100", "FLUSHDB" => "+OK", "DBSIZE" => ":0", "GET b" => "nil", "SET c 1" => "+OK", "DBSIZE" => ":1",
            "FLUSHALL ASYNC" => "+OK", "DBSIZE" => ":0", "SELECT 1" => "+OK", "DBSIZE" => ":0", "FLUSHALL x" => "-ERR syntax error",
            "SWAPDB x 1" => "-ERR invalid first DB index", "SWAPDB 0 x" => "-ERR invalid second DB index", "SWAPDB 99999999999 0" => "-ERR invalid first DB index", "SWAPDB 0 16" => "-ERR DB index is out of range",
            "SWAPDB 1 1" => "+OK"
        }
        configuration_is_read_and_changed {
            "CONFIG GET slowlog-max-l*" => "[slowlog-max-len 128]", "CONFIG SET slowlog-max-len 5" => "+OK", "CONFIG GET slowlog-max-len SLOWLOG-*-LEN" => "[slowlog-max-len 5]",
            "CONFIG GET nothing" => "[]", "CONFIG SET nothing 1" => "-ERR Unknown option or number of arguments for CONFIG SET - 'nothing'",
            "CONFIG SET databases 5" => "-ERR CONFIG SET failed (possibly related to argument 'databases') - can't set immutable config",
            "CONFIG SET maxmemory 100mb" => "-ERR CONFIG SET failed (possibly related to argument 'maxmemory') - Modb keeps its data on disk and evicts nothing; see cache-mb",
            "CONFIG SET hash-max-ziplist-entries 7" => "+OK", "CONFIG GET hash-max-listpack-entries" => "[hash-max-listpack-entries 7]"
        }
        the_end_says_nothing { "SHUTDOWN ABORT" => "-ERR No shutdown in progress.", "SHUTDOWN WHAT" => "-ERR syntax error", "SHUTDOWN NOSAVE" => "nil" }
        saving_syncs { "SAVE" => "+OK", "BGSAVE" => "+Background saving started", "BGSAVE X" => "-ERR syntax error" }
    }

    #[test]
    fn flushed_records_are_swept_with_their_expiry_entries() {
        let bench = Bench::new();
        for n in 0..100 {
            bench.text(&format!("SET key:{n} {n} EX 1000"));
        }
        bench.text("FLUSHALL");
        bench.text("SET kept 1 EX 1000");
        let data = &bench.instance.data;
        data.sweep_dropped(&mut || Ok(())).unwrap();
        let left = data.store().scan(&[0x10], &[0xff], 1000).unwrap().records;
        assert_eq!(left.len(), 2, "one record and its expiry entry");
        assert_eq!((bench.text("DBSIZE"), data.sizes(0)), (":1".into(), (1, 1)));
        assert!(data.store().scan(&[0x03], &[0x04], 10).unwrap().records.is_empty());
    }

    #[test]
    fn keys_whose_time_has_come_are_removed_and_others_stay() {
        let bench = Bench::new();
        for n in 0..200 {
            bench.text(&format!("SET short:{n} {n} PX {}", 1 + n * 10));
        }
        bench.text("MSET long 1 ever 1");
        bench.text("EXPIRE long 1000");
        bench.now_ms.set(bench.now_ms.get() + 1000);
        let (data, tally) = (&bench.instance.data, crate::data::Tally::default());
        while data.remove_expired(bench.now_ms.get(), 16, &tally).unwrap() {}
        assert_eq!(tally.expired.get(), 100);
        assert_eq!(data.sizes(0), (102, 101));
        bench.now_ms.set(bench.now_ms.get() + 10_000);
        while data.remove_expired(bench.now_ms.get(), 16, &tally).unwrap() {}
        assert_eq!((tally.expired.get(), data.sizes(0)), (200, (2, 1)));
        assert_eq!(bench.text("MGET long ever short:199"), "[1 1 nil]");
    }

    #[test]
    fn keys_are_removed_in_time_though_nothing_was_due_for_long() {
        let bench = Bench::new();
        let (data, tally) = (&bench.instance.data, crate::data::Tally::default());
        let removed_after_ms = |ms: u64| {
            bench.now_ms.set(bench.now_ms.get() + ms);
            while data.remove_expired(bench.now_ms.get(), 16, &tally).unwrap() {}
            tally.expired.get()
        };
        bench.text("SET far 1 PX 25000");
        bench.text("SET beyond 1 PX 200000");
        assert_eq!(removed_after_ms(1000), 0);
        bench.text("SET near 1 PX 3000");
        assert_eq!(removed_after_ms(2000), 0);
        assert_eq!(removed_after_ms(1000), 1, "near, though far was known to be next");
        assert_eq!(removed_after_ms(20_000), 1);
        assert_eq!(removed_after_ms(1000), 2, "far");
        for seconds in (30..195).step_by(5) {
            assert_eq!(removed_after_ms(5000), 2, "{seconds}");
        }
        assert_eq!(removed_after_ms(10_000), 3, "beyond what the first looks could see");
    }
}
