//! Room for the bytes of the orders in hand: what is being read, waits or is being sent.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many bytes for all orders together. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Room(Arc<Semaphore>);

/// An order's part of the room, free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Reserved {
    room: Room,
    bytes: Option<OwnedSemaphorePermit>,
}

/// The room is full.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Room {
    pub(crate) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes)))
    }

    /// A part of no bytes yet.
    pub(crate) fn part(&self) -> Reserved {
        Reserved { room: self.clone(), bytes: None }
    }
}

impl Reserved {
    /// Takes so many bytes more.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Full> {
        let bytes = u32::try_from(bytes).map_err(|_| Full)?;
        let more = Arc::clone(&self.room.0).try_acquire_many_owned(bytes).map_err(|_| Full)?;
        match &mut self.bytes {
            Some(bytes) => bytes.merge(more),
            none => *none = Some(more),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_reserved_is_free_again_when_it_is_dropped() {
        let room = Room::new(10);
        let (mut one, mut other) = (room.part(), room.part());
        assert_eq!((one.grow(4), one.grow(4), other.grow(3)), (Ok(()), Ok(()), Err(Full)));
        assert_eq!(other.grow(2), Ok(()));
        drop(one);
        assert_eq!((other.grow(8), other.grow(1)), (Ok(()), Err(Full)));
    }
}
