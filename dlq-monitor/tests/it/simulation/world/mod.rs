//! One run of a scenario, from the first dead message to the end of the last job.

mod calls;

use dlq_monitor::jobs::plan::{Action, Event as Told, Plan, Timing};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::{
    checks::{Check, Checked, Violation, at_the_end, nothing_is_lost, that},
    events::{Event, Events, Sent},
    runner::{InWork, Life, Runner, time},
    scenario::{CALM_FROM, Scenario, Trouble},
    sqs::{Queues, number},
    store::Store,
};

const TIMING: Timing = Timing::DEFAULT;
/// From one look for a job to the next.
const LOOK: u64 = 1_000;
/// From one delivery of what is in the source queue to the next.
const WORK: u64 = 700;
/// Every job has ended by then.
const LIMIT: u64 = CALM_FROM + 3_600_000;

struct World<'a> {
    scenario: &'a Scenario,
    random: StdRng,
    now: u64,
    events: Events,
    queues: Queues,
    store: Store,
    runners: Vec<Runner>,
    /// How many messages there are in all.
    total: usize,
    died_again: std::collections::BTreeSet<usize>,
    sqs_down_until: u64,
    store_down_until: u64,
    actions: u64,
    asked: usize,
}

/// Runs a scenario to its end or to the first violation. Gives how many actions there were.
pub(crate) fn run(scenario: &Scenario) -> Result<u64, Violation> {
    let mut world = World::new(scenario);
    world.run()?;
    Ok(world.actions)
}

impl<'a> World<'a> {
    fn new(scenario: &'a Scenario) -> Self {
        let mut world = Self {
            scenario,
            random: StdRng::seed_from_u64(scenario.seed ^ 0x5eed),
            now: 0,
            events: Events::default(),
            queues: Queues::new(scenario.seed, scenario.fifo),
            store: Store::default(),
            runners: Vec::new(),
            total: 0,
            died_again: std::collections::BTreeSet::new(),
            sqs_down_until: 0,
            store_down_until: 0,
            actions: 0,
            asked: 0,
        };
        for &group in &scenario.dead {
            world.dies(group);
        }
        for (number, id, group) in world.queues.messages(world.queues.dead) {
            world.store.keep(&id, number, group);
        }
        for (index, asked) in scenario.jobs.iter().enumerate() {
            world.events.push(asked.at, Event::Asked(index));
            if let Some(at) = asked.cancelled_at {
                world.events.push(at.max(asked.at), Event::Cancelled(index));
            }
        }
        for (index, (at, _)) in scenario.troubles.iter().enumerate() {
            world.events.push(*at, Event::Trouble(index));
        }
        world.events.push(0, Event::Join);
        world.events.push(CALM_FROM, Event::Join);
        world.events.push(WORK, Event::Work);
        world
    }

    fn run(&mut self) -> Checked {
        while !self.is_over() {
            let (at, event) = self.events.pop().expect("work goes on");
            that(at <= LIMIT, Check::ComesToRest, at, || {
                let open = self.store.jobs.iter().filter(|job| !job.state.is_end());
                format!("{} jobs have not ended", open.count())
            })?;
            self.now = at;
            self.queues.advance(at);
            self.happens(event)?;
            nothing_is_lost(self.now, self.total, &self.queues, &self.store)?;
        }
        at_the_end(self.now, self.scenario, &self.queues, &self.store)
    }

    fn is_over(&self) -> bool {
        self.asked == self.scenario.jobs.len()
            && self.store.jobs.iter().all(|job| job.state.is_end())
            && self.runners.iter().all(|runner| runner.job.is_none() || runner.life == Life::Gone)
    }

    fn happens(&mut self, event: Event) -> Checked {
        match event {
            Event::Request(sent) => self.arrives(&sent)?,
            Event::Answer { runner, call, told } => match self.runners[runner].life {
                Life::Up => self.answered(runner, call, told)?,
                Life::Paused => self.runners[runner].mailbox.push((call, told)),
                Life::Gone => {}
            },
            Event::Wake { runner, call } => {
                self.happens(Event::Answer { runner, call, told: Told::Woke })?;
            }
            Event::Asked(index) => {
                let mut asked = self.scenario.jobs[index].clone();
                asked.terms.fifo = self.scenario.fifo;
                self.store.create(&asked);
                self.asked += 1;
            }
            Event::Cancelled(index) => {
                // Jobs are kept in the order in which they are asked for.
                let at = self.scenario.jobs[index].at;
                let before = self.scenario.jobs.iter().enumerate();
                let place = before.filter(|(other, job)| (job.at, *other) < (at, index)).count();
                if let Some(job) = self.store.jobs.get_mut(place).filter(|job| !job.state.is_end())
                {
                    job.cancelled = true;
                }
            }
            Event::Trouble(index) => self.trouble(self.scenario.troubles[index].1),
            Event::Join => self.join(),
            Event::Resume { runner } => {
                self.runners[runner].life = Life::Up;
                for (call, told) in std::mem::take(&mut self.runners[runner].mailbox) {
                    self.answered(runner, call, told)?;
                }
            }
            Event::Work => self.work(),
        }
        Ok(())
    }

    fn dies(&mut self, group: u32) {
        let number = self.total;
        self.total += 1;
        self.queues.send(self.now, self.queues.dead, group, &number.to_string(), number);
    }

    /// Delivers what is in the source queue; some of it dies again.
    fn work(&mut self) {
        let visibility = std::time::Duration::from_mins(1);
        let source = self.queues.source;
        for message in self.queues.receive(self.now, source, 10, visibility) {
            let number = number(&message.body);
            if self.scenario.die_again.contains(&number) && self.died_again.insert(number) {
                let group = message.attributes["MessageGroupId"].parse().expect("a group");
                self.queues.send(self.now, self.queues.dead, group, &message.message_id, number);
            } else {
                self.store.delivered.insert(number);
            }
            self.queues.delete(self.now, source, &message.receipt_handle);
        }
        self.events.push(self.now + WORK, Event::Work);
    }

    /// A monitor looks at what is visible: what is copied or archived it deletes, the rest is shown again.
    fn scan(&mut self) {
        let (visibility, mut held) = (std::time::Duration::from_mins(1), Vec::new());
        loop {
            let found = self.queues.receive(self.now, self.queues.dead, 10, visibility);
            if found.is_empty() {
                break;
            }
            for message in found {
                let group = message.attributes["MessageGroupId"].parse().expect("a group");
                self.store.keep(&message.message_id, number(&message.body), group);
                let (_, row) = self.store.found(&message.message_id);
                if row.state.is_undeleted() {
                    self.queues.delete(self.now, self.queues.dead, &message.receipt_handle);
                    self.store.delete(&message.message_id);
                } else {
                    held.push(message.receipt_handle);
                }
            }
        }
        for handle in held {
            self.queues.release(self.now, &handle);
        }
    }

    fn trouble(&mut self, trouble: Trouble) {
        let up: Vec<usize> = (0..self.runners.len())
            .filter(|&runner| self.runners[runner].life == Life::Up)
            .collect();
        let some = (!up.is_empty()).then(|| up[self.random.random_range(0..up.len())]);
        match (trouble, some) {
            (Trouble::Kill { after }, Some(runner)) => {
                self.runners[runner].life = Life::Gone;
                self.events.push(self.now + after, Event::Join);
            }
            (Trouble::Pause { long }, Some(runner)) => {
                self.runners[runner].life = Life::Paused;
                self.events.push(self.now + long, Event::Resume { runner });
            }
            (Trouble::Stop { after }, Some(runner)) => {
                self.events.push(self.now + after, Event::Join);
                self.runners[runner].stopping = true;
                match &mut self.runners[runner].job {
                    Some(work) => work.plan.stop(),
                    None => self.runners[runner].life = Life::Gone,
                }
            }
            (Trouble::Join, _) => self.join(),
            (Trouble::SqsDown { long }, _) => self.sqs_down_until = self.now + long,
            (Trouble::StoreDown { long }, _) => self.store_down_until = self.now + long,
            (Trouble::Peek { messages, long }, _) => {
                let visibility = std::time::Duration::from_millis(long);
                self.queues.receive(self.now, self.queues.dead, messages, visibility);
            }
            (Trouble::Scan, _) => self.scan(),
            (Trouble::Death { group }, _) => self.dies(group),
            (Trouble::Overtaken { group }, _) => {
                self.store.overtaken.insert(group);
            }
            _ => {}
        }
    }

    fn join(&mut self) {
        let runner = self.runners.len();
        self.runners.push(Runner::new(runner as u64));
        self.look(runner);
    }

    /// Looks for a job after a while.
    fn look(&mut self, runner: usize) {
        let call = self.runners[runner].call;
        self.events.push(self.now + LOOK, Event::Wake { runner, call });
    }

    fn store_works(&mut self) -> bool {
        let fails = self.now < CALM_FROM && self.random.random_bool(self.scenario.network.store);
        self.now >= self.store_down_until && !fails
    }

    /// An answer, or the time that was waited for, has come.
    fn answered(&mut self, index: usize, call: u64, told: Told) -> Checked {
        if self.runners[index].call != call || self.runners[index].life != Life::Up {
            return Ok(());
        }
        let now = self.now;
        let runner = &mut self.runners[index];
        match &mut runner.job {
            Some(work) => {
                work.hears(now, &told);
                work.plan.done(time(now), told);
                self.step(index)
            }
            None if runner.stopping => {
                runner.life = Life::Gone;
                Ok(())
            }
            None => self.claim(index),
        }
    }

    fn claim(&mut self, index: usize) -> Checked {
        let holder = self.runners[index].holder;
        let job = self.store_works().then(|| self.store.claim(holder, self.now, TIMING.lease));
        let Some(job) = job.flatten() else {
            self.look(index);
            return Ok(());
        };
        let (terms, begun) = (self.store.jobs[job].terms, self.store.begun(job));
        let now = time(self.now);
        let mut plan = Plan::new(terms, TIMING, begun, now, now);
        if let Some(rule) = self.scenario.broken {
            plan = plan.breaking(rule);
        }
        let mut work = InWork::new(job, terms, plan, begun.canary_passed);
        if self.store.jobs[job].cancelled {
            work.cancel();
        }
        self.runners[index].job = Some(work);
        self.step(index)
    }

    /// Carries out what the plan asks for.
    fn step(&mut self, index: usize) -> Checked {
        let now = self.now;
        let runner = &mut self.runners[index];
        runner.acts(now)?;
        let holder = runner.holder;
        let Some(work) = &mut runner.job else { return Ok(()) };
        let action = work.plan.next(time(now));
        work.judge(now, holder, &action, &self.store)?;
        runner.call += 1;
        let call = runner.call;
        match action {
            Action::Stop => {
                runner.job = None;
                if runner.stopping {
                    runner.life = Life::Gone;
                } else {
                    self.look(index);
                }
            }
            Action::Wait { until } => {
                let until = until.since_origin().as_nanos().div_ceil(1_000_000) as u64;
                self.events.push(until.max(now), Event::Wake { runner: index, call });
            }
            action => {
                let (job, batch) = (work.job, work.batch.clone());
                self.actions += 1;
                let sent = Sent { runner: index, call, at: now, action, job, holder, batch };
                self.send(sent);
            }
        }
        Ok(())
    }
}
