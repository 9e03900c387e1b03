//! Room for the bytes of the orders in hand: what is being read, waits, is being sent, or is an
//! answer that its client has not taken yet, be it to an order or about one.
//!
//! What waits for a client has no right to its part for long: an order that is still arriving, or
//! an answer of which nothing is being taken, makes room for others.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// For which a client may be waited for undisturbed. Few that send almost a mebibyte each and then
/// nothing, or take nothing of an answer of that size, would otherwise keep everybody out for as
/// long as a body or an answer may take; with this they have to begin anew every second.
pub(crate) const UNDISTURBED: Duration = Duration::from_secs(1);

/// So many bytes for all orders together. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Room(Arc<Mutex<Shared>>);

#[derive(Debug)]
struct Shared {
    free: usize,
    undisturbed: Duration,
    next: u64,
    /// The parts whose clients are waited for, the longest first.
    waiting: BTreeMap<Since, Waiting>,
}

/// From when on a client is waited for; a number, too, since times may be the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Since {
    at: Instant,
    number: u64,
}

#[derive(Debug)]
struct Waiting {
    bytes: usize,
    given_up: Arc<Notify>,
}

/// An order's part of the room, free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Reserved {
    room: Room,
    account: Mutex<Account>,
    /// There once the client is waited for.
    given_up: OnceLock<Arc<Notify>>,
}

/// Where the bytes of a part are counted.
#[derive(Debug)]
enum Account {
    /// Here: nobody takes them away. If they are an answer's of which nothing was being taken, the
    /// first time of that stays with it: a client that takes a little now and then gains none.
    Own { bytes: usize, unread: Option<Since> },
    /// By the room, under this key: the client is waited for.
    Waiting(Since),
    /// Nowhere: there are none yet of an order that has begun to arrive, at this time.
    Empty(Instant),
}

/// Nothing is being taken of an answer, until this is dropped.
struct Unread(Weak<Reserved>);

/// The room is full.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Room {
    /// So many bytes; a client may be waited for undisturbed for so long.
    pub(crate) fn new(bytes: usize, undisturbed: Duration) -> Self {
        let shared = Shared { free: bytes, undisturbed, next: 0, waiting: BTreeMap::new() };
        Self(Arc::new(Mutex::new(shared)))
    }

    /// A part of no bytes yet, of an order that begins to arrive.
    pub(crate) fn part(&self) -> Reserved {
        self.with(Account::Empty(Instant::now()))
    }

    /// A part of so many bytes, of an order that has arrived all at once.
    pub(crate) fn whole(&self, bytes: usize) -> Result<Reserved, Full> {
        let mut shared = lock(&self.0);
        shared.make_room(None, bytes)?;
        shared.free -= bytes;
        drop(shared);
        Ok(self.with(Account::Own { bytes, unread: None }))
    }

    fn with(&self, account: Account) -> Reserved {
        Reserved { room: self.clone(), account: Mutex::new(account), given_up: OnceLock::new() }
    }
}

impl Shared {
    /// A client is waited for from then on.
    fn since(&mut self, at: Instant) -> Since {
        let number = self.next;
        self.next += 1;
        Since { at, number }
    }

    /// The client of a part with so many bytes is waited for, since this time.
    fn wait(&mut self, since: Since, bytes: usize, given_up: &Arc<Notify>) {
        self.waiting.insert(since, Waiting { bytes, given_up: Arc::clone(given_up) });
    }

    /// Takes bytes for what arrives. Where there are none, the parts whose clients have been waited
    /// for longest give theirs, if that is long enough. A part without bytes is not among them: it
    /// has nothing to give.
    fn take(&mut self, key: Since, bytes: usize) -> Result<(), Full> {
        self.make_room(Some(key), bytes)?;
        // One that has been given up itself has nothing to add to.
        let own = self.waiting.get_mut(&key).ok_or(Full)?;
        own.bytes += bytes;
        self.free -= bytes;
        Ok(())
    }

    /// The same for the first bytes of what has begun to arrive at this time; the key of its part.
    fn take_first(
        &mut self,
        at: Instant,
        bytes: usize,
        given_up: &Arc<Notify>,
    ) -> Result<Since, Full> {
        self.make_room(None, bytes)?;
        let key = self.since(at);
        self.wait(key, bytes, given_up);
        self.free -= bytes;
        Ok(key)
    }

    /// `own` is the key of the part for which there is to be room.
    fn make_room(&mut self, own: Option<Since>, bytes: usize) -> Result<(), Full> {
        while self.free < bytes {
            let longest = self.waiting.keys().copied().find(|other| Some(*other) != own);
            let late = longest.filter(|other| other.at.elapsed() >= self.undisturbed);
            let Some(other) = late else {
                return Err(Full);
            };
            if let Some(waiting) = self.waiting.remove(&other) {
                self.free += waiting.bytes;
                waiting.given_up.notify_one();
            }
        }
        Ok(())
    }
}

impl Reserved {
    /// Takes so many bytes more, for an order that is still arriving.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Full> {
        let mut account = lock(&self.account);
        match *account {
            Account::Own { .. } => Err(Full),
            Account::Waiting(key) => lock(&self.room.0).take(key, bytes),
            Account::Empty(_) if bytes == 0 => Ok(()),
            Account::Empty(at) => {
                let key = lock(&self.room.0).take_first(at, bytes, self.notified())?;
                *account = Account::Waiting(key);
                Ok(())
            }
        }
    }

    /// Returns when the order has had to make room for others, and is not to arrive any more.
    pub(crate) async fn given_up(&self) {
        self.notified().notified().await;
    }

    fn notified(&self) -> &Arc<Notify> {
        self.given_up.get_or_init(Arc::default)
    }

    /// The order has arrived: its part is its own until it is dropped, or its answer is unread.
    pub(crate) fn arrived(self) -> Result<Self, Full> {
        self.waits_no_more()?;
        if let Account::Own { unread, .. } = &mut *lock(&self.account) {
            *unread = None;
        }
        Ok(self)
    }

    /// Until this is dropped nothing is being taken of the answer that has this part; returns when
    /// the answer has had to make room for others. The part stays the answer's, and goes with it.
    pub(crate) async fn unread(part: Weak<Self>) {
        let Some(given_up) = part.upgrade().map(|part| part.waits()) else {
            // The socket has all of it.
            return std::future::pending().await;
        };
        let _unread = Unread(part);
        given_up.notified().await;
    }

    /// The client is waited for again; what is notified when others need the room.
    fn waits(&self) -> Arc<Notify> {
        let mut account = lock(&self.account);
        if let Account::Own { bytes, unread } = *account
            && bytes > 0
        {
            let mut shared = lock(&self.room.0);
            let since = unread.unwrap_or_else(|| shared.since(Instant::now()));
            shared.wait(since, bytes, self.notified());
            *account = Account::Waiting(since);
        }
        Arc::clone(self.notified())
    }

    /// The client is not waited for any more; an error when the part has been given up meanwhile.
    fn waits_no_more(&self) -> Result<(), Full> {
        let mut account = lock(&self.account);
        match *account {
            Account::Own { .. } => {}
            Account::Waiting(key) => {
                let waiting = lock(&self.room.0).waiting.remove(&key);
                let bytes = waiting.as_ref().map_or(0, |waiting| waiting.bytes);
                *account = Account::Own { bytes, unread: Some(key) };
                waiting.ok_or(Full)?;
            }
            Account::Empty(_) => *account = Account::Own { bytes: 0, unread: None },
        }
        Ok(())
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        if let Some(part) = self.0.upgrade() {
            // What was given up is without bytes; its answer is cut should nothing be taken again.
            let _ = part.waits_no_more();
        }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        // A part that has been given up is its own, without bytes.
        let _ = self.waits_no_more();
        if let Account::Own { bytes, .. } = *lock(&self.account) {
            lock(&self.room.0).free += bytes;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        future::Future,
        pin::{Pin, pin},
        task::{Context, Waker},
    };

    fn is_given_up(part: &Reserved) -> bool {
        is_over(pin!(part.given_up()))
    }

    fn is_over(future: Pin<&mut impl Future<Output = ()>>) -> bool {
        future.poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    /// A part of so many bytes whose order has arrived.
    fn arrived(room: &Room, bytes: usize) -> Arc<Reserved> {
        let mut part = room.part();
        part.grow(bytes).expect("there is room");
        Arc::new(part.arrived().expect("it was not given up"))
    }

    #[test]
    fn what_is_reserved_is_free_again_when_it_is_dropped() {
        let room = Room::new(10, Duration::MAX);
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
    fn what_arrives_all_at_once_is_its_own_and_waits_for_nobody() {
        let room = Room::new(10, Duration::ZERO);
        let mut slow = room.part();
        assert_eq!(slow.grow(6), Ok(()));
        let whole = room.whole(4).expect("there is room");
        assert!(!is_given_up(&slow) && !is_given_up(&whole));
        let other = room.whole(5).expect("what arrives slowly gives way");
        assert!(is_given_up(&slow));
        assert_eq!(room.whole(2).err(), Some(Full), "what has arrived does not");
        assert!(room.whole(1).is_ok(), "what was refused has taken nothing");
        let mut waiting = pin!(Reserved::unread(Arc::downgrade(&Arc::new(whole))));
        assert!(!is_over(waiting.as_mut()));
        drop(other);
        assert!(room.whole(10).is_ok());
    }

    #[test]
    fn what_has_been_arriving_for_long_makes_room_and_what_has_arrived_does_not() {
        let room = Room::new(10, Duration::ZERO);
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

    #[test]
    fn what_has_nothing_yet_keeps_its_place_however_long_it_has_been_arriving() {
        let room = Room::new(10, Duration::ZERO);
        let (mut empty, mut next) = (room.part(), room.part());
        assert_eq!(empty.grow(0), Ok(()));
        let full = arrived(&room, 10);
        assert_eq!(next.grow(1), Err(Full));
        assert!(!is_given_up(&empty), "it has nothing to give");
        drop(full);
        assert_eq!((empty.grow(6), next.grow(4)), (Ok(()), Ok(())));
        assert_eq!(next.grow(1), Ok(()));
        assert!(is_given_up(&empty), "now it has");
        assert!(empty.arrived().is_err());
        assert!(room.part().arrived().is_ok(), "a body may be empty");
    }

    #[test]
    fn an_answer_that_is_unread_for_long_makes_room_until_its_client_reads_on() {
        let room = Room::new(10, Duration::ZERO);
        // It has waited for longest itself.
        let mut next = room.part();
        let (unread, read) = (arrived(&room, 4), arrived(&room, 4));
        let mut reading = Box::pin(Reserved::unread(Arc::downgrade(&read)));
        let mut waiting = pin!(Reserved::unread(Arc::downgrade(&unread)));
        assert!(!is_over(reading.as_mut()) && !is_over(waiting.as_mut()), "nobody wants room");
        drop(reading);
        assert_eq!((next.grow(6), next.grow(1)), (Ok(()), Err(Full)), "only one is unread");
        assert!(is_over(waiting));
        drop(unread);
        assert_eq!(next.grow(1), Err(Full), "what was given up is free only once");
        drop(read);
        assert_eq!((next.grow(4), next.grow(1)), (Ok(()), Err(Full)));
    }

    #[test]
    fn an_unread_answer_has_its_time_and_no_part_once_it_is_taken() {
        let room = Room::new(10, Duration::MAX);
        let unread = arrived(&room, 10);
        let mut waiting = pin!(Reserved::unread(Arc::downgrade(&unread)));
        assert!(!is_over(waiting.as_mut()));
        let mut next = room.part();
        assert_eq!(next.grow(1), Err(Full), "it has not had its time");
        drop(unread);
        assert_eq!(next.grow(10), Ok(()), "the socket has all of it");
        assert!(!is_over(waiting));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_of_which_a_little_is_taken_now_and_then_has_its_time_once() {
        let second = Duration::from_secs(1);
        let room = Room::new(10, 2 * second);
        let mut slow = room.part();
        assert_eq!(slow.grow(10), Ok(()));
        tokio::time::advance(10 * second).await;
        let slow = Arc::new(slow.arrived().expect("it was not given up"));
        let unread = || Box::pin(Reserved::unread(Arc::downgrade(&slow)));
        let mut next = room.part();
        for waited in 0..3 {
            let mut waiting = unread();
            assert!(!is_over(waiting.as_mut()));
            if waited < 2 {
                assert_eq!(next.grow(4), Err(Full), "its time is not over after {waited} s");
            }
            tokio::time::advance(second).await;
        }
        assert_eq!(next.grow(4), Err(Full), "something of it is being taken");
        let mut waiting = unread();
        assert!(!is_over(waiting.as_mut()), "nobody wants room");
        assert_eq!(next.grow(4), Ok(()));
        assert!(is_over(waiting.as_mut()));
    }
}
