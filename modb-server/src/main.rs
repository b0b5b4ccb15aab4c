//! `modb-server`: configuration, start, signals, exit status.

fn main() {}
