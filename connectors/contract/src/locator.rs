//! Where a record lies: column name → value, in the order of the names.
//!
//! Most have one column, and there is one for every copy of every item on its way: a list of exactly as many as there
//! are. Rejected: a tree map, whose smallest node has room for eleven columns and takes 600 bytes.

use std::fmt;

use crate::target::Scalar;

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Locator(Vec<(String, Scalar)>);

impl Locator {
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    pub fn get(&self, column: &str) -> Option<&Scalar> {
        self.0.get(self.place(column).ok()?).map(|(_, value)| value)
    }

    pub fn contains_key(&self, column: &str) -> bool {
        self.place(column).is_ok()
    }

    /// The value that the column had before.
    pub fn insert(&mut self, column: String, value: Scalar) -> Option<Scalar> {
        match self.place(&column) {
            Ok(at) => self.0.get_mut(at).map(|(_, known)| std::mem::replace(known, value)),
            Err(at) => {
                self.0.reserve_exact(1);
                self.0.insert(at, (column, value));
                None
            }
        }
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&String, &Scalar)> + ExactSizeIterator {
        self.0.iter().map(|(column, value)| (column, value))
    }

    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &String> + ExactSizeIterator {
        self.0.iter().map(|(column, _)| column)
    }

    pub fn values(&self) -> impl DoubleEndedIterator<Item = &Scalar> + ExactSizeIterator {
        self.0.iter().map(|(_, value)| value)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn place(&self, column: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| known.as_str().cmp(column))
    }
}

/// As a map shows; values hide what they hold.
impl fmt::Debug for Locator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Of two values for one column, the later one stays.
impl FromIterator<(String, Scalar)> for Locator {
    fn from_iter<I: IntoIterator<Item = (String, Scalar)>>(columns: I) -> Self {
        let mut columns: Vec<_> = columns.into_iter().collect();
        columns.sort_by(|(one, _), (other, _)| one.cmp(other));
        columns.dedup_by(|later, kept| {
            let is_same = later.0 == kept.0;
            if is_same {
                std::mem::swap(later, kept);
            }
            is_same
        });
        Self(columns)
    }
}

impl<const N: usize> From<[(String, Scalar); N]> for Locator {
    fn from(columns: [(String, Scalar); N]) -> Self {
        columns.into_iter().collect()
    }
}

impl IntoIterator for Locator {
    type Item = (String, Scalar);
    type IntoIter = std::vec::IntoIter<(String, Scalar)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Locator {
    type Item = (&'a String, &'a Scalar);
    type IntoIter = std::iter::Map<
        std::slice::Iter<'a, (String, Scalar)>,
        fn(&'a (String, Scalar)) -> (&'a String, &'a Scalar),
    >;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter().map(|(column, value)| (column, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_in_the_order_of_their_names_each_once() {
        let column = |name: &str, n| (name.to_owned(), Scalar::Integer(n));
        let mut locator = Locator::from([column("b", 2), column("a", 1), column("b", 3)]);
        assert_eq!(locator.insert("c".to_owned(), Scalar::Integer(4)), None);
        assert_eq!(locator.insert("a".to_owned(), Scalar::Integer(5)), Some(Scalar::Integer(1)));
        assert_eq!(locator.keys().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(locator.get("b"), Some(&Scalar::Integer(3)));
        assert!(locator.contains_key("c") && !locator.contains_key("d"));
        assert_eq!(locator, Locator::from([column("c", 4), column("b", 3), column("a", 5)]));
    }
}
