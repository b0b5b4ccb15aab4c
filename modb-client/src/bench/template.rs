//! Requests: encoded once, copied for each use, and patched where they differ. Pure.
//!
//! What is patched has a fixed width, so that lengths on the wire never change: a number is always
//! [`NUMBER_DIGITS`] digits, a value always the size asked for.
//!
//! Invariants: a request is well-formed whatever is drawn; encoding one allocates nothing once the output
//! has grown.

use modb_net::resp::encode_request;

use super::keys::{Keys, Rng};

/// Digits of a number in a key. As redis-benchmark writes them, so that both ask for the same keys.
pub(super) const NUMBER_DIGITS: usize = 12;

/// The largest key space that fits into the digits.
pub(super) const MAX_KEYS: u64 = 10u64.pow(NUMBER_DIGITS as u32);

/// What stands before the number in a key.
const KEY_PREFIX: &[u8] = b"key:";

/// What a part of an argument is replaced with.
const PLACEHOLDERS: [(&[u8], Fill); 5] = [
    (b"__key__", Fill::Key),
    (b"__rand_int__", Fill::Number),
    (b"__value__", Fill::Value),
    (b"__element__", Fill::Element),
    (b"__collection__", Fill::Collection),
];

/// Different values begin at this many places of a pool of random bytes.
const VALUE_STARTS: usize = 4096;

/// What values are made of: 64 letters that pass through every tool, and compress by a quarter at most.
const VALUE_LETTERS: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fill {
    Key,
    /// Drawn anew wherever it stands.
    Number,
    Value,
    /// The number that is drawn once for a request.
    Element,
    /// That of the collection where this element is.
    Collection,
}

/// What requests are about, besides keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Over {
    /// Of each value.
    pub(super) value_bytes: usize,
    /// Elements are dealt out to so many; not 0.
    pub(super) collections: u64,
}

/// A place to patch.
#[derive(Clone, Copy, Debug)]
struct Slot {
    at: usize,
    fill: Fill,
}

/// One request with places to patch.
#[derive(Clone, Debug)]
pub(super) struct Template {
    bytes: Vec<u8>,
    slots: Vec<Slot>,
    collections: u64,
}

impl Template {
    /// A RESP request of these arguments, in which `__key__` stands for a key, `__rand_int__` for the number
    /// of one and `__value__` for a value; `__element__` for the number of an element, and `__collection__` for that of the
    /// collection where it is.
    pub(super) fn resp<A: AsRef<[u8]>>(args: &[A], over: Over) -> Self {
        let expanded: Vec<Self> =
            args.iter().map(|arg| Self::argument(arg.as_ref(), over.value_bytes)).collect();
        let mut bytes = Vec::new();
        encode_request(&mut bytes, expanded.iter().map(|arg| &arg.bytes));
        let mut slots = Vec::new();
        // Every argument ends one CR LF before the next one's length, counted from the end of the request.
        let mut end = bytes.len();
        for arg in expanded.iter().rev() {
            let start = end - 2 - arg.bytes.len();
            slots.extend(arg.slots.iter().map(|slot| Slot { at: start + slot.at, ..*slot }));
            let digits = arg.bytes.len().checked_ilog10().unwrap_or(0) as usize + 1;
            end = start - (1 + digits + 2);
        }
        Self { bytes, slots, collections: over.collections }
    }

    /// A command as a person types it at a raw connection.
    pub(super) fn inline(line: &str) -> Self {
        Self::argument(format!("{line}\r\n").as_bytes(), 0)
    }

    /// `set` of memcached's text protocol.
    pub(super) fn memcached_set(value_bytes: usize) -> Self {
        Self::argument(format!("set __key__ 0 0 {value_bytes}\r\n__value__\r\n").as_bytes(), value_bytes)
    }

    /// `get` of memcached's text protocol.
    pub(super) fn memcached_get() -> Self {
        Self::argument(b"get __key__\r\n", 0)
    }

    /// Appends one request.
    #[inline]
    pub(super) fn append(&self, out: &mut Vec<u8>, keys: &mut Keys, values: &Values, rng: &mut Rng) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let mut element = None;
        for slot in &self.slots {
            let place = &mut out[start + slot.at..];
            match slot.fill {
                Fill::Key => write_number(&mut place[KEY_PREFIX.len()..][..NUMBER_DIGITS], keys.draw(rng)),
                Fill::Number => write_number(&mut place[..NUMBER_DIGITS], keys.draw(rng)),
                Fill::Element | Fill::Collection => {
                    let element = *element.get_or_insert_with(|| keys.draw(rng));
                    let number =
                        if slot.fill == Fill::Element { element } else { element % self.collections };
                    write_number(&mut place[..NUMBER_DIGITS], number);
                }
                Fill::Value => {
                    let value = values.draw(rng);
                    place[..value.len()].copy_from_slice(value);
                }
            }
        }
    }

    /// Its size on the wire.
    pub(super) fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The text with its placeholders widened, as if it were a whole request.
    fn argument(mut text: &[u8], value_bytes: usize) -> Self {
        let (mut bytes, mut slots) = (Vec::new(), Vec::new());
        'text: while let Some((&byte, behind)) = text.split_first() {
            for (name, fill) in PLACEHOLDERS {
                if let Some(behind) = text.strip_prefix(name) {
                    slots.push(Slot { at: bytes.len(), fill });
                    let width = match fill {
                        Fill::Key => {
                            bytes.extend_from_slice(KEY_PREFIX);
                            NUMBER_DIGITS
                        }
                        Fill::Number | Fill::Element | Fill::Collection => NUMBER_DIGITS,
                        Fill::Value => value_bytes,
                    };
                    bytes.resize(bytes.len() + width, b'0');
                    text = behind;
                    continue 'text;
                }
            }
            bytes.push(byte);
            text = behind;
        }
        Self { bytes, slots, collections: 1 }
    }
}

/// Fills `place` with `n`, zeros in front.
#[inline]
fn write_number(place: &mut [u8], mut n: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (n % 10) as u8;
        n /= 10;
    }
}

/// Values of one size.
#[derive(Clone, Debug)]
pub(super) struct Values {
    pool: Vec<u8>,
    value_bytes: usize,
}

impl Values {
    pub(super) fn new(value_bytes: usize, rng: &mut Rng) -> Self {
        let letter = |_| VALUE_LETTERS[rng.below(VALUE_LETTERS.len() as u64) as usize];
        Self { pool: (0..value_bytes + VALUE_STARTS).map(letter).collect(), value_bytes }
    }

    #[inline]
    fn draw(&self, rng: &mut Rng) -> &[u8] {
        &self.pool[rng.below(VALUE_STARTS as u64) as usize..][..self.value_bytes]
    }
}

/// What one worker sends.
#[derive(Clone, Debug)]
pub(super) struct Load {
    read: Template,
    write: Template,
    /// A request is a read if a draw of 64 bits is below it. `None`: always.
    read_below: Option<u64>,
    keys: Keys,
    values: Values,
    rng: Rng,
}

impl Load {
    /// `read` with probability `read_ratio`, else `write`.
    pub(super) fn mix(
        read: Template,
        write: Template,
        read_ratio: f64,
        keys: Keys,
        values: Values,
        rng: Rng,
    ) -> Self {
        let read_below = (read_ratio < 1.0).then_some((read_ratio * 2f64.powi(64)) as u64);
        Self { read, write, read_below, keys, values, rng }
    }

    /// Appends `requests` requests.
    #[inline]
    pub(super) fn append(&mut self, out: &mut Vec<u8>, requests: u64) {
        for _ in 0..requests {
            let read = self.read_below.is_none_or(|below| self.rng.next_u64() < below);
            let template = if read { &self.read } else { &self.write };
            template.append(out, &mut self.keys, &self.values, &mut self.rng);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::keys::Distribution;
    use modb_net::resp::{Decoded, Limits, RequestDecoder};
    use proptest::prelude::{Just, Strategy, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};

    const KEYS: u64 = 1000;

    fn over(value_bytes: usize) -> Over {
        Over { value_bytes, collections: 1 }
    }

    fn load(read: Template, write: Template, read_ratio: f64, value_bytes: usize) -> Load {
        let mut rng = Rng::new(3);
        let values = Values::new(value_bytes, &mut rng);
        Load::mix(read, write, read_ratio, Keys::new(KEYS, Distribution::Uniform), values, rng)
    }

    fn decode_all(mut input: &[u8]) -> Vec<Vec<Vec<u8>>> {
        let (mut decoder, mut requests) = (RequestDecoder::default(), Vec::new());
        while !input.is_empty() {
            let Decoded::Request { consumed } = decoder.decode(input, &Limits::default()).unwrap() else {
                panic!("incomplete")
            };
            requests.push(decoder.args(input).iter().map(<[u8]>::to_vec).collect());
            input = &input[consumed..];
        }
        requests
    }

    fn number(digits: &[u8]) -> u64 {
        assert_eq!(digits.len(), NUMBER_DIGITS);
        std::str::from_utf8(digits).unwrap().parse().unwrap()
    }

    #[test]
    fn placeholders_are_filled_anywhere_in_an_argument() {
        let template =
            Template::resp(&["ZADD", "z:{__key__}", "__rand_int__", "<__value__|__value__>"], over(5));
        let mut out = Vec::new();
        load(template.clone(), template, 1.0, 5).append(&mut out, 50);
        let requests = decode_all(&out);
        assert_eq!(requests.len(), 50);
        for args in &requests {
            assert_eq!(args[0], b"ZADD");
            let key = args[1].strip_prefix(b"z:{key:").unwrap().strip_suffix(b"}").unwrap();
            assert!(number(key) < KEYS);
            assert!(number(&args[2]) < KEYS);
            assert_eq!((args[3].len(), args[3][0], args[3][6]), (13, b'<', b'|'));
        }
        for (index, what) in [(1, "keys"), (2, "numbers"), (3, "values")] {
            assert!(requests.iter().any(|args| args[index] != requests[0][index]), "the {what} change");
        }
    }

    #[test]
    fn an_element_is_always_in_the_same_collection() {
        let request = ["HSET", "h:__collection__", "__element__", "__rand_int__", "<__element__>"];
        let template = Template::resp(&request, Over { value_bytes: 0, collections: 7 });
        let mut out = Vec::new();
        load(template.clone(), template, 1.0, 0).append(&mut out, 500);
        let requests = decode_all(&out);
        for args in &requests {
            let element = number(&args[2]);
            assert_eq!(number(args[1].strip_prefix(b"h:").unwrap()), element % 7);
            assert_eq!(args[4], [b"<", &args[2][..], b">"].concat());
        }
        assert!(requests.iter().any(|args| args[3] != args[2]), "other numbers are drawn apart");
        assert!(requests.iter().any(|args| args[1] != requests[0][1]), "all collections are used");
    }

    #[test]
    fn reads_and_writes_come_in_the_ratio_asked_for() {
        for (ratio, expected) in [(0.0, 0..=0), (0.25, 2300..=2700), (1.0, 10_000..=10_000)] {
            let (get, set) =
                (Template::resp(&["GET", "__key__"], over(0)), Template::resp(&["SET"], over(0)));
            let mut out = Vec::new();
            load(get, set, ratio, 0).append(&mut out, 10_000);
            let reads = decode_all(&out).iter().filter(|args| args[0] == b"GET").count();
            assert!(expected.contains(&reads), "{ratio}: {reads}");
        }
    }

    #[test]
    fn memcached_requests_are_text_with_their_length() {
        let mut out = Vec::new();
        load(Template::memcached_get(), Template::memcached_set(3), 0.0, 3).append(&mut out, 1);
        let text = String::from_utf8(out).unwrap();
        let (head, value) = text.strip_suffix("\r\n").unwrap().split_once("\r\n").unwrap();
        assert!(head.starts_with("set key:000000000") && head.ends_with(" 0 0 3"), "{head}");
        assert_eq!(value.len(), 3);
        let mut out = Vec::new();
        load(Template::memcached_get(), Template::memcached_set(3), 1.0, 3).append(&mut out, 1);
        assert!(out.starts_with(b"get key:000000000") && out.ends_with(b"\r\n"));
    }

    proptest! {
        #[test]
        fn whatever_the_arguments_the_server_decodes_them_and_only_placeholders_differ(
            args in prop::collection::vec(
                prop::collection::vec(
                    prop_oneof![
                        Just(b"__key__".to_vec()),
                        Just(b"__rand_int__".to_vec()),
                        Just(b"__value__".to_vec()),
                        prop::collection::vec(prop::num::u8::ANY.prop_filter("ours", |b| *b != b'_'), 0..12),
                    ],
                    0..4,
                ),
                1..6,
            ),
            value_bytes in 0usize..300,
        ) {
            let texts: Vec<Vec<u8>> = args.iter().map(|parts| parts.concat()).collect();
            let template = Template::resp(&texts, over(value_bytes));
            let mut out = Vec::new();
            load(template.clone(), template, 1.0, value_bytes).append(&mut out, 3);
            let requests = decode_all(&out);
            prop_assert_eq!(requests.len(), 3);
            for request in requests {
                prop_assert_eq!(request.len(), args.len());
                for (sent, parts) in request.iter().zip(&args) {
                    let mut rest = &sent[..];
                    for part in parts {
                        rest = match &part[..] {
                            b"__key__" => {
                                let digits = rest.strip_prefix(KEY_PREFIX).unwrap();
                                prop_assert!(number(&digits[..NUMBER_DIGITS]) < KEYS);
                                &digits[NUMBER_DIGITS..]
                            }
                            b"__rand_int__" => {
                                prop_assert!(number(&rest[..NUMBER_DIGITS]) < KEYS);
                                &rest[NUMBER_DIGITS..]
                            }
                            b"__value__" => {
                                prop_assert!(rest[..value_bytes].iter().all(|b| VALUE_LETTERS.contains(b)));
                                &rest[value_bytes..]
                            }
                            literal => rest.strip_prefix(literal).unwrap(),
                        };
                    }
                    prop_assert!(rest.is_empty());
                }
            }
        }
    }
}
