//! The commands that are compared, each as the syntax that `grammar` understands, with how often it comes.

use std::collections::HashSet;

use proptest::prelude::*;
use proptest::strategy::Union;

use crate::grammar::{self, Arg};
use crate::sorted_sets;

/// How often a command comes, and its syntax.
pub(crate) type Syntax = (u32, &'static str);

/// What writes strings comes often, so that the others find something.
#[rustfmt::skip]
pub(crate) const STRINGS: &[Syntax] = &[
    // Strings.
    (12, "SET <key> <value>"),
    (6, "SET <key> <value> [ NX | XX ] [ GET ] [ EX <seconds> | PX <milliseconds> | EXAT <futuredate> | PXAT <futuredatems> | KEEPTTL ]"),
    (1, "SET <key> <value> <any>+"),
    (6, "GET <key>"),
    (2, "GETSET <key> <value>"),
    (2, "GETDEL <key>"),
    (3, "GETEX <key> [ EX <seconds> | PX <milliseconds> | EXAT <date> | PXAT <datems> | PERSIST ]"),
    (1, "GETEX <key> <any>+"),
    (2, "SETNX <key> <value>"),
    (2, "SETEX <key> <seconds> <value>"),
    (2, "PSETEX <key> <milliseconds> <value>"),
    (3, "MGET <key>+"),
    (2, "MSET <key> <value> [ <key> <value> ] [ <key> <value> ]"),
    (2, "MSETNX <key> <value> [ <key> <value> ] [ <key> <value> ]"),
    (2, "INCR <key>"),
    (2, "DECR <key>"),
    (2, "INCRBY <key> <int>"),
    (2, "DECRBY <key> <int>"),
    (3, "INCRBYFLOAT <key> <float>"),
    (3, "APPEND <key> <value>"),
    (2, "STRLEN <key>"),
    (2, "GETRANGE <key> <index> <index>"),
    (1, "SUBSTR <key> <index> <index>"),
    (2, "SETRANGE <key> <offset> <value>"),
    (2, "LCS <key> <key> [ LEN ] [ IDX ] [ MINMATCHLEN <index> ] [ WITHMATCHLEN ]"),
    // Bits.
    (2, "SETBIT <key> <bitoffset> <bit>"),
    (2, "GETBIT <key> <bitoffset>"),
    (2, "BITCOUNT <key> [ <index> <index> [ BIT | BYTE ] ]"),
    (2, "BITPOS <key> <bit> [ <index> [ <index> [ BIT | BYTE ] ] ]"),
    (2, "BITOP ( AND | OR | XOR | NOT ) <key> <key>+"),
    (1, "BITOP NOT <key> <key>"),
    (4, "BITFIELD <key> [ GET <type> <fieldoffset> ] [ OVERFLOW ( WRAP | SAT | FAIL ) ] [ SET <type> <fieldoffset> <int> ] \
         [ INCRBY <type> <fieldoffset> <int> ] [ OVERFLOW ( SAT | FAIL ) ] [ INCRBY <type> <fieldoffset> <int> ]"),
    (1, "BITFIELD_RO <key> [ GET <type> <fieldoffset> ] [ GET <type> <fieldoffset> ]"),
    // Keys.
    (3, "DEL <key>+"),
    (1, "UNLINK <key>+"),
    (2, "EXISTS <key>+"),
    (1, "TOUCH <key>+"),
    (2, "TYPE <key>"),
    (2, "EXPIRE <key> <seconds> [ NX | XX | GT | LT ]"),
    (2, "PEXPIRE <key> <milliseconds> [ NX | XX | GT | LT ]"),
    (3, "EXPIREAT <key> <date> [ NX | XX | GT | LT ] [ GT | LT ]"),
    (3, "PEXPIREAT <key> <datems> [ NX | XX | GT | LT ] [ XX | NX ]"),
    (1, "EXPIRE <key> <seconds> <any>"),
    (2, "TTL <key>"),
    (2, "PTTL <key>"),
    (2, "EXPIRETIME <key>"),
    (2, "PEXPIRETIME <key>"),
    (2, "PERSIST <key>"),
    (2, "RENAME <key> <key>"),
    (2, "RENAMENX <key> <key>"),
    (3, "COPY <key> <key> [ DB <db> ] [ REPLACE ]"),
    (2, "MOVE <key> <db>"),
    (1, "SWAPDB <db> <db>"),
    (2, "SELECT <db>"),
    (2, "DBSIZE"),
    (2, "KEYS <pattern>"),
    (1, "RANDOMKEY"),
    (2, "OBJECT ENCODING <key>"),
    (1, "OBJECT ( FREQ | NOSUCH ) <key>"),
    // The rest of the database, and the connection.
    (1, "FLUSHDB [ ASYNC | SYNC | <any> ]"),
    (1, "ECHO <value>"),
    (1, "PING [ <value> ]"),
    (1, "CLIENT SETNAME ( conn | <key> )"),
    (1, "CLIENT GETNAME"),
    (1, "CLIENT NO-EVICT ( ON | OFF | <any> )"),
    (1, "CLIENT UNBLOCK ( -1 | abc ) [ TIMEOUT | ERROR | <any> ]"),
    (1, "CLIENT nosuch"),
    (1, "ACL WHOAMI"),
    (1, "COMMAND GETKEYS ( GET <key> | MSET <key> <value> <key> <value> | DEL <key>+ | BITOP AND <key> <key>+ | PING )"),
    (1, "COMMAND GETKEYSANDFLAGS ( GET <key> | COPY <key> <key> | MSET <key> <value> | PING )"),
    (1, "RESET"),
    (1, "MEMORY USAGE <key> [ SAMPLES <index> ]"),
    (1, "NOSUCHCOMMAND <value> <value>"),
];

/// What may happen to a key of any type, a string among them.
#[rustfmt::skip]
pub(crate) const KEYS: &[Syntax] = &[
    (2, "SET <key> <value>"),
    (1, "GET <key>"),
    (3, "DEL <key>+"),
    (1, "EXISTS <key>+"),
    (2, "TYPE <key>"),
    (2, "EXPIRE <key> <seconds>"),
    (2, "TTL <key>"),
    (1, "PERSIST <key>"),
    (2, "RENAME <key> <key>"),
    (2, "COPY <key> <key> [ DB <db> ] [ REPLACE ]"),
    (1, "MOVE <key> <db>"),
    (1, "SWAPDB <db> <db>"),
    (1, "SELECT <db>"),
    (1, "DBSIZE"),
    (1, "FLUSHDB"),
];

/// Commands that the server under test does not know, of those that are compared.
pub(crate) fn missing(syntax: &[Syntax], known: &HashSet<String>) -> Vec<&'static str> {
    let mut names: Vec<_> =
        syntax.iter().map(|(_, syntax)| name(syntax)).filter(|name| !is_known(name, known)).collect();
    names.dedup();
    names
}

fn name(syntax: &'static str) -> &'static str {
    syntax.split(' ').next().expect("a line names a command")
}

fn is_known(name: &str, known: &HashSet<String>) -> bool {
    name == "NOSUCHCOMMAND" || known.contains(&name.to_ascii_lowercase())
}

/// Any command that the server under test knows, now and then spoilt.
pub(crate) fn commands(syntax: &[Syntax], known: &HashSet<String>) -> BoxedStrategy<Vec<Arg>> {
    let all = syntax
        .iter()
        .filter(|(_, syntax)| is_known(name(syntax), known))
        .map(|(weight, syntax)| (*weight, grammar::commands(syntax)));
    let spoilt = |(command, spoil): (Vec<Arg>, Spoil)| {
        // With scores that differ, a range of members is whatever a server makes of it.
        if command.get(1).is_some_and(|key| key == sorted_sets::ONE_SCORE) {
            command
        } else {
            spoil.apply(command)
        }
    };
    (Union::new_weighted(all.collect()), spoil()).prop_map(spoilt).boxed()
}

/// What is done to a command so that it is wrong.
#[derive(Clone, Debug)]
enum Spoil {
    Nothing,
    DropLast,
    Append(Arg),
    Replace(usize, Arg),
}

fn spoil() -> impl Strategy<Value = Spoil> {
    let argument = || {
        proptest::sample::select(&["", "k1", "NX", "-1", "abc", "GET"][..])
            .prop_map(|s| s.as_bytes().to_vec())
    };
    prop_oneof![
        30 => Just(Spoil::Nothing),
        1 => Just(Spoil::DropLast),
        1 => argument().prop_map(Spoil::Append),
        1 => (2..5usize, argument()).prop_map(|(at, arg)| Spoil::Replace(at, arg)),
    ]
}

impl Spoil {
    fn apply(self, mut command: Vec<Arg>) -> Vec<Arg> {
        match self {
            Self::DropLast if command.len() > 1 => drop(command.pop()),
            Self::Nothing | Self::DropLast => {}
            Self::Append(arg) => command.push(arg),
            Self::Replace(at, arg) => {
                if let Some(place) = command.get_mut(at) {
                    *place = arg;
                }
            }
        }
        command
    }
}
