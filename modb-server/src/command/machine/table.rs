//! The table of commands, and how one is found in it. Pure.

use modb_net::resp::Args;

use crate::command::Spec;
use crate::command::language::parse;

/// The tables of the groups.
static GROUPS: [&[Spec]; 15] = [
    &crate::command::strings::COMMANDS,
    &crate::command::strings::numbers::COMMANDS,
    &crate::command::strings::bits::COMMANDS,
    &crate::command::hashes::COMMANDS,
    &crate::command::lists::COMMANDS,
    &crate::command::sets::COMMANDS,
    &crate::command::sorted_sets::COMMANDS,
    &crate::command::keys::COMMANDS,
    &crate::command::keys::expire::COMMANDS,
    &crate::command::connection::COMMANDS,
    &crate::command::server::COMMANDS,
    &crate::command::server::introspect::COMMANDS,
    &crate::command::server::slowlog::COMMANDS,
    &crate::command::server::admin::COMMANDS,
    &crate::command::server::care::COMMANDS,
];

const COUNT: usize = {
    let mut count = 0;
    let mut group = 0;
    while group < GROUPS.len() {
        count += GROUPS[group].len();
        group += 1;
    }
    count
};

/// Every command, group by group.
pub static COMMANDS: [&Spec; COUNT] = {
    let mut all = [&GROUPS[0][0]; COUNT];
    let (mut group, mut at) = (0, 0);
    while group < GROUPS.len() {
        let mut index = 0;
        while index < GROUPS[group].len() {
            all[at] = &GROUPS[group][index];
            index += 1;
            at += 1;
        }
        group += 1;
    }
    all
};

/// Slots of the hash table: a power of two, four times the commands of Redis 7.2.
const SLOTS: usize = 1024;

/// An empty slot.
const NONE: u16 = u16::MAX;

/// Indexes of [`COMMANDS`] by the hash of the name, with linear probing; made at compile time.
static BY_NAME: [u16; SLOTS] = {
    let mut slots = [NONE; SLOTS];
    let mut at = 0;
    while at < COUNT {
        let mut slot = hash(COMMANDS[at].name.as_bytes());
        while slots[slot] != NONE {
            slot = (slot + 1) % SLOTS;
        }
        slots[slot] = at as u16;
        at += 1;
    }
    slots
};

/// FNV-1a over the letters, in lower case.
const fn hash(name: &[u8]) -> usize {
    let mut hash: u32 = 0x811c_9dc5;
    let mut at = 0;
    while at < name.len() {
        hash = (hash ^ name[at].to_ascii_lowercase() as u32).wrapping_mul(0x0100_0193);
        at += 1;
    }
    (hash ^ hash >> 15) as usize % SLOTS
}

/// The longest name worth looking up, in bytes.
const MAX_NAME_BYTES: usize = 32;

/// Finds a command by its name in any case.
pub fn lookup(name: &[u8]) -> Option<&'static Spec> {
    index_of(name).map(|index| COMMANDS[index])
}

/// The index of a command in [`COMMANDS`], by its name in any case.
pub(crate) fn index_of(name: &[u8]) -> Option<usize> {
    if name.len() > MAX_NAME_BYTES {
        return None;
    }
    let mut slot = hash(name);
    loop {
        let index = usize::from(BY_NAME[slot]);
        let spec = COMMANDS.get(index)?;
        if name.eq_ignore_ascii_case(spec.name.as_bytes()) {
            return Some(index);
        }
        slot = (slot + 1) % SLOTS;
    }
}

/// A number for a command or one of its subcommands, to be kept in an atomic.
pub(crate) fn number(index: usize, subcommand: Option<usize>) -> u32 {
    (index as u32) << 8 | subcommand.map_or(0, |sub| sub as u32 + 1)
}

/// The number of the command or subcommand that a request names, whether or not its arguments are right.
pub(crate) fn number_of(args: Args<'_>) -> Option<u32> {
    let index = index_of(args.get(0)?)?;
    let named = |word: &[u8]| COMMANDS[index].subcommands.iter().position(|sub| parse::is(word, sub.name));
    Some(number(index, args.get(1).and_then(named)))
}

/// Where each command stands if its subcommands follow it, and then the next command.
static FIRST_PLACES: [u16; COUNT + 1] = {
    let mut places = [0; COUNT + 1];
    let mut at = 0;
    while at < COUNT {
        places[at + 1] = places[at] + 1 + COMMANDS[at].subcommands.len() as u16;
        at += 1;
    }
    places
};

/// How many commands and subcommands there are.
pub(crate) fn places() -> usize {
    usize::from(FIRST_PLACES[COUNT])
}

/// Where a command or subcommand stands among all of them, by its number.
pub(crate) fn place(number: u32) -> usize {
    usize::from(FIRST_PLACES[(number >> 8) as usize]) + (number & 0xff) as usize
}

/// The full name of the command or subcommand that stands there, such as `client|list`.
pub(crate) fn name_at(place: usize) -> String {
    let index = FIRST_PLACES.partition_point(|first| usize::from(*first) <= place) - 1;
    let sub = place - usize::from(FIRST_PLACES[index]);
    by_number(number(index, sub.checked_sub(1))).unwrap_or_default()
}

/// The full name of a command by its number, such as `client|list`.
pub(crate) fn by_number(number: u32) -> Option<String> {
    let spec = COMMANDS.get((number >> 8) as usize)?;
    match (number & 0xff).checked_sub(1) {
        None => Some(spec.name.to_owned()),
        Some(sub) => Some(format!("{}|{}", spec.name, spec.subcommands.get(sub as usize)?.name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_found_in_any_case_and_nothing_else_is() {
        for spec in COMMANDS {
            assert!(std::ptr::eq(lookup(spec.name.as_bytes()).unwrap(), spec));
            assert!(std::ptr::eq(lookup(spec.name.to_uppercase().as_bytes()).unwrap(), spec));
        }
        for name in [&b""[..], b"ge", b"gett", b"\0", &[b'a'; 4096]] {
            assert!(lookup(name).is_none());
        }
    }

    #[test]
    fn numbers_name_commands_and_subcommands() {
        let client = index_of(b"client").unwrap();
        let sub = COMMANDS[client].subcommands[1].name;
        assert_eq!(by_number(number(client, None)).unwrap(), "client");
        assert_eq!(by_number(number(client, Some(1))).unwrap(), format!("client|{sub}"));
        assert_eq!(by_number(u32::MAX), None);
    }

    #[test]
    fn every_command_and_subcommand_has_a_place_of_its_own() {
        let mut names = Vec::new();
        for (index, spec) in COMMANDS.iter().enumerate() {
            names.push((place(number(index, None)), spec.name.to_owned()));
            for (sub, its) in spec.subcommands.iter().enumerate() {
                names.push((place(number(index, Some(sub))), format!("{}|{}", spec.name, its.name)));
            }
        }
        assert_eq!(names.len(), places());
        for (expected, (place, name)) in names.into_iter().enumerate() {
            assert_eq!((place, name_at(place)), (expected, name));
        }
    }
}
