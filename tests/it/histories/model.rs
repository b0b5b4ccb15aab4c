//! What a database with three keys does, one command at a time: the sequential half of the check.
//!
//! It knows those who watch and those who wait, so a history that it explains has every wake-up and every `EXEC` in its place. It is
//! written from Redis's documentation and shares nothing with the server.

use std::collections::{BTreeSet, VecDeque};

use modb_tests::Reply;

pub(super) const KEYS: [&str; 3] = ["a", "b", "c"];
pub(super) const CLIENTS: usize = 4;

/// A place in [`KEYS`].
pub(super) type Key = usize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum End {
    Left,
    Right,
}

/// A command that clients of a history give.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Command {
    Get(Key),
    Set(Key, i64),
    Incr(Key),
    MSet(Key, Key, i64),
    MGet,
    Exists,
    Del(Key, Key),
    Rename(Key, Key),
    Copy(Key, Key),
    FlushAll,
    Push(End, Key, Vec<i64>),
    Pop(End, Key),
    Move(Key, End, Key, End),
    Range(Key),
    BlockingPop(End, Vec<Key>),
    BlockingMove(Key, End, Key, End),
    Add(Key, i64),
    Shift(Key, Key, i64),
    Members(Key),
    UnionStore(Key, Key, Key),
}

/// What a client does at once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Op {
    One(Command),
    Watch(Key),
    /// From `MULTI` to `EXEC`.
    Transaction(Vec<Command>),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Value {
    Number(i64),
    List(VecDeque<i64>),
    Set(BTreeSet<i64>),
}

/// The database, and what it knows of its clients.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Model {
    values: [Option<Value>; KEYS.len()],
    /// Which keys a client watches.
    watched: [[bool; KEYS.len()]; CLIENTS],
    /// A key that he watches was touched.
    told: [bool; CLIENTS],
    /// Those who wait, in the order of their coming.
    waiting: Vec<(usize, Command)>,
}

/// What came of a step: who is answered what. Whoever is not among them waits.
pub(super) type Answers = Vec<(usize, Reply)>;

/// Keys in the order in which they were touched first.
#[derive(Default)]
struct Touched(Vec<Key>);

impl Touched {
    fn note(&mut self, key: Key) {
        if !self.0.contains(&key) {
            self.0.push(key);
        }
    }
}

/// What is there has another type.
struct WrongType;

impl Model {
    pub(super) fn waits(&self, client: usize) -> bool {
        self.waiting.iter().any(|(who, _)| *who == client)
    }

    /// The time of one who waits is over.
    pub(super) fn time_out(&mut self, client: usize) -> Answers {
        self.waiting.retain(|(who, _)| *who != client);
        vec![(client, Reply::Null)]
    }

    /// A client does what comes next.
    pub(super) fn step(&mut self, client: usize, op: &Op) -> Answers {
        let mut touched = Touched::default();
        let reply = match op {
            Op::Watch(key) => {
                self.watched[client][*key] = true;
                Some(Reply::ok())
            }
            Op::One(command) => {
                let reply = self.attempt(command, &mut touched);
                if reply.is_none() {
                    self.waiting.push((client, command.clone()));
                }
                reply
            }
            Op::Transaction(commands) => {
                let told = std::mem::take(&mut self.told[client]);
                self.watched[client] = Default::default();
                Some(if told {
                    Reply::Null
                } else {
                    let one = |command| self.attempt(command, &mut touched).unwrap_or(Reply::Null);
                    Reply::Array(commands.iter().map(one).collect())
                })
            }
        };
        let mut answers: Answers = reply.map(|reply| (client, reply)).into_iter().collect();
        self.tell(&touched);
        self.serve(touched, &mut answers);
        answers
    }

    fn tell(&mut self, touched: &Touched) {
        for (watched, told) in self.watched.iter().zip(&mut self.told) {
            *told |= touched.0.iter().any(|key| watched[*key]);
        }
    }

    /// Serves those who wait for what was touched, and for what that touches.
    fn serve(&mut self, touched: Touched, answers: &mut Answers) {
        let mut ready = VecDeque::from(touched.0);
        while let Some(key) = ready.pop_front() {
            let mut at = 0;
            while at < self.waiting.len() && matches!(self.values[key], Some(Value::List(_))) {
                let (client, command) = self.waiting[at].clone();
                let mut touched = Touched::default();
                // It takes from this key, or from one that it names before and that is a list as well.
                let command = self.without_other_types(command);
                let reply = command.waits_for(key).then(|| self.attempt(&command, &mut touched)).flatten();
                match reply {
                    Some(reply) => {
                        self.waiting.remove(at);
                        answers.push((client, reply));
                        self.tell(&touched);
                        ready.extend(touched.0);
                    }
                    None => at += 1,
                }
            }
        }
    }

    fn without_other_types(&self, mut command: Command) -> Command {
        if let Command::BlockingPop(_, keys) = &mut command {
            keys.retain(|key| matches!(self.values[*key], Some(Value::List(_))));
        }
        command
    }

    /// The reply, or nothing if it has to wait.
    fn attempt(&mut self, command: &Command, touched: &mut Touched) -> Option<Reply> {
        let reply = self.run(command, touched);
        reply.unwrap_or(Some(Reply::Error(b"WRONGTYPE".to_vec())))
    }

    fn run(&mut self, command: &Command, touched: &mut Touched) -> Result<Option<Reply>, WrongType> {
        let mut put = |values: &mut [Option<Value>; KEYS.len()], key: Key, value: Option<Value>| {
            if values[key].is_some() || value.is_some() {
                touched.note(key);
            }
            values[key] = value;
        };
        let values = &mut self.values;
        Ok(Some(match command {
            Command::Get(key) => number_reply(number(values, *key)?),
            Command::Set(key, n) => {
                put(values, *key, Some(Value::Number(*n)));
                Reply::ok()
            }
            Command::Incr(key) => {
                let n = number(values, *key)?.unwrap_or(0) + 1;
                put(values, *key, Some(Value::Number(n)));
                Reply::Int(n)
            }
            Command::MSet(one, other, n) => {
                put(values, *one, Some(Value::Number(*n)));
                put(values, *other, Some(Value::Number(*n)));
                Reply::ok()
            }
            Command::MGet => {
                let one = |key| number_reply(number(values, key).ok().flatten());
                Reply::Array((0..KEYS.len()).map(one).collect())
            }
            Command::Exists => Reply::Int(values.iter().flatten().count() as i64),
            Command::Del(one, other) => {
                let there = [*one, *other].map(|key| i64::from(values[key].is_some()));
                put(values, *one, None);
                put(values, *other, None);
                Reply::Int(there.iter().sum())
            }
            Command::Rename(from, to) => match values[*from].clone() {
                Some(value) => {
                    put(values, *from, None);
                    put(values, *to, Some(value));
                    Reply::ok()
                }
                None => Reply::Error(b"ERR".to_vec()),
            },
            Command::Copy(from, to) => {
                let value = values[*from].clone();
                let there = value.is_some();
                if there {
                    put(values, *to, value);
                }
                Reply::Int(i64::from(there))
            }
            Command::FlushAll => {
                (0..KEYS.len()).for_each(|key| put(values, key, None));
                Reply::ok()
            }
            Command::Push(end, key, elements) => {
                let mut list = list(values, *key)?;
                elements.iter().for_each(|element| end.push(&mut list, *element));
                let len = list.len();
                put(values, *key, Some(Value::List(list)));
                Reply::Int(len as i64)
            }
            Command::Pop(end, key) => {
                let mut list = list(values, *key)?;
                let Some(element) = end.pop(&mut list) else { return Ok(Some(Reply::Null)) };
                put(values, *key, some_list(list));
                number_reply(Some(element))
            }
            Command::Range(key) => Reply::Array(list(values, *key)?.into_iter().map(bulk).collect()),
            Command::Move(from, take, to, give) | Command::BlockingMove(from, take, to, give) => {
                let mut source = list(values, *from)?;
                let Some(element) = take.pop(&mut source) else {
                    let blocks = matches!(command, Command::BlockingMove(..));
                    return Ok(if blocks { None } else { Some(Reply::Null) });
                };
                let mut target = if from == to { source.clone() } else { list(values, *to)? };
                give.push(&mut target, element);
                if from != to {
                    put(values, *from, some_list(source));
                }
                put(values, *to, Some(Value::List(target)));
                bulk(element)
            }
            Command::BlockingPop(end, keys) => {
                for key in keys {
                    let mut list = list(values, *key)?;
                    if let Some(element) = end.pop(&mut list) {
                        put(values, *key, some_list(list));
                        return Ok(Some(Reply::Array(vec![Reply::bulk(KEYS[*key]), bulk(element)])));
                    }
                }
                return Ok(None);
            }
            Command::Add(key, member) => {
                let mut set = set(values, *key)?;
                let new = set.insert(*member);
                if new {
                    put(values, *key, Some(Value::Set(set)));
                }
                Reply::Int(i64::from(new))
            }
            Command::Shift(from, to, member) => {
                let mut source = set(values, *from)?;
                if values[*from].is_none() {
                    return Ok(Some(Reply::Int(0)));
                }
                let mut target = set(values, *to)?;
                let there = source.remove(member);
                if there {
                    put(values, *from, Some(Value::Set(source)).filter(is_some_set));
                    if target.insert(*member) {
                        put(values, *to, Some(Value::Set(target)));
                    }
                }
                Reply::Int(i64::from(there))
            }
            Command::Members(key) => Reply::Array(set(values, *key)?.into_iter().map(bulk).collect()),
            Command::UnionStore(to, one, other) => {
                let union: BTreeSet<i64> = &set(values, *one)? | &set(values, *other)?;
                let len = union.len();
                put(values, *to, Some(Value::Set(union)).filter(is_some_set));
                Reply::Int(len as i64)
            }
        }))
    }
}

impl End {
    pub(super) fn word(self) -> &'static str {
        self.command("LEFT", "RIGHT")
    }

    pub(super) fn command(self, left: &'static str, right: &'static str) -> &'static str {
        match self {
            Self::Left => left,
            Self::Right => right,
        }
    }

    fn push(self, list: &mut VecDeque<i64>, element: i64) {
        match self {
            Self::Left => list.push_front(element),
            Self::Right => list.push_back(element),
        }
    }

    fn pop(self, list: &mut VecDeque<i64>) -> Option<i64> {
        match self {
            Self::Left => list.pop_front(),
            Self::Right => list.pop_back(),
        }
    }
}

impl Command {
    fn waits_for(&self, key: Key) -> bool {
        match self {
            Self::BlockingPop(_, keys) => keys.contains(&key),
            Self::BlockingMove(from, ..) => *from == key,
            _ => false,
        }
    }

    /// A reply as the model gives it: what the protocol has several forms for, and what comes in no order, in one.
    pub(super) fn normal(&self, reply: Reply) -> Reply {
        match reply {
            Reply::NullBulk | Reply::NullArray => Reply::Null,
            Reply::Error(text) => {
                Reply::Error(text.split(|byte| *byte == b' ').next().unwrap_or(&text).to_vec())
            }
            Reply::Array(items) => {
                let mut items: Vec<Reply> = items.into_iter().map(|item| self.normal(item)).collect();
                if let Self::Members(_) = self {
                    items.sort_by_key(|item| item.text().parse::<i64>().unwrap_or_default());
                }
                Reply::Array(items)
            }
            other => other,
        }
    }
}

fn bulk(n: i64) -> Reply {
    Reply::bulk(n.to_string())
}

fn number_reply(n: Option<i64>) -> Reply {
    n.map_or(Reply::Null, bulk)
}

fn number(values: &[Option<Value>; KEYS.len()], key: Key) -> Result<Option<i64>, WrongType> {
    match &values[key] {
        None => Ok(None),
        Some(Value::Number(n)) => Ok(Some(*n)),
        Some(_) => Err(WrongType),
    }
}

fn list(values: &[Option<Value>; KEYS.len()], key: Key) -> Result<VecDeque<i64>, WrongType> {
    match &values[key] {
        None => Ok(VecDeque::new()),
        Some(Value::List(list)) => Ok(list.clone()),
        Some(_) => Err(WrongType),
    }
}

fn set(values: &[Option<Value>; KEYS.len()], key: Key) -> Result<BTreeSet<i64>, WrongType> {
    match &values[key] {
        None => Ok(BTreeSet::new()),
        Some(Value::Set(set)) => Ok(set.clone()),
        Some(_) => Err(WrongType),
    }
}

fn some_list(list: VecDeque<i64>) -> Option<Value> {
    Some(list).filter(|list| !list.is_empty()).map(Value::List)
}

fn is_some_set(value: &Value) -> bool {
    !matches!(value, Value::Set(set) if set.is_empty())
}
