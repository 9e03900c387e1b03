//! The invalid parts of a request: how many there are, and as many of them as an answer lists.

use crate::limits;

/// One invalid part of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FieldError {
    /// A JSON pointer into the body as a URI fragment, or the name of a parameter or header.
    pub(crate) pointer: String,
    /// What is wrong with it.
    pub(crate) detail: String,
}

impl FieldError {
    pub(crate) fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
}

/// All of them, in the order in which they were found. Beyond the bound they are only counted: three
/// bytes of a body can be four invalid parts, and an answer is not to be eighty times its request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldErrors {
    listed: Vec<FieldError>,
    /// Those that are only counted.
    more: usize,
}

impl FieldErrors {
    /// One more invalid part.
    pub(crate) fn note(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        if self.listed.len() < limits::ERRORS {
            self.listed.push(FieldError::new(pointer, detail));
        } else {
            self.more += 1;
        }
    }

    pub(crate) fn push(&mut self, error: FieldError) {
        self.note(error.pointer, error.detail);
    }

    /// Puts others behind these.
    pub(crate) fn append(&mut self, others: Self) {
        for error in others.listed {
            self.push(error);
        }
        self.more += others.more;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// How many there are, those that are not listed among them.
    pub(crate) fn count(&self) -> usize {
        self.listed.len() + self.more
    }

    /// What an answer lists; where that is not all, the last entry says how many are left out.
    pub(crate) fn into_listed(self) -> impl Iterator<Item = FieldError> {
        let Self { listed, more } = self;
        let rest = (more > 0)
            .then(|| FieldError::new("#", format!("invalid parts that are not listed: {more}")));
        listed.into_iter().chain(rest)
    }
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
        for count in [0, 1, limits::ERRORS, limits::ERRORS + 1, limits::ERRORS + 2] {
            let errors = errors(count);
            assert_eq!((errors.count(), errors.is_empty()), (count, count == 0));
            let listed: Vec<_> = errors.into_listed().collect();
            let first = listed.iter().take_while(|error| error.pointer != "#").count();
            assert_eq!(first, count.min(limits::ERRORS));
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
        all.append(errors(limits::ERRORS + 3));
        assert_eq!(all.count(), limits::ERRORS + 4);
        let listed: Vec<_> = all.into_listed().collect();
        assert_eq!((listed.len(), &*listed[0].pointer), (limits::ERRORS + 1, "?queueType"));
        assert_eq!(listed[limits::ERRORS - 1].pointer, format!("#/items/{}", limits::ERRORS - 2));
        assert_eq!(listed[limits::ERRORS].detail, "invalid parts that are not listed: 4");
    }
}
