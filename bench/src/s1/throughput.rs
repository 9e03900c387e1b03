//! Messages per second through send, receive and delete in batches of ten.

use std::{
    fmt::Write as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::Instant,
};

use super::Scale;
use crate::{
    server::Server,
    sqs::{Connection, entry, median},
};

const SENDERS: usize = 2;
const CONSUMERS: usize = 2;
/// Messages that the senders may be ahead of the consumers.
const LEAD: usize = 1_000;
const BODY_BYTES: usize = 256;

/// What is in the queue while it is measured.
#[derive(Clone, Copy, Debug, Default)]
struct Scenario {
    fifo: bool,
    groups: usize,
    backlog: usize,
    in_flight: usize,
    delayed: usize,
}

fn scenarios(scale: Scale) -> Vec<Scenario> {
    let (most, some) = (scale.backlog, scale.backlog / 10);
    let mut all = Vec::new();
    for fifo in [false, true] {
        let of = |groups, backlog| Scenario { fifo, groups, backlog, ..Scenario::default() };
        // The first one is what the others are compared with.
        all.extend([of(1, 0), of(1_000, 0), of(100_000, 0), of(1, some), of(1, most)]);
        all.extend([of(1_000, most), of(100_000, most)]);
        all.push(Scenario { in_flight: 100_000, ..of(1, 0) });
    }
    // In a FIFO queue the delay is the queue's: either all of its messages are delayed or none.
    all.push(Scenario { groups: 1, delayed: 100_000, ..Scenario::default() });
    all
}

/// A server with its scenario set up.
struct Stage {
    scenario: Scenario,
    server: Server,
    queue: String,
    /// One per round.
    figures: Vec<Figures>,
}

#[derive(Clone, Copy)]
struct Figures {
    /// Messages per second.
    rate: f64,
    /// The server's processor time per message, in µs.
    cpu: f64,
    /// The rate over that of the empty queue, measured right before.
    ratio: f64,
}

pub(super) async fn measure(
    binaries: &Path,
    scale: Scale,
    missed: &mut Vec<String>,
) -> anyhow::Result<String> {
    let mut stages = Vec::new();
    for scenario in scenarios(scale) {
        println!("setting up {scenario:?}");
        stages.push(set_up(binaries, scenario).await?);
    }
    for stage in &mut stages {
        round(stage, scale.messages / 4, "warm").await?;
    }
    for number in 0..scale.rounds {
        println!("round {} of {}", number + 1, scale.rounds);
        for index in 0..stages.len() {
            // The empty queue of the same kind is measured right before: machines change their pace.
            let fifo = stages[index].scenario.fifo;
            let empty = stages.iter().position(|stage| stage.scenario.fifo == fifo);
            let empty = empty.context("each kind has its empty queue")?;
            let label = format!("{number}-{index}");
            let (beside, _) =
                timed(&stages[empty], scale.messages, &format!("{label}-beside")).await?;
            let (rate, cpu) = timed(&stages[index], scale.messages, &label).await?;
            stages[index].figures.push(Figures { rate, cpu, ratio: rate / beside });
        }
    }
    table(&stages, scale, missed)
}

async fn set_up(binaries: &Path, scenario: Scenario) -> anyhow::Result<Stage> {
    let server = Server::start(binaries)?;
    let mut connection = server.connect().await?;
    let queue = connection.create(if scenario.fifo { "bench.fifo" } else { "bench" }).await?;
    fill(&server, &queue, scenario, scenario.in_flight, 0, "held").await?;
    let mut held = 0;
    while held < scenario.in_flight {
        held += connection.receive(&queue, 0).await?.len();
    }
    fill(&server, &queue, scenario, scenario.delayed, 900, "delayed").await?;
    fill(&server, &queue, scenario, scenario.backlog, 0, "backlog").await?;
    Ok(Stage { scenario, server, queue, figures: Vec::new() })
}

/// Sends messages over several connections.
async fn fill(
    server: &Server,
    queue: &str,
    scenario: Scenario,
    messages: usize,
    delay_seconds: u16,
    label: &str,
) -> anyhow::Result<()> {
    let mut tasks = JoinSet::new();
    for lane in 0..SENDERS {
        let mut connection = server.connect().await?;
        let mut sender = Sender::new(queue, scenario, lane, label, delay_seconds);
        tasks.spawn(async move {
            for _ in 0..(messages / 10).div_ceil(SENDERS) {
                sender.send(&mut connection).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}

/// Messages per second, and the server's processor time per message in µs.
async fn timed(stage: &Stage, messages: usize, label: &str) -> anyhow::Result<(f64, f64)> {
    let before = stage.server.process.cpu_time()?;
    let elapsed = round(stage, messages, label).await?;
    let cpu = stage.server.process.cpu_time()?.saturating_sub(before);
    let messages = messages as f64;
    Ok((messages / elapsed.as_secs_f64(), cpu.as_secs_f64() * 1e6 / messages))
}

/// Sends, receives and deletes so many messages, and says how long it took.
async fn round(stage: &Stage, messages: usize, label: &str) -> anyhow::Result<Duration> {
    let lead = Arc::new(Semaphore::new(LEAD));
    let (mut sending, mut consuming) = (Vec::new(), Vec::new());
    for lane in 0..SENDERS {
        let sender = Sender::new(&stage.queue, stage.scenario, lane, label, 0);
        sending.push((stage.server.connect().await?, sender));
    }
    for _ in 0..CONSUMERS {
        consuming.push(stage.server.connect().await?);
    }
    let started = Instant::now();
    let (mut senders, mut consumers) = (JoinSet::new(), JoinSet::new());
    for (mut connection, mut sender) in sending {
        let lead = Arc::clone(&lead);
        senders.spawn(async move {
            for _ in 0..messages / 10 / SENDERS {
                lead.acquire_many(10).await?.forget();
                sender.send(&mut connection).await?;
            }
            anyhow::Ok(())
        });
    }
    let deleted = Arc::new(AtomicUsize::new(0));
    let (end, _) = watch::channel(false);
    let drains = stage.scenario.backlog == 0;
    for mut connection in consuming {
        let (lead, deleted, queue) = (Arc::clone(&lead), Arc::clone(&deleted), stage.queue.clone());
        let (end, mut ended) = (end.clone(), end.subscribe());
        consumers.spawn(async move {
            // A message left in flight would block its group in the next round, so each consumer
            // finishes what it has received.
            while deleted.load(Ordering::Relaxed) < messages {
                let received = tokio::select! {
                    received = connection.receive(&queue, 20) => received?,
                    // Then the queue is empty: the call that is given up can have received nothing.
                    _ = ended.wait_for(|ended| *ended), if drains => break,
                };
                if !received.is_empty() {
                    connection.delete(&queue, &received).await?;
                    let before = deleted.fetch_add(received.len(), Ordering::Relaxed);
                    lead.add_permits(received.len());
                    if before + received.len() >= messages {
                        end.send_replace(true);
                    }
                }
            }
            anyhow::Ok(Instant::now())
        });
    }
    while let Some(ended) = senders.join_next().await {
        ended??;
    }
    let mut first = None;
    while let Some(ended) = consumers.join_next().await {
        let ended = ended??;
        first = Some(first.map_or(ended, |first: Instant| first.min(ended)));
    }
    // Until the server has noticed that a call was given up, it would answer it with what the next round
    // sends.
    let mut connection = stage.server.connect().await?;
    while connection.waiting_receives().await? > 0 {
        tokio::task::yield_now().await;
    }
    Ok(first.context("there are consumers")?.duration_since(started))
}

/// Sends batches of ten, the groups in turn.
struct Sender {
    queue: String,
    scenario: Scenario,
    prefix: String,
    body: String,
    delay_seconds: u16,
    next: usize,
    lane: usize,
}

impl Sender {
    fn new(queue: &str, scenario: Scenario, lane: usize, label: &str, delay_seconds: u16) -> Self {
        Self {
            queue: queue.to_owned(),
            scenario,
            prefix: format!("{label}-{lane}"),
            body: "x".repeat(BODY_BYTES),
            delay_seconds,
            next: 0,
            lane,
        }
    }

    async fn send(&mut self, connection: &mut Connection) -> anyhow::Result<()> {
        let entries: Vec<_> = (0..10)
            .map(|id| {
                let number = self.next + id;
                // What is held in flight must not block the groups that are measured, nor each other.
                let (kind, groups) = if self.prefix.starts_with("held") {
                    ("held", self.scenario.in_flight)
                } else {
                    ("group", self.scenario.groups)
                };
                let group = format!("{kind}-{}", (number * SENDERS + self.lane) % groups);
                let mut deduplication = String::new();
                if self.scenario.fifo {
                    deduplication = format!("{}-{number}", self.prefix);
                }
                entry(id, &self.body, Some((&group, &deduplication)), self.delay_seconds)
            })
            .collect();
        self.next += 10;
        connection.send(&self.queue, &entries).await
    }
}

/// At least so many messages per second.
const RATE: f64 = 20_000.0;
/// At least so much of the empty queue's rate.
const RATIO: f64 = 0.9;

fn table(stages: &[Stage], scale: Scale, missed: &mut Vec<String>) -> anyhow::Result<String> {
    let mut text = String::from(
        "| queue | backlog | groups | in flight | delayed | messages/s | of the empty queue's | server CPU per message |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for stage in stages {
        let Scenario { fifo, groups, backlog, in_flight, delayed } = stage.scenario;
        let of = |figure: fn(&Figures) -> f64| median(stage.figures.iter().map(figure).collect());
        let (rate, cpu, ratio) = (of(|f| f.rate)?, of(|f| f.cpu)?, of(|f| f.ratio)?);
        if rate < RATE || ratio < RATIO {
            missed.push(format!(
                "{rate:.0} messages/s, {ratio:.2} of the empty queue's: {:?}",
                stage.scenario
            ));
        }
        writeln!(
            text,
            "| {} | {backlog} | {groups} | {in_flight} | {delayed} | {rate:.0} | {ratio:.2} | {cpu:.1} µs |",
            if fifo { "FIFO" } else { "standard" },
        )?;
    }
    writeln!(
        text,
        "\nEach message of {BODY_BYTES} bytes is sent, received and deleted in batches of ten by a client \
         of {SENDERS} sending and {CONSUMERS} consuming connections on the same cores. Medians of {} interleaved rounds of {} messages; the ratio is to the empty queue, measured right before.",
        scale.rounds, scale.messages,
    )?;
    Ok(text)
}
