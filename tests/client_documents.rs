//! Fetching the documents of clients, from a publisher with TLS of its own and names that a test resolves.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use memgate::adapters::client_documents::{HostResolver, HttpDocumentSource, Network};
use memgate::domain::oauth::{ClientDocumentSource as _, DocumentProblem, DocumentUrl, FetchedDocument};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

const HOST: &str = "client.example";
/// Where the publisher is. Tests let this be a public address, and no other.
const PUBLISHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 2));

fn is_publisher(address: IpAddr) -> bool {
    address == PUBLISHER
}

/// Resolves each host by its answers in turn; the last one stays.
#[derive(Default)]
struct Names {
    answers: Mutex<HashMap<String, Vec<Vec<IpAddr>>>>,
    asked: AtomicUsize,
}

impl Names {
    fn of(host: &str, answers: &[&[IpAddr]]) -> Arc<Self> {
        let names = Self::default();
        let answers = answers.iter().rev().map(|answer| answer.to_vec()).collect();
        names.answers.lock().unwrap().insert(host.to_owned(), answers);
        Arc::new(names)
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

/// A server with a certificate for [`HOST`] that answers by the path of a request.
struct Publisher {
    address: SocketAddr,
    authority: reqwest::Certificate,
    requests: Arc<Mutex<Vec<String>>>,
    arrived: Arc<Notify>,
}

impl Publisher {
    async fn start() -> Self {
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
        let listener = TcpListener::bind((PUBLISHER, 0)).await.unwrap();
        let publisher = Self {
            address: listener.local_addr().unwrap(),
            authority: reqwest::Certificate::from_pem(authority.pem().as_bytes()).unwrap(),
            requests: Arc::default(),
            arrived: Arc::default(),
        };
        tokio::spawn(serve(
            listener,
            TlsAcceptor::from(Arc::new(config)),
            Arc::clone(&publisher.requests),
            Arc::clone(&publisher.arrived),
        ));
        publisher
    }

    fn url(&self, path: &str) -> DocumentUrl {
        url(&format!("https://{HOST}:{}{path}", self.address.port()))
    }

    fn source(&self, resolver: Arc<Names>) -> HttpDocumentSource {
        let authorities = vec![self.authority.clone()];
        HttpDocumentSource::of(Network { resolver, allows: is_publisher, authorities })
    }

    async fn fetch(&self, path: &str) -> Result<FetchedDocument, DocumentProblem> {
        self.source(Names::of(HOST, &[&[PUBLISHER]])).fetch(&self.url(path)).await
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn url(text: &str) -> DocumentUrl {
    DocumentUrl::of(&text.parse().unwrap()).unwrap()
}

async fn serve(listener: TcpListener, tls: TlsAcceptor, requests: Arc<Mutex<Vec<String>>>, arrived: Arc<Notify>) {
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
            let Some(answer) = answer(&path) else { return std::future::pending().await };
            let _gone = connection.write_all(answer.as_bytes()).await;
            let _gone = connection.shutdown().await;
        });
    }
}

/// The bytes of the answer; `None` if there never is one.
fn answer(path: &str) -> Option<String> {
    let json = |headers: &str, body: &str| {
        let length = body.len();
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{headers}content-length: {length}\r\n\r\n{body}")
    };
    let of_size = |size: usize| format!("\"{}\"", "x".repeat(size - 2));
    Some(match path {
        "/plain" => json("cache-control: max-age=600\r\n", "{}"),
        "/fits" => json("", &of_size(10_240)),
        "/large" => json("", &of_size(11 * 1024)),
        "/endless" => {
            let chunk = format!("{:x}\r\n{}\r\n", 4096, "x".repeat(4096));
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
            format!("{head}{}", chunk.repeat(100))
        }
        "/html" => "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 2\r\n\r\n{}".to_owned(),
        "/moved" => "HTTP/1.1 302 Found\r\nlocation: /plain\r\ncontent-length: 0\r\n\r\n".to_owned(),
        "/missing" => "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned(),
        "/down" => "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n".to_owned(),
        "/cut" => "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{".to_owned(),
        _ => return None,
    })
}

#[tokio::test]
async fn a_document_is_fetched_by_one_request_without_credentials() {
    let publisher = Publisher::start().await;
    let fetched = publisher.fetch("/plain").await.unwrap();
    assert_eq!(fetched.body, b"{}");
    assert_eq!(fetched.max_age, Some(std::time::Duration::from_mins(10)));
    let [request] = publisher.requests().try_into().unwrap();
    assert!(request.starts_with("GET /plain HTTP/1.1\r\n"), "{request}");
    let request = request.to_ascii_lowercase();
    for never in ["cookie", "authorization", "referer"] {
        assert!(!request.contains(never), "{request}");
    }
    assert_eq!(publisher.fetch("/fits").await.unwrap().body.len(), 10_240);
}

#[tokio::test]
async fn what_is_no_small_json_document_is_refused() {
    let publisher = Publisher::start().await;
    for (path, problem) in [
        ("/large", DocumentProblem::TooLarge),
        ("/endless", DocumentProblem::TooLarge),
        ("/html", DocumentProblem::NotJson),
        ("/moved", DocumentProblem::Redirect),
        ("/missing", DocumentProblem::Status(404)),
        ("/down", DocumentProblem::Status(503)),
        ("/cut", DocumentProblem::Unreachable),
    ] {
        assert_eq!(publisher.fetch(path).await, Err(problem), "{path}");
    }
    assert_eq!(publisher.requests().len(), 7, "nothing is tried again, and no redirect is followed");
}

#[tokio::test]
async fn a_publisher_that_does_not_answer_is_left() {
    let publisher = Publisher::start().await;
    let (source, url) = (publisher.source(Names::of(HOST, &[&[PUBLISHER]])), publisher.url("/never"));
    let fetching = tokio::spawn(async move { source.fetch(&url).await });
    publisher.arrived.notified().await;
    // From here on, time passes as soon as nothing else happens.
    tokio::time::pause();
    assert_eq!(fetching.await.unwrap(), Err(DocumentProblem::Slow));
}

#[tokio::test]
async fn no_address_but_a_public_one_is_connected_to() {
    let publisher = Publisher::start().await;
    let public = "1.1.1.1";
    for addresses in [
        &["127.0.0.1"][..],
        &["127.0.0.2"],
        &["0.0.0.0"],
        &["10.0.0.1"],
        &["172.16.0.1"],
        &["192.168.1.1"],
        &["100.64.0.1"],
        &["169.254.169.254"],
        &["::1"],
        &["fe80::1"],
        &["fd00::1"],
        &["::ffff:127.0.0.2"],
        &["::ffff:169.254.169.254"],
        &["2002:7f00:2::1"],
        &["2002:a00:1::1"],
        &["64:ff9b::7f00:2"],
        &["64:ff9b::a9fe:a9fe"],
        &["64:ff9b:1::1"],
        // Of two answers, both have to be public.
        &[public, "127.0.0.2"],
        &["127.0.0.2", public],
        &["2606:4700::1111", "::1"],
    ] {
        let parsed: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
        let network = Network {
            resolver: Names::of(HOST, &[&parsed]),
            authorities: vec![publisher.authority.clone()],
            ..Network::default()
        };
        let refused = HttpDocumentSource::of(network).fetch(&publisher.url("/plain")).await;
        assert_eq!(refused, Err(DocumentProblem::ForbiddenAddress), "{addresses:?}");
    }
    let local = url(&format!("https://localhost:{}/plain", publisher.address.port()));
    assert_eq!(HttpDocumentSource::default().fetch(&local).await, Err(DocumentProblem::ForbiddenAddress));
    assert!(publisher.requests().is_empty());
}

#[tokio::test]
async fn a_name_that_is_rebound_between_check_and_connection_changes_nothing() {
    let publisher = Publisher::start().await;
    let names = Names::of(HOST, &[&[PUBLISHER], &["127.0.0.1".parse().unwrap()]]);
    let source = publisher.source(Arc::clone(&names));
    assert!(source.fetch(&publisher.url("/plain")).await.is_ok(), "connected to the address that was checked");
    assert_eq!(names.asked.load(Ordering::SeqCst), 1, "there is one look-up per fetch");
    assert_eq!(source.fetch(&publisher.url("/plain")).await, Err(DocumentProblem::ForbiddenAddress));
    assert_eq!(publisher.requests().len(), 1);
}

#[tokio::test]
async fn a_publisher_has_to_prove_its_name() {
    let publisher = Publisher::start().await;
    let port = publisher.address.port();
    let source = publisher.source(Names::of("other.example", &[&[PUBLISHER]]));
    let other = url(&format!("https://other.example:{port}/plain"));
    assert_eq!(source.fetch(&other).await, Err(DocumentProblem::Unreachable), "the certificate is for another name");
    assert_eq!(source.fetch(&publisher.url("/plain")).await, Err(DocumentProblem::Unreachable), "unknown name");
    let stranger = Publisher::start().await;
    let authorities = vec![stranger.authority.clone()];
    let network = Network { resolver: Names::of(HOST, &[&[PUBLISHER]]), allows: is_publisher, authorities };
    let refused = HttpDocumentSource::of(network).fetch(&publisher.url("/plain")).await;
    assert_eq!(refused, Err(DocumentProblem::Unreachable), "the authority is unknown");
    assert!(publisher.requests().is_empty());
}
