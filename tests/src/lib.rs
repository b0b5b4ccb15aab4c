//! The test harness: starts servers, speaks to them, and ends only what it started.
//!
//! What is under test comes from the environment, so that one list of scenarios runs everywhere:
//!
//! | variable | meaning | without it |
//! |---|---|---|
//! | `MODB_SERVER_BIN` | the server; an `.exe` on Unix is started through Wine | `modb-server` of this workspace, built first |
//! | `MODB_CLIENT_BIN` | the command-line client, likewise | `modb-client` of this workspace, built first |
//! | `MODB_TEST_SERVER=redis` | scenarios run against redis-server, to prove the scenarios themselves | Modb |
//! | `MODB_WINE` | the program that starts an `.exe` on Unix | `/usr/lib/wine/wine64` |
//! | `MODB_SKIP_LOG` | file that receives `name: reason` of each test that could not run | the reason goes to stderr only |
//!
//! Invariants: nothing waits without a deadline; no process is ended that was not started here; no fixed port;
//! every file lies in a folder of its own that goes away with the test.

pub mod binary;
pub mod hostile;
pub mod peer;
pub mod platform;
pub mod random;
pub mod reply;
pub mod screen;
pub mod server;
pub mod skip;
pub mod slow_disk;
pub mod sys;
pub mod terminal;
pub mod tool;
pub mod wait;

pub use peer::Peer;
pub use platform::{Platform, Where};
pub use reply::Reply;
pub use server::{Launch, Server};
pub use terminal::Terminal;
