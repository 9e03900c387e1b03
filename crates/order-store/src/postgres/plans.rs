//! No list goes through the table: asked of PostgreSQL itself, with statistics of a filled one.

use jiff::Timestamp;
use order_events::DeliveryStatus;
use uuid::Uuid;

use super::{DIALECT, Postgres};
use crate::{
    DatabaseUrl, DeliveryFilter, Position, StoreError,
    backend::{Backend, Value},
    listing,
};

const FILL: &str = "
    INSERT INTO deliveries
    SELECT gen_random_uuid(), gen_random_uuid(), 'customer-' || i % 100, 'address',
        (ARRAY['PENDING', 'IN_TRANSIT', 'DELIVERED', 'FAILED'])[i % 4 + 1], 'queue-' || i / 7 % 2, i, i
    FROM generate_series(1, 50000) AS i";

async fn explained(
    database: &Postgres,
    sql: &str,
    values: Vec<Value>,
) -> Result<Vec<String>, StoreError> {
    let rows = database.select(format!("EXPLAIN {sql}"), values).await?;
    rows.iter().map(|row| Ok(row.text("QUERY PLAN")?.unwrap_or_default())).collect()
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn no_list_goes_through_the_table() {
    let server = local_postgres::Server::shared().expect("PostgreSQL starts");
    let url = server.create_database().expect("a database").parse().expect("a URL");
    let DatabaseUrl::Postgres(url) = url else { panic!("it is PostgreSQL's") };
    let (database, mut writer) = Postgres::open(&url).await.expect("it opens");
    for sql in [FILL, "ANALYZE deliveries"] {
        let connection = writer.connection().expect("a connection");
        sqlx::query(sql).execute(connection).await.expect(sql);
    }
    let time = |millisecond| Timestamp::from_millisecond(millisecond).expect("a time");
    let position = Position { created_at: time(30_000), order_id: Uuid::from_u128(1) };
    for which in 0..64_u32 {
        let has = |bit: u32| which & (1 << bit) != 0;
        let filter = DeliveryFilter {
            status: has(0).then_some(DeliveryStatus::Failed),
            customer_id: has(1).then(|| "customer-7".to_owned()),
            queue: has(2).then(|| "queue-1".to_owned()),
            from: has(3).then(|| time(10_000)),
            to: has(4).then(|| time(40_000)),
        };
        let after = has(5).then_some(position);
        let (sql, values) = listing::page(&filter, after, 50, &DIALECT);
        let plan = explained(&database, &sql, values).await.expect("a plan");
        let reads: Vec<_> = plan.iter().filter(|step| step.contains("Scan")).collect();
        assert!(reads.iter().any(|step| step.contains("deliveries_by_")), "{filter:?}: {plan:?}");
        assert!(!reads.iter().any(|step| step.contains("Seq Scan")), "{filter:?}: {plan:?}");
    }
    database.close().await;
}
