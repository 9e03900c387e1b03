//! Trap 28 where handlers cannot be stopped in time.

use std::time::Duration;

use aws_sdk_sqs::types::QueueAttributeName;
use local_sqs::{FaultRule, Faults};
use sqs_consumer::{Health, Settings, Verdict};

use crate::{
    blocking::Case,
    rig::{Rig, STANDARD, quick, until},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn trap_28l_a_handler_that_could_not_be_stopped_says_to_the_scheduler_that_the_store_is_down()
{
    let rig = Rig::start().await;
    rig.set_attribute(STANDARD, QueueAttributeName::VisibilityTimeout, "6").await;
    let rule = FaultRule {
        operation: Some("ChangeMessageVisibilityBatch".to_owned()),
        error_rate: 1.0,
        ..FaultRule::default()
    };
    rig.server.set_faults(Faults { seed: 1, rules: vec![rule] });
    rig.send(STANDARD, ["block/1".to_owned()]).await;
    let settings = Settings { handler_timeout: Duration::from_secs(1), ..quick() };
    let down = Verdict::Unavailable("the store is down".to_owned());
    let case = Case::start(&rig, STANDARD, settings, Some(down));
    case.until_it_blocks();
    // No further attempt is to say so.
    rig.purge(STANDARD).await;
    until("its lease is lost", || case.metric("test_leases_lost_total") >= 1.0).await;
    let says_down = || *case.health.borrow() == Health::Failing("the store is down".to_owned());
    assert!(!says_down());
    case.go_on.send(()).expect("it blocks");
    until("the store is known to be down", says_down).await;
    assert!(case.metric("messaging_client_consumed_messages_total") < 2.0);
}
