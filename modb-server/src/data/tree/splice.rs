//! A change of a page: bytes taken out and others put in their place.

use bytes::Bytes;

/// At `at`, `remove` bytes give way to `insert`. Positions are those of the page before any splice of the same edit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::data) struct Splice {
    /// Where, in bytes from the start.
    pub(in crate::data) at: usize,
    /// How many bytes go.
    pub(in crate::data) remove: usize,
    /// What comes.
    pub(in crate::data) insert: Vec<u8>,
}

impl Splice {
    /// Overwrites bytes.
    pub(in crate::data) fn over(at: usize, with: &[u8]) -> Self {
        Self { at, remove: with.len(), insert: with.to_vec() }
    }

    /// Applies splices in ascending order, which do not overlap, to a page. `None` if one reaches beyond its end.
    pub(in crate::data) fn apply(page: &[u8], splices: &[Self]) -> Option<Bytes> {
        let added: usize = splices.iter().map(|splice| splice.insert.len()).sum();
        let mut out = Vec::with_capacity(page.len() + added);
        let mut from = 0;
        for splice in splices {
            out.extend_from_slice(page.get(from..splice.at)?);
            out.extend_from_slice(&splice.insert);
            from = splice.at.checked_add(splice.remove)?;
        }
        out.extend_from_slice(page.get(from..)?);
        Some(out.into())
    }
}
