//! `POST /v1/memories/` and `POST /v1/memories/search/`.

use memgate::adapters::remote_bank::BankKind;
use memgate::domain::memories::{Capability, ListQuery, MemoryBank, MemoryBankError};
use memgate_domain::testing::{now, scope};
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use super::super::support::query;
use super::{ID, assert_stored, bank, body, line, ok, requests, write};

const KIND: BankKind = BankKind::Mem0V1;
const EVENT: &str = "01937a5e-0000-7000-8000-00000000000e";

#[tokio::test]
async fn an_older_server_answers_a_create_with_a_bare_array_of_memories() {
    let (server, client) = bank(KIND, [ok(&json!([{"id": ID, "memory": "x", "event": "ADD"}]))]).await;
    let (scope, write) = (scope(), write());
    assert_eq!(client.create_first(&scope, &write).await.unwrap().id.as_str(), ID);
    let sent = requests(&server).await;
    assert_eq!(line(&sent[0]), "POST /v1/memories/");
    let sent = body(&sent[0]);
    assert_eq!((&sent["user_id"], &sent["infer"]), (&json!(scope.tenant()), &json!(false)));
    assert_stored(&sent["metadata"], &scope, &write);
}

#[tokio::test]
async fn a_server_that_goes_on_in_the_background_answers_with_a_bare_array_of_events() {
    let (server, client) = bank(KIND, [
        ok(&json!([{"message": "Memory processing has been queued", "status": "PENDING", "event_id": EVENT}])),
        ok(&json!({"id": EVENT, "status": "SUCCEEDED", "results": [{"id": ID, "data": {"memory": "x"}, "event": "ADD"}]})),
    ])
    .await;
    assert_eq!(client.create_first(&scope(), &write()).await.unwrap().id.as_str(), ID);
    assert_eq!(line(&requests(&server).await[1]), format!("GET /v1/event/{EVENT}/"));
}

#[tokio::test]
async fn a_server_that_knows_no_events_is_asked_for_the_memory_itself() {
    let (scope, write) = (scope(), write());
    let metadata = json!({"memgate_tenant": scope.tenant(), "memgate_write_id": write.id.as_str()});
    let item = json!({"id": ID, "memory": "x", "metadata": metadata, "created_at": "2026-11-22T11:17:01Z"});
    let (server, client) = bank(
        KIND,
        [
            ok(&json!([{"message": "queued", "status": "PENDING", "event_id": EVENT}])),
            ResponseTemplate::new(404).set_body_json(json!({"detail": "Not Found"})),
            ok(&json!([])),
            ResponseTemplate::new(404).set_body_json(json!({"detail": "Not Found"})),
            ok(&json!([item])),
        ],
    )
    .await;
    assert_eq!(client.create_first(&scope, &write).await.unwrap().id.as_str(), ID);
    let lines: Vec<String> = requests(&server).await.iter().map(line).collect();
    let (event, search) = (format!("GET /v1/event/{EVENT}/"), "POST /v1/memories/search/".to_owned());
    assert_eq!(lines, ["POST /v1/memories/".to_owned(), event.clone(), search.clone(), event, search]);
}

#[tokio::test]
async fn a_search_has_its_identity_at_the_top_and_reads_bare_arrays_and_results() {
    let scope = scope();
    let item = json!({
        "id": ID, "memory": "The spare key is under the fern.", "score": 0.7, "user_id": scope.tenant(),
        "metadata": Value::Null, "created_at": "2026-11-22T11:17:01Z",
    });
    for answer in [json!([item]), json!({ "results": [item] }), json!({ "memories": [item] })] {
        let (server, client) = bank(KIND, [ok(&answer)]).await;
        let hits = client.search(&scope, &query("Where is the key?")).await.unwrap().hits;
        assert_eq!((hits.len(), hits[0].memory.id.as_str()), (1, ID));
        let sent = requests(&server).await;
        assert_eq!(line(&sent[0]), "POST /v1/memories/search/");
        let expected = json!({"query": "Where is the key?", "user_id": scope.tenant(), "limit": 10, "top_k": 10});
        assert_eq!(body(&sent[0]), expected);
    }
}

#[tokio::test]
async fn it_says_that_it_does_not_list() {
    let (server, client) = bank(KIND, [ok(&json!([]))]).await;
    assert!(!client.capabilities().list);
    let query = ListQuery::new(10.try_into().unwrap(), now());
    let answer = client.list(&scope(), &query).await;
    assert!(matches!(answer, Err(MemoryBankError::Unsupported(Capability::List))), "{answer:?}");
    client.check_health().await.unwrap();
    let sent = requests(&server).await;
    assert_eq!(sent.len(), 1, "only health was asked for");
    assert_eq!(
        (&body(&sent[0])["limit"], &body(&sent[0])["top_k"]),
        (&json!(1_000), &json!(1_000)),
        "with the limit it uses"
    );
}
