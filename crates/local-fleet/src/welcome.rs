//! What a newcomer reads first.

use std::{
    io::{self, Write},
    path::Path,
};

use crate::{Addresses, Observers};

/// Prints where things are and what to try, to standard output; the log goes to standard error.
pub fn welcome(at: &Addresses, data_dir: &Path, observers: Option<&Observers>) {
    let Addresses { sqs, order_api, delivery_worker, dlq_monitor, .. } = at;
    let (api_admin, worker_admin, monitor_admin) =
        (at.order_api_admin, at.delivery_worker_admin, at.dlq_monitor_admin);
    let data = data_dir.join("deliveries.db");
    let data = data.display();
    let observers = observers.map(observed).unwrap_or_default();
    let text = format!(
        r#"
The fleet is running: order API -> SQS -> delivery worker -> deliveries, and dead letters.

  order API        http://{order_api}/docs                   metrics http://{api_admin}/metrics
  delivery worker  http://{delivery_worker}/api/delivery/status    metrics http://{worker_admin}/metrics
  DLQ monitor      http://{dlq_monitor}/                       metrics http://{monitor_admin}/metrics
  embedded SQS     http://{sqs}   (in memory: not durable, not for production)
  deliveries       {data}
{observers}
Try, in another terminal:

  # an order on the standard queue
  curl -i 'http://{order_api}/api/orders?queueType=standard' -H 'content-type: application/json' \
    -d '{{"customerId":"customer-001","items":[{{"productId":"p1","productName":"상품1","quantity":1,"price":10000}}]}}'

  # its delivery (take the orderId from the answer, or follow its Location)
  curl -s http://{order_api}/api/orders/ORDER_ID

  # an order that always fails: three attempts, then the dead-letter queue
  curl -s http://{order_api}/api/orders -H 'content-type: application/json' \
    -d '{{"customerId":"customer-001","items":[{{"productId":"p1","productName":"실패테스트","quantity":1,"price":10000}}]}}'
  curl -s http://{monitor_admin}/metrics | grep 'sqs_queue_messages.*role="dlq"'

Ctrl-C drains and stops; a second Ctrl-C aborts.

"#
    );
    // A closed pipe is no reason to stop.
    _ = io::stdout().lock().write_all(text.as_bytes());
}

fn observed(observers: &Observers) -> String {
    let (prometheus, alertmanager) = (observers.prometheus, observers.alertmanager);
    format!(
        "  Prometheus       http://{prometheus}/alerts
  Alertmanager     http://{alertmanager}   (amtool alert --alertmanager.url=http://{alertmanager})
"
    )
}
