//! SQS comes late, or goes for a while under load.

use std::{collections::BTreeMap, time::Duration};

use local_sqs::{FaultRule, Faults};

use crate::separate::effects;
use crate::{
    client::{Answer, Curl, order},
    rig::Running,
};

fn gone() -> Faults {
    let rule = FaultRule { drop_request_rate: 1.0, ..FaultRule::default() };
    Faults { seed: 1, rules: vec![rule] }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_sqs_under_load_loses_no_order_that_was_answered_202() {
    let fleet = Running::start(&[("RETRY_BACKOFF", "100ms")]).await;
    let curl = Curl::new();
    let api = format!("http://{}", fleet.at.order_api);
    let ready = |answer: &Answer| answer.status == 200;
    for admin in [fleet.at.order_api_admin, fleet.at.delivery_worker_admin] {
        curl.until(&format!("http://{admin}/readyz"), "ready", ready).await;
    }

    let mut accepted = BTreeMap::<String, Vec<String>>::new();
    let mut refused = 0;
    for i in 0..300 {
        // Messages that are held when it goes are leased past their timeout meanwhile.
        match i {
            100 => {
                fleet.sqs.set_faults(gone());
                fleet.sqs.skip(Duration::from_secs(31));
            }
            120 => {
                for admin in [fleet.at.order_api_admin, fleet.at.delivery_worker_admin] {
                    let unready = |answer: &Answer| answer.status == 503;
                    curl.until(&format!("http://{admin}/readyz"), "not ready", unready).await;
                    assert_eq!(curl.get(&format!("http://{admin}/livez")).await.status, 200);
                }
                fleet.sqs.set_faults(Faults::default());
            }
            _ => {}
        }
        let customer = format!("customer-{}", i % 7);
        let url = format!("{api}/api/orders?queueType=fifo");
        let send = curl.post(&url, order(&customer, &format!("상품{i}"), 1, 1));
        let Ok(answer) = tokio::time::timeout(Duration::from_secs(30), send).await else {
            panic!("the API neither accepts nor refuses");
        };
        match answer.status {
            202 => {
                let id = answer.json()["orderId"].as_str().unwrap().to_owned();
                accepted.entry(customer).or_default().push(id);
            }
            503 => refused += 1,
            other => panic!("{other}: {}", answer.text),
        }
    }
    assert!(refused > 0, "the outage was felt");
    for id in accepted.values().flatten() {
        let url = format!("http://{}/api/delivery/orders/{id}", fleet.at.delivery_worker);
        let delivered =
            |answer: &Answer| answer.status == 200 && answer.json()["status"] == "DELIVERED";
        curl.until(&url, "DELIVERED", delivered).await;
    }
    let effects = effects(&fleet.database()).await;
    for (customer, ids) in &accepted {
        // An order that was refused may have been sent all the same; those answered 202 are all
        // there, in the order of their answers.
        let answered = effects[customer].iter().filter(|id| ids.contains(id));
        assert!(answered.eq(ids), "{customer}");
    }
    fleet.stop().await;
}
