use std::time::Duration;

use aws_sdk_sqs::types::Message;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::server_support::{FIFO, Running, STANDARD, json_request, within};

/// How long the polls of these tests wait when nothing comes.
const POLL: Duration = Duration::from_secs(20);

impl Running {
    /// Starts a receive that waits, and returns once it waits.
    async fn start_poll(&self, name: &str) -> JoinHandle<Vec<Message>> {
        let waiting = self.handle.waiting_receives();
        let receive = self
            .client
            .receive_message()
            .queue_url(self.url(name))
            .max_number_of_messages(10)
            .wait_time_seconds(20)
            .send();
        let poll = tokio::spawn(async { receive.await.unwrap().messages.unwrap_or_default() });
        self.until_waiting(waiting + 1).await;
        poll
    }

    pub(crate) async fn receive_now(&self, name: &str) -> Vec<Message> {
        let receive = self.client.receive_message().queue_url(self.url(name));
        let receive = receive.max_number_of_messages(10).wait_time_seconds(0);
        receive.send().await.unwrap().messages.unwrap_or_default()
    }

    async fn change(&self, name: &str, handle: &str, seconds: i32) {
        let change = self.client.change_message_visibility().queue_url(self.url(name));
        change.receipt_handle(handle).visibility_timeout(seconds).send().await.unwrap();
    }
}

fn bodies(messages: &[Message]) -> Vec<&str> {
    messages.iter().filter_map(Message::body).collect()
}

#[tokio::test]
async fn a_long_poll_is_answered_on_arrival() {
    let server = Running::start().await;
    let poll = server.start_poll(STANDARD).await;
    server.send(STANDARD, "one").await;
    assert_eq!(bodies(&within(poll).await.unwrap()), ["one"]);
}

#[tokio::test]
async fn a_long_poll_is_answered_on_release() {
    let server = Running::start().await;
    server.send(STANDARD, "one").await;
    let held = server.receive_now(STANDARD).await;
    let poll = server.start_poll(STANDARD).await;
    server.change(STANDARD, held[0].receipt_handle().unwrap(), 0).await;
    assert_eq!(bodies(&within(poll).await.unwrap()), ["one"]);
}

#[tokio::test]
async fn a_long_poll_is_answered_on_expiry_of_the_visibility_timeout() {
    let server = Running::start().await;
    server.send(STANDARD, "one").await;
    let held = server.receive_now(STANDARD).await;
    server.change(STANDARD, held[0].receipt_handle().unwrap(), 1).await;
    let poll = server.client.receive_message().queue_url(server.url(STANDARD));
    let started = Instant::now();
    let received = within(poll.wait_time_seconds(20).send()).await.unwrap();
    assert_eq!(bodies(received.messages()), ["one"]);
    assert!(started.elapsed() < POLL, "it did not wait to the end");
}

#[tokio::test]
async fn a_long_poll_is_answered_at_the_end_of_a_delay() {
    let server = Running::start().await;
    let send = server.client.send_message().queue_url(server.url(STANDARD)).message_body("one");
    send.delay_seconds(900).send().await.unwrap();
    let poll = server.start_poll(STANDARD).await;
    server.handle.skip(Duration::from_mins(15));
    assert_eq!(bodies(&within(poll).await.unwrap()), ["one"]);
}

#[tokio::test]
async fn a_long_poll_is_answered_when_a_group_is_unblocked() {
    let server = Running::start().await;
    server.send(FIFO, "one").await;
    let held = server.receive_now(FIFO).await;
    server.send(FIFO, "two").await;
    let poll = server.start_poll(FIFO).await;
    let delete = server.client.delete_message().queue_url(server.url(FIFO));
    delete.set_receipt_handle(held[0].receipt_handle.clone()).send().await.unwrap();
    assert_eq!(bodies(&within(poll).await.unwrap()), ["two"]);
}

#[tokio::test]
async fn a_long_poll_of_a_dead_letter_queue_is_answered_when_a_message_dies() {
    let server = Running::start().await;
    server.send(STANDARD, "one").await;
    let poll = server.start_poll("order-queue-standard-dlq").await;
    for _ in 0..4 {
        server.receive_now(STANDARD).await;
        server.handle.skip(Duration::from_secs(30));
    }
    assert_eq!(bodies(&within(poll).await.unwrap()), ["one"]);
}

#[tokio::test]
async fn waiting_receivers_are_served_in_the_order_in_which_they_came() {
    let server = Running::start().await;
    let polls = [
        server.start_poll(STANDARD).await,
        server.start_poll(STANDARD).await,
        server.start_poll(STANDARD).await,
    ];
    for (n, poll) in polls.into_iter().enumerate() {
        server.send(STANDARD, &n.to_string()).await;
        assert_eq!(bodies(&within(poll).await.unwrap()), [n.to_string()]);
    }
}

#[tokio::test]
async fn an_empty_long_poll_ends_after_its_time_and_not_before() {
    let server = Running::start().await;
    let started = Instant::now();
    let receive = server.client.receive_message().queue_url(server.url(STANDARD));
    let answer = within(receive.wait_time_seconds(1).send()).await.unwrap();
    assert_eq!(answer.messages, None);
    assert!(started.elapsed() >= Duration::from_secs(1));
    assert_eq!(server.handle.waiting_receives(), 0);
}

#[tokio::test]
async fn the_queue_s_wait_time_holds_when_a_receive_gives_none() {
    let server = Running::start().await;
    let receive = server.client.receive_message().queue_url(server.url(STANDARD)).send();
    let poll = tokio::spawn(receive);
    server.until_waiting(1).await;
    server.send(STANDARD, "one").await;
    assert_eq!(within(poll).await.unwrap().unwrap().messages().len(), 1);
}

#[tokio::test]
async fn a_connection_dropped_while_waiting_consumes_nothing() {
    let server = Running::start().await;
    let body = format!(r#"{{"QueueUrl":"{}","WaitTimeSeconds":20}}"#, server.url(STANDARD));
    let mut connection = server.connect().await;
    connection.write_all(json_request("ReceiveMessage", &body).as_bytes()).await.unwrap();
    server.until_waiting(1).await;
    drop(connection);
    server.until_waiting(0).await;
    server.send(STANDARD, "one").await;
    let counts = server.handle.queue_counts(STANDARD).unwrap();
    assert_eq!((counts.visible, counts.in_flight), (1, 0));
}

#[tokio::test]
async fn a_poll_abandoned_by_the_sdk_leaves_its_turn_to_the_next() {
    let server = Running::start().await;
    let first = server.start_poll(STANDARD).await;
    let second = server.start_poll(STANDARD).await;
    first.abort();
    server.until_waiting(1).await;
    server.send(STANDARD, "one").await;
    let received = within(second).await.unwrap();
    assert_eq!(bodies(&received), ["one"]);
}

#[tokio::test]
async fn ending_long_polls_answers_them_and_lets_later_ones_not_wait() {
    let server = Running::start().await;
    let poll = server.start_poll(STANDARD).await;
    server.handle.end_long_polls();
    assert!(within(poll).await.unwrap().is_empty());
    let receive = server.client.receive_message().queue_url(server.url(STANDARD));
    let answer = receive.wait_time_seconds(20).send();
    assert_eq!(tokio::time::timeout(POLL / 2, answer).await.unwrap().unwrap().messages, None);
}

#[tokio::test]
async fn a_server_that_stops_answers_its_long_polls_first() {
    let server = Running::start().await;
    let poll = server.start_poll(STANDARD).await;
    let started = Instant::now();
    server.stop().await;
    assert!(within(poll).await.unwrap().is_empty());
    assert!(started.elapsed() < POLL, "it did not wait to the end");
}

#[tokio::test]
async fn deleting_a_queue_ends_the_polls_on_it() {
    let server = Running::start().await;
    let body = format!(r#"{{"QueueUrl":"{}","WaitTimeSeconds":20}}"#, server.url(STANDARD));
    let mut connection = server.connect().await;
    connection.write_all(json_request("ReceiveMessage", &body).as_bytes()).await.unwrap();
    server.until_waiting(1).await;
    server.client.delete_queue().queue_url(server.url(STANDARD)).send().await.unwrap();
    let mut answer = String::new();
    within(connection.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.contains("com.amazonaws.sqs#QueueDoesNotExist"), "{answer}");
}

#[tokio::test]
async fn a_newcomer_does_not_overtake_those_who_wait() {
    let server = Running::start().await;
    server.send(STANDARD, "one").await;
    server.receive_now(STANDARD).await;
    let poll = server.start_poll(STANDARD).await;
    // The clock is at the end of the visibility timeout before the server has looked at it again.
    let url = server.url(STANDARD);
    let newcomer = server.client.receive_message().queue_url(&url).wait_time_seconds(0);
    let jump = local_sqs::FaultRule {
        operation: Some("ReceiveMessage".to_owned()),
        clock_jump_rate: 1.0,
        clock_jump_ms: 30_000,
        ..Default::default()
    };
    server.handle.set_faults(local_sqs::Faults { seed: 1, rules: vec![jump] });
    assert_eq!(newcomer.send().await.unwrap().messages, None);
    assert_eq!(bodies(&within(poll).await.unwrap()), ["one"]);
}
