//! Replies for humans, as redis-cli shows them on a terminal. Pure.

use modb_client::Value;
use modb_client::terminal::Charset;
use modb_net::resp::{push_f64, push_i64, push_u64};

use super::{push_quoted, push_shown};

pub(super) fn write(out: &mut Vec<u8>, reply: &Value, charset: Charset) {
    write_at(out, reply, 0, charset);
}

/// Writes `value` with the cursor `indent` columns from the left.
fn write_at(out: &mut Vec<u8>, value: &Value, indent: usize, charset: Charset) {
    match value {
        Value::Array(items) => elements(out, items, indent, (')', "(empty array)"), charset),
        Value::Set(items) => elements(out, items, indent, ('~', "(empty set)"), charset),
        Value::Push(items) => elements(out, items, indent, (')', "(empty push)"), charset),
        Value::Map(pairs) => map(out, pairs, indent, ('#', "(empty hash)"), charset),
        Value::Attributed { attributes, value } => {
            map(out, attributes, indent, ('|', "(no attributes)"), charset);
            spaces(out, indent);
            write_at(out, value, indent, charset);
        }
        scalar => {
            write_scalar(out, scalar, charset);
            out.push(b'\n');
        }
    }
}

fn write_scalar(out: &mut Vec<u8>, value: &Value, charset: Charset) {
    match value {
        Value::Null => out.extend_from_slice(b"(nil)"),
        Value::Boolean(true) => out.extend_from_slice(b"(true)"),
        Value::Boolean(false) => out.extend_from_slice(b"(false)"),
        Value::Integer(n) => {
            out.extend_from_slice(b"(integer) ");
            push_i64(out, *n);
        }
        Value::Double(d) => {
            out.extend_from_slice(b"(double) ");
            push_f64(out, *d);
        }
        Value::BigNumber(digits) => {
            out.extend_from_slice(b"(big number) ");
            out.extend_from_slice(digits.as_bytes());
        }
        Value::Simple(text) => push_shown(out, text, charset),
        // Meant to be read: INFO, LOLWUT, ...
        Value::Verbatim { text, .. } => push_shown(out, text, charset),
        Value::Error(text) => {
            out.extend_from_slice(b"(error) ");
            push_shown(out, text, charset);
        }
        other => push_quoted(out, other.as_bytes().unwrap_or_default(), charset),
    }
}

fn elements(
    out: &mut Vec<u8>,
    items: &[Value],
    indent: usize,
    (mark, empty): (char, &str),
    charset: Charset,
) {
    if items.is_empty() {
        out.extend_from_slice(empty.as_bytes());
        out.push(b'\n');
    }
    let width = digits(items.len());
    for (index, item) in items.iter().enumerate() {
        label(out, index, indent, width, mark);
        write_at(out, item, indent + width + 2, charset);
    }
}

fn map(
    out: &mut Vec<u8>,
    pairs: &[(Value, Value)],
    indent: usize,
    (mark, empty): (char, &str),
    charset: Charset,
) {
    if pairs.is_empty() {
        out.extend_from_slice(empty.as_bytes());
        out.push(b'\n');
    }
    let width = digits(pairs.len());
    let inner = indent + width + 2;
    for (index, (key, value)) in pairs.iter().enumerate() {
        label(out, index, indent, width, mark);
        write_at(out, key, inner, charset);
        out.pop();
        out.extend_from_slice(b" =>");
        if has_elements(value) {
            out.push(b'\n');
            spaces(out, inner);
        } else {
            out.push(b' ');
        }
        write_at(out, value, inner, charset);
    }
}

/// The number of an element; the first one stands where the cursor is.
fn label(out: &mut Vec<u8>, index: usize, indent: usize, width: usize, mark: char) {
    if index > 0 {
        spaces(out, indent);
    }
    spaces(out, width - digits(index + 1));
    push_u64(out, index as u64 + 1);
    out.push(mark as u8);
    out.push(b' ');
}

fn has_elements(value: &Value) -> bool {
    match value {
        Value::Array(items) | Value::Set(items) | Value::Push(items) => !items.is_empty(),
        Value::Map(pairs) => !pairs.is_empty(),
        Value::Attributed { .. } => true,
        _ => false,
    }
}

fn digits(n: usize) -> usize {
    n.max(1).ilog10() as usize + 1
}

fn spaces(out: &mut Vec<u8>, count: usize) {
    out.resize(out.len() + count, b' ');
}
