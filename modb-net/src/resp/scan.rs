//! Counting replies without building them, for load generators. Pure.
//!
//! Invariants: no byte is looked at twice and none has to be kept; constant memory, whatever the input says.

use super::ReplyError;

/// The longest part of an error's text that is kept, in bytes.
const KEPT_ERROR_BYTES: usize = 256;

/// What came in one piece of input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Complete replies, errors included, push messages not.
    pub replies: u64,
    /// How many of them were errors (one behind attributes counts as a reply only).
    pub errors: u64,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Before a type byte.
    Type,
    /// In a line whose content does not matter.
    Line,
    /// In a line that is an error to be kept.
    ErrorLine,
    /// In a length: of a string or an aggregate, as the type byte says.
    Length { kind: u8, value: u64, negative: bool, digits: u8 },
    /// In a string, with that many bytes to skip, its line end included.
    Body { left: u64 },
}

/// Counts the replies of one connection.
#[derive(Debug)]
pub struct ReplyCounter {
    state: State,
    /// Values that are missing until the current reply is complete. Nesting needs no stack: an aggregate
    /// of n is n values more.
    missing: u64,
    /// The type byte of the current reply.
    top: u8,
    last_error: Vec<u8>,
}

impl Default for ReplyCounter {
    fn default() -> Self {
        Self { state: State::Type, missing: 0, top: 0, last_error: Vec::new() }
    }
}

impl ReplyCounter {
    /// Counts what `input`, all of it, completes.
    ///
    /// # Errors
    /// The input is not RESP.
    pub fn count(&mut self, input: &[u8]) -> Result<Counted, ReplyError> {
        let mut counted = Counted::default();
        let mut rest = input;
        while !rest.is_empty() {
            match &mut self.state {
                State::Type => {
                    let kind = rest[0];
                    rest = &rest[1..];
                    self.begin(kind)?;
                }
                State::Line => {
                    let Some(end) = rest.iter().position(|&b| b == b'\n') else { return Ok(counted) };
                    rest = &rest[end + 1..];
                    self.complete_value(&mut counted);
                }
                State::ErrorLine => {
                    let end = rest.iter().position(|&b| b == b'\n');
                    let text = &rest[..end.unwrap_or(rest.len())];
                    let room = KEPT_ERROR_BYTES - self.last_error.len();
                    self.last_error.extend_from_slice(&text[..text.len().min(room)]);
                    let Some(end) = end else { return Ok(counted) };
                    rest = &rest[end + 1..];
                    self.complete_value(&mut counted);
                }
                State::Length { value, negative, digits, .. } => {
                    let byte = rest[0];
                    rest = &rest[1..];
                    match byte {
                        b'0'..=b'9' if *digits < 18 => {
                            *value = *value * 10 + u64::from(byte - b'0');
                            *digits += 1;
                        }
                        b'-' if *digits == 0 && !*negative => *negative = true,
                        b'\r' => {}
                        b'\n' if *digits > 0 => self.end_length(&mut counted)?,
                        _ => return Err(ReplyError::MalformedNumber),
                    }
                }
                State::Body { left } => {
                    let skipped = (*left).min(rest.len() as u64);
                    *left -= skipped;
                    let complete = *left == 0;
                    rest = &rest[skipped as usize..];
                    if complete {
                        self.complete_value(&mut counted);
                    }
                }
            }
        }
        Ok(counted)
    }

    /// The beginning of the text of the last error that was counted, if any.
    pub fn last_error(&self) -> Option<String> {
        let text = self.last_error.strip_suffix(b"\r").unwrap_or(&self.last_error);
        (!text.is_empty()).then(|| String::from_utf8_lossy(text).into_owned())
    }

    fn begin(&mut self, kind: u8) -> Result<(), ReplyError> {
        if self.missing == 0 {
            self.missing = 1;
            self.top = kind;
        }
        self.state = match kind {
            b'-' => {
                self.last_error.clear();
                State::ErrorLine
            }
            b'+' | b':' | b'_' | b'#' | b',' | b'(' => State::Line,
            b'$' | b'!' | b'=' | b'*' | b'~' | b'>' | b'%' | b'|' => {
                State::Length { kind, value: 0, negative: false, digits: 0 }
            }
            other => return Err(ReplyError::UnknownType(other)),
        };
        Ok(())
    }

    fn end_length(&mut self, counted: &mut Counted) -> Result<(), ReplyError> {
        let State::Length { kind, value, negative, .. } = self.state else { return Ok(()) };
        let more = match kind {
            _ if negative => 0,
            b'$' | b'!' | b'=' => {
                self.state = State::Body { left: value + 2 };
                return Ok(());
            }
            // The reply behind the attributes is the value that was missing already.
            b'|' => value * 2 + 1,
            b'%' => value * 2,
            _ => value,
        };
        self.missing = self.missing.checked_add(more).ok_or(ReplyError::TooManyElements)?;
        self.complete_value(counted);
        Ok(())
    }

    /// One missing value is there.
    fn complete_value(&mut self, counted: &mut Counted) {
        self.state = State::Type;
        self.missing -= 1;
        if self.missing == 0 && self.top != b'>' {
            counted.replies += 1;
            counted.errors += u64::from(matches!(self.top, b'-' | b'!'));
        }
    }
}
