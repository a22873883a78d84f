//! Values by place, in pieces: a clone shares them, and a change of it copies the one that it is in.

use std::sync::Arc;

/// Values that a change copies.
const PIECE: usize = 32;

/// Values by place.
#[derive(Clone, Debug)]
pub(super) struct Row<T>(Vec<Arc<[Option<T>; PIECE]>>);

impl<T> Default for Row<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Row<T> {
    /// The value at a place.
    pub(super) fn get(&self, place: usize) -> Option<&T> {
        self.0.get(place / PIECE)?.get(place % PIECE)?.as_ref()
    }

    /// Every value, by rising place.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flat_map(|piece| piece.iter().flatten())
    }
}

impl<T: Clone> Row<T> {
    /// Puts a value at a place, or nothing.
    pub(super) fn set(&mut self, place: usize, value: Option<T>) {
        let piece = place / PIECE;
        if self.0.len() <= piece {
            let empty = Arc::new([const { None }; PIECE]);
            self.0.resize(piece + 1, empty);
        }
        if let Some(piece) = self.0.get_mut(piece) {
            Arc::make_mut(piece)[place % PIECE] = value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_a_clone_leaves_the_other_as_it_was() {
        let mut row = Row::default();
        for place in [0, 31, 32, 100] {
            row.set(place, Some(place));
        }
        let before = row.clone();
        row.set(32, None);
        row.set(33, Some(7));
        assert_eq!([32, 33].map(|place| before.get(place)), [Some(&32), None]);
        assert_eq!([32, 33].map(|place| row.get(place)), [None, Some(&7)]);
        assert_eq!(
            [0, 31, 100].map(|place| row.get(place).copied()),
            [Some(0), Some(31), Some(100)]
        );
        assert_eq!([row.get(1), row.get(1000)], [None; 2]);
    }

    #[test]
    fn a_change_shares_the_pieces_that_it_is_not_in() {
        let mut row = Row::default();
        row.set(100, Some(()));
        let before = row.clone();
        row.set(1, Some(()));
        let is_shared = |(old, new): (&Arc<_>, &Arc<_>)| Arc::ptr_eq(old, new);
        let shared: Vec<_> = before.0.iter().zip(&row.0).map(is_shared).collect();
        assert_eq!(shared, [false, true, true, true]);
    }
}
