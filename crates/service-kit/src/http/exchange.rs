//! A request's and an answer's bodies, which tell their connection's [`Place`] how far they are.

use super::{connections::Place, gives_way::GivesWay};
use axum::{body::Bytes, http::Response};
use hyper::body::{Body, Frame, SizeHint};
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

/// A request's body. Until it has come to its end the connection waits for its client.
pub(super) struct Arriving<B> {
    body: B,
    place: Arc<Place>,
    request: u64,
}

impl<B: Body> Arriving<B> {
    pub(super) fn new(body: B, place: Arc<Place>) -> Self {
        let request = place.begins();
        let arriving = Self { body, place, request };
        arriving.place.note_unread(true);
        if arriving.body.is_end_stream() {
            arriving.has_ended();
        }
        arriving
    }

    /// The request's number on its connection.
    pub(super) fn request(&self) -> u64 {
        self.request
    }

    fn has_ended(&self) {
        self.place.note_unread(false);
        self.place.is_answering(self.request);
    }
}

impl<B: Body + Unpin> Body for Arriving<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_none() || frame.as_ref().is_some_and(Result::is_ok) && self.body.is_end_stream()
        {
            self.has_ended();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer's body. Once the server has all of it the connection waits for its client again.
pub(super) struct Leaving {
    body: axum::body::Body,
    place: Arc<Place>,
}

impl Leaving {
    /// The answer to the request of this number.
    pub(super) fn answer(
        mut answer: Response<axum::body::Body>,
        place: Arc<Place>,
        request: u64,
    ) -> Response<Self> {
        place.is_answering(request);
        place.answer_begins(answer.extensions_mut().remove::<GivesWay>());
        answer.map(|body| Self { body, place })
    }
}

impl Body for Leaving {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.place.has_answered();
    }
}
