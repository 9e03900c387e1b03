//! How long after a message has been sent a waiting long poll has it.

use std::path::Path;

use tokio::{sync::oneshot, time::Instant};

use crate::server::Server;
use crate::sqs::{Connection, entry};

const SAMPLES: usize = 1_000;
/// Long polls of other queues that wait meanwhile.
const OTHERS: usize = 100;

/// At most so many milliseconds for 99 of 100 messages.
const P99_MS: f64 = 10.0;

pub(super) async fn measure(binaries: &Path, missed: &mut Vec<String>) -> anyhow::Result<String> {
    let server = Server::start(binaries)?;
    let mut sender = server.connect().await?;
    let queue = sender.create("wake").await?;
    for number in 0..OTHERS {
        let other = sender.create(&format!("other-{number}")).await?;
        let mut connection = server.connect().await?;
        tokio::spawn(async move { while connection.receive(&other, 20).await.is_ok() {} });
    }
    let mut receiver = server.connect().await?;
    let mut micros = Vec::new();
    for number in 0..SAMPLES {
        let (polling, polls) = oneshot::channel();
        let queue_of_poll = queue.clone();
        let poll = tokio::spawn(async move {
            let _ = polling.send(());
            let received = receiver.receive(&queue_of_poll, 20).await?;
            let woken = Instant::now();
            receiver.delete(&queue_of_poll, &received).await?;
            anyhow::Ok((receiver, woken))
        });
        polls.await?;
        until_waiting(&mut sender, OTHERS + 1).await?;
        let sent = Instant::now();
        sender.send(&queue, &[entry(number, "wake up", None, 0)]).await?;
        let (connection, woken) = poll.await??;
        receiver = connection;
        micros.push(woken.duration_since(sent).as_micros());
    }
    micros.sort_unstable();
    let millis = |part: usize| micros[micros.len() * part / 1000] as f64 / 1e3;
    if millis(990) > P99_MS {
        missed.push(format!("wake latency p99 {:.2} ms", millis(990)));
    }
    Ok(format!(
        "Wake latency of a long poll, from the start of the send to the message at the receiver, with {OTHERS} other long polls \
         waiting: p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms ({SAMPLES} messages).",
        millis(500),
        millis(990),
        millis(999),
    ))
}

/// Waits until the server says that so many receives wait.
async fn until_waiting(connection: &mut Connection, receives: usize) -> anyhow::Result<()> {
    while connection.waiting_receives().await? < receives {
        tokio::task::yield_now().await;
    }
    Ok(())
}
