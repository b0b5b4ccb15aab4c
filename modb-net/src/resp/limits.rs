//! The bounds of the codec, with their units and where they come from. Pure.

/// Bounds on requests. The defaults are those of Redis 7.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest argument, in bytes (Redis: `proto-max-bulk-len`, 512 MiB).
    pub max_bulk_bytes: u32,
    /// The most arguments of one request (Redis 7: the largest `int`).
    pub max_elements: u32,
    /// The longest inline command and the longest line that holds a length, in bytes (Redis:
    /// `PROTO_INLINE_MAX_SIZE`, 64 KiB).
    pub max_inline_bytes: u32,
    /// Whether the client may use all of that. If not, [`Limits::UNAUTHENTICATED_ELEMENTS`] and
    /// [`Limits::UNAUTHENTICATED_BULK_BYTES`] hold as well, so that strangers cannot fill the memory.
    pub authenticated: bool,
}

impl Limits {
    /// The most arguments of a request before authentication (Redis 7).
    pub const UNAUTHENTICATED_ELEMENTS: u32 = 10;
    /// The longest argument before authentication, in bytes (Redis 7).
    pub const UNAUTHENTICATED_BULK_BYTES: u32 = 16_384;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_bulk_bytes: 512 << 20,
            max_elements: i32::MAX as u32,
            max_inline_bytes: 64 << 10,
            authenticated: true,
        }
    }
}

/// Bounds on replies, for clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyLimits {
    /// The longest string, in bytes. A reply can hold a value that was made by appending, so this is
    /// the size of the largest Redis string (512 MiB).
    pub max_bulk_bytes: usize,
    /// The most elements of one aggregate (Redis never sends more than a 32-bit count).
    pub max_elements: usize,
    /// The deepest nesting. Redis's own replies nest less than ten deep; dropping a [`super::Value`]
    /// recurses, so this also bounds the stack.
    pub max_depth: usize,
    /// The longest line (a simple string, an error, a number), in bytes.
    pub max_line_bytes: usize,
}

impl Default for ReplyLimits {
    fn default() -> Self {
        Self {
            max_bulk_bytes: 512 << 20,
            max_elements: i32::MAX as usize,
            max_depth: 128,
            max_line_bytes: 1 << 20,
        }
    }
}
