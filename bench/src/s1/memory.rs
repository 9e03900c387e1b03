//! How much memory a queued message takes.

use std::path::Path;

use super::Scale;
use crate::server::Server;
use crate::sqs::entry;

const BODY_BYTES: usize = 1024;

/// At most so many KiB for a message with a body of one.
const MOST_KIB: f64 = 2.0;

pub(super) async fn measure(
    binaries: &Path,
    scale: Scale,
    missed: &mut Vec<String>,
) -> anyhow::Result<String> {
    let mut parts = Vec::new();
    for (name, groups) in [("standard", 1), ("FIFO", 1_000)] {
        let server = Server::start(binaries)?;
        let mut connection = server.connect().await?;
        let fifo = name == "FIFO";
        let queue = connection.create(if fifo { "memory.fifo" } else { "memory" }).await?;
        let body = "x".repeat(BODY_BYTES);
        let before = server.process.resident_kib()?;
        for batch in 0..scale.backlog / 10 {
            let entries: Vec<_> = (0..10)
                .map(|id| {
                    let (group, deduplication) =
                        (format!("group-{}", batch % groups), format!("{batch}-{id}"));
                    entry(id, &body, fifo.then_some((&*group, &*deduplication)), 0)
                })
                .collect();
            connection.send(&queue, &entries).await?;
        }
        let kib = (server.process.resident_kib()? - before) as f64 / scale.backlog as f64;
        parts.push(format!("{name} {kib:.2} KiB"));
        if kib > MOST_KIB {
            missed.push(format!("{kib:.2} KiB per {name} message"));
        }
    }
    Ok(format!(
        "Resident memory per queued message with a body of 1 KiB, {} of them: {}.",
        scale.backlog,
        parts.join(", "),
    ))
}
