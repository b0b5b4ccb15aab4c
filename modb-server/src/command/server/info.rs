//! `INFO`: the server in numbers, in the sections that tools read.

use std::fmt::Write as _;

use modb_net::CloseReason;
use modb_net::resp::Args;

use crate::command::connection::REDIS_VERSION;
use crate::command::language::parse::is;
use crate::command::{CommandError, Ctx, Reply};
use crate::messages::Scope;

/// A section: its name, whether it is shown when none is named, and what writes it.
type Section = (&'static str, bool, fn(&Ctx<'_, '_>, &mut String));

const SECTIONS: [Section; 14] = [
    ("Server", true, server),
    ("Clients", true, clients),
    ("Memory", true, memory),
    ("Persistence", true, persistence),
    ("Stats", true, stats),
    ("Replication", true, replication),
    ("CPU", true, cpu),
    ("Modules", true, |_, _| {}),
    ("Workers", true, workers),
    ("Commandstats", false, command_stats),
    ("Errorstats", true, error_stats),
    ("Latencystats", false, latency_stats),
    ("Cluster", true, |_, text| line(text, "cluster_enabled", 0)),
    ("Keyspace", true, keyspace),
];

pub(crate) fn info(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let asked = |name: &str, by_default: bool| {
        (args.len() == 1 && by_default)
            || args.iter().skip(1).any(|word| {
                let all = is(word, "all") || is(word, "everything");
                is(word, name) || all || (by_default && is(word, "default"))
            })
    };
    let mut text = String::with_capacity(4096);
    for (name, by_default, write) in SECTIONS {
        if asked(name, by_default) {
            if !text.is_empty() {
                text.push_str("\r\n");
            }
            // Writing to a string cannot fail.
            let _ = write!(text, "# {name}\r\n");
            write(ctx, &mut text);
        }
    }
    Ok(Reply::Verbatim(text))
}

fn line(text: &mut String, name: &str, value: impl std::fmt::Display) {
    let _ = write!(text, "{name}:{value}\r\n");
}

fn server(ctx: &Ctx<'_, '_>, text: &mut String) {
    let uptime = ctx.tx.now_ms().saturating_sub(ctx.instance.started_ms) / 1000;
    line(text, "redis_version", REDIS_VERSION);
    line(text, "modb_version", env!("CARGO_PKG_VERSION"));
    line(text, "redis_git_sha1", "00000000");
    line(text, "redis_git_dirty", 0);
    line(text, "redis_mode", "standalone");
    line(text, "os", format_args!("{} {}", std::env::consts::OS, std::env::consts::ARCH));
    line(text, "arch_bits", usize::BITS);
    line(text, "multiplexing_api", "polling");
    line(text, "process_id", std::process::id());
    line(text, "run_id", &ctx.instance.run_id);
    line(text, "tcp_port", ctx.instance.port.get().copied().unwrap_or(0));
    line(text, "server_time_usec", ctx.tx.now_ms() * 1000);
    line(text, "uptime_in_seconds", uptime);
    line(text, "uptime_in_days", uptime / 86_400);
    line(text, "hz", ctx.instance.settings.get("hz"));
    line(text, "configured_hz", ctx.instance.settings.get("hz"));
    let program = std::env::current_exe().map(|path| path.display().to_string());
    line(text, "executable", program.unwrap_or_default());
    let file = ctx.instance.config_file.get().map(|path| path.display().to_string());
    line(text, "config_file", file.unwrap_or_default());
}

fn clients(ctx: &Ctx<'_, '_>, text: &mut String) {
    line(text, "connected_clients", ctx.instance.clients.len());
    line(text, "cluster_connections", 0);
    line(text, "maxclients", ctx.instance.settings.get("maxclients"));
    let listening = ctx.instance.clients.list().iter().filter(|client| client.listens()).count();
    line(text, "pubsub_clients", listening + ctx.instance.data.exchange().clients());
    line(text, "blocked_clients", ctx.instance.waiting.count());
    line(text, "tracking_clients", ctx.instance.data.tracked().clients);
}

fn memory(ctx: &Ctx<'_, '_>, text: &mut String) {
    let used = crate::sys::memory_bytes().unwrap_or(0);
    let peak = crate::sys::peak_memory_bytes().unwrap_or(0).max(used);
    let total = crate::sys::total_memory_bytes().unwrap_or(0);
    let with_human = |text: &mut String, name: &str, bytes: u64| {
        line(text, name, bytes);
        line(text, &format!("{name}_human"), human(bytes));
    };
    with_human(text, "used_memory", used);
    with_human(text, "used_memory_rss", used);
    with_human(text, "used_memory_peak", peak);
    line(text, "used_memory_peak_perc", format_args!("{:.2}%", used as f64 * 100.0 / peak.max(1) as f64));
    with_human(text, "total_system_memory", total);
    line(text, "maxmemory", 0);
    line(text, "maxmemory_human", "0B");
    line(text, "maxmemory_policy", ctx.instance.settings.get("maxmemory-policy"));
    line(text, "mem_clients_normal", ctx.network.memory_bytes());
    line(text, "mem_fragmentation_ratio", "1.00");
    line(text, "mem_allocator", "system");
}

fn persistence(ctx: &Ctx<'_, '_>, text: &mut String) {
    let store = ctx.instance.data.store();
    line(text, "loading", 0);
    line(text, "async_loading", 0);
    line(text, "rdb_changes_since_last_save", 0);
    line(text, "rdb_bgsave_in_progress", 0);
    line(text, "rdb_last_save_time", ctx.tx.now_ms() / 1000);
    line(text, "rdb_last_bgsave_status", "ok");
    line(text, "aof_enabled", 1);
    line(text, "aof_rewrite_in_progress", 0);
    line(text, "aof_rewrite_scheduled", 0);
    line(text, "aof_last_bgrewrite_status", "ok");
    let reason = store.read_only_reason();
    line(text, "aof_last_write_status", if reason.is_some() { "err" } else { "ok" });
    line(text, "modb_engine", ctx.instance.settings.get("store"));
    line(text, "modb_durability", ctx.instance.settings.get("durability"));
    line(text, "modb_read_only", u8::from(reason.is_some()));
    line(text, "modb_read_only_reason", reason.unwrap_or_default().replace(['\r', '\n'], " "));
    line(text, "modb_pages_read", ctx.instance.sum(|tally| tally.pages.get()));
    line(text, "modb_waiting_writers", ctx.instance.sum(|tally| tally.crowded.get()));
    for (name, value) in store.stats() {
        line(text, &format!("modb_{name}"), value);
    }
}

fn stats(ctx: &Ctx<'_, '_>, text: &mut String) {
    let instance = ctx.instance;
    let workers = ctx.network.workers();
    let (total, rejected) = instance.clients.totals();
    line(text, "total_connections_received", total);
    line(text, "total_commands_processed", instance.sum(|tally| tally.commands.get()));
    line(text, "modb_commands_followed", instance.sum(|tally| tally.followed.get()));
    let (rate, moved) = (instance.rate(&workers), instance.moved(&workers));
    let kilobytes = |bytes: f64| format!("{:.2}", bytes / 1024.0);
    line(text, "instantaneous_ops_per_sec", format_args!("{:.0}", rate.commands));
    line(text, "total_net_input_bytes", moved.bytes_in);
    line(text, "total_net_output_bytes", moved.bytes_out);
    line(text, "instantaneous_input_kbps", kilobytes(rate.bytes_in));
    line(text, "instantaneous_output_kbps", kilobytes(rate.bytes_out));
    line(text, "total_reads_processed", moved.reads);
    line(text, "total_writes_processed", moved.writes);
    let acceptor = ctx.network.acceptor();
    line(text, "rejected_connections", rejected + instance.refused(acceptor.refused));
    line(text, "modb_accepts_failed", acceptor.system_refusals);
    line(text, "evicted_clients", ctx.network.closed(CloseReason::MemoryStall));
    for reason in CloseReason::ALL {
        line(text, &format!("modb_closed_{}", reason.name().replace('-', "_")), ctx.network.closed(reason));
    }
    line(text, "expired_keys", instance.sum(|tally| tally.expired.get()));
    line(text, "evicted_keys", 0);
    line(text, "keyspace_hits", instance.sum(|tally| tally.hits.get()));
    line(text, "keyspace_misses", instance.sum(|tally| tally.misses.get()));
    let exchange = instance.data.exchange();
    line(text, "pubsub_channels", exchange.count(Scope::Channel));
    line(text, "pubsub_patterns", exchange.count(Scope::Pattern));
    line(text, "pubsubshard_channels", exchange.count(Scope::Shard));
    let tracked = instance.data.tracked();
    line(text, "tracking_total_keys", tracked.keys);
    line(text, "tracking_total_items", tracked.items);
    line(text, "tracking_total_prefixes", tracked.prefixes);
    line(text, "latest_fork_usec", 0);
    line(text, "modb_longest_command_usec", instance.longest_hold_us());
    let (running, queued) = instance.errands.computations();
    line(text, "modb_long_commands", instance.long_commands.get());
    line(text, "modb_long_commands_running", running);
    line(text, "modb_long_commands_queued", queued);
    line(text, "total_error_replies", instance.sum(|tally| tally.errors.get()));
}

/// What clients have called. A time of a call includes decoding it and encoding the reply to the one before.
fn command_stats(ctx: &Ctx<'_, '_>, text: &mut String) {
    for (place, command) in ctx.instance.calls().commands {
        let micros = command.nanos / 1000;
        let each = command.nanos as f64 / 1000.0 / command.calls.max(1) as f64;
        let value = format!(
            "calls={},usec={micros},usec_per_call={each:.2},rejected_calls={},failed_calls={}",
            command.calls, command.rejected, command.failed
        );
        line(text, &format!("cmdstat_{}", ctx.instance.table.name_at(place)), value);
    }
}

fn error_stats(ctx: &Ctx<'_, '_>, text: &mut String) {
    for (kind, count) in ctx.instance.calls().errors {
        line(text, &format!("errorstat_{kind}"), format_args!("count={count}"));
    }
}

fn latency_stats(ctx: &Ctx<'_, '_>, text: &mut String) {
    let settings = &ctx.instance.settings;
    let percentiles = settings.get("latency-tracking-info-percentiles");
    if !settings.is_yes("latency-tracking") || percentiles.is_empty() {
        return;
    }
    for (place, command) in ctx.instance.calls().commands {
        if command.times.count() > 0 {
            let value = |word: &str| {
                let micros = command.times.percentile_us(word.parse().unwrap_or(0.0));
                format!("p{word}={micros:.3}")
            };
            let values: Vec<String> = percentiles.split(' ').map(value).collect();
            line(
                text,
                &format!("latency_percentiles_usec_{}", ctx.instance.table.name_at(place)),
                values.join(","),
            );
        }
    }
}

/// Bytes as Redis writes them for people: `12B`, `1.50K`, `2.00M`.
fn human(bytes: u64) -> String {
    let units = [("T", 1_u64 << 40), ("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10)];
    let fits = units.into_iter().find(|(_, size)| bytes >= *size);
    fits.map_or_else(
        || format!("{bytes}B"),
        |(unit, size)| format!("{:.2}{unit}", bytes as f64 / size as f64),
    )
}

fn replication(ctx: &Ctx<'_, '_>, text: &mut String) {
    line(text, "role", "master");
    line(text, "connected_slaves", 0);
    line(text, "master_failover_state", "no-failover");
    line(text, "master_replid", &ctx.instance.run_id);
    line(text, "master_repl_offset", 0);
    line(text, "repl_backlog_active", 0);
}

fn cpu(_: &Ctx<'_, '_>, text: &mut String) {
    let (system, user) = crate::sys::cpu_seconds().unwrap_or_default();
    line(text, "used_cpu_sys", format_args!("{system:.6}"));
    line(text, "used_cpu_user", format_args!("{user:.6}"));
}

fn workers(ctx: &Ctx<'_, '_>, text: &mut String) {
    for (index, worker) in ctx.network.workers().iter().enumerate() {
        let value = format!(
            "connections={},accepted={},turns={},reads={},writes={},bytes_in={},bytes_out={},looks={},looks_found={}",
            worker.connections,
            worker.accepted,
            worker.turns,
            worker.reads,
            worker.writes,
            worker.bytes_in,
            worker.bytes_out,
            worker.looks,
            worker.looks_found
        );
        line(text, &format!("worker{index}"), value);
    }
}

fn keyspace(ctx: &Ctx<'_, '_>, text: &mut String) {
    for database in 0..ctx.instance.data.databases() {
        let (keys, expires) = ctx.tx.sizes(database);
        if keys > 0 {
            line(text, &format!("db{database}"), format_args!("keys={keys},expires={expires},avg_ttl=0"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::human;
    use crate::command::testing::Bench;

    #[test]
    fn a_section_is_shown_by_name_and_the_long_ones_only_then() {
        let bench = Bench::new();
        let sections = |line: &str| {
            let text = bench.text(line);
            text.lines()
                .filter_map(|line| line.split_once("# "))
                .map(|(_, name)| name.to_owned())
                .collect::<Vec<_>>()
        };
        let by_default = sections("INFO");
        assert!(by_default.iter().any(|name| name == "Errorstats"), "{by_default:?}");
        assert!(!by_default.iter().any(|name| name == "Commandstats"), "{by_default:?}");
        assert_eq!(sections("INFO default"), by_default);
        assert_eq!(sections("INFO everything").len(), by_default.len() + 2);
        assert_eq!(sections("INFO commandstats KEYSPACE"), ["Commandstats", "Keyspace"]);
        assert_eq!(sections("INFO nothing"), [] as [&str; 0]);
    }

    #[test]
    fn amounts_are_written_as_redis_writes_them() {
        let texts = [0, 1023, 1024, 1536 << 10, 5 << 30].map(human);
        assert_eq!(texts, ["0B", "1023B", "1.00K", "1.50M", "5.00G"]);
    }
}
