//! The oracle: the same random programs to Modb and to Debian's redis-server, and every reply compared.
//!
//! A program is a series of bursts by three clients, each speaking RESP2 or RESP3, with restarts of Modb (only of
//! Modb: its data must outlive them) and keys that run out in between. What cannot be compared stands in
//! `exceptions`, each with its reason. Runs are the same each time: the first seed is fixed, or given by
//! `MODB_ORACLE_SEED`; a difference is shrunk to the shortest program that still shows it.

mod apart;
mod commands;
mod crowds;
mod events;
mod exceptions;
mod further;
mod grammar;
mod hashes;
mod lists;
mod program;
mod pushes;
mod run;
mod schedules;
mod sets;
mod sorted_sets;
mod transactions;
mod waiting;

use std::cell::{Cell, RefCell};
use std::collections::HashSet;

use modb_tests::platform::Product;
use modb_tests::{Launch, Platform, Reply, Where, binary, skip};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use program::Kind;
use run::Pair;

/// How long a difference may be shrunk, in milliseconds. What is left then is shown.
const MAX_SHRINK_MS: u32 = 20_000;

/// How many differences are looked for before the run ends: often one fault shows in several ways.
const MAX_DIFFERENCES: usize = 16;

#[test]
fn random_commands_get_the_same_replies() {
    let platform = Platform::here();
    if let Some(reason) = cannot_run(&platform) {
        skip!("{reason}");
    }
    // The same code computes the replies everywhere; what is another's is how it stores them, and starts again.
    let commands = if platform.is(Where::Windows) { 20_000 } else { 200_000 };
    compare(&platform, from_env(commands), commands::STRINGS);
}

#[test]
#[ignore = "ten times the commands"]
fn long_two_million_random_commands_get_the_same_replies() {
    let platform = Platform::here();
    if let Some(reason) = cannot_run(&platform) {
        skip!("{reason}");
    }
    compare(&platform, from_env(2_000_000), commands::STRINGS);
}

/// Makes a test of each type: so many random commands about it and about keys.
macro_rules! types {
    ($($(#[$long:meta])? $name:ident: $commands:literal, $syntax:path;)*) => {
        $(
            #[test]
            $(#[$long])?
            fn $name() {
                let platform = Platform::here();
                if let Some(reason) = cannot_compare_types(&platform) {
                    skip!("{reason}");
                }
                compare(&platform, from_env($commands), &[$syntax, commands::KEYS].concat());
            }
        )*
    };
}

types! {
    lists_answer_a_hundred_thousand_random_commands_the_same: 100_000, lists::LISTS;
    sorted_sets_answer_a_hundred_thousand_random_commands_the_same: 100_000, sorted_sets::SORTED_SETS;
    hashes_answer_a_hundred_thousand_random_commands_the_same: 100_000, hashes::HASHES;
    sets_answer_a_hundred_thousand_random_commands_the_same: 100_000, sets::SETS;
    sorting_answers_thirty_thousand_random_commands_the_same: 30_000, further::SORTED;
    hyperloglogs_answer_twenty_thousand_random_commands_the_same: 20_000, further::HYPERLOGLOGS;
    places_answer_thirty_thousand_random_commands_the_same: 30_000, further::PLACES;

    #[ignore = "a million commands"]
    long_lists_answer_a_million_random_commands_the_same: 1_000_000, lists::LISTS;
    #[ignore = "a million commands"]
    long_sorted_sets_answer_a_million_random_commands_the_same: 1_000_000, sorted_sets::SORTED_SETS;
    #[ignore = "a million commands"]
    long_hashes_answer_a_million_random_commands_the_same: 1_000_000, hashes::HASHES;
    #[ignore = "a million commands"]
    long_sets_answer_a_million_random_commands_the_same: 1_000_000, sets::SETS;
    #[ignore = "a million commands"]
    long_sorting_answers_a_million_random_commands_the_same: 1_000_000, further::SORTED;
    #[ignore = "a million commands"]
    long_hyperloglogs_answer_a_million_random_commands_the_same: 1_000_000, further::HYPERLOGLOGS;
    #[ignore = "a million commands"]
    long_places_answer_a_million_random_commands_the_same: 1_000_000, further::PLACES;
}

#[test]
fn those_who_wait_are_served_the_same_step_by_step() {
    let platform = Platform::here();
    if let Some(reason) = cannot_compare_types(&platform) {
        skip!("{reason}");
    }
    waiting::compare(&platform, from_env(60_000) as usize, seed_from_env(1));
}

#[test]
#[ignore = "ten times the steps"]
fn long_those_who_wait_are_served_the_same_step_by_step() {
    let platform = Platform::here();
    if let Some(reason) = cannot_compare_types(&platform) {
        skip!("{reason}");
    }
    waiting::compare(&platform, from_env(600_000) as usize, seed_from_env(100_000));
}

#[test]
fn clients_are_told_the_same_of_keys_and_of_each_other_step_by_step() {
    let platform = Platform::here();
    if let Some(reason) = cannot_compare_types(&platform) {
        skip!("{reason}");
    }
    pushes::compare(&platform, from_env(40_000) as usize, seed_from_env(1));
}

#[test]
#[ignore = "ten times the steps"]
fn long_clients_are_told_the_same_of_keys_and_of_each_other_step_by_step() {
    let platform = Platform::here();
    if let Some(reason) = cannot_compare_types(&platform) {
        skip!("{reason}");
    }
    pushes::compare(&platform, from_env(400_000) as usize, seed_from_env(100_000));
}

#[test]
fn keys_that_were_dropped_from_memory_answer_the_same() {
    compare_beyond_memory(1_500, crowds::STRINGS);
}

#[test]
#[ignore = "three hundred thousand commands"]
fn long_keys_that_were_dropped_from_memory_answer_300_000_random_commands_the_same() {
    compare_beyond_memory(300_000, crowds::STRINGS);
}

#[test]
fn collections_that_were_dropped_from_memory_answer_the_same() {
    compare_beyond_memory(800, &crowds::collections());
}

#[test]
#[ignore = "three hundred thousand commands"]
fn long_collections_that_were_dropped_from_memory_answer_300_000_random_commands_the_same() {
    compare_beyond_memory(300_000, &crowds::collections());
}

#[test]
fn transactions_answer_a_hundred_thousand_random_commands_the_same() {
    let platform = Platform::here();
    if let Some(reason) = cannot_compare_types(&platform) {
        skip!("{reason}");
    }
    let commands = from_env(100_000);
    compare(&platform, commands, &transactions::with_others());
    transactions::assert_tried(commands);
}

#[test]
#[ignore = "ten times the commands"]
fn long_transactions_answer_a_million_random_commands_the_same() {
    let platform = Platform::here();
    if let Some(reason) = cannot_compare_types(&platform) {
        skip!("{reason}");
    }
    compare(&platform, from_env(1_000_000), &transactions::with_others());
}

#[test]
fn fifteen_thousand_random_commands_tell_the_same_events() {
    let platform = Platform::here();
    if let Some(reason) = cannot_compare_types(&platform) {
        skip!("{reason}");
    }
    let commands = from_env(15_000);
    let events = compare_with(&platform, commands, &events::syntax(), true, Kind::InMemory);
    println!("{events} events");
    assert!(2 * events > commands, "too few to show anything");
}

#[test]
#[ignore = "ten times the commands"]
fn long_a_million_random_commands_tell_the_same_events() {
    let platform = Platform::here();
    if let Some(reason) = cannot_compare_types(&platform) {
        skip!("{reason}");
    }
    compare_with(&platform, from_env(1_000_000), &events::syntax(), true, Kind::InMemory);
}

/// How many commands, unless `MODB_ORACLE_COMMANDS` says so.
fn from_env(commands: u64) -> u64 {
    let given = std::env::var("MODB_ORACLE_COMMANDS").ok();
    given.map_or(commands, |count| count.parse().expect("MODB_ORACLE_COMMANDS is a number"))
}

/// The first seed, unless `MODB_ORACLE_SEED` says so.
fn seed_from_env(seed: u64) -> u64 {
    let given = std::env::var("MODB_ORACLE_SEED").ok();
    given.map_or(seed, |seed| seed.parse().expect("MODB_ORACLE_SEED is a number"))
}

/// As [`cannot_run`]; what a type answers is computed by the same code everywhere, and takes minutes to compare.
fn cannot_compare_types(platform: &Platform) -> Option<&'static str> {
    if platform.is(Where::Windows) {
        return Some("types are compared on Linux: what they answer is computed by the same code");
    }
    cannot_run(platform)
}

fn cannot_run(platform: &Platform) -> Option<&'static str> {
    if platform.is(Where::WindowsHost) {
        return Some("there is no redis-server on Windows: that is why Modb is");
    }
    (!binary::is_installed("redis-server")).then_some("redis-server is not installed (Debian: redis-server)")
}

fn compare(platform: &Platform, commands: u64, syntax: &[commands::Syntax]) {
    compare_with(platform, commands, syntax, false, Kind::InMemory);
}

/// Compares programs whose keys are dropped from memory again and again.
fn compare_beyond_memory(commands: u64, syntax: &[commands::Syntax]) {
    let platform = Platform::here();
    if let Some(reason) = cannot_compare_types(&platform) {
        skip!("{reason}");
    }
    compare_with(&platform, from_env(commands), syntax, false, Kind::BeyondMemory);
}

/// Compares replies, and events of keys as well if somebody `listens`; how many events that were.
fn compare_with(
    platform: &Platform,
    commands: u64,
    syntax: &[commands::Syntax],
    listens: bool,
    kind: Kind,
) -> u64 {
    let first_seed = seed_from_env(20_261_123);
    let mut subject = Launch::new(platform).with_durability("everysec").with("--enable-debug-command", "yes");
    if kind == Kind::BeyondMemory {
        subject = subject.with("--cache-mb", crowds::CACHE_MB);
    }
    let pair = Pair::start(&subject, &Launch::product(Product::Redis)).listening(listens);
    let known = known_commands(&pair);
    let missing = commands::missing(syntax, &known);
    if !missing.is_empty() {
        skip::note("oracle", &format!("commands that the server does not know yet: {}", missing.join(" ")));
    }

    let pair = RefCell::new(pair);
    let compared = Cell::new(0);
    let programs = program::programs(syntax, &known, kind);
    let config = Config {
        failure_persistence: None,
        max_shrink_iters: 4000,
        max_shrink_time: MAX_SHRINK_MS,
        cases: 1,
        ..Config::default()
    };
    // Each program has a seed of its own, so that it can be run again alone.
    let mut seed = first_seed;
    let mut differences = Vec::new();
    while compared.get() < commands {
        let mut seed_bytes = [0; 32];
        seed_bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed_bytes);
        let result = TestRunner::new_with_rng(config.clone(), rng).run(&programs, |program| {
            let count = pair.borrow_mut().run(&program).map_err(TestCaseError::fail)?;
            compared.set(compared.get() + count);
            Ok(())
        });
        match result {
            Ok(()) => {}
            Err(TestError::Fail(difference, program)) => {
                let difference = format!("MODB_ORACLE_SEED={seed}: {difference}\nin:\n{program}");
                // At once: a long run may be given up before its end.
                eprintln!("after {} commands, {difference}", compared.get());
                differences.push(difference);
            }
            Err(abort) => panic!("{abort}"),
        }
        seed += 1;
        if differences.len() == MAX_DIFFERENCES {
            break;
        }
    }
    let count = differences.len();
    assert!(count == 0, "{count} differences in {} commands\n{}", compared.get(), differences.join("\n"));
    println!("{} commands, 0 differences, seeds {first_seed} to {}", compared.get(), seed - 1);
    pair.into_inner().events
}

/// What `COMMAND LIST` of the server under test names, in lower case.
fn known_commands(pair: &Pair) -> HashSet<String> {
    let reply = pair.subject().peer().ask("COMMAND LIST");
    reply.items().iter().map(Reply::text).map(|name| name.to_ascii_lowercase()).collect()
}
