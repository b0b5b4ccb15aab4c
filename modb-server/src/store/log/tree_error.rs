//! What the tree says that went wrong, in words of ours: damage, or out of reach. Pure.

use crate::store::StoreError;

#[doc(hidden)]
impl From<lsm_tree::Error> for StoreError {
    fn from(error: lsm_tree::Error) -> Self {
        tree_error("the table files", error)
    }
}

/// An error of the tree in words of ours; `place` is where it was reading or writing.
pub(in crate::store) fn tree_error(place: &str, error: lsm_tree::Error) -> StoreError {
    use std::io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    let what = match error {
        lsm_tree::Error::Io(source)
            if matches!(source.kind(), UnexpectedEof | InvalidData | InvalidInput) =>
        {
            "it ends before its blocks do, or holds something else"
        }
        lsm_tree::Error::Io(source) => return StoreError::io(place, source),
        lsm_tree::Error::ChecksumMismatch { .. } => {
            "a block does not have the checksum that was written with it"
        }
        lsm_tree::Error::Unrecoverable => "the list of the files, or a file in it, is missing or unreadable",
        lsm_tree::Error::InvalidVersion(_) => "its format is of another version",
        _ => "a block is not what was written",
    };
    StoreError::Corrupt { place: place.to_owned(), what: what.to_owned() }
}
