//! What a command waits for that found nothing to do.

use std::sync::Arc;

use bytes::Bytes;

use super::error::{CommandError, err};
use super::parse;
use super::reply::Reply;
use crate::data::{INTEREST_BYTES, Kind, Tx};

/// What is done as soon as it can be: at once, or by who brings what it takes.
pub(crate) trait What: Send + Sync {
    /// What a key has to hold.
    fn kind(&self) -> Kind;

    /// The keys of which one has to have something.
    fn keys(&self) -> &[Bytes];

    /// Another key that is written then.
    fn target(&self) -> Option<&Bytes> {
        None
    }

    /// Does it, unless there is nothing; looks only at keys whose stripes are held.
    ///
    /// # Errors
    /// As the command.
    fn attempt(&self, tx: &mut Tx<'_>, database: u32) -> Result<Option<Reply>, CommandError>;

    /// What it holds while somebody waits to do it, with its places in the queues of its keys.
    fn bytes(&self) -> usize {
        let key_bytes = |key: &Bytes| key.len() + KEPT_KEY_BYTES + INTEREST_BYTES;
        self.keys().iter().chain(self.target()).map(key_bytes).sum()
    }
}

/// What a key that is kept takes beside its bytes, about.
const KEPT_KEY_BYTES: usize = 96;

/// Until when a client waits, and for what.
pub struct Until {
    /// Nothing: for time only.
    pub(crate) what: Option<Arc<dyn What>>,
    /// For how long; none: for ever.
    pub(crate) timeout_ms: Option<u64>,
    /// The reply once that is over.
    pub(crate) timed_out: Reply,
}

impl Until {
    /// What is held while somebody waits so.
    pub(crate) fn bytes(&self) -> usize {
        self.what.as_ref().map_or(0, |what| what.bytes())
    }
}

impl std::fmt::Debug for Until {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Until").field("timeout_ms", &self.timeout_ms).finish_non_exhaustive()
    }
}

/// How long a client waits at most, in seconds as it says it: in milliseconds, none if for ever.
pub(crate) fn timeout_in_seconds(arg: &[u8]) -> Result<Option<u64>, CommandError> {
    let seconds = parse::double_or(arg, "ERR timeout is not a float or out of range")?;
    let ms = (seconds * 1000.0).ceil();
    if ms >= i64::MAX as f64 {
        return err("ERR timeout is out of range");
    }
    timeout(ms as i64)
}

/// The same, in milliseconds.
pub(crate) fn timeout_in_ms(arg: &[u8]) -> Result<Option<u64>, CommandError> {
    timeout(parse::int_or(arg, "ERR timeout is not an integer or out of range")?)
}

/// Redis adds the time of day, which has to fit.
const NOW_MS: i64 = 1 << 41;

fn timeout(ms: i64) -> Result<Option<u64>, CommandError> {
    match ms {
        0 => Ok(None),
        ms if ms < 0 => err("ERR timeout is negative"),
        ms if ms > i64::MAX - NOW_MS => err("ERR timeout is out of range"),
        ms => Ok(Some(ms as u64)),
    }
}
