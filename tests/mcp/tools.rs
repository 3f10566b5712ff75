//! What the tools do.

use std::time::Duration;

use memgate::domain::applications::{NewApplication, Permission};
use memgate_test_kit::database::TestDatabase;
use memgate_test_kit::gate::{TestGate, new_application};
use serde_json::{Value, json};

use super::Client;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_memory_is_stored_found_fetched_changed_listed_and_deleted() {
    let client = Client::new().await;
    let added = client
        .call("add_memory", json!({"content": "Marta is allergic to hazelnuts.", "categories": ["Health"]}))
        .await;
    assert_eq!(added["status"], "stored");
    let id = added["memory"]["id"].as_str().unwrap().to_owned();
    assert_eq!(added["memory"]["categories"], json!(["health"]));

    let found = client.call("search", json!({"query": "What is Marta allergic to?"})).await;
    let result = &found["results"][0];
    assert_eq!((&result["id"], &result["title"]), (&json!(id), &json!("Marta is allergic to hazelnuts.")));
    assert_eq!(result["url"], format!("{}/account/memories/{id}", client.gate.url("")));
    assert!((0.0..=1.0).contains(&result["relevance_score"].as_f64().unwrap()));
    let other = client.call("search", json!({"query": "Marta", "category": "work", "limit": 5.0})).await;
    assert_eq!(other, json!({"results": []}), "of another category");

    let fetched = client.call("fetch", json!({"id": id})).await;
    assert_eq!(fetched["text"], "Marta is allergic to hazelnuts.");
    assert_eq!(fetched["metadata"]["categories"], json!(["health"]));
    assert!(fetched.get("next_offset").is_none());

    let changed = client.call("update_memory", json!({"id": id, "content": "Marta may eat hazelnuts."})).await;
    assert_eq!(
        (&changed["status"], &changed["memory"]["text"]),
        (&json!("updated"), &json!("Marta may eat hazelnuts."))
    );
    let listed = client.call("list_memories", json!({})).await;
    assert_eq!(listed["memories"][0]["text"], "Marta may eat hazelnuts.");
    assert_eq!(listed["memories"][0]["categories"], json!(["health"]), "what was left out stayed");

    let deleted = client.call("delete_memory", json!({"id": id})).await;
    assert_eq!(deleted, json!({"status": "deleted", "id": id, "title": "Marta may eat hazelnuts."}));
    for tool in ["fetch", "delete_memory"] {
        let words = client.failing_call(tool, json!({"id": id})).await;
        assert!(words.contains("no memory with this id"), "{words}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_memory_names_those_that_are_nearly_the_same_and_can_supersede_one() {
    let client = Client::new().await;
    let known = client.call("add_memory", json!({"content": "Marta lives in Porto."})).await;
    assert_eq!(known.get("near_duplicates"), None);
    let id = &known["memory"]["id"];
    let added = client.call("add_memory", json!({"content": "Marta lives in Porto"})).await;
    assert_eq!(added["status"], "stored");
    let near = json!([{"id": id, "title": "Marta lives in Porto.", "url": known["memory"]["url"], "similarity": 1.0}]);
    assert_eq!(added["near_duplicates"], near);
    assert!(added["note"].as_str().unwrap().contains("update_memory"));

    let arguments = json!({"content": "Marta lives in Porto now.", "supersedes": id});
    let newer = client.call("add_memory", arguments.clone()).await;
    assert_eq!(newer["near_duplicates"][0]["id"], added["memory"]["id"]);
    client.failing_call("fetch", json!({"id": id})).await;
    let words = client.failing_call("add_memory", arguments).await;
    assert!(words.contains("nothing was stored"), "{words}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_said_when_is_stored_changed_filtered_and_ordered_by() {
    let client = Client::new().await;
    for (content, occurred_at) in [
        ("Marta ran a marathon in Porto.", json!("2026-03-01")),
        ("Marta ran a marathon in Berlin.", json!("2026-05-08T10:00:00+02:00")),
        ("Marta ran a marathon in Ulm.", json!("2025-12-31")),
    ] {
        let added = client.call("add_memory", json!({"content": content, "occurred_at": occurred_at})).await;
        assert!(added["memory"]["occurred_at"].is_string(), "{added}");
        client.gate.advance(Duration::from_secs(1));
    }
    let cities = |found: &Value| -> Vec<String> {
        let results = found["results"].as_array().unwrap();
        results.iter().map(|result| result["title"].as_str().unwrap().split(' ').nth(5).unwrap().to_owned()).collect()
    };
    let search = |more: Value| {
        let mut arguments = json!({"query": "Where did Marta run a marathon?"});
        arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        client.call("search", arguments)
    };
    assert_eq!(cities(&search(json!({"order": "occurred_at"})).await), ["Berlin.", "Porto.", "Ulm."]);
    let range = json!({"occurred_from": "2026-01-01", "occurred_until": "2026-03-01", "order": "occurred_at"});
    assert_eq!(cities(&search(range).await), ["Porto."], "the last day is in it");
    let from = search(json!({"occurred_from": "2026-05-08T08:00:00Z"})).await;
    assert_eq!(cities(&from), ["Berlin."]);
    assert_eq!(from["results"][0]["occurred_at"], "2026-05-08T08:00:00Z");

    let listed = async |arguments: Value| {
        let (mut texts, mut next) = (Vec::new(), None);
        for number in 0.. {
            assert!(number < 10, "the list does not end");
            let mut arguments = arguments.clone();
            arguments["limit"] = json!(2);
            if let Some(cursor) = next {
                arguments["cursor"] = cursor;
            }
            let page = client.call("list_memories", arguments).await;
            let cities = page["memories"].as_array().unwrap().iter();
            texts.extend(cities.map(|memory| memory["title"].as_str().unwrap().split(' ').nth(5).unwrap().to_owned()));
            match page.get("next_cursor") {
                Some(cursor) => next = Some(cursor.clone()),
                None => break,
            }
        }
        texts
    };
    assert_eq!(listed(json!({"order": "occurred_at"})).await, ["Berlin.", "Porto.", "Ulm."]);
    let range = json!({"occurred_from": "2026-01-01", "occurred_until": "2026-03-01"});
    assert_eq!(listed(range).await, ["Porto."], "the last day is in it");
    let page = client.call("list_memories", json!({"order": "occurred_at", "limit": 1})).await;
    let said = client.failing_call("list_memories", json!({"cursor": page["next_cursor"]})).await;
    assert!(said.contains("`cursor`"), "of another order: {said}");
    for arguments in [json!({}), json!({"order": "created_at"})] {
        assert_eq!(listed(arguments).await, ["Ulm.", "Berlin.", "Porto."]);
    }

    let id = from["results"][0]["id"].as_str().unwrap();
    let changed = client.call("update_memory", json!({"id": id, "occurred_at": "2024-05-08"})).await;
    assert_eq!(changed["memory"]["occurred_at"], "2024-05-08T00:00:00Z");
    assert_eq!(client.call("fetch", json!({"id": id})).await["metadata"]["occurred_at"], "2024-05-08T00:00:00Z");
    assert_eq!(cities(&search(json!({"occurred_until": "2024-12-31"})).await), ["Berlin."]);
    for (tool, arguments, words) in [
        ("add_memory", json!({"content": "x", "occurred_at": "some day"}), "`occurred_at`"),
        ("search", json!({"query": "x", "occurred_from": "2026-02-30"}), "`occurred_from`"),
        (
            "search",
            json!({"query": "x", "occurred_from": "2026-03-02", "occurred_until": "2026-03-01"}),
            "`occurred_until` must not be before `occurred_from`",
        ),
        ("search", json!({"query": "x", "order": "newest"}), "`order`"),
        ("list_memories", json!({"order": "relevance"}), "`order`"),
        ("list_memories", json!({"occurred_from": "2026-02-30"}), "`occurred_from`"),
        (
            "list_memories",
            json!({"occurred_from": "2026-03-02", "occurred_until": "2026-03-01"}),
            "`occurred_until` must not be before `occurred_from`",
        ),
    ] {
        let said = client.failing_call(tool, arguments.clone()).await;
        assert!(said.contains(words), "{tool} {arguments}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_memories_are_behind_rest_and_mcp() {
    let client = Client::new().await;
    let by_rest = client.gate.remember(&client.token, "Nils prefers green tea.").await;
    let id = by_rest["memory_id"].as_str().unwrap();
    assert_eq!(client.call("search", json!({"query": "tea"})).await["results"][0]["id"], id);
    client.call("update_memory", json!({"id": id, "content": "Nils prefers black tea."})).await;
    let found = client.gate.search(&client.token, "tea").await;
    assert_eq!(found["results"][0]["content"], "Nils prefers black tea.");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_short_enough_for_a_model_and_what_is_left_out_can_be_had() {
    let client = Client::new().await;
    let long = "Über die Sitzung: \"alles\" beschlossen.\n".repeat(800);
    for n in 0..30 {
        client.gate.remember(&client.token, &format!("{n} {long}")).await;
    }
    let found = client.call("search", json!({"query": "Sitzung", "limit": 50})).await;
    assert!(found["note"].as_str().unwrap().contains("did not fit"), "{}", found["note"]);
    assert!(found["results"][0]["text"].as_str().unwrap().ends_with("[…]"));

    // Every memory is on some page of the list, once.
    let (mut seen, mut cursor) = (Vec::new(), None::<String>);
    for number in 0.. {
        assert!(number < 100, "the list does not end");
        let arguments = cursor.map_or(json!({"limit": 100}), |cursor| json!({"limit": 100, "cursor": cursor}));
        let page = client.call("list_memories", arguments).await;
        seen.extend(page["memories"].as_array().unwrap().iter().map(|memory| memory["id"].clone().to_string()));
        match page.get("next_cursor").and_then(Value::as_str) {
            Some(next) => cursor = Some(next.to_owned()),
            None => break,
        }
    }
    assert_eq!(seen.len(), 30);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 30);

    // A long memory is read in parts.
    let id = found["results"][0]["id"].as_str().unwrap();
    let (mut text, mut offset) = (String::new(), 0);
    for number in 0.. {
        assert!(number < 100, "the memory does not end");
        let part = client.call("fetch", json!({"id": id, "offset": offset})).await;
        text.push_str(part["text"].as_str().unwrap());
        match part.get("next_offset") {
            Some(next) => offset = next.as_u64().unwrap(),
            None => break,
        }
    }
    assert!(text.ends_with(&long), "the whole text was read");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_stay_short_whatever_is_escaped_in_them() {
    let client = Client::new().await;
    let category = |n: usize| format!("{}{n:03}", "類".repeat(61));
    for (n, unit) in ["\"", "\\", "\n\"", "\t\\", "類\"\\"].into_iter().cycle().take(15).enumerate() {
        let text = format!("Sitzung {n} {}", unit.repeat(30_000 / unit.len()));
        let categories: Vec<String> = (0..10).map(|place| category(10 * n + place)).collect();
        let memory = json!({
            "content": text, "categories": categories, "metadata": {"note": unit.repeat(3_000 / unit.len())},
        });
        let request = client.gate.http.post(client.gate.url("/api/v1/memories")).bearer_auth(&client.token);
        let stored = request.json(&memory).send().await.unwrap();
        assert_eq!(stored.status(), 201, "{}", stored.text().await.unwrap());
        let stored = stored.json::<Value>().await.unwrap();
        let id = &stored["memory"]["memory_id"];
        let mut read = String::new();
        let mut offset = json!(0);
        for number in 0.. {
            if offset.is_null() {
                break;
            }
            assert!(number < 100, "the memory does not end");
            let part = client.call("fetch", json!({"id": id, "offset": offset})).await;
            read.push_str(part["text"].as_str().unwrap());
            offset = part["next_offset"].clone();
        }
        assert_eq!(read, stored["memory"]["content"].as_str().unwrap());
        client.call("update_memory", json!({"id": id, "content": format!("{text}.")})).await;
    }
    for (tool, arguments) in [
        ("search", json!({"query": "Sitzung", "limit": 50})),
        ("list_memories", json!({"limit": 100})),
        ("add_memory", json!({"content": "\"\\".repeat(16_000)})),
    ] {
        client.call(tool, arguments).await;
    }
    let categories = client.call("list_categories", json!({})).await;
    let listed = categories["categories"].as_array().unwrap().len();
    assert!((20..100).contains(&listed), "{listed}");
    assert_eq!(categories["total"], 150);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_arguments_are_refused_in_words_that_name_them() {
    let client = Client::new().await;
    for (tool, arguments, words) in [
        ("search", json!({}), "`query` is missing"),
        ("search", json!({"query": ""}), "`query`"),
        ("search", json!({"query": 5}), "`query` must be a string"),
        ("search", json!({"query": "x", "limit": 0}), "`limit` must be 1 to 50"),
        ("search", json!({"query": "x", "limit": 0.0}), "`limit` must be 1 to 50"),
        ("search", json!({"query": "x", "limit": 1.5}), "`limit` must be a whole number"),
        ("search", json!({"query": "x", "limit": -1}), "`limit` must be a whole number"),
        ("list_memories", json!({"limit": 1e30}), "`limit` must be a whole number"),
        ("search", json!({"query": "x", "limit": 51}), "`limit` must be 1 to 50"),
        ("search", json!({"query": "x", "colour": "red"}), "`colour` is not a known member"),
        ("fetch", json!({"id": "no such id"}), "no memory with this id"),
        ("fetch", json!({}), "`id` is missing"),
        ("add_memory", json!({"content": "  "}), "`content`"),
        ("add_memory", json!({"content": "x".repeat(32_769)}), "`content`"),
        ("add_memory", json!({"content": "x", "categories": ["a", 7]}), "`categories[1]` must be a string"),
        ("update_memory", json!({"id": "x"}), "at least one member"),
        ("list_memories", json!({"cursor": "made up"}), "`cursor`"),
    ] {
        let said = client.failing_call(tool, arguments.clone()).await;
        assert!(said.contains(words), "{tool} {arguments}: {said}");
    }
    let memory = client.gate.remember(&client.token, "short").await;
    let said = client.failing_call("fetch", json!({"id": memory["memory_id"], "offset": 99})).await;
    assert!(said.contains("`offset` is beyond the end"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_applications_memories_are_out_of_reach() {
    let client = Client::new().await;
    let id = client.gate.remember(&client.token, "a secret of the first application").await["memory_id"].clone();
    let other = client.gate.application().await;
    let token = client.gate.mcp_token(&other, "memory:read memory:write memory:delete").await;
    let other = Client { gate: client.gate, token };
    assert_eq!(other.call("search", json!({"query": "secret"})).await, json!({"results": []}));
    assert_eq!(other.call("list_memories", json!({})).await, json!({"memories": []}));
    for (tool, arguments) in [
        ("fetch", json!({"id": id})),
        ("update_memory", json!({"id": id, "content": "mine"})),
        ("delete_memory", json!({"id": id})),
    ] {
        assert!(other.failing_call(tool, arguments).await.contains("no memory with this id"), "{tool}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_only_write_or_delete_gets_no_content() {
    let writer = Client::with_scope("memory:write memory:delete").await;
    let added = writer.call("add_memory", json!({"content": "private text"})).await;
    assert_eq!(added, json!({"status": "stored"}));
    let application = writer.gate.application().await;
    let all = writer.gate.access_token(&application).await;
    let id = writer.gate.remember(&all, "private text").await["memory_id"].clone();
    let token = writer.gate.mcp_token(&application, "memory:write memory:delete").await;
    let writer = Client { gate: writer.gate, token };
    assert_eq!(writer.call("update_memory", json!({"id": id, "content": "new"})).await, json!({"status": "updated"}));
    assert_eq!(writer.call("delete_memory", json!({"id": id})).await, json!({"status": "deleted", "id": id}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_prompt_holds_what_is_known_of_the_person() {
    let client = Client::new().await;
    let prompts = client.legacy("prompts/list", json!({})).await;
    assert_eq!(prompts["result"]["prompts"][0]["name"], "personal_context");
    let name = || json!({"name": "personal_context"});
    let text = |result: &Value| result["messages"][0]["content"]["text"].as_str().unwrap().to_owned();
    let prompt = async || {
        let legacy = client.legacy("prompts/get", name()).await;
        let said = text(&legacy["result"]);
        assert_eq!(text(&client.modern("prompts/get", name()).await), said);
        said
    };
    assert!(prompt().await.contains("Nothing is stored yet"));
    client.gate.remember(&client.token, "Marta lives in Porto.").await;
    assert!(prompt().await.contains("- Marta lives in Porto."));
    // They do not all fit.
    for number in 0..30 {
        client.gate.advance(Duration::from_secs(1));
        let content = format!("Number {number} {}", "word ".repeat(400));
        client.gate.remember(&client.token, &content).await;
    }
    let full = prompt().await;
    assert!(full.contains("- Number 29 word"), "the newest first: {full}");
    let answer = client.legacy("prompts/get", name()).await.to_string();
    assert!(answer.len() < super::MAX_ANSWER, "{}", answer.len());
    let unknown = client.legacy("prompts/get", json!({"name": "weather"})).await;
    assert_eq!(unknown["error"]["code"], -32602, "{unknown}");
    assert!(unknown["error"]["message"].as_str().unwrap().contains("personal_context"), "{unknown}");
    assert_eq!(client.legacy("resources/list", json!({})).await["result"]["resources"], json!([]));
    let unknown = client.legacy("resources/read", json!({"uri": "memory://1"})).await;
    assert_eq!((&unknown["error"]["code"], &unknown["error"]["data"]["uri"]), (&json!(-32002), &json!("memory://1")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prompt_that_fails_says_why_in_the_words_of_the_tools() {
    let gate = TestGate::on(TestDatabase::sqlite()).await;
    let may_write =
        NewApplication { permissions: [Permission::MemoryWrite].into_iter().collect(), ..new_application() };
    let writing = gate.register(may_write).await;
    let token = gate.mcp_token(&writing, "memory:write").await;
    let client = Client { gate, token };
    assert_eq!(client.legacy("prompts/list", json!({})).await["result"]["prompts"], json!([]));
    let refused = client.legacy("prompts/get", json!({"name": "personal_context"})).await;
    let words = refused["error"]["message"].as_str().unwrap();
    assert_eq!(words, client.failing_call("list_memories", json!({})).await);
    assert!(words.contains("memory:read"), "{words}");
}
