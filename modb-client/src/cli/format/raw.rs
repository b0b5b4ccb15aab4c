//! Replies as their bytes, for programs. Pure.

use modb_client::Value;
use modb_net::resp::{push_f64, push_i64};

pub(super) fn write(out: &mut Vec<u8>, reply: &Value) {
    write_value(out, reply);
    out.push(b'\n');
}

fn write_value(out: &mut Vec<u8>, value: &Value) {
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
                    out.push(b'\n');
                }
                write_value(out, item);
            }
        }
        Value::Map(pairs) => {
            for (index, (key, value)) in pairs.iter().enumerate() {
                if index > 0 {
                    out.push(b'\n');
                }
                write_value(out, key);
                out.push(b' ');
                write_value(out, value);
            }
        }
        Value::Attributed { value, .. } => write_value(out, value),
        string => out.extend_from_slice(string.as_bytes().unwrap_or_default()),
    }
}
