//! `fleet-check` against a fleet in this process: it passes a sound one, and fails one that is not.

use fleet_check::Settings;
use local_fleet::Addresses;
use service_kit::{Shutdown, settings::Reader};

use crate::rig::Running;

/// Runs the checks against these addresses, with further settings.
async fn check(at: &Addresses, further: &[(&str, &str)]) -> anyhow::Result<()> {
    let queue = |name: &str| format!("http://{}/000000000000/{name}", at.sqs);
    let mut env = vec![
        ("FLEET_CHECK_API_URL".to_owned(), format!("http://{}", at.order_api)),
        ("FLEET_CHECK_MONITOR_URL".to_owned(), format!("http://{}", at.dlq_monitor_admin)),
        ("SQS_QUEUE_URL_STANDARD".to_owned(), queue("order-queue-standard")),
        ("SQS_QUEUE_URL_STANDARD_DLQ".to_owned(), queue("order-queue-standard-dlq")),
        ("SQS_QUEUE_URL_FIFO".to_owned(), queue("order-queue.fifo")),
    ];
    env.extend(further.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let mut reader = Reader::load(Settings::table(), None, env);
    let settings = Settings::read(&mut reader);
    let settings = reader.finish(settings).expect("the settings are valid");
    // Kept until the checks have ended: without it they would be told to stop.
    let (_stop, shutdown) = Shutdown::new();
    Box::pin(fleet_check::run(settings, shutdown)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fleet_check_passes_a_sound_fleet_and_leaves_its_dead_letter_queue_empty() {
    let fleet = Running::start(&[("RETRY_BACKOFF", "10ms")]).await;
    check(&fleet.at, &[]).await.expect("every check passes");
    let counts = fleet.sqs.queue_counts("order-queue-standard-dlq").expect("there is the queue");
    assert_eq!((counts.visible, counts.in_flight), (0, 0));
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fleet_check_fails_where_an_order_that_should_fail_is_delivered() {
    let fleet = Running::start(&[("FAIL_TEST_PRODUCTS", "false")]).await;
    let short = [("FLEET_CHECK_TIMEOUT", "10s")];
    let verdict = check(&fleet.at, &short).await.expect_err("no order is dead-lettered");
    assert_eq!(verdict.to_string(), "3 of 6 checks failed");
    // Such a fleet is sound all the same, for whoever says so.
    let knowing = [("FLEET_CHECK_FAILING_ORDERS", "false")];
    check(&fleet.at, &knowing).await.expect("every other check passes");
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fleet_check_fails_every_check_where_nobody_answers() {
    let fleet = Running::start(&[]).await;
    let at = fleet.at;
    fleet.stop().await;
    let short = [("FLEET_CHECK_TIMEOUT", "1s")];
    let verdict = check(&at, &short).await.expect_err("nobody is there");
    assert_eq!(verdict.to_string(), "6 of 6 checks failed");
}
