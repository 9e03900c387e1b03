use crate::harness::{
    Answer, Api, FakeSqs, ORDER, confirmed, open, post, read_answer, refused, until,
};
use axum::http::StatusCode;
use serde_json::json;

pub(crate) fn assert_unavailable(answer: &Answer, slug: &str) {
    assert_eq!((answer.status, answer.problem().as_str()), (503, slug), "{answer:?}");
    let seconds = answer.header("retry-after").and_then(|value| value.parse::<u32>().ok());
    assert!(seconds.is_some_and(|seconds| seconds >= 1), "{answer:?}");
}

const POST: &str = "POST /api/orders";
const JSON: [(&str, &str); 1] = [("Content-Type", "application/json")];

#[tokio::test]
async fn whatever_sqs_refuses_is_a_503_that_says_when_to_try_again() {
    let sqs = FakeSqs::start().await;
    let api = Api::start(sqs.addr, &[]).await;
    let maybe = "an Idempotency-Key makes trying again safe";
    for (status, code, retry_after, said) in [
        (400, "RequestThrottled", "1", maybe),
        (403, "AccessDenied", "30", maybe),
        (400, "QueueDoesNotExist", "30", maybe),
        (400, "InvalidMessageContents", "30", "it was not accepted"),
        (500, "InternalError", "1", maybe),
        (503, "ServiceUnavailable", "1", maybe),
    ] {
        sqs.answer_sends(move |_| refused(status, code, "account 123456789012"));
        let answer = post(api.addr, "", ORDER).await;
        assert_unavailable(&answer, "queue-unavailable");
        assert_eq!(answer.header("retry-after"), Some(retry_after), "{code}");
        assert!(!answer.body.contains("123456789012"), "SQS's own words stay inside");
        // A refusal of the order itself holds for every try; another one only for the last.
        assert!(answer.body.contains(said), "{code}: {answer:?}");
        assert!(said != maybe || !answer.body.contains("not accepted"), "{code}: {answer:?}");
    }
    sqs.answer_sends(|_| (StatusCode::OK, json!({})));
    assert_unavailable(&post(api.addr, "", ORDER).await, "queue-unavailable");
    sqs.answer_sends(confirmed);
    assert_eq!(post(api.addr, "", ORDER).await.status, 202);
    api.stop().await;
}

#[tokio::test]
async fn an_sqs_that_refuses_groups_on_standard_queues_gets_messages_without() {
    let sqs = FakeSqs::start().await;
    let api = Api::start(sqs.addr, &[]).await;
    sqs.answer_sends(|message| {
        let fifo = message["QueueUrl"].as_str().is_some_and(|url| url.contains("fifo"));
        if message["MessageGroupId"].is_null() == fifo {
            return refused(400, "InvalidParameterValue", "not valid for this queue type");
        }
        confirmed(message)
    });
    assert_eq!(post(api.addr, "", ORDER).await.status, 202);
    assert_eq!(sqs.sent(), 2, "with the group, then without");
    assert_eq!(post(api.addr, "", ORDER).await.status, 202);
    assert_eq!(sqs.sent(), 3, "remembered");
    assert_eq!(post(api.addr, "?queueType=fifo", ORDER).await.status, 202);
    assert_eq!(sqs.sent(), 4, "a FIFO queue always gets the group");
    api.stop().await;
}

#[tokio::test]
async fn a_message_that_is_refused_for_another_reason_does_not_end_the_fair_queue() {
    let sqs = FakeSqs::start().await;
    let api = Api::start(sqs.addr, &[]).await;
    sqs.answer_sends(|_| refused(400, "InvalidMessageContents", "a character"));
    assert_unavailable(&post(api.addr, "", ORDER).await, "queue-unavailable");
    assert_eq!(sqs.sent(), 1, "it would be refused without its group as well");
    sqs.answer_sends(confirmed);
    assert_eq!(post(api.addr, "", ORDER).await.status, 202);
    let sends = sqs.sends.lock().expect("no panic");
    assert_eq!(sends.last().expect("sent")["MessageGroupId"], "customer-001");
}

#[tokio::test]
async fn orders_beyond_the_bounds_are_turned_away_at_once() {
    let sqs = FakeSqs::start().await;
    let bounds =
        [("PUBLISH_CONCURRENCY", "1"), ("PUBLISH_BUFFER_ORDERS", "2"), ("PUBLISH_TIMEOUT", "10s")];
    let api = Api::start(sqs.addr, &bounds).await;
    sqs.close_gate();
    let mut calling = open(api.addr, POST, &JSON, ORDER.as_bytes()).await;
    until("one call is under way", async || sqs.sent() == 1).await;
    let mut waiting = open(api.addr, POST, &JSON, ORDER.as_bytes()).await;
    // Which of the two that follow finds the place taken is not said; one of them does.
    let (second, third) = (post(api.addr, "", ORDER), read_answer(&mut waiting));
    tokio::pin!(second, third);
    let turned_away = tokio::select! {
        answer = &mut second => answer,
        answer = &mut third => answer,
    };
    assert_unavailable(&turned_away, "overloaded");
    assert_eq!(sqs.sent(), 1, "no further call was made");
    sqs.open_gate();
    assert_eq!(read_answer(&mut calling).await.status, 202);
    api.stop().await;
}

#[tokio::test]
async fn while_sqs_hangs_the_orders_over_the_buffer_get_their_503_with_connections_to_spare() {
    let sqs = FakeSqs::start().await;
    let bounds =
        [("MAX_CONNECTIONS", "16"), ("PUBLISH_BUFFER_ORDERS", "8"), ("PUBLISH_TIMEOUT", "10s")];
    let api = Api::start(sqs.addr, &bounds).await;
    sqs.close_gate();
    let mut hanging = Vec::new();
    for orders in 1..=8 {
        hanging.push(open(api.addr, POST, &JSON, ORDER.as_bytes()).await);
        let buffered = format!("\norder_publish_buffered {orders}\n");
        until("it is taken in", async || api.metrics().await.contains(&buffered)).await;
    }
    // One after the other and all at once: each in a connection that none of the others holds.
    for _ in 0..3 {
        assert_unavailable(&post(api.addr, "", ORDER).await, "overloaded");
    }
    let mut further = Vec::new();
    for _ in 0..5 {
        further.push(open(api.addr, POST, &JSON, ORDER.as_bytes()).await);
    }
    for client in &mut further {
        assert_unavailable(&read_answer(client).await, "overloaded");
    }
    assert_eq!(sqs.answered(), 0, "nobody waited for SQS");
    sqs.open_gate();
    for client in &mut hanging {
        assert_eq!(read_answer(client).await.status, 202);
    }
    api.stop().await;
}

#[tokio::test]
async fn an_sqs_that_does_not_answer_in_time_is_a_503_and_nothing_is_called_accepted() {
    let sqs = FakeSqs::start().await;
    let api = Api::start(sqs.addr, &[("PUBLISH_TIMEOUT", "100ms")]).await;
    sqs.close_gate();
    let answer = post(api.addr, "", ORDER).await;
    assert_unavailable(&answer, "queue-unavailable");
    assert!(answer.body.contains("may still take it"), "{answer:?}");
    let metrics = api.metrics().await;
    assert!(metrics.contains("orders_accepted_total{queue_type=\"standard\"} 0"), "{metrics}");
    api.stop().await;
}

#[tokio::test]
async fn a_client_that_goes_away_does_not_stop_its_order_half_way() {
    let sqs = FakeSqs::start().await;
    let api = Api::start(sqs.addr, &[]).await;
    sqs.close_gate();
    let client = open(api.addr, POST, &JSON, ORDER.as_bytes()).await;
    until("the call is under way", async || sqs.sent() == 1).await;
    drop(client);
    // The API has noticed once its drain, which waits for connections first, waits for the send.
    api.trigger.request();
    until("the API is stopping", async || !api.readiness.is_ready()).await;
    assert_eq!(sqs.answered(), 0);
    sqs.open_gate();
    api.stop().await;
    assert_eq!((sqs.sent(), sqs.answered()), (1, 1));
}

#[tokio::test]
async fn a_shutdown_answers_the_orders_that_are_under_way() {
    let sqs = FakeSqs::start().await;
    let api = Api::start(sqs.addr, &[]).await;
    sqs.close_gate();
    let mut client = open(api.addr, POST, &JSON, ORDER.as_bytes()).await;
    until("the call is under way", async || sqs.sent() == 1).await;
    api.trigger.request();
    until("the API is stopping", async || !api.readiness.is_ready()).await;
    sqs.open_gate();
    assert_eq!(read_answer(&mut client).await.status, 202);
    api.stop().await;
}

#[tokio::test]
async fn a_send_that_fails_drops_readiness_and_a_queue_that_answers_raises_it() {
    let sqs = FakeSqs::start().await;
    let api = Api::start(sqs.addr, &[]).await;
    api.until_ready().await;
    sqs.answer_sends(|_| refused(403, "AccessDenied", "no"));
    assert_unavailable(&post(api.addr, "", ORDER).await, "queue-unavailable");
    until("readiness drops", async || !api.readiness.is_ready()).await;
    sqs.answer_sends(confirmed);
    assert_eq!(post(api.addr, "", ORDER).await.status, 202);
    api.until_ready().await;
    api.stop().await;
}

#[tokio::test]
async fn a_send_that_hangs_drops_readiness_for_a_while_though_the_queues_answer() {
    let sqs = FakeSqs::start().await;
    let api = Api::start(sqs.addr, &[("PUBLISH_TIMEOUT", "100ms")]).await;
    api.until_ready().await;
    sqs.close_gate();
    for _ in 0..2 {
        assert_unavailable(&post(api.addr, "", ORDER).await, "queue-unavailable");
        until("readiness drops", async || !api.readiness.is_ready()).await;
        // For a while only: without orders nobody would learn that they get through again.
        api.until_ready().await;
    }
    sqs.open_gate();
    assert_eq!(post(api.addr, "", ORDER).await.status, 202);
    api.until_ready().await;
    api.stop().await;
}

#[tokio::test]
async fn without_queues_the_service_is_alive_and_says_what_is_missing() {
    let api = Api::start_with(&[]).await;
    let reason = "no queue URL is set: SQS_QUEUE_URL_STANDARD, SQS_QUEUE_URL_FIFO";
    until("the reason is given", async || {
        api.readiness.report() == [("sqs", Some(reason.to_owned()))]
    })
    .await;
    let answer = post(api.addr, "?queueType=fifo", ORDER).await;
    assert_unavailable(&answer, "queue-not-configured");
    assert!(answer.body.contains("SQS_QUEUE_URL_FIFO"), "{answer:?}");
    api.stop().await;
}
