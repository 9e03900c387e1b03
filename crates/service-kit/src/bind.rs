//! Binding a listener, with an error that says what to change.

use std::{io, net::SocketAddr};
use tokio::net::{TcpListener, TcpSocket};

/// Connections that the system completes before the service accepts them.
const BACKLOG: u32 = 1024;

/// A listener could not be bound. The message names the address and the setting.
#[derive(Debug, thiserror::Error)]
#[error("{addr} {}: {}", what(source), advice(source, setting))]
pub struct BindError {
    /// The setting that holds the address.
    pub setting: &'static str,
    /// The address that was tried.
    pub addr: SocketAddr,
    /// The system's answer.
    pub source: io::Error,
}

/// Binds `addr`; `setting` is the name of the setting it came from.
///
/// Must be called within a tokio runtime.
pub fn bind(setting: &'static str, addr: SocketAddr) -> Result<TcpListener, BindError> {
    listen(addr).map_err(|source| BindError { setting, addr, source })
}

fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restarted service takes its port back while old connections are still in TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}

fn what(source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::AddrInUse => "is in use".to_owned(),
        io::ErrorKind::AddrNotAvailable => "is not an address of this machine".to_owned(),
        io::ErrorKind::PermissionDenied => "may not be bound by this user".to_owned(),
        _ => format!("cannot be bound ({source})"),
    }
}

fn advice(source: &io::Error, setting: &str) -> String {
    if source.kind() == io::ErrorKind::AddrInUse {
        format!("stop the other program or set {setting}")
    } else {
        format!("set {setting}")
    }
}
