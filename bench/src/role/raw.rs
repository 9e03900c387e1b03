//! The ceiling: what the SDK alone can do, with the consumer's own clients.

use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, MessageSystemAttributeName as Attribute};
use prometheus::Registry;
use sqs_consumer::aws;
use tokio::task::JoinSet;

use super::{Report, Spec, Until, counted::Progress, say, wait_for_go};

pub(super) async fn run(spec: Spec, loops: usize) -> anyhow::Result<()> {
    let Until::Deleted(goal) = spec.until else {
        anyhow::bail!("the loop ends with its messages");
    };
    let calls = aws::CallMetrics::register(&Registry::new());
    let connection = aws::Connection::open(aws::Options::default(), Some(&spec.queue), calls).await;
    let progress = Progress::towards(goal);
    wait_for_go().await?;
    let mut running = JoinSet::new();
    for _ in 0..loops {
        let (connection, queue) = (connection.clone(), spec.queue.clone());
        let progress = progress.clone();
        running.spawn(async move {
            loop {
                let deleted = Box::pin(step(&connection, &queue)).await?;
                progress.add(deleted);
            }
            #[expect(unreachable_code, reason = "names the error's type")]
            anyhow::Ok(())
        });
    }
    tokio::select! {
        () = progress.reached() => {}
        Some(ended) = running.join_next() => ended??,
    }
    say(&Report { effects: goal, ..Report::default() })?;
    // Whoever started this process looks at it, and stops it.
    std::future::pending().await
}

/// One receive and one delete of what it brought.
async fn step(connection: &aws::Connection, queue: &str) -> anyhow::Result<usize> {
    // The attributes are those without which no worker can work.
    let received = connection
        .receiving()
        .receive_message()
        .queue_url(queue)
        .max_number_of_messages(10)
        .wait_time_seconds(1)
        .message_attribute_names("All")
        .message_system_attribute_names(Attribute::MessageGroupId)
        .message_system_attribute_names(Attribute::ApproximateReceiveCount)
        .message_system_attribute_names(Attribute::SentTimestamp)
        .send();
    let messages = Box::pin(received).await?.messages.unwrap_or_default();
    if messages.is_empty() {
        return Ok(0);
    }
    let entries: Result<Vec<_>, _> = messages
        .into_iter()
        .enumerate()
        .map(|(id, message)| {
            DeleteMessageBatchRequestEntry::builder()
                .id(id.to_string())
                .set_receipt_handle(message.receipt_handle)
                .build()
        })
        .collect();
    let deleted = connection
        .settling()
        .delete_message_batch()
        .queue_url(queue)
        .set_entries(Some(entries?))
        .send();
    Ok(Box::pin(deleted).await?.successful.len())
}
