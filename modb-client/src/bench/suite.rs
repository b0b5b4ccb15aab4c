//! The tests of redis-benchmark: their names, and the very requests that it sends. Pure.
//!
//! One thing is added: the elements may be spread over several collections, each at one that never changes, so that what was
//! stored is found again. With one collection it is called as redis-benchmark's.

use super::template::{Over, Template};

/// How many elements an LRANGE wants at most.
const LONGEST_RANGE: u64 = 600;

/// One test.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Test {
    /// As `-t` takes it.
    pub(super) name: &'static str,
    request: &'static str,
    fill: Fill,
}

/// What must be there for a test to find anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fill {
    Nothing,
    /// This request, once for each key or element.
    Elements(&'static str),
    /// This request, until each list is as long as a range.
    Ranges(&'static str),
}

const PUSH: &str = "LPUSH mylist__at__ __value__";

/// In redis-benchmark's order, in which those that take find what the others put.
#[rustfmt::skip]
static TESTS: [Test; 20] = [
    Test { name: "ping_inline", request: "PING", fill: Fill::Nothing },
    Test { name: "ping_mbulk", request: "PING", fill: Fill::Nothing },
    Test { name: "set", request: "SET __key__ __value__", fill: Fill::Nothing },
    Test { name: "get", request: "GET __key__", fill: Fill::Elements("SET __key__ __value__") },
    Test { name: "incr", request: "INCR counter:__rand_int__", fill: Fill::Nothing },
    Test { name: "lpush", request: PUSH, fill: Fill::Nothing },
    Test { name: "rpush", request: "RPUSH mylist__at__ __value__", fill: Fill::Nothing },
    Test { name: "lpop", request: "LPOP mylist__at__", fill: Fill::Elements(PUSH) },
    Test { name: "rpop", request: "RPOP mylist__at__", fill: Fill::Elements(PUSH) },
    Test { name: "sadd", request: "SADD myset__at__ element:__element__", fill: Fill::Nothing },
    Test { name: "hset", request: "HSET myhash__at__ element:__element__ __value__", fill: Fill::Nothing },
    // redis-benchmark has none.
    Test { name: "hget", request: "HGET myhash__at__ element:__element__", fill: Fill::Elements("HSET myhash__at__ element:__element__ __value__") },
    Test { name: "spop", request: "SPOP myset__at__", fill: Fill::Elements("SADD myset__at__ element:__element__") },
    Test { name: "zadd", request: "ZADD myzset__at__ __rand_int__ element:__element__", fill: Fill::Nothing },
    Test { name: "zpopmin", request: "ZPOPMIN myzset__at__", fill: Fill::Elements("ZADD myzset__at__ __element__ element:__element__") },
    Test { name: "lrange_100", request: "LRANGE mylist__at__ 0 99", fill: Fill::Ranges(PUSH) },
    Test { name: "lrange_300", request: "LRANGE mylist__at__ 0 299", fill: Fill::Ranges(PUSH) },
    Test { name: "lrange_500", request: "LRANGE mylist__at__ 0 499", fill: Fill::Ranges(PUSH) },
    Test { name: "lrange_600", request: "LRANGE mylist__at__ 0 599", fill: Fill::Ranges(PUSH) },
    Test { name: "mset", request: MSET, fill: Fill::Nothing },
];

const MSET: &str = "MSET __key__ __value__ __key__ __value__ __key__ __value__ __key__ __value__ __key__ __value__ \
                    __key__ __value__ __key__ __value__ __key__ __value__ __key__ __value__ __key__ __value__";

/// All names, for those who ask.
pub(super) fn names() -> String {
    TESTS.iter().map(|test| test.name).collect::<Vec<_>>().join(", ")
}

/// The tests that a name stands for: one, or those of a group (`ping`, `lrange`). Capitals make no difference.
pub(super) fn find(name: &str) -> Vec<&'static Test> {
    let name = name.to_ascii_lowercase();
    let group = format!("{name}_");
    TESTS.iter().filter(|test| test.name == name || test.name.starts_with(&group)).collect()
}

impl Test {
    /// What it sends.
    pub(super) fn template(&self, over: Over) -> Template {
        match self.name {
            "ping_inline" => Template::inline(self.request),
            _ => template(self.request, over),
        }
    }

    /// What is sent before, and how often, so that it finds something, if it is of `keys` keys or elements.
    pub(super) fn fill(&self, over: Over, keys: u64) -> Option<(Template, u64)> {
        match self.fill {
            Fill::Nothing => None,
            Fill::Elements(request) => Some((template(request, over), keys)),
            Fill::Ranges(request) => {
                Some((template(request, over), LONGEST_RANGE.saturating_mul(over.collections)))
            }
        }
    }
}

fn template(request: &str, over: Over) -> Template {
    let at = if over.collections == 1 { "" } else { ":__collection__" };
    let words: Vec<String> = request.split(' ').map(|word| word.replace("__at__", at)).collect();
    Template::resp(&words, over)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_one_test_or_a_group() {
        let found = |name: &str| find(name).iter().map(|test| test.name).collect::<Vec<_>>();
        assert_eq!(found("LPUSH"), ["lpush"]);
        assert_eq!(found("lrange"), ["lrange_100", "lrange_300", "lrange_500", "lrange_600"]);
        assert_eq!(found("ping"), ["ping_inline", "ping_mbulk"]);
        assert!(found("z").is_empty() && found("").is_empty());
    }

    #[test]
    fn each_finds_what_it_reads_or_takes() {
        for test in &TESTS {
            let reads = ["get", "lpop", "rpop", "hget", "spop", "zpopmin"].contains(&test.name);
            let filled =
                test.fill(Over { value_bytes: 3, collections: 2 }, 5000).map(|(_, requests)| requests);
            let expected = match test.name {
                name if name.starts_with("lrange") => Some(1200),
                _ => reads.then_some(5000),
            };
            assert_eq!(filled, expected, "{}", test.name);
        }
    }
}
