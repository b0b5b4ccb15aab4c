//! Replies as JSON, one line each. Pure.
//!
//! A byte that is not UTF-8 becomes `\u00XX`; a number that JSON has not (`inf`, `nan`) a string; an error an object
//! with the one member `error`; a key that is no string its own text.

use modb_client::Value;
use modb_net::resp::{push_f64, push_i64};

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

/// Appends `bytes` as a JSON string.
fn push_json_string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' => out.extend_from_slice(b"\\\""),
                '\\' => out.extend_from_slice(b"\\\\"),
                '\n' => out.extend_from_slice(b"\\n"),
                '\r' => out.extend_from_slice(b"\\r"),
                '\t' => out.extend_from_slice(b"\\t"),
                c if c.is_control() => push_code(out, c as u32),
                c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        chunk.invalid().iter().for_each(|&byte| push_code(out, byte.into()));
    }
    out.push(b'"');
}

/// A character below U+0100: a control of JSON's or Unicode's, or a stray byte.
fn push_code(out: &mut Vec<u8>, code: u32) {
    out.extend_from_slice(format!("\\u{code:04x}").as_bytes());
}
