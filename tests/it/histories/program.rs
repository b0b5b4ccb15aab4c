//! What the clients of a history are to do, by chance: what stands in a seed's program is the same each time, how it comes together is
//! not.

use modb_tests::peer::encode;
use modb_tests::random::Random;

use super::model::{CLIENTS, Command, End, KEYS, Key, Op};

/// How long one waits for an element: long enough for others to come, short enough for a thousand histories.
const WAIT_SECONDS: &str = "0.01";

/// What a client sends at once. Others come between any two of them.
pub(super) type Burst = Vec<Op>;

/// Which commands are frequent.
#[derive(Clone, Copy)]
enum Mix {
    Lists,
    Numbers,
    Sets,
    All,
}

/// `count` things to do for each client.
pub(super) fn program(seed: u64, count: usize) -> [Vec<Burst>; CLIENTS] {
    let mut random = Random::new(seed);
    let mix = [Mix::Lists, Mix::Lists, Mix::Numbers, Mix::Sets, Mix::All][random.below(5) as usize];
    let mut fresh = 0;
    std::array::from_fn(|_| {
        let mut ops = Vec::new();
        while ops.len() < count {
            let mut chooser = Chooser { random: &mut random, mix, fresh: &mut fresh };
            ops.extend(chooser.ops());
        }
        ops.truncate(count);
        let mut bursts = Vec::new();
        while !ops.is_empty() {
            let len = (1 + random.below(6) as usize).min(ops.len());
            bursts.push(ops.drain(..len).collect());
        }
        bursts
    })
}

struct Chooser<'r> {
    random: &'r mut Random,
    mix: Mix,
    /// Values are told apart, so that a reply says where it comes from.
    fresh: &'r mut i64,
}

impl Chooser<'_> {
    fn ops(&mut self) -> Vec<Op> {
        match self.random.below(10) {
            0 | 1 => vec![self.transaction()],
            2 => {
                let key = self.key();
                let look = match self.mix {
                    Mix::Lists => Command::Range(key),
                    Mix::Sets => Command::Members(key),
                    Mix::Numbers | Mix::All => Command::Get(key),
                };
                vec![Op::Watch(key), Op::One(look), self.transaction()]
            }
            _ => vec![Op::One(self.command())],
        }
    }

    fn transaction(&mut self) -> Op {
        let len = 1 + self.random.below(4);
        Op::Transaction((0..len).map(|_| self.command()).collect())
    }

    fn command(&mut self) -> Command {
        let (one, other) = self.two_keys();
        match self.random.below(20) {
            0 => return Command::Exists,
            1 => return Command::Del(one, other),
            2 => return Command::Rename(one, other),
            3 => return Command::Copy(one, other),
            4 if self.random.below(4) == 0 => return Command::FlushAll,
            _ => {}
        }
        let mix = match self.mix {
            Mix::All => [Mix::Lists, Mix::Numbers, Mix::Sets][self.random.below(3) as usize],
            mix => mix,
        };
        match mix {
            Mix::Numbers | Mix::All => self.number(one, other),
            Mix::Lists => self.list(one, other),
            Mix::Sets => self.set(one, other),
        }
    }

    fn number(&mut self, one: Key, other: Key) -> Command {
        match self.random.below(8) {
            0 | 1 => Command::Incr(one),
            2 => Command::Get(one),
            3 => Command::Set(one, self.value()),
            4 | 5 => Command::MSet(one, other, self.value()),
            _ => Command::MGet,
        }
    }

    fn list(&mut self, one: Key, other: Key) -> Command {
        let (end, far) = (self.end(), self.end());
        match self.random.below(12) {
            0..4 => {
                let len = 1 + self.random.below(3);
                Command::Push(end, one, (0..len).map(|_| self.value()).collect())
            }
            4 | 5 => Command::Pop(end, one),
            6 => Command::Move(one, end, if self.random.below(4) == 0 { one } else { other }, far),
            7 => Command::Range(one),
            8 | 9 => Command::BlockingPop(end, vec![one, other]),
            10 => Command::BlockingPop(end, vec![one]),
            _ => Command::BlockingMove(one, end, other, far),
        }
    }

    fn set(&mut self, one: Key, other: Key) -> Command {
        let member = self.random.below(6) as i64;
        match self.random.below(6) {
            0 | 1 => Command::Add(one, member),
            2 | 3 => Command::Shift(one, other, member),
            4 => Command::Members(one),
            _ => Command::UnionStore(self.key(), one, other),
        }
    }

    fn key(&mut self) -> Key {
        self.random.below(KEYS.len() as u64) as Key
    }

    fn two_keys(&mut self) -> (Key, Key) {
        let one = self.key();
        (one, (one + 1 + self.random.below(KEYS.len() as u64 - 1) as Key) % KEYS.len())
    }

    fn end(&mut self) -> End {
        if self.random.below(2) == 0 { End::Left } else { End::Right }
    }

    fn value(&mut self) -> i64 {
        *self.fresh += 1;
        *self.fresh
    }
}

impl Op {
    /// As it is sent.
    pub(super) fn wire(&self) -> Vec<u8> {
        match self {
            Self::One(command) => encode(command.words()),
            Self::Watch(key) => encode(["WATCH", KEYS[*key]]),
            Self::Transaction(commands) => {
                let queued = commands.iter().flat_map(|command| encode(command.words()));
                encode(["MULTI"]).into_iter().chain(queued).chain(encode(["EXEC"])).collect()
            }
        }
    }
}

impl Command {
    fn words(&self) -> Vec<String> {
        let text = match self {
            Self::Get(key) => format!("GET {}", KEYS[*key]),
            Self::Set(key, n) => format!("SET {} {n}", KEYS[*key]),
            Self::Incr(key) => format!("INCR {}", KEYS[*key]),
            Self::MSet(one, other, n) => format!("MSET {} {n} {} {n}", KEYS[*one], KEYS[*other]),
            Self::MGet => format!("MGET {}", KEYS.join(" ")),
            Self::Exists => format!("EXISTS {}", KEYS.join(" ")),
            Self::Del(one, other) => format!("DEL {} {}", KEYS[*one], KEYS[*other]),
            Self::Rename(from, to) => format!("RENAME {} {}", KEYS[*from], KEYS[*to]),
            Self::Copy(from, to) => format!("COPY {} {} REPLACE", KEYS[*from], KEYS[*to]),
            Self::FlushAll => "FLUSHALL".into(),
            Self::Push(end, key, elements) => {
                let elements: Vec<String> = elements.iter().map(i64::to_string).collect();
                format!("{} {} {}", end.command("LPUSH", "RPUSH"), KEYS[*key], elements.join(" "))
            }
            Self::Pop(end, key) => format!("{} {}", end.command("LPOP", "RPOP"), KEYS[*key]),
            Self::Move(from, take, to, give) => {
                format!("LMOVE {} {} {} {}", KEYS[*from], KEYS[*to], take.word(), give.word())
            }
            Self::Range(key) => format!("LRANGE {} 0 -1", KEYS[*key]),
            Self::BlockingPop(end, keys) => {
                let keys: Vec<&str> = keys.iter().map(|key| KEYS[*key]).collect();
                format!("{} {} {WAIT_SECONDS}", end.command("BLPOP", "BRPOP"), keys.join(" "))
            }
            Self::BlockingMove(from, take, to, give) => {
                format!("BLMOVE {} {} {} {} {WAIT_SECONDS}", KEYS[*from], KEYS[*to], take.word(), give.word())
            }
            Self::Add(key, member) => format!("SADD {} {member}", KEYS[*key]),
            Self::Shift(from, to, member) => format!("SMOVE {} {} {member}", KEYS[*from], KEYS[*to]),
            Self::Members(key) => format!("SMEMBERS {}", KEYS[*key]),
            Self::UnionStore(to, one, other) => {
                format!("SUNIONSTORE {} {} {}", KEYS[*to], KEYS[*one], KEYS[*other])
            }
        };
        text.split(' ').map(String::from).collect()
    }
}
