//! Linux: `SO_REUSEPORT` spreads by a hash of the addresses, and `/proc` tells of threads.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use socket2::{Domain, Socket, Type};

/// As many as the standard library asks for.
const BACKLOG: i32 = 4096;

pub fn reuse_port_listeners(count: usize) -> Option<Vec<TcpListener>> {
    let mut address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut listeners = Vec::new();
    for _ in 0..count {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_port(true).unwrap();
        socket.bind(&address.into()).unwrap();
        socket.listen(BACKLOG).unwrap();
        listeners.push(TcpListener::from(socket));
        // The first takes any free port, the others the same.
        address = listeners[0].local_addr().unwrap();
    }
    Some(listeners)
}

pub fn threads() -> Option<Vec<String>> {
    let tasks = fs::read_dir("/proc/self/task").ok()?;
    Some(tasks.map(|task| task.unwrap().file_name().into_string().unwrap()).collect())
}

pub fn sleeps(thread: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/self/task/{thread}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

pub fn is_asleep(thread: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/self/task/{thread}/stat")).unwrap();
    // After the name in parentheses comes the state.
    stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('S'))
}

pub fn load() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()
}
