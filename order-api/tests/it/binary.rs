use crate::harness::{FakeSqs, ORDER, call, queue_url};
use axum::{Router, body::Bytes, http::Uri};
use order_api::Settings;
use std::{
    net::SocketAddr,
    process::{Output, Stdio},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    process::{Child, ChildStderr, Command},
    sync::mpsc,
};

const BINARY: &str = env!("CARGO_BIN_EXE_order-api");

fn command() -> Command {
    of_program(BINARY)
}

/// The binary with limits of open files, in the words of the shell's `ulimit`.
fn limited(limits: &str) -> Command {
    let mut command = of_program("/bin/sh");
    let script = format!("ulimit {limits} && exec \"$0\"");
    command.args(["-c", script.as_str(), BINARY]);
    command
}

fn of_program(program: &str) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("LISTEN_ADDR", "127.0.0.1:0")
        .env("ADMIN_ADDR", "127.0.0.1:0")
        .kill_on_drop(true);
    command
}

async fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().await.expect("started");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (status.code(), text(stdout), text(stderr))
}

pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) addr: SocketAddr,
    pub(crate) admin: SocketAddr,
    /// Kept, so that the log has somewhere to go.
    log: tokio::io::Lines<BufReader<ChildStderr>>,
}

/// Starts the binary and waits until its log says where it listens.
pub(crate) async fn start(env: &[(&str, &str)]) -> Running {
    until_up(command().envs(env.iter().copied())).await
}

async fn until_up(command: &mut Command) -> Running {
    let mut child = command.stderr(Stdio::piped()).spawn().expect("started");
    let mut log = BufReader::new(child.stderr.take().expect("piped")).lines();
    loop {
        let line =
            log.next_line().await.expect("readable").expect("the log goes on until it is up");
        let event: serde_json::Value = serde_json::from_str(&line).expect("the log is JSON");
        if event["message"] == "order-api is up" {
            let addr = |name: &str| {
                let addr = event[name].as_str().and_then(|addr| addr.parse().ok());
                addr.expect("an address")
            };
            return Running { child, addr: addr("listen"), admin: addr("admin"), log };
        }
    }
}

async fn terminate(child: &Child) {
    let pid = child.id().expect("running").to_string();
    assert!(Command::new("kill").arg(pid).status().await.expect("kill runs").success());
}

#[tokio::test]
async fn the_help_shows_every_setting() {
    let (code, help, _) = run(command().arg("--help")).await;
    assert_eq!(code, Some(0));
    for setting in Settings::table() {
        assert!(help.contains(setting.name), "{} is missing in\n{help}", setting.name);
    }
    let (code, version, _) = run(command().arg("--version")).await;
    assert_eq!(
        (code, version.as_str()),
        (Some(0), concat!("order-api ", env!("CARGO_PKG_VERSION"), "\n"))
    );
}

#[tokio::test]
async fn wrong_settings_are_all_named_with_exit_code_64() {
    let (code, _, problems) = run(command()
        .env("LISTEN_ADDR", "nowhere")
        .env("PUBLISH_TIMEOUT", "1h")
        .env("PUBLISH_TIMEOT", "1s")
        .arg("--check-config"))
    .await;
    assert_eq!(code, Some(64), "{problems}");
    for name in
        ["LISTEN_ADDR = \"nowhere\"", "PUBLISH_TIMEOUT = \"1h\"", "did you mean PUBLISH_TIMEOUT?"]
    {
        assert!(problems.contains(name), "{name} is missing in\n{problems}");
    }
    let (code, ..) = run(command().env("PUBLISH_TIMEOUT", "1h")).await;
    assert_eq!(code, Some(64), "nothing starts with wrong settings");
    let (code, said, _) = run(command().arg("--check-config")).await;
    assert_eq!((code, said.as_str()), (Some(0), "settings are valid\n"));
    let (code, _, usage) = run(command().arg("--confg")).await;
    assert_eq!(code, Some(64));
    assert!(usage.contains("unknown argument --confg") && usage.contains("Usage:"), "{usage}");
}

#[tokio::test]
async fn a_taken_port_is_named_with_exit_code_69() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let addr = taken.local_addr().expect("an address").to_string();
    let (code, _, error) = run(command().env("LISTEN_ADDR", &addr)).await;
    assert_eq!(code, Some(69), "{error}");
    assert!(
        error.contains(&format!("{addr} is in use: stop the other program or set LISTEN_ADDR"))
    );
}

#[tokio::test]
async fn as_many_files_may_be_open_as_the_hard_limit_allows() {
    let running = until_up(&mut limited("-S -n 100")).await;
    let pid = running.child.id().expect("running");
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).expect("Linux tells them");
    let files = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let files: Vec<&str> = files.expect("among them").split_whitespace().collect();
    assert_eq!(files[0], files[1], "the soft limit is the hard one: {files:?}");
}

#[tokio::test]
async fn where_too_few_files_may_be_open_for_the_connections_there_are_fewer_and_it_says_so() {
    let mut running = until_up(&mut limited("-n 300")).await;
    loop {
        let line = running.log.next_line().await.expect("readable").expect("it says so");
        let event: serde_json::Value = serde_json::from_str(&line).expect("the log is JSON");
        if event["wanted"] == 4096 {
            assert_eq!((&event["connections"], &event["files"]), (&150.into(), &300.into()));
            break;
        }
    }
}

#[tokio::test]
async fn a_buffer_that_cannot_be_full_before_the_connections_are_all_in_use_is_warned_of() {
    for (buffer, warned) in [("16", true), ("15", false)] {
        let env = [("MAX_CONNECTIONS", "16"), ("PUBLISH_BUFFER_ORDERS", buffer)];
        let mut running = start(&env).await;
        terminate(&running.child).await;
        let mut said = false;
        while let Some(line) = running.log.next_line().await.expect("readable") {
            said |= line.contains("PUBLISH_BUFFER_ORDERS is not less than MAX_CONNECTIONS");
        }
        assert_eq!(said, warned, "{buffer} orders in 16 connections");
    }
}

#[tokio::test]
async fn sigterm_stops_the_service_with_exit_code_0() {
    let mut running = start(&[]).await;
    terminate(&running.child).await;
    assert_eq!(running.child.wait().await.expect("ended").code(), Some(0));
}

#[tokio::test]
async fn a_second_signal_aborts_the_drain_with_exit_code_130() {
    let mut running = start(&[]).await;
    let mut client = TcpStream::connect(running.addr).await.expect("connected");
    let unfinished = "POST /api/orders HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n";
    client.write_all(unfinished.as_bytes()).await.expect("sent");
    let mut interim = BufReader::new(client);
    let mut line = String::new();
    interim.read_line(&mut line).await.expect("read");
    assert_eq!(line, "HTTP/1.1 100 Continue\r\n", "the request is being read");
    terminate(&running.child).await;
    while let Some(line) = running.log.next_line().await.expect("readable") {
        if line.contains("a second signal aborts") {
            break;
        }
    }
    terminate(&running.child).await;
    assert_eq!(running.child.wait().await.expect("ended").code(), Some(130));
}

#[tokio::test]
async fn a_message_carries_the_trace_of_its_request_and_the_spans_are_flushed_at_the_end() {
    let sqs = FakeSqs::start().await;
    let (seen, mut exports) = mpsc::unbounded_channel();
    let collector = Router::new().fallback(async move |uri: Uri, body: Bytes| {
        seen.send((uri.path().to_owned(), body)).expect("the test waits");
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async { axum::serve(listener, collector).await });
    let mut running = start(&[
        ("SQS_QUEUE_URL_STANDARD", &queue_url(sqs.addr, "order-queue-standard")),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
        // Longer than the test: only the flush at the end sends anything.
        ("OTEL_BSP_SCHEDULE_DELAY", "600000"),
    ])
    .await;

    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let headers = [("Content-Type", "application/json"), ("traceparent", parent)];
    let answer = call(running.addr, "POST /api/orders", &headers, ORDER.as_bytes()).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let sends = sqs.sends.lock().expect("no panic").clone();
    let attributes = &sends[0]["MessageAttributes"];
    assert_eq!(attributes.as_object().map(serde_json::Map::len), Some(1), "of the ten allowed");
    let attribute = &attributes["traceparent"];
    assert_eq!(attribute["DataType"], "String");
    let carried = attribute["StringValue"].as_str().expect("a text");
    assert_eq!(carried[..36], parent[..36], "the trace is the request's");
    assert_ne!(carried[36..52], parent[36..52], "the span is the send's");

    assert!(exports.try_recv().is_err(), "nothing is exported before the end");
    terminate(&running.child).await;
    assert_eq!(running.child.wait().await.expect("ended").code(), Some(0));
    let (path, body) = exports.recv().await.expect("flushed");
    assert_eq!(path, "/v1/traces");
    let body = String::from_utf8_lossy(&body);
    for span in ["POST /api/orders", "send order-queue-standard", "order-api"] {
        assert!(body.contains(span), "{span} is missing");
    }
}
