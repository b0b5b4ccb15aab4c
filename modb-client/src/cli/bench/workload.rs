//! What is sent: requests encoded once, in which only the digits of the keys change. Pure.

use modb_net::resp::encode_request;

use super::random::{Keys, Rng};

/// Where a request has this, a key's number comes: 12 digits, as redis-benchmark does it.
const PLACEHOLDER: &[u8; 12] = b"__rand_int__";

/// One request with places for numbers.
#[derive(Clone, Debug)]
struct Template {
    bytes: Vec<u8>,
    /// Where the numbers begin.
    places: Vec<usize>,
}

impl Template {
    fn new<A: AsRef<[u8]>>(args: &[A]) -> Self {
        let mut bytes = Vec::new();
        encode_request(&mut bytes, args);
        let mut places = Vec::new();
        let mut from = 0;
        while let Some(found) = bytes[from..].windows(PLACEHOLDER.len()).position(|w| w == PLACEHOLDER) {
            let place = from + found;
            bytes[place..place + PLACEHOLDER.len()].fill(b'0');
            places.push(place);
            from = place + PLACEHOLDER.len();
        }
        Self { bytes, places }
    }
}

/// A test: its name, and its requests.
#[derive(Clone, Debug)]
pub(super) struct Workload {
    pub(super) name: String,
    first: Template,
    /// Sent instead of `first` with a probability of `second_share`.
    second: Option<Template>,
    second_share: f64,
    keys: Keys,
}

impl Workload {
    /// Always the same request, `__rand_int__` in it replaced by numbers of keys.
    pub(super) fn one<A: AsRef<[u8]>>(name: &str, args: &[A], keys: Keys) -> Self {
        Self { name: name.to_owned(), first: Template::new(args), second: None, second_share: 0.0, keys }
    }

    /// `SET` of values of `value_bytes`.
    pub(super) fn set(value_bytes: usize, keys: Keys) -> Self {
        Self::one("SET", &set_args(value_bytes), keys)
    }

    /// `GET`.
    pub(super) fn get(keys: Keys) -> Self {
        Self::one("GET", &GET_ARGS, keys)
    }

    /// `GET` with a probability of `reads`, else `SET`.
    pub(super) fn mixed(reads: f64, value_bytes: usize, keys: Keys) -> Self {
        Self {
            name: format!("GET {:.0} % / SET", reads * 100.0),
            second: Some(Template::new(&GET_ARGS)),
            second_share: reads,
            ..Self::set(value_bytes, keys)
        }
    }
}

const GET_ARGS: [&[u8]; 2] = [b"GET", b"key:__rand_int__"];

fn set_args(value_bytes: usize) -> [Vec<u8>; 3] {
    // Letters without a pattern: an engine that compresses should not win by it.
    let mut rng = Rng::new(0);
    let value = (0..value_bytes).map(|_| b'a' + rng.below(26) as u8).collect();
    [b"SET".to_vec(), b"key:__rand_int__".to_vec(), value]
}

/// The requests that one connection sends together.
#[derive(Debug)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    /// Where the numbers in `bytes` begin.
    places: Vec<usize>,
    requests: usize,
}

impl Batch {
    pub(super) fn new() -> Self {
        Self { bytes: Vec::new(), places: Vec::new(), requests: 0 }
    }

    /// Makes it `requests` requests of `workload` with new keys.
    pub(super) fn refill(&mut self, workload: &Workload, requests: usize, rng: &mut Rng) {
        if self.requests != requests || workload.second.is_some() {
            self.bytes.clear();
            self.places.clear();
            self.requests = requests;
            for _ in 0..requests {
                let template = match &workload.second {
                    Some(second) if rng.fraction() < workload.second_share => second,
                    _ => &workload.first,
                };
                let start = self.bytes.len();
                self.bytes.extend_from_slice(&template.bytes);
                self.places.extend(template.places.iter().map(|place| start + place));
            }
        }
        for &place in &self.places {
            write_number(&mut self.bytes[place..place + PLACEHOLDER.len()], workload.keys.next(rng));
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Writes `n` right-aligned, with leading zeros.
fn write_number(digits: &mut [u8], mut n: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (n % 10) as u8;
        n /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_placeholder_gets_a_number_and_nothing_else_changes() {
        let keys = Keys::new(1, 0.0);
        let workload = Workload::one("x", &["LPUSH", "list:__rand_int__", "a__rand_int__b"], keys);
        let mut batch = Batch::new();
        batch.refill(&workload, 2, &mut Rng::new(1));
        let request = "*3\r\n$5\r\nLPUSH\r\n$17\r\nlist:000000000000\r\n$14\r\na000000000000b\r\n";
        assert_eq!(String::from_utf8_lossy(batch.bytes()), request.repeat(2));
    }

    #[test]
    fn keys_change_with_every_batch_and_stay_in_their_space() {
        let workload = Workload::get(Keys::new(10, 0.0));
        let (mut batch, mut rng) = (Batch::new(), Rng::new(1));
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..200 {
            batch.refill(&workload, 1, &mut rng);
            seen.insert(String::from_utf8_lossy(batch.bytes()).into_owned());
        }
        assert_eq!(seen.len(), 10);
        assert!(seen.contains("*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000009\r\n"));
    }

    #[test]
    fn a_mix_has_its_shares() {
        let workload = Workload::mixed(0.9, 3, Keys::new(10, 0.0));
        let mut batch = Batch::new();
        batch.refill(&workload, 10_000, &mut Rng::new(1));
        let gets = batch.bytes().windows(3).filter(|w| w == b"GET").count();
        assert!((8_900..9_100).contains(&gets), "{gets}");
        assert_eq!(batch.bytes().windows(3).filter(|w| w == b"SET").count(), 10_000 - gets);
    }
}
