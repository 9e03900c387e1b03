//! Prints the messages of a queue until Ctrl-C, then drains.
//!
//! ```text
//! cargo run -p local-sqs &
//! cargo run -p sqs-consumer --example print_messages -- http://127.0.0.1:9324/000000000000/order-queue.fifo
//! ```

#![expect(clippy::print_stdout, reason = "it prints messages")]

use sqs_consumer::{
    Attempt, Consumer, Handler, Message, Metrics, Settings, SettingsError, Verdict,
    aws::{CallMetrics, Connection, Options},
};

struct Print;

impl Handler for Print {
    async fn handle(&self, message: &Message, attempt: Attempt) -> Verdict {
        let group = message.group_id.as_deref().unwrap_or("no group");
        println!("[{group}, attempt {} of {}] {}", attempt.number, attempt.max, message.body);
        Verdict::Done
    }
}

#[tokio::main]
async fn main() -> Result<(), SettingsError> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let url = std::env::args().nth(1).expect("the queue's URL as the argument");
    let registry = prometheus::Registry::new();
    let calls = CallMetrics::register(&registry);
    let connection = Connection::open(Options::default(), Some(&url), calls).await;
    let queue = connection.queue(&url, None);
    let metrics = Metrics::register(&registry, "example");
    let consumer = Consumer::new(queue, Print, Settings::default(), metrics)?;
    let interrupted = async {
        _ = tokio::signal::ctrl_c().await;
    };
    let drained = consumer.run(interrupted).await;
    println!("given back: {}, stranded: {}", drained.released, drained.stranded);
    Ok(())
}
