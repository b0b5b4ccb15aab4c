//! A random program: what it consists of, how it is generated, how it reads when it shows a difference.

use std::collections::HashSet;
use std::fmt::{self, Write as _};

use proptest::prelude::*;

use crate::commands::{self, Syntax};
use crate::grammar::Arg;

/// How many clients take part.
pub(crate) const CLIENTS: usize = 3;

/// A series of steps by several clients.
#[derive(Clone)]
pub(crate) struct Program {
    /// Whether each client speaks RESP3.
    pub(crate) resp3: [bool; CLIENTS],
    /// Whether collections of a few elements are trees of many levels.
    pub(crate) small_pages: bool,
    pub(crate) limits: Limits,
    pub(crate) steps: Vec<Step>,
}

/// Up to what size collections are compact, on both servers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) elements: u16,
    pub(crate) bytes: u16,
    pub(crate) integers: u16,
}

impl Limits {
    /// Redis's own, or some that are often exceeded. None is below what one command names: 7.2 guesses from that, 7.0 does not.
    fn any() -> impl Strategy<Value = Self> {
        let own = Just(Self { elements: 128, bytes: 64, integers: 512 });
        let low = (9..24u16, 0..70u16, 9..24u16);
        prop_oneof![own, low.prop_map(|(elements, bytes, integers)| Self { elements, bytes, integers })]
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { elements, bytes, integers } = self;
        write!(
            f,
            "CONFIG SET hash-max-listpack-entries {elements} hash-max-listpack-value {bytes} zset-max-listpack-entries \
             {elements} zset-max-listpack-value {bytes} set-max-intset-entries {integers}"
        )
    }
}

/// What happens next.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// One client sends commands in one pipeline.
    Burst { client: usize, commands: Vec<Vec<Arg>> },
    /// One client reads all keys with SCAN.
    Scan { client: usize, options: Vec<Arg> },
    /// A key's time runs out.
    RunOut { client: usize, key: Arg },
    /// Modb ends, by a kill or in order, and starts again; all clients connect anew.
    Restart { kill: bool },
    /// So much else is written that all of this is dropped from memory, before the next step or beside it.
    Crowd { waits: bool },
}

/// What a run consists of, beside its commands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// All that is written stays in memory.
    InMemory,
    /// Now and then a crowd comes.
    BeyondMemory,
}

/// All programs of commands that the server under test knows.
pub(crate) fn programs(syntax: &[Syntax], known: &HashSet<String>, kind: Kind) -> BoxedStrategy<Program> {
    let client = || 0..CLIENTS;
    let bursts = (client(), proptest::collection::vec(commands::commands(syntax, known), 1..24))
        .prop_map(|(client, commands)| Step::Burst { client, commands });
    let scan_options = proptest::sample::select(
        &["", "COUNT 1", "COUNT 100", "MATCH k* COUNT 3", "TYPE string", "MATCH *1 TYPE string", "TYPE list"]
            [..],
    );
    let scans = (client(), scan_options).prop_map(|(client, options)| Step::Scan {
        client,
        options: options.split_whitespace().map(|word| word.as_bytes().to_vec()).collect(),
    });
    let run_outs =
        (client(), 0..6u8).prop_map(|(client, n)| Step::RunOut { client, key: vec![b'k', b'0' + n] });
    let restarts = any::<bool>().prop_map(|kill| Step::Restart { kill });
    let crowds = proptest::bool::weighted(0.8).prop_map(|waits| Step::Crowd { waits });
    let usual = prop_oneof![600 => bursts, 20 => scans, 4 => run_outs, 2 => restarts];
    let steps = match kind {
        Kind::InMemory => usual.boxed(),
        Kind::BeyondMemory => prop_oneof![2 => usual, 1 => crowds].boxed(),
    };
    (any::<[bool; CLIENTS]>(), any::<bool>(), Limits::any(), proptest::collection::vec(steps, 1..24))
        .prop_map(|(resp3, small_pages, limits, steps)| Program { resp3, small_pages, limits, steps })
        .boxed()
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "clients speak {:?}", self.resp3.map(|three| if three { "RESP3" } else { "RESP2" }))?;
        if self.small_pages {
            writeln!(f, "DEBUG SMALL-PAGES yes")?;
        }
        writeln!(f, "{}", self.limits)?;
        for step in &self.steps {
            match step {
                Step::Burst { client, commands } => {
                    for command in commands {
                        writeln!(f, "{client}> {}", written(command))?;
                    }
                }
                Step::Scan { client, options } => writeln!(f, "{client}> (whole scan) {}", written(options))?,
                Step::RunOut { client, key } => {
                    writeln!(f, "{client}> (runs out) {}", written(std::slice::from_ref(key)))?;
                }
                Step::Crowd { waits } => {
                    writeln!(f, "({})", if *waits { "a crowd comes and goes" } else { "a crowd comes" })?;
                }
                Step::Restart { kill } => {
                    writeln!(f, "({})", if *kill { "killed, restarted" } else { "ended, restarted" })?;
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A command as one would type it.
pub(crate) fn written(command: &[Arg]) -> String {
    let mut line = String::new();
    for (n, arg) in command.iter().enumerate() {
        if n > 0 {
            line.push(' ');
        }
        if !arg.is_empty() && arg.iter().all(|b| b.is_ascii_graphic() && !b"\"'\\".contains(b)) {
            line.push_str(&String::from_utf8_lossy(arg));
        } else {
            let _ = write!(line, "\"{}\"", arg.escape_ascii());
        }
    }
    line
}
