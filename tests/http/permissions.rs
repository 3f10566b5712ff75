//! Every operation has a permission: this walks the OpenAPI document, so that none can be forgotten.

use memgate_test_kit::database::TestDatabase;
use memgate_test_kit::gate::{TestApplication, TestGate};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

/// The operations that need no access token. This list may only become shorter.
const PUBLIC: [&str; 12] = [
    "issueToken",
    "revokeToken",
    "introspectToken",
    "getAuthorizationServerMetadata",
    "getProtectedResourceMetadata",
    "getApiResourceMetadata",
    "getMcpResourceMetadata",
    "getAuthorizationServerMetadataForMcp",
    "getOpenIdConfiguration",
    "getPublicKeys",
    "getLiveness",
    "getReadiness",
];

/// One operation of the document.
struct Operation {
    id: String,
    method: Method,
    path: String,
    /// The scopes that it needs; `None` for a public one.
    scopes: Option<Vec<String>>,
}

fn operations(document: &Value) -> Vec<Operation> {
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let security = operation["security"].as_array();
            let scopes = security.and_then(|schemes| schemes.iter().find_map(|scheme| scheme.get("OAuth2")));
            operations.push(Operation {
                id: operation["operationId"].as_str().unwrap().to_owned(),
                method: method.to_uppercase().parse().unwrap(),
                path: path.clone(),
                scopes: scopes.map(|scopes| serde_json::from_value(scopes.clone()).unwrap()),
            });
        }
    }
    operations
}

impl Operation {
    /// A request that lacks nothing but a token.
    fn request(&self, gate: &TestGate, memory_id: &str) -> RequestBuilder {
        let request = gate.http.request(
            self.method.clone(),
            gate.url(&self.path.replace("{memory_id}", memory_id).replace("{request_id}", memory_id)),
        );
        match &*self.id {
            "searchMemories" => request.json(&json!({"query": "anything"})),
            "createMemory" | "updateMemory" => request.json(&json!({"content": "anything"})),
            "importMemories" => {
                request.header("content-type", "application/x-ndjson").body("{\"content\": \"anything\"}")
            }
            "createMemories" => request.json(&json!({"memories": [{"content": "anything"}]})),
            "deleteMemories" => request.json(&json!({"filters": {"categories": ["anything"]}})),
            _ => request,
        }
    }

    async fn status(&self, gate: &TestGate, memory_id: &str, token: Option<&str>) -> StatusCode {
        let request = self.request(gate, memory_id);
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        request.send().await.unwrap().status()
    }
}

struct Walk {
    gate: TestGate,
    protected: Vec<Operation>,
    application: TestApplication,
}

impl Walk {
    async fn begin() -> Self {
        let gate = TestGate::on(TestDatabase::sqlite()).await;
        let document: Value = gate.http.get(gate.url("/openapi.json")).send().await.unwrap().json().await.unwrap();
        let protected = operations(&document).into_iter().filter(|operation| operation.scopes.is_some()).collect();
        let application = gate.application().await;
        Self { gate, protected, application }
    }

    async fn memory(&self) -> String {
        let token = self.gate.access_token(&self.application).await;
        self.gate.remember(&token, "something").await["memory_id"].as_str().unwrap().to_owned()
    }
}

#[test]
fn the_public_operations_are_the_ones_that_are_known() {
    let document = memgate::adapters::http::openapi_document("https://gate.example.org");
    let operations = operations(&serde_json::from_str(&document).unwrap());
    let public = operations.iter().filter(|operation| operation.scopes.is_none()).map(|operation| &*operation.id);
    let mut public: Vec<&str> = public.collect();
    let mut known = PUBLIC.to_vec();
    public.sort_unstable();
    known.sort_unstable();
    assert_eq!(public, known);
}

#[tokio::test]
async fn without_a_token_every_protected_operation_is_unauthorized() {
    let walk = Walk::begin().await;
    assert!(walk.protected.len() >= 8);
    for operation in &walk.protected {
        for token in [None, Some("nonsense")] {
            assert_eq!(operation.status(&walk.gate, "a", token).await, 401, "{}", operation.id);
        }
    }
}

#[tokio::test]
async fn with_every_permission_but_its_own_an_operation_is_forbidden_and_with_its_own_alone_allowed() {
    let walk = Walk::begin().await;
    let all = ["memory:read", "memory:write", "memory:delete"];
    for operation in &walk.protected {
        for scope in operation.scopes.iter().flatten() {
            let others: Vec<&str> = all.into_iter().filter(|other| other != scope).collect();
            let token = walk.gate.scoped_token(&walk.application, &others.join(" ")).await;
            let memory = walk.memory().await;
            assert_eq!(operation.status(&walk.gate, &memory, Some(&token)).await, 403, "{}", operation.id);
        }
        let needed = operation.scopes.as_deref().unwrap().join(" ");
        let token = walk.gate.scoped_token(&walk.application, &needed).await;
        let memory = walk.memory().await;
        let status = operation.status(&walk.gate, &memory, Some(&token)).await;
        assert!(status.is_success(), "{}: {status}", operation.id);
    }
}

#[tokio::test]
async fn a_memory_of_another_application_is_not_found() {
    let walk = Walk::begin().await;
    let stranger = walk.gate.application().await;
    let token = walk.gate.access_token(&stranger).await;
    let memory = walk.memory().await;
    let mut tried = 0;
    for operation in walk.protected.iter().filter(|operation| operation.path.contains("{memory_id}")) {
        assert_eq!(operation.status(&walk.gate, &memory, Some(&token)).await, 404, "{}", operation.id);
        tried += 1;
    }
    assert_eq!(tried, 5);
    let list: Value = {
        let request = walk.gate.http.get(walk.gate.url("/api/v1/memories")).bearer_auth(&token);
        request.send().await.unwrap().json().await.unwrap()
    };
    assert_eq!(list["memories"], json!([]));
    assert_eq!(walk.gate.search(&token, "something").await["total_found"], 0);
}
