//! A whole server over real sockets on 127.0.0.1, port 0: what only threads and a kernel can show.

#![allow(clippy::unwrap_used)] // All of it is a test, the service included.

mod cost;
mod descriptors;
mod ends;
mod idle;
mod lines;
mod looks;
mod mail;
mod moving;
mod pressure;
mod spread;
mod ways;
