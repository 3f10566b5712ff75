//! A publisher of documents that describe clients, with TLS of its own and names that a test resolves.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use memgate::adapters::client_documents::{HostResolver, HttpDocumentSource, Network};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

/// The name that the certificate is for.
pub const HOST: &str = "client.example";
/// Where the publisher is. It lets this be a public address, and no other.
pub const PUBLISHER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// Whether an address is that of the publisher.
pub fn is_publisher(address: IpAddr) -> bool {
    address == PUBLISHER
}

/// Resolves each host by its answers in turn; the last one stays.
#[derive(Default)]
pub struct Names {
    answers: Mutex<HashMap<String, Vec<Vec<IpAddr>>>>,
    asked: AtomicUsize,
}

impl Names {
    pub fn of(host: &str, answers: &[&[IpAddr]]) -> Arc<Self> {
        let names = Self::default();
        let answers = answers.iter().rev().map(|answer| answer.to_vec()).collect();
        names.answers.lock().unwrap().insert(host.to_owned(), answers);
        Arc::new(names)
    }

    /// How many look-ups there were.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl HostResolver for Names {
    async fn resolve(&self, host: &str) -> std::io::Result<Vec<IpAddr>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut all = self.answers.lock().unwrap();
        let answers = all.get_mut(host).ok_or(std::io::ErrorKind::NotFound)?;
        Ok(if answers.len() > 1 { answers.pop().unwrap() } else { answers[0].clone() })
    }
}

/// How a request is answered.
pub enum Reply {
    /// With these bytes.
    Whole(String),
    /// With these bytes, one each second.
    Dripping(String),
    /// Never.
    Never,
}

/// The reply to a request for this path at this port.
pub type Answer = fn(&str, u16) -> Reply;

/// A server with a certificate for [`HOST`].
pub struct Publisher {
    address: SocketAddr,
    pub authority: reqwest::Certificate,
    requests: Arc<Mutex<Vec<String>>>,
    pub arrived: Arc<Notify>,
}

impl Publisher {
    /// Listens on this port; 0 for a free one.
    pub async fn start(port: u16, answer: Answer) -> Self {
        let _already_installed = rustls::crypto::ring::default_provider().install_default();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![HOST.to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind((PUBLISHER, port)).await.unwrap();
        let publisher = Self {
            address: listener.local_addr().unwrap(),
            authority: reqwest::Certificate::from_pem(authority.pem().as_bytes()).unwrap(),
            requests: Arc::default(),
            arrived: Arc::default(),
        };
        tokio::spawn(serve(
            listener,
            TlsAcceptor::from(Arc::new(config)),
            answer,
            Arc::clone(&publisher.requests),
            Arc::clone(&publisher.arrived),
        ));
        publisher
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// What the gate fetches documents with: this publisher is all of its internet.
    pub fn source(&self, resolver: Arc<Names>) -> HttpDocumentSource {
        let authorities = vec![self.authority.clone()];
        HttpDocumentSource::of(Network { resolver, allows: is_publisher, authorities })
    }

    /// The heads of the requests that have arrived.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// An answer with a JSON document.
pub fn json(headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{headers}content-length: {length}\r\n\r\n{body}")
}

async fn serve(
    listener: TcpListener,
    tls: TlsAcceptor,
    answer: Answer,
    requests: Arc<Mutex<Vec<String>>>,
    arrived: Arc<Notify>,
) {
    let port = listener.local_addr().unwrap().port();
    while let Ok((connection, _)) = listener.accept().await {
        let (tls, requests, arrived) = (tls.clone(), Arc::clone(&requests), Arc::clone(&arrived));
        tokio::spawn(async move {
            let Ok(mut connection) = tls.accept(connection).await else { return };
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let Ok(byte) = connection.read_u8().await else { return };
                head.push(byte);
            }
            let head = String::from_utf8(head).unwrap();
            let path = head.split(' ').nth(1).unwrap().to_owned();
            requests.lock().unwrap().push(head);
            arrived.notify_one();
            match answer(&path, port) {
                Reply::Whole(answer) => drop(connection.write_all(answer.as_bytes()).await),
                Reply::Dripping(answer) => {
                    for byte in answer.bytes() {
                        if connection.write_u8(byte).await.is_err() || connection.flush().await.is_err() {
                            return;
                        }
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                }
                Reply::Never => return std::future::pending().await,
            }
            let _gone = connection.shutdown().await;
        });
    }
}
