//! What is said of a queue that cannot be read.

use local_sqs::{FaultRule, Faults, Server, ServerSettings};
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

#[tokio::test]
async fn the_counts_of_a_queue_that_cannot_be_read_stand_for_a_while_and_then_are_gone() {
    let anywhere = "127.0.0.1:0".parse().expect("an address");
    let server = Server::bind(anywhere, ServerSettings::default()).await.expect("it binds");
    let (endpoint, sqs) = (server.endpoint(), server.handle());
    tokio::spawn(server.serve(std::future::pending()));
    let registry = Registry::new();
    let metrics = Metrics::register(&registry);
    let options = Options { endpoint: Some(endpoint.clone()), ..Options::default() };
    let connection = Connection::open(options, None, CallMetrics::register(&registry)).await;
    let url = format!("{endpoint}/000000000000/order-queue-standard");
    let mut watched = Watched::new(&connection, Role::Source, &url, &Arc::from([]));

    watched.measure(&connection, &metrics).await.expect("it is read");
    assert_eq!(counts(&registry), STATES.len());
    let operation = Some("GetQueueAttributes".to_owned());
    let refused = FaultRule { operation, error_rate: 1.0, ..FaultRule::default() };
    sqs.set_faults(Faults { seed: 1, rules: vec![refused] });
    watched.measure(&connection, &metrics).await.expect_err("it is refused");
    assert_eq!(counts(&registry), STATES.len(), "a moment does not matter");
    advance(COUNTS_STAND).await;
    watched.measure(&connection, &metrics).await.expect_err("it is refused");
    assert_eq!(counts(&registry), 0, "what was is not what is");
    sqs.set_faults(Faults::default());
    watched.measure(&connection, &metrics).await.expect("it is read");
    assert_eq!(counts(&registry), STATES.len());
}
