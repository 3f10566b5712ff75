//! The hosted mem0, version 3.

use memgate::adapters::remote_bank::BankKind;
use memgate::domain::memories::{ListQuery, MemoryBank, MemoryBankError};
use memgate_domain::testing::{now, scope};
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use super::super::support::{query, unavailable};
use super::{ID, assert_inconsistent, assert_stored, bank, body, line, ok, requests, write};

const KIND: BankKind = BankKind::Mem0Platform;
const EVENT: &str = "01937a5e-0000-7000-8000-00000000000e";

#[tokio::test]
async fn a_create_has_its_identity_at_the_top_and_what_is_done_at_once_is_read_at_once() {
    let added = json!({"status": "SUCCEEDED", "event_id": EVENT, "results": [{"id": ID, "data": {"memory": "x"}, "event": "ADD"}]});
    let (server, client) = bank(KIND, [ok(&added)]).await;
    let (scope, write) = (scope(), write());
    assert_eq!(client.create_first(&scope, &write).await.unwrap().id.as_str(), ID);
    let sent = requests(&server).await;
    assert_eq!((sent.len(), line(&sent[0]).as_str()), (1, "POST /v3/memories/add/"));
    let sent = body(&sent[0]);
    assert_eq!((&sent["user_id"], &sent["infer"]), (&json!(scope.tenant()), &json!(false)));
    assert_stored(&sent["metadata"], &scope, &write);
}

#[tokio::test]
async fn a_create_that_is_pending_is_asked_about_until_it_is_done() {
    let (server, client) = bank(KIND, [
        ok(&json!({"event_id": EVENT, "status": "PENDING"})),
        ok(&json!({"id": EVENT, "status": "PENDING", "results": null, "error": null})),
        ok(&json!({"id": EVENT, "status": "RUNNING", "results": []})),
        ok(&json!({"id": EVENT, "status": "SUCCEEDED", "results": [{"id": ID, "data": {"memory": "x"}, "event": "ADD"}]})),
    ])
    .await;
    assert_eq!(client.create_first(&scope(), &write()).await.unwrap().id.as_str(), ID);
    let lines: Vec<String> = requests(&server).await.iter().map(line).collect();
    let event = format!("GET /v1/event/{EVENT}/");
    assert_eq!(lines, ["POST /v3/memories/add/".to_owned(), event.clone(), event.clone(), event]);
}

#[tokio::test]
async fn a_pending_create_that_failed_may_succeed_another_time() {
    let (_server, client) = bank(
        KIND,
        [
            ok(&json!({"event_id": EVENT, "status": "PENDING"})),
            ok(&json!({"id": EVENT, "status": "FAILED", "results": [], "error": "embedding failed"})),
        ],
    )
    .await;
    unavailable(client.create_first(&scope(), &write()).await);
}

#[tokio::test]
async fn an_event_id_that_is_none_is_never_made_part_of_a_path() {
    for event in [json!("../memories"), json!(7), json!(null)] {
        let (server, client) = bank(KIND, [ok(&json!({"event_id": event, "status": "PENDING"}))]).await;
        assert_inconsistent(client.create_first(&scope(), &write()).await);
        assert_eq!(requests(&server).await.len(), 1);
    }
}

#[tokio::test]
async fn a_search_has_its_identity_inside_the_filters() {
    let scope = scope();
    let item = json!({
        "id": ID, "memory": "The spare key is under the fern.", "score": 0.8, "categories": ["invented by the bank"],
        "metadata": {"memgate_tenant": scope.tenant(), "memgate_categories": "[\"home\"]"},
        "created_at": "2026-11-22T03:17:01.115362-08:00", "updated_at": "2026-11-22T03:18:01-08:00",
    });
    let (server, client) = bank(KIND, [ok(&json!({ "results": [item] }))]).await;
    let hits = client.search(&scope, &query("Where is the key?")).await.unwrap().hits;
    assert_eq!(hits[0].memory.categories, memgate_domain::testing::categories(&["home"]));
    assert_eq!(hits[0].memory.created_at.to_string(), "2026-11-22T11:17:01.115Z");
    assert_eq!(hits[0].memory.updated_at.to_string(), "2026-11-22T11:18:01Z");
    let sent = requests(&server).await;
    assert_eq!(line(&sent[0]), "POST /v3/memories/search/");
    let expected = json!({
        "query": "Where is the key?", "filters": {"user_id": scope.tenant()}, "top_k": 10, "threshold": 0.0,
    });
    assert_eq!(body(&sent[0]), expected);
}

#[tokio::test]
async fn a_list_goes_through_all_pages() {
    let scope = scope();
    let item = |number: u32| {
        json!({
            "id": format!("01937a5e-0000-7000-8000-00000000000{number}"), "memory": format!("note {number}"),
            "user_id": scope.tenant(), "metadata": {"memgate_created_at": i64::from(number)},
        })
    };
    let page = |items: Vec<Value>, next: Value| json!({"count": 3, "next": next, "previous": null, "results": items});
    let next = json!("https://api.mem0.ai/v3/memories/?page=2");
    // A memory that was written meanwhile has moved one to the next page.
    let (server, client) =
        bank(KIND, [ok(&page(vec![item(1), item(3)], next)), ok(&page(vec![item(3), item(2)], Value::Null))]).await;
    let query = ListQuery::new(10.try_into().unwrap(), now());
    let listed = client.list(&scope, &query).await.unwrap();
    let texts: Vec<&str> = listed.memories.iter().map(|memory| memory.content.as_str()).collect();
    assert_eq!((texts, listed.next), (vec!["note 3", "note 2", "note 1"], None));
    let sent = requests(&server).await;
    let lines: Vec<String> = sent.iter().map(line).collect();
    assert_eq!(lines, ["POST /v3/memories/?page=1&page_size=100", "POST /v3/memories/?page=2&page_size=100"]);
    assert_eq!(body(&sent[1]), json!({"filters": {"user_id": scope.tenant()}}));
}

#[tokio::test]
async fn one_memory_is_got_and_deleted_under_v1() {
    let scope = scope();
    let item = json!({"id": ID, "memory": "x", "user_id": scope.tenant(), "created_at": "2026-11-22T11:17:01Z"});
    let (server, client) =
        bank(KIND, [ok(&item), ok(&item), ok(&json!({"message": "Memory deleted successfully!"}))]).await;
    assert!(client.get(&scope, &ID.parse().unwrap(), now()).await.unwrap().is_some());
    assert!(client.delete(&scope, &ID.parse().unwrap()).await.unwrap());
    let lines: Vec<String> = requests(&server).await.iter().map(line).collect();
    let path = format!("/v1/memories/{ID}/");
    assert_eq!(lines, [format!("GET {path}"), format!("GET {path}"), format!("DELETE {path}")]);
}

#[tokio::test]
async fn when_it_is_told_to_wait_by_its_own_header_it_waits() {
    let throttled =
        ResponseTemplate::new(429).insert_header("x-ratelimit-reset", "3600").set_body_json(json!({"error": "x"}));
    let (_server, client) = bank(KIND, [throttled]).await;
    let wait = unavailable(client.search(&scope(), &query("key")).await);
    assert_eq!(wait, Some(std::time::Duration::from_hours(1)));
}

#[tokio::test]
async fn a_refused_identity_at_the_top_is_the_callers_error_with_its_reason() {
    let refused = json!({"error": "validation_error", "details": {"message": "Invalid filters"}});
    let (_server, client) = bank(KIND, [ResponseTemplate::new(400).set_body_json(&refused)]).await;
    let answer = client.search(&scope(), &query("key")).await;
    assert!(matches!(&answer, Err(MemoryBankError::Rejected(why)) if why.starts_with("Invalid filters")), "{answer:?}");
}
