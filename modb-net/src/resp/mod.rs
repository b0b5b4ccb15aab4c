//! RESP2 and RESP3, the protocol of Redis: sans-I/O, incremental, bounded.
