//! Encoding replies for both protocols, decoding and counting them, and what hostile ones may cost.

use super::encode_value;
use crate::resp::{
    Counted, Encoder, Protocol, ReplyCounter, ReplyDecoder, ReplyError, ReplyLimits, Value, encode_request,
};

fn encoded(protocol: Protocol, write: impl FnOnce(&mut Encoder<'_>)) -> String {
    let mut out = Vec::new();
    write(&mut Encoder::new(&mut out, protocol));
    String::from_utf8(out).unwrap()
}

fn decode(bytes: &[u8]) -> Result<Option<Value>, ReplyError> {
    ReplyDecoder::default().decode(&mut &bytes[..])
}

#[test]
fn types_that_resp2_lacks_are_written_as_redis_writes_them() {
    type Write = fn(&mut Encoder<'_>);
    let cases: [(Write, &str, &str); 11] = [
        (|e| e.null(), "$-1\r\n", "_\r\n"),
        (|e| e.null_array(), "*-1\r\n", "_\r\n"),
        (|e| e.boolean(true), ":1\r\n", "#t\r\n"),
        (|e| e.boolean(false), ":0\r\n", "#f\r\n"),
        (|e| e.double(2.5), "$3\r\n2.5\r\n", ",2.5\r\n"),
        (|e| e.double(f64::NEG_INFINITY), "$4\r\n-inf\r\n", ",-inf\r\n"),
        (|e| e.big_number("123"), "$3\r\n123\r\n", "(123\r\n"),
        (|e| e.verbatim(b"txt", b"hi"), "$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n"),
        (|e| e.map(2), "*4\r\n", "%2\r\n"),
        (|e| e.set(2), "*2\r\n", "~2\r\n"),
        (|e| e.push(2), "*2\r\n", ">2\r\n"),
    ];
    for (write, resp2, resp3) in cases {
        assert_eq!(encoded(Protocol::Resp2, write), resp2);
        assert_eq!(encoded(Protocol::Resp3, write), resp3);
    }
    assert_eq!(encoded(Protocol::Resp2, |e| assert!(!e.attributes(1))), "");
    assert_eq!(encoded(Protocol::Resp3, |e| assert!(e.attributes(1))), "|1\r\n");
}

#[test]
fn line_breaks_cannot_leave_an_error_or_a_status() {
    assert_eq!(encoded(Protocol::Resp2, |e| e.error("ERR a\r\n+OK\n")), "-ERR a  +OK \r\n");
    assert_eq!(encoded(Protocol::Resp2, |e| e.simple("a\nb")), "+a b\r\n");
}

#[test]
fn an_array_can_get_its_length_last() {
    let text = encoded(Protocol::Resp2, |e| {
        e.ok();
        let array = e.begin_array();
        (0..12).for_each(|n| e.integer(n));
        e.end_array(array, 12);
        e.ok();
    });
    assert_eq!(
        text,
        "+OK\r\n*12\r\n:0\r\n:1\r\n:2\r\n:3\r\n:4\r\n:5\r\n:6\r\n:7\r\n:8\r\n:9\r\n:10\r\n:11\r\n+OK\r\n"
    );
}

#[test]
fn requests_are_arrays_of_strings() {
    let mut out = Vec::new();
    encode_request(&mut out, ["SET", "a", ""]);
    assert_eq!(out, b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$0\r\n\r\n");
}

#[test]
fn every_type_is_read() {
    let bulk = |text: &str| Value::Bulk(text.as_bytes().to_vec());
    let cases: [(&str, Value); 17] = [
        ("+OK\r\n", Value::Simple(b"OK".to_vec())),
        ("-ERR x\r\n", Value::Error(b"ERR x".to_vec())),
        ("!5\r\nERR x\r\n", Value::Error(b"ERR x".to_vec())),
        (":-7\r\n", Value::Integer(-7)),
        ("$-1\r\n", Value::Null),
        ("*-1\r\n", Value::Null),
        ("_\r\n", Value::Null),
        ("$0\r\n\r\n", bulk("")),
        ("*0\r\n", Value::Array(vec![])),
        ("#t\r\n", Value::Boolean(true)),
        (",-1.5e3\r\n", Value::Double(-1500.0)),
        (",inf\r\n", Value::Double(f64::INFINITY)),
        ("(-12345678901234567890123\r\n", Value::BigNumber("-12345678901234567890123".into())),
        ("=7\r\nmkd:abc\r\n", Value::Verbatim { format: *b"mkd", text: b"abc".to_vec() }),
        (
            "%1\r\n$1\r\na\r\n*1\r\n:1\r\n",
            Value::Map(vec![(bulk("a"), Value::Array(vec![Value::Integer(1)]))]),
        ),
        (
            ">2\r\n~1\r\n+a\r\n%0\r\n",
            Value::Push(vec![Value::Set(vec![Value::Simple(b"a".to_vec())]), Value::Map(vec![])]),
        ),
        (
            "*1\r\n|1\r\n+ttl\r\n:5\r\n$1\r\nx\r\n",
            Value::Array(vec![Value::Attributed {
                attributes: vec![(Value::Simple(b"ttl".to_vec()), Value::Integer(5))],
                value: Box::new(bulk("x")),
            }]),
        ),
    ];
    for (text, value) in cases {
        assert_eq!(decode(text.as_bytes()), Ok(Some(value)), "{text:?}");
        let counted = ReplyCounter::default().count(text.as_bytes()).unwrap();
        assert_eq!(counted.replies, u64::from(!text.starts_with('>')), "{text:?}");
        assert_eq!(counted.errors, u64::from(text.contains("ERR")), "{text:?}");
    }
}

#[test]
fn what_is_not_a_reply_is_an_error() {
    for (text, error) in [
        ("?\r\n", ReplyError::UnknownType(b'?')),
        ("\r\n", ReplyError::UnknownType(b'\r')),
        (":x\r\n", ReplyError::MalformedNumber),
        ("#x\r\n", ReplyError::MalformedNumber),
        ("(1x\r\n", ReplyError::MalformedNumber),
        (",x\r\n", ReplyError::MalformedNumber),
        ("$-2\r\n", ReplyError::MalformedNumber),
        ("$1\r\nab\r\n", ReplyError::MissingLineEnd),
        ("+OK\rx", ReplyError::MissingLineEnd),
        ("=3\r\ntxt\r\n", ReplyError::MalformedVerbatim),
        ("$9223372036854775807\r\n", ReplyError::BulkTooLong),
        ("*9223372036854775807\r\n", ReplyError::TooManyElements),
        ("*1\r\n>1\r\n", ReplyError::NestedPush),
    ] {
        assert_eq!(decode(text.as_bytes()), Err(error), "{text:?}");
    }
}

#[test]
fn announced_elements_and_nesting_allocate_next_to_nothing() {
    let mut decoder = ReplyDecoder::default();
    let head = b"*2147483647\r\n";
    let hostile = head.repeat(ReplyLimits::default().max_depth);
    assert_eq!(decoder.decode(&mut &hostile[..]), Ok(None));
    assert!(decoder.reserved_bytes() < 256 << 10, "{}", decoder.reserved_bytes());
    assert_eq!(decoder.decode(&mut &head[..]), Err(ReplyError::TooDeep));
}

#[test]
fn a_million_levels_of_nesting_are_refused_without_recursion() {
    assert_eq!(decode(&b"*1\r\n".repeat(1_000_000)), Err(ReplyError::TooDeep));
    let counted = ReplyCounter::default().count(&b"*1\r\n".repeat(1_000_000));
    assert_eq!(counted, Ok(Counted::default()), "counting needs no stack");
}

#[test]
fn lines_without_end_are_refused() {
    let limit = ReplyLimits::default().max_line_bytes;
    assert_eq!(decode(&vec![b'+'; limit]), Ok(None));
    assert_eq!(decode(&vec![b'+'; limit + 1]), Err(ReplyError::LineTooLong));
}

#[test]
fn the_counter_keeps_the_last_error() {
    let mut counter = ReplyCounter::default();
    assert_eq!(counter.last_error(), None);
    counter.count(b"-ERR fi").unwrap();
    let counted = counter.count(b"rst\r\n+OK\r\n*1\r\n:1\r\n>1\r\n+x\r\n").unwrap();
    assert_eq!(counted, Counted { replies: 3, errors: 1 });
    assert_eq!(counter.last_error().as_deref(), Some("ERR first"));
    assert!(counter.count(b"$x").is_err());
}

#[test]
fn a_tree_is_written_as_it_is_read() {
    let text = "|1\r\n+a\r\n:1\r\n*2\r\n_\r\n%1\r\n#f\r\n~1\r\n$1\r\nx\r\n";
    let value = decode(text.as_bytes()).unwrap().unwrap();
    assert_eq!(encoded(Protocol::Resp3, |e| encode_value(e, &value)), text);
}
