//! The end of a buffer, for those who write.
//!
//! Invariant: it is append-only. What was in the buffer before may be held back, partly sent or counted, and is out of
//! reach; only what was appended here can be taken back.

/// The end of a buffer: what can be appended to it, and taken back again as far as it was appended here.
///
/// What was in the buffer before (and may be held back or partly sent) is out of reach.
#[derive(Debug)]
pub struct Tail<'a> {
    bytes: &'a mut Vec<u8>,
    /// The length of the buffer when this tail began.
    floor: usize,
}

/// A place in a [`Tail`], to go back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(usize);

impl<'a> Tail<'a> {
    /// A tail that begins where `bytes` end.
    pub(super) fn behind(bytes: &'a mut Vec<u8>) -> Self {
        let floor = bytes.len();
        Self { bytes, floor }
    }

    /// Appends `bytes`.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Appends one byte.
    pub fn push(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    /// Makes room for so many bytes more.
    pub fn reserve(&mut self, additional: usize) {
        self.bytes.reserve(additional);
    }

    /// The end as it is now.
    pub fn mark(&self) -> Mark {
        Mark(self.bytes.len())
    }

    /// Takes back what was appended since `mark`.
    ///
    /// # Panics
    /// If `mark` lies before this tail began: what is there already is not this tail's.
    pub fn rewind(&mut self, mark: Mark) {
        assert!(mark.0 >= self.floor, "a mark of another tail");
        self.bytes.truncate(mark.0);
    }

    /// The bytes appended to this tail.
    pub fn appended(&self) -> &[u8] {
        &self.bytes[self.floor..]
    }

    /// The buffer and where this tail began, for code of this crate that appends only.
    pub(crate) fn into_parts(self) -> (&'a mut Vec<u8>, usize) {
        (self.bytes, self.floor)
    }
}

impl Extend<u8> for Tail<'_> {
    fn extend<T: IntoIterator<Item = u8>>(&mut self, bytes: T) {
        self.bytes.extend(bytes);
    }
}

/// A buffer of the caller's own has nothing that is out of reach.
impl<'a> From<&'a mut Vec<u8>> for Tail<'a> {
    fn from(bytes: &'a mut Vec<u8>) -> Self {
        Self { bytes, floor: 0 }
    }
}

impl std::io::Write for Tail<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn what_was_there_stays_whatever_is_done_to_what_came_after_it() {
        let mut bytes = b"there".to_vec();
        let mut tail = Tail::behind(&mut bytes);
        let begin = tail.mark();
        tail.extend_from_slice(b" and");
        let mark = tail.mark();
        tail.push(b' ');
        tail.extend(*b"more");
        tail.write_all(b"!").unwrap();
        assert_eq!(tail.appended(), b" and more!");
        tail.rewind(mark);
        tail.rewind(mark);
        assert_eq!(tail.appended(), b" and");
        tail.rewind(begin);
        assert_eq!(tail.appended(), b"");
        assert_eq!(bytes, b"there");
    }

    #[test]
    #[should_panic(expected = "a mark of another tail")]
    fn a_mark_before_its_beginning_is_no_way_to_what_was_there() {
        let (mut bytes, mut other) = (b"there".to_vec(), Vec::new());
        let early = Tail::behind(&mut other).mark();
        Tail::behind(&mut bytes).rewind(early);
    }

    #[test]
    fn a_mark_beyond_the_end_adds_nothing() {
        let (mut bytes, mut other) = (b"there".to_vec(), vec![0; 100]);
        let late = Tail::behind(&mut other).mark();
        Tail::behind(&mut bytes).rewind(late);
        assert_eq!(bytes, b"there");
    }
}
