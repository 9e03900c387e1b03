//! A queue's entries in order, kept in one piece.

use std::collections::VecDeque;

/// Values by an increasing number. Nearly all come at the end and leave at the front, where both cost
/// the same however many there are; elsewhere the entries up to the nearer end have to move.
#[derive(Debug, Clone)]
pub(super) struct Line<T>(VecDeque<(u64, T)>);

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Line<T> {
    pub(super) fn first(&self) -> Option<&(u64, T)> {
        self.0.front()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &(u64, T)> {
        self.0.iter()
    }

    /// Puts a value in its place, or in the place of an earlier one of the same number.
    pub(super) fn put(&mut self, number: u64, value: T) {
        if self.0.back().is_none_or(|(last, _)| *last < number) {
            self.0.push_back((number, value));
            return;
        }
        match self.place(number) {
            Ok(index) => self.0[index].1 = value,
            Err(index) => self.0.insert(index, (number, value)),
        }
    }

    pub(super) fn take(&mut self, number: u64) {
        if let Ok(index) = self.place(number) {
            self.0.remove(index);
            // What a line once needed is given back when most of it is empty.
            if self.0.len() * 4 < self.0.capacity() && self.0.capacity() > 64 {
                self.0.shrink_to(self.0.len() * 2);
            }
        }
    }

    fn place(&self, number: u64) -> Result<usize, usize> {
        // A few of those in front are tried first: a search would go through all of a long line.
        for (index, (other, _)) in self.0.iter().take(12).enumerate() {
            if *other >= number {
                return if *other == number { Ok(index) } else { Err(index) };
            }
        }
        self.0.binary_search_by(|(other, _)| other.cmp(&number))
    }
}
