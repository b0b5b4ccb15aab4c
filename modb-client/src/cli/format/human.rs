//! Replies for humans, as redis-cli shows them on a terminal. Pure.

use modb_client::Value;
use modb_net::resp::{push_f64, push_i64, push_u64};

use super::{Look, push_quoted, push_shown};

pub(super) fn write(out: &mut Vec<u8>, reply: &Value, look: Look) {
    write_at(out, reply, 0, look);
}

/// Writes `value` with the cursor `indent` columns from the left.
fn write_at(out: &mut Vec<u8>, value: &Value, indent: usize, look: Look) {
    match value {
        Value::Array(items) => elements(out, items, indent, (')', "(empty array)"), look),
        Value::Set(items) => elements(out, items, indent, ('~', "(empty set)"), look),
        Value::Push(items) => elements(out, items, indent, (')', "(empty push)"), look),
        Value::Map(pairs) => map(out, pairs, indent, ('#', "(empty hash)"), look),
        Value::Attributed { attributes, value } => {
            map(out, attributes, indent, ('|', "(no attributes)"), look);
            spaces(out, indent);
            write_at(out, value, indent, look);
        }
        scalar => {
            write_scalar(out, scalar, look);
            out.push(b'\n');
        }
    }
}

fn write_scalar(out: &mut Vec<u8>, value: &Value, look: Look) {
    match value {
        Value::Null => painted(out, look, GREY, |out| out.extend_from_slice(b"(nil)")),
        Value::Boolean(true) => kind(out, look, "(true)"),
        Value::Boolean(false) => kind(out, look, "(false)"),
        Value::Integer(n) => {
            kind(out, look, "(integer)");
            out.push(b' ');
            push_i64(out, *n);
        }
        Value::Double(d) => {
            kind(out, look, "(double)");
            out.push(b' ');
            push_f64(out, *d);
        }
        Value::BigNumber(digits) => {
            kind(out, look, "(big number)");
            out.push(b' ');
            out.extend_from_slice(digits.as_bytes());
        }
        Value::Simple(text) => push_shown(out, text, look.charset),
        // Meant to be read: INFO, LOLWUT, ...
        Value::Verbatim { text, .. } => push_shown(out, text, look.charset),
        Value::Error(text) => painted(out, look, RED, |out| {
            out.extend_from_slice(b"(error) ");
            push_shown(out, text, look.charset);
        }),
        other => push_quoted(out, other.as_bytes().unwrap_or_default(), look.charset),
    }
}

/// Colours that are to be read on dark and on light ground: errors, nothing, types.
const RED: &str = "31";
const GREY: &str = "90";
const CYAN: &str = "36";

/// What `write` writes, in a colour if there are any.
fn painted(out: &mut Vec<u8>, look: Look, color: &str, write: impl FnOnce(&mut Vec<u8>)) {
    if look.has_colors {
        out.extend_from_slice(format!("\x1b[{color}m").as_bytes());
    }
    write(out);
    if look.has_colors {
        out.extend_from_slice(b"\x1b[0m");
    }
}

fn kind(out: &mut Vec<u8>, look: Look, name: &str) {
    painted(out, look, CYAN, |out| out.extend_from_slice(name.as_bytes()));
}

fn elements(out: &mut Vec<u8>, items: &[Value], indent: usize, (mark, empty): (char, &str), look: Look) {
    if items.is_empty() {
        out.extend_from_slice(empty.as_bytes());
        out.push(b'\n');
    }
    let width = digits(items.len());
    for (index, item) in items.iter().enumerate() {
        label(out, index, indent, width, mark);
        write_at(out, item, indent + width + 2, look);
    }
}

fn map(out: &mut Vec<u8>, pairs: &[(Value, Value)], indent: usize, (mark, empty): (char, &str), look: Look) {
    if pairs.is_empty() {
        out.extend_from_slice(empty.as_bytes());
        out.push(b'\n');
    }
    let width = digits(pairs.len());
    let inner = indent + width + 2;
    for (index, (key, value)) in pairs.iter().enumerate() {
        label(out, index, indent, width, mark);
        write_at(out, key, inner, look);
        out.pop();
        out.extend_from_slice(b" =>");
        if has_elements(value) {
            out.push(b'\n');
            spaces(out, inner);
        } else {
            out.push(b' ');
        }
        write_at(out, value, inner, look);
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
