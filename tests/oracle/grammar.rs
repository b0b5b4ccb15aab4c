//! A command's syntax as one line of text, turned into a generator of commands.
//!
//! ```text
//! SET <key> <value> [ NX | XX ] [ GET ] [ EX <seconds> | KEEPTTL ]
//! ```
//! A word stands for itself, `<name>` for a kind of argument, `[ ]` for something optional, `( | )` for one of
//! several, and a `+` behind a word for one to three of it. The line is the documentation of what is tried.

use std::ops::RangeInclusive;

use proptest::prelude::*;
use proptest::strategy::Union;

/// One argument of a command.
pub(crate) type Arg = Vec<u8>;

/// The commands that `syntax` describes.
///
/// # Panics
/// If the line is not well formed.
pub(crate) fn commands(syntax: &str) -> BoxedStrategy<Vec<Arg>> {
    let tokens: Vec<&str> = syntax.split_whitespace().collect();
    let mut rest = &tokens[..];
    let strategy = alternatives(&mut rest);
    assert!(rest.is_empty(), "unbalanced brackets in {syntax:?}");
    strategy
}

fn alternatives(tokens: &mut &[&str]) -> BoxedStrategy<Vec<Arg>> {
    let mut choices = vec![sequence(tokens)];
    while tokens.first() == Some(&"|") {
        *tokens = &tokens[1..];
        choices.push(sequence(tokens));
    }
    Union::new(choices).boxed()
}

fn sequence(tokens: &mut &[&str]) -> BoxedStrategy<Vec<Arg>> {
    let mut parts: Vec<BoxedStrategy<Vec<Arg>>> = Vec::new();
    while let Some((&token, rest)) = tokens.split_first() {
        if matches!(token, "|" | "]" | ")") {
            break;
        }
        *tokens = rest;
        if matches!(token, "[" | "(") {
            let inner = alternatives(tokens);
            *tokens = tokens.split_first().expect("the bracket is closed").1;
            parts.push(match token {
                "[" => proptest::option::weighted(0.4, inner).prop_map(Option::unwrap_or_default).boxed(),
                _ => inner,
            });
        } else if let Some(name) = token.strip_suffix('+') {
            parts.push(proptest::collection::vec(word(name), 1..4).boxed());
        } else {
            parts.push(word(token).prop_map(|word| vec![word]).boxed());
        }
    }
    parts.prop_map(|parts| parts.concat()).boxed()
}

fn word(token: &str) -> BoxedStrategy<Arg> {
    match token.strip_prefix('<').and_then(|name| name.strip_suffix('>')) {
        Some(name) => argument(name),
        None => {
            // Names and options are known in any case.
            let (upper, lower) = (token.as_bytes().to_vec(), token.to_ascii_lowercase().into_bytes());
            prop_oneof![9 => Just(upper), 1 => Just(lower)].boxed()
        }
    }
}

/// One of these texts.
fn texts(texts: &'static [&'static str]) -> BoxedStrategy<Arg> {
    proptest::sample::select(texts).prop_map(|text| text.as_bytes().to_vec()).boxed()
}

fn numbers(range: RangeInclusive<i64>) -> BoxedStrategy<Arg> {
    range.prop_map(|n| n.to_string().into_bytes()).boxed()
}

/// Mostly these numbers, sometimes those texts, sometimes what is no number at all.
fn integers(range: RangeInclusive<i64>, edges: &'static [&'static str]) -> BoxedStrategy<Arg> {
    prop_oneof![12 => numbers(range), 2 => texts(edges), 1 => texts(ODD_NUMBERS)].boxed()
}

/// What is no number, or hardly one.
#[rustfmt::skip]
const ODD_NUMBERS: &[&str] = &[
    "abc", "", "1.5", " 1", "1 ", "+1", "-0", "01", "9223372036854775808", "-9223372036854775809",
    "99999999999999999999999", "1e3", "nan", "--1",
];

const MAX: &str = "9223372036854775807";
const MIN: &str = "-9223372036854775808";

#[rustfmt::skip]
fn argument(name: &str) -> BoxedStrategy<Arg> {
    match name {
        "key" => prop_oneof![
            12 => (0..6u8).prop_map(|n| vec![b'k', b'0' + n]),
            1 => texts(&["", "k", "K1", "{k}1", "key with blank", "n\r\nl"]),
            1 => Just(vec![0, 255, b'k', 128]),
        ].boxed(),
        "value" => prop_oneof![
            6 => numbers(-20..=120),
            2 => texts(&[
                MAX, MIN, "9223372036854775806", "10000000000000000000", "3.14", "-0.5", "1e5", "0.1", "5.0e3",
                "inf", "-0",
            ]),
            1 => texts(ODD_NUMBERS),
            4 => texts(&[
                "hello", "ohmytext", "mynewtext", "foobar", "a\r\nb",
                "The quick brown fox jumps over the lazy dog, twice!",
            ]),
            3 => proptest::collection::vec(any::<u8>(), 0..24),
            1 => proptest::collection::vec(any::<u8>(), 40..200),
        ].boxed(),
        "int" => integers(-20..=20, &[MAX, MIN, "9223372036854775800", "4611686018427387904"]),
        "float" => prop_oneof![
            4 => (-4000i32..4000, 0..4)
                .prop_map(|(n, digits)| format!("{}", f64::from(n) / 10f64.powi(digits)).into_bytes()),
            2 => texts(&[
                "1.5e3", "3", "-3", "1e-5", "1e17", "1e20", "0.1", "0.2", "5.0e3", "-5.0e3", "200", ".5", "5.",
            ]),
            1 => texts(&["inf", "-inf", "nan", "1e308", "1e5000", "abc", "", " 1", "1 ", "1e", "0x10", "-0x1.8p1", "0x", "infinity"]),
        ].boxed(),
        "index" => integers(-16..=40, &[MAX, MIN, "4294967296", "-4294967296"]),
        // A large one that is allowed would make values of half a gigabyte.
        "offset" => integers(0..=120, &["-1", "536870912", "4294967295", "4294967296", MAX]),
        "bitoffset" => integers(0..=300, &["-1", "4294967296", MAX]),
        "fieldoffset" => prop_oneof![
            6 => numbers(0..=150),
            3 => (0..12u8).prop_map(|n| format!("#{n}").into_bytes()),
            1 => texts(&["-1", "#-1", "abc", "", "#", "4294967296"]),
        ].boxed(),
        "type" => prop_oneof![
            8 => (proptest::sample::select(&["u", "i"][..]), 1..=64u8)
                .prop_map(|(sign, bits)| format!("{sign}{bits}").into_bytes()),
            1 => texts(&["u64", "i65", "u0", "i0", "x8", "u", "", "8"]),
        ].boxed(),
        "bit" => prop_oneof![8 => numbers(0..=1), 1 => texts(&["2", "-1", "", "a", "01"])].boxed(),
        // Far away, or impossible: what runs out during the comparison is made by a step of its own.
        "seconds" => integers(10_000..=90_000, &["0", "-1", "-10000", MAX, MIN, "9223372036854775"]),
        "milliseconds" => integers(10_000_000..=90_000_000, &["0", "-1", MAX, MIN]),
        "date" => integers(4_100_000_000..=4_100_000_009, &["0", "-1", MAX, "9223372036854775"]),
        "datems" => integers(4_100_000_000_000..=4_100_000_000_009, &["0", "-1", MAX]),
        "futuredate" => numbers(4_100_000_000..=4_100_000_009),
        "futuredatems" => numbers(4_100_000_000_000..=4_100_000_000_009),
        "db" => prop_oneof![12 => numbers(0..=3), 1 => texts(&["15", "16", "-1", "a", "", "99999999999"])].boxed(),
        "pattern" => texts(&[
            "*", "k*", "k?", "k[0-2]", "k[^0-2]", "[a-z]1", "\\k1", "nothing", "*k*", "??", "k[", "", "{*", "k[2-0]",
        ]),
        // Whole numbers and halves: 7.0 writes all 17 digits of the others.
        "score" => prop_oneof![
            10 => (-12i32..=12).prop_map(|n| format!("{}", f64::from(n) / 2.0).into_bytes()),
            1 => texts(&["inf", "-inf", "+inf", "-0", "1e3", "0x10", "5.", ".5", "1e16", "123456789012"]),
            1 => texts(&["nan", "abc", "", " 1", "1e400", "1 "]),
        ].boxed(),
        "weight" => prop_oneof![
            8 => (-4i32..=4).prop_map(|n| n.to_string().into_bytes()),
            1 => texts(&["inf", "-inf", "0.5", "abc", "nan"]),
        ].boxed(),
        "edge" => prop_oneof![
            8 => ((-12i32..=12), any::<bool>())
                .prop_map(|(n, open)| format!("{}{}", if open { "(" } else { "" }, f64::from(n) / 2.0).into_bytes()),
            3 => texts(&["-inf", "+inf", "inf", "(inf", "(-inf"]),
            1 => texts(&["abc", "", "(", " 1", "1 ", "nan", "((1", "1e400"]),
        ].boxed(),
        "place" => prop_oneof![
            6 => (any::<bool>(), 0..40u8).prop_map(|(open, n)| format!("{}m{n}", if open { "(" } else { "[" }).into_bytes()),
            3 => texts(&["-", "+", "[", "(", "[m", "(z"]),
            1 => texts(&["", "m1", "--"]),
        ].boxed(),
        "member" => prop_oneof![
            12 => (0..40u8).prop_map(|n| format!("m{n}").into_bytes()),
            2 => (-20i32..2000).prop_map(|n| n.to_string().into_bytes()),
            1 => texts(&["", "a\r\nb"]),
            1 => proptest::collection::vec(any::<u8>(), 0..12),
            1 => (60usize..70, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]),
        ].boxed(),
        // Few, so that some are the same.
        "element" => prop_oneof![
            12 => (0..8u8).prop_map(|n| format!("e{n}").into_bytes()),
            2 => numbers(-20..=20),
            1 => texts(&["", "a\r\nb", MAX]),
            1 => proptest::collection::vec(any::<u8>(), 0..100),
        ].boxed(),
        "field" => prop_oneof![
            12 => (0..30u8).prop_map(|n| format!("f{n}").into_bytes()),
            1 => texts(&["", "a\r\nb", "-1", "7"]),
            1 => proptest::collection::vec(any::<u8>(), 0..12),
            1 => (60usize..70, 0..4u8).prop_map(|(len, byte)| vec![byte; len]),
        ].boxed(),
        "integer" => prop_oneof![12 => numbers(-40..=300), 1 => texts(&[MAX, MIN, "-0", "01", "9223372036854775808"])].boxed(),
        "fieldpattern" => texts(&["*", "f1*", "m?", "[fm]2*", "nothing", "*\r*", "-*", "[1-3]*"]),
        "rank" => integers(-8..=20, &[MAX, MIN, "-1"]),
        "count" => integers(0..=5, &["-1", MAX]),
        "longitude" => prop_oneof![
            12 => (-1800i32..=1800).prop_map(|n| format!("{}", f64::from(n) / 10.0).into_bytes()),
            4 => (1300i32..=1400).prop_map(|n| format!("{}", f64::from(n) / 100.0).into_bytes()),
            1 => texts(&["180", "-180", "180.1", "abc", "0", "nan"]),
        ].boxed(),
        "latitude" => prop_oneof![
            12 => (-850i32..=850).prop_map(|n| format!("{}", f64::from(n) / 10.0).into_bytes()),
            4 => (3700i32..=3800).prop_map(|n| format!("{}", f64::from(n) / 100.0).into_bytes()),
            1 => texts(&["85.05112878", "-85.05112878", "86", "", "0"]),
        ].boxed(),
        "distance" => prop_oneof![
            8 => numbers(0..=20_000),
            4 => numbers(0..=50),
            1 => texts(&["-1", "0.5", "1e9", "abc", "inf"]),
        ].boxed(),
        "any" => prop_oneof![
            texts(&["GET", "SET", "k1", "EX", "NX", "*", "-1"]),
            proptest::collection::vec(any::<u8>(), 0..6),
        ].boxed(),
        other => panic!("no such kind of argument: {other}"),
    }
}
