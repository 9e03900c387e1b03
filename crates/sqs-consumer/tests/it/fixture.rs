//! Drives the pure scheduler by hand: messages are named `group/number`, time moves when told to.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use sqs_consumer::{
    ReceiveRequest, Time,
    scheduler::{
        Action, Answer, Arrival, Config, Ended, Fate, PollId, Scheduler, Stats, Ticket, Timing,
    },
};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const AT_ONCE: Duration = Duration::ZERO;

pub(crate) fn fifo() -> Config {
    Config {
        fifo: true,
        visibility: 30 * SECOND,
        concurrency: 4,
        group_concurrency: 4,
        max_attempts: 3,
        max_receive_count: Some(3),
        dead_letter_queue: true,
        wait: 20 * SECOND,
        retry_backoff: SECOND,
        retry_backoff_max: 60 * SECOND,
        drain_timeout: 25 * SECOND,
        seed: 1,
        timing: Timing::default(),
    }
}

pub(crate) fn standard() -> Config {
    Config { fifo: false, ..fifo() }
}

/// A call that the scheduler has asked for and the test has not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Extend(Vec<(String, Duration)>),
    Return(Vec<(String, Duration)>),
    Delete(Vec<String>),
    DeadLetter(String),
}

pub(crate) struct Fixture {
    scheduler: Scheduler,
    now: Time,
    next_ticket: u64,
    names: BTreeMap<Ticket, String>,
    polls: VecDeque<(PollId, ReceiveRequest, Time)>,
    started: Vec<(String, u32)>,
    cancelled: Vec<String>,
    calls: VecDeque<UnderWay>,
    adopted: Vec<String>,
    ended: Vec<(String, Fate)>,
}

/// A call, its tickets in the order of its entries, and when it was asked for.
struct UnderWay {
    call: Call,
    tickets: Vec<Ticket>,
    requested_at: Time,
}

impl Fixture {
    pub(crate) fn new(config: Config) -> Self {
        let mut fixture = Self {
            scheduler: Scheduler::new(config, Time::ZERO),
            now: Time::ZERO,
            next_ticket: 0,
            names: BTreeMap::new(),
            polls: VecDeque::new(),
            started: Vec::new(),
            cancelled: Vec::new(),
            calls: VecDeque::new(),
            adopted: Vec::new(),
            ended: Vec::new(),
        };
        fixture.advance();
        fixture
    }

    /// Answers the oldest outstanding receive with first receives of these messages.
    pub(crate) fn receive(&mut self, names: &[&str]) {
        self.receive_again(names, 1);
    }

    pub(crate) fn receive_again(&mut self, names: &[&str], receive_count: u32) {
        self.receive_on(0, names, receive_count);
    }

    /// Answers one of the outstanding receives, counted from the oldest.
    pub(crate) fn receive_on(&mut self, poll: usize, names: &[&str], receive_count: u32) {
        self.receive_counted(poll, names.iter().map(|name| (*name, receive_count)));
    }

    /// Answers all outstanding receives with nothing.
    pub(crate) fn end_receives(&mut self) {
        while !self.polls.is_empty() {
            self.receive(&[]);
        }
    }

    /// Answers the oldest outstanding receive with messages that were received so many times.
    pub(crate) fn receive_each(&mut self, messages: &[(&str, u32)]) {
        self.receive_counted(0, messages.iter().copied());
    }

    fn receive_counted<'a>(&mut self, poll: usize, messages: impl Iterator<Item = (&'a str, u32)>) {
        let (poll, _, requested_at) = self.polls.remove(poll).expect("a receive is outstanding");
        let arrivals = messages
            .map(|(name, receive_count)| {
                let ticket = Ticket(self.next_ticket);
                self.next_ticket += 1;
                self.names.insert(ticket, name.to_owned());
                let group = name.split_once('/').map(|(group, _)| group.into());
                // Each of the size that its name gives it, or of one byte.
                let bytes = name.split_once(':').map_or(1, |(_, bytes)| bytes.parse().unwrap());
                Arrival { ticket, message_id: name.into(), group, receive_count, bytes }
            })
            .collect();
        self.scheduler.received(self.now, poll, requested_at, arrivals);
        self.advance();
    }

    pub(crate) fn fail_receive(&mut self) {
        let (poll, ..) = self.polls.pop_front().expect("a receive is outstanding");
        self.scheduler.receive_failed(self.now, poll);
        self.advance();
    }

    pub(crate) fn finish(&mut self, name: &str, ended: Ended) {
        let ticket = self.held(name);
        self.scheduler.finished(self.now, ticket, ended);
        self.advance();
    }

    pub(crate) fn done(&mut self, name: &str) {
        self.finish(name, Ended::Done);
    }

    pub(crate) fn fail(&mut self, name: &str) {
        self.finish(name, Ended::Retry { not_before: None, shared: false });
    }

    pub(crate) fn drain(&mut self) {
        self.scheduler.drain(self.now);
        self.advance();
    }

    /// Lets time pass, stopping at each wakeup that the scheduler asks for.
    pub(crate) fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.scheduler.next_wakeup(self.now) {
            assert!(at > self.now, "a wakeup that is not in the future would spin");
            if at > until {
                break;
            }
            self.now = at;
            self.advance();
        }
        self.now = until;
        self.advance();
    }

    /// The process does not run for a while: no wakeup is served in time.
    pub(crate) fn pause_process(&mut self, time: Duration) {
        self.now = self.now + time;
    }

    pub(crate) fn advance(&mut self) {
        for action in self.scheduler.advance(self.now) {
            self.act(action);
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Receive { poll, request } => {
                self.polls.push_back((poll, request, self.now));
            }
            Action::Start { ticket, attempt } => {
                self.started.push((self.name(ticket), attempt.number));
            }
            Action::Cancel { ticket } => self.cancelled.push(self.name(ticket)),
            Action::Extend { entries } => {
                let named = self.named(&entries);
                self.ask(Call::Extend(named), entries.iter().map(|(ticket, _)| *ticket));
            }
            Action::Return { entries } => {
                let named = self.named(&entries);
                self.ask(Call::Return(named), entries.iter().map(|(ticket, _)| *ticket));
            }
            Action::Delete { tickets } => {
                let names = tickets.iter().map(|ticket| self.name(*ticket)).collect();
                self.ask(Call::Delete(names), tickets.into_iter());
            }
            Action::DeadLetter { ticket } => {
                self.ask(Call::DeadLetter(self.name(ticket)), std::iter::once(ticket));
            }
            Action::Adopt { newer, .. } => {
                self.adopted.push(self.names.remove(&newer).expect("just received"));
            }
            Action::Forget { ticket, fate } => {
                let name = self.names.remove(&ticket).expect("forgotten once");
                self.ended.push((name, fate));
            }
        }
    }

    fn ask(&mut self, call: Call, tickets: impl Iterator<Item = Ticket>) {
        let (tickets, requested_at) = (tickets.collect(), self.now);
        self.calls.push_back(UnderWay { call, tickets, requested_at });
    }

    /// The oldest unanswered call.
    pub(crate) fn call(&self) -> Option<Call> {
        self.calls.front().map(|under_way| under_way.call.clone())
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.iter().map(|under_way| under_way.call.clone()).collect()
    }

    /// Answers the oldest call, each entry with the same answer, and returns the call.
    pub(crate) fn answer(&mut self, answer: Answer) -> Call {
        self.answer_each(|_| answer)
    }

    /// Answers the oldest call, each entry by its message's name, and returns the call.
    pub(crate) fn answer_each(&mut self, answer: impl Fn(&str) -> Answer) -> Call {
        self.answer_at(0, answer)
    }

    /// The same with one of the unanswered calls, counted from the oldest.
    pub(crate) fn answer_at(&mut self, call: usize, answer: impl Fn(&str) -> Answer) -> Call {
        let UnderWay { call, tickets, requested_at } =
            self.calls.remove(call).expect("a call is under way");
        match &call {
            Call::Extend(entries) => {
                let answers: Vec<_> = tickets
                    .iter()
                    .zip(entries)
                    .map(|(ticket, (name, length))| (*ticket, *length, answer(name)))
                    .collect();
                self.scheduler.extended(self.now, requested_at, &answers);
            }
            Call::Return(entries) => {
                let answers: Vec<_> = tickets
                    .iter()
                    .zip(entries)
                    .map(|(ticket, (name, _))| (*ticket, answer(name)))
                    .collect();
                self.scheduler.returned(self.now, &answers);
            }
            Call::Delete(names) => {
                let named = tickets.iter().zip(names);
                let answers: Vec<_> = named.map(|(ticket, name)| (*ticket, answer(name))).collect();
                self.scheduler.deleted(self.now, &answers);
            }
            Call::DeadLetter(name) => {
                self.scheduler.dead_lettered(self.now, tickets[0], answer(name));
            }
        }
        self.advance();
        call
    }

    pub(crate) fn answer_all(&mut self, answer: Answer) {
        while !self.calls.is_empty() {
            self.answer(answer);
        }
    }

    /// The same by the messages' names.
    pub(crate) fn answer_all_each(&mut self, answer: impl Fn(&str) -> Answer) {
        while !self.calls.is_empty() {
            self.answer_each(&answer);
        }
    }

    /// What was started since the last look, in order.
    pub(crate) fn started(&mut self) -> Vec<String> {
        std::mem::take(&mut self.started).into_iter().map(|(name, _)| name).collect()
    }

    pub(crate) fn started_attempts(&mut self) -> Vec<(String, u32)> {
        std::mem::take(&mut self.started)
    }

    pub(crate) fn cancelled(&mut self) -> Vec<String> {
        std::mem::take(&mut self.cancelled)
    }

    /// Messages that were received again while held, whose newer handle counts, since the last look.
    pub(crate) fn adopted(&mut self) -> Vec<String> {
        std::mem::take(&mut self.adopted)
    }

    /// What was settled since the last look, and how.
    pub(crate) fn ended(&mut self) -> Vec<(String, Fate)> {
        std::mem::take(&mut self.ended)
    }

    pub(crate) fn polls(&self) -> Vec<ReceiveRequest> {
        self.polls.iter().map(|(_, request, _)| *request).collect()
    }

    pub(crate) fn active_elsewhere(&mut self) {
        self.scheduler.active_elsewhere(self.now);
    }

    pub(crate) fn stats(&self) -> Stats {
        self.scheduler.stats()
    }

    pub(crate) fn is_drained(&self) -> bool {
        self.scheduler.is_drained()
    }

    fn held(&self, name: &str) -> Ticket {
        self.find(name).unwrap_or_else(|| panic!("{name} is not held"))
    }

    fn find(&self, name: &str) -> Option<Ticket> {
        self.names.iter().find(|(_, known)| *known == name).map(|(ticket, _)| *ticket)
    }

    fn name(&self, ticket: Ticket) -> String {
        self.names[&ticket].clone()
    }

    fn named(&self, entries: &[(Ticket, Duration)]) -> Vec<(String, Duration)> {
        entries.iter().map(|(t, length)| (self.name(*t), *length)).collect()
    }
}
