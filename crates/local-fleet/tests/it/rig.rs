//! The whole fleet in this process, on ports of the system's choice.

use std::path::PathBuf;

use local_fleet::{Addresses, Fleet, Settings};
use local_sqs::Handle;
use service_kit::{Shutdown, ShutdownTrigger, settings::Reader};
use tempfile::TempDir;
use tokio::task::JoinHandle;

pub(crate) struct Running {
    pub(crate) at: Addresses,
    pub(crate) sqs: Handle,
    data: TempDir,
    stop: ShutdownTrigger,
    ended: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    pub(crate) async fn start(env: &[(&str, &str)]) -> Self {
        let data = tempfile::tempdir().unwrap();
        let settings = settings(data.path().to_str().unwrap(), env).unwrap();
        let fleet = Box::pin(Fleet::build(settings)).await.unwrap();
        let (at, sqs) = (fleet.addresses(), fleet.sqs());
        let (stop, shutdown) = Shutdown::new();
        let ended = tokio::spawn(fleet.run(shutdown));
        Self { at, sqs, data, stop, ended }
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.data.path().join("deliveries.db")
    }

    pub(crate) async fn stop(self) {
        self.stop.request();
        self.ended.await.unwrap().unwrap();
    }
}

pub(crate) fn settings(
    data_dir: &str,
    env: &[(&str, &str)],
) -> Result<Settings, service_kit::settings::Problems> {
    let mut all = vec![("LOCAL_FLEET_DATA_DIR", data_dir), ("MONITOR_INTERVAL", "1s")];
    for name in [
        "LOCAL_SQS_ADDR",
        "LOCAL_FLEET_API_ADDR",
        "LOCAL_FLEET_API_ADMIN_ADDR",
        "LOCAL_FLEET_WORKER_ADDR",
        "LOCAL_FLEET_WORKER_ADMIN_ADDR",
        "LOCAL_FLEET_MONITOR_ADDR",
        "LOCAL_FLEET_MONITOR_ADMIN_ADDR",
    ] {
        all.push((name, "127.0.0.1:0"));
    }
    all.extend(env);
    let env = all.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut reader = Reader::load(Settings::table(), None, env);
    let settings = Settings::read(&mut reader);
    reader.finish(settings)
}
