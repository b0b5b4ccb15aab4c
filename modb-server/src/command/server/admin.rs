//! Commands that tools and administrators ask: memory, latency, modules, users, and a greeting.

use modb_net::resp::Args;

use crate::command::connection::REDIS_VERSION;
use crate::command::language::parse::{Options, int, is, lossy};
use crate::command::machine::help::{help_of, unreachable_parent};
use crate::command::machine::spec::{Access, Find, Flags, KeySpec, Spec};
use crate::command::machine::weight::{Scale, Weight, option};
use crate::command::{CommandError, Ctx, Reply};
use crate::data::Stored as _;

const ANY: &[Flags] = &[Flags::LOADING, Flags::STALE];
const ADMIN: &[Flags] = &[Flags::ADMIN, Flags::NOSCRIPT, Flags::LOADING, Flags::STALE];
const USAGE_KEY: &[KeySpec] =
    &[KeySpec { access: Access::Inspect, find: Find::Range { first: 2, last: 2, step: 1 } }];

#[rustfmt::skip]
pub(crate) static COMMANDS: [Spec; 7] = [
    Spec::new("server", "memory", unreachable_parent, -2).docs("", "4.0.0", "Depends on subcommand.", "What takes how much memory.")
        .with(&[
            Spec::new("server", "usage", memory_usage, -3).weighs(sampled).flags(&[Flags::READONLY]).keys(USAGE_KEY)
                .docs("key [SAMPLES count]", "4.0.0", "O(N) with N samples", "Estimates the memory of a key.")
                .differs("the bytes of its records, their keys and their places in the index; they may be on disk only"),
            Spec::new("server", "doctor", memory_doctor, 2).docs("", "4.0.0", "O(1)", "Says what is wrong with the memory.").differs("a fixed text"),
            Spec::new("server", "purge", memory_purge, 2).docs("", "4.0.0", "O(1)", "Gives unused memory back.").differs("does nothing"),
            Spec::new("server", "stats", memory_stats, 2).docs("", "4.0.0", "O(1)", "Returns what takes how much memory.").differs("the total and the number of keys"),
            Spec::new("server", "help", memory_help, 2).flags(ANY).docs("", "4.0.0", "O(1)", "Says what the subcommands do."),
        ]),
    Spec::new("server", "latency", unreachable_parent, -2).docs("", "2.8.13", "Depends on subcommand.", "What made clients wait.")
        .with(&[
            Spec::new("server", "latest", nothing, 2).flags(ADMIN).docs("", "2.8.13", "O(1)", "Returns the last wait of each kind.").differs("waits are not recorded: always empty"),
            Spec::new("server", "history", nothing, 3).flags(ADMIN).docs("event", "2.8.13", "O(1)", "Returns the waits of one kind.").differs("waits are not recorded: always empty"),
            Spec::new("server", "reset", latency_reset, -2).flags(ADMIN).docs("[event...]", "2.8.13", "O(1)", "Forgets the waits.").differs("waits are not recorded: always 0"),
            Spec::new("server", "doctor", latency_doctor, 2).flags(ADMIN).docs("", "2.8.13", "O(1)", "Says what makes clients wait.").differs("a fixed text"),
            Spec::new("server", "histogram", latency_histogram, -2).flags(ADMIN).docs("[command...]", "7.0.0", "O(N) with N commands", "Returns how long commands took.").differs("bounds are powers of two of 1024 ns"),
            Spec::new("server", "help", latency_help, 2).flags(ANY).docs("", "2.8.13", "O(1)", "Says what the subcommands do."),
        ]),
    Spec::new("server", "module", unreachable_parent, -2).docs("", "4.0.0", "Depends on subcommand.", "Modules: there are none.")
        .with(&[
            Spec::new("server", "list", nothing, 2).flags(&[Flags::ADMIN, Flags::NOSCRIPT]).docs("", "4.0.0", "O(1)", "Returns the modules.").differs("there are no modules: always empty"),
            Spec::new("server", "help", module_help, 2).flags(ANY).docs("", "5.0.0", "O(1)", "Says what the subcommands do."),
        ]),
    Spec::new("server", "acl", unreachable_parent, -2).docs("", "6.0.0", "Depends on subcommand.", "Users: there is one, `default`.")
        .with(&[
            Spec::new("server", "whoami", acl_whoami, 2).flags(&[Flags::NOSCRIPT, Flags::LOADING, Flags::STALE]).docs("", "6.0.0", "O(1)", "Returns the user of this connection.").differs("always `default`"),
            Spec::new("server", "users", acl_users, 2).flags(ADMIN).docs("", "6.0.0", "O(1)", "Returns the users.").differs("always `default`"),
            Spec::new("server", "list", acl_list, 2).flags(ADMIN).docs("", "6.0.0", "O(1)", "Returns the rules of the users.").differs("always the rule of `default`"),
            Spec::new("server", "cat", acl_cat, -2).flags(&[Flags::NOSCRIPT, Flags::LOADING, Flags::STALE])
                .docs("[category]", "6.0.0", "O(N) with N commands", "Returns the categories, or the commands of one."),
            Spec::new("server", "help", acl_help, 2).flags(ANY).docs("", "6.0.0", "O(1)", "Says what the subcommands do."),
        ]),
    Spec::new("server", "debug", unreachable_parent, -2).docs("", "1.0.0", "Depends on subcommand.", "For tests of clients.")
        .with(&super::debug::SUBCOMMANDS),
    Spec::new("server", "lolwut", lolwut, -1).flags(&[Flags::READONLY, Flags::FAST])
        .docs("[VERSION version]", "5.0.0", "O(1)", "Shows a picture and the version.").differs("another picture"),
    Spec::new("server", "role", role, 1).flags(&[Flags::ADMIN, Flags::NOSCRIPT, Flags::LOADING, Flags::STALE, Flags::FAST])
        .docs("", "2.8.12", "O(1)", "Returns the role in replication.").differs("always a master without replicas"),
];

fn memory_help(ctx: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    help_of(ctx, b"memory")
}

fn latency_help(ctx: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    help_of(ctx, b"latency")
}

fn module_help(ctx: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    help_of(ctx, b"module")
}

fn acl_help(ctx: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    help_of(ctx, b"acl")
}

fn nothing(_: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    Ok(Reply::Array(Vec::new()))
}

/// `MEMORY USAGE` reads as many pages as samples were asked for; 0 means all of them.
fn sampled(scale: &mut Scale<'_, '_>, args: Args<'_>) -> Weight {
    let samples = option(args, 3, "samples").and_then(|samples| int(samples).ok());
    let all = scale.copied(&args[2]);
    match samples {
        None => Weight::default(),
        Some(0) => all,
        Some(samples) => Weight::of(all.nanos.min(samples.unsigned_abs().saturating_mul(1_000))),
    }
}

fn memory_usage(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    /// What a record takes beside its bytes: the prefix of its key, its tag, and its place in the index.
    const RECORD_BYTES: usize = 64;
    let (mut options, mut samples) = (Options::from(args, 3), 5);
    while let Some(word) = options.next() {
        if !is(word, "samples") {
            return Err(CommandError::Syntax);
        }
        samples = u64::try_from(int(options.value()?)?).map_err(|_| CommandError::Syntax)?;
    }
    let db = ctx.db();
    let Some(record) = ctx.tx.look(db, &args[2])? else { return Ok(Reply::Null) };
    let pages = ctx.tx.pages_bytes(&record, u32::try_from(samples).unwrap_or(0))?;
    Ok(Reply::Int((RECORD_BYTES + args[2].len() + record.payload_bytes()) as i64 + pages as i64))
}

fn memory_doctor(_: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    Ok(Reply::Verbatim(
        "Modb keeps its data on disk; its memory is bounded by cache-mb. See INFO memory.".into(),
    ))
}

fn memory_purge(_: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    Ok(Reply::Ok)
}

fn memory_stats(ctx: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    let data = ctx.tx.data();
    let keys: u64 = (0..data.databases()).map(|database| data.sizes(database).0).sum();
    let total = crate::sys::memory_bytes().unwrap_or(0);
    Ok(Reply::Map(vec![
        (Reply::text("total.allocated"), Reply::Int(total as i64)),
        (Reply::text("keys.count"), Reply::Int(keys as i64)),
    ]))
}

fn latency_reset(_: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    Ok(Reply::Int(0))
}

fn latency_doctor(_: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    Ok(Reply::Verbatim(
        "Modb does not record latency events. SLOWLOG has the commands that took long.".into(),
    ))
}

fn latency_histogram(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let asked = |name: &str| {
        // A command's name stands for its subcommands, too.
        let parent = name.split('|').next().unwrap_or(name);
        args.len() == 2 || args.iter().skip(2).any(|word| is(word, name) || is(word, parent))
    };
    let mut commands = Vec::new();
    for (place, command) in ctx.instance.calls().commands {
        let name = ctx.instance.table.name_at(place);
        if command.times.count() > 0 && asked(&name) {
            let pairs = command.times.doubling_us().into_iter();
            let pairs =
                pairs.map(|(bound, count)| (Reply::Int(bound as i64), Reply::Int(count as i64))).collect();
            let about = Reply::Map(vec![
                (Reply::text("calls"), Reply::Int(command.calls as i64)),
                (Reply::text("histogram_usec"), Reply::Map(pairs)),
            ]);
            commands.push((Reply::string(name), about));
        }
    }
    Ok(Reply::Map(commands))
}

fn acl_whoami(_: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    Ok(Reply::text("default"))
}

fn acl_users(_: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    Ok(Reply::Array(vec![Reply::text("default")]))
}

fn acl_list(ctx: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    // The password is not shown, nor a hash of it that could be guessed at.
    let password = if ctx.instance.settings.has_password() { "" } else { "nopass " };
    Ok(Reply::Array(vec![Reply::string(format!("user default on {password}~* &* +@all"))]))
}

fn acl_cat(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let mut names = Vec::new();
    for spec in ctx.instance.table.commands() {
        match args.get(2) {
            None => names.extend(spec.categories().iter().map(|category| &category[1..])),
            Some(wanted) => {
                let has = spec.categories().iter().any(|category| is(wanted, &category[1..]));
                names.extend(has.then_some(spec.name));
            }
        }
    }
    names.sort_unstable();
    names.dedup();
    match args.get(2) {
        Some(unknown) if names.is_empty() => Err(format!("ERR Unknown category '{}'", lossy(unknown)).into()),
        _ => Ok(Reply::Array(names.into_iter().map(Reply::text).collect())),
    }
}

fn lolwut(_: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    Ok(Reply::Verbatim(format!(
        "   _____\n  /    /|\n /____/ |   Modb {}\n |    | /   speaks Redis {REDIS_VERSION}\n |____|/\n\nRedis ver. {REDIS_VERSION}\n",
        env!("CARGO_PKG_VERSION")
    )))
}

fn role(_: &mut Ctx<'_, '_>, _: Args<'_>) -> Result<Reply, CommandError> {
    Ok(Reply::Array(vec![Reply::text("master"), Reply::Int(0), Reply::Array(Vec::new())]))
}

#[cfg(test)]
mod tests {
    use crate::command::testing::{Bench, run};

    run! {
        what_tools_ask {
            "SET a 12345" => "+OK", "MEMORY USAGE a" => ":70", "MEMORY USAGE none" => "nil", "MEMORY USAGE a SAMPLES x" => "-ERR value is not an integer or out of range",
            "MODULE LIST" => "[]", "ACL WHOAMI" => "default", "ACL USERS" => "[default]", "ACL CAT nope" => "-ERR Unknown category 'nope'",
            "LATENCY LATEST" => "[]", "LATENCY RESET" => ":0",             "ROLE" => "[master :0 []]", "MEMORY PURGE" => "+OK", "SLOWLOG LEN" => ":0", "SLOWLOG GET" => "[]", "SLOWLOG GET -2" => "-ERR count should be greater than or equal to -1",
            "SLOWLOG RESET" => "+OK", "ACL CAT bitmap" => "[bitcount bitfield bitfield_ro bitop bitpos getbit setbit]"
        }
    }

    #[test]
    fn the_memory_of_a_collection_is_that_of_all_its_pages() {
        let bench = Bench::new();
        let usage = |what: &str| bench.text(&format!("MEMORY USAGE l {what}"))[1..].parse::<u64>().unwrap();
        bench.text("RPUSH l small");
        assert_eq!(usage(""), usage("SAMPLES 0"));
        for number in 0..2_000 {
            bench.text(&format!("RPUSH l element:{number:012}"));
        }
        let (estimate, exact) = (usage(""), usage("SAMPLES 0"));
        assert!((40_000..80_000).contains(&exact), "{exact}");
        assert!(estimate > exact / 2 && estimate < exact * 2, "{estimate} of {exact}");
    }
}
