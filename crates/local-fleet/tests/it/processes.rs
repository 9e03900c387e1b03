//! The binaries as processes, set up by environment variables alone.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    task::JoinHandle,
};

use crate::client::Curl;

/// What cargo tells a test of the test's own package. A build script that asks for it, such as
/// ring's, would run anew with these, and all that needs ring would be compiled again; and once more
/// when cargo is next run without them.
const OF_THIS_PACKAGE: [&str; 7] = [
    "CARGO_MANIFEST_DIR",
    "CARGO_MANIFEST_LINKS",
    "CARGO_PKG_NAME",
    "CARGO_PKG_VERSION_MAJOR",
    "CARGO_PKG_VERSION_MINOR",
    "CARGO_PKG_VERSION_PATCH",
    "CARGO_PKG_VERSION_PRE",
];

/// The folder of the binaries, built by cargo if they are not there or older than their sources.
pub(crate) fn binaries() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        let own = std::env::current_exe().unwrap();
        // target/<profile>/deps/<this test>
        let folder = own.ancestors().nth(2).unwrap().to_owned();
        let profile = match folder.file_name().unwrap().to_str().unwrap() {
            "debug" => "dev".to_owned(),
            other => other.to_owned(),
        };
        let target = folder.parent().unwrap();
        let mut cargo = std::process::Command::new(env!("CARGO"));
        for name in OF_THIS_PACKAGE {
            cargo.env_remove(name);
        }
        let status = cargo
            .args(["build", "--quiet", "--offline", "--workspace", "--bins"])
            .args(["--profile", &profile, "--target-dir"])
            .arg(target)
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
            .status()
            .expect("cargo runs");
        assert!(status.success(), "the binaries are built");
        folder
    };
    BUILT.get_or_init(build).clone()
}

/// A running binary, its log kept. Killed when it goes out of scope.
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    log: Arc<Mutex<Vec<Value>>>,
    reading: Option<JoinHandle<()>>,
}

impl Process {
    pub(crate) fn start(name: &'static str, env: &[(&str, String)]) -> Self {
        let mut child = Command::new(binaries().join(name))
            .env_clear()
            .envs(env.iter().map(|(name, value)| (*name, value)))
            .env("LOG_FORMAT", "json")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let log = Arc::new(Mutex::new(Vec::new()));
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let kept = log.clone();
        let reading = tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let entry = serde_json::from_str(&line).unwrap_or_else(|_| json!({ "raw": line }));
                kept.lock().unwrap().push(entry);
            }
        });
        Self { name, child, log, reading: Some(reading) }
    }

    /// Waits for a log entry that has this field, and returns its value.
    pub(crate) async fn logged(&self, field: &str) -> String {
        for _ in 0..3_000 {
            if let Some(value) = self.find(field) {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{} never logs {field}: {:?}", self.name, self.log.lock().unwrap());
    }

    fn find(&self, field: &str) -> Option<String> {
        let log = self.log.lock().unwrap();
        let value = |entry: &Value| {
            let value = entry.get(field).or_else(|| entry.get("fields")?.get(field))?;
            Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        };
        log.iter().find_map(value)
    }

    /// How many log entries contain the text.
    pub(crate) fn count(&self, text: &str) -> usize {
        self.log.lock().unwrap().iter().filter(|entry| entry.to_string().contains(text)).count()
    }

    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.id().expect("it runs").to_string();
        let status = std::process::Command::new("kill").args([signal, &id]).status().unwrap();
        assert!(status.success());
    }

    /// The end of the process, when its whole log has been read.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let status = tokio::time::timeout(Duration::from_mins(1), self.child.wait())
            .await
            .unwrap_or_else(|_| {
                panic!("{} does not end: {:?}", self.name, self.log.lock().unwrap())
            })
            .unwrap();
        if let Some(reading) = self.reading.take() {
            reading.await.unwrap();
        }
        status
    }
}

/// A local-sqs process, and the environment that points services at it.
pub(crate) struct Separate {
    _sqs: Process,
    pub(crate) data: TempDir,
    endpoint: String,
}

pub(crate) const FIFO: &str = "order-queue.fifo";

impl Separate {
    pub(crate) async fn start(visibility_seconds: u32) -> Self {
        let data = tempfile::tempdir().unwrap();
        let queues = data.path().join("queues.toml");
        std::fs::write(&queues, declared_queues(visibility_seconds)).unwrap();
        let env = [
            ("LOCAL_SQS_ADDR", "127.0.0.1:0".to_owned()),
            ("LOCAL_SQS_QUEUES", queues.display().to_string()),
        ];
        let sqs = Process::start("local-sqs", &env);
        let endpoint = sqs.logged("endpoint").await;
        Self { _sqs: sqs, data, endpoint }
    }

    pub(crate) fn url(&self, queue: &str) -> String {
        format!("{}/000000000000/{queue}", self.endpoint)
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.data.path().join("deliveries.db")
    }

    /// Starts a service, with further settings.
    pub(crate) fn service(&self, name: &'static str, more: &[(&'static str, &str)]) -> Process {
        let mut env = BTreeMap::from([
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("AWS_SQS_ENDPOINT", self.endpoint.clone()),
            ("SQS_QUEUE_URL_STANDARD", self.url("order-queue-standard")),
            ("SQS_QUEUE_URL_STANDARD_DLQ", self.url("order-queue-standard-dlq")),
            ("SQS_QUEUE_URL_FIFO", self.url(FIFO)),
            ("SQS_QUEUE_URL_FIFO_DLQ", self.url("order-queue-dlq.fifo")),
            ("DATABASE_URL", format!("sqlite://{}", self.database().display())),
            ("LISTEN_ADDR", "127.0.0.1:0".to_owned()),
            ("ADMIN_ADDR", "127.0.0.1:0".to_owned()),
        ]);
        env.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        Process::start(name, &env.into_iter().collect::<Vec<_>>())
    }

    /// Visible and in-flight messages, as SQS tells anybody.
    pub(crate) async fn counts(&self, curl: &Curl, queue: &str) -> (u64, u64) {
        let body = json!({ "QueueUrl": self.url(queue), "AttributeNames": ["All"] });
        let answer =
            curl.post_to_sqs(&self.endpoint, "GetQueueAttributes", &body.to_string()).await.json();
        let count = |name: &str| answer["Attributes"][name].as_str().unwrap().parse().unwrap();
        (count("ApproximateNumberOfMessages"), count("ApproximateNumberOfMessagesNotVisible"))
    }
}

fn declared_queues(visibility_seconds: u32) -> String {
    [
        ("order-queue-standard", "order-queue-standard-dlq"),
        ("order-queue.fifo", "order-queue-dlq.fifo"),
    ]
    .map(|(name, dead)| {
        format!(
            "[[queue]]\nname = \"{dead}\"\n[[queue]]\nname = \"{name}\"\n\
             dead_letter_queue = \"{dead}\"\nmax_receive_count = 3\n\
             [queue.attributes]\nVisibilityTimeout = \"{visibility_seconds}\"\n"
        )
    })
    .concat()
}
