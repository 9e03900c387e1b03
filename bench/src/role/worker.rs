//! The consumer with a handler that waits.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context;
use prometheus::Registry;
use sqs_consumer::{Attempt, Consumer, Handler, Health, Message, Metrics, Settings, Verdict, aws};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::Instant,
};

use super::{
    Report, Spec, Until, Work,
    counted::{Counted, Progress},
    say,
    timers::Timers,
    wait_for_go,
    work::SLOW,
};

/// Waits, and keeps account of it.
struct Waits {
    work: Work,
    timers: Timers,
    account: Arc<Mutex<Account>>,
    progress: Arc<Progress>,
    counts_fast_ones: bool,
}

#[derive(Default)]
struct Account {
    effects: usize,
    total_work: f64,
    measured_work: f64,
    /// Time and messages of each group.
    chains: HashMap<String, (f64, usize)>,
}

impl Handler for Waits {
    async fn handle(&self, message: &Message, _attempt: Attempt) -> Verdict {
        if matches!(self.work, Work::Nothing) {
            return Verdict::Done;
        }
        // The body begins with the message's number.
        let number = message.body.split_whitespace().next().and_then(|word| word.parse().ok());
        let group = message.group_id.as_deref().unwrap_or_default();
        let time = self.work.of(number.unwrap_or_default(), group);
        let started = Instant::now();
        self.timers.sleep(time).await;
        let measured = started.elapsed().as_secs_f64();
        let mut account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
        account.effects += 1;
        account.total_work += time.as_secs_f64();
        account.measured_work += measured;
        if !account.chains.contains_key(group) {
            account.chains.insert(group.to_owned(), (0.0, 0));
        }
        if let Some((chain, messages)) = account.chains.get_mut(group) {
            *chain += time.as_secs_f64();
            *messages += 1;
        }
        drop(account);
        if self.counts_fast_ones && group != SLOW {
            self.progress.add(1);
        }
        Verdict::Done
    }
}

/// Works until SIGTERM and through the drain; reports when the goal is reached, if there is one, else
/// at the end.
pub(super) async fn run(spec: Spec) -> anyhow::Result<()> {
    let registry = Registry::new();
    let calls = aws::CallMetrics::register(&registry);
    let connection = aws::Connection::open(aws::Options::default(), Some(&spec.queue), calls).await;
    let goal = match spec.until {
        Until::Deleted(goal) | Until::FastOnes(goal) => goal,
        Until::Terminated => usize::MAX,
    };
    let progress = Progress::towards(goal);
    let account = Arc::default();
    let consumer = consumer(&spec, &connection, &registry, &progress, &account)?;
    let mut health = consumer.health();
    let mut terminated = signal(SignalKind::terminate())?;
    wait_for_go().await?;
    let shutdown = async move {
        terminated.recv().await;
    };
    let mut consumer = tokio::spawn(consumer.run(shutdown));
    tokio::select! {
        () = progress.reached() => {
            say(&report(&progress, &account)?)?;
            consumer.await?;
        }
        drained = &mut consumer => {
            say(&Report { stranded: drained?.stranded, ..report(&progress, &account)? })?;
        }
        Ok(failing) = health.wait_for(|health| matches!(health, Health::Failing(_))) => {
            anyhow::bail!("the consumer does not work: {:?}", *failing);
        }
    }
    Ok(())
}

fn consumer(
    spec: &Spec,
    connection: &aws::Connection,
    registry: &Registry,
    progress: &Arc<Progress>,
    account: &Arc<Mutex<Account>>,
) -> anyhow::Result<Consumer<Counted, Waits>> {
    let queue = Counted {
        queue: connection.queue(&spec.queue, None),
        progress: Arc::clone(progress),
        counts_deletes: matches!(spec.until, Until::Deleted(_)),
    };
    let handler = Waits {
        work: spec.work,
        timers: Timers::start(),
        account: Arc::clone(account),
        progress: Arc::clone(progress),
        counts_fast_ones: matches!(spec.until, Until::FastOnes(_)),
    };
    let settings = Settings { concurrency: spec.concurrency, seed: Some(1), ..Settings::default() };
    Ok(Consumer::new(queue, handler, settings, Metrics::register(registry, "bench"))?)
}

fn report(progress: &Progress, account: &Mutex<Account>) -> anyhow::Result<Report> {
    let first = progress.first_receive.get().context("something was received")?;
    let account = account.lock().unwrap_or_else(PoisonError::into_inner);
    let longest = account.chains.values().max_by(|a, b| a.0.total_cmp(&b.0)).copied();
    let (longest_chain, longest_chain_messages) = longest.unwrap_or_default();
    Ok(Report {
        makespan: first.elapsed().as_secs_f64(),
        effects: account.effects,
        longest_chain,
        longest_chain_messages,
        total_work: account.total_work,
        measured_work: account.measured_work,
        stranded: 0,
    })
}
