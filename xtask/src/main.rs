//! The development commands of Modb: `cargo xtask help` lists them.

fn main() {}
