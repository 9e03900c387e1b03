use crate::harness::{Api, ORDER, call, post, queue_url, until};
use local_sqs::{Server, ServerSettings};
use order_events::OrderEvent;
use prometheus::Registry;
use sqs_consumer::aws::{CallMetrics, Connection, Options};
use std::{net::SocketAddr, time::Duration};
use tokio::task::JoinHandle;

/// A message as the queue has it.
#[derive(Debug)]
struct Received {
    body: String,
    group: Option<String>,
    deduplication: Option<String>,
}

struct Sqs {
    addr: SocketAddr,
    serving: JoinHandle<()>,
}

impl Drop for Sqs {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Sqs {
    async fn start() -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    async fn start_at(addr: SocketAddr) -> Self {
        Self::start_as(addr, ServerSettings::default()).await
    }

    async fn start_as(addr: SocketAddr, settings: ServerSettings) -> Self {
        let server = Server::bind(addr, settings).await.expect("bound");
        let addr = server.local_addr();
        let serving = tokio::spawn(async {
            server.serve(std::future::pending()).await.expect("serves");
        });
        Self { addr, serving }
    }

    async fn receive(&self, queue: &str, count: usize) -> Vec<Received> {
        let url = queue_url(self.addr, queue);
        let calls = CallMetrics::register(&Registry::new());
        let connection = Connection::open(Options::default(), Some(&url), calls).await;
        let mut received = Vec::new();
        until("the messages are there", async || {
            let call = connection
                .receiving()
                .receive_message()
                .queue_url(&url)
                .max_number_of_messages(10)
                .message_system_attribute_names("All".into());
            for message in call.send().await.expect("received").messages() {
                let attribute = |name: &str| {
                    message
                        .attributes
                        .as_ref()?
                        .iter()
                        .find(|(key, _)| key.as_str() == name)
                        .map(|(_, value)| value.clone())
                };
                received.push(Received {
                    body: message.body().expect("a body").to_owned(),
                    group: attribute("MessageGroupId"),
                    deduplication: attribute("MessageDeduplicationId"),
                });
            }
            received.len() >= count
        })
        .await;
        received
    }
}

#[tokio::test]
async fn an_accepted_standard_order_is_in_the_queue_as_it_was_answered() {
    let sqs = Sqs::start().await;
    let api = Api::start(sqs.addr, &[]).await;
    let answer = post(api.addr, "", ORDER).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let event = OrderEvent::from_json(&answer.body).expect("an order");
    assert_eq!(event.customer_id, "customer-001");
    assert_eq!(event.items[0].product_name, "상품1");
    assert!(answer.body.contains(r#""price":12.50}],"totalAmount":25.00,"#), "{}", answer.body);
    let location = format!("/api/delivery/orders/{}", event.order_id);
    assert_eq!(answer.header("location"), Some(location.as_str()));

    let messages = sqs.receive("order-queue-standard", 1).await;
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].body, answer.body);
    assert_eq!(messages[0].group.as_deref(), Some("customer-001"));
    api.stop().await;
}

#[tokio::test]
async fn fifo_orders_of_any_customer_keep_their_order_in_the_customers_group() {
    let sqs = Sqs::start().await;
    let api = Api::start(sqs.addr, &[("DELIVERY_BASE_URL", "https://deliveries.example/")]).await;
    let mut sent = Vec::new();
    for number in 1..=5 {
        let body = ORDER
            .replace("상품1", &format!("FIFO-상품{number}"))
            .replace("customer-001", "고객 하나");
        let answer = post(api.addr, "?queueType=fifo", &body).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        let location = answer.header("location").expect("a location");
        assert!(
            location.starts_with("https://deliveries.example/api/delivery/orders/"),
            "{location}"
        );
        sent.push(answer.body);
    }
    let messages = sqs.receive("order-queue.fifo", 5).await;
    let bodies: Vec<_> = messages.iter().map(|message| message.body.clone()).collect();
    assert_eq!(bodies, sent);
    for message in &messages {
        let event = OrderEvent::from_json(&message.body).expect("an order");
        assert_eq!(event.customer_id, "고객 하나");
        assert_eq!(message.group, Some(order_events::message_group_id("고객 하나")));
        assert_eq!(message.deduplication, Some(event.order_id.to_string()));
    }
    api.stop().await;
}

#[tokio::test]
async fn texts_of_every_kind_are_carried_exactly() {
    let sqs = Sqs::start().await;
    let api = Api::start(sqs.addr, &[]).await;
    let name = "<script>\u{0}\u{7f}\u{fffe}\u{ffff}\u{1f600}\u{202e}\"\\\n";
    let mut order: serde_json::Value = serde_json::from_str(ORDER).expect("JSON");
    order["items"][0]["productName"] = name.into();
    let answer = post(api.addr, "", &order.to_string()).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let messages = sqs.receive("order-queue-standard", 1).await;
    let event = OrderEvent::from_json(&messages[0].body).expect("an order");
    assert_eq!(event.items[0].product_name, name);
    api.stop().await;
}

#[tokio::test]
async fn the_same_key_and_customer_give_the_same_order_and_one_message_on_fifo() {
    let sqs = Sqs::start().await;
    let api = Api::start(sqs.addr, &[]).await;
    let ordered = async |key: &str, body: &str| {
        let headers = [("Content-Type", "application/json"), ("Idempotency-Key", key)];
        let answer =
            call(api.addr, "POST /api/orders?queueType=fifo", &headers, body.as_bytes()).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        OrderEvent::from_json(&answer.body).expect("an order").order_id
    };
    let first = ordered("key-1", ORDER).await;
    assert_eq!(ordered("key-1", ORDER).await, first);
    let other_key = ordered("key-2", ORDER).await;
    let other_customer = ordered("key-1", &ORDER.replace("customer-001", "customer-002")).await;
    assert_ne!(first, other_key);
    assert_ne!(first, other_customer);
    let messages = sqs.receive("order-queue.fifo", 3).await;
    assert_eq!(messages.len(), 3, "the repeated order has one message");
    api.stop().await;
}

#[tokio::test]
async fn an_order_that_is_larger_than_its_queue_takes_is_refused_for_good_and_uses_no_key_up() {
    let mut settings = ServerSettings::default();
    for queue in &mut settings.queues {
        if queue.name == "order-queue-standard" {
            queue.attributes.insert("MaximumMessageSize".to_owned(), "1024".to_owned());
        }
    }
    let sqs = Sqs::start_as(SocketAddr::from(([127, 0, 0, 1], 0)), settings).await;
    let api = Api::start(sqs.addr, &[]).await;
    // It has looked at the queues then.
    api.until_ready().await;
    let large = ORDER.replace("상품1", &"n".repeat(1024));
    let headers = [("Content-Type", "application/json"), ("Idempotency-Key", "key")];
    let keyed =
        async |body: &str| call(api.addr, "POST /api/orders", &headers, body.as_bytes()).await;
    for refused in [keyed(&large).await, post(api.addr, "", &large).await] {
        assert_eq!((refused.status, refused.problem().as_str()), (413, "order-too-large"));
        assert!(refused.body.contains("at most 1024 bytes"), "{refused:?}");
    }
    assert_eq!(keyed(ORDER).await.status, 202);
    assert_eq!(post(api.addr, "?queueType=fifo", &large).await.status, 202);
    api.stop().await;
}

#[tokio::test]
async fn the_service_starts_without_sqs_and_is_ready_when_it_appears() {
    let reserved = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let addr = reserved.local_addr().expect("an address");
    drop(reserved);
    let api = Api::start(addr, &[("PUBLISH_TIMEOUT", "500ms")]).await;
    until("the reason is not just starting", async || {
        api.readiness
            .report()
            .iter()
            .any(|(_, reason)| reason.as_ref().is_some_and(|reason| reason != "starting"))
    })
    .await;
    assert!(call(api.admin, "GET /readyz", &[], b"").await.body.contains("order-queue-standard"));
    assert_eq!(call(api.admin, "GET /livez", &[], b"").await.status, 200);
    let refused = tokio::time::timeout(Duration::from_secs(20), post(api.addr, "", ORDER)).await;
    let refused = refused.expect("answered");
    assert_eq!((refused.status, refused.problem().as_str()), (503, "queue-unavailable"));

    let sqs = Sqs::start_at(addr).await;
    api.until_ready().await;
    assert_eq!(post(api.addr, "", ORDER).await.status, 202);
    assert_eq!(sqs.receive("order-queue-standard", 1).await.len(), 1);
    api.stop().await;
}
