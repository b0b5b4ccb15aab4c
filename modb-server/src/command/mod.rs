//! The commands: what each does is in a folder for each group, what they all speak in `language`, what knows none of them
//! in `machine`; how one of them is executed is in `execute`.
//!
//! This floor parses arguments and makes replies; it knows no socket.

mod catalog;
#[cfg(test)]
mod chance;
mod connection;
mod execute;
mod geo;
mod hashes;
mod hyperloglog;
mod keys;
mod language;
mod lists;
mod machine;
mod messages;
mod server;
mod sets;
mod sorted_sets;
mod streak;
mod strings;
#[cfg(test)]
pub(crate) mod testing;
mod transactions;
mod waiting;

pub use catalog::TABLE;
pub(crate) use execute::execute_long;
#[cfg(test)]
pub use execute::execute_sleeping;
pub use execute::{Scratch, execute, go_on, load, refuse, resolve, wait_for_room};
pub use language::error::{CommandError, Work};
pub use language::feed::Feed;
pub use language::reply::Reply;
pub(crate) use language::until::{Until, What};
pub use machine::begun::Begun;
pub use machine::calls::{Calls, CommandSums, Rate, SAMPLE_INTERVAL, Sums};
pub use machine::client::{Client, ReplyMode, Then};
pub use machine::clients::{ClientInfo, Pause, Registry};
pub use machine::context::Ctx;
use machine::context::in_thread;
pub use machine::env::{Env, Host};
pub use machine::errands::{Errand, Errands};
pub use machine::holds::Holds;
pub use machine::instance::{Counts, Instance, Network, NoNetwork};
pub(crate) use machine::lent::{Back, Heard, Lent, Long, Ran, Stage, Tray};
pub use machine::listening::{Late, Listening};
pub use machine::outcome::Outcome;
pub(crate) use machine::room::{Answer, sleep_until};
pub use machine::room::{Deadline, Room};
pub use machine::slowlog::SlowLog;
pub use machine::spec::{Flags, Spec};
pub(crate) use machine::stopwatch::Stopwatch;
pub use machine::strangers::{Notices, spoken_by_strangers};
pub use machine::table::{Resolved, Table};
pub use machine::tasks::Tasks;
pub use machine::times::Times;
pub use machine::transaction::{Load, Transaction, Watches};
pub use messages::may_be_given_while_listening;
pub use server::config::{warn_of_idle, warn_of_open_door};
pub(crate) use streak::{
    Executed, Followers, Notes, Ran as RanTogether, changes_one_key, execute_together, follower,
    hold_for_leader, may_lead,
};
pub(crate) use waiting::lists::{move_of_list, pop_of_lists};
pub(crate) use waiting::sorted_sets::pop_of_sorted_sets;
