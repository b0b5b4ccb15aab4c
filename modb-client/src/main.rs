//! `modb-client`, the command line.

fn main() {}
