//! Properties over random input: splits, round trips, and no panic on anything.

use proptest::collection::vec;
use proptest::prelude::*;

use super::encode_value;
use crate::resp::{
    Counted, Decoded, Encoder, Limits, Protocol, ProtocolError, ReplyCounter, ReplyDecoder, ReplyError,
    RequestDecoder, Value, encode_request, parse_i64, push_f64, push_i64,
};

type Requests = Vec<Vec<Vec<u8>>>;

/// Small limits, so that random input reaches them.
fn small_limits() -> Limits {
    Limits { max_bulk_bytes: 64, max_elements: 8, max_inline_bytes: 32, authenticated: true }
}

/// Feeds `input` in pieces that end at `cuts`, as a connection's read buffer would hold them.
fn requests_in_pieces(input: &[u8], cuts: &[usize], limits: &Limits) -> (Requests, Option<ProtocolError>) {
    let mut decoder = RequestDecoder::new();
    let mut requests = Vec::new();
    let mut start = 0;
    for end in cuts.iter().copied().chain([input.len()]) {
        loop {
            // A copy that is exactly as long: an argument that pointed into an older buffer would not survive.
            let window = input[start..end].to_vec();
            match decoder.decode(&window, limits) {
                Ok(Decoded::Incomplete { wanted_bytes }) => {
                    assert!(wanted_bytes > window.len());
                    break;
                }
                Ok(Decoded::Nothing { consumed }) => start += consumed,
                Ok(Decoded::Request { consumed }) => {
                    requests.push(decoder.args(&window).iter().map(<[u8]>::to_vec).collect());
                    start += consumed;
                }
                Err(error) => return (requests, Some(error)),
            }
            assert!(decoder.memory_bytes() <= 4096 + 16 * input.len());
        }
    }
    (requests, None)
}

fn replies_in_pieces(input: &[u8], cuts: &[usize]) -> (Vec<Value>, Option<ReplyError>) {
    let mut decoder = ReplyDecoder::default();
    let mut replies = Vec::new();
    let mut start = 0;
    for end in cuts.iter().copied().chain([input.len()]) {
        loop {
            let mut rest = &input[start..end];
            let result = decoder.decode(&mut rest);
            start = end - rest.len();
            match result {
                Ok(Some(value)) => replies.push(value),
                Ok(None) => break,
                Err(error) => return (replies, Some(error)),
            }
        }
    }
    (replies, None)
}

fn count_in_pieces(input: &[u8], cuts: &[usize]) -> Result<Counted, ReplyError> {
    let mut counter = ReplyCounter::default();
    let mut total = Counted::default();
    let mut start = 0;
    for end in cuts.iter().copied().chain([input.len()]) {
        let counted = counter.count(&input[start..end])?;
        total.replies += counted.replies;
        total.errors += counted.errors;
        start = end;
    }
    Ok(total)
}

/// Random places to cut `len` bytes, in order.
fn sorted_cuts(mut cuts: Vec<prop::sample::Index>, len: usize) -> Vec<usize> {
    let mut cuts: Vec<usize> = cuts.drain(..).map(|cut| cut.index(len + 1)).collect();
    cuts.sort_unstable();
    cuts
}

/// Bytes that look like the protocol, often enough to reach deep states.
fn almost_resp() -> impl Strategy<Value = Vec<u8>> {
    let token = prop_oneof![
        prop::sample::select(vec![
            "*", "$", "\r\n", "\n", "-", "1", "3", "70", "\"", "'", "\\x", " ", "|", "%", ">", "_"
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        prop::sample::select(vec![
            "*1\r\n",
            "*2\r\n",
            "$1\r\na\r\n",
            "$0\r\n\r\n",
            ":5\r\n",
            "+OK\r\n",
            "%1\r\n",
            "|1\r\n"
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        vec(any::<u8>(), 0..4),
    ];
    vec(token, 0..40).prop_map(|tokens| tokens.concat())
}

fn value() -> impl Strategy<Value = Value> {
    let line = "[ -~]{0,12}".prop_map(String::into_bytes);
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Boolean),
        any::<i64>().prop_map(Value::Integer),
        any::<f64>().prop_filter("NaN is not equal to itself", |d| !d.is_nan()).prop_map(Value::Double),
        "-?[0-9]{1,40}".prop_map(Value::BigNumber),
        line.clone().prop_map(Value::Simple),
        line.prop_map(Value::Error),
        vec(any::<u8>(), 0..40).prop_map(Value::Bulk),
        (any::<[u8; 3]>(), vec(any::<u8>(), 0..40))
            .prop_map(|(format, text)| Value::Verbatim { format, text }),
    ];
    scalar.prop_recursive(4, 64, 6, |inner| {
        let pairs = vec((inner.clone(), inner.clone()), 0..4);
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::Array),
            vec(inner.clone(), 0..6).prop_map(Value::Set),
            pairs.clone().prop_map(Value::Map),
            (pairs, inner)
                .prop_map(|(attributes, value)| Value::Attributed { attributes, value: Box::new(value) }),
        ]
    })
}

proptest! {
    #[test]
    fn requests_decode_alike_however_they_are_split(
        input in almost_resp(),
        cuts in vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let limits = small_limits();
        let whole = requests_in_pieces(&input, &[], &limits);
        prop_assert_eq!(&requests_in_pieces(&input, &sorted_cuts(cuts, input.len()), &limits), &whole);
        let every: Vec<usize> = (0..input.len()).collect();
        prop_assert_eq!(&requests_in_pieces(&input, &every, &limits), &whole);
    }

    #[test]
    fn requests_come_back_as_they_were_encoded(
        requests in vec(vec(vec(any::<u8>(), 0..60), 1..6), 0..8),
        cuts in vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let mut bytes = Vec::new();
        requests.iter().for_each(|args| encode_request(&mut bytes, args));
        let cuts = sorted_cuts(cuts, bytes.len());
        prop_assert_eq!(requests_in_pieces(&bytes, &cuts, &Limits::default()), (requests, None));
    }

    #[test]
    fn replies_come_back_as_they_were_encoded(
        values in vec(value(), 0..6),
        cuts in vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let mut bytes = Vec::new();
        let mut out = Encoder::new(&mut bytes, Protocol::Resp3);
        values.iter().for_each(|value| encode_value(&mut out, value));
        let cuts = sorted_cuts(cuts, bytes.len());
        let counted = Counted {
            replies: values.len() as u64,
            errors: values.iter().filter(|value| matches!(value, Value::Error(_))).count() as u64,
        };
        prop_assert_eq!(count_in_pieces(&bytes, &cuts), Ok(counted));
        prop_assert_eq!(replies_in_pieces(&bytes, &cuts), (values, None));
    }

    #[test]
    fn replies_decode_alike_however_they_are_split(
        input in almost_resp(),
        cuts in vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let cuts = sorted_cuts(cuts, input.len());
        let whole = replies_in_pieces(&input, &[]);
        prop_assert_eq!(&replies_in_pieces(&input, &cuts), &whole);
        let every: Vec<usize> = (0..input.len()).collect();
        prop_assert_eq!(&replies_in_pieces(&input, &every), &whole);
        prop_assert_eq!(count_in_pieces(&input, &cuts), count_in_pieces(&input, &[]));
    }

    #[test]
    fn resp2_is_well_formed_for_any_value(value in value()) {
        let mut bytes = Vec::new();
        encode_value(&mut Encoder::new(&mut bytes, Protocol::Resp2), &value);
        let (replies, error) = replies_in_pieces(&bytes, &[]);
        prop_assert_eq!((replies.len(), error), (1, None));
    }

    #[test]
    fn numbers_come_back_as_they_were_written(n in any::<i64>(), d in any::<f64>()) {
        let mut text = Vec::new();
        push_i64(&mut text, n);
        prop_assert_eq!(parse_i64(&text), Some(n));
        let mut text = Vec::new();
        push_f64(&mut text, d);
        let read: f64 = String::from_utf8(text).unwrap().parse().unwrap();
        prop_assert!(read == d || (read.is_nan() && d.is_nan()));
    }
}
