//! A queue's entries in order, at the same cost however many there are.

use std::collections::{BTreeMap, VecDeque};

/// Values by an increasing number.
///
/// Nearly all come at the end and leave at the front, so they lie side by side; one that leaves from the
/// middle leaves a hole, and one that comes late is kept apart.
#[derive(Debug, Clone)]
pub(super) struct Line<T> {
    /// In order; holes are never at the front.
    main: VecDeque<(u64, Option<T>)>,
    holes: u32,
    late: BTreeMap<u64, T>,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self { main: VecDeque::new(), holes: 0, late: BTreeMap::new() }
    }
}

/// Holes are closed when there are more of them than of values, but not for a few.
const FEW_HOLES: u32 = 32;

impl<T> Line<T> {
    pub(super) fn first(&self) -> Option<(u64, &T)> {
        self.iter().next()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        let mut main =
            self.main.iter().filter_map(|(number, v)| Some((*number, v.as_ref()?))).peekable();
        let mut late = self.late.iter().map(|(number, value)| (*number, value)).peekable();
        std::iter::from_fn(move || match (main.peek(), late.peek()) {
            (Some((ours, _)), Some((theirs, _))) if theirs < ours => late.next(),
            (Some(_), _) => main.next(),
            (None, _) => late.next(),
        })
    }

    /// Puts a value in its place, or in the place of an earlier one of the same number.
    pub(super) fn put(&mut self, number: u64, value: T) {
        if let Some(there) = self.late.get_mut(&number) {
            *there = value;
        } else if self.main.back().is_none_or(|(last, _)| *last < number) {
            self.main.push_back((number, Some(value)));
        } else if let Some(index) = self.place(number) {
            let there = &mut self.main[index].1;
            self.holes -= u32::from(there.is_none());
            *there = Some(value);
        } else {
            self.late.insert(number, value);
        }
    }

    /// Takes a value out, and tells whether it was there.
    pub(super) fn take(&mut self, number: u64) -> bool {
        if self.late.remove(&number).is_some() {
            return true;
        }
        let Some(index) = self.place(number) else {
            return false;
        };
        let taken = self.main[index].1.take().is_some();
        self.holes += u32::from(taken);
        while self.main.front().is_some_and(|(_, value)| value.is_none()) {
            self.main.pop_front();
            self.holes -= 1;
        }
        if self.holes > FEW_HOLES && self.holes as usize * 2 > self.main.len() {
            self.main.retain(|(_, value)| value.is_some());
            self.holes = 0;
        }
        // What a line once needed is given back when most of it is empty.
        if self.main.capacity() > 64 && self.main.len() * 4 < self.main.capacity() {
            self.main.shrink_to(self.main.len() * 2);
        }
        taken
    }

    fn place(&self, number: u64) -> Option<usize> {
        // A few of those in front are tried first: a search would go through all of a long line.
        for (index, (other, _)) in self.main.iter().take(12).enumerate() {
            if *other >= number {
                return (*other == number).then_some(index);
            }
        }
        self.main.binary_search_by(|(other, _)| other.cmp(&number)).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::Line;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_line_is_a_map_in_the_order_of_its_numbers(
            steps in proptest::collection::vec((0..200_u64, any::<bool>()), 1..400)
        ) {
            let (mut line, mut map) = (Line::default(), BTreeMap::new());
            for (step, (number, put)) in steps.into_iter().enumerate() {
                if put {
                    line.put(number, step);
                    map.insert(number, step);
                } else {
                    prop_assert_eq!(line.take(number), map.remove(&number).is_some());
                }
                prop_assert_eq!(line.first(), map.first_key_value().map(|(n, v)| (*n, v)));
                prop_assert!(line.iter().eq(map.iter().map(|(n, v)| (*n, v))));
                let holes = line.main.iter().filter(|(_, v)| v.is_none()).count();
                prop_assert_eq!(line.holes as usize, holes);
                prop_assert!(line.main.len() <= 2 * map.len() + super::FEW_HOLES as usize + 2);
            }
        }
    }
}
