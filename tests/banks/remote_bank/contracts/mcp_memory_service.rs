//! mcp-memory-service.

use memgate::adapters::remote_bank::BankKind;
use memgate::domain::memories::{MemoryBank, MemoryBankError, MemoryQuery, NewMemory, Relevance};
use memgate_domain::testing::{content, new_memory, now, scope, scope_of_person};
use memgate_test_kit::banks::mcp_memory_service::mcp_memory_service;
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use super::super::support::{client, config, query, unavailable};
use super::{assert_inconsistent, assert_stored, bank, body, line, ok, requests, write};

const KIND: BankKind = BankKind::McpMemoryService;
const HASH: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn stored() -> Value {
    json!({"success": true, "message": "Memory stored successfully", "content_hash": HASH, "memory": {"content_hash": HASH}})
}

#[tokio::test]
async fn a_create_goes_into_the_store_of_its_tenant() {
    let (server, client) = bank(KIND, [ok(&stored())]).await;
    let (scope, write) = (scope_of_person(&scope()), write());
    assert_eq!(client.create_first(&scope, &write).await.unwrap().id.as_str(), HASH);
    let sent = requests(&server).await;
    assert_eq!(line(&sent[0]), "POST /api/memories");
    let sent = body(&sent[0]);
    assert_eq!(sent["store"], format!("memgate:{}", scope.tenant().replace('/', ":")));
    assert_stored(&sent["metadata"], &scope, &write);
    let text = sent["content"].as_str().unwrap();
    let mark = text.strip_prefix("The spare key is under the fern.").unwrap();
    assert_eq!((mark.chars().count(), mark.trim()), (32, mark), "the hash that it takes of the text keeps the mark");
    assert!(mark.chars().all(|c| "\u{200b}\u{200c}\u{200d}\u{2060}".contains(c)), "nobody sees it: {mark:?}");
}

#[tokio::test]
async fn two_tenants_keep_the_same_text_and_neither_learns_of_the_other() {
    let bank = mcp_memory_service().await;
    let client = client(config(KIND, &bank.url));
    let (one, other) = (scope(), scope());
    let text = || NewMemory { content: content("The spare key is under the fern."), ..new_memory("x") };
    for scope in [&one, &other, &one] {
        let memory = client.create_first(scope, &text()).await.unwrap();
        assert_eq!(memory.content.as_str(), "The spare key is under the fern.");
        assert_eq!(client.get(scope, &memory.id, now()).await.unwrap(), Some(memory));
    }
    assert_eq!(bank.state().rows.len(), 3);
    assert_eq!(client.search(&one, &query("spare key")).await.unwrap().hits.len(), 2);
    assert_eq!(client.search(&other, &query("spare key")).await.unwrap().hits.len(), 1);
}

#[tokio::test]
async fn a_duplicate_is_the_same_write_and_is_looked_up() {
    let bank = mcp_memory_service().await;
    let client = client(config(KIND, &bank.url));
    let (scope, write) = (scope(), write());
    let first = client.create_first(&scope, &write).await.unwrap();
    // As if nobody knew that it has been sent.
    assert_eq!(client.create_first(&scope, &write).await.unwrap(), first);
    assert_eq!(bank.state().rows.len(), 1);
    let paths = bank.calls();
    assert_eq!(paths, ["/api/memories", "/api/memories", "/api/search/by-tag"]);
}

#[tokio::test]
async fn a_200_that_says_it_could_not_is_a_failure_that_may_pass() {
    let bank = mcp_memory_service().await;
    bank.state().cannot_embed = true;
    let client = client(config(KIND, &bank.url));
    unavailable(client.create_first(&scope(), &write()).await);
    let creates = bank.calls().iter().filter(|call| *call == "/api/memories").count();
    assert_eq!(creates, 3, "it was tried again");
    bank.state().cannot_embed = false;
    client.create(&scope(), &write()).await.unwrap();
}

#[tokio::test]
async fn a_duplicate_that_cannot_be_found_is_not_taken_for_the_write() {
    let duplicate =
        json!({"success": false, "message": "Duplicate content detected (exact match)", "content_hash": null});
    let (_server, client) = bank(KIND, [ok(&duplicate), ok(&json!({"results": [], "total_found": 0}))]).await;
    assert_inconsistent(client.create_first(&scope(), &write()).await);
}

#[tokio::test]
async fn a_long_memory_that_was_split_is_an_error_that_says_what_to_set() {
    let mut split = stored();
    split["memory"]["metadata"] = json!({"chunk_index": 0, "total_chunks": 3});
    let (_server, client) = bank(KIND, [ok(&split)]).await;
    match client.create_first(&scope(), &write()).await {
        Err(MemoryBankError::Inconsistent(why)) => assert!(why.to_string().contains("MCP_ENABLE_AUTO_SPLIT"), "{why}"),
        answer => panic!("{answer:?}"),
    }
}

#[tokio::test]
async fn scores_are_read_as_the_cosine_that_they_are_made_of() {
    let scope = scope();
    let item = |number: u32, score: f64| {
        let metadata = json!({
            "memgate_tenant": scope.tenant(), "access_count": 3, "access_queries": [{"query": "a secret", "timestamp": 1.0}],
        });
        let memory = json!({
            "content": format!("note {number}"), "content_hash": format!("{number:064}"), "tags": ["untagged"],
            "memory_type": null, "metadata": metadata, "created_at": 1_795_346_221.5, "created_at_iso": "x",
        });
        json!({"memory": memory, "similarity_score": score, "relevance_reason": null})
    };
    let results = json!({"results": [item(1, 1.0), item(2, 0.7), item(3, 0.5), item(4, 0.3)], "total_found": 4});
    let (server, client) = bank(KIND, [ok(&results)]).await;
    let hits = client.search(&scope, &query("key")).await.unwrap().hits;
    let relevance: Vec<f64> = hits.iter().map(|hit| (hit.relevance.get() * 1_000.0).round() / 1_000.0).collect();
    assert_eq!(relevance, [1.0, 0.4], "what has nothing in common, and what points away, is not found");
    assert_eq!(hits[0].memory.created_at.unix_millis(), 1_795_346_221_500);
    let threshold = Some(Relevance::clamped(0.4));
    client.search(&scope, &MemoryQuery { threshold, ..query("key") }).await.unwrap();
    let sent = requests(&server).await;
    let store = format!("memgate:{}", scope.tenant().replace('/', ":"));
    assert_eq!(line(&sent[0]), "POST /api/search");
    assert_eq!(body(&sent[0]), json!({"query": "key", "n_results": 10, "store": store}));
    assert!((body(&sent[1])["similarity_threshold"].as_f64().unwrap() - 0.699).abs() < 1e-9);
}

#[tokio::test]
async fn no_more_results_are_asked_for_than_it_gives() {
    let (server, client) = bank(KIND, [ok(&json!({"results": []}))]).await;
    client.search(&scope(), &MemoryQuery { limit: 1_000.try_into().unwrap(), ..query("key") }).await.unwrap();
    assert_eq!(body(&requests(&server).await[0])["n_results"], 100);
}

#[tokio::test]
async fn an_id_that_is_no_hash_is_never_sent() {
    let (server, client) = bank(KIND, [ok(&stored())]).await;
    for id in ["hashes", "..", &HASH[1..], &HASH.to_uppercase()] {
        assert_eq!(client.get(&scope(), &id.parse().unwrap(), now()).await.unwrap(), None);
        assert!(!client.delete(&scope(), &id.parse().unwrap()).await.unwrap());
    }
    assert_eq!(requests(&server).await.len(), 0);
}

#[tokio::test]
async fn a_missing_memory_is_a_404_and_a_missing_route_is_not() {
    let missing = ResponseTemplate::new(404).set_body_json(json!({"detail": "Memory not found"}));
    let (_server, client) = bank(KIND, [missing]).await;
    assert_eq!(client.get(&scope(), &HASH.parse().unwrap(), now()).await.unwrap(), None);
    assert!(!client.delete(&scope(), &HASH.parse().unwrap()).await.unwrap());
    let answer = client.search(&scope(), &query("key")).await;
    assert!(matches!(answer, Err(MemoryBankError::Misconfigured(_))), "{answer:?}");
    let answer = client.check_health().await;
    assert!(matches!(answer, Err(MemoryBankError::Misconfigured(_))), "{answer:?}");
}
