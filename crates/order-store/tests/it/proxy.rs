//! A way to PostgreSQL that can go silent.

use std::{future::pending, net::SocketAddr, path::PathBuf};

use order_store::DatabaseUrl;
use sqlx::postgres::PgConnectOptions;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream, UnixStream},
    sync::watch,
};

use crate::support::PostgresDatabase;

/// Forwards TCP connections to a database's server, and can make those that are open silent: as when the
/// server's host vanishes without a word, their sockets stay open and nothing comes through any more.
pub(crate) struct Proxy {
    addr: SocketAddr,
    user: String,
    database: String,
    silence: watch::Sender<()>,
}

impl Proxy {
    pub(crate) async fn before(database: &PostgresDatabase) -> Self {
        let options: PgConnectOptions = database.text().parse().expect("a URL");
        let socket = options.get_socket().expect("the server listens on a Unix socket");
        let socket = socket.join(format!(".s.PGSQL.{}", options.get_port()));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("it binds");
        let proxy = Self {
            addr: listener.local_addr().expect("an address"),
            user: options.get_username().to_owned(),
            database: options.get_database().expect("a database").to_owned(),
            silence: watch::Sender::new(()),
        };
        let silence = proxy.silence.clone();
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.expect("a connection");
                tokio::spawn(forward(client, socket.clone(), silence.subscribe()));
            }
        });
        proxy
    }

    /// The database's URL by this way.
    pub(crate) fn url(&self) -> DatabaseUrl {
        let Self { addr, user, database, .. } = self;
        format!("postgres://{user}@{addr}/{database}?sslmode=disable").parse().expect("a URL")
    }

    /// Nothing comes through the connections that are open now. Later ones are forwarded, as when the
    /// host is back.
    pub(crate) fn silence(&self) {
        self.silence.send_replace(());
    }
}

async fn forward(mut client: TcpStream, socket: PathBuf, mut silence: watch::Receiver<()>) {
    let mut server = UnixStream::connect(socket).await.expect("it connects");
    tokio::select! {
        biased;
        // Both sockets live as long as this function.
        _ = silence.changed() => pending().await,
        _ = copy_bidirectional(&mut client, &mut server) => {}
    }
}
