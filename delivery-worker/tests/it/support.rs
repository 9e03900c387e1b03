//! Orders, messages, stores and waiting.

use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};

use delivery_worker::store::{DatabaseUrl, Store};
use jiff::Timestamp;
use order_events::{Decimal, OrderEvent, OrderItem};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use sqlx::{ConnectOptions, SqliteConnection, sqlite::SqliteConnectOptions};
use sqs_consumer::Message;
use tempfile::TempDir;
use uuid::Uuid;

/// No test waits longer for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until the question is answered, with a bound.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut question: impl FnMut() -> F,
) -> T {
    let asked = async {
        loop {
            if let Some(answer) = question().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| panic!("never: {what}"))
}

pub(crate) fn order_of(product: &str) -> OrderEvent {
    let item = OrderItem {
        product_id: "p1".to_owned(),
        product_name: product.to_owned(),
        quantity: 1,
        price: Decimal::from(10_000),
    };
    OrderEvent::new(Uuid::new_v4(), "customer-001".to_owned(), vec![item], Timestamp::now())
        .expect("a small total")
}

pub(crate) fn message(body: &str) -> Message {
    Message {
        message_id: Uuid::new_v4().to_string(),
        receipt_handle: "handle".into(),
        body: body.to_owned(),
        attributes: BTreeMap::new(),
        group_id: None,
        receive_count: 1,
        sent_at_ms: None,
        trace_header: None,
    }
}

/// A store in a directory that goes away with it.
pub(crate) struct TempStore {
    pub(crate) store: Store,
    pub(crate) directory: TempDir,
}

impl TempStore {
    /// What another process has of the same file.
    pub(crate) async fn another_process(&self) -> SqliteConnection {
        let path = self.directory.path().join("deliveries.db");
        SqliteConnectOptions::new().filename(path).connect().await.expect("it connects")
    }

    pub(crate) async fn open() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let url = DatabaseUrl::Sqlite(directory.path().join("deliveries.db"));
        Self { store: Store::open(&url).await.expect("the store opens"), directory }
    }
}

/// A client for plain HTTP: no certificate authority is trusted.
pub(crate) fn http_client() -> reqwest::Client {
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has the default versions")
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().expect("a client")
}

/// Status and JSON of a GET.
pub(crate) async fn get(url: &str) -> (u16, serde_json::Value) {
    let answer = http_client().get(url).send().await.expect("an answer");
    let status = answer.status().as_u16();
    let body = answer.bytes().await.expect("a body");
    (status, serde_json::from_slice(&body).unwrap_or_default())
}
