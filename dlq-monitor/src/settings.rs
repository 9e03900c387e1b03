//! The monitor's settings.

use std::{net::SocketAddr, time::Duration};

use order_store::DatabaseUrl;
use service_kit::settings::{Common, Reader, Secret, Setting, common, listeners};

/// Everything a monitor is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// AWS, queues, telemetry.
    pub common: Common,
    /// Address of the HTTP listener.
    pub listen: SocketAddr,
    /// Address of the admin listener.
    pub admin: SocketAddr,
    /// Where dead letters and jobs are kept, and why orders failed.
    pub database: DatabaseUrl,
    /// Time from one look at the queues to the next, with jitter.
    pub interval: Duration,
    /// What callers must show; none: everybody may read, and act on loopback only.
    pub token: Option<Secret>,
    /// How long dead letters are remembered that were redriven or are gone.
    pub retention: Duration,
    /// Leads to a trace, with `{traceId}` in it.
    pub trace_url: Option<String>,
}

/// What the command line is told.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// Where the monitor's API is.
    pub url: String,
    /// The monitor's token.
    pub token: Option<Secret>,
}

const TRACE_ID: &str = "{traceId}";
const TRACE_URLS: &str = "an http or https URL with {traceId} in it";
const LONGEST_RETENTION: Duration = Duration::from_hours(24 * 3650);

impl Settings {
    /// The rows of the settings table.
    pub fn table() -> Vec<Setting> {
        let mut table = common();
        table.extend(listeners("0.0.0.0:8082", "0.0.0.0:9082"));
        table.extend([
            Setting::new(
                "DATABASE_URL",
                "sqlite://deliveries.db",
                DatabaseUrl::ALLOWED,
                "Where dead letters, jobs and their audit log are kept. The deliveries' database knows why orders failed and whether redriven ones are delivered; in another one that stays unknown. Several monitors need the same",
            )
            .secret(),
            Setting::new(
                "MONITOR_INTERVAL",
                "30s",
                "100ms to 1h",
                "Time from one look at the queues to the next, with jitter; each costs a few SQS requests, and two for every ten dead letters",
            ),
            Setting::optional(
                "MONITOR_TOKEN",
                "a text, better of 16 characters or more; requests then need the header Authorization: Bearer TOKEN, or a login with it",
                "Who may read and act. When not set everybody who reaches the monitor may read, and nobody may act unless LISTEN_ADDR is an address of loopback",
            )
            .secret(),
            Setting::new(
                "MONITOR_RETENTION",
                "30d",
                "1h to 3650d",
                "How long dead letters are remembered that were redriven or are gone. What was discarded stays in the archive, and the audit log for ever",
            ),
            Setting::optional(
                "MONITOR_TRACE_URL",
                TRACE_URLS,
                "Where a dead letter's trace can be looked at, such as http://jaeger.example/trace/{traceId}",
            ),
            Setting::new(
                "MONITOR_URL",
                "http://127.0.0.1:8082",
                "an http or https URL; also --url",
                "Where `dlq-monitor dlq`, the command line, finds the monitor's API; it shows MONITOR_TOKEN",
            ),
        ]);
        table
    }

    /// Reads the settings, noting every problem.
    pub fn read(reader: &mut Reader) -> Self {
        let database = reader.text("DATABASE_URL");
        let database = database.parse().unwrap_or_else(|_| {
            reader.problem("DATABASE_URL", &database, DatabaseUrl::ALLOWED);
            DatabaseUrl::Sqlite("unset".into())
        });
        let trace_url = reader.url_with("MONITOR_TRACE_URL", TRACE_ID);
        // Read by the command line; wrong for both.
        ClientSettings::read(reader);
        Self {
            common: reader.common(),
            listen: reader.socket_addr("LISTEN_ADDR"),
            admin: reader.socket_addr("ADMIN_ADDR"),
            database,
            interval: reader
                .duration("MONITOR_INTERVAL", Duration::from_millis(100)..=Duration::from_hours(1)),
            token: reader.secret("MONITOR_TOKEN"),
            retention: reader
                .duration("MONITOR_RETENTION", Duration::from_hours(1)..=LONGEST_RETENTION),
            trace_url,
        }
    }
}

impl ClientSettings {
    /// Reads what the command line needs of the table.
    pub fn read(reader: &mut Reader) -> Self {
        Self {
            url: reader.url("MONITOR_URL").unwrap_or_default(),
            token: reader.secret("MONITOR_TOKEN"),
        }
    }
}

#[cfg(test)]
mod tests {
    use service_kit::settings::Problems;

    use super::*;

    fn trace_url(value: &str) -> Result<Option<String>, Problems> {
        let env = [("MONITOR_TRACE_URL".to_owned(), value.to_owned())];
        let mut reader = Reader::load(Settings::table(), None, env);
        let settings = Settings::read(&mut reader);
        reader.finish(settings).map(|settings| settings.trace_url)
    }

    #[test]
    fn a_trace_url_has_a_place_for_the_trace() {
        let url = "http://jaeger.example/trace/{traceId}";
        assert_eq!(trace_url(url).expect("is valid"), Some(url.to_owned()));
        for wrong in ["http://jaeger.example/trace/", "jaeger/{traceId}", "ftp://a/{traceId}"] {
            assert!(trace_url(wrong).is_err(), "{wrong}");
        }
    }
}
