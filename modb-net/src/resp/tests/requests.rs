//! Decoding requests: boundaries, limits, and the errors that Redis gives.

use crate::resp::{Decoded, Limits, ProtocolError, RequestDecoder};

fn decode_all(input: &[u8], limits: &Limits) -> Result<Vec<Vec<Vec<u8>>>, ProtocolError> {
    let mut decoder = RequestDecoder::new();
    let mut rest = input;
    let mut requests = Vec::new();
    loop {
        match decoder.decode(rest, limits)? {
            Decoded::Incomplete { .. } => return Ok(requests),
            Decoded::Nothing { consumed } => rest = &rest[consumed..],
            Decoded::Request { consumed } => {
                requests.push(decoder.args(rest).iter().map(<[u8]>::to_vec).collect());
                rest = &rest[consumed..];
            }
        }
    }
}

fn error(input: &[u8]) -> String {
    decode_all(input, &Limits::default()).unwrap_err().to_string()
}

#[test]
fn a_pipeline_of_arrays_inline_commands_and_empty_lines_is_split_into_requests() {
    let input =
        b"*1\r\n$4\r\nPING\r\n\r\nGET a\r\n*0\r\n*-1\r\n \nset a \"b c\"\n*2\r\n$0\r\n\r\n$2\r\n\r\n\r\n";
    let expected: [&[&[u8]]; 4] = [&[b"PING"], &[b"GET", b"a"], &[b"set", b"a", b"b c"], &[b"", b"\r\n"]];
    assert_eq!(decode_all(input, &Limits::default()).unwrap(), expected);
}

#[test]
fn an_argument_of_any_length_is_read_whole() {
    for digits in 0..7 {
        for len in [10usize.pow(digits), 10usize.pow(digits + 1) - 1] {
            let word = vec![b'x'; len];
            let input = [format!("*2\r\n${len}\r\n").as_bytes(), &word, b"\r\n$0\r\n\r\n"].concat();
            let expected: [&[&[u8]]; 1] = [&[&word, b""]];
            assert_eq!(decode_all(&input, &Limits::default()).unwrap(), expected, "{len}");
        }
    }
}

#[test]
fn an_inline_command_of_empty_words_is_a_request() {
    let expected: [&[&[u8]]; 1] = [&[b"", b""]];
    assert_eq!(decode_all(b"\"\" ''\r\n", &Limits::default()).unwrap(), expected);
}

#[test]
fn errors_read_as_redis_words_them() {
    assert_eq!(error(b"*x\r\n"), "Protocol error: invalid multibulk length");
    assert_eq!(error(b"*\r\n"), "Protocol error: invalid multibulk length");
    assert_eq!(error(b"*2147483648\r\n"), "Protocol error: invalid multibulk length");
    assert_eq!(error(b"*9223372036854775808\r\n"), "Protocol error: invalid multibulk length");
    assert_eq!(error(b"*01\r\n"), "Protocol error: invalid multibulk length");
    assert_eq!(error(b"*1\r\nx1\r\n"), "Protocol error: expected '$', got 'x'");
    assert_eq!(error(b"*1\r\n\r\n"), "Protocol error: expected '$', got ' '");
    assert_eq!(error(b"*1\r\n$-1\r\n"), "Protocol error: invalid bulk length");
    assert_eq!(error(b"*1\r\n$+1\r\n"), "Protocol error: invalid bulk length");
    assert_eq!(error(b"*1\r\n$\r\n"), "Protocol error: invalid bulk length");
    assert_eq!(error(b"*1\r\n$00\r\n"), "Protocol error: invalid bulk length");
    assert_eq!(error(b"*1\r\n$1x\r\na\r\n"), "Protocol error: invalid bulk length");
    assert_eq!(error(b"*1\r\n$536870913\r\n"), "Protocol error: invalid bulk length");
    assert_eq!(error(b"*1\r\n$9223372036854775808\r\n"), "Protocol error: invalid bulk length");
    assert_eq!(error(b"GET \"a\r\n"), "Protocol error: unbalanced quotes in request");
    let long = vec![b'1'; (64 << 10) + 1];
    assert_eq!(error(&long), "Protocol error: too big inline request");
    assert_eq!(error(&[b"*", &long[..]].concat()), "Protocol error: too big mbulk count string");
    assert_eq!(error(&[b"*1\r\n$", &long[..]].concat()), "Protocol error: too big bulk count string");
}

#[test]
fn the_longest_inline_command_passes() {
    let mut line = vec![b'a'; 64 << 10];
    line.push(b'\n');
    assert_eq!(decode_all(&line, &Limits::default()).unwrap().len(), 1);
    line.insert(0, b'a');
    assert_eq!(decode_all(&line, &Limits::default()), Err(ProtocolError::TooBigInline));
}

#[test]
fn strangers_get_ten_arguments_of_sixteen_kilobytes() {
    let limits = Limits { authenticated: false, ..Limits::default() };
    assert_eq!(decode_all(b"*10\r\n$16384\r\n", &limits), Ok(vec![]));
    let error = decode_all(b"*11\r\n", &limits).unwrap_err();
    assert_eq!(error.to_string(), "Protocol error: unauthenticated multibulk length");
    let error = decode_all(b"*1\r\n$16385\r\n", &limits).unwrap_err();
    assert_eq!(error.to_string(), "Protocol error: unauthenticated bulk length");
}

#[test]
fn announced_lengths_allocate_nothing() {
    let mut decoder = RequestDecoder::new();
    let input = b"*2147483647\r\n$536870912\r\nabc";
    let wanted = Decoded::Incomplete { wanted_bytes: 25 + (512 << 20) + 2 };
    assert_eq!(decoder.decode(input, &Limits::default()), Ok(wanted));
    assert_eq!(decoder.memory_bytes(), 0);
}

#[test]
fn requests_of_four_gigabytes_are_refused_before_their_places_overflow() {
    let limits = Limits { max_bulk_bytes: u32::MAX, ..Limits::default() };
    assert_eq!(
        decode_all(b"*2\r\n$4294967295\r\n", &limits),
        Err(ProtocolError::InvalidBulkLength),
        "its end would be beyond 32 bits"
    );
}

#[test]
fn the_room_for_a_huge_request_is_given_back_with_the_next_one() {
    let mut decoder = RequestDecoder::new();
    let mut input = b"*100000\r\n".to_vec();
    (0..100_000).for_each(|_| input.extend_from_slice(b"$1\r\na\r\n"));
    let consumed = input.len();
    assert_eq!(decoder.decode(&input, &Limits::default()), Ok(Decoded::Request { consumed }));
    assert!(decoder.memory_bytes() >= 800_000);
    decoder.decode(b"PING\r\n", &Limits::default()).unwrap();
    assert!(decoder.memory_bytes() <= 1024, "{}", decoder.memory_bytes());
}

#[test]
fn a_request_that_comes_byte_by_byte_is_scanned_once() {
    // 64 MiB one byte at a time would take hours if each call looked at what came before.
    let mut input = b"*1\r\n$67108864\r\n".to_vec();
    input.resize(input.len() + (64 << 20), b'x');
    input.extend_from_slice(b"\r\n");
    let mut decoder = RequestDecoder::new();
    let limits = Limits::default();
    for end in (1..input.len()).step_by(64) {
        assert!(matches!(decoder.decode(&input[..end], &limits), Ok(Decoded::Incomplete { .. })));
    }
    assert!(decoder.is_mid_request());
    let consumed = input.len();
    assert_eq!(decoder.decode(&input, &limits), Ok(Decoded::Request { consumed }));
    assert!(!decoder.is_mid_request());
}
