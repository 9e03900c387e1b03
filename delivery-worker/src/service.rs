//! The worker as a whole: built, then run until it is told to stop.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use prometheus::Registry;
use service_kit::{
    AdminServer, Latch, Readiness, ServeLimits, Shutdown, bind, build_info, routes, serve,
};
use sqs_consumer::{
    Consumer, Health, Queue,
    aws::{AwsQueue, CallMetrics, Connection, Options},
};
use tokio::{
    net::TcpListener,
    sync::watch,
    task::{JoinError, JoinSet},
};
use tracing::{info, warn};

use crate::{
    Carrier, CarrierSettings, Deliver, DeliverFrom, HttpCarrier, Metrics, Reason, Settings,
    Simulated, TimeLimits,
    backlog::Watched,
    counting::{Counting, count_when_asked},
    retention::forget_old_attempts,
    routes::{Shown, router},
    store::{self, Store},
};

/// How long a worker that has left messages leased stays to be scraped once more. Prometheus is to scrape
/// at least as often: the count ends with the process, and the alert is about an increase.
const LAST_SCRAPE: Duration = Duration::from_secs(35);

/// A worker with its listeners bound and its store open; it consumes nothing before [`Service::run`].
pub struct Service {
    listener: TcpListener,
    local_addr: SocketAddr,
    admin: AdminServer,
    router: axum::Router,
    limits: ServeLimits,
    registry: Registry,
    readiness: Readiness,
    store: Store,
    store_latch: Latch,
    consumers: Vec<Latched>,
    counting: Arc<Counting>,
    /// Who forgets attempts, and how long they are kept.
    retention: Option<(String, Duration)>,
}

impl Service {
    /// Binds both listeners and opens the store. Neither SQS nor a PostgreSQL server need be there.
    pub async fn build(settings: Settings) -> anyhow::Result<Self> {
        let listener = bind("LISTEN_ADDR", settings.listen)?;
        let local_addr = listener.local_addr().context("the listener has no address")?;
        let admin = AdminServer::bind(settings.admin).await?;
        let registry = Registry::new();
        build_info(&registry, "delivery-worker", env!("CARGO_PKG_VERSION"));
        let (carrier, carrier_name): (Arc<dyn Carrier>, _) = match &settings.carrier {
            CarrierSettings::Simulated(time) => (Arc::new(Simulated::new(*time)), "simulated"),
            CarrierSettings::Http(url) => {
                (Arc::new(HttpCarrier::new(url)?.within(settings.carrier_timeout)), "http")
            }
        };
        let store = Store::open_when_up(&settings.database).await?;
        let readiness = Readiness::new();
        let store_latch = readiness.latch("store");
        let deliver = Deliver::new(
            store.clone(),
            carrier,
            TimeLimits {
                attempt: settings.consumer.handler_timeout,
                carrier: settings.carrier_timeout,
            },
            settings.fail_test_products,
            worker_name(),
        );
        let (connection, sources) = sources(&settings, &registry).await;
        let watched = sources.iter().map(|Source { queue, .. }| {
            Watched::new(connection.clone(), queue.name(), queue.url())
        });
        let counting = Arc::new(Counting::default());
        let shown = Shown::new(
            store.clone(),
            deliver.worker.clone(),
            carrier_name,
            deliver.rates(),
            watched.collect(),
            Arc::clone(&counting),
        );
        let consumers = consumers(&settings, sources, &deliver, &registry, &readiness)?;
        let router = routes(router(shown), &registry);
        let retention = settings.attempts_retention.map(|keep| (deliver.worker, keep));
        Ok(Self {
            listener,
            local_addr,
            admin,
            router,
            limits: settings.limits,
            registry,
            readiness,
            store,
            store_latch,
            consumers,
            counting,
            retention,
        })
    }

    /// Address of the HTTP listener.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Address of the admin listener.
    pub fn admin_addr(&self) -> SocketAddr {
        self.admin.local_addr()
    }

    /// Whether the store works and the queues answer.
    pub fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    /// Consumes, once the store works, until the shutdown is requested, then stops from the front
    /// to the back: readiness drops, the consumers drain side by side, the store is flushed and
    /// closed, and the listeners, by which all of that can be watched, end last. What was left leased is
    /// to be scraped before.
    pub async fn run(self, shutdown: Shutdown) -> anyhow::Result<()> {
        info!(listen = %self.local_addr, admin = %self.admin_addr(), "delivery-worker is up");
        let (stop_listeners, listeners) = Shutdown::new();
        let http = serve(self.listener, self.router, listeners.clone(), self.limits);
        let http = tokio::spawn(http);
        let scrapes = self.admin.scrapes();
        let admin = self.admin.serve(self.registry, self.readiness.clone(), listeners);
        let admin = tokio::spawn(admin);
        let mut followers = JoinSet::new();
        followers.spawn(self.store_latch.follow(self.store.health(), |health| match health {
            store::Health::Serving => None,
            store::Health::Failing(reason) => Some(reason.clone()),
        }));
        let mut chores = JoinSet::new();
        chores.spawn(count_when_asked(self.counting, self.store.clone()));
        if let Some((worker, keep)) = self.retention {
            chores.spawn(forget_old_attempts(self.store.clone(), worker, keep));
        }
        let (stop_consumers, stop) = Shutdown::new();
        let mut consumers = JoinSet::new();
        // A message that is received while its attempt could not be recorded only loses a receive.
        if begins_to_work(&self.store, &shutdown).await {
            for (consumer, latch) in self.consumers {
                followers.spawn(follow_consumer(consumer.health(), latch));
                let stop = stop.clone();
                consumers.spawn(async move { consumer.run(stop.requested()).await });
            }
        }

        // A consumer does not end by itself; one that panicked must not leave its queue unattended
        // in a process that looks alive.
        let mut failure = tokio::select! {
            () = shutdown.requested() => None,
            Some(Err(panic)) = consumers.join_next() => Some(panic),
        };
        let mut stranded = 0;
        self.readiness.stopping();
        stop_consumers.request();
        while let Some(ended) = consumers.join_next().await {
            match ended {
                Ok(drained) => stranded += drained.stranded,
                Err(panic) => failure = failure.or(Some(panic)),
            }
        }
        chores.shutdown().await;
        self.store.close().await;
        followers.shutdown().await;
        if stranded > 0 {
            info!(messages = stranded, "waiting to be scraped, for {LAST_SCRAPE:?} at most");
            scrapes.next(LAST_SCRAPE).await;
        }
        stop_listeners.request();
        http.await.context("the HTTP listener broke")??;
        admin.await.context("the admin listener broke")??;
        failure.map_or(Ok(()), |panic: JoinError| Err(panic).context("a consumer broke"))
    }
}

/// Waits until the store works; false when the shutdown is requested before.
async fn begins_to_work(store: &Store, shutdown: &Shutdown) -> bool {
    let mut health = store.health();
    let works = async { health.wait_for(|health| *health == store::Health::Serving).await.is_ok() };
    tokio::select! {
        () = shutdown.requested() => false,
        works = works => works,
    }
}

/// A queue to consume.
struct Source {
    queue: AwsQueue,
    fifo: bool,
}

/// The connection to SQS, and the queues that have a URL.
async fn sources(settings: &Settings, registry: &Registry) -> (Connection, Vec<Source>) {
    let urls = &settings.common.queues;
    let wanted = [
        ("SQS_QUEUE_URL_STANDARD", false, &urls.standard, &urls.standard_dlq),
        ("SQS_QUEUE_URL_FIFO", true, &urls.fifo, &urls.fifo_dlq),
    ];
    let first = wanted.iter().find_map(|(_, _, url, _)| url.as_deref());
    let (region, endpoint, keys) = settings.common.aws.parts();
    let options = Options::new(region, endpoint, keys);
    let connection = Connection::open(options, first, CallMetrics::register(registry)).await;
    let mut sources = Vec::new();
    for (setting, fifo, url, dead_letter_url) in wanted {
        let Some(url) = url else {
            warn!(setting, "the queue has no URL and is not consumed");
            continue;
        };
        let queue = connection.queue(url, dead_letter_url.as_deref());
        sources.push(Source { queue, fifo });
    }
    (connection, sources)
}

type Latched = (Consumer<AwsQueue, DeliverFrom>, Latch);

fn consumers(
    settings: &Settings,
    sources: Vec<Source>,
    deliver: &Deliver,
    registry: &Registry,
    readiness: &Readiness,
) -> anyhow::Result<Vec<Latched>> {
    let (own, common) =
        (Metrics::register(registry), sqs_consumer::Metrics::register(registry, "delivery"));
    if sources.is_empty() {
        readiness
            .latch("queues")
            .unready("no queue: set SQS_QUEUE_URL_STANDARD, SQS_QUEUE_URL_FIFO or both");
    }
    let shared_settings = consumer_settings(settings);
    let consumer = |Source { queue, fifo }: Source| {
        let name = queue.name().to_owned();
        let latch = readiness.latch(if fifo { "fifo queue" } else { "standard queue" });
        common.expect_dead_letters(&name, Reason::ALL.into_iter().map(Reason::as_str));
        let handler = deliver.for_queue(&name, fifo, own.for_queue(&name));
        let consumer_settings =
            sqs_consumer::Settings { expect_fifo: Some(fifo), ..shared_settings.clone() };
        let consumer = Consumer::new(queue, handler, consumer_settings, common.clone())
            .with_context(|| format!("{name} cannot be consumed with these settings"))?;
        Ok((consumer, latch))
    };
    sources.into_iter().map(consumer).collect()
}

fn consumer_settings(settings: &Settings) -> sqs_consumer::Settings {
    let of = settings.consumer;
    sqs_consumer::Settings {
        concurrency: of.concurrency,
        group_concurrency: of.group_concurrency,
        handler_timeout: of.handler_timeout,
        drain_timeout: of.drain_timeout,
        max_attempts: Some(of.max_attempts),
        retry_backoff: of.retry_backoff,
        retry_backoff_max: of.retry_backoff_max,
        timeout_reason: Reason::Timeout.as_str(),
        panic_reason: Reason::Crash.as_str(),
        ..sqs_consumer::Settings::default()
    }
}

/// The machine's name and the process's number: in Kubernetes the pod's name.
fn worker_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "worker" } else { host.trim() };
    format!("{host}-{}", std::process::id())
}

async fn follow_consumer(mut health: watch::Receiver<Health>, latch: Latch) {
    loop {
        let now = health.borrow_and_update().clone();
        match now {
            Health::Starting => {}
            Health::Receiving => {
                if latch.ready() {
                    info!("the queue answers");
                }
            }
            Health::Failing(reason) => {
                latch.unready(reason);
            }
        }
        if health.changed().await.is_err() {
            return;
        }
    }
}
