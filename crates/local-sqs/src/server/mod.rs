//! The model behind HTTP.

mod clock;
mod connections;
mod core;
mod faults;
mod handle;
mod http;
mod local;
mod metrics;
mod socket;
mod status;
mod wire;

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::TcpListener;

use self::clock::Clock;
use self::core::Shared;
use self::faults::FaultState;
pub use self::faults::{FaultError, FaultRule, Faults, Latency};
pub use self::handle::Handle;
#[cfg(fuzzing)]
pub(crate) use self::wire::fuzzing;
use crate::declaration::{QueueDeclaration, default_queues};
use crate::model::{ModelSettings, Sqs};

/// What a server is made with.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// Account, region, seed and limits.
    pub model: ModelSettings,
    /// The queues that exist from the start, dead-letter queues before their sources.
    pub queues: Vec<QueueDeclaration>,
    /// The faults that the server shows from the start.
    pub faults: Faults,
}

impl Default for ServerSettings {
    /// The fleet's four queues, no faults, and a seed of this process's own.
    fn default() -> Self {
        let seed = uuid::Uuid::new_v4().as_u64_pair().0;
        Self {
            model: ModelSettings { seed, ..ModelSettings::default() },
            queues: default_queues(),
            faults: Faults::default(),
        }
    }
}

/// A server that is bound but does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    local_addr: SocketAddr,
    shared: Arc<Shared>,
}

impl Server {
    /// Binds to `addr` (port 0 lets the system choose) and creates the declared queues.
    ///
    /// An error is the listener's, or `InvalidInput` when SQS refuses a declared queue or the faults make
    /// no sense.
    pub async fn bind(addr: SocketAddr, settings: ServerSettings) -> io::Result<Self> {
        Self::with_listener(TcpListener::bind(addr).await?, settings)
    }

    /// The same with a listener that is bound already.
    pub fn with_listener(listener: TcpListener, settings: ServerSettings) -> io::Result<Self> {
        let invalid = |problem: String| io::Error::new(io::ErrorKind::InvalidInput, problem);
        settings.faults.check().map_err(invalid)?;
        let clock = Clock::start();
        let mut model = Sqs::new(settings.model);
        for queue in &settings.queues {
            queue
                .create(&mut model, clock.now())
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        }
        let local_addr = listener.local_addr()?;
        let shared = Arc::new(Shared::new(model, clock, FaultState::new(settings.faults)));
        Ok(Self { listener, local_addr, shared })
    }

    /// The address that is listened on.
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// What to give an SDK on this machine as its endpoint, `http://127.0.0.1:9324`.
    pub fn endpoint(&self) -> String {
        let mut addr = self.local_addr;
        if addr.ip().is_unspecified() {
            addr.set_ip(if addr.is_ipv4() {
                Ipv4Addr::LOCALHOST.into()
            } else {
                Ipv6Addr::LOCALHOST.into()
            });
        }
        format!("http://{addr}")
    }

    /// A handle that stays valid while the server runs.
    pub fn handle(&self) -> Handle {
        Handle { shared: Arc::clone(&self.shared) }
    }

    /// Answers requests until `shutdown` is over; then ends the long polls and finishes what is under way.
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send) -> io::Result<()> {
        tokio::select! {
            () = connections::serve(self.listener, Arc::clone(&self.shared), shutdown) => Ok(()),
            never = self.shared.keep_time() => match never {},
        }
    }
}
