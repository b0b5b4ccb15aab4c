//! Many requests, one round trip. Pure.

use crate::command::Request;

/// Requests that are sent together: [`crate::Connection::run`] gives their replies in order.
///
/// ```
/// let mut pipeline = modb_client::Pipeline::new();
/// pipeline.push(["SET", "a", "1"]).push(["GET", "a"]);
/// assert_eq!(pipeline.len(), 2);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Pipeline {
    bytes: Vec<u8>,
    len: usize,
}

impl Pipeline {
    /// No requests yet.
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), len: 0 }
    }

    /// Adds a request.
    pub fn push(&mut self, request: impl Request) -> &mut Self {
        request.encode(&mut self.bytes);
        self.len += 1;
        self
    }

    /// Adds all requests of another one.
    pub fn append(&mut self, other: &Self) -> &mut Self {
        self.bytes.extend_from_slice(&other.bytes);
        self.len += other.len;
        self
    }

    /// How many requests there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The requests as they go over the wire.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Removes all requests and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.len = 0;
    }
}
