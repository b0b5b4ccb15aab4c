//! Replies as their bytes, for programs. Pure.

use modb_client::Value;
use modb_net::resp::{push_f64, push_i64};

use super::Delimiters;

pub(super) fn write(out: &mut Vec<u8>, reply: &Value, delimiters: Delimiters) {
    write_value(out, reply, delimiters.element);
    out.extend_from_slice(delimiters.reply);
}

fn write_value(out: &mut Vec<u8>, value: &Value, between: &[u8]) {
    match value {
        Value::Null => {}
        Value::Boolean(true) => out.extend_from_slice(b"true"),
        Value::Boolean(false) => out.extend_from_slice(b"false"),
        Value::Integer(n) => push_i64(out, *n),
        Value::Double(d) => push_f64(out, *d),
        Value::Error(text) => out.extend_from_slice(text),
        Value::Array(items) | Value::Set(items) | Value::Push(items) => {
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.extend_from_slice(between);
                }
                write_value(out, item, between);
            }
        }
        Value::Map(pairs) => {
            for (index, (key, value)) in pairs.iter().enumerate() {
                if index > 0 {
                    out.extend_from_slice(between);
                }
                write_value(out, key, between);
                out.push(b' ');
                write_value(out, value, between);
            }
        }
        Value::Attributed { value, .. } => write_value(out, value, between),
        string => out.extend_from_slice(string.as_bytes().unwrap_or_default()),
    }
}
