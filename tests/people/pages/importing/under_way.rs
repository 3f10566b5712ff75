//! An import while it is under way: how far it has got, and what ends it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use memgate::domain::ids::MemoryId;
use memgate::domain::memories::{
    Admitted, Capabilities, IsNew, ListQuery, Memory, MemoryBank, MemoryBankError, MemoryQuery, MemoryScope,
    MemoryUpdate, NewMemory, Page as MemoryPage, SearchResults,
};
use memgate::domain::system::Timestamp;
use memgate_domain::testing::InMemoryMemoryBank;
use memgate_test_kit::deadline::happens;
use tokio::sync::Semaphore;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use super::super::browser::Browser;
use super::super::{PASSWORD, Place};
use super::{IMPORT, confirm, many_rows, settled, upload};

/// A bank that lists and imports when it is let.
struct Turnstile {
    inner: InMemoryMemoryBank,
    /// One for each call that has arrived.
    arrived: Semaphore,
    /// Each call needs one.
    open: Semaphore,
    panics: AtomicBool,
}

impl Turnstile {
    fn new() -> Arc<Self> {
        let (arrived, open) = (Semaphore::new(0), Semaphore::new(0));
        Arc::new(Self { inner: InMemoryMemoryBank::default(), arrived, open, panics: AtomicBool::new(false) })
    }

    /// Waits for a call, which waits from now on.
    async fn arrival(&self) {
        happens(self.arrived.acquire()).await.unwrap().forget();
    }

    async fn pass(&self) {
        self.arrived.add_permits(1);
        self.open.acquire().await.unwrap().forget();
        assert!(!self.panics.load(Ordering::SeqCst), "this bank panics");
    }
}

#[async_trait]
impl MemoryBank for Turnstile {
    async fn create(&self, scope: &Admitted, memory: &NewMemory) -> Result<Memory, MemoryBankError> {
        self.inner.create(scope, memory).await
    }

    async fn create_all(&self, scope: &Admitted, memories: Vec<NewMemory>) -> Result<Vec<IsNew>, MemoryBankError> {
        self.pass().await;
        self.inner.create_all(scope, memories).await
    }

    async fn search(&self, scope: &MemoryScope, query: &MemoryQuery) -> Result<SearchResults, MemoryBankError> {
        self.inner.search(scope, query).await
    }

    async fn list(&self, scope: &MemoryScope, query: &ListQuery) -> Result<MemoryPage, MemoryBankError> {
        self.pass().await;
        self.inner.list(scope, query).await
    }

    async fn get(&self, scope: &MemoryScope, id: &MemoryId, now: Timestamp) -> Result<Option<Memory>, MemoryBankError> {
        self.inner.get(scope, id, now).await
    }

    async fn update(
        &self,
        scope: &MemoryScope,
        id: &MemoryId,
        update: &MemoryUpdate,
    ) -> Result<Option<Memory>, MemoryBankError> {
        self.inner.update(scope, id, update).await
    }

    async fn delete(&self, scope: &MemoryScope, id: &MemoryId) -> Result<bool, MemoryBankError> {
        self.inner.delete(scope, id).await
    }

    fn capabilities(&self) -> Capabilities {
        // An account page that counts would list.
        Capabilities { local: false, history: false, ..self.inner.capabilities() }
    }

    async fn check_health(&self) -> Result<(), MemoryBankError> {
        self.inner.check_health().await
    }
}

/// Confirms an import that the bank does not let through yet.
async fn confirm_waiting(browser: &mut Browser<'_>, bank: &Turnstile) {
    let page = upload(browser, "a.jsonl", many_rows()).await.page;
    let (token, number) = (page.hidden("form_token"), page.hidden("number"));
    let fields = [("form_token", &*token), ("number", &*number), ("memories", "yes")];
    let confirmed = async {
        assert_eq!(browser.submit("/account/import/confirm", &fields).await.location(), IMPORT);
    };
    tokio::join!(confirmed, bank.arrival());
}

/// Tells of each import that is broken off: while its person is disabled, only the log does.
struct BrokenOff(Arc<Semaphore>);

impl<S: tracing::Subscriber> Layer<S> for BrokenOff {
    fn on_event(&self, event: &tracing::Event<'_>, _context: Context<'_, S>) {
        let metadata = event.metadata();
        if *metadata.level() == tracing::Level::WARN && metadata.target().ends_with("pages::import::work") {
            self.0.add_permits(1);
        }
    }
}

#[tokio::test]
async fn how_far_an_import_has_got_is_told_while_it_is_under_way() {
    let bank = Turnstile::new();
    let place = Place::before(bank.clone()).await;
    let (mut browser, _) = place.connected().await;
    confirm_waiting(&mut browser, &bank).await;
    for stored in [0, 256, 512] {
        let progress = browser.get(IMPORT).await;
        let says = format!("{stored} of 600 so far.");
        assert!(
            progress.assert_page(200).says(&says) && progress.header("refresh").is_some(),
            "{}",
            progress.page.text()
        );
        assert!(progress.page.says("Memories are being stored"));
        assert_eq!(bank.inner.len(), stored);
        bank.open.add_permits(1);
        if stored < 512 {
            bank.arrival().await;
        }
    }
    let done = settled(&mut browser).await;
    assert!(done.assert_page(200).says("Stored: 600"), "{}", done.page.text());
}

#[tokio::test]
async fn an_import_ends_with_its_person_and_stores_nothing_more() {
    let broken_off = Arc::new(Semaphore::new(0));
    let subscriber = tracing_subscriber::registry().with(BrokenOff(Arc::clone(&broken_off)));
    let _subscribed = tracing::subscriber::set_default(subscriber);
    let bank = Turnstile::new();
    let place = Place::before(bank.clone()).await;
    let (mut browser, _) = place.connected().await;
    confirm_waiting(&mut browser, &bank).await;
    let people = place.gate.gate().backend().people();
    let marta = people.get_by_login(&"marta".parse().unwrap()).await.unwrap().id;
    people.disable(marta).await.unwrap();
    place.gate.advance(Duration::from_secs(2));
    bank.open.add_permits(3);
    happens(broken_off.acquire()).await.unwrap().forget();
    people.enable(marta).await.unwrap();
    browser.sign_in(IMPORT, "marta", PASSWORD).await;
    let stopped = settled(&mut browser).await;
    assert!(stopped.assert_page(200).says("The import is not complete"), "{}", stopped.page.text());
    assert_eq!(bank.inner.len(), 256, "what was under way");
}

#[tokio::test]
async fn an_import_that_breaks_off_without_an_outcome_is_not_under_way_for_ever() {
    let bank = Turnstile::new();
    let place = Place::before(bank.clone()).await;
    let (mut browser, _) = place.connected().await;
    confirm_waiting(&mut browser, &bank).await;
    bank.panics.store(true, Ordering::SeqCst);
    bank.open.add_permits(1);
    let page = settled(&mut browser).await;
    let says = "The import was interrupted on the server. What was stored stays.";
    assert!(page.assert_page(200).says(says), "{}", page.page.text());
    bank.panics.store(false, Ordering::SeqCst);
    bank.open.add_permits(Semaphore::MAX_PERMITS / 2);
    let page = upload(&mut browser, "a.jsonl", many_rows()).await.page;
    let done = confirm(&mut browser, &page, &[("memories", "yes")]).await;
    assert!(done.page.says("Stored: 600"), "{}", done.page.text());
}

#[tokio::test]
async fn an_export_of_the_pages_ends_with_its_session() {
    let bank = Turnstile::new();
    let place = Place::before(bank.clone()).await;
    let (mut browser, token) = place.connected().await;
    bank.open.add_permits(3);
    let imported = place.gate.http.post(place.gate.url("/api/v1/import")).bearer_auth(&token).body(many_rows());
    assert_eq!(imported.header("content-type", "application/x-ndjson").send().await.unwrap().status(), 200);
    bank.arrived.forget_permits(3);
    let people = place.gate.gate().backend().people();
    let marta = people.get_by_login(&"marta".parse().unwrap()).await.unwrap().id;
    for path in ["/account/export/memories.jsonl", "/account/export/memgate.zip"] {
        let export = browser.download(path);
        let end = async {
            bank.arrival().await;
            bank.open.add_permits(1);
            bank.arrival().await;
            people.set_password(marta, &memgate::domain::people::Password::choose(PASSWORD).unwrap()).await.unwrap();
            bank.open.add_permits(2);
        };
        let (exported, ()) = tokio::join!(export, end);
        assert!(exported.is_err(), "{path} is taken for the whole");
        assert_eq!(
            (bank.open.forget_permits(2), bank.arrived.available_permits()),
            (1, 0),
            "the third page was not read"
        );
        browser.sign_in("/account/export", "marta", PASSWORD).await;
    }
}
