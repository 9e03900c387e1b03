//! The order API alone under attack: its processes are killed at random under load. What it has
//! accepted must be in the queues, and nothing else; a worker then delivers each order once.

#![expect(clippy::disallowed_types, reason = "other processes, in real time")]

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use sqlx::{Connection, Row, SqliteConnection};
use tokio::time::sleep;
use uuid::Uuid;

use super::{
    STUCK,
    fleet::{FIFO, Fleet, STANDARD},
    load::{Event, Load},
    orders::Book,
    queues::{self, Taken},
};
use crate::process::build;

/// Between two kills, milliseconds: from an API that has hardly begun to one that has long been at it.
const INTERVAL_MS: std::ops::Range<u64> = 10..600;
/// Orders for each kill: some hundreds per second, so that every kill finds many under way.
const ORDERS_PER_KILL: usize = 150;
/// One order of so many is sent again through another process, which does not know that it is in the
/// queue: the standard queue has it twice.
const REPEATED: u64 = 8;
/// Longer than SQS remembers a deduplication id, five minutes.
const BEYOND_DEDUPLICATION_MS: u64 = 301_000;

/// What is asked for on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    kills: u32,
    /// Drawn when none is given.
    seed: Option<u64>,
}

impl Options {
    /// Nothing when the words are no options.
    pub(crate) fn parse(words: &[&str]) -> Option<Self> {
        let mut options = Self { kills: 200, seed: None };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match *word {
                "--quick" => options.kills = 20,
                "--seed" => options.seed = Some(words.next()?.parse().ok()?),
                _ => return None,
            }
        }
        Some(options)
    }
}

pub(crate) fn run(options: Options) -> anyhow::Result<()> {
    let seed = options.seed.unwrap_or_else(|| rand::rng().random_range(0..1_000_000));
    println!("seed {seed}");
    let binaries = build()?;
    let scratch = std::env::temp_dir().join(format!("fleet-kill-{}", std::process::id()));
    std::fs::create_dir_all(&scratch)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let outcome = runtime.block_on(attack(options.kills, seed, &binaries, &scratch));
    if outcome.is_err() {
        println!("the processes' logs and the store are in {}", scratch.display());
    } else {
        std::fs::remove_dir_all(&scratch)?;
    }
    outcome.with_context(|| format!("with seed {seed}"))
}

async fn attack(kills: u32, seed: u64, binaries: &Path, scratch: &Path) -> anyhow::Result<()> {
    let mut fleet = Fleet::start(binaries, scratch, seed)?;
    let addresses = fleet.addresses.clone();
    let mean = Duration::from_millis(INTERVAL_MS.start.midpoint(INTERVAL_MS.end));
    let orders = ORDERS_PER_KILL * kills as usize;
    let load = Arc::new(Load::new(seed, orders, mean * kills).repeating(REPEATED));
    let mut loading = {
        let (load, apis) = (Arc::clone(&load), addresses.apis.clone());
        tokio::spawn(async move { load.run(&apis).await })
    };
    let mut random = StdRng::seed_from_u64(seed);
    let (mut accepted, mut progressed) = (0, Instant::now());
    loop {
        let wait = Duration::from_millis(random.random_range(INTERVAL_MS));
        tokio::select! {
            loaded = &mut loading => {
                loaded??;
                break;
            }
            // A machine that starts processes slowly needs an end of the kills to accept all orders.
            () = sleep(wait), if fleet.tally.api_kills < u64::from(kills) => {
                let n = random.random_range(0..fleet.apis());
                fleet.kill_api(n)?;
            }
            () = sleep(STUCK) => {}
        }
        let now = load.accepted.load(Relaxed);
        if now > accepted {
            (accepted, progressed) = (now, Instant::now());
        }
        ensure!(progressed.elapsed() < STUCK, "{now} of {orders} orders accepted, and no more");
    }
    let turned_away = load.turned_away.load(Relaxed);
    let book = Arc::into_inner(load).context("the load is over")?.into_book();
    ensure!(book.taken_twice == 0, "{} ids were given to two orders", book.taken_twice);
    ensure!(book.len() == orders, "{} of {orders} orders have ids", book.len());
    let killed = fleet.tally.api_kills;
    ensure!(killed >= u64::from(kills) / 2, "only {killed} processes were killed");
    ensure!(turned_away > 0, "no kill has cost an answer: it proves nothing");
    println!("{orders} orders accepted, {killed} kills, {turned_away} requests sent again");

    let (standard, fifo) =
        (queues::take_all(&addresses, STANDARD).await?, queues::take_all(&addresses, FIFO).await?);
    let repeated = audit_queues(&book, &standard, &fifo)?;
    ensure!(repeated > 0, "no order is in a queue twice: that one has one effect is not tried");
    println!("all of them are in the queues, {repeated} more than once (standard queue)");

    queues::skip(&addresses, BEYOND_DEDUPLICATION_MS).await?;
    queues::put_back(&addresses, STANDARD, &standard).await?;
    queues::put_back(&addresses, FIFO, &fifo).await?;
    fleet.start_worker()?;
    let (mut left, mut progressed) = (u64::MAX, Instant::now());
    while left > 0 {
        sleep(Duration::from_millis(100)).await;
        let now = queues::counts(&addresses).await?.waiting();
        if now != left {
            (left, progressed) = (now, Instant::now());
        }
        ensure!(progressed.elapsed() < STUCK, "no progress in {STUCK:?}: {left} messages left");
    }
    fleet.stop(0)?;
    while !fleet.workers.is_empty() {
        sleep(Duration::from_millis(50)).await;
        fleet.look()?;
    }
    ensure!(fleet.tally.faults.is_empty(), "the worker: {:?}", fleet.tally.faults);
    audit_store(&book, seed, &addresses.database()).await?;
    println!("each is in the store once, and was delivered once or failed as it was made to");
    Ok(())
}

/// Holds the queues against the book; how many messages of the standard queue repeat an order.
fn audit_queues(book: &Book, standard: &[Taken], fifo: &[Taken]) -> anyhow::Result<usize> {
    let mut found = HashSet::new();
    let mut repeated = 0;
    // By customer, the number of the latest order.
    let mut latest: HashMap<u32, u32> = HashMap::new();
    let of = |messages, is_fifo| std::iter::repeat(is_fifo).zip::<&[Taken]>(messages);
    for (is_fifo, Taken { body, .. }) in of(standard, false).chain(of(fifo, true)) {
        let event: Event = serde_json::from_str(body)?;
        let place = book.find(event.order_id);
        let place = place.with_context(|| format!("never accepted: {body}"))?;
        let (_, order) = book.get(place);
        ensure!(event.is(order), "accepted as {order:?}: {body}");
        ensure!(order.fifo == is_fifo, "in the wrong queue: {order:?}");
        if !found.insert(place) {
            ensure!(!is_fifo, "twice in the FIFO queue: {order:?}");
            repeated += 1;
        }
        if is_fifo && let Some(before) = latest.insert(order.customer, order.number) {
            ensure!(before < order.number, "{order:?} stands behind number {before}");
        }
    }
    let lost = (0..book.len()).find(|place| !found.contains(place)).map(|place| book.get(place));
    ensure!(
        lost.is_none(),
        "accepted and not in the queue: {lost:?}, of {}",
        book.len() - found.len()
    );
    Ok(repeated)
}

/// Holds the store against the book.
async fn audit_store(book: &Book, seed: u64, database: &Path) -> anyhow::Result<()> {
    const ALL: &str = "SELECT d.order_id, d.status, (SELECT count(*) FROM attempts a \
        WHERE a.order_id = d.order_id AND a.outcome = 'delivered') AS delivered FROM deliveries d";
    let mut store = SqliteConnection::connect(&format!("sqlite://{}", database.display())).await?;
    let rows = sqlx::query(ALL).fetch_all(&mut store).await?;
    let mut found = HashSet::new();
    for row in &rows {
        let (id, status): (&str, &str) = (row.try_get("order_id")?, row.try_get("status")?);
        let id: Uuid = id.parse()?;
        let place = book.find(id).with_context(|| format!("never accepted: {id}"))?;
        let (_, order) = book.get(place);
        ensure!(found.insert(place), "twice in the store: {order:?}");
        let delivered: i64 = row.try_get("delivered")?;
        let expected = if order.is_failing(seed) { ("FAILED", 0) } else { ("DELIVERED", 1) };
        ensure!(
            (status, delivered) == expected,
            "{order:?} is {status}, delivered {delivered} times"
        );
    }
    ensure!(found.len() == book.len(), "{} orders are not in the store", book.len() - found.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use sqlx::sqlite::SqliteConnectOptions;

    use super::*;
    use crate::chaos::orders::{Order, customer_name};

    const SEED: u64 = 7;

    fn id(order: Order) -> Uuid {
        let place = u128::from(order.customer) << 64 | u128::from(order.number) << 1;
        Uuid::from_u128(place | u128::from(order.fifo))
    }

    /// Three orders of each of two customers on each queue, none of which is made to fail.
    fn orders() -> Vec<Order> {
        let order = |n: u32| Order { fifo: n % 2 == 1, customer: n / 2 % 2, number: n / 4 };
        let orders: Vec<_> = (0..12).map(order).collect();
        assert!(!orders.iter().any(|order| order.is_failing(SEED)));
        orders
    }

    fn book() -> Book {
        let mut book = Book::default();
        for order in orders() {
            book.accepted(id(order), order);
        }
        book.close();
        book
    }

    fn taken(id: Uuid, order: Order) -> Taken {
        let (customer, product) = (customer_name(order.customer), order.product_id());
        let body = format!(
            r#"{{"orderId":"{id}","customerId":"{customer}","items":[{{"productId":"{product}"}}]}}"#
        );
        Taken { body, group: customer }
    }

    /// Audits what an API has left behind that has done this to the queues.
    fn audit_after(harm: impl Fn(&mut Vec<Taken>, &mut Vec<Taken>)) -> Result<usize, String> {
        let (fifo, standard): (Vec<_>, Vec<_>) = orders().into_iter().partition(|order| order.fifo);
        let all = |orders: Vec<Order>| orders.into_iter().map(|o| taken(id(o), o)).collect();
        let (mut standard, mut fifo): (Vec<_>, Vec<_>) = (all(standard), all(fifo));
        harm(&mut standard, &mut fifo);
        audit_queues(&book(), &standard, &fifo).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn what_a_broken_api_leaves_in_the_queues_is_found() {
        type Harm = fn(&mut Vec<Taken>, &mut Vec<Taken>);
        let other = Order { fifo: false, customer: 9, number: 9 };
        assert_eq!(audit_after(|_, _| ()), Ok(0));
        assert_eq!(
            audit_after(|standard, _| standard.push(taken(id(orders()[0]), orders()[0]))),
            Ok(1)
        );
        let harms: [(&str, Harm); 6] = [
            ("accepted and not in the queue", |standard, _| drop(standard.pop())),
            ("accepted and not in the queue", |_, fifo| drop(fifo.remove(0))),
            ("in the wrong queue", |standard, fifo| standard.extend(fifo.pop())),
            ("twice in the FIFO queue", |_, fifo| {
                let last = orders()[11];
                fifo.push(taken(id(last), last));
            }),
            ("stands behind number", |_, fifo| fifo.swap(0, 2)),
            ("accepted as", |standard, _| {
                let [first, second] = [orders()[0], orders()[4]];
                standard[0] = taken(id(first), second);
            }),
        ];
        for (expected, harm) in harms {
            let found = audit_after(harm).unwrap_err();
            assert!(found.contains(expected), "{expected}: {found}");
        }
        let unknown = audit_after(|standard, _| standard.push(taken(id(other), other)));
        assert!(unknown.unwrap_err().contains("never accepted"));
    }

    #[tokio::test]
    async fn what_a_broken_worker_leaves_in_the_store_is_found() {
        let first = id(orders()[0]);
        let harms = [
            (String::new(), None),
            (
                format!("DELETE FROM deliveries WHERE order_id = '{first}'"),
                Some("not in the store"),
            ),
            (format!("INSERT INTO deliveries VALUES ('{first}', 'DELIVERED')"), Some("twice in")),
            (format!("INSERT INTO attempts VALUES ('{first}', 'delivered')"), Some("2 times")),
            (format!("DELETE FROM attempts WHERE order_id = '{first}'"), Some("0 times")),
            ("UPDATE deliveries SET status = 'FAILED'".to_owned(), Some("is FAILED")),
            (
                format!("INSERT INTO deliveries VALUES ('{}', 'DELIVERED')", Uuid::max()),
                Some("never accepted"),
            ),
        ];
        for (harm, expected) in harms {
            let scratch = tempfile::tempdir().unwrap();
            let path = scratch.path().join("store");
            let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
            let mut store = SqliteConnection::connect_with(&options).await.unwrap();
            let rows = orders().into_iter().map(|order| {
                let id = id(order);
                format!(
                    "INSERT INTO deliveries VALUES ('{id}', 'DELIVERED');
                    INSERT INTO attempts VALUES ('{id}', 'delivered');"
                )
            });
            let tables = "CREATE TABLE deliveries (order_id TEXT, status TEXT);
                CREATE TABLE attempts (order_id TEXT, outcome TEXT);";
            let script = std::iter::once(tables.to_owned()).chain(rows).chain([harm.clone()]);
            let script: String = script.collect();
            sqlx::raw_sql(sqlx::AssertSqlSafe(script)).execute(&mut store).await.unwrap();
            store.close().await.unwrap();
            let found = audit_store(&book(), SEED, &path).await.err();
            let found = found.map(|error| format!("{error:#}"));
            match expected {
                None => assert_eq!(found, None),
                Some(expected) => {
                    assert!(
                        found.as_ref().is_some_and(|f| f.contains(expected)),
                        "{harm}: {found:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn options_are_read_or_refused_as_a_whole() {
        assert_eq!(Options::parse(&[]), Some(Options { kills: 200, seed: None }));
        let some = Options { kills: 20, seed: Some(7) };
        assert_eq!(Options::parse(&["--seed", "7", "--quick"]), Some(some));
        for wrong in [&["--seed"][..], &["--seed", "x"], &["--slow"]] {
            assert_eq!(Options::parse(wrong), None, "{wrong:?}");
        }
    }
}
