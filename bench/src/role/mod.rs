//! What the measured processes do: this program started again, alone on the measured core.
//!
//! The two talk in lines of JSON. The role says that it is ready, waits for one line, works, and
//! tells its report when it has done what was asked; then it lives on until it is stopped.

mod client;
mod counted;
mod raw;
mod timers;
mod work;
mod worker;

use std::io::BufRead as _;

use serde::{Deserialize, Serialize};

pub(crate) use self::client::Client;
pub(crate) use self::work::{SLOW, Work, fraction};

/// What a measured process is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) kind: Kind,
    /// The queue's URL; its host is the endpoint.
    pub(crate) queue: String,
    /// When the report is due.
    pub(crate) until: Until,
    /// Handlers at once.
    pub(crate) concurrency: usize,
    pub(crate) work: Work,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// The consumer that is measured.
    Worker,
    /// The ceiling: the SDK's receive and delete calls in so many concurrent loops, and nothing else.
    Raw { loops: usize },
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Until {
    /// So many messages are deleted.
    Deleted(usize),
    /// So many messages of the fast groups have had their effect.
    FastOnes(usize),
    /// SIGTERM, and the drain that follows.
    Terminated,
}

/// What a measured process tells. Times in seconds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    /// From the first receive to what ended the measurement.
    pub(crate) makespan: f64,
    /// Messages whose work is done.
    pub(crate) effects: usize,
    /// The longest time that the messages of one group need, one after another, and the number of them.
    pub(crate) longest_chain: f64,
    pub(crate) longest_chain_messages: usize,
    /// The time that all messages need together: as it was drawn, and as the clock saw it.
    pub(crate) total_work: f64,
    pub(crate) measured_work: f64,
    /// Messages that the drain left leased.
    pub(crate) stranded: u64,
}

/// Plays the role that is described by the argument.
pub(crate) fn run(spec: &str) -> anyhow::Result<()> {
    let spec: Spec = serde_json::from_str(spec)?;
    // As service-kit makes it for the fleet's services.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        match spec.kind {
            Kind::Worker => worker::run(spec).await,
            Kind::Raw { loops } => raw::run(spec, loops).await,
        }
    });
    runtime.shutdown_background();
    outcome
}

/// Says that all is ready, and waits for the word to begin.
async fn wait_for_go() -> anyhow::Result<()> {
    say(&"ready")?;
    tokio::task::spawn_blocking(|| std::io::stdin().lock().lines().next().transpose()).await??;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the other process reads it")]
fn say(value: &impl Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string(value)?);
    Ok(())
}
