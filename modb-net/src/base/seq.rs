//! The number of a commit. Pure: the layer compares these numbers and never asks what they count.

/// The number of a commit, as the service counts them. [`Seq::ZERO`] is before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub u64);

impl Seq {
    /// Before the first commit: always released.
    pub const ZERO: Self = Self(0);
}
