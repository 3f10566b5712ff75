//! What ChatGPT gets to read: its document, and answers of fewer than 100,000 characters.

use memgate_test_kit::database::TestDatabase;
use memgate_test_kit::gate::TestGate;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

/// ChatGPT's own limit.
const LIMIT: usize = 100_000;

/// A request as ChatGPT sends it.
fn by_gpt(request: RequestBuilder) -> RequestBuilder {
    request.header("openai-gpt-id", "g-1").header("openai-conversation-id", "c-1")
}

/// The body of a successful answer, and how many characters it has.
async fn read(request: RequestBuilder) -> (Value, usize) {
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let text = answer.text().await.unwrap();
    (serde_json::from_str(&text).unwrap(), text.chars().count())
}

/// Memories of which only three fit into one answer.
async fn gate_with_long_memories(count: usize) -> (TestGate, String, Vec<String>) {
    let gate = TestGate::on(TestDatabase::sqlite()).await;
    let token = gate.access_token(&gate.application().await).await;
    let mut ids = Vec::new();
    for number in 0..count {
        gate.advance(std::time::Duration::from_secs(1));
        let memory = gate.remember(&token, &format!("harbour {number} {}", "ö".repeat(30_000))).await;
        ids.push(memory["memory_id"].as_str().unwrap().to_owned());
    }
    ids.reverse();
    (gate, token, ids)
}

#[tokio::test]
async fn the_document_is_served_with_the_configured_public_url() {
    let variables = [("MEMGATE_PUBLIC_URL", "https://gate.example.org"), ("MEMGATE_GPT_CONFIRM_WRITES", "false")];
    let gate = TestGate::configured(TestDatabase::sqlite(), &variables).await;
    let (document, _) = read(gate.http.get(gate.url("/openapi/gpt-actions.json"))).await;
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["servers"][0]["url"], "https://gate.example.org");
    assert_eq!(document["paths"]["/api/v1/memories"]["post"]["x-openai-isConsequential"], false);
}

#[tokio::test]
async fn a_list_that_would_be_too_long_goes_on_at_the_next_cursor_and_loses_nothing() {
    let (gate, token, ids) = gate_with_long_memories(8).await;
    let mut seen = Vec::new();
    let mut cursor = None;
    for number in 0.. {
        assert!(number < ids.len(), "the list does not end");
        let mut request = gate.http.get(gate.url("/api/v1/memories")).bearer_auth(&token).query(&[("limit", "1000")]);
        if let Some(cursor) = &cursor {
            request = request.query(&[("cursor", cursor)]);
        }
        let (page, characters) = read(by_gpt(request)).await;
        assert!(characters < LIMIT, "{characters}");
        for memory in page["memories"].as_array().unwrap() {
            assert!(memory["content"].as_str().unwrap().chars().count() > 30_000, "a memory was cut in two");
            seen.push(memory["memory_id"].as_str().unwrap().to_owned());
        }
        cursor = page["next_cursor"].as_str().map(str::to_owned);
        assert_eq!(cursor.is_some(), page["note"].as_str().is_some_and(|note| note.contains("next_cursor")));
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, ids);
}

#[tokio::test]
async fn a_search_that_would_be_too_long_keeps_the_best_and_says_how_to_get_the_rest() {
    let (gate, token, _) = gate_with_long_memories(5).await;
    let search = || {
        let request = gate.http.post(gate.url("/api/v1/search")).bearer_auth(&token);
        request.json(&json!({ "query": "harbour", "limit": 100 }))
    };
    let (whole, characters) = read(search()).await;
    assert!(characters > LIMIT, "others get everything");
    assert!(whole.get("note").is_none());
    for request in [by_gpt(search()), search().header("User-Agent", "Mozilla/5.0 (compatible; ChatGPT-User/1.0)")] {
        let (cut, characters) = read(request).await;
        assert!(characters < LIMIT, "{characters}");
        assert_eq!(cut["results"].as_array().unwrap(), &whole["results"].as_array().unwrap()[..3]);
        assert_eq!(cut["total_found"], 5);
        assert!(cut["note"].as_str().unwrap().starts_with("2 more memories did not fit"), "{}", cut["note"]);
    }
}

#[tokio::test]
async fn one_memory_that_is_too_long_by_itself_is_shortened() {
    let gate = TestGate::on(TestDatabase::sqlite()).await;
    let token = gate.access_token(&gate.application().await).await;
    // Each of these characters takes six in JSON.
    let id = gate.remember(&token, &"\u{1}".repeat(32_768)).await["memory_id"].as_str().unwrap().to_owned();
    let url = gate.url(&format!("/api/v1/memories/{id}"));
    let (memory, characters) = read(by_gpt(gate.http.get(&url).bearer_auth(&token))).await;
    assert!(characters < LIMIT, "{characters}");
    assert!(memory["note"].as_str().unwrap().contains("longer than an answer"));
    let changed = by_gpt(gate.http.patch(&url).bearer_auth(&token).json(&json!({ "priority": "high" })));
    assert!(read(changed).await.1 < LIMIT);
}
