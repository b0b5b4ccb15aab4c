//! The table of commands: how one is found in it by the words of a request. It is made of the lists of the groups at
//! compile time, and knows none of them. Pure.

use modb_net::resp::Args;

use super::name::Folded;
use super::spec::Spec;
use crate::command::language::error::{CommandError, unknown_command, unknown_subcommand, wrong_arity};
use crate::command::language::parse;

/// Slots of the hash table: a power of two, four times the commands of Redis 7.2.
pub(crate) const SLOTS: usize = 1024;

/// Where a name is looked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    name: Folded,
    /// Whether that tells it from all others.
    is_told: bool,
    /// In `commands`; beyond them: the slot is empty.
    index: u16,
}

impl Slot {
    const EMPTY: Self = Self { name: Folded::NONE, is_told: false, index: u16::MAX };
}

/// Every command, and where it is found.
#[derive(Debug)]
pub struct Table {
    /// Group by group.
    pub(crate) commands: &'static [&'static Spec],
    /// By the hash of the name, with linear probing: [`by_name`].
    pub(crate) by_name: &'static [Slot; SLOTS],
    /// [`first_places`].
    pub(crate) first_places: &'static [u16],
}

/// A request whose command was found.
#[derive(Clone, Copy, Debug)]
pub struct Resolved {
    /// The command or subcommand.
    pub spec: &'static Spec,
    /// Its number, for [`ClientInfo`](super::clients::ClientInfo).
    pub(crate) number: u32,
}

impl Resolved {
    /// The full name of the command or subcommand, such as `client|list`.
    pub fn name(&self, table: &Table) -> String {
        table.by_number(self.number).unwrap_or_default()
    }
}

/// How many commands the groups have together.
pub(crate) const fn count(groups: &[&[Spec]]) -> usize {
    let mut count = 0;
    let mut group = 0;
    while group < groups.len() {
        count += groups[group].len();
        group += 1;
    }
    count
}

/// The commands of the groups, one after another.
pub(crate) const fn all<const COUNT: usize>(groups: &'static [&'static [Spec]]) -> [&'static Spec; COUNT] {
    let mut all = [&groups[0][0]; COUNT];
    let (mut group, mut at) = (0, 0);
    while group < groups.len() {
        let mut index = 0;
        while index < groups[group].len() {
            all[at] = &groups[group][index];
            index += 1;
            at += 1;
        }
        group += 1;
    }
    all
}

/// Where each command is found by its name.
pub(crate) const fn by_name(commands: &[&Spec]) -> [Slot; SLOTS] {
    let mut slots = [Slot::EMPTY; SLOTS];
    let mut at = 0;
    while at < commands.len() {
        let name = commands[at].name.as_bytes();
        let Some(folded) = Folded::of(name) else { panic!("a name too long to be looked up") };
        let mut slot = folded.hash(SLOTS);
        while (slots[slot].index as usize) < commands.len() {
            slot = (slot + 1) % SLOTS;
        }
        slots[slot] = Slot { name: folded, is_told: Folded::tells(name), index: at as u16 };
        at += 1;
    }
    slots
}

/// Where each command stands if its subcommands follow it, and then the next command; and the number of places.
pub(crate) const fn first_places<const AND_THE_END: usize>(commands: &[&Spec]) -> [u16; AND_THE_END] {
    let mut places = [0; AND_THE_END];
    let mut at = 0;
    while at < commands.len() {
        places[at + 1] = places[at] + 1 + commands[at].subcommands.len() as u16;
        at += 1;
    }
    places
}

/// A number for a command or one of its subcommands, to be kept in an atomic.
fn number(index: usize, subcommand: Option<usize>) -> u32 {
    (index as u32) << 8 | subcommand.map_or(0, |sub| sub as u32 + 1)
}

impl Table {
    /// Every command, group by group.
    pub fn commands(&self) -> &'static [&'static Spec] {
        self.commands
    }

    /// Finds a command by its name in any case.
    pub fn lookup(&self, name: &[u8]) -> Option<&'static Spec> {
        self.index_of(name).map(|index| self.commands[index])
    }

    /// Finds the command of a request, or says why it cannot be executed.
    ///
    /// # Errors
    /// The error reply for an unknown command or a wrong number of arguments.
    #[inline]
    pub fn resolve(&self, args: Args<'_>) -> Result<Resolved, CommandError> {
        self.find_right(args).ok_or_else(|| self.refusal(args))
    }

    /// The command or subcommand that a request names, if its arguments are as many as it takes.
    #[inline(always)]
    pub(crate) fn find_right(&self, args: Args<'_>) -> Option<Resolved> {
        self.find(args).filter(|found| found.spec.takes(args.len()))
    }

    /// The command or subcommand that a request names, whether or not its arguments are right.
    #[inline(always)]
    fn find(&self, args: Args<'_>) -> Option<Resolved> {
        let index = self.index_of(&args[0])?;
        let spec = self.commands[index];
        match args.get(1) {
            Some(word) if !spec.subcommands.is_empty() => Self::subcommand(spec, index, word),
            _ => Some(Resolved { spec, number: number(index, None) }),
        }
    }

    #[inline(never)]
    fn subcommand(spec: &'static Spec, index: usize, word: &[u8]) -> Option<Resolved> {
        let sub = spec.subcommands.iter().position(|sub| parse::is(word, sub.name))?;
        Some(Resolved { spec: &spec.subcommands[sub], number: number(index, Some(sub)) })
    }

    /// Why a request cannot be executed of which [`Table::find_right`] knows no command.
    #[cold]
    pub(crate) fn refusal(&self, args: Args<'_>) -> CommandError {
        match (self.find(args), self.lookup(&args[0])) {
            (Some(found), _) => wrong_arity(&found.name(self)),
            (None, Some(spec)) => unknown_subcommand(spec.name, &args[1]),
            (None, None) => unknown_command(args),
        }
    }

    /// The index of a command in [`Table::commands`], by its name in any case.
    fn index_of(&self, name: &[u8]) -> Option<usize> {
        let folded = Folded::of(name)?;
        let mut at = folded.hash(SLOTS);
        loop {
            let slot = &self.by_name[at];
            let index = usize::from(slot.index);
            let spec = self.commands.get(index)?;
            if slot.name == folded && (slot.is_told || name.eq_ignore_ascii_case(spec.name.as_bytes())) {
                return Some(index);
            }
            at = (at + 1) % SLOTS;
        }
    }

    /// The number of the command or subcommand that a request names, whether or not its arguments are right.
    pub(crate) fn number_of(&self, args: Args<'_>) -> Option<u32> {
        let index = self.index_of(args.get(0)?)?;
        let subcommands = self.commands[index].subcommands;
        let named = |word: &[u8]| subcommands.iter().position(|sub| parse::is(word, sub.name));
        Some(number(index, args.get(1).and_then(named)))
    }

    /// How many commands and subcommands there are.
    pub(crate) fn places(&self) -> usize {
        usize::from(self.first_places[self.commands.len()])
    }

    /// Where a command or subcommand stands among all of them, by its number.
    pub(crate) fn place(&self, number: u32) -> usize {
        usize::from(self.first_places[(number >> 8) as usize]) + (number & 0xff) as usize
    }

    /// The full name of the command or subcommand that stands there, such as `client|list`.
    pub(crate) fn name_at(&self, place: usize) -> String {
        let index = self.first_places.partition_point(|first| usize::from(*first) <= place) - 1;
        let sub = place - usize::from(self.first_places[index]);
        self.by_number(number(index, sub.checked_sub(1))).unwrap_or_default()
    }

    /// The full name of a command by its number, such as `client|list`.
    pub(crate) fn by_number(&self, number: u32) -> Option<String> {
        let spec = self.commands.get((number >> 8) as usize)?;
        match (number & 0xff).checked_sub(1) {
            None => Some(spec.name.to_owned()),
            Some(sub) => Some(format!("{}|{}", spec.name, spec.subcommands.get(sub as usize)?.name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::TABLE;

    #[test]
    fn every_command_is_found_in_any_case_and_nothing_else_is() {
        for &spec in TABLE.commands() {
            assert!(std::ptr::eq(TABLE.lookup(spec.name.as_bytes()).unwrap(), spec));
            assert!(std::ptr::eq(TABLE.lookup(spec.name.to_uppercase().as_bytes()).unwrap(), spec));
        }
        for name in [&b""[..], b"ge", b"gett", b"\0", b"sort\x7fro", b"georadiuzbymember", &[b'a'; 4096]] {
            assert!(TABLE.lookup(name).is_none());
        }
    }

    #[test]
    fn numbers_name_commands_and_subcommands() {
        let client = TABLE.index_of(b"client").unwrap();
        let sub = TABLE.commands[client].subcommands[1].name;
        assert_eq!(TABLE.by_number(number(client, None)).unwrap(), "client");
        assert_eq!(TABLE.by_number(number(client, Some(1))).unwrap(), format!("client|{sub}"));
        assert_eq!(TABLE.by_number(u32::MAX), None);
    }

    #[test]
    fn every_command_and_subcommand_has_a_place_of_its_own() {
        let mut names = Vec::new();
        for (index, spec) in TABLE.commands().iter().enumerate() {
            names.push((TABLE.place(number(index, None)), spec.name.to_owned()));
            for (sub, its) in spec.subcommands.iter().enumerate() {
                names.push((TABLE.place(number(index, Some(sub))), format!("{}|{}", spec.name, its.name)));
            }
        }
        assert_eq!(names.len(), TABLE.places());
        for (expected, (place, name)) in names.into_iter().enumerate() {
            assert_eq!((place, TABLE.name_at(place)), (expected, name));
        }
    }
}
