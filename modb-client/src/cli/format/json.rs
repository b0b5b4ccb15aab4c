//! Replies as JSON, one line each. Pure.
//!
//! Text is a string. Bytes that are not UTF-8 are a string as well, so that they can be the key of an object: the data URL
//! `data:;base64,...` (RFC 2397). Text that itself begins like that is written in that form, too; so whoever decodes every string
//! with that beginning has the bytes back, and no two values look the same. A number that JSON has not (`inf`, `nan`) is
//! a string; an error an object with the one member `error`; a key that is no string its own text.

use modb_client::Value;
use modb_net::resp::{push_f64, push_i64};

use super::is_invisible;

pub(super) fn write(out: &mut Vec<u8>, reply: &Value) {
    write_value(out, reply);
    out.push(b'\n');
}

fn write_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Boolean(true) => out.extend_from_slice(b"true"),
        Value::Boolean(false) => out.extend_from_slice(b"false"),
        Value::Integer(n) => push_i64(out, *n),
        Value::Double(d) if d.is_finite() => push_f64(out, *d),
        Value::Double(d) => {
            out.push(b'"');
            push_f64(out, *d);
            out.push(b'"');
        }
        Value::BigNumber(digits) => out.extend_from_slice(digits.trim_start_matches('+').as_bytes()),
        Value::Error(text) => {
            out.extend_from_slice(b"{\"error\":");
            push_json_string(out, text);
            out.push(b'}');
        }
        Value::Array(items) | Value::Set(items) | Value::Push(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_value(out, item);
            }
            out.push(b']');
        }
        Value::Map(pairs) => {
            out.push(b'{');
            for (index, (key, value)) in pairs.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_key(out, key);
                out.push(b':');
                write_value(out, value);
            }
            out.push(b'}');
        }
        Value::Attributed { value, .. } => write_value(out, value),
        string => push_json_string(out, string.as_bytes().unwrap_or_default()),
    }
}

fn write_key(out: &mut Vec<u8>, key: &Value) {
    match key.as_bytes() {
        Some(bytes) => push_json_string(out, bytes),
        None => {
            let mut text = Vec::new();
            write_value(&mut text, key);
            push_json_string(out, &text);
        }
    }
}

/// What stands before the Base64 of what is not text.
const BINARY: &str = "data:;base64,";

/// Appends `bytes` as a JSON string.
fn push_json_string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.starts_with(BINARY) => push_text(out, text),
        _ => {
            out.extend_from_slice(BINARY.as_bytes());
            push_base64(out, bytes);
        }
    }
    out.push(b'"');
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    for c in text.chars() {
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            // All of these are below U+10000.
            c if is_invisible(c) => out.extend_from_slice(format!("\\u{:04x}", c as u32).as_bytes()),
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// Appends the Base64 of RFC 4648, with padding.
fn push_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for piece in bytes.chunks(3) {
        let byte = |at: usize| u32::from(piece.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let shift = 18 - 6 * digit;
            let padded = digit as usize > piece.len();
            out.push(if padded { b'=' } else { DIGITS[(bits >> shift) as usize & 63] });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn json(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        push_json_string(&mut out, bytes);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn bytes_that_are_no_text_are_base64_and_text_that_looks_like_it_is_too() {
        assert_eq!(json(b"\xc3\xbf"), "\"ÿ\"");
        assert_eq!(json(b"\xff"), "\"data:;base64,/w==\"");
        assert_eq!(json(b"\xff\x00"), "\"data:;base64,/wA=\"");
        assert_eq!(json(b"\xff\x00\x01\xfe"), "\"data:;base64,/wAB/g==\"");
        assert_eq!(json(b"data:;base64,/w=="), "\"data:;base64,ZGF0YTo7YmFzZTY0LC93PT0=\"");
        assert_eq!(json(b"data:text/plain,x"), "\"data:text/plain,x\"");
    }

    #[test]
    fn keys_of_an_object_stay_apart() {
        let pair = |key: &[u8]| (Value::Bulk(key.to_vec()), Value::Integer(1));
        let mut out = Vec::new();
        write(&mut out, &Value::Map(vec![pair(b"\xff"), pair(b"\xc3\xbf")]));
        assert_eq!(String::from_utf8(out).unwrap(), "{\"data:;base64,/w==\":1,\"ÿ\":1}\n");
    }

    proptest! {
        #[test]
        fn no_two_values_look_the_same(
            values in prop::collection::vec(
                prop_oneof![
                    prop::collection::vec(any::<u8>(), 0..4),
                    prop::collection::vec(prop::sample::select(&b"\xc3\xbf\xff\"\\a\n"[..]), 0..5),
                    "data:;base64,[A-Za/=]{0,4}".prop_map(String::into_bytes),
                ],
                2..40,
            ),
        ) {
            let mut seen = HashMap::new();
            for value in values {
                let other = seen.insert(json(&value), value.clone());
                prop_assert!(other.is_none_or(|other| other == value));
            }
        }
    }
}
