//! What the deliveries store takes: its group commit against a transaction for each record.

use std::{fmt::Write as _, path::Path, time::Duration};

use futures_util::future::join_all;
use jiff::Timestamp;
use order_events::DeliveryStatus;
use order_store::{Attempt, DatabaseUrl, DeliveryChange, Outcome, Record, Store};
use tokio::{task::JoinSet, time::Instant};
use uuid::Uuid;

use crate::{results::Section, sqs::median};

/// Deliveries per second, on SQLite. A disk decides it more than the code does.
const WANTED: f64 = 5_000.0;

/// How records come to the store.
#[derive(Clone, Copy, Debug)]
struct Way {
    name: &'static str,
    /// Who write at once, each its next record when the last one is committed: with one, each record
    /// is a transaction of its own.
    writers: usize,
    ids: Ids,
}

/// The orders' ids, as the API makes them.
#[derive(Clone, Copy, Debug)]
enum Ids {
    /// They begin with the time.
    ByTime,
    /// Derived from an idempotency key: each lies somewhere else in the store's indexes.
    ByKey,
}

/// A worker's two queues have 64 handlers each by default.
const WAYS: [Way; 3] = [
    Way { name: "one transaction per record", writers: 1, ids: Ids::ByTime },
    Way { name: "group commit, 128 handlers", writers: 128, ids: Ids::ByTime },
    Way { name: "the same, orders with idempotency keys", writers: 128, ids: Ids::ByKey },
];

struct Measured {
    database: &'static str,
    /// Deliveries per second, of each way in each round.
    rounds: Vec<[f64; WAYS.len()]>,
}

pub(crate) async fn run(quick: bool) -> anyhow::Result<()> {
    let (rounds, time) =
        if quick { (2, Duration::from_millis(300)) } else { (5, Duration::from_secs(3)) };
    let folder = tempfile::tempdir_in(here()?)?;
    let mut databases = vec![("SQLite", sqlite(folder.path())?)];
    let server = match local_postgres::Server::start() {
        Ok(server) => {
            databases.push(("PostgreSQL", server.create_database()?.parse()?));
            Some(server)
        }
        Err(error) => {
            println!("without PostgreSQL: {error}");
            None
        }
    };
    let mut measured: Vec<(Store, Measured)> = Vec::new();
    for (database, url) in databases {
        measured.push((Store::open(&url).await?, Measured { database, rounds: Vec::new() }));
    }
    for round in 0..=rounds {
        for (store, Measured { database, rounds }) in &mut measured {
            // One right after the other: machines change their pace.
            let mut rates = [0.0; WAYS.len()];
            for (way, rate) in WAYS.iter().zip(&mut rates) {
                *rate = deliveries_per_second(store, *way, time).await?;
            }
            println!("round {round}: {database}: {rates:.0?} deliveries/s");
            // The first round warms up.
            if round > 0 {
                rounds.push(rates);
            }
        }
    }
    join_all(measured.iter().map(|(store, _)| store.close())).await;
    drop(server);
    let measured: Vec<Measured> = measured.into_iter().map(|(_, measured)| measured).collect();
    let text = table(&measured, time)?;
    let command = "cargo run --release -p bench -- store";
    let missed = missed(&measured)?;
    Section { title: "Store: deliveries per second", command, text }.conclude(quick, &missed)
}

fn missed(measured: &[Measured]) -> anyhow::Result<Vec<String>> {
    let mut missed = Vec::new();
    for Measured { rounds, .. } in measured.iter().filter(|measured| measured.database == "SQLite")
    {
        let rate = median(rounds.iter().map(|[_, together, _]| *together).collect())?;
        if rate < WANTED {
            missed.push(format!("SQLite: {rate:.0} of {WANTED:.0} deliveries/s"));
        }
    }
    Ok(missed)
}

/// A folder on the disk that also has the build: the machine's temporary one may be memory.
fn here() -> anyhow::Result<std::path::PathBuf> {
    let program = std::env::current_exe()?;
    let folder = program.parent().map(Path::to_owned);
    folder.ok_or_else(|| anyhow::anyhow!("this program is in no folder"))
}

fn sqlite(folder: &Path) -> anyhow::Result<DatabaseUrl> {
    Ok(format!("sqlite://{}/deliveries.db", folder.display()).parse()?)
}

async fn deliveries_per_second(store: &Store, way: Way, time: Duration) -> anyhow::Result<f64> {
    let began = Instant::now();
    let until = began + time;
    let mut writers = JoinSet::new();
    for number in 0..way.writers {
        let store = store.clone();
        writers.spawn(async move {
            let mut written = 0_u64;
            while Instant::now() < until {
                store.write(delivered(number, way.ids)).await?;
                written += 1;
            }
            anyhow::Ok(written)
        });
    }
    let mut written = 0;
    while let Some(ended) = writers.join_next().await {
        written += ended??;
    }
    Ok(written as f64 / began.elapsed().as_secs_f64())
}

/// An order that is delivered at its first attempt.
fn delivered(customer: usize, ids: Ids) -> Record {
    let order_id = match ids {
        Ids::ByTime => Uuid::now_v7(),
        Ids::ByKey => Uuid::new_v4(),
    };
    let now = Timestamp::now();
    let customer_id = format!("customer-{customer:03}");
    Record {
        attempt: Attempt {
            message_id: Uuid::new_v4().to_string(),
            order_id: Some(order_id),
            queue: "order-queue-standard".to_owned(),
            group: Some(customer_id.clone()),
            number: 1,
            outcome: Outcome::Delivered,
            reason: None,
            error: None,
            worker: "bench-1".to_owned(),
            started_at: now,
            finished_at: now,
        },
        delivery: Some(DeliveryChange { order_id, customer_id, status: DeliveryStatus::Delivered }),
    }
}

fn table(measured: &[Measured], time: Duration) -> anyhow::Result<String> {
    let mut text = String::from(
        "| database | way | deliveries/s | ratio |\n\
         |---|---|---|---|\n",
    );
    for Measured { database, rounds } in measured {
        for (way, Way { name, .. }) in WAYS.iter().enumerate() {
            let rate = median(rounds.iter().map(|rates| rates[way]).collect())?;
            let ratio = median(rounds.iter().map(|rates| rates[way] / rates[0]).collect())?;
            writeln!(text, "| {database} | {name} | {rate:.0} | {ratio:.1} |")?;
        }
    }
    let rounds = measured.first().map_or(0, |measured| measured.rounds.len());
    writeln!(
        text,
        "\nEach record is a delivery and its attempt, synced to the disk before it counts. The ways take turns \
         of {} s on one database that grows. PostgreSQL is a server of its own on this machine, by a Unix \
         socket, where one is installed. Medians of {rounds} rounds. Wanted: {WANTED:.0} on SQLite.",
        time.as_secs_f64()
    )?;
    Ok(text)
}
