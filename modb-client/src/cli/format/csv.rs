//! Replies as comma-separated values, one line each, quoted as RFC 4180 says. Pure.
//!
//! Nesting is flattened; null is an empty field, an empty string is `""`.

use modb_client::Value;
use modb_net::resp::{push_f64, push_i64};

pub(super) fn write(out: &mut Vec<u8>, reply: &Value) {
    let mut first = true;
    fields(out, reply, &mut first);
    out.push(b'\n');
}

fn fields(out: &mut Vec<u8>, value: &Value, first: &mut bool) {
    match value {
        Value::Array(items) | Value::Set(items) | Value::Push(items) => {
            items.iter().for_each(|item| fields(out, item, first));
            return;
        }
        Value::Map(pairs) => {
            for (key, value) in pairs {
                fields(out, key, first);
                fields(out, value, first);
            }
            return;
        }
        Value::Attributed { value, .. } => return fields(out, value, first),
        _ => {}
    }
    if !std::mem::take(first) {
        out.push(b',');
    }
    match value {
        Value::Null => {}
        Value::Boolean(true) => out.extend_from_slice(b"true"),
        Value::Boolean(false) => out.extend_from_slice(b"false"),
        Value::Integer(n) => push_i64(out, *n),
        Value::Double(d) => push_f64(out, *d),
        Value::BigNumber(digits) => out.extend_from_slice(digits.as_bytes()),
        Value::Error(text) => quoted(out, text),
        string => quoted(out, string.as_bytes().unwrap_or_default()),
    }
}

fn quoted(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for &byte in bytes {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}
