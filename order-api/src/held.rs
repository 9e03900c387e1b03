//! Answers that have room in memory until their clients have taken them.

use crate::room::Reserved;
use axum::{
    Extension,
    body::Bytes,
    response::{IntoResponse, Response},
};
use service_kit::GivesWay;
use std::sync::{Arc, Weak};

/// An answer of so many bytes or fewer has room of its own: that of its connection, of which each has one
/// answer in hand. To count it, and to have it give way, would cost more than it holds.
const SMALL: usize = 1024;

/// An answer's content. Unless it is small, it has its room until the connection's socket has taken the
/// last of it, or the connection has ended: clients that do not read their answers would have as much held
/// for them as they like. While nothing of it is being taken it makes room for others, and then its
/// connection is cut.
pub(crate) struct Held<T> {
    content: T,
    reserved: Arc<Reserved>,
}

impl<T> Held<T> {
    pub(crate) fn new(content: T, reserved: Arc<Reserved>) -> Self {
        Self { content, reserved }
    }
}

impl<T: AsRef<[u8]>> AsRef<[u8]> for Held<T> {
    fn as_ref(&self) -> &[u8] {
        self.content.as_ref()
    }
}

impl<T: AsRef<[u8]> + Send + 'static> IntoResponse for Held<T> {
    fn into_response(self) -> Response {
        if self.as_ref().len() <= SMALL {
            return Bytes::from_owner(self.content).into_response();
        }
        // What gives way outlives the content, whose room must not wait for that.
        let part = Arc::downgrade(&self.reserved);
        let gives_way = GivesWay::new(move || Reserved::unread(Weak::clone(&part)));
        (Extension(gives_way), Bytes::from_owner(self)).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::{Full, Room};
    use std::time::Duration;

    #[test]
    fn an_answer_that_is_not_taken_has_its_room_unless_it_is_small() {
        for (bytes, all_is_free) in [(SMALL, true), (SMALL + 1, false)] {
            let room = Room::new(bytes, Duration::MAX);
            let part = Arc::new(room.whole(bytes).expect("there is room"));
            let answer = Held::new("a".repeat(bytes), part).into_response();
            let taken = room.whole(1).err();
            assert_eq!(taken, (!all_is_free).then_some(Full), "{bytes} bytes");
            let gives_way = answer.extensions().get::<GivesWay>().is_some();
            assert_eq!(gives_way, !all_is_free, "{bytes} bytes");
            drop(answer);
            assert!(room.whole(bytes).is_ok(), "{bytes} bytes");
        }
    }
}
