//! All commands, as their groups list them.

use super::machine::spec::Spec;
use super::machine::table::{self, SLOTS, Slot, Table};
use super::{
    connection, geo, hashes, hyperloglog, keys, lists, messages, server, sets, sorted_sets, strings,
    transactions, waiting,
};

/// The lists of the groups.
static GROUPS: [&[Spec]; 23] = [
    &strings::COMMANDS,
    &strings::numbers::COMMANDS,
    &strings::bits::COMMANDS,
    &geo::COMMANDS,
    &hashes::COMMANDS,
    &hyperloglog::COMMANDS,
    &lists::COMMANDS,
    &sets::COMMANDS,
    &sorted_sets::COMMANDS,
    &keys::COMMANDS,
    &keys::expire::COMMANDS,
    &keys::sort::COMMANDS,
    &connection::COMMANDS,
    &messages::COMMANDS,
    &server::COMMANDS,
    &server::introspect::COMMANDS,
    &server::slowlog::COMMANDS,
    &server::admin::COMMANDS,
    &server::care::COMMANDS,
    &transactions::COMMANDS,
    &waiting::lists::COMMANDS,
    &waiting::sorted_sets::COMMANDS,
    &waiting::wait::COMMANDS,
];

const COUNT: usize = table::count(&GROUPS);

static COMMANDS: [&Spec; COUNT] = table::all(&GROUPS);
static BY_NAME: [Slot; SLOTS] = table::by_name(&COMMANDS);
static FIRST_PLACES: [u16; COUNT + 1] = table::first_places(&COMMANDS);

/// Every command.
pub static TABLE: Table = Table { commands: &COMMANDS, by_name: &BY_NAME, first_places: &FIRST_PLACES };
