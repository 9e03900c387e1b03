//! The HTTP carrier over TLS.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use delivery_worker::{Carrier, Failure, HttpCarrier};
use rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::time::timeout;

use crate::support::{PATIENCE, order_of};

/// Made for these tests, for 127.0.0.1, the years 2020 to 2120, and signed by nobody but itself.
const CERTIFICATE: &[u8] = include_bytes!("carriers_tls/self-signed.crt");
const KEY: &[u8] = include_bytes!("carriers_tls/self-signed.key");

fn certificate() -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(CERTIFICATE).unwrap()
}

/// A server with the self-signed certificate that answers one request with 200, on a thread of its own.
fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate()], PrivateKeyDer::from_pem_slice(KEY).unwrap())
        .unwrap();
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let session = ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = StreamOwned::new(session, stream);
        let mut request = [0; 4096];
        // A client that trusts nobody ends the handshake, which is an error here.
        if stream.read(&mut request).is_ok() {
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            stream.write_all(answer).unwrap();
            stream.conn.send_close_notify();
            stream.flush().unwrap();
        }
    });
    addr
}

async fn deliver(addr: SocketAddr, roots: RootCertStore) -> Result<(), Failure> {
    let url = format!("https://name:secret@{addr}/orders");
    let carrier = HttpCarrier::trusting(&url, roots).unwrap();
    timeout(PATIENCE, carrier.deliver(&order_of("a"))).await.expect("it ends")
}

#[tokio::test]
async fn an_order_goes_to_a_carrier_whose_certificate_is_trusted() {
    let mut roots = RootCertStore::empty();
    roots.add(certificate()).unwrap();
    assert_eq!(deliver(server(), roots).await, Ok(()));
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_an_outage_that_says_so() {
    let failure = deliver(server(), RootCertStore::empty()).await;
    let Err(Failure::Unavailable { detail, retry_after: None }) = failure else {
        panic!("{failure:?}");
    };
    assert!(detail.contains("certificate") && detail.contains("UnknownIssuer"), "{detail}");
    assert!(!detail.contains("secret"), "{detail}");
}
