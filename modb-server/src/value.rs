//! A value, or a key, as a database gives it out: bytes that are shared and not copied, and that print as text.

use std::fmt;
use std::ops::Deref;

use bytes::Bytes;

/// Bytes from a database: a `&[u8]` that owns its memory, cheap to clone, and prints as the text that it mostly is.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let database = modb_server::Database::in_memory()?;
/// database.set("name", "Ann")?;
/// let Some(name) = database.get("name")? else { return Ok(()) };
/// assert_eq!(name, "Ann");
/// assert_eq!(format!("Hello {name}!"), "Hello Ann!");
/// assert_eq!(name.as_str(), Some("Ann"));
/// assert_eq!(name.len(), 3); // every method of a slice
/// # Ok(())
/// # }
/// ```
///
/// Where it is not UTF-8, [`Display`](fmt::Display) shows the replacement character, and [`Debug`] the byte.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value(Bytes);

impl Value {
    /// The text, if it is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// The bytes, not copied.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl Deref for Value {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Value {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl std::borrow::Borrow<[u8]> for Value {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_str() {
            Some(text) => fmt::Debug::fmt(text, f),
            None => write!(f, "b\"{}\"", self.0.escape_ascii()),
        }
    }
}

impl From<Bytes> for Value {
    fn from(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self(Bytes::copy_from_slice(bytes))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

impl From<Value> for Vec<u8> {
    fn from(value: Value) -> Self {
        value.0.into()
    }
}

/// Compares with whatever else is bytes.
macro_rules! equals {
    ($($other:ty),*) => { $(
        impl PartialEq<$other> for Value {
            fn eq(&self, other: &$other) -> bool {
                let other: &[u8] = other.as_ref();
                *self.0 == *other
            }
        }
    )* };
}

equals!(str, &str, String, [u8], &[u8], Vec<u8>);

impl<const N: usize> PartialEq<&[u8; N]> for Value {
    fn eq(&self, other: &&[u8; N]) -> bool {
        *self.0 == other[..]
    }
}

/// As bytes; formats that are text write them as they write bytes.
#[cfg(feature = "serde")]
impl serde_core::Serialize for Value {
    fn serialize<S: serde_core::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self)
    }
}

/// From bytes, text, or a sequence of numbers, as formats that are text write bytes.
#[cfg(feature = "serde")]
impl<'de> serde_core::Deserialize<'de> for Value {
    fn deserialize<D: serde_core::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> serde_core::de::Visitor<'de> for Visitor {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Value, E> {
                Ok(bytes.into())
            }

            fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Value, E> {
                Ok(bytes.into())
            }

            fn visit_str<E>(self, text: &str) -> Result<Value, E> {
                Ok(text.into())
            }

            fn visit_seq<A: serde_core::de::SeqAccess<'de>>(self, mut numbers: A) -> Result<Value, A::Error> {
                // Grows with what comes: a length that is only announced is nothing.
                let mut bytes = Vec::new();
                while let Some(byte) = numbers.next_element()? {
                    bytes.push(byte);
                }
                Ok(bytes.into())
            }
        }

        deserializer.deserialize_byte_buf(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_prints_as_text_and_what_is_none_shows_its_bytes() {
        let text = Value::from("Ann \"A\"\n");
        assert_eq!(
            (text.to_string(), format!("{text:?}")),
            ("Ann \"A\"\n".into(), r#""Ann \"A\"\n""#.into())
        );
        let bytes = Value::from(&b"\xffA\""[..]);
        assert_eq!((bytes.to_string(), format!("{bytes:?}")), ("\u{fffd}A\"".into(), r#"b"\xffA\"""#.into()));
        assert_eq!(format!("{:>5}|", Value::from("a")), "    a|");
        assert!(bytes == b"\xffA\"" && bytes != "A" && bytes.as_str().is_none());
    }

    #[cfg(feature = "serde")]
    #[test]
    fn it_survives_a_format_that_is_text_and_takes_text() {
        let value = Value::from(&b"\xffA"[..]);
        let json = serde_json::to_string(&value).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), value);
        assert_eq!(serde_json::from_str::<Value>("\"Ann\"").unwrap(), "Ann");
        assert!(serde_json::from_str::<Value>("[1, 256]").is_err());
    }
}
