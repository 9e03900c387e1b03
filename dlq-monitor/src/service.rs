//! The monitor as a whole: built, then run until it is told to stop.

use std::{
    net::SocketAddr,
    sync::{Arc, LazyLock},
    time::Duration,
};

use anyhow::Context;
use axum::middleware::from_fn;
use order_store::{Health, Store};
use prometheus::Registry;
use service_kit::{
    AdminServer, Latch, Readiness, ServeLimits, Shutdown, bind, build_info, routes, serve,
    settings::QueueUrls,
};
use sqs_consumer::aws::{CallMetrics, Connection, Options};
use tokio::{net::TcpListener, task::JoinSet};
use tracing::warn;

use crate::{
    Settings,
    access::{self, Access},
    api::{self, Api},
    jobs::{plan::Timing, runner::Jobs},
    keeper::Keeper,
    metrics::Metrics,
    observe::{Observer, Role},
    queues::DeadLetterQueue,
    retention::forget_what_is_over,
    web,
};

/// Each may hold an answer of more than a MiB that its client does not read. Those who ask are people,
/// scripts and a console.
const CONNECTIONS: usize = 64;

/// A monitor with its listeners bound and its store open; it looks at nothing before [`Service::run`].
pub struct Service {
    listener: TcpListener,
    local_addr: SocketAddr,
    admin: AdminServer,
    router: axum::Router,
    registry: Registry,
    readiness: Readiness,
    store: Store,
    store_latch: Latch,
    retention: Duration,
    jobs: Jobs,
    observer: Option<(Observer, Latch)>,
}

impl Service {
    /// Binds both listeners and opens the store. Neither SQS nor a PostgreSQL server need be there.
    pub async fn build(settings: Settings) -> anyhow::Result<Self> {
        let listener = bind("LISTEN_ADDR", settings.listen)?;
        let local_addr = listener.local_addr().context("the listener has no address")?;
        let admin = AdminServer::bind(settings.admin).await?;
        let registry = Registry::new();
        build_info(&registry, "dlq-monitor", env!("CARGO_PKG_VERSION"));
        let readiness = Readiness::new();
        let latch = readiness.latch("queues");
        let store_latch = readiness.latch("store");
        let store = Store::open_when_up(&settings.database).await?;

        let urls = watched(&settings.common.queues);
        let first = urls.first().map(|(_, url)| url.as_str());
        let (region, endpoint, keys) = settings.common.aws.parts();
        let options = Options::new(region, endpoint, keys);
        let connection = Connection::open(options, first, CallMetrics::register(&registry)).await;
        let keeper = Keeper {
            store: store.clone(),
            metrics: Metrics::register(&registry),
            holder: holder().into(),
        };
        let queues = DeadLetterQueue::all(&connection, &settings.common.queues);
        let observer =
            Observer::new(connection.clone(), &urls, &queues, keeper.clone(), settings.interval);
        let api = Api {
            store: store.clone(),
            connection: connection.clone(),
            looks: observer.looks(),
            queues: Arc::clone(&queues),
            access: Arc::new(Access::new(settings.token, local_addr)),
            trace_url: settings.trace_url,
            site: LazyLock::new(api::site),
        };
        // Outermost, so that what no route answers is a page for people and has these headers too.
        let router = routes(api::router(api), &registry)
            .layer(from_fn(web::as_page))
            .layer(from_fn(access::secure));
        let jobs = Jobs { connection, keeper, queues, timing: Timing::DEFAULT };
        let observer = if urls.is_empty() {
            warn!("no queue has a URL, so there is nothing to watch");
            latch.unready("no queue: set the SQS_QUEUE_URL_ settings");
            None
        } else {
            Some((observer, latch))
        };
        Ok(Self {
            listener,
            local_addr,
            admin,
            router,
            registry,
            readiness,
            store,
            store_latch,
            retention: settings.retention,
            jobs,
            observer,
        })
    }

    /// The same with another timing of its jobs, for tests that wait for what it bounds.
    #[must_use]
    pub fn with_job_timing(mut self, timing: Timing) -> Self {
        self.jobs.timing = timing;
        self
    }

    /// Address of the HTTP listener.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Address of the admin listener.
    pub fn admin_addr(&self) -> SocketAddr {
        self.admin.local_addr()
    }

    /// Whether the store works and every queue can be read.
    pub fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    /// Watches, and does what is asked for, until the shutdown is requested. Then a scan that is under
    /// way releases what it holds, jobs finish what they have begun and are left to others, the store is
    /// closed, and the listeners end last.
    pub async fn run(self, shutdown: Shutdown) -> anyhow::Result<()> {
        tracing::info!(listen = %self.local_addr(), admin = %self.admin_addr(), "dlq-monitor is up");
        let (stop_listeners, listeners) = Shutdown::new();
        let limits = ServeLimits { connections: CONNECTIONS, ..ServeLimits::default() };
        let http = tokio::spawn(serve(self.listener, self.router, listeners.clone(), limits));
        let admin = self.admin.serve(self.registry, self.readiness.clone(), listeners);
        let admin = tokio::spawn(admin);
        let mut chores = JoinSet::new();
        chores.spawn(self.store_latch.follow(self.store.health(), |health| match health {
            Health::Serving => None,
            Health::Failing(reason) => Some(reason.clone()),
        }));
        chores.spawn(forget_what_is_over(self.store.clone(), self.retention));
        let mut working = JoinSet::new();
        let jobs = Arc::new(self.jobs);
        for place in 0..jobs.queues.len() {
            working.spawn(Arc::clone(&jobs).run(place, shutdown.clone()));
        }
        let stop = shutdown.clone();
        working.spawn(async move {
            match self.observer {
                Some((observer, latch)) => observer.run(latch, stop).await,
                None => stop.requested().await,
            }
        });
        // None ends early but by a panic, which must not leave a monitor that looks alive and is blind.
        let mut ended = working.join_next().await.unwrap_or(Ok(()));
        let readiness = self.readiness;
        if ended.is_err() {
            // The others see no shutdown: they are dropped between two steps.
            working.abort_all();
        }
        readiness.stopping();
        while let Some(next) = working.join_next().await {
            ended = ended
                .and(next.or_else(|error| if error.is_cancelled() { Ok(()) } else { Err(error) }));
        }
        chores.shutdown().await;
        self.store.close().await;
        stop_listeners.request();
        http.await.context("the HTTP listener broke")??;
        admin.await.context("the admin listener broke")??;
        ended.context("watching broke")
    }
}

/// The queues that have a URL.
fn watched(urls: &QueueUrls) -> Vec<(Role, String)> {
    let all = [
        (Role::Source, &urls.standard),
        (Role::Dlq, &urls.standard_dlq),
        (Role::Source, &urls.fifo),
        (Role::Dlq, &urls.fifo_dlq),
    ];
    all.into_iter().filter_map(|(role, url)| Some((role, url.clone()?))).collect()
}

/// Names this process and no other one, also not the next in the same place.
fn holder() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "monitor" } else { host.trim() };
    format!("{host}-{}", uuid::Uuid::new_v4())
}
