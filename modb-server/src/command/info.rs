//! `INFO`: the server in numbers, in the sections that tools read.

use std::fmt::Write as _;

use modb_net::resp::Args;

use super::connection::REDIS_VERSION;
use super::parse::is;
use super::{CommandError, Ctx, Reply};

/// A section: its name, and what writes it.
type Section = (&'static str, fn(&Ctx<'_, '_>, &mut String));

const SECTIONS: [Section; 11] = [
    ("Server", server),
    ("Clients", clients),
    ("Memory", memory),
    ("Persistence", persistence),
    ("Stats", stats),
    ("Replication", replication),
    ("CPU", cpu),
    ("Modules", |_, _| {}),
    ("Workers", workers),
    ("Cluster", |_, text| line(text, "cluster_enabled", 0)),
    ("Keyspace", keyspace),
];

pub(super) fn info(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    let everything = ["default", "all", "everything"];
    let asked = |name: &str| {
        args.len() == 1
            || args.iter().skip(1).any(|word| is(word, name) || everything.iter().any(|all| is(word, all)))
    };
    let mut text = String::with_capacity(4096);
    for (name, write) in SECTIONS {
        if asked(name) {
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
    let file = ctx.instance.config_file.get().map(|path| path.display().to_string());
    line(text, "config_file", file.unwrap_or_default());
}

fn clients(ctx: &Ctx<'_, '_>, text: &mut String) {
    line(text, "connected_clients", ctx.instance.clients.len());
    line(text, "cluster_connections", 0);
    line(text, "maxclients", ctx.instance.settings.get("maxclients"));
    line(text, "blocked_clients", 0);
    line(text, "tracking_clients", 0);
}

fn memory(ctx: &Ctx<'_, '_>, text: &mut String) {
    let used = crate::sys::memory_bytes().unwrap_or(0);
    let human = |bytes: u64| format!("{:.2}M", bytes as f64 / f64::from(1 << 20));
    line(text, "used_memory", used);
    line(text, "used_memory_human", human(used));
    line(text, "used_memory_rss", used);
    line(text, "used_memory_rss_human", human(used));
    line(text, "used_memory_peak", used);
    line(text, "used_memory_peak_human", human(used));
    line(text, "maxmemory", 0);
    line(text, "maxmemory_human", "0B");
    line(text, "maxmemory_policy", ctx.instance.settings.get("maxmemory-policy"));
    line(text, "mem_fragmentation_ratio", "1.00");
    line(text, "mem_allocator", "system");
}

fn persistence(ctx: &Ctx<'_, '_>, text: &mut String) {
    let store = ctx.instance.data.store();
    line(text, "loading", 0);
    line(text, "rdb_changes_since_last_save", 0);
    line(text, "rdb_bgsave_in_progress", 0);
    line(text, "rdb_last_save_time", ctx.tx.now_ms() / 1000);
    line(text, "rdb_last_bgsave_status", "ok");
    line(text, "aof_enabled", 1);
    line(text, "aof_rewrite_in_progress", 0);
    let reason = store.read_only_reason();
    line(text, "aof_last_write_status", if reason.is_some() { "err" } else { "ok" });
    line(text, "modb_engine", ctx.instance.settings.get("store"));
    line(text, "modb_durability", ctx.instance.settings.get("durability"));
    line(text, "modb_read_only", u8::from(reason.is_some()));
    line(text, "modb_read_only_reason", reason.unwrap_or_default().replace(['\r', '\n'], " "));
    for (name, value) in store.stats() {
        line(text, &format!("modb_store_{name}"), value);
    }
}

fn stats(ctx: &Ctx<'_, '_>, text: &mut String) {
    let instance = ctx.instance;
    let workers = ctx.network.workers();
    let (total, rejected) = instance.clients.totals();
    line(text, "total_connections_received", total);
    line(text, "total_commands_processed", instance.sum(|tally| tally.commands.get()));
    line(text, "instantaneous_ops_per_sec", 0);
    line(text, "total_net_input_bytes", workers.iter().map(|worker| worker.bytes_in).sum::<u64>());
    line(text, "total_net_output_bytes", workers.iter().map(|worker| worker.bytes_out).sum::<u64>());
    line(text, "total_reads_processed", workers.iter().map(|worker| worker.reads).sum::<u64>());
    line(text, "total_writes_processed", workers.iter().map(|worker| worker.writes).sum::<u64>());
    line(text, "rejected_connections", rejected);
    line(text, "expired_keys", instance.sum(|tally| tally.expired.get()));
    line(text, "evicted_keys", 0);
    line(text, "keyspace_hits", instance.sum(|tally| tally.hits.get()));
    line(text, "keyspace_misses", instance.sum(|tally| tally.misses.get()));
    line(text, "pubsub_channels", 0);
    line(text, "pubsub_patterns", 0);
    line(text, "latest_fork_usec", 0);
    line(text, "total_error_replies", instance.sum(|tally| tally.errors.get()));
}

fn replication(_: &Ctx<'_, '_>, text: &mut String) {
    line(text, "role", "master");
    line(text, "connected_slaves", 0);
    line(text, "master_repl_offset", 0);
}

fn cpu(_: &Ctx<'_, '_>, text: &mut String) {
    let (system, user) = crate::sys::cpu_seconds().unwrap_or_default();
    line(text, "used_cpu_sys", format_args!("{system:.6}"));
    line(text, "used_cpu_user", format_args!("{user:.6}"));
}

fn workers(ctx: &Ctx<'_, '_>, text: &mut String) {
    for (index, worker) in ctx.network.workers().iter().enumerate() {
        let value = format!(
            "connections={},accepted={},turns={},reads={},writes={},bytes_in={},bytes_out={}",
            worker.connections,
            worker.accepted,
            worker.turns,
            worker.reads,
            worker.writes,
            worker.bytes_in,
            worker.bytes_out
        );
        line(text, &format!("worker{index}"), value);
    }
}

fn keyspace(ctx: &Ctx<'_, '_>, text: &mut String) {
    for database in 0..ctx.instance.data.databases() {
        let (keys, expires) = ctx.instance.data.sizes(database);
        if keys > 0 {
            line(text, &format!("db{database}"), format_args!("keys={keys},expires={expires},avg_ttl=0"));
        }
    }
}
