//! The bounds that the network layer is given, from the settings: at the start ([`of`]) and when they change ([`apply`]).
//!
//! Invariant: what `CONFIG GET` shows is what holds; a bound that the system does not allow is written back as the one
//! that it does.

use std::time::Duration;

use modb_net::{Limits, Workers, share_descriptors};

use crate::config::Settings;

/// What a client is told for which there is no seat: Redis's words.
pub(crate) const REFUSAL: &[u8] = b"-ERR max number of clients reached\r\n";

/// The bounds for a server that starts now. Raises the limit of open descriptors as far as it is wanted and allowed.
pub(crate) fn of(settings: &Settings) -> Limits {
    let wanted = number(settings, "maxclients");
    let shares = share_descriptors(wanted);
    if shares.connections < wanted {
        let (descriptors, connections) = (shares.limit, shares.connections);
        tracing::warn!(
            descriptors,
            "the system allows too few open descriptors for maxclients {wanted}: {connections} it is"
        );
        let _ = settings.set("maxclients", &connections.to_string());
    }
    Limits {
        max_connections: shares.connections,
        max_refusing: shares.refusing,
        max_memory_bytes: memory(settings),
        max_input_bytes: number(settings, "client-query-buffer-limit"),
        idle_timeout: seconds(settings, "timeout"),
        keep_alive: seconds(settings, "tcp-keepalive"),
        shutdown_timeout: seconds(settings, "shutdown-timeout").unwrap_or_default(),
        ..Limits::default()
    }
}

/// Goes by what can change while the server runs.
pub(crate) fn apply<M>(settings: &Settings, workers: &dyn Workers<M>) {
    let wanted = number(settings, "maxclients");
    if wanted != workers.max_connections() {
        let shares = share_descriptors(wanted);
        if shares.connections < wanted {
            let _ = settings.set("maxclients", &shares.connections.to_string());
        }
        workers.set_max_connections(shares.connections);
    }
    workers.set_idle_timeout(seconds(settings, "timeout"));
    workers.set_keep_alive(seconds(settings, "tcp-keepalive"));
    workers.set_max_memory_bytes(memory(settings));
}

fn number(settings: &Settings, name: &str) -> usize {
    usize::try_from(settings.number(name)).unwrap_or(usize::MAX)
}

/// 0 is never.
fn seconds(settings: &Settings, name: &str) -> Option<Duration> {
    let seconds = number(settings, name);
    (seconds > 0).then(|| Duration::from_secs(seconds as u64))
}

/// 0 is no bound; a percentage is one of the machine's memory.
fn memory(settings: &Settings) -> usize {
    let text = settings.get("maxmemory-clients");
    let bytes = match text.strip_suffix('%') {
        None => usize::try_from(settings.number("maxmemory-clients")).unwrap_or(usize::MAX),
        Some(percent) => {
            let total = crate::sys::total_memory_bytes().and_then(|total| usize::try_from(total).ok());
            total.unwrap_or(usize::MAX) / 100 * percent.parse::<usize>().unwrap_or(100)
        }
    };
    if bytes == 0 { usize::MAX } else { bytes }
}
