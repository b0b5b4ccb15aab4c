//! Typed replies: from [`Value`] to the types of a program. Pure.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher, Hash};

use modb_net::resp::{Value, parse_i64};

use crate::error::{Error, Result, ServerError};

/// Something that a reply can be turned into.
///
/// What RESP2 and RESP3 write differently for the same meaning comes out the same: a map is also read from an
/// array of twice the length, a boolean from 0 or 1, a number from a string of digits.
pub trait FromValue: Sized {
    /// The value that `reply` means.
    ///
    /// # Errors
    /// [`Error::Server`] for an error of the server, [`Error::UnexpectedReply`] for a reply that is of another type.
    fn from_value(reply: Value) -> Result<Self>;
}

/// The reply as it is, or the error that it is.
impl FromValue for Value {
    fn from_value(reply: Value) -> Result<Self> {
        match reply.without_attributes() {
            Value::Error(text) => Err(ServerError::new(&text).into()),
            other => Ok(other),
        }
    }
}

/// Any reply but an error.
impl FromValue for () {
    fn from_value(reply: Value) -> Result<Self> {
        Value::from_value(reply).map(drop)
    }
}

impl FromValue for Vec<u8> {
    fn from_value(reply: Value) -> Result<Self> {
        match Value::from_value(reply)? {
            Value::Simple(bytes) | Value::Bulk(bytes) | Value::Verbatim { text: bytes, .. } => Ok(bytes),
            Value::BigNumber(digits) => Ok(digits.into_bytes()),
            other => number_text(&other).ok_or_else(|| unexpected("a string", &other)),
        }
    }
}

impl FromValue for String {
    fn from_value(reply: Value) -> Result<Self> {
        let bytes = Vec::<u8>::from_value(reply)?;
        Self::from_utf8(bytes).map_err(|error| unexpected("UTF-8 text", &Value::Bulk(error.into_bytes())))
    }
}

impl FromValue for bool {
    fn from_value(reply: Value) -> Result<Self> {
        match Value::from_value(reply)? {
            Value::Boolean(value) => Ok(value),
            Value::Integer(n @ (0 | 1)) => Ok(n == 1),
            Value::Simple(text) if text == b"OK" => Ok(true),
            // A conditional SET that did not happen.
            Value::Null => Ok(false),
            other => Err(unexpected("a boolean", &other)),
        }
    }
}

impl FromValue for f64 {
    fn from_value(reply: Value) -> Result<Self> {
        let reply = Value::from_value(reply)?;
        let number = match &reply {
            Value::Double(value) => Some(*value),
            Value::Integer(n) => Some(*n as Self),
            other => other.as_bytes().and_then(|text| std::str::from_utf8(text).ok()?.parse().ok()),
        };
        number.ok_or_else(|| unexpected("a number", &reply))
    }
}

macro_rules! integer_from_value {
    ($($type:ty),*) => {$(
        impl FromValue for $type {
            fn from_value(reply: Value) -> Result<Self> {
                let reply = Value::from_value(reply)?;
                let number = match &reply {
                    Value::Integer(n) => Some(*n),
                    other => other.as_bytes().and_then(parse_i64),
                };
                number.and_then(|n| n.try_into().ok()).ok_or_else(|| unexpected("an integer that fits", &reply))
            }
        }
    )*};
}

integer_from_value!(i32, i64, u16, u32, u64, usize);

/// `None` is the null reply.
impl<T: FromValue> FromValue for Option<T> {
    fn from_value(reply: Value) -> Result<Self> {
        match Value::from_value(reply)? {
            Value::Null => Ok(None),
            other => T::from_value(other).map(Some),
        }
    }
}

impl<T: FromValue> FromValue for Vec<T> {
    fn from_value(reply: Value) -> Result<Self> {
        elements(reply)?.into_iter().map(T::from_value).collect()
    }
}

impl<T: FromValue + Eq + Hash, S: BuildHasher + Default> FromValue for HashSet<T, S> {
    fn from_value(reply: Value) -> Result<Self> {
        elements(reply)?.into_iter().map(T::from_value).collect()
    }
}

impl<K: FromValue + Eq + Hash, V: FromValue, S: BuildHasher + Default> FromValue for HashMap<K, V, S> {
    fn from_value(reply: Value) -> Result<Self> {
        pairs(reply)?.map(|(key, value)| Ok((K::from_value(key)?, V::from_value(value)?))).collect()
    }
}

impl<K: FromValue + Ord, V: FromValue> FromValue for BTreeMap<K, V> {
    fn from_value(reply: Value) -> Result<Self> {
        pairs(reply)?.map(|(key, value)| Ok((K::from_value(key)?, V::from_value(value)?))).collect()
    }
}

/// An array of exactly two.
impl<A: FromValue, B: FromValue> FromValue for (A, B) {
    fn from_value(reply: Value) -> Result<Self> {
        let pair: [Value; 2] = elements(reply)?
            .try_into()
            .map_err(|items: Vec<Value>| unexpected("two elements", &Value::Array(items)))?;
        let [first, second] = pair;
        Ok((A::from_value(first)?, B::from_value(second)?))
    }
}

/// The elements of an aggregate; those of a map alternate.
fn elements(reply: Value) -> Result<Vec<Value>> {
    match Value::from_value(reply)? {
        Value::Array(items) | Value::Set(items) | Value::Push(items) => Ok(items),
        Value::Map(pairs) => Ok(pairs.into_iter().flat_map(|(key, value)| [key, value]).collect()),
        other => Err(unexpected("an array", &other)),
    }
}

fn pairs(reply: Value) -> Result<impl Iterator<Item = (Value, Value)>> {
    let items = elements(reply)?;
    if !items.len().is_multiple_of(2) {
        return Err(unexpected("a map", &Value::Array(items)));
    }
    let mut items = items.into_iter();
    Ok(std::iter::from_fn(move || Some((items.next()?, items.next()?))))
}

/// A number as the string that it would be elsewhere.
fn number_text(value: &Value) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    match value {
        Value::Integer(n) => modb_net::resp::push_i64(&mut text, *n),
        Value::Double(d) => modb_net::resp::push_f64(&mut text, *d),
        _ => return None,
    }
    Some(text)
}

pub(crate) fn unexpected(expected: &'static str, got: &Value) -> Error {
    /// Long replies are cut in error messages, in bytes.
    const SHOWN_BYTES: usize = 64;
    let got = match got {
        Value::Null => "null".to_owned(),
        Value::Array(items) | Value::Set(items) | Value::Push(items) => {
            format!("an aggregate of {} elements", items.len())
        }
        Value::Map(pairs) => format!("a map of {} pairs", pairs.len()),
        other => match other.as_bytes() {
            Some(bytes) => format!("\"{}\"", bytes[..bytes.len().min(SHOWN_BYTES)].escape_ascii()),
            None => format!("{other:?}"),
        },
    };
    Error::UnexpectedReply { expected, got }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::Bulk(text.as_bytes().to_vec())
    }

    #[test]
    fn both_protocols_give_the_same_types() {
        let resp2 = Value::Array(vec![bulk("a"), bulk("1"), bulk("b"), bulk("2")]);
        let resp3 = Value::Map(vec![(bulk("a"), Value::Integer(1)), (bulk("b"), Value::Double(2.0))]);
        for reply in [resp2, resp3] {
            let map = BTreeMap::<String, f64>::from_value(reply.clone()).unwrap();
            assert_eq!(map.into_iter().collect::<Vec<_>>(), [("a".to_owned(), 1.0), ("b".to_owned(), 2.0)]);
            assert_eq!(Vec::<Vec<u8>>::from_value(reply).unwrap(), [b"a", b"1", b"b", b"2"]);
        }
        assert!(
            bool::from_value(Value::Integer(1)).unwrap() && bool::from_value(Value::Boolean(true)).unwrap()
        );
    }

    #[test]
    fn nulls_errors_and_wrong_types_are_told_apart() {
        assert_eq!(Option::<i64>::from_value(Value::Null).unwrap(), None);
        assert_eq!(Option::<i64>::from_value(bulk("5")).unwrap(), Some(5));
        let error = i64::from_value(Value::Error(b"WRONGTYPE no".to_vec())).unwrap_err();
        assert!(matches!(&error, Error::Server(e) if e.code() == "WRONGTYPE"), "{error}");
        let error = i64::from_value(bulk("x")).unwrap_err();
        assert_eq!(error.to_string(), "expected an integer that fits, got \"x\"");
        assert!(u32::from_value(Value::Integer(-1)).is_err());
        assert!(HashMap::<String, String>::from_value(Value::Array(vec![Value::Null])).is_err());
        assert!(String::from_value(Value::Bulk(vec![0xff])).is_err());
    }
}
