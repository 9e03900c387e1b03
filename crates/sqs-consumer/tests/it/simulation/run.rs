//! One run of a plan, from the first message to the last drain.

use std::panic::{AssertUnwindSafe, catch_unwind};

use sqs_consumer::scheduler::Scheduler;

use super::{
    dice::Dice,
    events::{Event, Events},
    ledger::Ledger,
    network::Waiting,
    plan::Plan,
    sqs::Queues,
    time,
    trace::Trace,
    violation::{Check, Checked, Violation},
    worker::{Life, Worker},
};

/// Steps between two comparisons of the ledger with the model.
const AUDIT_EVERY: u64 = 64;

pub(super) struct Simulation<'a> {
    pub(super) plan: &'a Plan,
    pub(super) dice: Dice,
    pub(super) now: u64,
    pub(super) events: Events,
    pub(super) queues: Queues,
    pub(super) ledger: Ledger,
    pub(super) workers: Vec<Worker>,
    /// Long polls that the queue holds open.
    pub(super) waiting: Vec<Waiting>,
    /// When the queue is next looked at for them.
    pub(super) queue_event: Option<u64>,
    pub(super) trace: Trace,
    pub(super) calm_from: u64,
    pub(super) steps: u64,
    sent: usize,
}

/// How a run ended.
#[cfg_attr(test, expect(dead_code, reason = "the command prints more than the test"))]
pub(crate) struct Outcome {
    pub(crate) steps: u64,
    pub(crate) messages: usize,
    /// A number that two runs of the same plan share.
    pub(crate) digest: u64,
    pub(super) violation: Option<Violation>,
    pub(super) story: String,
}

impl Outcome {
    pub(crate) fn violated(&self) -> bool {
        self.violation.is_some()
    }

    #[cfg_attr(test, expect(dead_code, reason = "for the command"))]
    pub(crate) fn check(&self) -> Option<Check> {
        self.violation.as_ref().map(|violation| violation.check)
    }
}

/// Runs a plan to its end or to the first violation.
pub(super) fn run(plan: &Plan, trace: Trace) -> Outcome {
    let mut simulation = Simulation::new(plan, trace);
    let violation = simulation.run().err();
    let story = violation.as_ref().map_or_else(String::new, |violation| {
        let about = violation.message.map(|message| plan.messages[message].group);
        simulation.trace.about(|message| {
            let group = plan.messages.get(message).map(|message| message.group);
            let same_group = plan.fifo && group.is_some() && about == group;
            about.is_none() || same_group || violation.message == Some(message)
        })
    });
    Outcome {
        steps: simulation.steps,
        messages: simulation.sent,
        digest: (simulation.now ^ (simulation.steps << 32)).rotate_left(plan.seed as u32 % 64),
        violation,
        story,
    }
}

impl<'a> Simulation<'a> {
    fn new(plan: &'a Plan, trace: Trace) -> Self {
        Self {
            plan,
            dice: Dice(plan.seed),
            now: 0,
            events: Events::default(),
            queues: Queues::new(plan),
            ledger: Ledger::new(plan),
            workers: Vec::new(),
            waiting: Vec::new(),
            queue_event: None,
            trace,
            calm_from: plan.calm_from(),
            steps: 0,
            sent: 0,
        }
    }

    fn run(&mut self) -> Checked {
        for (index, message) in self.plan.messages.iter().enumerate() {
            self.events.push(message.at, Event::Send(index));
        }
        for (index, trouble) in self.plan.troubles.iter().enumerate() {
            self.events.push(trouble.at, Event::Trouble(index));
        }
        for _ in 0..self.plan.workers {
            self.join()?;
        }
        let limit = self.calm_from + self.plan.longest_rest();
        self.run_until(limit, Self::is_at_rest)?;
        for worker in 0..self.workers.len() {
            self.begin_drain(worker)?;
        }
        self.run_until(limit + 3_600_000, |simulation| {
            simulation.workers.iter().all(|worker| !worker.is_alive())
        })?;
        self.ledger.audit(self.now, &self.queues)?;
        self.ledger.nothing_is_lost(self.now, &self.queues)?;
        self.check_receives()
    }

    fn run_until(&mut self, limit: u64, over: impl Fn(&Self) -> bool) -> Checked {
        while !over(self) {
            let Some((at, event)) = self.events.pop().filter(|(at, _)| *at <= limit) else {
                return self.never_rests();
            };
            debug_assert!(at >= self.now, "time does not go back");
            self.now = at;
            self.steps += 1;
            self.queues.advance(at);
            self.ledger.follow(&self.queues)?;
            self.happens(event)?;
            self.check_moved()?;
            self.check_running()?;
            if self.steps.is_multiple_of(AUDIT_EVERY) {
                self.ledger.audit(self.now, &self.queues)?;
            }
            if self.steps > self.plan.most_steps() {
                return self.never_rests();
            }
        }
        Ok(())
    }

    fn happens(&mut self, event: Event) -> Checked {
        match event {
            Event::Send(message) => {
                let group = self.plan.messages[message].group;
                let known = self.queues.send(self.now, group, &message.to_string());
                self.ledger.sent(message, known);
                self.sent += 1;
                self.say(|| {
                    (vec![message], format!("message {message} of group {group:?} is sent"))
                });
                self.serve_polls()
            }
            Event::Request(sent) => self.request(*sent),
            Event::Fact { worker, told } => match self.workers[worker].life {
                Life::Up => {
                    self.learns(worker, told)?;
                    self.step(worker)
                }
                Life::Paused => {
                    self.workers[worker].mailbox.push(told);
                    Ok(())
                }
                Life::Dead | Life::Drained => Ok(()),
            },
            Event::Wakeup { worker } => self.wakes(worker),
            Event::Queue => {
                if self.queue_event == Some(self.now) {
                    self.queue_event = None;
                    self.serve_polls()?;
                }
                Ok(())
            }
            Event::Trouble(trouble) => self.trouble(trouble),
            Event::Resume { worker, trouble } => self.resume(worker, trouble),
            Event::Join => self.join(),
            Event::PollsVanish { worker } => {
                self.waiting.retain(|waiting| waiting.sent.worker != worker);
                Ok(())
            }
            Event::DrainMustBeOver { worker } => {
                let worker = &self.workers[worker];
                if worker.is_alive() && !worker.paused_in_drain {
                    let what = "is not drained in time";
                    worker.violates(self.now, Check::DrainLeavesNothing, None, what)?;
                }
                Ok(())
            }
        }
    }

    fn wakes(&mut self, index: usize) -> Checked {
        let (now, worker) = (self.now, &mut self.workers[index]);
        if worker.life != Life::Up || worker.wakeup != Some(now) {
            return Ok(());
        }
        worker.wakeup = None;
        if self.advance(index)? == 0 && !self.workers[index].pace.wakeups.take(now) {
            let what = "wakes up again and again for nothing";
            return self.workers[index].violates(now, Check::NoHotLoop, None, what);
        }
        Ok(())
    }

    /// Lets a worker's scheduler act.
    pub(super) fn step(&mut self, index: usize) -> Checked {
        self.advance(index).map(|_| ())
    }

    /// Carries out what the scheduler asks for; how much that was.
    fn advance(&mut self, index: usize) -> Checked<usize> {
        if self.workers[index].life != Life::Up {
            return Ok(0);
        }
        let now = time(self.now);
        let actions = self.ask(index, |scheduler| scheduler.advance(now))?;
        let count = actions.len();
        for action in actions {
            self.act(index, action)?;
        }
        self.check_worker(index)?;
        let worker = &mut self.workers[index];
        if worker.life != Life::Up {
            return Ok(count);
        }
        let wakeup = worker.scheduler.next_wakeup(now);
        // A timer has whole milliseconds.
        let wakeup = wakeup.map(|at| at.since_origin().as_nanos().div_ceil(1_000_000) as u64);
        if wakeup != worker.wakeup {
            worker.wakeup = wakeup;
            if let Some(at) = wakeup {
                self.events.push(at, Event::Wakeup { worker: index });
            }
        }
        Ok(count)
    }

    /// Calls a scheduler, which must not panic.
    pub(super) fn ask<T>(
        &mut self,
        index: usize,
        call: impl FnOnce(&mut Scheduler) -> T,
    ) -> Checked<T> {
        let scheduler = &mut self.workers[index].scheduler;
        catch_unwind(AssertUnwindSafe(|| call(scheduler))).map_err(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
            Violation {
                check: Check::NoPanic,
                at: self.now,
                worker: Some(index),
                message: None,
                what: text.unwrap_or_default(),
            }
        })
    }

    pub(super) fn join(&mut self) -> Checked {
        let index = self.workers.len();
        self.workers.push(Worker::new(self.plan, index, self.now));
        self.say(|| (Vec::new(), format!("worker {index} begins")));
        self.step(index)
    }

    fn is_at_rest(&self) -> bool {
        self.now >= self.calm_from
            && self.sent == self.plan.messages.len()
            && self.queues.counts().0 == 0
            && self.workers.iter().all(|worker| !worker.is_alive() || worker.slots.is_empty())
    }

    fn never_rests(&self) -> Checked {
        let left: Vec<String> = self
            .queues
            .messages()
            .map(|view| format!("message {} {:?}", view.body, view.state))
            .take(5)
            .collect();
        let held: usize = self.workers.iter().map(|worker| worker.slots.len()).sum();
        let message =
            self.queues.messages().next().map(|view| view.body.parse().expect("a number"));
        Err(Violation {
            check: Check::ComesToRest,
            at: self.now,
            worker: None,
            message,
            what: format!("{held} messages are held; in the queue are {left:?}"),
        })
    }

    /// Where nothing has gone wrong no receive was in vain.
    fn check_receives(&self) -> Checked {
        if !self.plan.is_calm() {
            return Ok(());
        }
        for instance in &self.ledger.instances {
            let starts = self.ledger.messages[instance.message].starts;
            let most = if self.plan.fifo { 1 } else { starts };
            if instance.receives > most {
                let what = format!(
                    "message {} was received {} times and started {starts} times",
                    instance.message, instance.receives
                );
                let (check, message) = (Check::NoReceiveWasted, Some(instance.message));
                return Err(Violation { check, at: self.now, worker: None, message, what });
            }
        }
        Ok(())
    }

    pub(super) fn say(&mut self, line: impl FnOnce() -> (Vec<usize>, String)) {
        self.trace.say(self.now, line);
    }
}
