use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use serde_json::{Value, json};

use super::*;
use crate::applications::GrantType;
use crate::oauth::registration::{DroppedRedirectUri, FetchedDocument};
use crate::testing::{
    FakeDocumentSource, FixedClock, InMemoryApplicationRepository, InMemoryAuditLog, SeededEntropy, application, space,
};

const URL: &str = "https://client.example/metadata.json";
const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const DAY: Duration = Duration::from_hours(24);

struct Harness {
    clock: FixedClock,
    source: Arc<FakeDocumentSource>,
    applications: Arc<InMemoryApplicationRepository>,
    audit: Arc<InMemoryAuditLog>,
    clients: DocumentClients,
}

fn url(text: &str) -> DocumentUrl {
    DocumentUrl::of(&text.parse().unwrap()).unwrap()
}

/// One of many addresses.
fn address(number: usize) -> IpAddr {
    Ipv4Addr::from_bits(0x0a00_0000 + u32::try_from(number).unwrap()).into()
}

fn document(client_id: &str) -> Value {
    json!({"client_id": client_id, "client_name": "Editor", "redirect_uris": ["http://localhost/callback"]})
}

fn clients(source: Arc<dyn ClientDocumentSource>, clock: &FixedClock) -> DocumentClients {
    let (audit, entropy) = (Arc::new(InMemoryAuditLog::default()), Arc::new(SeededEntropy::new(3)));
    let applications = Arc::new(InMemoryApplicationRepository::default());
    DocumentClients::new(source, applications, audit, Arc::new(clock.clone()), entropy, space("people"))
}

impl Harness {
    fn new() -> Self {
        let (clock, source) = (FixedClock::default(), Arc::new(FakeDocumentSource::default()));
        let (audit, applications) = (Arc::default(), Arc::default());
        let mut clients = clients(source.clone(), &clock);
        clients.audit = Arc::clone(&audit) as _;
        clients.applications = Arc::clone(&applications) as _;
        source.publish(&document(URL), None);
        Self { clock, source, applications, audit, clients }
    }

    async fn ask(&self) -> Result<Arc<Application>, DocumentProblem> {
        let stored = self.applications.find_by_client_id(url(URL).client_id()).await.unwrap();
        self.clients.application(&url(URL), stored, HOME).await
    }

    async fn save(&self) -> Arc<Application> {
        self.clients.save(&self.ask().await.unwrap()).await.unwrap()
    }

    fn stored_count(&self) -> usize {
        self.audit.recorded().iter().filter(|event| event.kind == AuditKind::ApplicationCreated).count()
    }

    /// With nothing in memory, as after a restart.
    fn restarted(mut self) -> Self {
        self.clients.known = Arc::default();
        self
    }
}

#[tokio::test]
async fn a_document_is_a_public_application_that_is_stored_once_somebody_consents() {
    let harness = Harness::new();
    let described = harness.ask().await.unwrap();
    assert_eq!(described.client_id.as_str(), URL);
    assert_eq!((described.name.as_str(), described.kind), ("Editor", ClientKind::Public));
    assert_eq!(described.space, space("people"));
    assert_eq!(described.grants, [GrantType::AuthorizationCode, GrantType::RefreshToken].into());
    assert_eq!(described.document_host().as_deref(), Some("client.example"));
    assert_eq!(harness.stored_count(), 0, "who asks without an account writes nothing");

    let stored = harness.save().await;
    assert_eq!(harness.save().await, stored);
    assert_eq!((harness.source.fetched(), harness.stored_count()), (1, 1));
    let now = harness.clock.now();
    assert!(stored.accepts_tokens_of(now.truncated_to_seconds()));
    assert!(!stored.accepts_tokens_of(now.minus(Duration::from_hours(1))), "nor those of a deleted predecessor");
}

#[tokio::test]
async fn of_concurrent_consents_one_stores_it() {
    let harness = Harness::new();
    let (one, other) = (harness.ask().await.unwrap(), harness.ask().await.unwrap());
    assert_ne!(one.id, other.id);
    let (one, other) = (harness.clients.save(&one).await.unwrap(), harness.clients.save(&other).await.unwrap());
    assert_eq!(one.id, other.id);
}

#[tokio::test]
async fn a_document_is_fetched_again_when_it_is_no_longer_fresh_and_its_changes_take_effect() {
    for (max_age, fresh) in [
        (None, FRESH_BY_DEFAULT),
        (Some(Duration::ZERO), FRESH_AT_LEAST),
        (Some(Duration::from_mins(30)), Duration::from_mins(30)),
        (Some(100 * DAY), FRESH_AT_MOST),
    ] {
        let harness = Harness::new();
        harness.source.publish(&document(URL), max_age);
        let stored = harness.save().await;
        let mut changed = document(URL);
        changed["redirect_uris"] = json!(["https://client.example/callback"]);
        harness.source.publish(&changed, max_age);
        harness.clock.advance(fresh.saturating_sub(Duration::from_millis(1)));
        assert!(harness.ask().await.unwrap().redirect_uris[0].accepts("http://localhost:1/callback"), "{max_age:?}");
        harness.clock.advance(Duration::from_millis(1));
        let renewed = harness.save().await;
        assert_eq!(renewed.id, stored.id);
        assert!(renewed.redirect_uris[0].accepts("https://client.example/callback"), "{max_age:?}");
        assert_eq!(harness.source.fetched(), 2);
    }
}

#[tokio::test]
async fn what_the_operator_changed_stays() {
    let harness = Harness::new();
    let stored = harness.save().await;
    let changes = ApplicationChanges { space: Some(space("other")), ..ApplicationChanges::default() };
    harness.applications.update(stored.id, &changes, harness.clock.now()).await.unwrap();
    harness.clock.advance(2 * FRESH_BY_DEFAULT);
    assert_eq!(harness.save().await.space, space("other"));
}

#[tokio::test]
async fn an_earlier_copy_works_for_days_while_the_publisher_is_down() {
    for outage in [DocumentProblem::Unreachable, DocumentProblem::Slow, DocumentProblem::Status(503)] {
        for restart in [false, true] {
            let mut harness = Harness::new();
            let stored = harness.save().await;
            harness.source.answer(URL, Err(outage.clone()));
            if restart {
                harness = harness.restarted();
            }
            harness.clock.advance(DAY);
            let copy = harness.ask().await.unwrap();
            assert_eq!((copy.id, &copy.redirect_uris), (stored.id, &stored.redirect_uris), "{outage:?}");
            harness.clock.advance(STALE_AT_MOST);
            assert_eq!(harness.ask().await.unwrap_err(), outage);
        }
    }
}

#[tokio::test]
async fn a_publisher_that_withdraws_its_document_is_heeded() {
    let mut secret = document(URL);
    secret["client_secret"] = json!("s");
    let with_secret = FetchedDocument { body: secret.to_string().into_bytes(), max_age: None };
    let of_another = document("https://other.example/client.json").to_string();
    let of_another = FetchedDocument { body: of_another.into_bytes(), max_age: None };
    for (answer, problem) in [
        (Err(DocumentProblem::Status(404)), DocumentProblem::Status(404)),
        (Err(DocumentProblem::Redirect), DocumentProblem::Redirect),
        (Err(DocumentProblem::ForbiddenAddress), DocumentProblem::ForbiddenAddress),
        (Ok(with_secret), DocumentProblem::Secret),
        (Ok(of_another), DocumentProblem::OtherClient),
    ] {
        let harness = Harness::new();
        harness.save().await;
        harness.source.answer(URL, answer);
        harness.clock.advance(DAY);
        assert_eq!(harness.ask().await.unwrap_err(), problem);
        harness.source.answer(URL, Err(DocumentProblem::Unreachable));
        assert_eq!(harness.ask().await.unwrap_err(), problem, "cached for a moment");
    }
}

#[tokio::test]
async fn a_failure_is_cached_for_a_moment() {
    let harness = Harness::new();
    harness.source.answer(URL, Err(DocumentProblem::NotJson));
    for _ in 0..3 {
        assert_eq!(harness.ask().await.unwrap_err(), DocumentProblem::NotJson);
    }
    assert_eq!(harness.source.fetched(), 1);
    harness.source.publish(&document(URL), None);
    harness.clock.advance(FAILED_FOR);
    assert!(harness.ask().await.is_ok());
}

#[tokio::test]
async fn the_cached_documents_are_bounded_and_failures_go_first() {
    let harness = Harness::new();
    harness.ask().await.unwrap();
    for number in 0..CAPACITY + 10 {
        let unknown = url(&format!("https://h{number}.example/x"));
        harness.clients.application(&unknown, None, address(number)).await.unwrap_err();
    }
    assert_eq!(lock(&harness.clients.known).len(), CAPACITY);
    let fetched = harness.source.fetched();
    harness.ask().await.unwrap();
    assert_eq!(harness.source.fetched(), fetched, "the document is still cached");
}

#[tokio::test]
async fn one_host_cannot_keep_the_service_busy() {
    let harness = Harness::new();
    let of = |host: &str, number: u32| url(&format!("https://{host}.example/{number}"));
    let from = |number: u32| address(usize::try_from(number).unwrap());
    for number in 0..PER_HOST.burst {
        let refused = harness.clients.application(&of("evil", number), None, from(number)).await.unwrap_err();
        assert_eq!(refused, DocumentProblem::Unreachable);
    }
    let fetched = harness.source.fetched();
    assert_eq!(harness.clients.application(&of("evil", 99), None, from(99)).await.unwrap_err(), DocumentProblem::Busy);
    assert_eq!(harness.source.fetched(), fetched);
    assert!(harness.ask().await.is_ok(), "other hosts are served");
    harness.clock.advance(PER_HOST.interval);
    assert_eq!(
        harness.clients.application(&of("evil", 99), None, from(99)).await.unwrap_err(),
        DocumentProblem::Unreachable
    );
}

/// A source that counts what it does at once.
#[derive(Default)]
struct Tarpit {
    fetched: AtomicUsize,
    running: AtomicUsize,
    most: AtomicUsize,
}

#[async_trait]
impl ClientDocumentSource for Tarpit {
    async fn fetch(&self, _: &DocumentUrl) -> Result<FetchedDocument, DocumentProblem> {
        self.fetched.fetch_add(1, Ordering::SeqCst);
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(running, Ordering::SeqCst);
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        self.running.fetch_sub(1, Ordering::SeqCst);
        Err(DocumentProblem::Slow)
    }

    fn note_dropped(&self, _: &DocumentUrl, _: &[DroppedRedirectUri]) {}
}

#[tokio::test]
async fn a_redirect_uri_that_is_dropped_is_noted_once_per_fetch() {
    let harness = Harness::new();
    let mut described = document(URL);
    described["redirect_uris"] = json!(["http://localhost/callback", "http://evil.example/"]);
    harness.source.publish(&described, None);
    for _ in 0..3 {
        assert_eq!(harness.ask().await.unwrap().redirect_uris.len(), 1);
    }
    let dropped: Vec<usize> = harness.source.dropped().iter().map(|dropped| dropped.index).collect();
    assert_eq!(dropped, [1]);
}

#[tokio::test]
async fn concurrent_fetches_are_shared_and_bounded() {
    let tarpit = Arc::new(Tarpit::default());
    let clients = clients(tarpit.clone(), &FixedClock::default());
    let one = url(URL);
    let same = futures_util::future::join_all((0..50).map(|_| clients.application(&one, None, HOME))).await;
    assert!(same.iter().all(|outcome| outcome.as_ref().unwrap_err() == &DocumentProblem::Slow));
    assert_eq!(tarpit.fetched.load(Ordering::SeqCst), 1);

    let urls: Vec<DocumentUrl> = (0..100).map(|number| url(&format!("https://h{number}.example/x"))).collect();
    let asked = urls.iter().enumerate().map(|(number, url)| clients.application(url, None, address(number)));
    let all = futures_util::future::join_all(asked).await;
    let busy = all.iter().filter(|outcome| outcome.as_ref().unwrap_err() == &DocumentProblem::Busy).count();
    assert_eq!((tarpit.most.load(Ordering::SeqCst), busy), (RUNNING_AT_MOST, 100 - RUNNING_AT_MOST));

    let urls: Vec<DocumentUrl> = (0..10).map(|number| url(&format!("https://one.example/{number}"))).collect();
    let all = futures_util::future::join_all(urls.iter().map(|url| clients.application(url, None, HOME))).await;
    let busy = all.iter().filter(|outcome| outcome.as_ref().unwrap_err() == &DocumentProblem::Busy).count();
    assert_eq!(busy, 10 - RUNNING_PER_HOST);

    let urls: Vec<DocumentUrl> = (0..10).map(|number| url(&format!("https://g{number}.example/x"))).collect();
    let all = futures_util::future::join_all(urls.iter().map(|url| clients.application(url, None, address(7)))).await;
    let busy = all.iter().filter(|outcome| outcome.as_ref().unwrap_err() == &DocumentProblem::Busy).count();
    assert_eq!(busy, 10 - RUNNING_PER_ADDRESS);
}

#[tokio::test]
async fn one_address_gets_few_documents_fetched_and_others_are_served() {
    let harness = Harness::new();
    let made_up = |number: u32| url(&format!("https://h{number}.example/x"));
    for number in 0..PER_ADDRESS.burst {
        let refused = harness.clients.application(&made_up(number), None, HOME).await.unwrap_err();
        assert_eq!(refused, DocumentProblem::Unreachable);
    }
    let fetched = harness.source.fetched();
    for number in 0..1_000 {
        let refused = harness.clients.application(&made_up(1_000 + number), None, HOME).await.unwrap_err();
        assert_eq!(refused, DocumentProblem::AskedTooOften { retry_after: PER_ADDRESS.interval });
    }
    assert_eq!(harness.source.fetched(), fetched);
    assert!(harness.clients.application(&url(URL), None, address(2)).await.is_ok());
    assert!(harness.ask().await.is_ok(), "what is cached is not counted");
    harness.clock.advance(PER_ADDRESS.interval);
    let refused = harness.clients.application(&made_up(9_999), None, HOME).await.unwrap_err();
    assert_eq!(refused, DocumentProblem::Unreachable);
}

#[tokio::test]
async fn there_is_an_end_to_applications_of_documents() {
    let harness = Harness::new();
    for _ in 0..DocumentClients::MAX_APPLICATIONS {
        let by = RegisteredBy::Document { confirmed_at: harness.clock.now() };
        harness.applications.create(&Application { registered_by: by, ..application() }).await.unwrap();
    }
    let described = harness.ask().await.unwrap();
    assert!(matches!(harness.clients.save(&described).await, Err(SaveError::TooMany)));
}
