//! Tests of the codec that span its files.

mod properties;
mod replies;
mod requests;

use super::{Encoder, Value};

/// Writes a reply tree, as a server that has one would.
fn encode_value(out: &mut Encoder<'_>, value: &Value) {
    match value {
        Value::Null => out.null(),
        Value::Boolean(b) => out.boolean(*b),
        Value::Integer(n) => out.integer(*n),
        Value::Double(d) => out.double(*d),
        Value::BigNumber(digits) => out.big_number(digits),
        Value::Simple(text) => out.simple(std::str::from_utf8(text).unwrap()),
        Value::Bulk(bytes) => out.bulk(bytes),
        Value::Verbatim { format, text } => out.verbatim(format, text),
        Value::Error(text) => out.error(text),
        Value::Array(items) => {
            out.array(items.len());
            items.iter().for_each(|item| encode_value(out, item));
        }
        Value::Set(items) => {
            out.set(items.len());
            items.iter().for_each(|item| encode_value(out, item));
        }
        Value::Push(items) => {
            out.push(items.len());
            items.iter().for_each(|item| encode_value(out, item));
        }
        Value::Map(pairs) => {
            out.map(pairs.len());
            encode_pairs(out, pairs);
        }
        Value::Attributed { attributes, value } => {
            if out.attributes(attributes.len()) {
                encode_pairs(out, attributes);
            }
            encode_value(out, value);
        }
    }
}

fn encode_pairs(out: &mut Encoder<'_>, pairs: &[(Value, Value)]) {
    for (key, value) in pairs {
        encode_value(out, key);
        encode_value(out, value);
    }
}
