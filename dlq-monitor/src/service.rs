//! The monitor as a whole: built, then run until it is told to stop.

use std::net::SocketAddr;

use anyhow::Context;
use prometheus::Registry;
use service_kit::{
    AdminServer, Latch, Readiness, ServeLimits, Shutdown, bind, build_info, routes, serve,
    settings::QueueUrls,
};
use sqs_consumer::aws::{CallMetrics, Connection, Options};
use tokio::net::TcpListener;
use tracing::warn;

use crate::{
    Settings,
    metrics::Metrics,
    observe::{Observer, Role},
    routes::router,
};

/// A monitor with its listeners bound; it looks at nothing before [`Service::run`].
pub struct Service {
    listener: TcpListener,
    local_addr: SocketAddr,
    admin: AdminServer,
    router: axum::Router,
    registry: Registry,
    readiness: Readiness,
    observer: Option<(Observer, Latch)>,
}

impl Service {
    /// Binds both listeners. SQS need not be there.
    pub async fn build(settings: Settings) -> anyhow::Result<Self> {
        let listener = bind("LISTEN_ADDR", settings.listen)?;
        let local_addr = listener.local_addr().context("the listener has no address")?;
        let admin = AdminServer::bind(settings.admin).await?;
        let registry = Registry::new();
        build_info(&registry, "dlq-monitor", env!("CARGO_PKG_VERSION"));
        let readiness = Readiness::new();
        let latch = readiness.latch("queues");

        let urls = watched(&settings.common.queues);
        let first = urls.first().map(|(_, url)| url.as_str());
        let (region, endpoint, keys) = settings.common.aws.parts();
        let options = Options::new(region, endpoint, keys);
        let connection = Connection::open(options, first, CallMetrics::register(&registry)).await;
        let metrics = Metrics::register(&registry);
        let observer = Observer::new(connection, &urls, metrics, settings.interval);
        let router = routes(router(observer.looks(), settings.token), &registry);
        let observer = if urls.is_empty() {
            warn!("no queue has a URL, so there is nothing to watch");
            latch.unready("no queue: set the SQS_QUEUE_URL_ settings");
            None
        } else {
            Some((observer, latch))
        };
        Ok(Self { listener, local_addr, admin, router, registry, readiness, observer })
    }

    /// Address of the HTTP listener.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Address of the admin listener.
    pub fn admin_addr(&self) -> SocketAddr {
        self.admin.local_addr()
    }

    /// Whether every queue can be read.
    pub fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    /// Watches until the shutdown is requested; a scan that is under way then releases what it
    /// holds. The listeners end last.
    pub async fn run(self, shutdown: Shutdown) -> anyhow::Result<()> {
        tracing::info!(listen = %self.local_addr(), admin = %self.admin_addr(), "dlq-monitor is up");
        let (stop_listeners, listeners) = Shutdown::new();
        let limits = ServeLimits::default();
        let http = tokio::spawn(serve(self.listener, self.router, listeners.clone(), limits));
        let admin = self.admin.serve(self.registry, self.readiness.clone(), listeners);
        let admin = tokio::spawn(admin);
        let stop = shutdown.clone();
        let observing = tokio::spawn(async move {
            match self.observer {
                Some((observer, latch)) => observer.run(latch, stop).await,
                None => stop.requested().await,
            }
        });
        // Ends early only by a panic, which must not leave a monitor that looks alive and is blind.
        let ended = observing.await;
        self.readiness.stopping();
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
