//! The processes: the server, the order API, and workers that come and go.

#![expect(clippy::disallowed_types, reason = "the life of other processes, in real time")]

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    net::SocketAddr,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::ExitStatus,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde_json::Value;

use crate::process::{Process, free_address};

pub(super) const STANDARD: &str = "order-queue-standard";
pub(super) const FIFO: &str = "order-queue.fifo";
pub(super) const STANDARD_DLQ: &str = "order-queue-standard-dlq";
pub(super) const FIFO_DLQ: &str = "order-queue-dlq.fifo";

/// Short, so that leases end while workers are paused.
pub(super) const VISIBILITY: Duration = Duration::from_secs(10);
/// The FIFO queue's `maxReceiveCount`: an order that waits there behind another one loses a receive with
/// each worker that is killed. Its workers give it up after [`ATTEMPTS`].
pub(super) const MOST_RECEIVES: u64 = 10;
/// The attempts that an order has: the workers' default, and the standard queue's `maxReceiveCount`.
pub(super) const ATTEMPTS: u64 = 3;
/// So long at most a failed order of the standard queue is kept from everybody: short against what is
/// left of a lease, so that the one can be told from the other.
pub(super) const LONGEST_BACKOFF: Duration = Duration::from_secs(1);
const DRAIN_TIMEOUT: Duration = Duration::from_secs(8);
/// What a worker has from SIGTERM to its exit: an outstanding long poll of 20 s with its margin of 6 s, or
/// the drain timeout if that is longer, then 5 s to give back, then the store, which may be locked.
pub(super) const EXIT_BOUND: Duration = Duration::from_secs(40);
const APIS: usize = 2;

/// Where everything is.
#[derive(Clone, Debug)]
pub(super) struct Addresses {
    pub(super) sqs: SocketAddr,
    pub(super) apis: Vec<SocketAddr>,
    pub(super) scratch: PathBuf,
}

impl Addresses {
    pub(super) fn queue(&self, name: &str) -> String {
        format!("http://{}/000000000000/{name}", self.sqs)
    }

    pub(super) fn database(&self) -> PathBuf {
        self.scratch.join("deliveries.db")
    }
}

/// What a worker is doing, as far as it is known here.
#[derive(Clone, Copy, Debug)]
pub(super) enum State {
    Running,
    Paused { since_ms: u64, until: Instant },
    Stopping { since: Instant },
}

pub(super) struct Worker {
    process: Process,
    pub(super) state: State,
    pub(super) started: Instant,
    log: PathBuf,
}

/// What became of the workers so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) started: u64,
    pub(super) kills: u64,
    pub(super) stops: u64,
    pub(super) pauses: u64,
    pub(super) api_kills: u64,
    pub(super) scalings: u64,
    pub(super) whole_fleet_stops: u64,
    /// Exits after a SIGTERM.
    pub(super) drained: u64,
    pub(super) longest_drain: Duration,
    /// Messages that were in flight after all workers had been stopped, and that workers told of.
    pub(super) stranded: u64,
    pub(super) faults: Vec<String>,
}

pub(super) struct Fleet {
    binaries: PathBuf,
    pub(super) addresses: Addresses,
    sqs: Process,
    apis: Vec<Process>,
    pub(super) workers: Vec<Worker>,
    pub(super) tally: Tally,
    /// When each worker, by its process's id, was paused: milliseconds since 1970.
    pub(super) pauses: HashMap<u32, Vec<(u64, u64)>>,
    seed: u64,
}

impl Fleet {
    /// Starts the server and the order API, but no worker.
    pub(super) fn start(binaries: &Path, scratch: &Path, seed: u64) -> anyhow::Result<Self> {
        let queues = scratch.join("queues.toml");
        std::fs::write(&queues, declaration())?;
        let apis = (0..APIS).map(|_| free_address()).collect::<anyhow::Result<_>>()?;
        let addresses = Addresses { sqs: free_address()?, apis, scratch: scratch.to_owned() };
        let env = BTreeMap::from([
            ("LOCAL_SQS_ADDR", addresses.sqs.to_string()),
            ("LOCAL_SQS_QUEUES", queues.display().to_string()),
        ]);
        let log = File::create(scratch.join("local-sqs.log"))?;
        let mut sqs = Process::start_with_log(&binaries.join("local-sqs"), &env, log)?;
        sqs.wait_until_ready(addresses.sqs, "/health")?;
        let mut fleet = Self {
            binaries: binaries.to_owned(),
            addresses,
            sqs,
            apis: Vec::new(),
            workers: Vec::new(),
            tally: Tally::default(),
            pauses: HashMap::new(),
            seed,
        };
        for n in 0..APIS {
            let mut api = fleet.start_api(n)?;
            api.wait_until_ready(fleet.addresses.apis[n], "/api/orders/health")?;
            fleet.apis.push(api);
        }
        Ok(fleet)
    }

    pub(super) fn start_worker(&mut self) -> anyhow::Result<()> {
        self.tally.started += 1;
        let number = self.tally.started;
        let log = self.addresses.scratch.join(format!("worker-{number}.log"));
        let mut env = self.environment("warn,sqs_consumer::consumer=info");
        // Short and uneven, so that groups go on in an order of their own.
        let carrier =
            format!("lognormal(2ms, 1.0, seed={})", self.seed.wrapping_add(number) % 1_000_000);
        env.extend([
            ("LISTEN_ADDR", "127.0.0.1:0".to_owned()),
            ("DATABASE_URL", format!("sqlite://{}", self.addresses.database().display())),
            ("WORKER_CONCURRENCY", "64".to_owned()),
            ("HANDLER_TIMEOUT", "8s".to_owned()),
            ("CARRIER_TIMEOUT", "3s".to_owned()),
            ("DRAIN_TIMEOUT", format!("{}s", DRAIN_TIMEOUT.as_secs())),
            ("RETRY_BACKOFF", "200ms".to_owned()),
            ("RETRY_BACKOFF_MAX", format!("{}s", LONGEST_BACKOFF.as_secs())),
            ("CARRIER_SIMULATED_TIME", carrier),
        ]);
        let binary = self.binaries.join("delivery-worker");
        let process = Process::start_with_log(&binary, &env, File::create(&log)?)?;
        self.workers.push(Worker { process, state: State::Running, started: Instant::now(), log });
        Ok(())
    }

    /// Workers that are neither paused nor told to stop.
    pub(super) fn running(&self) -> usize {
        self.workers.iter().filter(|worker| matches!(worker.state, State::Running)).count()
    }

    pub(super) fn kill(&mut self, n: usize) -> anyhow::Result<()> {
        self.tally.kills += 1;
        // Ends the process with SIGKILL and waits for it.
        let worker = self.workers.swap_remove(n);
        worker.process.signal("KILL")
    }

    pub(super) fn stop(&mut self, n: usize) -> anyhow::Result<()> {
        self.tally.stops += 1;
        let worker = &mut self.workers[n];
        worker.state = State::Stopping { since: Instant::now() };
        worker.process.signal("TERM")
    }

    pub(super) fn pause(&mut self, n: usize, length: Duration) -> anyhow::Result<()> {
        self.tally.pauses += 1;
        let worker = &mut self.workers[n];
        worker.state = State::Paused { since_ms: now_ms(), until: Instant::now() + length };
        worker.process.signal("STOP")
    }

    /// Kills an API process and starts it again on its address.
    pub(super) fn kill_api(&mut self, n: usize) -> anyhow::Result<()> {
        self.tally.api_kills += 1;
        drop(self.apis.remove(n));
        let api = self.start_api(n)?;
        self.apis.insert(n, api);
        Ok(())
    }

    pub(super) fn apis(&self) -> usize {
        self.apis.len()
    }

    /// Processor time of the server, and of the API's processes.
    pub(super) fn cpu_times(&self) -> (Duration, Duration) {
        let of = |process: &Process| process.cpu_time().unwrap_or_default();
        (of(&self.sqs), self.apis.iter().map(of).sum())
    }

    /// Lets paused workers go on whose time is over, notices exits, and that they are clean and in time.
    pub(super) fn look(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        let mut n = 0;
        while let Some(worker) = self.workers.get_mut(n) {
            if let State::Paused { since_ms, until } = worker.state
                && now >= until
            {
                worker.process.signal("CONT")?;
                worker.state = State::Running;
                self.pauses.entry(worker.process.id()).or_default().push((since_ms, now_ms()));
            }
            let exited = worker.process.exited()?;
            let late =
                matches!(worker.state, State::Stopping { since } if since.elapsed() > EXIT_BOUND);
            match exited {
                Some(status) => {
                    let worker = self.workers.swap_remove(n);
                    self.exited(&worker, status);
                }
                None if late => {
                    let worker = self.workers.swap_remove(n);
                    let log = worker.log.display();
                    self.tally.faults.push(format!("no exit {EXIT_BOUND:?} after SIGTERM: {log}"));
                }
                None => n += 1,
            }
        }
        Ok(())
    }

    fn exited(&mut self, worker: &Worker, status: ExitStatus) {
        let log = worker.log.display();
        let State::Stopping { since } = worker.state else {
            self.tally.faults.push(format!("exit without cause, {status}: {log}"));
            return;
        };
        let took = since.elapsed();
        self.tally.drained += 1;
        self.tally.longest_drain = self.tally.longest_drain.max(took);
        if status.code() != Some(0) {
            let signal = status.signal();
            self.tally.faults.push(format!("exit by {status} ({signal:?}) after SIGTERM: {log}"));
        }
        let stranded = stranded(&worker.log);
        if stranded > 0 {
            self.tally.stranded += stranded;
            self.tally.faults.push(format!("{stranded} messages stranded by a drain: {log}"));
        }
    }

    fn start_api(&self, n: usize) -> anyhow::Result<Process> {
        let mut env = self.environment("warn");
        env.insert("LISTEN_ADDR", self.addresses.apis[n].to_string());
        let path = self.addresses.scratch.join(format!("order-api-{n}.log"));
        let log = File::options().create(true).append(true).open(path)?;
        Process::start_with_log(&self.binaries.join("order-api"), &env, log)
    }

    fn environment(&self, filter: &str) -> BTreeMap<&'static str, String> {
        let queue = |name| self.addresses.queue(name);
        BTreeMap::from([
            ("AWS_SQS_ENDPOINT", format!("http://{}", self.addresses.sqs)),
            ("SQS_QUEUE_URL_STANDARD", queue(STANDARD)),
            ("SQS_QUEUE_URL_STANDARD_DLQ", queue(STANDARD_DLQ)),
            ("SQS_QUEUE_URL_FIFO", queue(FIFO)),
            ("SQS_QUEUE_URL_FIFO_DLQ", queue(FIFO_DLQ)),
            ("ADMIN_ADDR", "127.0.0.1:0".to_owned()),
            ("LOG_FORMAT", "json".to_owned()),
            ("RUST_LOG", filter.to_owned()),
        ])
    }
}

/// The queues, as local-sqs reads them.
fn declaration() -> String {
    let visibility = VISIBILITY.as_secs();
    format!(
        r#"[[queue]]
name = "{STANDARD_DLQ}"

[[queue]]
name = "{FIFO_DLQ}"

[[queue]]
name = "{STANDARD}"
dead_letter_queue = "{STANDARD_DLQ}"
max_receive_count = 3
[queue.attributes]
VisibilityTimeout = "{visibility}"

[[queue]]
name = "{FIFO}"
dead_letter_queue = "{FIFO_DLQ}"
max_receive_count = {MOST_RECEIVES}
[queue.attributes]
VisibilityTimeout = "{visibility}"
ContentBasedDeduplication = "true"
DeduplicationScope = "messageGroup"
FifoThroughputLimit = "perMessageGroupId"
"#
    )
}

/// What the worker's last words say of messages that it left leased.
fn stranded(log: &Path) -> u64 {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines = text.lines().filter(|line| line.contains("\"drained\""));
    let values = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let field = |line: &Value, name: &str| {
        line[name].as_u64().or_else(|| line["fields"][name].as_u64()).unwrap_or_default()
    };
    values.map(|line| field(&line, "stranded")).sum()
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}
