//! Builds the embedded SQS and the services, and runs them to a clean end.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::Context;
use local_sqs::{Handle, Server, ServerSettings};
use service_kit::{BindError, Shutdown, bind};
use tokio::task::JoinSet;

use crate::Settings;

/// Where everything listens.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// The embedded SQS.
    pub sqs: SocketAddr,
    /// The order API.
    pub order_api: SocketAddr,
    /// Its admin listener.
    pub order_api_admin: SocketAddr,
    /// The delivery worker.
    pub delivery_worker: SocketAddr,
    /// Its admin listener.
    pub delivery_worker_admin: SocketAddr,
    /// The DLQ monitor.
    pub dlq_monitor: SocketAddr,
    /// Its admin listener.
    pub dlq_monitor_admin: SocketAddr,
}

/// Everything bound, nothing served yet.
pub struct Fleet {
    sqs: Server,
    order_api: order_api::Service,
    delivery_worker: delivery_worker::Service,
    dlq_monitor: dlq_monitor::Service,
}

impl Fleet {
    /// Binds the embedded SQS and builds the services on it.
    pub async fn build(settings: Settings) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&settings.data_dir).with_context(|| {
            format!(
                "cannot create the data directory {}: set LOCAL_FLEET_DATA_DIR",
                settings.data_dir.display()
            )
        })?;
        let listener = bind("LOCAL_SQS_ADDR", settings.sqs)?;
        let sqs = Server::with_listener(listener, ServerSettings::default())?;
        let mut services = settings.services(&sqs.endpoint())?;
        let delivery_worker = delivery_worker::Service::build(services.delivery_worker)
            .await
            .map_err(|error| named(error, "LOCAL_FLEET_WORKER"))?;
        let worker = reachable(delivery_worker.local_addr());
        services.order_api.delivery_api_url = Some(format!("http://{worker}"));
        Ok(Self {
            sqs,
            order_api: order_api::Service::build(services.order_api)
                .await
                .map_err(|error| named(error, "LOCAL_FLEET_API"))?,
            delivery_worker,
            dlq_monitor: dlq_monitor::Service::build(services.dlq_monitor)
                .await
                .map_err(|error| named(error, "LOCAL_FLEET_MONITOR"))?,
        })
    }

    /// Where everything listens, with the ports that the system chose.
    pub fn addresses(&self) -> Addresses {
        Addresses {
            sqs: self.sqs.local_addr(),
            order_api: self.order_api.local_addr(),
            order_api_admin: self.order_api.admin_addr(),
            delivery_worker: self.delivery_worker.local_addr(),
            delivery_worker_admin: self.delivery_worker.admin_addr(),
            dlq_monitor: self.dlq_monitor.local_addr(),
            dlq_monitor_admin: self.dlq_monitor.admin_addr(),
        }
    }

    /// Observes and steers the embedded SQS.
    pub fn sqs(&self) -> Handle {
        self.sqs.handle()
    }

    /// Runs until the shutdown is requested or a service breaks, then lets the services drain and
    /// ends the embedded SQS after them.
    pub async fn run(self, shutdown: Shutdown) -> anyhow::Result<()> {
        let (stop_sqs, sqs_stopped) = Shutdown::new();
        let handle = self.sqs.handle();
        let sqs = tokio::spawn(self.sqs.serve(async move { sqs_stopped.requested().await }));
        let (stop, stopping) = Shutdown::new();
        let mut services = JoinSet::new();
        services.spawn(self.order_api.run(stopping.clone()));
        services.spawn(self.delivery_worker.run(stopping.clone()));
        services.spawn(self.dlq_monitor.run(stopping));

        let mut outcome = tokio::select! {
            () = shutdown.requested() => Ok(()),
            Some(ended) = services.join_next() => ended.context("a service broke").flatten(),
        };
        stop.request();
        // Nobody else can send to these queues: waiting for more would only delay the drain.
        handle.end_long_polls();
        while let Some(ended) = services.join_next().await {
            outcome = outcome.and(ended.context("a service broke").flatten());
        }
        stop_sqs.request();
        sqs.await.context("the embedded SQS broke")??;
        outcome
    }
}

/// Where to connect to what listens there: one that listens everywhere is here too.
pub(crate) fn reachable(mut addr: SocketAddr) -> SocketAddr {
    match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => addr.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => addr.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    addr
}

/// A service names its own settings; here its addresses have other names.
fn named(error: anyhow::Error, prefix: &'static str) -> anyhow::Error {
    match error.downcast::<BindError>() {
        Ok(BindError { setting, addr, source }) => BindError {
            setting: match (prefix, setting) {
                ("LOCAL_FLEET_API", "ADMIN_ADDR") => "LOCAL_FLEET_API_ADMIN_ADDR",
                ("LOCAL_FLEET_API", _) => "LOCAL_FLEET_API_ADDR",
                ("LOCAL_FLEET_WORKER", "ADMIN_ADDR") => "LOCAL_FLEET_WORKER_ADMIN_ADDR",
                ("LOCAL_FLEET_WORKER", _) => "LOCAL_FLEET_WORKER_ADDR",
                (_, "ADMIN_ADDR") => "LOCAL_FLEET_MONITOR_ADMIN_ADDR",
                _ => "LOCAL_FLEET_MONITOR_ADDR",
            },
            addr,
            source,
        }
        .into(),
        Err(error) => error,
    }
}
