//! The memory API, from the first memory to the last.

use memgate::adapters::http::AnswerBudget;
use memgate::domain::memories::Capabilities;
use memgate_domain::testing::InMemoryMemoryBank;
use poem::http::Method;
use serde_json::{Value, json};

use super::face::{Face, Parts, request};

#[tokio::test]
async fn a_memory_is_stored_found_read_changed_and_deleted() {
    let face = Face::new();
    let created = face
        .post(
            "/api/v1/memories",
            json!({
                "content": "Ada is allergic to peanuts.", "categories": ["Health", "health"], "metadata": {"sure": true},
                "context": {"custom_gpt_id": "g-1", "conversation_id": "c-1"}, "priority": "high",
                "occurred_at": "1999-12-31", "expires_at": "2040-01-01T00:00:00+01:00",
            }),
        )
        .await;
    assert_eq!(created.status, 201);
    let body = created.json();
    assert_eq!(body["status"], "stored");
    assert_eq!(body["request_id"].as_str(), created.header("x-request-id"));
    let memory = &body["memory"];
    let expected = json!({
        "memory_id": memory["memory_id"], "content": "Ada is allergic to peanuts.", "categories": ["health"],
        "metadata": {"sure": true, "custom_gpt_id": "g-1", "conversation_id": "c-1"}, "priority": "high",
        "created_at": "2033-05-18T03:33:20.123Z", "updated_at": "2033-05-18T03:33:20.123Z",
        "occurred_at": "1999-12-31T00:00:00Z", "expires_at": "2039-12-31T23:00:00Z",
    });
    assert_eq!(*memory, expected);

    let found = face.post("/api/v1/search", json!({"query": "peanuts", "limit": 5, "threshold": 0.1})).await.json();
    assert_eq!(found["status"], "success");
    assert_eq!(found["total_found"], 1);
    assert!(found["processing_time_ms"].is_f64() && found["request_id"].is_string());
    let result = &found["results"][0];
    for member in ["memory_id", "content", "categories", "metadata", "created_at", "occurred_at"] {
        assert_eq!(result[member], memory[member]);
    }
    assert!((0.0..=1.0).contains(&result["relevance_score"].as_f64().unwrap()));

    let path = format!("/api/v1/memories/{}", memory["memory_id"].as_str().unwrap());
    let read = face.call(Method::GET, &path, None).await.json();
    assert_eq!((&read["status"], &read["memory"]), (&json!("success"), memory));

    let change = json!({"content": "Ada may eat peanuts.", "expires_at": null, "metadata": {}, "categories": null});
    let changed = face.call(Method::PATCH, &path, Some(change)).await.json();
    assert_eq!(changed["status"], "updated");
    assert_eq!(changed["memory"]["content"], "Ada may eat peanuts.");
    assert_eq!(changed["memory"]["categories"], json!(["health"]));
    assert_eq!(changed["memory"]["metadata"], json!({"custom_gpt_id": "g-1", "conversation_id": "c-1"}));
    assert_eq!(changed["memory"].get("expires_at"), None);
    for (expires_at, kept) in [(json!("2040-01-01"), true), (json!("never"), false)] {
        let changed = face.call(Method::PATCH, &path, Some(json!({ "expires_at": expires_at }))).await.json();
        assert_eq!(changed["memory"].get("expires_at").is_some(), kept, "{changed}");
    }
    for (occurred_at, kept) in
        [(json!("2000-01-01T12:00:00+01:00"), Some("2000-01-01T11:00:00Z")), (json!("unknown"), None)]
    {
        let changed = face.call(Method::PATCH, &path, Some(json!({ "occurred_at": occurred_at }))).await.json();
        assert_eq!(changed["memory"].get("occurred_at").and_then(Value::as_str), kept, "{changed}");
    }
    let created = face.post("/api/v1/memories", json!({"content": "a", "expires_at": "never"})).await;
    assert_eq!((created.status.as_u16(), created.json()["memory"].get("expires_at")), (201, None));

    let deleted = face.call(Method::DELETE, &path, None).await;
    assert_eq!(deleted.json()["status"], "deleted");
    for method in [Method::GET, Method::DELETE] {
        face.call(method, &path, None).await.problem(404, "memory-not-found");
    }
    face.call(Method::PATCH, &path, Some(json!({"content": "x"}))).await.problem(404, "memory-not-found");
}

#[tokio::test]
async fn a_list_is_read_page_by_page_until_there_is_no_cursor() {
    let face = Face::new();
    for n in 0..5 {
        face.clock.advance(std::time::Duration::from_secs(1));
        face.remember(&format!("memory {n}")).await;
    }
    let mut path = "/api/v1/memories?limit=2".to_owned();
    let mut seen = Vec::new();
    for number in 0.. {
        assert!(number < 5, "the list does not end");
        let page = face.call(Method::GET, &path, None).await.json();
        seen.extend(page["memories"].as_array().unwrap().iter().map(|memory| memory["content"].clone()));
        match page.get("next_cursor").and_then(Value::as_str) {
            Some(cursor) => path = format!("/api/v1/memories?limit=2&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(seen, ["memory 4", "memory 3", "memory 2", "memory 1", "memory 0"]);
    let none = face.call(Method::GET, "/api/v1/memories?category=work", None).await.json();
    assert_eq!(none["memories"], json!([]));
}

#[tokio::test]
async fn a_list_and_a_search_follow_when_things_were_said() {
    let face = Face::new();
    for (text, occurred_at) in [("tea b", Some("2020-05-08")), ("tea c", Some("2010-05-08T10:00:00Z")), ("tea a", None)]
    {
        let created = face.post("/api/v1/memories", json!({"content": text, "occurred_at": occurred_at})).await;
        assert_eq!(created.status, 201, "{}", created.json());
    }
    let contents = |answer: &Value, member: &str| {
        let memories = answer[member].as_array().unwrap();
        memories.iter().map(|memory| memory["content"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let page = face.call(Method::GET, "/api/v1/memories?order=occurred_at&limit=2", None).await.json();
    assert_eq!(contents(&page, "memories"), ["tea a", "tea b"]);
    let cursor = page["next_cursor"].as_str().unwrap();
    let next = format!("/api/v1/memories?order=occurred_at&limit=2&cursor={cursor}");
    assert_eq!(contents(&face.call(Method::GET, &next, None).await.json(), "memories"), ["tea c"]);
    face.call(Method::GET, &format!("/api/v1/memories?cursor={cursor}"), None).await.problem(400, "invalid-value");
    for (query, expected) in [
        ("occurred_from=2020-05-08", &["tea a", "tea b"][..]),
        ("occurred_from=2020-05-08&occurred_until=2020-05-08", &["tea b"]),
        ("occurred_until=2010-05-08T09:59:59Z", &[]),
    ] {
        let page = face.call(Method::GET, &format!("/api/v1/memories?{query}"), None).await.json();
        assert_eq!(contents(&page, "memories"), expected, "{query}");
    }
    for (query, field) in [
        ("order=oldest", "order"),
        ("occurred_from=yesterday", "occurred_from"),
        ("occurred_from=2021-01-01&occurred_until=2020-01-01", "occurred_until"),
    ] {
        let answer = face.call(Method::GET, &format!("/api/v1/memories?{query}"), None).await;
        assert_eq!(answer.problem(400, "invalid-value")["field"], field);
    }
    let search = json!({"query": "tea", "order": "occurred_at", "filters": {"occurred": {"end": "2020-05-08"}}});
    assert_eq!(contents(&face.post("/api/v1/search", search).await.json(), "results"), ["tea b", "tea c"]);
    let turned = json!({"query": "tea", "filters": {"occurred": {"start": "2021-01-01", "end": "2020-01-01"}}});
    let problem = face.post("/api/v1/search", turned).await.problem(400, "invalid-value");
    assert_eq!(problem["field"], "filters.occurred.end");
}

#[tokio::test]
async fn the_headers_of_an_assistant_say_what_the_body_does_not() {
    let face = Face::new();
    let token = face.token().await;
    let create = |body: Value| {
        request(Method::POST, "/api/v1/memories")
            .header("Authorization", format!("Bearer {token}"))
            .header("openai-gpt-id", "g-header")
            .header("openai-conversation-id", "c".repeat(500))
            .content_type("application/json")
            .body(body.to_string())
    };
    let answer = face.send(create(json!({"content": "a"}))).await.json();
    assert_eq!(answer["memory"]["metadata"], json!({"custom_gpt_id": "g-header"}));
    let context = json!({"custom_gpt_id": "g-body", "conversation_id": "c-body"});
    let answer = face.send(create(json!({"content": "a", "context": context}))).await.json();
    assert_eq!(answer["memory"]["metadata"], context);
}

#[tokio::test]
async fn a_repeated_write_has_the_same_answer_and_another_body_is_a_conflict() {
    let face = Face::new();
    let body = json!({"content": "once", "idempotency_key": "k1"});
    let first = face.post("/api/v1/memories", body.clone()).await;
    let second = face.post("/api/v1/memories", body).await;
    assert_eq!((first.status, &first.body), (second.status, &second.body));
    assert_ne!(first.header("x-request-id"), second.header("x-request-id"));
    let other = json!({"content": "twice", "idempotency_key": "k1"});
    face.post("/api/v1/memories", other).await.problem(409, "idempotency-conflict");
    let list = face.call(Method::GET, "/api/v1/memories", None).await.json();
    assert_eq!(list["memories"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_idempotency_key_may_come_in_its_header() {
    let face = Face::new();
    let token = face.token().await;
    let create = |keys: &[&str], body: Value| {
        let request = request(Method::POST, "/api/v1/memories").header("Authorization", format!("Bearer {token}"));
        let request = keys.iter().fold(request, |request, key| request.header("Idempotency-Key", *key));
        request.content_type("application/json").body(body.to_string())
    };
    let first = face.send(create(&["k"], json!({"content": "a"}))).await;
    let same = face.send(create(&["k"], json!({"content": "a", "idempotency_key": "k"}))).await;
    assert_eq!(first.body, same.body);
    for (keys, body) in [
        (&["k"][..], json!({"content": "a", "idempotency_key": "other"})),
        (&["k", "k"], json!({"content": "a"})),
        (&["ü"], json!({"content": "a"})),
        (&[""], json!({"content": "a"})),
    ] {
        let problem = face.send(create(keys, body)).await.problem(400, "invalid-value");
        assert!(problem["field"].as_str().unwrap().to_lowercase().replace('-', "_").contains("idempotency_key"));
    }
}

#[tokio::test]
async fn me_tells_who_the_token_stands_for() {
    let face = Face::new();
    let me = face.call(Method::GET, "/api/v1/me", None).await.json();
    let expected = json!({
        "application_id": face.application.id.to_string(), "client_id": face.application.client_id.as_str(),
        "name": "Trip planner", "space": face.application.space.as_str(),
        "subject": face.application.client_id.as_str(), "rate_limit_per_minute": 1000,
        "permissions": ["memory:read", "memory:write", "memory:delete"], "token_expires_at": "2033-05-18T04:33:20Z",
    });
    assert_eq!(me, expected);
}

#[tokio::test]
async fn what_the_bank_cannot_do_is_listed_and_answered_with_not_implemented() {
    let face = Face::on(InMemoryMemoryBank::with_capabilities(Capabilities {
        update: false,
        list: false,
        date_filter: false,
        metadata_filter: false,
        expiry: false,
        ..InMemoryMemoryBank::CAPABILITIES
    }));
    let capabilities = face.call(Method::GET, "/api/v1/capabilities", None).await.json();
    for name in ["update", "list", "date_filter", "metadata_filter", "expiry"] {
        assert_eq!(capabilities[name], false, "{name}");
    }
    assert_eq!(capabilities["limits"]["results"], 1000);
    let range = json!({"query": "a", "filters": {"date_range": {"start": "2026-01-01"}}});
    for (method, path, body) in [
        (Method::GET, "/api/v1/memories", None),
        (Method::PATCH, "/api/v1/memories/a", Some(json!({"content": "b"}))),
        (Method::POST, "/api/v1/search", Some(range)),
        (Method::POST, "/api/v1/search", Some(json!({"query": "a", "filters": {"metadata": {"a": 1}}}))),
        (Method::POST, "/api/v1/memories", Some(json!({"content": "a", "expires_at": "2040-01-01"}))),
    ] {
        face.call(method, path, body).await.problem(501, "not-supported");
    }
}

#[tokio::test]
async fn a_range_that_ends_on_a_day_includes_that_day() {
    let face = Face::new();
    face.remember("peanuts").await;
    for (range, found) in [
        (json!({"start": "2033-05-18", "end": "2033-05-18"}), 1),
        (json!({"end": "2033-05-17"}), 0),
        (json!({"start": "2033-05-19"}), 0),
        (json!({"start": "2033-05-18T03:33:20.123Z", "end": "2033-05-18T03:33:20.123Z"}), 1),
        (json!({}), 1),
    ] {
        let body = json!({"query": "peanuts", "filters": {"date_range": range}});
        assert_eq!(face.post("/api/v1/search", body).await.json()["total_found"], found, "{range}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_application_that_does_not_read_its_answers_gets_no_more_of_them() {
    let face = Face::of(Parts { answers: AnswerBudget::new(2 << 20, 2 << 20), ..Parts::default() });
    let id = face.remember(&"x".repeat(32_768)).await["memory_id"].as_str().unwrap().to_owned();
    let authorization = format!("Bearer {}", face.token().await);
    let get =
        || request(Method::GET, &format!("/api/v1/memories/{id}")).header("Authorization", &authorization).finish();
    let mut unread = Vec::new();
    let refused = loop {
        let answer = face.unread(get()).await;
        if answer.status() != 200 {
            break answer;
        }
        unread.push(answer);
        assert!(unread.len() < 100, "more than 2 MiB are kept for a client that does not read");
    };
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    assert!(unread.len() > 50, "{}", unread.len());
    face.send(get()).await.problem(503, "answers-unread");
    drop(unread);
    assert_eq!(face.send(get()).await.status, 200);
}

#[tokio::test]
async fn answers_with_large_memories_end_early_and_say_so() {
    const NUMBER: usize = 50;
    let face = Face::new();
    for number in 0..NUMBER {
        face.remember(&format!("note {number} {}", "x".repeat(32_000))).await;
    }
    let found = face.post("/api/v1/search", json!({ "query": "note", "limit": 1000 })).await;
    assert!(found.body.len() < 5 << 18, "{}", found.body.len());
    let found = found.json();
    assert!(found["note"].as_str().unwrap().contains("did not fit"), "{}", found["note"]);
    assert_eq!(found["total_found"], NUMBER);

    let (mut path, mut listed) = ("/api/v1/memories?limit=1000".to_owned(), 0);
    for number in 0.. {
        assert!(number < NUMBER, "the list does not end");
        let page = face.call(Method::GET, &path, None).await;
        assert!(page.body.len() < 5 << 18, "{}", page.body.len());
        let page = page.json();
        listed += page["memories"].as_array().unwrap().len();
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/api/v1/memories?limit=1000&cursor={cursor}");
    }
    assert_eq!(listed, NUMBER);
}

#[tokio::test]
async fn a_search_a_list_and_a_deletion_take_the_same_conditions() {
    let face = Face::new();
    for (text, names, metadata) in [
        ("tea 1", &["food"][..], json!({"price": 3, "bought": "2026-05-01"})),
        ("tea 2", &["food", "guests"], json!({"price": 8, "bought": "2026-05-02"})),
        ("tea 3", &["travel"], json!({"price": 9})),
    ] {
        face.post("/api/v1/memories", json!({"content": text, "categories": names, "metadata": metadata})).await;
    }
    let condition = json!({"and": [
        {"metadata": "price", "at_least": 5},
        {"or": [{"not": {"category": "travel"}}, {"metadata": "bought", "at_most": "2026-01-01"}]},
    ]});
    let filters = json!({ "where": condition });
    let found = face.post("/api/v1/search", json!({"query": "tea", "filters": filters})).await.json();
    assert_eq!((&found["total_found"], &found["results"][0]["content"]), (&json!(1), &json!("tea 2")));
    let text = filters.to_string();
    let text: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
    let path = |rest: &str| format!("/api/v1/memories?filters={text}{rest}");
    let list = face.call(Method::GET, &path(""), None).await.json();
    assert_eq!(list["memories"].as_array().unwrap().len(), 1);
    assert_eq!(list["memories"][0]["content"], "tea 2");
    let list = face.call(Method::GET, &path("&category=travel"), None).await.json();
    assert_eq!(list["memories"], json!([]));
    let plan = face.post("/api/v1/bulk/deletions", json!({ "filters": filters })).await.json();
    assert_eq!(plan["matching"], 1);
    // Some clients fill in every object of a schema.
    let empty = json!({"date_range": {}, "metadata": {}, "occurred": {}, "where": {}});
    let found = face.post("/api/v1/search", json!({"query": "tea", "filters": empty})).await.json();
    assert!(found["total_found"].as_u64().unwrap() > 1, "{found}");
    let refused = face.post("/api/v1/bulk/deletions", json!({ "filters": empty })).await;
    assert_eq!(refused.problem(400, "invalid-value")["field"], "filters", "nothing is not everything");
    let wrong = json!({"where": {"and": [{"category": "a"}, {"not": {"metadata": "n", "at_least": "soon"}}]}});
    for (path, body) in [
        ("/api/v1/search", json!({"query": "tea", "filters": wrong})),
        ("/api/v1/bulk/deletions", json!({ "filters": wrong })),
    ] {
        let problem = face.post(path, body).await.problem(400, "invalid-value");
        assert_eq!(problem["field"], "filters.where.and[1].not.at_least");
    }
    for (query, field) in [
        ("filters=x", "filters"),
        ("filters=%7B%22colour%22:1%7D", "filters.colour"),
        ("filters=%7B%22where%22:%5B%5D%7D", "filters.where"),
        ("filters=%7B%22metadata%22:%7B%22a%22:12345678901234567890123%7D%7D", "filters.metadata.a"),
        ("filters=%7B%22categories%22:%5B%22a%22%5D%7D&category=b", "category"),
    ] {
        let answer = face.call(Method::GET, &format!("/api/v1/memories?{query}"), None).await;
        assert_eq!(answer.problem(400, "invalid-value")["field"], field, "{query}");
    }
}

#[tokio::test]
async fn who_may_only_write_learns_nothing_by_repeating_a_create() {
    let face = Face::new();
    let writes = face.scoped_token("memory:write").await;
    let create = async || {
        let request = request(Method::POST, "/api/v1/memories").header("Authorization", format!("Bearer {writes}"));
        let body = json!({"content": "what it sent", "idempotency_key": "k"});
        face.send(request.content_type("application/json").body(body.to_string())).await.json()
    };
    let first = create().await;
    let path = format!("/api/v1/memories/{}", first["memory"]["memory_id"].as_str().unwrap());
    let changed = face.call(Method::PATCH, &path, Some(json!({"content": "what others wrote"}))).await;
    assert_eq!(changed.status, 200);
    assert_eq!(create().await, first);
}
