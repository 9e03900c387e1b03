//! Prometheus and Alertmanager beside the fleet, with the rules and routes of `deploy/alerts`.

use std::{
    fs::File,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, bail};
use service_kit::{Shutdown, ShutdownTrigger};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::{Child, Command},
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::{Addresses, fleet::reachable};

const RULES: &str = include_str!("../../../deploy/alerts/rules.yaml");
const EXAMPLE: &str = include_str!("../../../deploy/alerts/alertmanager.yaml");
const MESSAGES: &str = include_str!("../../../deploy/alerts/messages.tmpl");

/// By which names a server may be installed; Debian has its own.
const PROMETHEUS: &[&str] = &["prometheus"];
const ALERTMANAGER: &[&str] = &["alertmanager", "prometheus-alertmanager"];

/// Runs a program until it ends, or until this shell's standard input does: the fleet holds the other
/// end, so that in whatever way the fleet ends, killed included, the program does not outlive it.
const TIED: &str = r#"
exec 3<&0
"$@" </dev/null 3<&- &
program=$!
{ read -r _ <&3; kill "$program"; } 2>/dev/null &
reader=$!
wait "$program"
status=$?
kill "$reader" 2>/dev/null
exit "$status"
"#;

/// Time for a server to be ready, and to end when it is told to.
const START: Duration = Duration::from_secs(30);
const STOP: Duration = Duration::from_secs(10);

/// A running Prometheus and Alertmanager. They keep their data in a temporary folder, and end with this.
#[derive(Debug)]
pub struct Observers {
    /// Where Prometheus listens: the usual port, or another one where that is taken.
    pub prometheus: SocketAddr,
    /// Where Alertmanager does.
    pub alertmanager: SocketAddr,
    servers: [Observer; 2],
    folder: TempDir,
}

impl Observers {
    /// Starts both, for a fleet at these addresses, and waits until they are ready.
    ///
    /// An error where one of them is not installed, or does not start.
    pub async fn start(at: &Addresses) -> anyhow::Result<Self> {
        let (prometheus, alertmanager) =
            (installed(PROMETHEUS).await, installed(ALERTMANAGER).await);
        let (Some(prometheus), Some(alertmanager)) = (prometheus, alertmanager) else {
            bail!(
                "watching the fleet needs prometheus and alertmanager on PATH: on Debian, \
                 apt-get install prometheus prometheus-alertmanager; elsewhere, \
                 https://prometheus.io/download"
            );
        };
        let folder = tempfile::tempdir().context("cannot create a temporary folder")?;
        let ports = (usual_or_free(9090)?, usual_or_free(9093)?);
        for (file, text) in [
            ("rules.yaml", RULES.to_owned()),
            ("messages.tmpl", MESSAGES.to_owned()),
            ("alertmanager.yaml", alertmanager_config()),
            ("prometheus.yaml", prometheus_config(at, ports.1)),
        ] {
            std::fs::write(folder.path().join(file), text)
                .with_context(|| format!("cannot write {file} to a temporary folder"))?;
        }
        let start = async |name, address: SocketAddr, more: &[&str]| {
            let listen = format!("--web.listen-address={address}");
            Observer::start(name, address, &[&[listen.as_str()], more].concat(), folder.path())
                .await
        };
        let alerts = [
            "--config.file=alertmanager.yaml",
            "--storage.path=alerts",
            // One of its kind: nothing to gossip with.
            "--cluster.listen-address=",
        ];
        let series = [
            "--config.file=prometheus.yaml",
            "--storage.tsdb.path=series",
            // What fires before it has found Alertmanager is told soon after: by default in a minute.
            "--rules.alert.resend-delay=5s",
        ];
        let servers = [
            start(alertmanager, ports.1, &alerts).await?,
            start(prometheus, ports.0, &series).await?,
        ];
        Ok(Self { prometheus: ports.0, alertmanager: ports.1, servers, folder })
    }

    /// Ends both, and removes what they have kept.
    pub async fn stop(self) {
        for server in self.servers {
            server.stop().await;
        }
        if let Err(error) = self.folder.close() {
            tracing::warn!(%error, "what Prometheus and Alertmanager have kept is not removed");
        }
    }
}

/// One of the two servers.
#[derive(Debug)]
struct Observer {
    stop: ShutdownTrigger,
    watched: JoinHandle<()>,
}

impl Observer {
    /// Starts a server in this folder, and waits until it is ready.
    async fn start(
        name: &'static str,
        address: SocketAddr,
        arguments: &[&str],
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let path = folder.join(name).with_extension("log");
        let log = File::create(&path).and_then(|file| Ok((file.try_clone()?, file)));
        let (out, err) = log.with_context(|| format!("cannot write {}", path.display()))?;
        let mut server = Command::new("sh")
            .args(["-c", TIED, "sh", name])
            .args(arguments)
            .current_dir(folder)
            // Ctrl-C on a terminal is for the fleet, which drains first, and is watched meanwhile.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(out)
            .stderr(err)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let input = server.stdin.take();
        let started = timeout(START, ready(&mut server, address)).await;
        if !matches!(started, Ok(Ok(true))) {
            let said = std::fs::read_to_string(&path).unwrap_or_default();
            bail!("{name} does not start: {}", said.lines().last().unwrap_or("it says nothing"));
        }
        let (stop, stopping) = Shutdown::new();
        let watched = tokio::spawn(async move { watch(name, server, input, stopping).await });
        Ok(Self { stop, watched })
    }

    async fn stop(self) {
        self.stop.request();
        // It waits for the server, for a time at most, and gives nothing back.
        let _ = self.watched.await;
    }
}

/// Waits until a server says that it is ready; false where it has ended instead.
async fn ready(server: &mut Child, address: SocketAddr) -> io::Result<bool> {
    while !is_ready(address).await.unwrap_or(false) {
        if server.try_wait()?.is_some() {
            return Ok(false);
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok(true)
}

async fn is_ready(address: SocketAddr) -> io::Result<bool> {
    let mut connection = TcpStream::connect(address).await?;
    connection.write_all(b"GET /-/ready HTTP/1.0\r\n\r\n").await?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await?;
    Ok(answer.starts_with(b"HTTP/1.0 200"))
}

/// Holds a server's input until it is to stop. It is said when the server does not live so long.
async fn watch<Input>(name: &str, mut server: Child, input: Input, stopping: Shutdown) {
    tokio::select! {
        ended = server.wait() => tracing::warn!(?ended, "{name} has ended: the fleet is not watched any more"),
        () = stopping.requested() => {
            drop(input);
            if timeout(STOP, server.wait()).await.is_err() {
                tracing::warn!("{name} does not end within {STOP:?}");
            }
        }
    }
}

/// Which of these names is a program on PATH.
async fn installed(names: &[&'static str]) -> Option<&'static str> {
    for name in names {
        let mut asked = Command::new(name);
        asked.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if asked.status().await.is_ok_and(|status| status.success()) {
            return Some(name);
        }
    }
    None
}

/// The usual port, or one that the system chooses where that is taken: by the system's own server, say.
fn usual_or_free(port: u16) -> anyhow::Result<SocketAddr> {
    let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port))?.local_addr();
    bind(port).or_else(|_| bind(0)).context("no port is free on 127.0.0.1")
}

fn prometheus_config(at: &Addresses, alertmanager: SocketAddr) -> String {
    let job = |name: &str, address: SocketAddr| {
        let address = reachable(address);
        format!("  - {{job_name: {name}, static_configs: [{{targets: [\"{address}\"]}}]}}")
    };
    let jobs = [
        job("order-api", at.order_api_admin),
        job("delivery-worker", at.delivery_worker_admin),
        job("dlq-monitor", at.dlq_monitor_admin),
        job("local-sqs", at.sqs),
    ];
    format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
         rule_files: [rules.yaml]\n\
         alerting: {{alertmanagers: [{{static_configs: [{{targets: [\"{alertmanager}\"]}}]}}]}}\n\
         scrape_configs:\n{}\n",
        jobs.join("\n")
    )
}

/// The example's routes and inhibitions, and receivers of its names that tell nobody.
fn alertmanager_config() -> String {
    let (routes, receivers) = EXAMPLE.split_once("\nreceivers:\n").unwrap_or((EXAMPLE, ""));
    let names = receivers.lines().filter(|line| line.starts_with("  - name: "));
    format!("{routes}\nreceivers:\n{}\n", names.collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_receivers_stay_by_name_and_without_their_secrets() {
        let config = alertmanager_config();
        let wanted = "\nreceivers:\n  - name: pager\n  - name: chat\n  - name: dead-man\n";
        assert!(config.ends_with(wanted), "{config}");
        assert!(config.contains("inhibit_rules:") && !config.contains("_file"), "{config}");
    }

    #[test]
    fn a_taken_port_gives_way_to_a_free_one() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        assert_eq!(usual_or_free(taken.port()).unwrap(), taken);
        let held = TcpListener::bind(taken).unwrap();
        assert_ne!(usual_or_free(taken.port()).unwrap().port(), held.local_addr().unwrap().port());
    }
}
