//! What happens to workers and to the fleet.

use super::{
    events::Event,
    plan::{Resume, What},
    run::Simulation,
    time,
    violation::Checked,
    worker::Life,
};

impl Simulation<'_> {
    pub(super) fn trouble(&mut self, number: usize) -> Checked {
        let trouble = self.plan.troubles[number].what;
        match trouble {
            What::Crash { worker, replaced_after, polls_live_on } => {
                let Some(worker) = self.pick(worker, |life| life != Life::Dead) else {
                    return Ok(());
                };
                self.say(|| (Vec::new(), format!("worker {worker} is killed")));
                let dead = &mut self.workers[worker];
                dead.life = Life::Dead;
                dead.slots.clear();
                dead.mailbox.clear();
                self.events.push(self.now + polls_live_on, Event::PollsVanish { worker });
                self.events.push(self.now + replaced_after, Event::Join);
            }
            What::Pause { worker, length, .. } => {
                let Some(worker) = self.pick(worker, |life| life == Life::Up) else {
                    return Ok(());
                };
                self.say(|| (Vec::new(), format!("worker {worker} is stopped")));
                let paused = &mut self.workers[worker];
                paused.life = Life::Paused;
                paused.was_paused = true;
                paused.wakeup = None;
                paused.paused_in_drain = paused.draining_since.is_some();
                let resume = Event::Resume { worker, trouble: number };
                self.events.push(self.now + length, resume);
            }
            What::ScaleIn { worker } => {
                let Some(worker) = self.pick_serving(worker) else { return Ok(()) };
                self.begin_drain(worker)?;
                if self.pick_serving(0).is_none() {
                    self.join()?;
                }
            }
            What::ScaleOut => self.join()?,
            What::StopAll => {
                while let Some(worker) = self.pick_serving(0) {
                    self.begin_drain(worker)?;
                }
                self.join()?;
            }
            What::Replace { worker } => {
                self.join()?;
                if let Some(worker) = self.pick_serving(worker) {
                    self.begin_drain(worker)?;
                }
            }
            What::Redrive { mended } => {
                if mended {
                    for message in &mut self.ledger.messages {
                        message.mended = true;
                    }
                }
                self.say(|| (Vec::new(), "the dead letters are moved back".to_owned()));
                self.queues.redrive(self.now);
                self.queues.advance(self.now);
                self.ledger.follow(&self.queues)?;
                self.serve_polls()?;
            }
        }
        Ok(())
    }

    /// One of the workers that are alive and in such a state.
    fn pick(&self, which: usize, fits: impl Fn(Life) -> bool) -> Option<usize> {
        let fitting = self.workers.iter().filter(|w| w.is_alive() && fits(w.life));
        let fitting: Vec<usize> = fitting.map(|worker| worker.index).collect();
        (!fitting.is_empty()).then(|| fitting[which % fitting.len()])
    }

    fn pick_serving(&self, which: usize) -> Option<usize> {
        let serving =
            self.workers.iter().filter(|w| w.life == Life::Up && w.draining_since.is_none());
        let serving: Vec<usize> = serving.map(|worker| worker.index).collect();
        (!serving.is_empty()).then(|| serving[which % serving.len()])
    }

    /// Tells a worker to drain.
    pub(super) fn begin_drain(&mut self, index: usize) -> Checked {
        let (now, worker) = (self.now, &mut self.workers[index]);
        if worker.life != Life::Up || worker.draining_since.is_some() {
            return Ok(());
        }
        worker.draining_since = Some(now);
        let config = &self.plan.config;
        let handlers = now + config.drain_timeout.as_millis() as u64;
        let receives = if worker.polls.is_empty() { now } else { worker.polls_end };
        let flush = config.timing.drain_flush.as_millis() as u64;
        let over = handlers.max(receives) + flush + 1_000;
        self.events.push(over, Event::DrainMustBeOver { worker: index });
        self.say(|| (Vec::new(), format!("worker {index} drains")));
        self.ask(index, |scheduler| scheduler.drain(time(now)))?;
        self.step(index)
    }

    /// A stopped process goes on: all that has happened meanwhile is there at once.
    pub(super) fn resume(&mut self, index: usize, trouble: usize) -> Checked {
        let worker = &mut self.workers[index];
        if worker.life != Life::Paused {
            return Ok(());
        }
        worker.life = Life::Up;
        let mailbox = std::mem::take(&mut worker.mailbox);
        let What::Pause { resume, .. } = self.plan.troubles[trouble].what else {
            unreachable!("only pauses end")
        };
        self.say(|| (Vec::new(), format!("worker {index} goes on: {resume:?}")));
        if resume == Resume::TimersFirst {
            self.step(index)?;
        }
        for told in mailbox {
            self.learns(index, told)?;
            if resume == Resume::InTurn {
                self.step(index)?;
            }
        }
        self.step(index)
    }
}
