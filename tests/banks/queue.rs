//! The durable queue of writes, over real HTTP, before a bank that can become unavailable.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use memgate::domain::ids::MemoryId;
use memgate::domain::memories::{
    Admitted, Capabilities, ListQuery, Memory, MemoryBank, MemoryBankError, MemoryQuery, MemoryScope, MemoryUpdate,
    NewMemory, Page, SearchResults,
};
use memgate::domain::system::Timestamp;
use memgate_domain::testing::InMemoryMemoryBank;
use memgate_test_kit::banks::{self, mem0};
use memgate_test_kit::database::TestDatabase;
use memgate_test_kit::gate::TestGate;
use memgate_test_kit::process::{fail, succeed, succeed_json};
use reqwest::Response;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

/// A bank behind a network: it can be unavailable, slow, or refuse what it is given.
struct RemoteBank {
    inner: InMemoryMemoryBank,
    /// Each create needs one.
    permits: Semaphore,
    refuses: AtomicBool,
    /// The contents in the order in which they came.
    arrived: Mutex<Vec<String>>,
}

impl RemoteBank {
    fn new() -> Arc<Self> {
        Self::letting(Semaphore::MAX_PERMITS)
    }

    /// A bank that answers so many creates; the others hang.
    fn letting(permits: usize) -> Arc<Self> {
        let capabilities = Capabilities { local: false, ..InMemoryMemoryBank::CAPABILITIES };
        Arc::new(Self {
            inner: InMemoryMemoryBank::with_capabilities(capabilities),
            permits: Semaphore::new(permits),
            refuses: AtomicBool::new(false),
            arrived: Mutex::default(),
        })
    }

    fn arrived(&self) -> Vec<String> {
        self.arrived.lock().unwrap().clone()
    }
}

#[async_trait]
impl MemoryBank for RemoteBank {
    async fn create(&self, scope: &Admitted, memory: &NewMemory) -> Result<Memory, MemoryBankError> {
        self.permits.acquire().await.unwrap().forget();
        if self.refuses.load(Ordering::SeqCst) {
            return Err(MemoryBankError::Rejected("it is too long for this bank".to_owned()));
        }
        let created = self.inner.create(scope, memory).await?;
        self.arrived.lock().unwrap().push(memory.content.as_str().to_owned());
        Ok(created)
    }

    async fn search(&self, scope: &MemoryScope, query: &MemoryQuery) -> Result<SearchResults, MemoryBankError> {
        self.inner.search(scope, query).await
    }

    async fn list(&self, scope: &MemoryScope, query: &ListQuery) -> Result<Page, MemoryBankError> {
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
        self.inner.capabilities()
    }

    async fn check_health(&self) -> Result<(), MemoryBankError> {
        self.inner.check_health().await
    }
}

/// A gate before a bank, and one application.
struct Place {
    gate: TestGate,
    bank: Arc<RemoteBank>,
    token: String,
}

impl Place {
    async fn before(bank: Arc<RemoteBank>, variables: &[(&str, &str)]) -> Self {
        Self::on(TestDatabase::sqlite(), bank, variables).await
    }

    async fn on(database: TestDatabase, bank: Arc<RemoteBank>, variables: &[(&str, &str)]) -> Self {
        let gate = TestGate::with_bank(database, variables, bank.clone()).await;
        let token = gate.access_token(&gate.application().await).await;
        Self { gate, bank, token }
    }

    async fn create(&self, body: Value) -> Response {
        let request = self.gate.http.post(self.gate.url("/api/v1/memories")).bearer_auth(&self.token);
        request.json(&body).send().await.unwrap()
    }

    /// Creates a memory that the bank does not take at once. Returns the id of the request.
    async fn accepted(&self, content: &str) -> String {
        let answer = self.create(json!({ "content": content })).await;
        assert_eq!(answer.status(), 202);
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["status"], "accepted");
        assert!(!answer["message"].as_str().unwrap().is_empty());
        answer["request_id"].as_str().unwrap().to_owned()
    }

    async fn outcome(&self, request: &str) -> Value {
        let answer = self.outcome_for(&self.token, request).await;
        assert_eq!(answer.status(), 200);
        answer.json().await.unwrap()
    }

    async fn outcome_for(&self, token: &str, request: &str) -> Response {
        let url = self.gate.url(&format!("/api/v1/requests/{request}"));
        self.gate.http.get(url).bearer_auth(token).send().await.unwrap()
    }

    /// What the operator's listener says of the queue: how many wait, for how many seconds, and how many were refused.
    async fn metrics(&self) -> [u64; 3] {
        let url = format!("http://{}/metrics", self.gate.gate().admin_address().unwrap());
        let text = self.gate.http.get(url).send().await.unwrap().text().await.unwrap();
        ["pending", "oldest_pending_age_seconds", "dead_letters"].map(|name| {
            let value = text.lines().find_map(|line| line.strip_prefix(&format!("memgate_queue_{name} ")));
            value.unwrap_or_else(|| panic!("memgate_queue_{name} is missing:\n{text}")).parse().unwrap()
        })
    }

    async fn search(&self, query: &str) -> Response {
        let request = self.gate.http.post(self.gate.url("/api/v1/search")).bearer_auth(&self.token);
        request.json(&json!({ "query": query })).send().await.unwrap()
    }

    /// The bank is back, and every wait is over.
    async fn recover(&self) {
        self.bank.inner.outage().end();
        self.gate.advance(Duration::from_mins(2));
        self.gate.gate().run_background_work().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bank_that_confirms_in_time_is_answered_201_and_the_request_says_so_too() {
    let place = Place::before(RemoteBank::new(), &[]).await;
    let answer = place.create(json!({"content": "Marta has a dog"})).await;
    assert_eq!(answer.status(), 201);
    let answer: Value = answer.json().await.unwrap();
    let outcome = place.outcome(answer["request_id"].as_str().unwrap()).await;
    assert_eq!((&outcome["status"], &outcome["memory"]), (&json!("stored"), &answer["memory"]));
    assert_eq!(place.bank.arrived(), ["Marta has a dog"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_memory_that_is_accepted_while_the_bank_is_unavailable_is_found_and_arrives() {
    let place = Place::before(RemoteBank::new(), &[]).await;
    place.bank.inner.outage().begin();
    let keyed = json!({"content": "Marta has a dog", "idempotency_key": "k"});
    let first = place.create(keyed.clone()).await;
    assert_eq!(first.status(), 202);
    let request = first.json::<Value>().await.unwrap()["request_id"].as_str().unwrap().to_owned();
    let again = place.create(keyed.clone()).await;
    assert_eq!(again.status(), 202);
    assert_eq!(again.json::<Value>().await.unwrap()["request_id"], json!(request));
    let outcome = place.outcome(&request).await;
    assert_eq!(outcome["status"], "pending");
    assert_eq!((outcome.get("memory"), outcome.get("reason")), (None, None));
    assert_eq!(outcome["accepted_at"], "2033-05-18T03:33:20.123Z");

    let refused = place.search("dog").await;
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    let problem: Value = refused.json().await.unwrap();
    assert!(problem["detail"].as_str().unwrap().contains("send it again in 2 s"), "{problem}");

    place.bank.inner.outage().end();
    let found: Value = place.search("Which dogs?").await.json().await.unwrap();
    assert_eq!((&found["status"], &found["total_found"]), (&json!("success"), &json!(1)));
    let result = &found["results"][0];
    assert_eq!((&result["content"], &result["pending"]), (&json!("Marta has a dog"), &json!(true)));

    place.recover().await;
    let outcome = place.outcome(&request).await;
    assert_eq!((&outcome["status"], &outcome["memory"]["content"]), (&json!("stored"), &json!("Marta has a dog")));
    let found: Value = place.search("dog").await.json().await.unwrap();
    assert_eq!((found["total_found"].clone(), found["results"][0].get("pending")), (json!(1), None));
    let stored = place.create(keyed).await;
    assert_eq!(stored.status(), 201);
    assert_eq!(stored.json::<Value>().await.unwrap()["request_id"], json!(request));
    assert_eq!(place.bank.arrived(), ["Marta has a dog"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_assistant_deletes_a_memory_that_is_pending() {
    let mut place = Place::before(RemoteBank::new(), &[]).await;
    let application = place.gate.application().await;
    place.token = place.gate.mcp_token(&application, "memory:read memory:write memory:delete").await;
    place.bank.inner.outage().begin();
    place.accepted("Marta has a dog").await;
    place.bank.inner.outage().end();
    let found: Value = place.search("dog").await.json().await.unwrap();
    let id = &found["results"][0]["memory_id"];
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "delete_memory", "arguments": {"id": id}}});
    let request = place.gate.http.post(place.gate.url("/mcp")).bearer_auth(&place.token);
    let request = request.header("Accept", "application/json, text/event-stream");
    let answer = request.header("MCP-Protocol-Version", "2025-11-25").json(&call).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["result"]["structuredContent"], json!({"status": "deleted", "id": id}), "{answer}");
    place.recover().await;
    assert_eq!(place.bank.arrived(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_bank_costs_the_caller_no_more_than_the_wait_and_nothing_overtakes() {
    let place = Place::before(RemoteBank::letting(0), &[("MEMGATE_QUEUE_WAIT", "0")]).await;
    let mut requests = Vec::new();
    for content in ["first", "second", "third"] {
        requests.push(place.accepted(content).await);
    }
    assert!(place.bank.arrived().is_empty());
    place.bank.permits.add_permits(3);
    place.gate.gate().run_background_work().await;
    assert_eq!(place.bank.arrived(), ["first", "second", "third"]);
    for request in requests {
        assert_eq!(place.outcome(&request).await["status"], "stored");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_while_an_earlier_one_is_under_way_waits_for_its_turn() {
    let place = Arc::new(Place::before(RemoteBank::letting(0), &[("MEMGATE_QUEUE_WAIT", "40s")]).await);
    let mut callers = tokio::task::JoinSet::new();
    for number in 0..5 {
        let place = Arc::clone(&place);
        callers.spawn(async move { place.create(json!({"content": format!("memory {number}")})).await.status() });
    }
    place.bank.permits.add_permits(5);
    assert_eq!(callers.join_all().await, [201; 5]);
    assert_eq!(place.bank.arrived().len(), 5);
}

async fn what_was_accepted_survives_a_restart_and_arrives_once(database: TestDatabase) {
    let Place { gate, bank, token } = Place::on(database, RemoteBank::new(), &[]).await;
    let place = Place { gate, bank, token };
    place.bank.inner.outage().begin();
    let requests = [place.accepted("first").await, place.accepted("second").await];
    let Place { gate, bank, token } = place;
    let place = Place { gate: gate.restarted().await, bank, token };
    let second = place.gate.second_instance().await;
    place.bank.inner.outage().end();
    place.gate.advance(Duration::from_mins(2));
    tokio::join!(place.gate.gate().run_background_work(), second.gate().run_background_work());
    place.recover().await;
    for request in requests {
        assert_eq!(place.outcome(&request).await["status"], "stored");
    }
    assert_eq!(place.bank.arrived(), ["first", "second"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_accepted_survives_a_restart_and_arrives_once_on_sqlite() {
    Box::pin(what_was_accepted_survives_a_restart_and_arrives_once(TestDatabase::sqlite())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_accepted_survives_a_restart_and_arrives_once_on_postgres() {
    if let Some(database) = TestDatabase::postgres().await {
        Box::pin(what_was_accepted_survives_a_restart_and_arrives_once(database)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_is_an_honest_503() {
    let place = Place::before(RemoteBank::new(), &[("MEMGATE_QUEUE_CAPACITY", "2")]).await;
    place.bank.inner.outage().begin();
    place.accepted("1").await;
    place.accepted("2").await;
    let refused = place.create(json!({"content": "3"})).await;
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["retry-after"], "30");
    let problem: Value = refused.json().await.unwrap();
    assert_eq!(problem["type"], "urn:memgate:problem:queue-full");
    place.recover().await;
    assert_eq!(place.create(json!({"content": "3"})).await.status(), 201);
    assert_eq!(place.bank.arrived(), ["1", "2", "3"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_of_another_application_is_not_found() {
    let place = Place::before(RemoteBank::new(), &[]).await;
    place.bank.inner.outage().begin();
    let request = place.accepted("x").await;
    let stranger = place.gate.access_token(&place.gate.application().await).await;
    for (token, request) in [(&stranger, &*request), (&place.token, "67e55044-10b1-426f-9247-bb680e5fe0c8")] {
        let answer = place.outcome_for(token, request).await;
        assert_eq!(answer.status(), 404);
        assert_eq!(answer.json::<Value>().await.unwrap()["type"], "urn:memgate:problem:request-not-found");
    }
    assert_eq!(place.outcome_for(&place.token, "nonsense").await.status(), 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_earlier_answer_stands_in_while_the_bank_is_unavailable_if_that_is_wanted() {
    let place = Place::before(RemoteBank::new(), &[("MEMGATE_STALE_SEARCH", "10m")]).await;
    place.create(json!({"content": "Marta has a dog"})).await;
    let fresh: Value = place.search("dog").await.json().await.unwrap();
    assert_eq!((&fresh["status"], fresh.get("age_seconds")), (&json!("success"), None));
    place.bank.inner.outage().begin();
    place.gate.advance(Duration::from_secs(90));
    let stale: Value = place.search("dog").await.json().await.unwrap();
    assert_eq!((&stale["status"], &stale["age_seconds"]), (&json!("stale"), &json!(90)));
    assert_eq!(stale["results"], fresh["results"]);
    assert_eq!(place.search("cat").await.status(), 503);
    place.gate.advance(Duration::from_secs(511));
    assert_eq!(place.search("dog").await.status(), 503);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_metrics_tell_how_many_wait_since_when_and_how_many_were_refused() {
    let place = Place::before(RemoteBank::new(), &[]).await;
    assert_eq!(place.metrics().await, [0, 0, 0]);
    place.bank.inner.outage().begin();
    place.accepted("first").await;
    place.gate.advance(Duration::from_secs(90));
    place.accepted("second").await;
    assert_eq!(place.metrics().await, [2, 90, 0]);
    place.bank.refuses.store(true, Ordering::SeqCst);
    place.recover().await;
    assert_eq!(place.metrics().await, [0, 0, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_lists_retries_and_drops_what_the_bank_refused() {
    let place = Place::before(RemoteBank::new(), &[]).await;
    place.bank.inner.outage().begin();
    let (first, second) = (place.accepted("a secret of Marta's").await, place.accepted("another").await);
    let folder = place.gate.database().folder().unwrap().to_owned();
    let waiting = succeed_json(&folder, &["queue", "list", "--pending"]);
    assert_eq!((&waiting["pending"], &waiting["dead_letters"]), (&json!(2), &json!(0)));
    assert_eq!(waiting["writes"][0]["request_id"], json!(first));
    assert!(waiting["writes"][0]["reason"].as_str().unwrap().contains("not available"), "{waiting}");

    place.bank.refuses.store(true, Ordering::SeqCst);
    place.recover().await;
    let outcome = place.outcome(&first).await;
    assert_eq!((&outcome["status"], &outcome["reason"]), (&json!("failed"), &json!("it is too long for this bank")));
    let listed = succeed(&folder, &["queue", "list"]);
    assert!(listed.contains("0 wait; 2 dead letters.") && listed.contains(&first), "{listed}");
    assert!(listed.contains("too long") && !listed.contains("Marta"), "{listed}");

    place.bank.refuses.store(false, Ordering::SeqCst);
    let dropped = succeed_json(&folder, &["queue", "drop", "--yes", &second]);
    assert_eq!(dropped, json!({ "dropped": second, "may_be_stored": false }));
    fail(&folder, &["queue", "drop", "--yes", &second], 1);
    fail(&folder, &["queue", "retry", &second], 1);
    fail(&folder, &["queue", "retry"], 2);
    assert_eq!(place.outcome_for(&place.token, &second).await.status(), 404);
    assert_eq!(succeed_json(&folder, &["queue", "retry", "--all"])["retried"], json!([first]));
    // The operator's clock is the real one, long before that of the test.
    place.gate.gate().run_background_work().await;
    assert_eq!(place.outcome(&first).await["status"], "stored");
    assert_eq!(place.bank.arrived(), ["a secret of Marta's"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_drops_and_retries_what_waits_and_that_is_audited() {
    let place = Place::before(RemoteBank::new(), &[]).await;
    place.bank.inner.outage().begin();
    let (first, second) = (place.accepted("first").await, place.accepted("second").await);
    let folder = place.gate.database().folder().unwrap().to_owned();
    let dropped = succeed_json(&folder, &["queue", "drop", "--yes", &first]);
    assert_eq!(dropped, json!({ "dropped": first, "may_be_stored": true }));
    assert_eq!(succeed_json(&folder, &["queue", "retry", &second])["retried"], json!([second]));
    // Before the gate, whose clock is years ahead, forgets what is old.
    let audit = succeed(&folder, &["audit"]);
    assert!(audit.contains("queued_write_dropped") && audit.contains("queued_write_retried"), "{audit}");
    place.recover().await;
    assert_eq!(place.bank.arrived(), ["second"]);
    fail(&folder, &["queue", "drop", "--yes", &second], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_application_has_its_share_of_a_queue_that_another_has_filled() {
    let place = Place::before(RemoteBank::new(), &[("MEMGATE_QUEUE_CAPACITY", "4")]).await;
    place.bank.inner.outage().begin();
    for content in ["1", "2", "3", "4"] {
        place.accepted(content).await;
    }
    assert_eq!(place.create(json!({"content": "5"})).await.status(), 503);
    for _ in 0..2 {
        let token = place.gate.access_token(&place.gate.application().await).await;
        let request = place.gate.http.post(place.gate.url("/api/v1/memories")).bearer_auth(&token);
        assert_eq!(request.json(&json!({"content": "6"})).send().await.unwrap().status(), 202);
    }
}

/// A gate before a mem0 whose model takes 8,192 characters, and one application with its token.
async fn before_mem0() -> (banks::Bank<mem0::Mem0>, TestGate, String) {
    let bank = mem0::oss().await;
    bank.state().longest_embedded = Some(8_192);
    let url = bank.url.to_string();
    let variables = [
        ("MEMGATE_MEMORY_BANK_KIND", "mem0-oss"),
        ("MEMGATE_MEMORY_BANK_URL", &*url),
        ("MEMGATE_MEMORY_BANK_API_KEY", banks::KEY),
    ];
    let gate = TestGate::configured(TestDatabase::sqlite(), &variables).await;
    let token = gate.access_token(&gate.application().await).await;
    (bank, gate, token)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_that_mem0_can_never_take_is_refused_at_once_and_holds_nobody_up() {
    let (_bank, gate, token) = before_mem0().await;
    let memories = gate.url("/api/v1/memories");
    let create = async |token: &str, content: &str| {
        let request = gate.http.post(&memories).bearer_auth(token).json(&json!({ "content": content }));
        request.send().await.unwrap()
    };
    let long = "会議の記録。".repeat(1_500);
    // As many applications as could once close the bank to all.
    for _ in 0..4 {
        let token = gate.access_token(&gate.application().await).await;
        for _ in 0..5 {
            let refused = create(&token, &long).await;
            assert_eq!(refused.status(), 422);
            let problem: Value = refused.json().await.unwrap();
            assert_eq!(problem["type"], "urn:memgate:problem:rejected-by-bank");
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains("Provider rejected the request as malformed."), "{problem}");
        }
        assert_eq!(create(&token, "short").await.status(), 201, "nothing of its own waits");
    }
    let stored = create(&token, "short").await;
    assert_eq!(stored.status(), 201, "nothing waits, and no breaker is open");
    let stored: Value = stored.json().await.unwrap();
    let url = format!("{memories}/{}", stored["memory"]["memory_id"].as_str().unwrap());
    let changed = gate.http.patch(&url).bearer_auth(&token).json(&json!({ "content": long })).send().await.unwrap();
    assert_eq!(changed.status(), 422);
    let listed = gate.http.get(format!("{memories}?limit=10")).bearer_auth(&token).send().await.unwrap();
    assert_eq!(listed.status(), 200);
    let capabilities = gate.http.get(gate.url("/api/v1/capabilities")).bearer_auth(&token).send().await.unwrap();
    let limits = capabilities.json::<Value>().await.unwrap()["limits"].clone();
    assert_eq!((&limits["listed_memories"], &limits["search_results"]), (&json!(999), &json!(1_000)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_memory_that_was_deleted_in_mem0_is_gone_from_its_request_and_its_key_stores_anew() {
    let (bank, gate, token) = before_mem0().await;
    let keyed = json!({"content": "a secret", "idempotency_key": "k"});
    let create = async || {
        let request = gate.http.post(gate.url("/api/v1/memories")).bearer_auth(&token).json(&keyed);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 201);
        answer.json::<Value>().await.unwrap()
    };
    let first = create().await;
    assert_eq!(create().await["request_id"], first["request_id"]);
    let url = gate.url(&format!("/api/v1/memories/{}", first["memory"]["memory_id"].as_str().unwrap()));
    assert_eq!(gate.http.delete(url).bearer_auth(&token).send().await.unwrap().status(), 200);
    let url = gate.url(&format!("/api/v1/requests/{}", first["request_id"].as_str().unwrap()));
    assert_eq!(gate.http.get(url).bearer_auth(&token).send().await.unwrap().status(), 404);
    assert_eq!(bank.state().points.len(), 0);
    assert_ne!(create().await["request_id"], first["request_id"]);
    assert_eq!(bank.state().points.len(), 1);
}
