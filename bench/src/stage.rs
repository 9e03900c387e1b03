//! A queue of a server of its own, filled with messages for measured processes.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{task::JoinSet, time::Instant};

use crate::{
    process::build,
    role::{SLOW, fraction},
    server::Server,
    sqs::{Connection, Counts, entry},
};

/// Bytes of a body, about those of an order.
const BODY_BYTES: usize = 256;
const SENDERS: u64 = 4;

/// In which group a message is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Groups {
    /// No groups, on a standard queue.
    None,
    /// So many, in turn.
    Equal(usize),
    /// So many; the second half as often as the first, the third a third as often, and so on.
    Zipf(usize),
    /// So many fast ones in turn, and before each so many of their messages one of a slow group.
    FastAndSlow { fast: usize, every: usize },
}

impl Groups {
    /// The group of the message with this number.
    fn of(self, number: u64) -> Option<String> {
        let group = match self {
            Self::None => return None,
            Self::Equal(groups) => number % groups as u64,
            Self::Zipf(groups) => zipf(groups, fraction(number, 3)),
            Self::FastAndSlow { every, .. } if number.is_multiple_of(every as u64) => {
                return Some(SLOW.to_owned());
            }
            Self::FastAndSlow { fast, .. } => number % fast as u64,
        };
        Some(format!("group-{group}"))
    }
}

/// The rank that a fraction stands for when ranks are as likely as their reciprocals: a continuous
/// distribution cut into whole numbers, which is close enough for a shape of load.
fn zipf(groups: usize, fraction: f64) -> u64 {
    ((groups as f64 + 1.0).powf(fraction) as u64).saturating_sub(1)
}

/// Calls made, and messages sent and settled, up to a moment.
pub(crate) struct Progress {
    pub(crate) at: Instant,
    pub(crate) calls: u64,
    pub(crate) sent: usize,
    pub(crate) settled: usize,
}

/// A queue and the server that holds it.
pub(crate) struct Stage {
    pub(crate) server: Server,
    pub(crate) connection: Connection,
    pub(crate) queue: String,
    name: String,
    /// Fills so far: what is sent again is not what was sent before.
    fills: u64,
    sent: Arc<AtomicUsize>,
}

impl Stage {
    pub(crate) async fn set_up(binaries: &Path, fifo: bool) -> anyhow::Result<Self> {
        let server = Server::start(binaries)?;
        let mut connection = server.connect().await?;
        let name = if fifo { "bench.fifo" } else { "bench" };
        let queue = connection.create_for_worker(name).await?;
        Ok(Self {
            server,
            connection,
            queue,
            name: name.to_owned(),
            fills: 0,
            sent: Arc::default(),
        })
    }

    /// Sends messages with numbers from 0 on.
    pub(crate) async fn fill(&mut self, messages: usize, groups: Groups) -> anyhow::Result<()> {
        let mut tasks = JoinSet::new();
        self.fills += 1;
        for lane in 0..SENDERS {
            let mut sender = self.another_sender(groups).await?;
            let numbers: Vec<u64> =
                (0..messages as u64).filter(|number| lane_of(*number, groups) == lane).collect();
            tasks.spawn(async move {
                for numbers in numbers.chunks(10) {
                    sender.send(numbers).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended??;
        }
        Ok(())
    }

    pub(crate) async fn counts(&mut self) -> anyhow::Result<Counts> {
        self.connection.counts(&self.name).await
    }

    /// How many messages have ever been sent.
    pub(crate) fn sent(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }

    /// Waits until nothing is left, not even in flight.
    pub(crate) async fn emptied(&mut self) -> anyhow::Result<()> {
        self.connection.emptied(&self.name).await
    }

    /// Waits until so many of the messages that were ever sent are gone.
    pub(crate) async fn settled(&mut self, messages: usize) -> anyhow::Result<()> {
        for _ in 0..60_000 {
            if self.progress().await?.settled >= messages {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        anyhow::bail!("fewer than {messages} messages are consumed in a minute")
    }

    /// Who sends messages other than those sent before.
    pub(crate) async fn sender(&mut self, groups: Groups) -> anyhow::Result<Sender> {
        self.fills += 1;
        self.another_sender(groups).await
    }

    async fn another_sender(&self, groups: Groups) -> anyhow::Result<Sender> {
        Ok(Sender {
            connection: self.server.connect().await?,
            name: self.name.clone(),
            queue: self.queue.clone(),
            groups,
            fill: self.fills,
            sent: Arc::clone(&self.sent),
        })
    }

    /// How far all has come at this moment.
    pub(crate) async fn progress(&mut self) -> anyhow::Result<Progress> {
        let calls = self.consumer_calls().await?.values().sum();
        let Counts { visible, in_flight } = self.counts().await?;
        let sent = self.sent();
        let settled = sent.saturating_sub(visible + in_flight);
        Ok(Progress { at: Instant::now(), calls, sent, settled })
    }

    /// The calls that consumers have made, by operation.
    pub(crate) async fn consumer_calls(&mut self) -> anyhow::Result<BTreeMap<String, u64>> {
        let mut requests = self.connection.requests().await?;
        requests.retain(|operation, _| {
            let operation = operation.as_str();
            operation == "ReceiveMessage"
                || operation.starts_with("DeleteMessage")
                || operation.starts_with("ChangeMessageVisibility")
        });
        Ok(requests)
    }
}

/// Which of the senders has the message: a group's messages stay in order.
fn lane_of(number: u64, groups: Groups) -> u64 {
    match groups.of(number) {
        None => number / 10 % SENDERS,
        Some(group) => group.bytes().map(u64::from).sum::<u64>() % SENDERS,
    }
}

/// Sends messages by their numbers.
pub(crate) struct Sender {
    connection: Connection,
    name: String,
    queue: String,
    groups: Groups,
    fill: u64,
    sent: Arc<AtomicUsize>,
}

impl Sender {
    /// Sends up to ten messages in one call.
    pub(crate) async fn send(&mut self, numbers: &[u64]) -> anyhow::Result<()> {
        let fifo = self.queue.strip_suffix(".fifo").is_some();
        let entry = |(id, &number): (usize, &u64)| {
            let body = format!("{number:<BODY_BYTES$}");
            let deduplication =
                if fifo { format!("{}-{number}", self.fill) } else { String::new() };
            let group = self.groups.of(number);
            entry(id, &body, group.as_deref().map(|group| (group, deduplication.as_str())), 0)
        };
        let entries: Vec<_> = numbers.iter().enumerate().map(entry).collect();
        self.connection.send(&self.queue, &entries).await?;
        self.sent.fetch_add(numbers.len(), Ordering::Relaxed);
        Ok(())
    }

    /// How many messages are in the queue, those in flight included.
    pub(crate) async fn length(&mut self) -> anyhow::Result<usize> {
        let Counts { visible, in_flight } = self.connection.counts(&self.name).await?;
        Ok(visible + in_flight)
    }
}

/// The folder of the server's binary, and this process moved off the measured core.
pub(crate) fn prepare() -> anyhow::Result<std::path::PathBuf> {
    let binaries = build()?;
    crate::process::leave_the_measured_core()?;
    Ok(binaries)
}
