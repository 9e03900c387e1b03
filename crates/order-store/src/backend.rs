//! What a database must do for the store. All that it is asked is written once, in `reads` and
//! `sweep`; a back end runs it, and writes in its own best way.

use futures_util::future::BoxFuture;

use crate::{KeyedRequest, Record, Remembered, StoreError, sweep::Sweep};

/// A database with the store's tables in it: reads, and connections to write through.
pub(crate) trait Backend: Send + Sync + 'static {
    /// Where the database's SQL differs from the other's.
    fn dialect(&self) -> &'static Dialect;

    /// A new connection for the writer.
    fn connect(&self) -> BoxFuture<'_, Result<Box<dyn Connection>, StoreError>>;

    /// The rows of a `SELECT`; its parameters are `$1`, `$2`, ... What nobody waits for any more
    /// ends, soon, in the database too.
    fn select(
        &self,
        pool: Pool,
        sql: String,
        values: Vec<Value>,
    ) -> BoxFuture<'_, Result<Vec<Row>, StoreError>>;

    /// The same for a `SELECT` that goes through very much: on a connection of its own, for as
    /// long as the caller waits.
    fn scan(&self, sql: &'static str) -> BoxFuture<'_, Result<Vec<Row>, StoreError>>;

    /// Closes the connections that read.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// Which of the connections that read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pool {
    /// Those of handlers, who read a row by its key: no attempt waits for what others want to know.
    Handlers,
    /// Those of who asks about deliveries, which may take long.
    Questions,
}

/// The writer's connection.
pub(crate) trait Connection: Send + 'static {
    /// Commits the batch in one transaction, its records in their order, and says of each request
    /// what it was.
    ///
    /// [`StoreError::Refused`] means that at least one of the batch is at fault and none is written;
    /// [`StoreError::Unavailable`] that the connection is not to be used again, and that it is not
    /// known whether the batch is committed. An empty batch only finds out whether writing works.
    fn commit<'a>(
        &'a mut self,
        batch: &'a Batch<'a>,
    ) -> BoxFuture<'a, Result<Vec<Remembered>, StoreError>>;

    /// Deletes some of what is old, in a transaction of its own; none: another has the turn.
    fn sweep<'a>(&'a mut self, sweep: &'a Sweep) -> BoxFuture<'a, Result<Option<u64>, StoreError>>;

    /// Runs a change in a transaction of its own, and gives the rows that each statement returned.
    fn change<'a>(&'a mut self, change: &'a Change) -> BoxFuture<'a, Result<Changed, StoreError>>;

    /// Closes the connection.
    fn close(self: Box<Self>) -> BoxFuture<'static, ()>;
}

/// What is written together.
#[derive(Debug, Default)]
pub(crate) struct Batch<'a> {
    pub(crate) records: Vec<&'a Record>,
    pub(crate) requests: Vec<&'a KeyedRequest>,
}

impl Batch<'_> {
    pub(crate) fn len(&self) -> usize {
        self.records.len() + self.requests.len()
    }
}

/// A statement and its parameters `$1`, `$2`, ...
pub(crate) type Statement = (String, Vec<Value>);

/// Statements that are run together, in their order, or not at all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Change {
    /// Whether the first statement must return a row: otherwise nothing is changed.
    pub(crate) guarded: bool,
    pub(crate) statements: Vec<Statement>,
}

/// The rows that each statement of a change returned; none: its guard returned none.
pub(crate) type Changed = Option<Vec<Vec<Row>>>;

/// Where the databases' SQL differs.
#[derive(Debug)]
pub(crate) struct Dialect {
    /// Behind a parameter or a text that is a UUID: makes it one.
    pub(crate) as_uuid: &'static str,
    /// Behind a column that is a UUID: makes it a text.
    pub(crate) as_text: &'static str,
    /// Whether a query names the index that it goes by (`INDEXED BY`): SQLite, which keeps no statistics
    /// by itself, would guess.
    pub(crate) names_index: bool,
    /// At the end of a query for rows to be deleted: leaves those that another deletes.
    pub(crate) skip_locked: &'static str,
}

/// A parameter. What is absent has a type all the same: PostgreSQL goes by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Text(String),
    NoText,
    Number(i64),
    NoNumber,
    Bytes(Vec<u8>),
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Self {
        text.map_or(Self::NoText, Self::Text)
    }
}

impl From<Option<i64>> for Value {
    fn from(number: Option<i64>) -> Self {
        number.map_or(Self::NoNumber, Self::Number)
    }
}

/// Parameters as they are added to a statement's text.
#[derive(Debug, Default)]
pub(crate) struct Parameters(pub(crate) Vec<Value>);

impl Parameters {
    /// Adds a parameter; its place in the text.
    pub(crate) fn bind(&mut self, value: Value) -> String {
        self.0.push(value);
        format!("${}", self.0.len())
    }

    /// Adds a text of at most 1 KiB without NUL.
    pub(crate) fn text(&mut self, text: &str) -> String {
        self.bind(Value::Text(crate::record::bounded(text)))
    }

    /// Adds a number.
    pub(crate) fn number(&mut self, number: i64) -> String {
        self.bind(Value::Number(number))
    }

    /// Adds texts; their places in the text, as a list.
    pub(crate) fn texts<'a>(&mut self, texts: impl IntoIterator<Item = &'a str>) -> String {
        texts.into_iter().map(|text| self.text(text)).collect::<Vec<_>>().join(", ")
    }
}

/// A row that was read.
pub(crate) type Row = Box<dyn Columns + Send>;

/// A row's columns by name.
pub(crate) trait Columns {
    fn text(&self, column: &str) -> Result<Option<String>, StoreError>;
    fn number(&self, column: &str) -> Result<i64, StoreError>;
    fn optional_number(&self, column: &str) -> Result<Option<i64>, StoreError>;
    fn bytes(&self, column: &str) -> Result<Vec<u8>, StoreError>;
}
