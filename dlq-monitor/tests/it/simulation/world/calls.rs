//! Calls on their way: late, lost, refused, or with their effect on the queues and the store.

use dlq_monitor::jobs::plan::{Action, Event as Told, Fate, Found, NotCounted, Saved};
use rand::RngExt;
use sqs_consumer::ReceiptHandle;

use super::super::{
    checks::{Check, Checked, Violation, that},
    events::{Event, Sent},
    runner::{InHand, Life},
    scenario::CALM_FROM,
    sqs::number,
};
use super::{TIMING, World};

impl World<'_> {
    /// A call sets out; the process may be killed with it.
    pub(super) fn send(&mut self, sent: Sent) {
        let network = self.scenario.network;
        let gives_up_at = sent.at + TIMING.call.as_millis() as u64;
        let (way, lost) = self.way(&sent.action);
        if let Some((action, arrives)) = self.scenario.kill_at
            && action == self.actions
        {
            self.runners[sent.runner].life = Life::Gone;
            self.events.push(self.now + 1, Event::Join);
            if arrives {
                self.events.push(self.now + network.latency, Event::Request(Box::new(sent)));
            }
            return;
        }
        if lost || self.now + way >= gives_up_at {
            let told = failed(&sent.action);
            let (runner, call) = (sent.runner, sent.call);
            self.events.push(gives_up_at, Event::Answer { runner, call, told });
        }
        if !lost {
            self.events.push(self.now + way, Event::Request(Box::new(sent)));
        }
    }

    /// How long a call is on its way, in one direction, and whether it gets lost.
    fn way(&mut self, action: &Action) -> (u64, bool) {
        let network = self.scenario.network;
        let usual = self.random.random_range(1..=network.latency);
        if self.now >= CALM_FROM || is_about_store(action) {
            return (usual, false);
        }
        let late = self.random.random_bool(network.late);
        let way = if late { self.random.random_range(1..=network.latest) } else { usual };
        (way, self.random.random_bool(network.lost / 2.0))
    }

    /// A call reaches its server.
    pub(super) fn arrives(&mut self, sent: &Sent) -> Checked {
        let told = if is_about_store(&sent.action) {
            self.arrives_at_store(sent)
        } else if self.now < self.sqs_down_until {
            failed(&sent.action)
        } else {
            self.arrives_at_sqs(sent)?
        };
        let gives_up_at = sent.at + TIMING.call.as_millis() as u64;
        let (way, lost) = self.way(&sent.action);
        let (runner, call) = (sent.runner, sent.call);
        let at = self.now + way;
        let told = if lost || at > gives_up_at { failed(&sent.action) } else { told };
        let at = if lost { gives_up_at } else { at.min(gives_up_at) };
        self.events.push(at.max(self.now), Event::Answer { runner, call, told });
        Ok(())
    }

    fn arrives_at_store(&mut self, sent: &Sent) -> Told {
        let works = self.store_works();
        // What fails may have had its effect.
        let has_effect = works || self.random.random_bool(0.5) && self.now >= self.store_down_until;
        let failed = || failed(&sent.action);
        match &sent.action {
            Action::Write(write) if has_effect => {
                let by = (sent.job, sent.holder);
                let saved = self.store.write(by, write, self.now, TIMING.lease);
                if works { Told::Saved(Ok(saved)) } else { failed() }
            }
            _ if !works => failed(),
            Action::LookUp => {
                for InHand { message_id, number, group, .. } in &sent.batch {
                    self.store.keep(message_id, *number, *group);
                }
                let standing =
                    |in_hand: &InHand| self.store.standing(sent.job, &in_hand.message_id);
                Told::LookedUp(Ok(sent.batch.iter().map(standing).collect()))
            }
            // A part of it only SQS knows.
            Action::Count if self.now < self.sqs_down_until => {
                Told::Counted(Err(NotCounted::Queue("no answer".to_owned())))
            }
            Action::Count => Told::Counted(Ok(self.store.count(sent.job))),
            Action::CountUndeleted => Told::Undeleted(Ok(self.store.count(sent.job).undeleted)),
            Action::Canary => Told::Canary(Ok(self.store.canary(sent.job))),
            _ => Told::Saved(Ok(Saved::Lost)),
        }
    }

    fn arrives_at_sqs(&mut self, sent: &Sent) -> Result<Told, Violation> {
        Ok(match &sent.action {
            Action::Receive { most, visibility } => {
                let dead = self.queues.dead;
                let messages = self.queues.receive(self.now, dead, *most, *visibility);
                let in_hand: Vec<InHand> = messages
                    .iter()
                    .map(|message| InHand {
                        message_id: message.message_id.clone(),
                        handle: message.receipt_handle.clone(),
                        number: number(&message.body),
                        group: message.attributes["MessageGroupId"].parse().expect("a group"),
                    })
                    .collect();
                let found = in_hand.iter().map(|message| Found {
                    message_id: message.message_id.clone(),
                    handle: ReceiptHandle(message.handle.clone()),
                    group: Some(message.group.to_string()),
                    bytes: 100,
                });
                let told = Told::Received(Ok(found.collect()));
                // If the answer gets lost, nobody looks at these.
                let runner = &mut self.runners[sent.runner];
                if let Some(work) = runner.job.as_mut().filter(|_| runner.call == sent.call) {
                    work.receives(sent.at, *visibility, in_hand);
                }
                told
            }
            Action::Send { entries } => {
                let mut fates = Vec::new();
                for &entry in entries {
                    fates.push(self.is_sent(sent, entry)?);
                }
                Told::Sent(fates)
            }
            Action::Delete { entries } => {
                let mut fates = Vec::new();
                for &entry in entries {
                    let handle = &sent.batch[entry].handle;
                    fates.push(if self.entry_fails() {
                        Fate::Failed("InternalError".to_owned())
                    } else if self.queues.delete(self.now, self.queues.dead, handle) {
                        Fate::Done
                    } else {
                        Fate::LeaseOver
                    });
                }
                Told::Deleted(fates)
            }
            Action::Release { handles } => {
                for handle in handles {
                    self.queues.release(self.now, &handle.0);
                }
                Told::Released
            }
            _ => failed(&sent.action),
        })
    }

    fn entry_fails(&mut self) -> bool {
        self.now < CALM_FROM && self.random.random_bool(self.scenario.network.partial)
    }

    /// A copy reaches the source queue.
    fn is_sent(&mut self, sent: &Sent, entry: usize) -> Result<Fate, Violation> {
        let InHand { message_id, number, group, .. } = &sent.batch[entry];
        if self.scenario.refused.contains(number) {
            return Ok(Fate::Refused("the queue does not take it".to_owned()));
        }
        if self.entry_fails() {
            return Ok(Fate::Failed("InternalError".to_owned()));
        }
        if self.scenario.fifo && !self.store.jobs[sent.job].terms.may_reorder {
            let dead = self.queues.messages(self.queues.dead);
            // A copy that comes late may have outlived its message.
            let place = dead.iter().position(|(_, id, _)| id == message_id);
            let before = dead[..place.unwrap_or(0)].iter().find(|(_, _, of)| of == group);
            that(before.is_none(), Check::GroupOrder, self.now, || {
                format!("message {number} is redriven before {before:?}")
            })?;
        }
        let (now, source) = (self.now, self.queues.source);
        self.queues.send(now, source, *group, &format!("redrive-{message_id}"), *number);
        Ok(Fate::Done)
    }
}

fn is_about_store(action: &Action) -> bool {
    matches!(
        action,
        Action::LookUp | Action::Write(_) | Action::Count | Action::CountUndeleted | Action::Canary
    )
}

/// What a process is told of a call that nobody answers, or that fails.
fn failed(action: &Action) -> Told {
    let why = "no answer".to_owned();
    match action {
        Action::Receive { .. } => Told::Received(Err(why)),
        Action::LookUp => Told::LookedUp(Err(why)),
        Action::Send { entries } => Told::Sent(vec![Fate::Failed(why); entries.len()]),
        Action::Write(_) => Told::Saved(Err(why)),
        Action::Delete { entries } => Told::Deleted(vec![Fate::Failed(why); entries.len()]),
        Action::Release { .. } => Told::Released,
        Action::Count => Told::Counted(Err(NotCounted::Store(why))),
        Action::CountUndeleted => Told::Undeleted(Err(why)),
        Action::Canary => Told::Canary(Err(why)),
        Action::Wait { .. } | Action::Stop => Told::Woke,
    }
}
