//! A line of those who wait.

use slab::Slab;

/// Those who wait, the longest-waiting first. Anybody may leave from where it stands; that takes no more
/// time than to join, however many wait, and neither takes memory once as many have waited before.
///
/// A map by number would do the same; but who waits changes several times for each request.
#[derive(Debug)]
pub struct Line<T> {
    waiting: Slab<Waiting<T>>,
    first: Option<usize>,
    last: Option<usize>,
    /// Places given so far.
    places: u64,
}

/// A place in a [`Line`], never given again: who has left it, or was let in, has no other's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinePlace {
    index: usize,
    number: u64,
}

#[derive(Debug)]
struct Waiting<T> {
    who: T,
    number: u64,
    before: Option<usize>,
    behind: Option<usize>,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self { waiting: Slab::new(), first: None, last: None, places: 0 }
    }
}

impl<T> Line<T> {
    /// Joins at the end.
    pub fn join(&mut self, who: T) -> LinePlace {
        let number = self.places;
        self.places += 1;
        let before = self.last;
        let index = self.waiting.insert(Waiting { who, number, before, behind: None });
        match before {
            Some(before) => self.waiting[before].behind = Some(index),
            None => self.first = Some(index),
        }
        self.last = Some(index);
        LinePlace { index, number }
    }

    /// Leaves; nothing happens where nobody has this place any more.
    pub fn leave(&mut self, place: LinePlace) -> Option<T> {
        self.waiting.get(place.index).filter(|waiting| waiting.number == place.number)?;
        let Waiting { who, before, behind, .. } = self.waiting.remove(place.index);
        match before {
            Some(before) => self.waiting[before].behind = behind,
            None => self.first = behind,
        }
        match behind {
            Some(behind) => self.waiting[behind].before = before,
            None => self.last = before,
        }
        Some(who)
    }

    /// Who has waited longest.
    pub fn first(&self) -> Option<&T> {
        self.first.map(|first| &self.waiting[first].who)
    }

    /// Lets the first one out.
    pub fn leave_first(&mut self) -> Option<T> {
        let index = self.first?;
        let number = self.waiting[index].number;
        self.leave(LinePlace { index, number })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn it_is_a_map_by_number_whoever_joins_and_leaves() {
        // One joins; the first, a middle or the last one leaves; or one of those that have left.
        const STEPS: &str = "jjjmjfjljjmmjfoljjjfffojjmllljjofmmmmmjjlffffffffff";
        let (mut line, mut map) = (Line::default(), BTreeMap::new());
        let mut places = Vec::new();
        for step in STEPS.chars().cycle().take(500) {
            let waiting: Vec<u64> = map.keys().copied().collect();
            let number = match step {
                'j' => {
                    let number = places.len() as u64;
                    places.push(line.join(number));
                    map.insert(number, number);
                    continue;
                }
                'f' => {
                    assert_eq!(line.first(), map.values().next());
                    let left = map.pop_first().map(|(_, who)| who);
                    assert_eq!(line.leave_first(), left);
                    continue;
                }
                'm' => waiting.get(waiting.len() / 2).copied(),
                'l' => waiting.last().copied(),
                _ => (0..places.len() as u64).find(|number| !map.contains_key(number)),
            };
            let Some(number) = number else { continue };
            assert_eq!(line.leave(places[number as usize]), map.remove(&number), "{step} {number}");
        }
        let rest: Vec<u64> = std::iter::from_fn(|| line.leave_first()).collect();
        assert_eq!(rest, map.into_values().collect::<Vec<_>>());
        assert!(places.len() > 100 && line.waiting.capacity() <= 16, "places are used again");
    }
}
