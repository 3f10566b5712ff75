//! A whole gate for one test: its own database, a free port, a clock that the test moves.

use std::sync::Arc;
use std::time::Duration;

use memgate::app::{Gate, GateOptions};
use memgate::config::{Config, Values};
use memgate::domain::applications::{ApplicationService, ClientKind, GrantType, NewApplication};
use memgate::domain::ids::ApplicationId;
use memgate::domain::memories::MemoryBank;
use memgate::domain::system::Clock as _;
use memgate_domain::testing::{FakeDocumentSource, FixedClock};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};

use crate::database::TestDatabase;

/// A gate that is served for as long as this lives.
pub struct TestGate {
    /// The clock of the gate.
    pub clock: FixedClock,
    /// A client without a proxy.
    pub http: Client,
    gate: Gate,
    config: Config,
    database: TestDatabase,
    bank: Option<Arc<dyn MemoryBank>>,
    /// The documents of clients that the gate can fetch.
    pub documents: Arc<FakeDocumentSource>,
}

/// An application of a test, with its credentials.
#[derive(Clone)]
pub struct TestApplication {
    pub id: ApplicationId,
    pub client_id: String,
    pub secret: String,
}

/// The parts of a new application: everything allowed, unless a test says otherwise.
pub fn new_application() -> NewApplication {
    NewApplication::new(
        "Test GPT".parse().unwrap(),
        ClientKind::Confidential,
        [GrantType::ClientCredentials, GrantType::RefreshToken].into(),
    )
}

impl TestGate {
    /// A gate on this database.
    pub async fn on(database: TestDatabase) -> Self {
        Self::configured(database, &[]).await
    }

    /// A gate on this database, with these variables.
    pub async fn configured(database: TestDatabase, variables: &[(&str, &str)]) -> Self {
        Self::with_clock(database, variables, FixedClock::default()).await
    }

    /// A gate on this database, with these variables and this clock.
    pub async fn with_clock(database: TestDatabase, variables: &[(&str, &str)], clock: FixedClock) -> Self {
        Self::start(database, variables, clock, None).await
    }

    /// A gate on this database, with these variables, before this bank.
    pub async fn with_bank(database: TestDatabase, variables: &[(&str, &str)], bank: Arc<dyn MemoryBank>) -> Self {
        Self::start(database, variables, FixedClock::default(), Some(bank)).await
    }

    async fn start(
        database: TestDatabase,
        variables: &[(&str, &str)],
        clock: FixedClock,
        bank: Option<Arc<dyn MemoryBank>>,
    ) -> Self {
        let config = config(&database, variables);
        let documents = Arc::default();
        let gate = start(&config, &clock, bank.clone(), &documents, true).await;
        Self { clock, http: client(), gate, config, database, bank, documents }
    }

    /// Another gate on the same database, as a second instance would be. Its clock is the same.
    pub async fn second_instance(&self) -> Self {
        let mut config = self.config.clone();
        config.public_url = Some(self.url("").parse().unwrap());
        let bank = self.bank.clone();
        // In one process: on SQLite, that is for tests alone.
        let documents = Arc::clone(&self.documents);
        let gate = start(&config, &self.clock, bank.clone(), &documents, false).await;
        let (clock, database) = (self.clock.clone(), self.database.clone());
        Self { clock, http: client(), gate, config, database, bank, documents }
    }

    /// Another gate on the same database and clock, with these variables, as somebody else would run it.
    pub async fn beside(&self, variables: &[(&str, &str)]) -> Self {
        let config = config(&self.database, variables);
        let documents = Arc::clone(&self.documents);
        let gate = start(&config, &self.clock, self.bank.clone(), &documents, false).await;
        let (clock, database, bank) = (self.clock.clone(), self.database.clone(), self.bank.clone());
        Self { clock, http: client(), gate, config, database, bank, documents }
    }

    /// Stops the gate and starts it again on the same database, at the same public URL.
    pub async fn restarted(self) -> Self {
        let mut config = self.config.clone();
        config.public_url = Some(self.url("").parse().unwrap());
        let (clock, database, http) = (self.clock.clone(), self.database.clone(), self.http.clone());
        let (bank, documents) = (self.bank.clone(), Arc::clone(&self.documents));
        self.gate.stop().await;
        let gate = start(&config, &clock, bank.clone(), &documents, true).await;
        Self { clock, http, gate, config, database, bank, documents }
    }

    /// The database, for tests that look into it or take it away.
    pub fn database(&self) -> &TestDatabase {
        &self.database
    }

    /// The gate itself.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// The URL of a path; it leads to this instance, whatever its public URL is.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.gate.address())
    }

    /// What an operator does with applications.
    pub fn applications(&self) -> ApplicationService {
        self.gate.backend().applications()
    }

    /// Moves the clock on.
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// The present moment in seconds since the epoch.
    pub fn now(&self) -> i64 {
        self.clock.now().unix_seconds()
    }

    /// Registers an application that may do everything.
    pub async fn application(&self) -> TestApplication {
        self.register(new_application()).await
    }

    /// Registers an application.
    pub async fn register(&self, new: NewApplication) -> TestApplication {
        let registration = self.applications().register(new).await.unwrap();
        TestApplication {
            id: registration.application.id,
            client_id: registration.application.client_id.to_string(),
            secret: registration.secret.map(|secret| secret.expose().to_owned()).unwrap_or_default(),
        }
    }

    /// A POST of a form.
    pub fn form(&self, path: &str, parameters: &[(&str, &str)]) -> RequestBuilder {
        let body: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        self.http.post(self.url(path)).header("Content-Type", "application/x-www-form-urlencoded").body(body)
    }

    /// The answer to a token request of this application, with these parameters beside its credentials.
    pub async fn token_request(&self, application: &TestApplication, parameters: &[(&str, &str)]) -> Response {
        let credentials = [("client_id", &*application.client_id), ("client_secret", &*application.secret)];
        self.form("/auth/token", &[&credentials, parameters].concat()).send().await.unwrap()
    }

    /// The members of a successful answer to `client_credentials`.
    pub async fn tokens(&self, application: &TestApplication) -> Value {
        let answer = self.token_request(application, &[("grant_type", "client_credentials")]).await;
        assert_eq!(answer.status(), 200);
        answer.json().await.unwrap()
    }

    /// An access token for all that the application holds.
    pub async fn access_token(&self, application: &TestApplication) -> String {
        self.tokens(application).await["access_token"].as_str().unwrap().to_owned()
    }

    /// An access token with this scope for MCP and for the REST API.
    pub async fn mcp_token(&self, application: &TestApplication, scope: &str) -> String {
        let rest = self.gate.public_url();
        let mcp = format!("{rest}/mcp");
        self.token_for(application, &[("scope", scope), ("resource", rest), ("resource", &mcp)]).await
    }

    /// An access token of the application itself, with these parameters.
    pub async fn token_for(&self, application: &TestApplication, parameters: &[(&str, &str)]) -> String {
        let parameters = [&[("grant_type", "client_credentials")], parameters].concat();
        let answer = self.token_request(application, &parameters).await;
        assert_eq!(answer.status(), 200);
        let answer: Value = answer.json().await.unwrap();
        answer["access_token"].as_str().unwrap().to_owned()
    }

    /// An access token for this scope.
    pub async fn scoped_token(&self, application: &TestApplication, scope: &str) -> String {
        self.token_for(application, &[("scope", scope)]).await
    }

    /// Creates a memory and returns it.
    pub async fn remember(&self, token: &str, content: &str) -> Value {
        let request = self.http.post(self.url("/api/v1/memories")).bearer_auth(token);
        let answer = request.json(&json!({ "content": content })).send().await.unwrap();
        assert_eq!(answer.status(), 201);
        answer.json::<Value>().await.unwrap()["memory"].clone()
    }

    /// Searches and returns the whole answer.
    pub async fn search(&self, token: &str, query: &str) -> Value {
        let request = self.http.post(self.url("/api/v1/search")).bearer_auth(token);
        let answer = request.json(&json!({ "query": query })).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.json().await.unwrap()
    }
}

/// The configuration of a test: a free port, the cheapest hash, and what the test says.
pub fn config(database: &TestDatabase, variables: &[(&str, &str)]) -> Config {
    let ours = [
        ("MEMGATE_LISTEN", "127.0.0.1:0"),
        ("MEMGATE_DATABASE_URL", database.url()),
        ("MEMGATE_MASTER_KEY", "dGVzdHMgdXNlIHRoaXMgbWFzdGVyIGtleSBvZiAzMkI="),
        ("MEMGATE_ADMIN_LISTEN", "127.0.0.1:0"),
        ("MEMGATE_BCRYPT_COST", "4"),
    ];
    let all = ours.iter().chain(variables).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::from_values(&Values::gather(None, all).unwrap()).unwrap()
}

async fn start(
    config: &Config,
    clock: &FixedClock,
    bank: Option<Arc<dyn MemoryBank>>,
    documents: &Arc<FakeDocumentSource>,
    alone: bool,
) -> Gate {
    let client_documents = Arc::clone(documents) as _;
    let clock = Arc::new(clock.clone());
    let options = GateOptions { clock, bank, alone, client_documents, ..GateOptions::default() };
    Gate::start(config, options).await.unwrap()
}

fn client() -> Client {
    crate::http::client()
}
