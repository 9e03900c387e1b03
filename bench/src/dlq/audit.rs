//! Where each message is in the end.

use anyhow::{Context, ensure};
use order_events::OrderEvent;
use serde_json::{Value, json};

use super::{FIFO, FIFO_DLQ, STANDARD, STANDARD_DLQ, Scene, scene::OF_A_GROUP};
use crate::http::Client;

/// Takes every message out of the source queues: each dead letter must be there, and none in its
/// dead-letter queue any more; those of a FIFO group in their order. Returns how many copies too many
/// there are.
pub(super) async fn audit(scene: &Scene) -> anyhow::Result<usize> {
    let mut copies = 0;
    for (source, dlq, letters) in
        [(STANDARD, STANDARD_DLQ, scene.standard), (FIFO, FIFO_DLQ, scene.fifo)]
    {
        let left = scene.server.connect().await?.counts(dlq).await?;
        ensure!(left.visible + left.in_flight == 0, "{dlq} has messages left: {left:?}");
        let numbers = take_all(scene, source).await?;
        let mut found = vec![0_usize; letters];
        for number in &numbers {
            *found.get_mut(*number).with_context(|| format!("{source} has a {number}"))? += 1;
        }
        let lost = found.iter().filter(|count| **count == 0).count();
        ensure!(lost == 0, "{lost} of {letters} messages are lost that were in {dlq}");
        copies += numbers.len() - letters;
        if source == FIFO {
            in_order(&numbers)?;
        }
    }
    Ok(copies)
}

/// A group's numbers rise.
fn in_order(numbers: &[usize]) -> anyhow::Result<()> {
    let mut last = vec![None; numbers.len().div_ceil(OF_A_GROUP)];
    for number in numbers {
        let last = &mut last[number / OF_A_GROUP];
        ensure!(*last < Some(*number), "{number} comes after {last:?}, its group's later one");
        *last = Some(*number);
    }
    Ok(())
}

/// Receives and deletes all of a queue's messages; their numbers, in its order.
async fn take_all(scene: &Scene, queue: &str) -> anyhow::Result<Vec<usize>> {
    let url = scene.url(queue);
    let mut client = Client::new(scene.server.addr);
    let mut numbers = Vec::new();
    loop {
        let request = json!({ "QueueUrl": url, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 0 });
        let answer = client.sqs("ReceiveMessage", &request).await?;
        let messages = answer["Messages"].as_array().map_or(&[][..], Vec::as_slice);
        if messages.is_empty() {
            return Ok(numbers);
        }
        for message in messages {
            let order = OrderEvent::from_json(message["Body"].as_str().unwrap_or_default())?;
            let item = order.items.first().context("an order has an item")?;
            numbers.push(item.product_id.parse()?);
        }
        let entries = messages.iter().enumerate();
        let entry = |(n, message): (usize, &Value)| json!({ "Id": n.to_string(), "ReceiptHandle": message["ReceiptHandle"] });
        let entries: Vec<Value> = entries.map(entry).collect();
        client.sqs("DeleteMessageBatch", &json!({ "QueueUrl": url, "Entries": entries })).await?;
    }
}
