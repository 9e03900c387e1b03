//! The whole consumer on a virtual clock: [`Modelled`] is a [`Queue`] on local-sqs's pure model, for
//! tests whose clock is paused. Every call can be made to fail, to come late or to get lost, and all
//! that happens at the queue and in the handlers is told in one timeline.

mod ask;
mod server;
mod worker;

use std::{
    collections::{BTreeMap, HashMap},
    future::pending,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use local_sqs::model::{
    Millis, ModelSettings, Sqs,
    api::{ChangeMessageVisibilityRequest, CreateQueueRequest, SendMessageRequest},
};
use sqs_consumer::ReceiptHandle;
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

use self::server::receive;
pub(crate) use self::{
    ask::{Ask, Fault, Operation, unavailable},
    worker::{Worker, steady},
};

/// What the queue is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) fifo: bool,
    pub(crate) visibility: Duration,
    /// The redrive policy's `maxReceiveCount`; none: no policy.
    pub(crate) max_receive_count: Option<u32>,
    /// Whether workers know the dead-letter queue and send to it themselves.
    pub(crate) dead_letter_queue: bool,
}

pub(crate) const FIFO: Shape = Shape {
    fifo: true,
    visibility: Duration::from_secs(30),
    max_receive_count: Some(3),
    dead_letter_queue: true,
};
pub(crate) const STANDARD: Shape = Shape { fifo: false, ..FIFO };
/// For what must hold on both.
pub(crate) const SHAPES: [Shape; 2] = [STANDARD, FIFO];

/// Something that happened, as the queue or a handler saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// A call was made, whatever came of it.
    Asked(Operation),
    /// Messages were handed out, with their receive counts.
    Received(Vec<(String, u32)>),
    /// Messages were deleted.
    Deleted(Vec<String>),
    /// Messages are invisible for so long from now.
    Changed(Vec<(String, Duration)>),
    /// The dead-letter queue has a copy.
    Copied(String),
    /// A handler began an attempt.
    Started(String, u32),
    /// A handler's work was done, for the first time or again.
    Effect(String),
    /// What another consumer would get now, told after each settling call if it was asked for.
    Outside(Vec<String>),
}

#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) at: Duration,
    pub(crate) worker: usize,
    pub(crate) what: What,
}

/// A queue of the model; clones are the same queue.
#[derive(Clone)]
pub(crate) struct Modelled(Arc<Shared>);

struct Shared {
    shape: Shape,
    started: Instant,
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    sqs: Sqs,
    bodies: HashMap<String, String>,
    timeline: Vec<Told>,
    faults: Box<dyn FnMut(&Ask) -> Fault + Send>,
    workers: Vec<worker::Controls>,
    observed: bool,
    sent: usize,
    /// The time of the last call, and how many there were at this very time.
    calls_at: (Duration, u32),
}

/// More calls at one and the same time are a hot loop.
const MOST_CALLS_AT_ONCE: u32 = 2_000;

const DEAD: [&str; 2] = ["dead", "dead.fifo"];
const QUEUE: [&str; 2] = ["queue", "queue.fifo"];

fn url(name: &str) -> String {
    format!("http://sqs/000000000000/{name}")
}

impl Modelled {
    pub(crate) fn new(shape: Shape) -> Self {
        let mut sqs = Sqs::new(ModelSettings::default());
        for name in [DEAD, QUEUE].map(|names| names[usize::from(shape.fifo)]) {
            let mut attributes = BTreeMap::new();
            if shape.fifo {
                attributes.insert("FifoQueue".to_owned(), "true".to_owned());
            }
            if let Some(count) = shape.max_receive_count.filter(|_| QUEUE.contains(&name)) {
                let target = sqs.arn(DEAD[usize::from(shape.fifo)]);
                let policy =
                    format!(r#"{{"deadLetterTargetArn":"{target}","maxReceiveCount":{count}}}"#);
                attributes.insert("RedrivePolicy".to_owned(), policy);
            }
            let queue_name = Some(name.to_owned());
            let request = CreateQueueRequest { queue_name, attributes, ..Default::default() };
            sqs.create_queue(Millis(0), request).expect("the queue is valid");
        }
        let state = State {
            sqs,
            bodies: HashMap::new(),
            timeline: Vec::new(),
            faults: Box::new(|_| Fault::default()),
            workers: Vec::new(),
            observed: false,
            sent: 0,
            calls_at: (Duration::ZERO, 0),
        };
        let (started, changed) = (Instant::now(), Notify::new());
        Self(Arc::new(Shared { shape, started, state: Mutex::new(state), changed }))
    }

    pub(crate) fn shape(&self) -> Shape {
        self.0.shape
    }

    /// The virtual time since the queue's beginning.
    pub(crate) fn now(&self) -> Duration {
        self.0.started.elapsed()
    }

    /// From now on this decides what happens to each call.
    pub(crate) fn faults(&self, faults: impl FnMut(&Ask) -> Fault + Send + 'static) {
        self.state().faults = Box::new(faults);
    }

    /// From now on the timeline says after each settling call what others would see.
    pub(crate) fn observe(&self) {
        self.state().observed = true;
    }

    /// Sends bodies `group/number`, each to its group.
    pub(crate) fn send<B: AsRef<str>>(&self, bodies: impl IntoIterator<Item = B>) {
        for body in bodies {
            let body = body.as_ref();
            let group = body.split('/').next().unwrap_or_default();
            self.send_to(self.name(), group, body, body);
            self.state().sent += 1;
        }
        self.0.changed.notify_waiters();
    }

    fn send_to(&self, name: &str, group: &str, id: &str, body: &str) {
        let request = SendMessageRequest {
            queue_url: url(name),
            message_body: body.to_owned(),
            message_group_id: Some(group.to_owned()),
            message_deduplication_id: self.0.shape.fifo.then(|| id.to_owned()),
            ..Default::default()
        };
        let now = self.millis();
        self.state().sqs.send_message(now, request).expect("the message is valid");
    }

    /// How many messages were sent.
    pub(crate) fn sent(&self) -> usize {
        self.state().sent
    }

    /// Messages that wait and messages in flight.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let now = self.millis();
        let mut state = self.state();
        state.sqs.advance(now);
        let counts = state.sqs.counts(self.name()).expect("it exists");
        (counts.visible as u64, counts.in_flight as u64)
    }

    /// Removes all messages, those in flight as well.
    pub(crate) fn purge(&self) {
        let now = self.millis();
        self.state().sqs.purge_queue(now, &url(self.name())).expect("the first time");
    }

    /// The bodies in the dead-letter queue, however they came there.
    pub(crate) fn dead(&self) -> Vec<String> {
        let now = self.millis();
        let mut state = self.state();
        state.sqs.advance(now);
        state.sqs.messages(DEAD[usize::from(self.0.shape.fifo)]).map(|m| m.body).collect()
    }

    /// The queue hands the message out again although somebody has it, as a standard queue may.
    pub(crate) fn hand_out_again(&self, body: &str) {
        let now = self.millis();
        let mut state = self.state();
        let newest = state.timeline.len();
        let handles = state.bodies.iter().filter(|(_, known)| *known == body);
        let handles: Vec<String> = handles.map(|(handle, _)| handle.clone()).collect();
        assert!(!handles.is_empty(), "{body} was received; {newest} things happened");
        for receipt_handle in handles {
            let request = ChangeMessageVisibilityRequest {
                queue_url: url(self.name()),
                receipt_handle,
                visibility_timeout: Some(0),
            };
            _ = state.sqs.change_message_visibility(now, &request);
        }
        drop(state);
        self.0.changed.notify_waiters();
    }

    /// All that another consumer could get at this moment, in order.
    pub(crate) fn seen_from_outside(&self) -> Vec<String> {
        let now = self.millis();
        let mut copy = self.state().sqs.clone();
        let mut bodies = Vec::new();
        loop {
            let got = receive(&mut copy, now, self.name(), 10, Duration::from_mins(10));
            if got.is_empty() {
                return bodies;
            }
            bodies.extend(got.into_iter().map(|message| message.body));
        }
    }

    pub(crate) fn timeline(&self) -> Vec<Told> {
        self.state().timeline.clone()
    }

    /// The calls of one kind since the beginning, with their times.
    pub(crate) fn asked(&self, operation: Operation) -> Vec<Duration> {
        let asked = |told: &Told| told.what == What::Asked(operation);
        self.timeline().into_iter().filter(asked).map(|told| told.at).collect()
    }

    /// How often the message was handed out.
    pub(crate) fn receives(&self, body: &str) -> usize {
        let with = |told: &Told| match &told.what {
            What::Received(got) => got.iter().filter(|(known, _)| known == body).count(),
            _ => 0,
        };
        self.timeline().iter().map(with).sum()
    }

    /// Attempts in order: body, number.
    pub(crate) fn started(&self) -> Vec<(String, u32)> {
        let started = |told: Told| match told.what {
            What::Started(body, number) => Some((body, number)),
            _ => None,
        };
        self.timeline().into_iter().filter_map(started).collect()
    }

    /// The numbers of a body's attempts.
    pub(crate) fn attempts(&self, body: &str) -> Vec<u32> {
        self.started().into_iter().filter(|(b, _)| b == body).map(|(_, number)| number).collect()
    }

    /// Bodies in the order of their effects; a repetition has no second effect.
    pub(crate) fn effects(&self) -> Vec<String> {
        let mut effects: Vec<String> = Vec::new();
        for told in self.timeline() {
            if let What::Effect(body) = told.what
                && !effects.contains(&body)
            {
                effects.push(body);
            }
        }
        effects
    }

    /// Effects of each group are in the order in which its messages were sent.
    pub(crate) fn assert_in_order(&self) {
        let mut last = BTreeMap::<String, u32>::new();
        for body in self.effects() {
            let (group, number) = body.split_once('/').expect("group/number");
            let number = number.parse().expect("a number");
            let before = last.insert(group.to_owned(), number);
            assert!(before < Some(number), "{body} took effect after {before:?}");
        }
    }

    pub(crate) fn assert_in_order_if_fifo(&self) {
        if self.0.shape.fifo {
            self.assert_in_order();
        }
    }

    /// Waits, as long as an hour of virtual time, for a condition.
    pub(crate) async fn until(&self, what: &str, mut condition: impl FnMut(&Self) -> bool) {
        let limit = Instant::now() + Duration::from_hours(1);
        while !condition(self) {
            assert!(Instant::now() < limit, "not reached: {what}; {:#?}", self.last_told());
            sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn until_empty(&self) {
        self.until("the queue is empty", |queue| queue.counts() == (0, 0)).await;
    }

    fn last_told(&self) -> Vec<Told> {
        let timeline = self.timeline();
        timeline[timeline.len().saturating_sub(30)..].to_vec()
    }

    fn name(&self) -> &'static str {
        QUEUE[usize::from(self.0.shape.fifo)]
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("no test panics with it")
    }

    fn millis(&self) -> Millis {
        Millis(self.now().as_millis() as u64)
    }

    fn tell(&self, worker: usize, what: What) {
        let at = self.now();
        self.state().timeline.push(Told { at, worker, what });
    }

    /// Notes the call and what is to happen to it.
    fn ask(
        &self,
        worker: usize,
        operation: Operation,
        entries: &[(ReceiptHandle, Duration)],
    ) -> Fault {
        let at = self.now();
        let mut state = self.state();
        state.timeline.push(Told { at, worker, what: What::Asked(operation) });
        let entries = entries
            .iter()
            .map(|(handle, length)| (state.bodies[&*handle.0].clone(), *length))
            .collect();
        let (last, count) = state.calls_at;
        state.calls_at = (at, if last == at { count + 1 } else { 1 });
        if state.calls_at.1 > MOST_CALLS_AT_ONCE {
            // A hot loop would stop the virtual clock: the test is to see it, and to fail.
            return Fault { answer_hangs: true, ..Fault::default() };
        }
        let ask = Ask { operation, worker, at, entries };
        (state.faults)(&ask)
    }

    fn settled(&self, worker: usize, what: What) {
        self.tell(worker, what);
        self.0.changed.notify_waiters();
        if self.state().observed {
            let seen = self.seen_from_outside();
            self.tell(worker, What::Outside(seen));
        }
    }
}

/// Answers nothing, ever.
async fn never<T>() -> T {
    pending().await
}
