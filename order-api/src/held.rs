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
