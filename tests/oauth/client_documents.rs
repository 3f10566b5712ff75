//! Fetching the documents of clients, from a publisher with TLS of its own and names that a test resolves.

use std::net::IpAddr;
use std::sync::Arc;

use memgate::adapters::client_documents::{HttpDocumentSource, Network};
use memgate::app::{Gate, GateOptions};
use memgate::domain::oauth::{ClientDocumentSource as _, DocumentProblem, DocumentUrl, FetchedDocument};
use memgate_test_kit::database::TestDatabase;
use memgate_test_kit::deadline::happens;
use memgate_test_kit::http;
use memgate_test_kit::process::{finish, test_alone};
use memgate_test_kit::publisher::{HOST, Names, PUBLISHER, Publisher, Reply, is_publisher, json};
use serde_json::json as object;

async fn published() -> Publisher {
    Publisher::start(0, answer).await
}

fn url(text: &str) -> DocumentUrl {
    DocumentUrl::of(&text.parse().unwrap()).unwrap()
}

fn url_at(publisher: &Publisher, path: &str) -> DocumentUrl {
    url(&format!("https://{HOST}:{}{path}", publisher.port()))
}

async fn fetch(publisher: &Publisher, path: &str) -> Result<FetchedDocument, DocumentProblem> {
    publisher.source(Names::of(HOST, &[&[PUBLISHER]])).fetch(&url_at(publisher, path)).await
}

fn answer(path: &str, port: u16) -> Reply {
    let of_size = |size: usize| format!("\"{}\"", "x".repeat(size - 2));
    Reply::Whole(match path {
        "/client.json" => {
            let client_id = format!("https://{HOST}:{port}{path}");
            let redirect_uris = ["http://127.0.0.1/callback"];
            let document = object!({"client_id": client_id, "client_name": "Editor", "redirect_uris": redirect_uris});
            json("", &document.to_string())
        }
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
        "/dripping" => return Reply::Dripping(json("", "{}")),
        _ => return Reply::Never,
    })
}

#[tokio::test]
async fn a_document_is_fetched_by_one_request_without_credentials() {
    let publisher = published().await;
    let fetched = fetch(&publisher, "/plain").await.unwrap();
    assert_eq!(fetched.body, b"{}");
    assert_eq!(fetched.max_age, Some(std::time::Duration::from_mins(10)));
    let [request] = publisher.requests().try_into().unwrap();
    assert!(request.starts_with("GET /plain HTTP/1.1\r\n"), "{request}");
    let request = request.to_ascii_lowercase();
    for never in ["cookie", "authorization", "referer"] {
        assert!(!request.contains(never), "{request}");
    }
    assert_eq!(fetch(&publisher, "/fits").await.unwrap().body.len(), 10_240);
}

#[tokio::test]
async fn what_is_no_small_json_document_is_refused() {
    let publisher = published().await;
    for (path, problem) in [
        ("/large", DocumentProblem::TooLarge),
        ("/endless", DocumentProblem::TooLarge),
        ("/html", DocumentProblem::NotJson),
        ("/moved", DocumentProblem::Redirect),
        ("/missing", DocumentProblem::Status(404)),
        ("/down", DocumentProblem::Status(503)),
        ("/cut", DocumentProblem::Unreachable),
    ] {
        assert_eq!(fetch(&publisher, path).await, Err(problem), "{path}");
    }
    assert_eq!(publisher.requests().len(), 7, "nothing is tried again, and no redirect is followed");
}

#[tokio::test]
async fn a_publisher_that_does_not_answer_or_takes_its_time_is_left() {
    for path in ["/never", "/dripping"] {
        let publisher = published().await;
        let (source, url) = (publisher.source(Names::of(HOST, &[&[PUBLISHER]])), url_at(&publisher, path));
        let fetching = tokio::spawn(async move { source.fetch(&url).await });
        happens(publisher.arrived.notified()).await;
        // From here on, time passes as soon as nothing else happens.
        tokio::time::pause();
        let started = tokio::time::Instant::now();
        assert_eq!(fetching.await.unwrap(), Err(DocumentProblem::Slow), "{path}");
        assert!(started.elapsed() <= FetchedDocument::TIMEOUT, "{path}: {:?}", started.elapsed());
        tokio::time::resume();
    }
}

#[tokio::test]
async fn no_address_but_a_public_one_is_connected_to() {
    let publisher = published().await;
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
        let refused = HttpDocumentSource::of(network).fetch(&url_at(&publisher, "/plain")).await;
        assert_eq!(refused, Err(DocumentProblem::ForbiddenAddress), "{addresses:?}");
    }
    let local = url(&format!("https://localhost:{}/plain", publisher.port()));
    assert_eq!(HttpDocumentSource::default().fetch(&local).await, Err(DocumentProblem::ForbiddenAddress));
    assert!(publisher.requests().is_empty());
}

#[tokio::test]
async fn a_name_that_is_rebound_between_check_and_connection_changes_nothing() {
    let publisher = published().await;
    let names = Names::of(HOST, &[&[PUBLISHER], &["127.0.0.1".parse().unwrap()]]);
    let source = publisher.source(Arc::clone(&names));
    assert!(source.fetch(&url_at(&publisher, "/plain")).await.is_ok(), "connected to the address that was checked");
    assert_eq!(names.asked(), 1, "there is one look-up per fetch");
    assert_eq!(source.fetch(&url_at(&publisher, "/plain")).await, Err(DocumentProblem::ForbiddenAddress));
    assert_eq!(publisher.requests().len(), 1);
}

#[tokio::test]
async fn a_publisher_has_to_prove_its_name() {
    let publisher = published().await;
    let port = publisher.port();
    let source = publisher.source(Names::of("other.example", &[&[PUBLISHER]]));
    let other = url(&format!("https://other.example:{port}/plain"));
    assert_eq!(source.fetch(&other).await, Err(DocumentProblem::Unreachable), "the certificate is for another name");
    assert_eq!(source.fetch(&url_at(&publisher, "/plain")).await, Err(DocumentProblem::Unreachable), "unknown name");
    let stranger = published().await;
    let authorities = vec![stranger.authority.clone()];
    let network = Network { resolver: Names::of(HOST, &[&[PUBLISHER]]), allows: is_publisher, authorities };
    let refused = HttpDocumentSource::of(network).fetch(&url_at(&publisher, "/plain")).await;
    assert_eq!(refused, Err(DocumentProblem::Unreachable), "the authority is unknown");
    assert!(publisher.requests().is_empty());
}

#[test]
fn no_proxy_of_the_environment_is_asked() {
    // Nothing listens there.
    let proxy = "http://127.0.0.1:9";
    let mut child = test_alone(module_path!(), "a_document_is_fetched_by_one_request_without_credentials");
    for name in ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        child.env(name, proxy);
    }
    child.env_remove("NO_PROXY").env_remove("no_proxy");
    let output = finish(&mut child);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

/// The page that a person sees at the request of the client that the publisher describes.
async fn authorize(publisher: &Publisher, source: HttpDocumentSource) -> (u16, String) {
    let database = TestDatabase::sqlite();
    let config = memgate_test_kit::gate::config(&database, &[]);
    let options = GateOptions { client_documents: Arc::new(source), ..GateOptions::default() };
    let gate = Gate::start(&config, options).await.unwrap();
    let parameters = [
        ("response_type", "code"),
        ("client_id", &*url_at(publisher, "/client.json").url().to_string()),
        ("redirect_uri", "http://127.0.0.1:49152/callback"),
        ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
        ("code_challenge_method", "S256"),
    ];
    let page = reqwest::Url::parse_with_params(&format!("{}/auth/authorize", gate.public_url()), parameters).unwrap();
    let answer = http::client().get(page).send().await.unwrap();
    let answer = (answer.status().as_u16(), answer.text().await.unwrap());
    gate.stop().await;
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gate_asks_a_person_what_a_document_asks_and_fetches_it_from_the_internet_alone() {
    let publisher = published().await;
    let (status, page) = authorize(&publisher, publisher.source(Names::of(HOST, &[&[PUBLISHER]]))).await;
    assert_eq!(status, 200, "{page}");
    assert!(page.contains(r#"name="password""#) && page.contains(HOST), "{page}");
    assert_eq!(publisher.requests().len(), 1);
    let internet = Network { resolver: Names::of(HOST, &[&[PUBLISHER]]), ..Network::default() };
    let (status, page) = authorize(&publisher, HttpDocumentSource::of(internet)).await;
    assert_eq!(status, 400, "{page}");
    assert!(page.contains(HOST), "{page}");
    assert_eq!(publisher.requests().len(), 1);
}
