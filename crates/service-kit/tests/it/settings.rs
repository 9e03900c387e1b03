use service_kit::settings::{
    FLEET_NAMES, LogFormat, Problems, Reader, Sampler, Setting, common, listeners, settings_help,
    settings_markdown,
};
use std::{io::Write, net::SocketAddr, time::Duration};

fn table() -> Vec<Setting> {
    let mut table = common();
    table.extend(listeners("0.0.0.0:8080", "0.0.0.0:9080"));
    table.extend([
        Setting::new("WORKER_CONCURRENCY", "64", "1 to 1000", "Handlers at once"),
        Setting::new("HANDLER_TIMEOUT", "20s", "1ms to 12h", "Time of one attempt"),
        Setting::new("FAIL_TEST_PRODUCTS", "true", "true, false", "Whether test products fail"),
        Setting::optional("MONITOR_TOKEN", "a text", "Who may act").secret(),
    ]);
    table
}

fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn reader(pairs: &[(&str, &str)]) -> Reader {
    Reader::load(table(), None, env(pairs))
}

fn with_file(toml: &str, pairs: &[(&str, &str)]) -> Reader {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(toml.as_bytes()).expect("written");
    Reader::load(table(), Some(file.path()), env(pairs))
}

fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3600)
}

fn problems(mut reader: Reader) -> Problems {
    read_all(&mut reader);
    reader.finish(()).expect_err("something is wrong")
}

fn read_all(reader: &mut Reader) -> (u32, Duration, bool, SocketAddr) {
    reader.common();
    reader.optional("MONITOR_TOKEN");
    reader.socket_addr("ADMIN_ADDR");
    (
        reader.number("WORKER_CONCURRENCY", 1..=1000),
        reader.duration("HANDLER_TIMEOUT", Duration::from_millis(1)..=hours(12)),
        reader.flag("FAIL_TEST_PRODUCTS"),
        reader.socket_addr("LISTEN_ADDR"),
    )
}

#[test]
fn the_environment_wins_over_the_file_and_the_file_over_the_default() {
    let mut reader = with_file(
        "worker_concurrency = 7\nhandler_timeout = \"3s\"\nfail_test_products = false",
        &[("WORKER_CONCURRENCY", "8"), ("LISTEN_ADDR", "127.0.0.1:0"), ("HOME", "/home/me")],
    );
    let read = read_all(&mut reader);
    let listen = "127.0.0.1:0".parse().expect("an address");
    assert_eq!(reader.finish(read), Ok((8, Duration::from_secs(3), false, listen)));
}

#[test]
fn all_problems_are_reported_together_with_name_value_and_what_is_allowed() {
    let problems = problems(reader(&[
        ("WORKER_CONCURRENCY", "many"),
        ("HANDLER_TIMEOUT", "13h"),
        ("FAIL_TEST_PRODUCTS", "perhaps"),
        ("LISTEN_ADDR", "localhost"),
        ("WORKER_CONCURENCY", "9"),
        ("SQS_QUEUE_URL_STANDARD", "order-queue"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("RUST_LOG", "info,=="),
    ]));
    let text = problems.to_string();
    for expected in [
        "8 settings are wrong:",
        "WORKER_CONCURRENCY = \"many\"\n      allowed: 1 to 1000",
        "HANDLER_TIMEOUT = \"13h\"\n      allowed: 1ms to 12h",
        "FAIL_TEST_PRODUCTS = \"perhaps\"",
        "LISTEN_ADDR = \"localhost\"",
        "WORKER_CONCURENCY = \"9\"\n      allowed: no setting has this name; did you mean WORKER_CONCURRENCY?",
        "SQS_QUEUE_URL_STANDARD = \"order-queue\"",
        "OTEL_EXPORTER_OTLP_PROTOCOL = \"grpc\"\n      allowed: http/protobuf",
        "RUST_LOG = ",
    ] {
        assert!(text.contains(expected), "{expected} is missing in\n{text}");
    }
}

#[test]
fn names_of_other_binaries_and_kubernetes_service_links_are_not_unknown() {
    let mut reader = reader(&[
        ("MONITOR_INTERVAL", "anything"),
        ("LOCAL_SQS_ADDR", "127.0.0.1:9324"),
        ("WORKER_SERVICE_HOST", "10.0.0.1"),
        ("WORKER_SERVICE_PORT", "8081"),
        ("WORKER_SERVICE_PORT_HTTP", "8081"),
        ("WORKER_PORT", "tcp://10.0.0.1:8081"),
        ("WORKER_PORT_8081_TCP_ADDR", "10.0.0.1"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=b"),
        ("AWS_PROFILE", "dev"),
    ]);
    read_all(&mut reader);
    assert_eq!(reader.finish(()), Ok(()));
}

#[test]
fn an_unknown_key_and_a_nested_table_in_the_file_are_problems() {
    let problems = problems(with_file(
        "worker_concurency = 1\nmonitor_interval = \"9s\"\n[worker]\nx = 1",
        &[],
    ));
    let text = problems.to_string();
    assert_eq!(problems.0.len(), 2, "{text}");
    assert!(text.contains("did you mean worker_concurrency?"), "{text}");
    assert!(text.contains("(a table or list)"), "{text}");
}

#[test]
fn a_file_that_is_missing_or_not_toml_is_a_problem() {
    assert_eq!(problems(with_file("worker_concurrency = ", &[])).0[0].name, "--config");
    let reader = Reader::load(table(), Some("/does/not/exist.toml".as_ref()), []);
    assert_eq!(problems(reader).0[0].name, "--config");
}

#[test]
fn the_value_of_a_secret_is_never_shown() {
    let problems =
        problems(reader(&[("AWS_SECRET_KEY", "hunter2"), ("MONITOR_TOKENN", "hunter2")]));
    let text = problems.to_string();
    assert!(!text.contains("hunter2"), "{text}");
    assert!(text.contains("AWS_SECRET_ACCESS_KEY = \"***\""), "{text}");
    assert!(text.contains("MONITOR_TOKENN = \"***\""), "{text}");
}

#[test]
fn credentials_are_read_by_both_spellings_and_with_the_token_of_temporary_ones() {
    let read = |pairs: &[(&str, &str)]| reader(pairs).common().aws.credentials;
    let old = read(&[("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_KEY", "old")]);
    assert_eq!(
        old.map(|(id, secret, _)| (id, secret.expose().to_owned())),
        Some(("id".into(), "old".into()))
    );
    let both =
        [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_KEY", "old"), ("AWS_SECRET_ACCESS_KEY", "new")];
    assert_eq!(read(&both).map(|(_, secret, _)| secret.expose().to_owned()), Some("new".into()));
    let temporary =
        [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_KEY", "s"), ("AWS_SESSION_TOKEN", "t")];
    let token = read(&temporary).and_then(|(_, _, token)| token);
    assert_eq!(token.map(|token| token.expose().to_owned()), Some("t".to_owned()));
}

#[test]
fn an_empty_variable_of_an_optional_setting_means_not_set() {
    let mut fine = reader(&[("SQS_QUEUE_URL_FIFO", ""), ("MONITOR_TOKEN", ""), ("RUST_LOG", "")]);
    read_all(&mut fine);
    assert_eq!(fine.common().queues.fifo, None);
    assert_eq!(fine.finish(()), Ok(()));
    assert_eq!(problems(reader(&[("WORKER_CONCURRENCY", "")])).0[0].name, "WORKER_CONCURRENCY");
}

#[test]
fn queues_of_the_wrong_kind_are_problems() {
    let problems = problems(reader(&[
        ("SQS_QUEUE_URL_FIFO", "http://127.0.0.1:9324/000000000000/order-queue-standard"),
        ("SQS_QUEUE_URL_STANDARD", "http://127.0.0.1:9324/000000000000/order-queue.fifo"),
    ]));
    assert_eq!(problems.0.len(), 2, "{problems}");
}

#[test]
fn tracing_is_off_without_an_endpoint_and_when_disabled() {
    let otlp = |pairs: &[(&str, &str)]| reader(pairs).telemetry().otlp;
    assert!(otlp(&[]).is_none());
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/");
    let on = otlp(&[
        endpoint,
        ("OTEL_TRACES_SAMPLER", "traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
    ]);
    let on = on.expect("an endpoint is set");
    assert_eq!(on.traces_url, "http://collector:4318/v1/traces");
    assert_eq!(on.sampler, Sampler::Ratio(0.25));
    let full = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://other:4318/custom");
    assert_eq!(otlp(&[endpoint, full]).expect("set").traces_url, "http://other:4318/custom");
    assert!(otlp(&[endpoint, ("OTEL_SDK_DISABLED", "true")]).is_none());
    assert_eq!(reader(&[("LOG_FORMAT", "JSON")]).telemetry().format, LogFormat::Json);
}

#[test]
fn the_help_shows_every_setting_within_a_hundred_columns() {
    let help = settings_help(&table());
    for row in table() {
        assert!(help.contains(row.name), "{}", row.name);
    }
    for line in help.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
}

#[test]
fn the_markdown_has_one_row_per_setting() {
    let rows = [
        Setting::new("A", "1", "1 | 2", "First"),
        Setting::optional("B", "a text", "Second").aliases(&["B_OLD"]),
    ];
    assert_eq!(
        settings_markdown(&rows),
        "| variable | default | allowed | meaning |\n|---|---|---|---|\n\
         | `A` | `1` | 1 \\| 2 | First |\n\
         | `B` (older spelling `B_OLD`) | none | a text | Second |\n"
    );
}

#[test]
fn the_common_settings_are_names_of_the_fleet() {
    for row in common().into_iter().chain(listeners("", "")) {
        for name in std::iter::once(&row.name).chain(row.aliases) {
            assert!(FLEET_NAMES.contains(name), "{name}");
        }
    }
}
