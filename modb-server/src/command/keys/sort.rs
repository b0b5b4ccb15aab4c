//! `SORT` and `SORT_RO`: the elements of a list, set or sorted set by their own order or that of other keys, with other keys' values.
//!
//! Which other keys these are is known once the elements are. So few of them are read with every stripe held, and so are fields of hashes;
//! the strings of many are read one by one, as `GET` would.

use std::cmp::Ordering;

use bytes::Bytes;
use modb_net::resp::Args;

use crate::command::language::error::err;
use crate::command::language::packed::TOO_LARGE;
use crate::command::language::parse::{self, Options, int, is};
use crate::command::language::reply::MAX_REPLY_BYTES;
use crate::command::machine::spec::{Access, Find, Flags, KeySpec, Spec, key};
use crate::command::machine::weight::{self, FIND_NS, READ_NS, SORT_NS, Scale};
use crate::command::{CommandError, Ctx, Reply};
use crate::data::{DataError, End, Hash, Kind, List, Set, SortedSet};
use crate::messages::Event;

const STORE: KeySpec = KeySpec {
    access: Access::Overwrite,
    find: Find::Behind { first: 2, words: &["store"], passed: &[("limit", 2), ("get", 1), ("by", 1)] },
};

#[rustfmt::skip]
pub(crate) static COMMANDS: [Spec; 2] = [
    Spec::new("generic", "sort", sort, -2).weighs(weigh).flags(&[Flags::WRITE, Flags::DENYOOM, Flags::MOVABLEKEYS])
        .keys(&[key(Access::Read, 1), STORE]).acl(&["@set", "@sortedset", "@list", "@dangerous"])
        .docs("key [BY pattern] [LIMIT offset count] [GET pattern]... [ASC|DESC] [ALPHA] [STORE destination]", "1.0.0",
            "O(N+M*log(M)) with N elements and M of them returned", "Sorts a list, set or sorted set, and returns or stores it.")
        .differs(DIFFERS),
    Spec::new("generic", "sort_ro", sort_ro, -2).weighs(weigh).flags(&[Flags::READONLY, Flags::MOVABLEKEYS, Flags::MANY_RECORDS])
        .keys(&[key(Access::Read, 1)]).acl(&["@set", "@sortedset", "@list", "@dangerous"])
        .docs("key [BY pattern] [LIMIT offset count] [GET pattern]... [ASC|DESC] [ALPHA]", "7.0.0",
            "O(N+M*log(M)) with N elements and M of them returned", "Sorts a list, set or sorted set, and returns it.")
        .differs(DIFFERS),
];

const DIFFERS: &str = "strings that BY and GET name for more than 1,000 elements are read one by one, as by GET; \
                       a reply of more than 512 MiB is refused; ALPHA compares bytes, whatever the system's language; who \
                       waits for a list is also served by a STORE that replaces something of another type";

/// The other keys of so many elements are read at one moment.
const MOST_AT_ONCE: u64 = 1_000;

fn sort(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    run(ctx, args, true)
}

fn sort_ro(ctx: &mut Ctx<'_, '_>, args: Args<'_>) -> Result<Reply, CommandError> {
    run(ctx, args, false)
}

/// What is asked for.
struct Asked<'a> {
    order: Order<'a>,
    descending: bool,
    /// By bytes.
    alphabetic: bool,
    offset: i64,
    count: i64,
    get: Vec<Pattern<'a>>,
    store: Option<&'a [u8]>,
}

/// By what elements stand.
#[derive(Clone, Copy, PartialEq)]
enum Order<'a> {
    /// As they are stored.
    None,
    Themselves,
    By(Pattern<'a>),
}

/// What an element leads to.
#[derive(Clone, Copy, PartialEq)]
enum Pattern<'a> {
    /// `#`: itself.
    Itself,
    /// Without a place for the element: nothing.
    Nothing,
    /// The key before and behind the element, and a field if it is a hash.
    Key { before: &'a [u8], behind: &'a [u8], field: Option<&'a [u8]> },
}

impl<'a> Pattern<'a> {
    fn parse(pattern: &'a [u8]) -> Self {
        // Redis looks for the marks as in C strings.
        let visible = pattern.split(|byte| *byte == 0).next().unwrap_or_default();
        if pattern == b"#" {
            return Self::Itself;
        }
        let Some(star) = visible.iter().position(|byte| *byte == b'*') else { return Self::Nothing };
        let (before, behind) = (&pattern[..star], &pattern[star + 1..]);
        let arrow = visible[star + 1..].windows(2).position(|two| two == b"->");
        match arrow.filter(|at| visible.len() > star + 1 + at + 2) {
            Some(at) => Self::Key { before, behind: &behind[..at], field: Some(&behind[at + 2..]) },
            None => Self::Key { before, behind, field: None },
        }
    }

    /// Whether several records are read for it.
    fn names_field(self) -> bool {
        matches!(self, Self::Key { field: Some(_), .. })
    }

    fn names_key(self) -> bool {
        matches!(self, Self::Key { .. })
    }
}

fn parse_options(args: Args<'_>, may_store: bool) -> Result<Asked<'_>, CommandError> {
    let mut asked = Asked {
        order: Order::Themselves,
        descending: false,
        alphabetic: false,
        offset: 0,
        count: -1,
        get: Vec::new(),
        store: None,
    };
    let mut options = Options::from(args, 2);
    while let Some(word) = options.next() {
        match word {
            word if is(word, "asc") => asked.descending = false,
            word if is(word, "desc") => asked.descending = true,
            word if is(word, "alpha") => asked.alphabetic = true,
            word if is(word, "limit") && options.left() >= 2 => {
                (asked.offset, asked.count) = (int(options.value()?)?, int(options.value()?)?);
            }
            word if may_store && is(word, "store") => asked.store = Some(options.value()?),
            word if is(word, "by") => {
                let pattern = options.value()?;
                let c_string = pattern.split(|byte| *byte == 0).next().unwrap_or_default();
                // Once it is not to be sorted, it is not.
                asked.order = match asked.order {
                    Order::None => Order::None,
                    _ if !c_string.contains(&b'*') => Order::None,
                    _ => Order::By(Pattern::parse(pattern)),
                };
            }
            word if is(word, "get") => asked.get.push(Pattern::parse(options.value()?)),
            _ => return Err(CommandError::Syntax),
        }
    }
    Ok(asked)
}

/// What sorting takes: all elements are looked at but where their order is as they are stored, and of the latter only some are taken.
fn weigh(scale: &mut Scale<'_, '_>, args: Args<'_>) -> weight::Weight {
    let Ok(asked) = parse_options(args, true) else { return weight::Weight::default() };
    let extent = scale.extent(&args[1]);
    let all = extent.elements;
    let from = u64::try_from(asked.offset).unwrap_or(0).min(all);
    let shown = u64::try_from(asked.count).map_or(all - from, |count| count.min(all - from));
    let sorted = match asked.order {
        Order::None => weight::Weight::each(from + shown, READ_NS),
        Order::Themselves => weight::Weight::each(all, SORT_NS),
        Order::By(_) => weight::Weight::each(all, SORT_NS + FIND_NS),
    };
    let looked_up = weight::Weight::each(shown, READ_NS + FIND_NS * asked.get.len() as u64);
    let reply_bytes = if asked.store.is_none() { extent.part(shown).bytes } else { 0 };
    weight::Weight { reply_bytes, ..sorted.and(looked_up) }
}

/// What is to be sorted.
enum Source<'k> {
    None,
    List(List<'k>),
    Set(Set<'k>),
    SortedSet(SortedSet<'k>),
}

impl<'k> Source<'k> {
    fn find(ctx: &mut Ctx<'_, '_>, key: &'k [u8]) -> Result<Self, CommandError> {
        let db = ctx.db();
        let kind = ctx.tx.read_outline(db, key)?.map(|record| record.head.kind);
        Ok(match kind {
            None => Self::None,
            Some(Kind::List) => Self::List(List::open(ctx.tx, db, key)?),
            Some(Kind::Set) => Self::Set(Set::open(ctx.tx, db, key)?),
            Some(Kind::SortedSet) => Self::SortedSet(SortedSet::open(ctx.tx, db, key)?),
            Some(_) => return Err(DataError::WrongType.into()),
        })
    }

    fn len(&self) -> u64 {
        match self {
            Self::None => 0,
            Self::List(list) => list.len(),
            Self::Set(set) => set.len(),
            Self::SortedSet(set) => set.len(),
        }
    }

    /// The elements `from..to` as they are stored, of a set in either case; with `reverse` counted from the end of a list or sorted set.
    fn elements(
        &mut self,
        ctx: &mut Ctx<'_, '_>,
        from: u64,
        to: u64,
        reverse: bool,
    ) -> Result<Vec<Bytes>, DataError> {
        let (mut all, count) = (Vec::new(), to - from);
        match self {
            Self::None => {}
            Self::List(list) => {
                let from = if reverse { list.len() - to } else { from };
                list.for_each(ctx.tx, from, count, |element| all.push(element))?;
                if reverse {
                    all.reverse();
                }
            }
            Self::SortedSet(set) => {
                let first = if reverse { (set.len() - from).saturating_sub(1) } else { from };
                set.for_each(ctx.tx, first, count, reverse, |_, member| all.push(member))?;
            }
            Self::Set(set) => {
                let mut at = 0;
                set.for_each(ctx.tx, |member| {
                    if at >= from {
                        all.push(Bytes::copy_from_slice(member));
                    }
                    at += 1;
                    at < to
                })?;
            }
        }
        Ok(all)
    }
}

fn run(ctx: &mut Ctx<'_, '_>, args: Args<'_>, may_store: bool) -> Result<Reply, CommandError> {
    let mut asked = parse_options(args, may_store)?;
    let mut source = Source::find(ctx, &args[1])?;
    if asked.order == Order::None && asked.store.is_some() && matches!(source, Source::Set(_)) {
        // So that what is stored is the same everywhere.
        (asked.order, asked.alphabetic) = (Order::Themselves, true);
    }
    let len = source.len();
    let from = u64::try_from(asked.offset).unwrap_or(0).min(len);
    let to = u64::try_from(asked.count).map_or(len, |count| from.saturating_add(count).min(len));
    read_together(ctx, &asked, len)?;
    let elements = if asked.order == Order::None {
        source.elements(ctx, from, to, asked.descending)?
    } else {
        let all = source.elements(ctx, 0, len, false)?;
        let mut sorted = in_order(ctx, all, &asked)?;
        sorted.truncate(to as usize);
        sorted.drain(..from as usize);
        sorted
    };
    match asked.store {
        Some(target) => store(ctx, target, elements, &asked.get),
        None => reply(ctx, elements, &asked.get),
    }
}

/// Sees to it that what is to be read of other keys is read at one moment, if it is little or in hashes.
fn read_together(ctx: &mut Ctx<'_, '_>, asked: &Asked<'_>, elements: u64) -> Result<(), DataError> {
    let by = match asked.order {
        Order::By(pattern) => Some(pattern),
        _ => None,
    };
    let mut patterns = asked.get.iter().copied().chain(by);
    let together =
        patterns.any(|pattern| pattern.names_field() || pattern.names_key() && elements <= MOST_AT_ONCE);
    if together && elements > 0 { ctx.tx.need_all() } else { Ok(()) }
}

/// What a pattern leads to from an element.
fn look_up(ctx: &mut Ctx<'_, '_>, pattern: Pattern<'_>, element: &Bytes) -> Result<Option<Bytes>, DataError> {
    let Pattern::Key { before, behind, field } = pattern else {
        return Ok((pattern == Pattern::Itself).then(|| element.clone()));
    };
    let db = ctx.db();
    let key = [before, element, behind].concat();
    let value = match field {
        None => ctx.tx.get(db, &key),
        Some(field) => match Hash::find(ctx.tx, db, &key) {
            Ok(Some(mut hash)) => hash.get(ctx.tx, field),
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        },
    };
    match value {
        Err(DataError::WrongType) => Ok(None),
        value => value,
    }
}

/// What an element is sorted by.
enum Weight {
    Number(f64),
    Text(Option<Bytes>),
}

fn in_order(
    ctx: &mut Ctx<'_, '_>,
    elements: Vec<Bytes>,
    asked: &Asked<'_>,
) -> Result<Vec<Bytes>, CommandError> {
    let mut weighed = Vec::with_capacity(elements.len());
    let mut all_numbers = true;
    for element in elements {
        let by = match asked.order {
            Order::By(pattern) => look_up(ctx, pattern, &element)?,
            _ => Some(element.clone()),
        };
        let weight = if asked.alphabetic {
            Weight::Text(by)
        } else {
            let number = by.map_or(Some(0.0), |by| parse::weight(&by));
            all_numbers &= number.is_some();
            Weight::Number(number.unwrap_or(0.0))
        };
        weighed.push((weight, element));
    }
    if !all_numbers {
        return err("ERR One or more scores can't be converted into double");
    }
    let to_be_stored = asked.store.is_some();
    weighed.sort_by(|a, b| {
        let order = compare(a, b, to_be_stored);
        if asked.descending { order.reverse() } else { order }
    });
    Ok(weighed.into_iter().map(|(_, element)| element).collect())
}

fn compare(a: &(Weight, Bytes), b: &(Weight, Bytes), to_be_stored: bool) -> Ordering {
    match (&a.0, &b.0) {
        (Weight::Number(x), Weight::Number(y)) => {
            x.partial_cmp(y).unwrap_or(Ordering::Equal).then_with(|| a.1.cmp(&b.1))
        }
        (Weight::Text(x), Weight::Text(y)) if to_be_stored => x.cmp(y),
        // As C compares strings.
        (Weight::Text(x), Weight::Text(y)) => {
            let c_string = |text: &Option<Bytes>| {
                let visible = text.as_ref()?.split(|byte| *byte == 0).next();
                visible.map(Bytes::copy_from_slice)
            };
            c_string(x).cmp(&c_string(y))
        }
        _ => Ordering::Equal,
    }
}

fn reply(ctx: &mut Ctx<'_, '_>, elements: Vec<Bytes>, get: &[Pattern<'_>]) -> Result<Reply, CommandError> {
    let (mut items, mut bytes) = (Vec::new(), 0);
    let mut push = |item: Option<Bytes>| {
        bytes += size_of::<Reply>() + item.as_ref().map_or(0, Bytes::len);
        items.push(Reply::bulk_or_null(item));
        if bytes > MAX_REPLY_BYTES { err(TOO_LARGE) } else { Ok(()) }
    };
    for element in elements {
        for pattern in get {
            push(look_up(ctx, *pattern, &element)?)?;
        }
        if get.is_empty() {
            push(Some(element))?;
        }
    }
    Ok(Reply::Array(items))
}

/// Makes them the list at a key, whatever it held; nothing leaves no key.
fn store(
    ctx: &mut Ctx<'_, '_>,
    target: &[u8],
    elements: Vec<Bytes>,
    get: &[Pattern<'_>],
) -> Result<Reply, CommandError> {
    let db = ctx.db();
    let entry = ctx.tx.entry(db, target)?;
    if elements.is_empty() {
        ctx.tx.remove(&entry);
        return Ok(Reply::Int(0));
    }
    let mut list = List::replacing(ctx.tx, entry);
    for element in elements {
        for pattern in get {
            let value = look_up(ctx, *pattern, &element)?.unwrap_or_default();
            list.push(ctx.tx, End::Right, &value)?;
        }
        if get.is_empty() {
            list.push(ctx.tx, End::Right, &element)?;
        }
    }
    list.save(ctx.tx, Event::list("sortstore"))?;
    Ok(Reply::Int(list.len() as i64))
}

#[cfg(test)]
mod tests {
    use crate::command::testing::{Bench, run};

    // The expected replies are those of Redis 7.0.15.
    run! {
        elements_stand_by_number_or_text {
            "RPUSH l 3 1 2" => ":3", "SORT l" => "[1 2 3]", "SORT l DESC" => "[3 2 1]", "SORT l ALPHA DESC LIMIT 0 -1" => "[3 2 1]", "SORT l LIMIT 1 1" => "[2]",
            "SORT l LIMIT -1 1" => "[1]", "SORT l LIMIT 5 1" => "[]", "SORT l LIMIT 0 0" => "[]", "SORT l BY nosort DESC" => "[2 1 3]", "SORT l BY nosort DESC LIMIT 1 1" => "[1]", "SORT l ASC DESC asc limit 0 1" => "[1]",
            "SORT none" => "[]", "RPUSH t b a A 10 9" => ":5", "SORT t" => "-ERR One or more scores can't be converted into double", "SORT t ALPHA" => "[10 9 A a b]",
            "SADD s 3 1 2 x" => ":4", "SORT s LIMIT 0 2" => "-ERR One or more scores can't be converted into double", "SORT s ALPHA LIMIT 2 2" => "[3 x]",
            "ZADD z 1 c 2 b 3 a" => ":3", "SORT z BY nosort DESC LIMIT 0 2" => "[a b]", "SORT z BY nosort LIMIT 1 5" => "[b a]", "SORT z ALPHA" => "[a b c]", "SORT z BY nosort DESC LIMIT 5 1" => "[]",
            "RPUSH f 1e3 0x10 -inf 1.5" => ":4", "SORT f" => "[-inf 1.5 0x10 1e3]", "RPUSH o 1e400" => ":1", "SORT o" => "-ERR One or more scores can't be converted into double"
        }
        other_keys_give_the_order_and_the_values {
            "RPUSH l 3 1 2" => ":3", "MSET w_1 30 w_2 20 w_3 10 v_1 x v_3 z" => "+OK", "SORT l BY w_*" => "[3 2 1]", "SORT l BY w_* DESC" => "[1 2 3]", "SORT l BY none_*" => "[1 2 3]",
            "SORT l BY w_* GET v_* GET #" => "[z 3 nil 2 x 1]", "HSET h_1 f 3 g G" => ":2", "HSET h_2 f 1" => ":1", "SORT l BY h_*->f" => "[3 2 1]", "SORT l BY h_*->" => "[1 2 3]",
            "SORT l GET h_*->g GET h_*-> GET abc" => "[G nil nil nil nil nil nil nil nil]", "SET w_1 abc" => "+OK", "SORT l BY w_*" => "-ERR One or more scores can't be converted into double",
            "SORT l BY w_* ALPHA" => "[3 2 1]", "DEL w_2" => ":1", "SORT l BY w_* ALPHA" => "[2 3 1]", "SORT l BY h_*" => "[1 2 3]", "SORT l BY nosort BY w_*" => "[3 1 2]"
        }
        results_are_stored {
            "RPUSH l 3 1 2" => ":3", "SORT l STORE d" => ":3", "LRANGE d 0 -1" => "[1 2 3]", "SORT d DESC STORE d" => ":3", "LRANGE d 0 -1" => "[3 2 1]", "SET v_1 x" => "+OK",
            "SORT l GET v_* GET # STORE d" => ":6", "LRANGE d 0 -1" => "[x 1  2  3]", "EXPIRE d 100" => ":1", "SORT l LIMIT 0 1 STORE d" => ":1", "TTL d" => ":-1", "SORT none STORE d" => ":0", "EXISTS d" => ":0",
            "SADD s 10 9 x" => ":3", "SORT s BY nosort STORE d" => ":3", "LRANGE d 0 -1" => "[10 9 x]", "SET str 1" => "+OK", "SORT l STORE str" => ":3", "TYPE str" => "+list"
        }
        options_are_checked_before_the_key {
            "SET s 1" => "+OK", "SORT s" => "-WRONGTYPE Operation against a key holding the wrong kind of value", "SORT s GET" => "-ERR syntax error", "SORT s FOO" => "-ERR syntax error",
            "SORT s LIMIT 0 x" => "-ERR value is not an integer or out of range", "SORT s LIMIT x 0" => "-ERR value is not an integer or out of range", "SORT s LIMIT 1" => "-ERR syntax error",
            "SORT_RO s STORE d" => "-ERR syntax error", "SORT s STORE" => "-ERR syntax error", "HSET h a 1" => ":1", "SORT_RO h" => "-WRONGTYPE Operation against a key holding the wrong kind of value",
            "COMMAND GETKEYS SORT l BY store GET store LIMIT 0 store STORE d" => "[l d]", "COMMAND GETKEYS SORT l STORE a STORE b" => "[l b]", "COMMAND GETKEYS SORT_RO l STORE a" => "[l]"
        }
    }

    #[test]
    fn many_elements_are_sorted_and_stored_as_trees() {
        let bench = Bench::new();
        bench.instance.data.keep_pages_small(true);
        for number in 0..1_500 {
            bench.text(&format!("RPUSH l {}", number * 7 % 1_500));
            bench.text(&format!("SET w_{number} {}", 1_500 - number));
        }
        let down: Vec<String> = (0..1_500).rev().map(|number| number.to_string()).collect();
        assert_eq!(bench.text("SORT l BY w_*"), format!("[{}]", down.join(" ")));
        assert_eq!(bench.text("SORT l DESC STORE l"), ":1500");
        assert_eq!(bench.text("LRANGE l 0 -1"), format!("[{}]", down.join(" ")));
        let report = crate::data::check(&**bench.instance.data.store(), &mut |_, _| {}).unwrap();
        assert_eq!(report.described, [""; 0]);
    }

    /// Fields of other keys' hashes are several records: who writes one keeps the sort waiting, though its key is not named.
    #[test]
    fn fields_of_other_keys_are_read_with_their_stripes() {
        let bench = Bench::new();
        for line in ["RPUSH l 1 2", "HSET h_1 f 1", "HSET h_2 f 2"] {
            bench.text(line);
        }
        let data = std::sync::Arc::clone(&bench.instance.data);
        let held = data.hold_sleeping(data.need_one(b"h_1"));
        let sorts = std::thread::spawn(move || bench.text("SORT l BY h_*->f"));
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert!(!sorts.is_finished());
        drop(held);
        assert_eq!(sorts.join().unwrap(), "[1 2]");
    }
}
