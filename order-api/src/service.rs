//! The service: built, then run.

use crate::{
    cross_origin::{self, Origins},
    deliveries::{self, Deliveries},
    endpoints::{self, Api},
    keys::Keys,
    metrics::Metrics,
    pages,
    publisher::{self, Publisher},
    room::Room,
    settings::Settings,
};
use prometheus::Registry;
use service_kit::{AdminServer, Readiness, ServeLimits, Shutdown, bind, build_info};
use sqs_consumer::aws::{CallMetrics, Connection, Options};
use std::{net::SocketAddr, sync::LazyLock, time::Duration};
use tokio::net::TcpListener;

/// What a request may take beside its publishing when the service stops: reading and answering.
const DRAIN_MARGIN: Duration = Duration::from_secs(2);

/// The order API, bound and not yet serving.
#[derive(Debug)]
pub struct Service {
    listener: TcpListener,
    local_addr: SocketAddr,
    admin: AdminServer,
    registry: Registry,
    readiness: Readiness,
    publisher: Publisher,
    keys: Keys,
    metrics: Metrics,
    room: Room,
    limits: ServeLimits,
    deliveries: Deliveries,
    compression: bool,
    origins: Option<Origins>,
    sheds_load: bool,
}

impl Service {
    /// Binds both listeners and prepares the connection to SQS, which need not be there yet.
    pub async fn build(settings: Settings) -> anyhow::Result<Self> {
        let listener = bind("LISTEN_ADDR", settings.listen)?;
        let local_addr = listener.local_addr()?;
        let admin = AdminServer::bind(settings.admin).await?;
        let registry = Registry::new();
        build_info(&registry, "order-api", env!("CARGO_PKG_VERSION"));
        let metrics = Metrics::register(&registry);

        let sheds_load = settings.sheds_load();
        let queues = &settings.queues;
        let queue_url = queues.standard.as_deref().or(queues.fifo.as_deref());
        let (region, endpoint, keys) = settings.aws.parts();
        let options = Options::new(region, endpoint, keys);
        let calls = CallMetrics::register(&registry);
        let connection = Connection::open(options, queue_url, calls).await;
        Ok(Self {
            listener,
            local_addr,
            admin,
            readiness: Readiness::new(),
            publisher: Publisher::new(&connection, queues, settings.publish, &metrics),
            keys: Keys::new(settings.keys, &metrics),
            room: Room::new(settings.publish.buffer_bytes, settings.publish.undisturbed),
            limits: ServeLimits {
                drain: settings.publish.timeout.max(deliveries::LIMITS.whole) + DRAIN_MARGIN,
                ..settings.limits
            },
            deliveries: Deliveries::new(
                settings.delivery_api_url.as_deref(),
                settings.delivery_base_url.as_deref(),
            )?,
            compression: settings.compression,
            origins: settings.cors_allowed_origins,
            sheds_load,
            registry,
            metrics,
        })
    }

    /// The API's address, with the port that the system chose for port 0.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The address of metrics and health.
    pub fn admin_addr(&self) -> SocketAddr {
        self.admin.local_addr()
    }

    /// The service's readiness; it starts with the latch of its queues.
    pub fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    /// Serves until the shutdown is requested. Then the service is no longer ready at once; it serves on
    /// for the delay that is set, requests under way are finished within the publish timeout and a
    /// margin, and the admin listener closes last.
    pub async fn run(self, shutdown: Shutdown) -> anyhow::Result<()> {
        tracing::info!(listen = %self.local_addr, admin = %self.admin.local_addr(), "order-api is up");
        if !self.sheds_load {
            tracing::warn!(
                "PUBLISH_BUFFER_ORDERS is not less than MAX_CONNECTIONS: orders that SQS does not take \
                 will wait for a connection instead of being answered with 503"
            );
        }
        let (admin_trigger, admin_shutdown) = Shutdown::new();
        let admin = self.admin.serve(self.registry.clone(), self.readiness.clone(), admin_shutdown);
        let admin = tokio::spawn(admin);
        let latch = self.readiness.latch("sqs");
        tokio::spawn(publisher::watch(
            self.publisher.watched(),
            self.publisher.outcomes(),
            latch,
            shutdown.clone(),
        ));
        // Orders come for as long as the API is served, and with them questions to the store of keys.
        let (keys_trigger, keys_shutdown) = Shutdown::new();
        let keys = tokio::spawn(self.keys.clone().run(keys_shutdown));
        // A process that can only refuse the orders of a queue must not look alive.
        let (stop, stopping) = Shutdown::new();
        let announced = {
            let (readiness, outcomes) = (self.readiness, self.publisher.outcomes());
            tokio::spawn(async move {
                let broke = tokio::select! {
                    () = shutdown.requested() => false,
                    () = outcomes.broke() => true,
                };
                readiness.stopping();
                stop.request();
                broke
            })
        };

        let api = Api {
            publisher: self.publisher.clone(),
            keys: self.keys.clone(),
            metrics: self.metrics,
            room: self.room,
            deliveries: self.deliveries,
            site: LazyLock::new(pages::site),
        };
        let mut router = service_kit::routes(endpoints::router(api), &self.registry);
        if self.compression {
            router = cross_origin::compress(router);
        }
        if let Some(origins) = &self.origins {
            router = cross_origin::allow(router, origins);
        }
        let served = service_kit::serve(self.listener, router, stopping, self.limits).await;

        // Sends whose clients went away are under way even now.
        let left = self.publisher.drained(self.limits.drain).await;
        if left > 0 {
            tracing::warn!(
                left,
                "orders were still being sent; none of them was confirmed to a client"
            );
        }
        let broke = announced.await?;
        keys_trigger.request();
        keys.await?;
        self.keys.close().await;
        admin_trigger.request();
        admin.await??;
        anyhow::ensure!(!broke, "what sends the orders of a queue broke");
        tracing::info!("order-api has stopped");
        Ok(served?)
    }
}
