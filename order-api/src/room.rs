//! Room for the bytes of the orders in hand: what is being read, waits, is being sent, or is an answer
//! that its client has not taken yet.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// For which a body may arrive undisturbed. Few clients that send almost a mebibyte each and then
/// nothing would otherwise keep everybody out for as long as a body may take; with this they have to
/// send all of it again every second.
const UNDISTURBED: Duration = Duration::from_secs(1);

/// So many bytes for all orders together. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Room(Arc<Mutex<Shared>>);

#[derive(Debug)]
struct Shared {
    free: usize,
    undisturbed: Duration,
    next: u64,
    /// The parts of orders that are still arriving, the earliest first.
    arriving: BTreeMap<u64, Arriving>,
}

#[derive(Debug)]
struct Arriving {
    bytes: usize,
    since: Instant,
    given_up: Arc<Notify>,
}

/// An order's part of the room, free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Reserved {
    room: Room,
    /// What counts once the order has arrived; until then the room keeps the account.
    bytes: usize,
    arriving: Option<u64>,
    given_up: Arc<Notify>,
}

/// The room is full.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Room {
    pub(crate) fn new(bytes: usize) -> Self {
        Self::undisturbed_for(bytes, UNDISTURBED)
    }

    fn undisturbed_for(bytes: usize, undisturbed: Duration) -> Self {
        let shared = Shared { free: bytes, undisturbed, next: 0, arriving: BTreeMap::new() };
        Self(Arc::new(Mutex::new(shared)))
    }

    /// A part of no bytes yet, of an order that begins to arrive.
    pub(crate) fn part(&self) -> Reserved {
        let given_up = Arc::new(Notify::new());
        let mut shared = self.lock();
        let key = shared.next;
        shared.next += 1;
        let arriving =
            Arriving { bytes: 0, since: Instant::now(), given_up: Arc::clone(&given_up) };
        shared.arriving.insert(key, arriving);
        Reserved { room: self.clone(), bytes: 0, arriving: Some(key), given_up }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Takes bytes for an order that arrives. Where there are none, the orders that have been arriving
    /// for longest give theirs, if that is long enough.
    fn take(&mut self, key: u64, bytes: usize) -> Result<(), Full> {
        while self.free < bytes {
            let earliest = self.arriving.first_key_value();
            let late = |(other, arriving): &(&u64, &Arriving)| {
                **other != key && arriving.since.elapsed() >= self.undisturbed
            };
            let Some(other) = earliest.filter(late).map(|(other, _)| *other) else {
                return Err(Full);
            };
            if let Some(arriving) = self.arriving.remove(&other) {
                self.free += arriving.bytes;
                arriving.given_up.notify_one();
            }
        }
        // One that has been given up itself has nothing to add to.
        let own = self.arriving.get_mut(&key).ok_or(Full)?;
        own.bytes += bytes;
        self.free -= bytes;
        Ok(())
    }
}

impl Reserved {
    /// Takes so many bytes more, for an order that is still arriving.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Full> {
        let key = self.arriving.ok_or(Full)?;
        self.room.lock().take(key, bytes)
    }

    /// Returns when the order has had to make room for others, and is not to arrive any more.
    pub(crate) async fn given_up(&self) {
        self.given_up.notified().await;
    }

    /// The order has arrived: its part is its own until it is dropped.
    pub(crate) fn arrived(mut self) -> Result<Self, Full> {
        let key = self.arriving.take().ok_or(Full)?;
        let arriving = self.room.lock().arriving.remove(&key).ok_or(Full)?;
        self.bytes = arriving.bytes;
        Ok(self)
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let mut shared = self.room.lock();
        let arriving = self.arriving.and_then(|key| shared.arriving.remove(&key));
        shared.free += arriving.map_or(self.bytes, |arriving| arriving.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        future::Future,
        pin::pin,
        task::{Context, Waker},
    };

    fn is_given_up(part: &Reserved) -> bool {
        let given_up = pin!(part.given_up());
        given_up.poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn what_is_reserved_is_free_again_when_it_is_dropped() {
        let room = Room::undisturbed_for(10, Duration::MAX);
        let (mut one, mut other) = (room.part(), room.part());
        assert_eq!((one.grow(4), one.grow(4), other.grow(3)), (Ok(()), Ok(()), Err(Full)));
        assert_eq!(other.grow(2), Ok(()));
        assert!(!is_given_up(&one) && !is_given_up(&other), "nobody has had its time");
        drop(one);
        let other = other.arrived().expect("it was not given up");
        let mut last = room.part();
        assert_eq!((last.grow(8), last.grow(1)), (Ok(()), Err(Full)));
        drop(other);
        assert_eq!(last.grow(2), Ok(()));
    }

    #[test]
    fn what_has_been_arriving_for_long_makes_room_and_what_has_arrived_does_not() {
        let room = Room::undisturbed_for(10, Duration::ZERO);
        let (mut arrived, mut slow, mut slower) = (room.part(), room.part(), room.part());
        assert_eq!((arrived.grow(2), slow.grow(4), slower.grow(4)), (Ok(()), Ok(()), Ok(())));
        let arrived = arrived.arrived().expect("it was not given up");
        let mut next = room.part();
        assert_eq!(next.grow(1), Ok(()));
        assert!(is_given_up(&slow) && !is_given_up(&slower), "the earliest, and as few as suffice");
        assert_eq!(slow.grow(1), Err(Full));
        assert!(slow.arrived().is_err(), "what was given up is no order");
        assert_eq!(next.grow(7), Ok(()));
        assert!(is_given_up(&slower));
        assert_eq!(next.grow(1), Err(Full), "an order does not make room for itself");
        drop((arrived, slower));
        assert_eq!((next.grow(2), next.grow(1)), (Ok(()), Err(Full)));
    }
}
