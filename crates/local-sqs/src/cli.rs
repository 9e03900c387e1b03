//! The binary's settings and life.

use std::net::SocketAddr;

use service_kit::Shutdown;
use service_kit::settings::{Reader, Setting, common};

use crate::{QueueDeclaration, Server, ServerSettings, default_queues, parse_queues};

/// The setting that holds the address to listen on.
const ADDR: &str = "LOCAL_SQS_ADDR";
/// The setting that names the file of queues.
const QUEUES: &str = "LOCAL_SQS_QUEUES";

/// What the binary reads from its file and the environment.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The address to listen on.
    pub addr: SocketAddr,
    /// The queues to create at start.
    pub queues: Vec<QueueDeclaration>,
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
                "Queues to create at start; when not set, the fleet's four below /000000000000/",
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
        let mut queues = default_queues();
        if let Some(file) = reader.optional(QUEUES).filter(|file| !file.is_empty()) {
            let text = std::fs::read_to_string(&file).map_err(|error| error.to_string());
            match text.and_then(|text| parse_queues(&text).map_err(|error| error.to_string())) {
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
        Self { addr, queues }
    }
}

/// Serves until the shutdown is requested.
pub async fn run(settings: Settings, shutdown: Shutdown) -> anyhow::Result<()> {
    let listener = service_kit::bind(ADDR, settings.addr)?;
    let queues = settings.queues.len();
    let settings = ServerSettings { queues: settings.queues, ..ServerSettings::default() };
    let server = Server::with_listener(listener, settings)?;
    tracing::warn!(
        endpoint = server.endpoint(),
        queues,
        "local-sqs is ready and keeps everything in memory: nothing is durable, never use it for production"
    );
    server.serve(async move { shutdown.requested().await }).await?;
    Ok(())
}
