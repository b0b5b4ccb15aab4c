//! A list that mostly has one element, for which it needs no memory of its own. Pure.

use std::ops::Deref;

/// A list that mostly has one element.
#[derive(Clone, Debug)]
pub enum Few<T> {
    /// One.
    One(T),
    /// None, or several, or what is left of them.
    Several(Vec<T>),
}

impl<T> Few<T> {
    /// Adds one more.
    pub fn push(&mut self, item: T) {
        *self = match std::mem::take(self) {
            Self::Several(items) if items.is_empty() => Self::One(item),
            Self::Several(mut items) => {
                items.push(item);
                Self::Several(items)
            }
            Self::One(first) => Self::Several(vec![first, item]),
        };
    }

    /// Takes the first of those that are wanted out; the others may change their order.
    pub fn take(&mut self, is_wanted: impl Fn(&T) -> bool) -> Option<T> {
        match self {
            Self::Several(items) => {
                let at = items.iter().position(is_wanted)?;
                Some(items.swap_remove(at))
            }
            Self::One(item) if is_wanted(item) => std::mem::take(self).into_iter().next(),
            Self::One(_) => None,
        }
    }

    /// Takes those from number `len` on out.
    pub fn truncate(&mut self, len: usize) {
        match self {
            Self::Several(items) => items.truncate(len),
            Self::One(_) if len == 0 => *self = Self::default(),
            Self::One(_) => {}
        }
    }
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self::Several(Vec::new())
    }
}

impl<T> Deref for Few<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::One(item) => std::slice::from_ref(item),
            Self::Several(items) => items,
        }
    }
}

impl<T> From<Vec<T>> for Few<T> {
    fn from(items: Vec<T>) -> Self {
        Self::Several(items)
    }
}

impl<T> IntoIterator for Few<T> {
    type Item = T;
    type IntoIter = std::iter::Chain<std::option::IntoIter<T>, std::vec::IntoIter<T>>;

    fn into_iter(self) -> Self::IntoIter {
        let (one, several) = match self {
            Self::One(item) => (Some(item), Vec::new()),
            Self::Several(items) => (None, items),
        };
        one.into_iter().chain(several)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_list() {
        let mut few = Few::default();
        for n in 0..4 {
            assert_eq!(few.to_vec(), (0..n).collect::<Vec<_>>());
            few.push(n);
        }
        assert_eq!((few.take(|n| *n == 1), few.take(|n| *n == 1)), (Some(1), None));
        assert_eq!(few.to_vec(), [0, 3, 2]);
        few.truncate(1);
        assert_eq!(few.clone().into_iter().collect::<Vec<_>>(), [0]);
        let mut one = Few::One(7);
        one.truncate(1);
        assert_eq!((one.take(|n| *n == 8), one.take(|n| *n == 7), one.len()), (None, Some(7), 0));
        one.push(9);
        assert!(matches!(one, Few::One(9)));
        one.truncate(0);
        assert!(one.is_empty());
    }
}
