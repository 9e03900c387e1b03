//! The invalid parts of a request: how many there are, and as many of them as an answer lists.

use crate::Problem;
use std::{borrow::Cow, collections::HashSet};

/// One invalid part of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// A JSON pointer into the body as a URI fragment, or the name of a parameter or header.
    pub pointer: String,
    /// What is wrong with it.
    pub detail: String,
}

impl FieldError {
    /// An invalid part.
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
}

/// All of them, in the order in which they were found. Beyond the bound they are only counted: three
/// bytes of a body can be four invalid parts, and an answer is not to be eighty times its request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldErrors {
    listed: Vec<FieldError>,
    /// Those that are only counted.
    more: usize,
}

impl FieldErrors {
    /// As many are listed.
    pub const LISTED: usize = 100;

    /// One more invalid part.
    pub fn note(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        if self.listed.len() < Self::LISTED {
            self.listed.push(FieldError::new(pointer, detail));
        } else {
            self.more += 1;
        }
    }

    /// One more invalid part.
    pub fn push(&mut self, error: FieldError) {
        self.note(error.pointer, error.detail);
    }

    /// Puts others behind these.
    pub fn append(&mut self, others: Self) {
        for error in others.listed {
            self.push(error);
        }
        self.more += others.more;
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// How many there are, those that are not listed among them.
    pub fn count(&self) -> usize {
        self.listed.len() + self.more
    }

    /// How many are invalid, in words.
    pub fn summary(&self) -> String {
        match self.count() {
            1 => "one field is invalid".to_owned(),
            n => format!("{n} fields are invalid"),
        }
    }

    /// What an answer lists; where that is not all, the last entry says how many are left out.
    pub fn into_listed(self) -> impl Iterator<Item = FieldError> {
        let Self { listed, more } = self;
        let rest = (more > 0)
            .then(|| FieldError::new("#", format!("invalid parts that are not listed: {more}")));
        listed.into_iter().chain(rest)
    }

    /// The problem with these listed in it.
    pub fn listed_in(self, problem: Problem) -> Problem {
        self.into_listed()
            .fold(problem, |problem, error| problem.field_error(error.pointer, error.detail))
    }
}

/// Hands each parameter of a query over, by its name and value, and lists those that `take` refuses or
/// that are given twice.
pub fn read_query(
    query: &str,
    mut take: impl FnMut(&str, &str) -> Result<(), String>,
) -> FieldErrors {
    let (mut errors, mut seen) = (FieldErrors::default(), HashSet::<Cow<'_, str>>::new());
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let result = if seen.contains(&name) {
            Err("must be given once".to_owned())
        } else {
            take(&name, &value)
        };
        if let Err(detail) = result {
            errors.note(format!("?{}", shortened(&name)), detail);
        }
        seen.insert(name);
    }
    errors
}

/// What is repeated of a name that anyone may have chosen.
fn shortened(name: &str) -> &str {
    &name[..name.floor_char_boundary(64)]
}

impl From<FieldError> for FieldErrors {
    fn from(error: FieldError) -> Self {
        Self { listed: vec![error], more: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(count: usize) -> FieldErrors {
        let mut errors = FieldErrors::default();
        for n in 0..count {
            errors.note(format!("#/items/{n}"), "must be an object");
        }
        errors
    }

    #[test]
    fn as_many_as_are_listed_are_listed_and_the_others_counted() {
        for count in [0, 1, FieldErrors::LISTED, FieldErrors::LISTED + 1, FieldErrors::LISTED + 2] {
            let errors = errors(count);
            assert_eq!((errors.count(), errors.is_empty()), (count, count == 0));
            let listed: Vec<_> = errors.into_listed().collect();
            let first = listed.iter().take_while(|error| error.pointer != "#").count();
            assert_eq!(first, count.min(FieldErrors::LISTED));
            let rest: Vec<_> = listed[first..].iter().map(|error| error.detail.as_str()).collect();
            match count - first {
                0 => assert_eq!(rest, [""; 0]),
                more => assert_eq!(rest, [format!("invalid parts that are not listed: {more}")]),
            }
        }
    }

    #[test]
    fn others_come_behind_and_count_with_these() {
        let mut all = FieldErrors::from(FieldError::new("?queueType", "must be standard or fifo"));
        all.append(errors(FieldErrors::LISTED + 3));
        assert_eq!(all.count(), FieldErrors::LISTED + 4);
        let listed: Vec<_> = all.into_listed().collect();
        assert_eq!((listed.len(), &*listed[0].pointer), (FieldErrors::LISTED + 1, "?queueType"));
        assert_eq!(
            listed[FieldErrors::LISTED - 1].pointer,
            format!("#/items/{}", FieldErrors::LISTED - 2)
        );
        assert_eq!(listed[FieldErrors::LISTED].detail, "invalid parts that are not listed: 4");
    }
}
