//! What executes commands and knows none of them: how one is described and found, who asks, what all share and what is
//! counted.

pub(crate) mod begun;
pub(crate) mod calls;
pub(crate) mod client;
pub(crate) mod clients;
pub(crate) mod context;
pub(crate) mod env;
pub(crate) mod errands;
mod figures;
pub(crate) mod help;
pub(crate) mod holds;
pub(crate) mod instance;
mod keeping;
pub(crate) mod lent;
pub(crate) mod listening;
pub(crate) mod monitor;
mod name;
pub(crate) mod outcome;
pub(crate) mod room;
pub(crate) mod secrets;
pub(crate) mod slowlog;
mod spare;
pub(crate) mod spec;
pub(crate) mod stopwatch;
pub(crate) mod strangers;
pub(crate) mod table;
pub(crate) mod tasks;
pub(crate) mod times;
pub(crate) mod tracking;
pub(crate) mod transaction;
pub(crate) mod weight;
