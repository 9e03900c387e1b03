//! What is said of a queue that cannot be read.

use local_sqs::{FaultRule, Faults, Handle, Server, ServerSettings};
use prometheus::{Registry, TextEncoder};
use sqs_consumer::aws::{CallMetrics, Options};

use super::*;
use crate::metrics::STATES;

fn counts(registry: &Registry) -> usize {
    let text = TextEncoder::new().encode_to_string(&registry.gather()).expect("it is text");
    text.lines().filter(|line| line.starts_with("sqs_queue_messages{")).count()
}

async fn advance(by: Duration) {
    tokio::time::pause();
    tokio::time::advance(by).await;
    tokio::time::resume();
}

/// An SQS, what counts the calls, and one of its queues.
async fn watched(role: Role) -> (Handle, Connection, Registry, Metrics, Watched) {
    let anywhere = "127.0.0.1:0".parse().expect("an address");
    let server = Server::bind(anywhere, ServerSettings::default()).await.expect("it binds");
    let (endpoint, sqs) = (server.endpoint(), server.handle());
    tokio::spawn(server.serve(std::future::pending()));
    let registry = Registry::new();
    let metrics = Metrics::register(&registry);
    let options = Options { endpoint: Some(endpoint.clone()), ..Options::default() };
    let connection = Connection::open(options, None, CallMetrics::register(&registry)).await;
    let url = format!("{endpoint}/000000000000/order-queue-standard");
    let watched = Watched::new(&connection, role, &url, &Arc::from([]));
    (sqs, connection, registry, metrics, watched)
}

fn refused(operation: &str) -> Faults {
    let operation = Some(operation.to_owned());
    let rule = FaultRule { operation, error_rate: 1.0, ..FaultRule::default() };
    Faults { seed: 1, rules: vec![rule] }
}

#[tokio::test]
async fn that_a_scan_failed_is_told_until_one_does_not() {
    let (sqs, connection, _registry, metrics, mut watched) = watched(Role::Dlq).await;
    watched.measure(&connection, &metrics).await.expect("it is read");
    let failed = || Err(ScanError::from(QueueError::Unavailable("not now".to_owned())));
    let error = watched.peeked(&metrics, failed()).expect_err("it is not scanned");
    assert!(error.contains("not now"), "{error}");
    for _ in 0..2 {
        watched.measure(&connection, &metrics).await.expect("it is read");
        let told = watched.look.error.as_deref().expect("an error");
        assert!(told.contains("not now"), "its attributes are another matter: {told}");
        assert!(watched.is_to_be_scanned(Instant::now()), "that is tried again");
    }
    watched.peeked(&metrics, Ok(None)).expect("it is well");
    assert_eq!(watched.look.error, None);
    watched.peeked(&metrics, failed()).expect_err("it is not scanned");
    sqs.set_faults(refused("GetQueueAttributes"));
    watched.measure(&connection, &metrics).await.expect_err("it is refused");
    assert!(!watched.is_to_be_scanned(Instant::now()), "it cannot even be read");
    watched.peeked(&metrics, Ok(None)).expect("it is well");
    assert!(watched.look.error.is_some(), "it cannot be read");
    sqs.set_faults(Faults::default());
    watched.measure(&connection, &metrics).await.expect("it is read");
    assert_eq!(watched.look.error, None);
}

#[tokio::test]
async fn the_counts_of_a_queue_that_cannot_be_read_stand_for_a_while_and_then_are_gone() {
    let (sqs, connection, registry, metrics, mut watched) = watched(Role::Source).await;

    watched.measure(&connection, &metrics).await.expect("it is read");
    assert_eq!(counts(&registry), STATES.len());
    sqs.set_faults(refused("GetQueueAttributes"));
    watched.measure(&connection, &metrics).await.expect_err("it is refused");
    assert_eq!(counts(&registry), STATES.len(), "a moment does not matter");
    advance(COUNTS_STAND).await;
    watched.measure(&connection, &metrics).await.expect_err("it is refused");
    assert_eq!(counts(&registry), 0, "what was is not what is");
    sqs.set_faults(Faults::default());
    watched.measure(&connection, &metrics).await.expect("it is read");
    assert_eq!(counts(&registry), STATES.len());
}
