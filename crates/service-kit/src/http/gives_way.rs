//! Answers that make room for others when they are not taken.

use std::{fmt, pin::Pin, sync::Arc};

/// What is awaited while nothing of an answer is being taken: then the answer gives way.
pub(super) type Stuck = Pin<Box<dyn Future<Output = ()> + Send>>;

/// When an answer gives way, for its extensions.
///
/// Each time that the client takes nothing of the answer any more, the server has a future made, and
/// awaits it until the client goes on. When the future ends before that, the connection is cut, with
/// all that is held for it. It may be made when nothing of the answer is held any more, and then
/// has nothing to end for.
#[derive(Clone)]
pub struct GivesWay(Arc<dyn Fn() -> Stuck + Send + Sync>);

impl GivesWay {
    /// `stuck` makes the future; it must not block.
    pub fn new<F>(stuck: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self(Arc::new(move || -> Stuck { Box::pin(stuck()) }))
    }

    pub(super) fn stuck(&self) -> Stuck {
        (self.0)()
    }
}

impl fmt::Debug for GivesWay {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("GivesWay").finish_non_exhaustive()
    }
}
