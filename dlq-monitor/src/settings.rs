//! The monitor's settings.

use std::{net::SocketAddr, time::Duration};

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
    /// Time from one look at the queues to the next, with jitter.
    pub interval: Duration,
    /// What readers must show; none: everybody may read.
    pub token: Option<Secret>,
}

impl Settings {
    /// The rows of the settings table.
    pub fn table() -> Vec<Setting> {
        let mut table = common();
        table.extend(listeners("0.0.0.0:8082", "0.0.0.0:9082"));
        table.push(Setting::new(
            "MONITOR_INTERVAL",
            "30s",
            "100ms to 1h",
            "Time from one look at the queues to the next, with jitter; each costs a few SQS requests",
        ));
        table.push(
            Setting::optional(
                "MONITOR_TOKEN",
                "a text; reading then needs the header Authorization: Bearer TOKEN",
                "Who may read what the monitor has seen; when not set, everybody who reaches it",
            )
            .secret(),
        );
        table
    }

    /// Reads the settings, noting every problem.
    pub fn read(reader: &mut Reader) -> Self {
        Self {
            common: reader.common(),
            listen: reader.socket_addr("LISTEN_ADDR"),
            admin: reader.socket_addr("ADMIN_ADDR"),
            interval: reader
                .duration("MONITOR_INTERVAL", Duration::from_millis(100)..=Duration::from_hours(1)),
            token: reader.secret("MONITOR_TOKEN"),
        }
    }
}
