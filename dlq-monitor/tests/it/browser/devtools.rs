//! The DevTools protocol, spoken over a pipe: Chromium reads messages from its third file descriptor and
//! writes to its fourth, each ended by a zero byte. So there is no port to find out and no WebSocket.

use std::{
    collections::HashMap,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, Command},
    sync::{Mutex as AsyncMutex, oneshot},
};

/// For one command; nothing here takes as long unless the browser hangs.
const LONGEST: Duration = Duration::from_mins(1);

/// A browser with a profile of its own, which ends when this goes out of scope.
pub(super) struct Browser {
    input: AsyncMutex<ChildStdin>,
    shared: Arc<Mutex<Shared>>,
    _child: Child,
    _profile: TempDir,
}

#[derive(Default)]
struct Shared {
    last_id: u64,
    asked: HashMap<u64, oneshot::Sender<Value>>,
    events: Vec<Value>,
    /// No answer comes any more.
    ended: bool,
}

impl Browser {
    pub(super) fn start() -> Self {
        let profile = tempfile::tempdir().expect("a folder");
        let mut child = Command::new("sh")
            .args(["-c", r#"exec chromium "$@" 3<&0 4>&1 </dev/null >&2"#, "chromium"])
            .args([
                "--remote-debugging-pipe",
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--hide-scrollbars",
                "--lang=en",
                "--host-resolver-rules=MAP monitor.example 127.0.0.1",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("a shell is installed");
        let input = child.stdin.take().expect("it is piped");
        let output = child.stdout.take().expect("it is piped");
        let shared = Arc::<Mutex<Shared>>::default();
        tokio::spawn(read(output, Arc::clone(&shared)));
        Self { input: AsyncMutex::new(input), shared, _child: child, _profile: profile }
    }

    /// What a command is answered with, or why it failed.
    pub(super) async fn try_call(
        &self,
        session: Option<&str>,
        method: &str,
        parameters: Value,
    ) -> Result<Value, String> {
        let (answered, answer) = oneshot::channel();
        let id = {
            let mut shared = lock(&self.shared);
            if shared.ended {
                return Err("the browser has ended: is chromium installed?".to_owned());
            }
            shared.last_id += 1;
            let id = shared.last_id;
            shared.asked.insert(id, answered);
            id
        };
        let mut message = json!({ "id": id, "method": method, "params": parameters });
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        // A browser that is not there shows by the answer that does not come.
        _ = self.input.lock().await.write_all(&bytes).await;
        let answer = tokio::time::timeout(LONGEST, answer).await;
        let answer = answer.map_err(|_| format!("{method} is not answered"))?;
        let mut answer = answer.map_err(|_| "the browser has ended".to_owned())?;
        match answer["error"]["message"].as_str() {
            Some(error) => Err(format!("{method}: {error}")),
            None => Ok(answer["result"].take()),
        }
    }

    /// What a command is answered with.
    pub(super) async fn call(
        &self,
        session: Option<&str>,
        method: &str,
        parameters: Value,
    ) -> Value {
        let answer = self.try_call(session, method, parameters).await;
        answer.unwrap_or_else(|error| panic!("{error}"))
    }

    /// What it has told by itself so far.
    pub(super) fn events(&self) -> Vec<Value> {
        lock(&self.shared).events.clone()
    }
}

fn lock(shared: &Mutex<Shared>) -> std::sync::MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn read(output: impl AsyncRead + Unpin, shared: Arc<Mutex<Shared>>) {
    let mut output = BufReader::new(output);
    let mut bytes = Vec::new();
    while output.read_until(0, &mut bytes).await.is_ok_and(|read| read > 0) {
        bytes.pop();
        let message: Value = serde_json::from_slice(&bytes).expect("a message is JSON");
        bytes.clear();
        let mut shared = lock(&shared);
        match message["id"].as_u64() {
            Some(id) => {
                if let Some(answered) = shared.asked.remove(&id) {
                    // Who has given up waiting is not interested.
                    _ = answered.send(message);
                }
            }
            None => shared.events.push(message),
        }
    }
    let mut shared = lock(&shared);
    shared.ended = true;
    shared.asked.clear();
}
