//! A worker process on the modelled queue: it can be told to stop, paused, resumed and killed.

use std::{sync::Arc, time::Duration};

use prometheus::Registry;
use sqs_consumer::{
    Attempt, BatchResult, Consumer, DeadLetter, Drained, Handler, Health, Message, Metrics, Queue,
    QueueAttributes, QueueError, ReceiptHandle, ReceiveRequest, Settings, Verdict,
};
use tokio::{pin, sync::watch, task::JoinHandle, time::sleep};

use super::{Fault, Modelled, Operation, What, never};
use crate::rig::Doing;

/// Settings with the defaults' times, repeatable.
pub(crate) fn steady() -> Settings {
    Settings { seed: Some(1), ..Settings::default() }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    /// Nothing of it runs; what the queue sends it arrives.
    Paused,
    /// Nothing of it will ever run, and its connections are closed.
    Killed,
}

#[derive(Clone)]
struct Process(watch::Receiver<State>);

impl Process {
    /// Runs the future only while the process runs.
    async fn run<T>(&self, future: impl Future<Output = T>) -> T {
        pin!(future);
        let mut state = self.0.clone();
        loop {
            if state.wait_for(|state| *state == State::Running).await.is_err() {
                never::<()>().await;
            }
            tokio::select! {
                biased;
                _ = state.wait_for(|state| *state != State::Running) => {}
                result = &mut future => return result,
            }
        }
    }

    async fn killed(&self) {
        if self.0.clone().wait_for(|state| *state == State::Killed).await.is_err() {
            never::<()>().await;
        }
    }
}

pub(crate) struct Worker {
    health: watch::Receiver<Health>,
    registry: Registry,
    controls: Controls,
    running: JoinHandle<Drained>,
}

/// The queue keeps them too, so that a worker goes on when the test lets go of it.
#[derive(Clone)]
pub(super) struct Controls {
    state: watch::Sender<State>,
    stop: watch::Sender<bool>,
}

impl Modelled {
    /// A process that consumes with a handler that does as `rule` says, by body and attempt.
    pub(crate) fn work(
        &self,
        settings: Settings,
        rule: impl Fn(&str, Attempt) -> Doing + Send + Sync + 'static,
    ) -> Worker {
        self.work_with(settings, |queue, worker| Work { queue, worker, rule: Arc::new(rule) })
    }

    /// The same with a handler of the test's own.
    pub(crate) fn work_with<H: Handler>(
        &self,
        settings: Settings,
        handler: impl FnOnce(Modelled, usize) -> H,
    ) -> Worker {
        let controls =
            Controls { state: watch::Sender::new(State::Running), stop: watch::Sender::new(false) };
        let worker = self.state().workers.len();
        self.state().workers.push(controls.clone());
        let process = Process(controls.state.subscribe());
        let handler = Mortal { handler: handler(self.clone(), worker), process: process.clone() };
        let connection = Connected { queue: self.clone(), worker, process: process.clone() };
        let registry = Registry::new();
        let metrics = Metrics::register(&registry, "test");
        let without_dead_letter_queue = !self.shape().dead_letter_queue;
        let settings = Settings { without_dead_letter_queue, ..settings };
        let consumer = Consumer::new(connection, handler, settings, metrics);
        let consumer = consumer.expect("the settings are valid");
        let health = consumer.health();
        let mut stop = controls.stop.subscribe();
        let running = tokio::spawn(async move {
            let stopped = async move {
                _ = stop.wait_for(|stop| *stop).await;
            };
            process.run(consumer.run(stopped)).await
        });
        Worker { health, registry, controls, running }
    }
}

impl Worker {
    /// SIGTERM, and the end of the process.
    pub(crate) async fn stop(self) -> Drained {
        self.controls.stop.send_replace(true);
        self.running.await.expect("the consumer does not panic")
    }

    /// SIGSTOP.
    pub(crate) fn pause(&self) {
        self.controls.state.send_replace(State::Paused);
    }

    /// SIGCONT.
    pub(crate) fn resume(&self) {
        self.controls.state.send_replace(State::Running);
    }

    /// SIGKILL.
    pub(crate) fn kill(self) {
        self.controls.state.send_replace(State::Killed);
        self.running.abort();
    }

    pub(crate) fn is_running(&self) -> bool {
        !self.running.is_finished()
    }

    pub(crate) fn is_failing(&self) -> bool {
        matches!(*self.health.borrow(), Health::Failing(_))
    }

    /// The sum of a counter over its labels, or over those series that have this label's value.
    pub(crate) fn counter(&self, name: &str, value: &str) -> u64 {
        let families = self.registry.gather();
        // A metric without any series is not told of.
        let Some(family) = families.iter().find(|family| family.name() == name) else {
            return 0;
        };
        let with = |metric: &&prometheus::proto::Metric| {
            value.is_empty() || metric.get_label().iter().any(|label| label.value() == value)
        };
        family.get_metric().iter().filter(with).map(|m| m.get_counter().get_value() as u64).sum()
    }
}

/// The queue as one process reaches it.
struct Connected {
    queue: Modelled,
    worker: usize,
    process: Process,
}

impl Connected {
    /// Takes a call through its faults. What the server does goes on while the caller is paused.
    async fn call<T: Send + 'static>(
        &self,
        operation: Operation,
        entries: &[(ReceiptHandle, Duration)],
        serve: impl AsyncFnOnce(Modelled, &Fault) -> T,
        failed: impl Fn(QueueError) -> T,
    ) -> T {
        let fault = self.queue.ask(self.worker, operation, entries);
        let serving = async {
            sleep(fault.request_takes).await;
            if let Some(error) = &fault.refused {
                return failed(error.clone());
            }
            let answer = serve(self.queue.clone(), &fault).await;
            sleep(fault.answer_takes).await;
            if fault.answer_hangs {
                return never().await;
            }
            fault.answered_with.clone().map_or(answer, &failed)
        };
        let answer = tokio::select! {
            biased;
            () = self.process.killed() => never().await,
            answer = serving => answer,
        };
        self.process.run(async { answer }).await
    }
}

impl Queue for Connected {
    fn name(&self) -> &str {
        self.queue.name()
    }

    async fn attributes(&self) -> Result<QueueAttributes, QueueError> {
        let shape = self.queue.shape();
        let attributes = QueueAttributes {
            visibility: shape.visibility,
            max_receive_count: shape.max_receive_count,
            fifo: shape.fifo,
            split_dead_letters: None,
            max_message_size: None,
            dead_letter_max_message_size: None,
        };
        let serve = async move |_: Modelled, _: &Fault| Ok(attributes);
        self.call(Operation::Attributes, &[], serve, Err).await
    }

    async fn receive(&self, request: ReceiveRequest) -> Result<Vec<Message>, QueueError> {
        let worker = self.worker;
        let serve =
            async move |queue: Modelled, _: &Fault| Ok(queue.serve_receive(worker, request).await);
        self.call(Operation::Receive, &[], serve, Err).await
    }

    async fn delete(&self, handles: Vec<ReceiptHandle>) -> BatchResult {
        let (worker, count) = (self.worker, handles.len());
        let entries: Vec<_> = handles.iter().map(|h| (h.clone(), Duration::ZERO)).collect();
        let serve = async move |queue: Modelled, fault: &Fault| {
            queue.serve_delete(worker, &handles, &fault.entries)
        };
        self.call(Operation::Delete, &entries, serve, |error| vec![Err(error); count]).await
    }

    async fn change_visibility(&self, entries: Vec<(ReceiptHandle, Duration)>) -> BatchResult {
        let (worker, count, changes) = (self.worker, entries.len(), entries.clone());
        let serve = async move |queue: Modelled, fault: &Fault| {
            queue.serve_change(worker, &changes, &fault.entries)
        };
        let failed = |error| vec![Err(error); count];
        self.call(Operation::ChangeVisibility, &entries, serve, failed).await
    }

    async fn dead_letter(
        &self,
        message: &Message,
        _letter: &DeadLetter,
        _attempts: u32,
    ) -> Result<(), QueueError> {
        let (worker, copied) = (self.worker, message.clone());
        let serve = async move |queue: Modelled, _: &Fault| {
            queue.serve_copy(worker, &copied);
            Ok(())
        };
        let entry = [(message.receipt_handle.clone(), Duration::ZERO)];
        self.call(Operation::DeadLetter, &entry, serve, Err).await
    }

    fn has_dead_letter_queue(&self) -> bool {
        self.queue.shape().dead_letter_queue
    }
}

/// A handler that does as it is told and tells of it.
struct Work<R> {
    queue: Modelled,
    worker: usize,
    rule: Arc<R>,
}

impl<R: Fn(&str, Attempt) -> Doing + Send + Sync + 'static> Handler for Work<R> {
    async fn handle(&self, message: &Message, attempt: Attempt) -> Verdict {
        let body = message.body.clone();
        self.queue.tell(self.worker, What::Started(body.clone(), attempt.number));
        let verdict = (self.rule)(&body, attempt).perform().await;
        if verdict == Verdict::Done {
            self.queue.tell(self.worker, What::Effect(body));
        }
        verdict
    }
}

/// A handler that stands still and dies with its process.
struct Mortal<H> {
    handler: H,
    process: Process,
}

impl<H: Handler> Handler for Mortal<H> {
    fn handle(&self, message: &Message, attempt: Attempt) -> impl Future<Output = Verdict> + Send {
        // Called at once and not in the future: a handler may panic before it has one.
        self.process.run(self.handler.handle(message, attempt))
    }

    fn interrupted(
        &self,
        message: &Message,
        attempt: Attempt,
        took: Duration,
        letter: DeadLetter,
    ) -> impl Future<Output = Verdict> + Send {
        self.process.run(self.handler.interrupted(message, attempt, took, letter))
    }
}
