//! local-sqs as a process of its own.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use crate::{
    process::{Process, free_address},
    sqs::Connection,
};

/// A server of its own, and where it is.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) addr: SocketAddr,
}

impl Server {
    pub(crate) fn start(binaries: &Path) -> anyhow::Result<Self> {
        let addr = free_address()?;
        let env = BTreeMap::from([("LOCAL_SQS_ADDR", addr.to_string())]);
        let binary: PathBuf = binaries.join("local-sqs");
        let mut process = Process::start(&binary, &env)?;
        process.wait_until_ready(addr, "/health")?;
        Ok(Self { process, addr })
    }

    pub(crate) async fn connect(&self) -> anyhow::Result<Connection> {
        Connection::open(self.addr).await
    }
}
