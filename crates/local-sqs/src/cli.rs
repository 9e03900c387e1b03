//! The binary's settings and life.

use std::net::SocketAddr;
use std::time::Duration;

use service_kit::Shutdown;
use service_kit::settings::{Reader, Setting, common};

use crate::model::{Limits, ModelSettings};
use crate::{Faults, QueueDeclaration, Server, ServerSettings, default_queues, parse_queues};

/// The setting that holds the address to listen on.
const ADDR: &str = "LOCAL_SQS_ADDR";
/// The setting that names the file of queues.
const QUEUES: &str = "LOCAL_SQS_QUEUES";
/// The setting that names the file of faults.
const FAULTS: &str = "LOCAL_SQS_FAULTS";
const ACCOUNT: &str = "LOCAL_SQS_ACCOUNT";
const REGION: &str = "LOCAL_SQS_REGION";
const DELETED_NAME_INTERVAL: &str = "LOCAL_SQS_DELETED_NAME_INTERVAL";

/// What the binary reads from its file and the environment.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The address to listen on.
    pub addr: SocketAddr,
    /// The queues to create at start.
    pub queues: Vec<QueueDeclaration>,
    /// The faults to show from the start.
    pub faults: Faults,
    /// The account in queue URLs and ARNs.
    pub account: String,
    /// The region in ARNs.
    pub region: String,
    /// How long a deleted queue's name cannot be used.
    pub deleted_name_interval: Duration,
}

impl Settings {
    /// The settings table: this binary's own rows, then those of logs and traces.
    pub fn table() -> Vec<Setting> {
        let mut table = vec![
            Setting::new(
                ADDR,
                "127.0.0.1:9324",
                "ip:port; port 0 lets the system choose",
                "Where local-sqs listens",
            ),
            Setting::optional(
                QUEUES,
                "a TOML file of [[queue]] tables, dead-letter queues before their sources",
                "Queues to create at start; when not set, the fleet's four below the account",
            ),
            Setting::optional(
                FAULTS,
                "a TOML file of a seed and [[rules]] tables",
                "Faults to show from the start, as POST /_local/faults takes them in JSON",
            ),
            Setting::new(
                ACCOUNT,
                "000000000000",
                "twelve digits",
                "The account in queue URLs and ARNs",
            ),
            Setting::new(REGION, "us-east-1", "a region's name", "The region in ARNs"),
            Setting::new(
                DELETED_NAME_INTERVAL,
                "0s",
                "0s to 1h",
                "How long a deleted queue's name cannot be used again; 60s on AWS",
            ),
        ];
        let telemetry =
            |row: &Setting| row.name.starts_with("LOG_") || row.name.starts_with("OTEL_");
        let is_shared = |row: &Setting| telemetry(row) || row.name == "RUST_LOG";
        table.extend(common().into_iter().filter(is_shared));
        table
    }

    /// Reads the settings. A file of queues that SQS would refuse is a problem of its setting.
    pub fn read(reader: &mut Reader) -> Self {
        let addr = reader.socket_addr(ADDR);
        let account = reader.text(ACCOUNT);
        if account.len() != 12 || !account.bytes().all(|b| b.is_ascii_digit()) {
            reader.problem(ACCOUNT, &account, "twelve digits");
        }
        let region = reader.text(REGION);
        if region.is_empty() || !region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            reader.problem(REGION, &region, "a region's name, such as us-east-1");
        }
        let deleted_name_interval =
            reader.duration(DELETED_NAME_INTERVAL, Duration::ZERO..=Duration::from_hours(1));
        let model = ModelSettings {
            account: account.clone(),
            region: region.clone(),
            ..ModelSettings::default()
        };
        let mut queues = default_queues();
        let mut faults = Faults::default();
        if let Some(file) = reader.optional(FAULTS).filter(|file| !file.is_empty()) {
            let text = std::fs::read_to_string(&file).map_err(|error| error.to_string());
            let read = text
                .and_then(|text| toml::from_str::<Faults>(&text).map_err(|error| error.to_string()))
                .and_then(|faults| faults.check().map(|()| faults));
            match read {
                Ok(read) => faults = read,
                Err(error) => {
                    let allowed = format!("a readable TOML file of faults ({})", error.trim_end());
                    reader.problem(FAULTS, &file, &allowed);
                }
            }
        }
        if let Some(file) = reader.optional(QUEUES).filter(|file| !file.is_empty()) {
            let text = std::fs::read_to_string(&file).map_err(|error| error.to_string());
            match text
                .and_then(|text| parse_queues(&text, &model).map_err(|error| error.to_string()))
            {
                Ok(declared) => queues = declared,
                Err(error) => {
                    reader.problem(
                        QUEUES,
                        &file,
                        &format!("a readable TOML file of queues ({error})"),
                    );
                }
            }
        }
        Self { addr, queues, faults, account, region, deleted_name_interval }
    }
}

/// Serves until the shutdown is requested.
pub async fn run(settings: Settings, shutdown: Shutdown) -> anyhow::Result<()> {
    let listener = service_kit::bind(ADDR, settings.addr)?;
    let queues = settings.queues.len();
    let defaults = ServerSettings::default();
    let limits = Limits {
        deleted_name_interval: settings.deleted_name_interval,
        ..defaults.model.limits.clone()
    };
    let settings = ServerSettings {
        model: ModelSettings {
            account: settings.account,
            region: settings.region,
            limits,
            ..defaults.model
        },
        queues: settings.queues,
        faults: settings.faults,
    };
    let server = Server::with_listener(listener, settings)?;
    tracing::warn!(
        endpoint = server.endpoint(),
        queues,
        "local-sqs is ready and keeps everything in memory: nothing is durable, never use it for production"
    );
    server.serve(async move { shutdown.requested().await }).await?;
    Ok(())
}
