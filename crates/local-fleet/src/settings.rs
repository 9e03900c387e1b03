//! The fleet's settings: its addresses, its data directory, and what the services take.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use service_kit::settings::{Problems, Reader, Setting};

/// Everything the fleet is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the deliveries' SQLite file is kept.
    pub data_dir: PathBuf,
    /// Whether Prometheus and Alertmanager watch the fleet.
    pub observe: bool,
    /// The embedded SQS.
    pub sqs: SocketAddr,
    /// The order API and its admin listener.
    pub order_api: Listeners,
    /// The delivery worker.
    pub delivery_worker: Listeners,
    /// The DLQ monitor.
    pub dlq_monitor: Listeners,
    /// Values of the services' own settings.
    values: BTreeMap<&'static str, String>,
}

/// A service's two addresses.
#[derive(Clone, Copy, Debug)]
pub struct Listeners {
    /// `LISTEN_ADDR` of the service.
    pub listen: SocketAddr,
    /// `ADMIN_ADDR` of the service.
    pub admin: SocketAddr,
}

/// What the three services are built from.
pub(crate) struct ServiceSettings {
    pub(crate) order_api: order_api::Settings,
    pub(crate) delivery_worker: delivery_worker::Settings,
    pub(crate) dlq_monitor: dlq_monitor::Settings,
}

/// Settings of the services that the fleet decides itself.
const DECIDED: &[&str] = &[
    "AWS_REGION",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SQS_ENDPOINT",
    "SQS_QUEUE_URL_STANDARD",
    "SQS_QUEUE_URL_STANDARD_DLQ",
    "SQS_QUEUE_URL_FIFO",
    "SQS_QUEUE_URL_FIFO_DLQ",
    "LISTEN_ADDR",
    "ADMIN_ADDR",
    "DATABASE_URL",
    "DELIVERY_API_URL",
    "DELIVERY_BASE_URL",
    // For the monitor's command line.
    "MONITOR_URL",
];

const ADDRESS: &str = "ip:port; port 0 lets the system choose";

impl Settings {
    /// The rows of the settings table: the fleet's own, then the services'.
    pub fn table() -> Vec<Setting> {
        let address = |name, default, about| Setting::new(name, default, ADDRESS, about);
        let mut table = vec![
            Setting::new(
                "LOCAL_FLEET_DATA_DIR",
                "fleet-data",
                "a directory, which is created if it does not exist; also --data-dir",
                "Where the deliveries' SQLite file is kept",
            ),
            Setting::new(
                "LOCAL_FLEET_OBSERVE",
                "false",
                "true, false; true also by --observe",
                "Whether Prometheus and Alertmanager, which have to be installed, watch the fleet with the rules and routes of deploy/alerts",
            ),
            address("LOCAL_SQS_ADDR", "127.0.0.1:9324", "The embedded SQS"),
            address("LOCAL_FLEET_API_ADDR", "127.0.0.1:8080", "The order API"),
            address("LOCAL_FLEET_API_ADMIN_ADDR", "127.0.0.1:9080", "Its metrics and health"),
            address("LOCAL_FLEET_WORKER_ADDR", "127.0.0.1:8081", "The delivery worker"),
            address("LOCAL_FLEET_WORKER_ADMIN_ADDR", "127.0.0.1:9081", "Its metrics and health"),
            address("LOCAL_FLEET_MONITOR_ADDR", "127.0.0.1:8082", "The DLQ monitor"),
            address("LOCAL_FLEET_MONITOR_ADMIN_ADDR", "127.0.0.1:9082", "Its metrics and health"),
        ];
        for mut row in service_rows() {
            let known = table.iter().any(|known| known.name == row.name);
            if known || DECIDED.contains(&row.name) {
                continue;
            }
            if row.name == "MONITOR_INTERVAL" {
                // Somebody is watching, and looking costs nothing here.
                row.default = Some("5s");
            }
            table.push(row);
        }
        table
    }

    /// Reads the settings, noting every problem, the services' included.
    pub fn read(reader: &mut Reader) -> Self {
        let listeners = |reader: &mut Reader, listen, admin| Listeners {
            listen: reader.socket_addr(listen),
            admin: reader.socket_addr(admin),
        };
        let values = service_rows()
            .into_iter()
            .filter(|row| !DECIDED.contains(&row.name))
            // The services' own defaults stay theirs, so that they can give way to what is set.
            .filter(|row| reader.is_set(row.name) || row.name == "MONITOR_INTERVAL")
            .map(|row| row.name)
            .collect::<Vec<_>>()
            .into_iter()
            .filter_map(|name| Some((name, reader.optional(name)?)))
            .collect();
        let settings = Self {
            data_dir: reader.text("LOCAL_FLEET_DATA_DIR").into(),
            observe: reader.flag("LOCAL_FLEET_OBSERVE"),
            sqs: reader.socket_addr("LOCAL_SQS_ADDR"),
            order_api: listeners(reader, "LOCAL_FLEET_API_ADDR", "LOCAL_FLEET_API_ADMIN_ADDR"),
            delivery_worker: listeners(
                reader,
                "LOCAL_FLEET_WORKER_ADDR",
                "LOCAL_FLEET_WORKER_ADMIN_ADDR",
            ),
            dlq_monitor: listeners(
                reader,
                "LOCAL_FLEET_MONITOR_ADDR",
                "LOCAL_FLEET_MONITOR_ADMIN_ADDR",
            ),
            values,
        };
        // The endpoint is known only when it is bound; everything else can be checked now.
        if let Err(problems) = settings.services("http://127.0.0.1:1") {
            for problem in problems.0 {
                let value = problem.value.unwrap_or_default();
                reader.problem(&problem.name, &value, &problem.allowed);
            }
        }
        settings
    }

    /// The services' settings, given the embedded server's endpoint.
    pub(crate) fn services(&self, endpoint: &str) -> Result<ServiceSettings, Problems> {
        let (order_api, delivery_worker, dlq_monitor) = (
            self.read_service(
                endpoint,
                self.order_api,
                order_api::Settings::table(),
                order_api::Settings::read,
            ),
            self.read_service(
                endpoint,
                self.delivery_worker,
                delivery_worker::Settings::table(),
                delivery_worker::Settings::read,
            ),
            self.read_service(
                endpoint,
                self.dlq_monitor,
                dlq_monitor::Settings::table(),
                dlq_monitor::Settings::read,
            ),
        );
        match (order_api, delivery_worker, dlq_monitor) {
            (Ok(order_api), Ok(delivery_worker), Ok(dlq_monitor)) => {
                Ok(ServiceSettings { order_api, delivery_worker, dlq_monitor })
            }
            (api, worker, monitor) => {
                let lists = [api.err(), worker.err(), monitor.err()];
                Err(Problems(lists.into_iter().flatten().flat_map(|list| list.0).collect()))
            }
        }
    }

    fn read_service<S>(
        &self,
        endpoint: &str,
        listeners: Listeners,
        table: Vec<Setting>,
        read: fn(&mut Reader) -> S,
    ) -> Result<S, Problems> {
        let queue = |name: &str| format!("{endpoint}/000000000000/{name}");
        let database = self.data_dir.join("deliveries.db");
        let decided = [
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "local".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "local".to_owned()),
            ("AWS_SQS_ENDPOINT", endpoint.to_owned()),
            ("SQS_QUEUE_URL_STANDARD", queue("order-queue-standard")),
            ("SQS_QUEUE_URL_STANDARD_DLQ", queue("order-queue-standard-dlq")),
            ("SQS_QUEUE_URL_FIFO", queue("order-queue.fifo")),
            ("SQS_QUEUE_URL_FIFO_DLQ", queue("order-queue-dlq.fifo")),
            ("LISTEN_ADDR", listeners.listen.to_string()),
            ("ADMIN_ADDR", listeners.admin.to_string()),
            ("DATABASE_URL", format!("sqlite://{}", database.display())),
        ];
        let values = self.values.iter().map(|(name, value)| (*name, value.clone()));
        let wanted = values
            .chain(decided)
            .filter(|(name, _)| table.iter().any(|row| row.name == *name))
            .map(|(name, value)| (name.to_owned(), value))
            .collect::<Vec<_>>();
        let mut reader = Reader::load(table, None, wanted);
        let settings = read(&mut reader);
        reader.finish(settings)
    }
}

fn service_rows() -> Vec<Setting> {
    let mut rows = delivery_worker::Settings::table();
    rows.extend(dlq_monitor::Settings::table());
    rows.extend(order_api::Settings::table());
    rows
}
