use aws_sdk_sqs::operation::get_queue_url::GetQueueUrlError;
use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{
    DeleteMessageBatchRequestEntry, MessageAttributeValue, MessageSystemAttributeName,
    QueueAttributeName, SendMessageBatchRequestEntry,
};
use local_sqs::model::ModelSettings;
use local_sqs::{QueueDeclaration, ServerSettings, default_queues, parse_queues};

use crate::server_support::{FIFO, Running, STANDARD};

#[tokio::test]
async fn the_four_default_queues_are_there() {
    let server = Running::start().await;
    let queues = server.client.list_queues().send().await.unwrap().queue_urls.unwrap();
    let names = ["order-queue-dlq.fifo", STANDARD, "order-queue-standard-dlq", FIFO];
    assert_eq!(queues, names.map(|name| server.url(name)));
    for (name, attribute, value) in [
        (STANDARD, QueueAttributeName::VisibilityTimeout, "30"),
        (STANDARD, QueueAttributeName::ReceiveMessageWaitTimeSeconds, "20"),
        ("order-queue-standard-dlq", QueueAttributeName::MessageRetentionPeriod, "1209600"),
        (FIFO, QueueAttributeName::ContentBasedDeduplication, "true"),
        (FIFO, QueueAttributeName::DeduplicationScope, "messageGroup"),
        (FIFO, QueueAttributeName::FifoThroughputLimit, "perMessageGroupId"),
        (
            FIFO,
            QueueAttributeName::RedrivePolicy,
            r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:order-queue-dlq.fifo","maxReceiveCount":10}"#,
        ),
    ] {
        let get = server.client.get_queue_attributes().queue_url(server.url(name));
        let got = get.attribute_names(attribute.clone()).send().await.unwrap();
        assert_eq!(got.attributes().unwrap()[&attribute], value, "{name} {attribute:?}");
    }
}

#[tokio::test]
async fn queues_can_be_declared_in_toml() {
    let queues = parse_queues(
        r#"
        [[queue]]
        name = "jobs-dlq"
        [[queue]]
        name = "jobs"
        dead_letter_queue = "jobs-dlq"
        max_receive_count = 5
        [queue.attributes]
        VisibilityTimeout = "60"
        "#,
        &ModelSettings::default(),
    )
    .unwrap();
    let server =
        Running::with_settings(ServerSettings { queues, ..ServerSettings::default() }).await;
    let listed = server.client.list_queues().send().await.unwrap();
    assert_eq!(listed.queue_urls().len(), 2);
    for (bad, problem) in [
        ("name = \"a b\"", "queue a b"),
        ("name = \"a\"\nnonsense = 1", "nonsense"),
        ("name = \"a\"\nmax_receive_count = 3", "max_receive_count needs a dead_letter_queue"),
        ("name = \"a.fifo\"\nattributes = { FifoQueue = \"false\" }", "queue a.fifo"),
    ] {
        let refused = parse_queues(&format!("[[queue]]\n{bad}"), &ModelSettings::default());
        let text = refused.unwrap_err().to_string();
        assert!(text.contains(problem), "{bad}: {text}");
    }
    assert_eq!(parse_queues("", &ModelSettings::default()).unwrap(), []);
    let misordered: Vec<QueueDeclaration> = default_queues().into_iter().rev().collect();
    let settings = ServerSettings { queues: misordered, ..ServerSettings::default() };
    let refused = local_sqs::Server::bind("127.0.0.1:0".parse().unwrap(), settings).await;
    assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
}

#[tokio::test]
async fn a_message_goes_round_with_its_attributes() {
    let server = Running::start().await;
    let url = server.url(STANDARD);
    let text =
        MessageAttributeValue::builder().data_type("String").string_value("값").build().unwrap();
    let bytes = MessageAttributeValue::builder()
        .data_type("Binary")
        .binary_value(Blob::new([0, 255]))
        .build()
        .unwrap();
    let send = server.client.send_message().queue_url(&url).message_body("본문 \u{1f4e6}");
    let accepted = send
        .message_attributes("text", text.clone())
        .message_attributes("bytes", bytes.clone())
        .send()
        .await
        .unwrap();
    let receive = server.client.receive_message().queue_url(&url);
    let received = receive
        .message_attribute_names("All")
        .message_system_attribute_names(MessageSystemAttributeName::All)
        .send()
        .await
        .unwrap();
    let message = &received.messages()[0];
    assert_eq!(message.body(), Some("본문 \u{1f4e6}"));
    assert_eq!(message.message_id(), accepted.message_id());
    assert_eq!(message.md5_of_message_attributes(), accepted.md5_of_message_attributes());
    let attributes = message.message_attributes().unwrap();
    assert_eq!((&attributes["text"], &attributes["bytes"]), (&text, &bytes));
    let count =
        &message.attributes().unwrap()[&MessageSystemAttributeName::ApproximateReceiveCount];
    assert_eq!(count, "1");
    let delete = server.client.delete_message().queue_url(&url);
    delete.receipt_handle(message.receipt_handle().unwrap()).send().await.unwrap();
    assert_eq!(
        server.handle.queue_counts(STANDARD).unwrap(),
        local_sqs::model::QueueCounts::default()
    );
}

#[tokio::test]
async fn batches_go_round_in_a_fifo_group_s_order() {
    let server = Running::start().await;
    let url = server.url(FIFO);
    let entry = |n: usize| {
        SendMessageBatchRequestEntry::builder()
            .id(n.to_string())
            .message_body(format!("body-{n}"))
            .message_group_id("customer")
            .build()
            .unwrap()
    };
    let send = server.client.send_message_batch().queue_url(&url);
    let accepted = send.set_entries(Some((0..10).map(entry).collect())).send().await.unwrap();
    assert_eq!((accepted.successful().len(), accepted.failed().len()), (10, 0));
    let receive = server.client.receive_message().queue_url(&url).max_number_of_messages(10);
    let received = receive.send().await.unwrap().messages.unwrap();
    let bodies: Vec<_> = received.iter().filter_map(|message| message.body.clone()).collect();
    assert_eq!(bodies, (0..10).map(|n| format!("body-{n}")).collect::<Vec<_>>());
    let entry = |(n, message): (usize, &aws_sdk_sqs::types::Message)| {
        DeleteMessageBatchRequestEntry::builder()
            .id(n.to_string())
            .receipt_handle(message.receipt_handle().unwrap())
            .build()
            .unwrap()
    };
    let entries = received.iter().enumerate().map(entry).collect();
    let delete = server.client.delete_message_batch().queue_url(&url).set_entries(Some(entries));
    assert_eq!(delete.send().await.unwrap().successful().len(), 10);
    assert_eq!(server.handle.queue_counts(FIFO).unwrap(), local_sqs::model::QueueCounts::default());
}

#[tokio::test]
async fn errors_arrive_as_the_sdk_s_typed_errors() {
    let server = Running::start().await;
    let missing = server.client.get_queue_url().queue_name("nowhere").send().await.unwrap_err();
    assert!(matches!(missing.into_service_error(), GetQueueUrlError::QueueDoesNotExist(_)));

    let url = server.url(STANDARD);
    let delete = server.client.delete_message().queue_url(&url).receipt_handle("garbage");
    let refused = delete.send().await.unwrap_err().into_service_error();
    assert!(refused.is_receipt_handle_is_invalid(), "{refused:?}");

    server.send(STANDARD, "one").await;
    let receive = server.client.receive_message().queue_url(&url).visibility_timeout(0);
    let received = receive.send().await.unwrap();
    let handle = received.messages()[0].receipt_handle().unwrap();
    let change = server.client.change_message_visibility().queue_url(&url).receipt_handle(handle);
    let refused = change.visibility_timeout(5).send().await.unwrap_err().into_service_error();
    assert!(refused.is_message_not_inflight(), "{refused:?}");

    let receive = server.client.receive_message().queue_url(&url).max_number_of_messages(11);
    let refused = receive.send().await.unwrap_err().into_service_error();
    assert_eq!(refused.meta().code(), Some("InvalidParameterValue"));
}

#[tokio::test]
async fn every_remaining_operation_answers_the_sdk() {
    let server = Running::start().await;
    let client = &server.client;
    let dlq = server.url("order-queue-standard-dlq");
    let dlq_arn = "arn:aws:sqs:us-east-1:000000000000:order-queue-standard-dlq";
    let created = client
        .create_queue()
        .queue_name("new")
        .attributes(QueueAttributeName::VisibilityTimeout, "5")
        .tags("team", "orders")
        .send()
        .await
        .unwrap();
    let new = created.queue_url().unwrap();
    assert_eq!(new, server.url("new"));
    let tags = client.list_queue_tags().queue_url(new).send().await.unwrap();
    assert_eq!(tags.tags().unwrap()["team"], "orders");
    client.tag_queue().queue_url(new).tags("env", "test").send().await.unwrap();
    client.untag_queue().queue_url(new).tag_keys("team").send().await.unwrap();
    client
        .set_queue_attributes()
        .queue_url(new)
        .attributes(QueueAttributeName::DelaySeconds, "1")
        .send()
        .await
        .unwrap();
    client.purge_queue().queue_url(new).send().await.unwrap();
    let sources = client.list_dead_letter_source_queues().queue_url(&dlq).send().await.unwrap();
    assert_eq!(sources.queue_urls(), [server.url(STANDARD)]);
    let task = client
        .start_message_move_task()
        .source_arn(dlq_arn)
        .max_number_of_messages_per_second(1)
        .send()
        .await
        .unwrap();
    assert!(task.task_handle().is_some());
    let tasks = client.list_message_move_tasks().source_arn(dlq_arn).send().await.unwrap();
    assert_eq!(tasks.results()[0].status(), Some("COMPLETED"));
    let cancel = client.cancel_message_move_task().task_handle(task.task_handle().unwrap());
    cancel.send().await.unwrap_err();
    client.delete_queue().queue_url(new).send().await.unwrap();
    client.get_queue_url().queue_name("new").send().await.unwrap_err();
}
