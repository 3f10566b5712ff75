//! The self-hosted mem0 server.

use memgate::adapters::remote_bank::{Access, BankKind, BreakerState, LeftOut, RemoteBankConfig};
use memgate::domain::memories::{
    DateRange, Limit, MemoryBank, MemoryBankError, MemoryChanges, MemoryFilter, MemoryQuery, MemoryScope, Relevance,
    Scalar,
};
use memgate::domain::system::Timestamp;
use memgate_domain::testing::{categories, content, new_memory, now, scope, scope_limited_to, update};
use memgate_test_kit::banks::mem0;
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use super::super::support::query;
use super::{ID, assert_inconsistent, assert_stored, bank, body, line, ok, requests, write};

const KIND: BankKind = BankKind::Mem0Oss;

/// An item as the server returns one that nobody but mem0 has touched.
fn item(owner: &MemoryScope, score: f64) -> Value {
    json!({
        "id": ID, "memory": "The spare key is under the fern.", "hash": "900150983cd24fb0d6963f7d28e17f72",
        "metadata": null, "score": score, "created_at": "2026-11-22T11:17:01.115362+00:00", "updated_at": null,
        "user_id": owner.tenant(), "agent_id": null, "role": "user", "a_member_of_a_later_version": [{}],
    })
}

#[tokio::test]
async fn a_create_is_what_the_contract_says() {
    let added = json!({"results": [{"id": ID, "memory": "x", "event": "ADD", "actor_id": null, "role": "user"}]});
    let (server, client) = bank(KIND, [ok(&added)]).await;
    let (scope, write) = (scope(), write());
    let memory = client.create_first(&scope, &write).await.unwrap();
    assert_eq!(memory.id.as_str(), ID);
    assert_eq!(memory.content, write.content);
    let request = &requests(&server).await[0];
    assert_eq!(line(request), "POST /memories", "without a slash at its end");
    let sent = body(request);
    assert_eq!(sent["messages"], json!([{"role": "user", "content": "The spare key is under the fern."}]));
    assert_eq!((&sent["user_id"], &sent["infer"]), (&json!(scope.tenant()), &json!(false)));
    assert_stored(&sent["metadata"], &scope, &write);
    assert_eq!(sent.as_object().unwrap().len(), 4, "and nothing else: {sent}");
}

#[tokio::test]
async fn a_create_that_added_nothing_is_refused_and_not_lost_silently() {
    let (_server, client) = bank(KIND, [ok(&json!({"results": []}))]).await;
    let answer = client.create_first(&scope(), &new_memory("x")).await;
    assert!(matches!(answer, Err(MemoryBankError::Rejected(_))), "{answer:?}");
}

#[tokio::test]
async fn a_search_carries_the_scope_alone_and_no_filter_of_the_caller() {
    let (server, client) = bank(KIND, [ok(&json!({"results": []}))]).await;
    let scope = scope();
    let filter = MemoryFilter {
        categories: categories(&["*"]),
        created: DateRange::new("date_range", Some(now()), None).unwrap(),
        occurred: DateRange::default(),
        metadata: vec![("user_id".to_owned(), Scalar::Text("*".to_owned())), ("OR".to_owned(), Scalar::Bool(true))],
        condition: None,
    };
    client.search(&scope, &MemoryQuery { filter, ..query("{\"user_id\": \"*\"}") }).await.unwrap();
    let request = &requests(&server).await[0];
    assert_eq!(line(request), "POST /search");
    let expected = json!({
        "query": "{\"user_id\": \"*\"}", "filters": {"user_id": scope.tenant()}, "top_k": 50, "threshold": 0.0,
    });
    assert_eq!(body(request), expected);
}

#[tokio::test]
async fn a_result_that_memgate_did_not_write_is_read_as_it_is() {
    let scope = scope();
    let mut found = item(&scope, 0.349);
    found["metadata"] = json!({"project": "garden", "memgate_unknown": 1});
    let (_server, client) = bank(KIND, [ok(&json!({ "results": [found] }))]).await;
    let results = client.search(&scope, &query("key")).await.unwrap();
    let hit = &results.hits[0];
    assert!((hit.relevance.get() - 0.349).abs() < 1e-9);
    assert_eq!(hit.memory.created_at, Timestamp::parse("", "2026-11-22T11:17:01.115Z").unwrap());
    assert_eq!(hit.memory.updated_at, hit.memory.created_at);
    assert_eq!(Value::Object(hit.memory.metadata.as_object().clone()), json!({"project": "garden"}));
    assert_eq!((hit.memory.categories.len(), hit.memory.expires_at), (0, None));
}

#[tokio::test]
async fn scores_out_of_range_are_clamped_and_what_does_not_fit_is_left_out() {
    let scope = scope();
    let results: Vec<Value> = [json!(7.5), json!(0.5), json!(0.0), json!(-0.3), json!(null)]
        .into_iter()
        .zip(1..)
        .map(|(score, number)| {
            let mut item = item(&scope, 0.0);
            item["id"] = json!(format!("01937a5e-0000-7000-8000-00000000000{number}"));
            item["score"] = score;
            item
        })
        .collect();
    let (_server, client) = bank(KIND, [ok(&json!({ "results": results }))]).await;
    let found = client.search(&scope, &query("key")).await.unwrap();
    let relevance: Vec<f64> = found.hits.iter().map(|hit| hit.relevance.get()).collect();
    assert_eq!(relevance, [1.0, 0.5]);
    let threshold = Some(Relevance::clamped(0.6));
    let found = client.search(&scope, &MemoryQuery { threshold, ..query("key") }).await.unwrap();
    assert_eq!(found.hits.len(), 1);
}

#[tokio::test]
async fn what_belongs_to_another_tenant_is_left_out_wherever_it_turns_up() {
    let (owner, stranger) = (scope(), scope());
    let mut claimed = item(&owner, 0.9);
    claimed["metadata"] = json!({"memgate_tenant": stranger.tenant()});
    let mut nobodys = item(&owner, 0.9);
    nobodys["user_id"] = Value::Null;
    let mut odd = item(&owner, 0.9);
    odd["metadata"] = json!({"memgate_tenant": ["x"]});
    for foreign in [item(&stranger, 0.9), claimed, nobodys, odd] {
        let (server, client) = bank(KIND, [ok(&json!({"results": [foreign]})), ok(&foreign)]).await;
        assert_eq!(client.search(&owner, &query("key")).await.unwrap().hits, []);
        assert_eq!(client.metrics().left_out(LeftOut::Foreign), 1);
        let id = ID.parse().unwrap();
        assert_eq!(client.get(&owner, &id, now()).await.unwrap(), None);
        assert!(!client.delete(&owner, &id).await.unwrap());
        let changes = MemoryChanges { content: Some(content("mine now")), ..MemoryChanges::default() };
        assert_eq!(client.update(&owner, &id, &update(&changes, now())).await.unwrap(), None);
        let lines: Vec<String> = requests(&server).await.iter().map(line).collect();
        let get = format!("GET /memories/{ID}");
        assert_eq!(lines, ["POST /search".to_owned(), get.clone(), get.clone(), get], "nothing was changed or deleted");
    }
}

#[tokio::test]
async fn a_missing_memory_is_200_with_null_or_404() {
    for missing in
        [ok(&Value::Null), ResponseTemplate::new(200), ResponseTemplate::new(404).set_body_json(json!({"detail": "x"}))]
    {
        let (server, client) = bank(KIND, [missing]).await;
        assert_eq!(client.get(&scope(), &ID.parse().unwrap(), now()).await.unwrap(), None);
        assert!(!client.delete(&scope(), &ID.parse().unwrap()).await.unwrap());
        assert_eq!(requests(&server).await.len(), 2);
    }
}

#[tokio::test]
async fn an_id_that_is_no_uuid_is_never_sent() {
    let (server, client) = bank(KIND, [ok(&json!({"message": "All memories deleted"}))]).await;
    let changes = MemoryChanges { content: Some(content("x")), ..MemoryChanges::default() };
    for id in ["..", ".", "0", "a:b", "reset", "01937a5e-0000-7000-8000-00000000000g"] {
        let id = id.parse().unwrap();
        assert_eq!(client.get(&scope(), &id, now()).await.unwrap(), None);
        assert_eq!(client.update(&scope(), &id, &update(&changes, now())).await.unwrap(), None);
        assert!(!client.delete(&scope(), &id).await.unwrap());
    }
    assert_eq!(requests(&server).await.len(), 0);
}

#[tokio::test]
async fn a_change_sends_the_whole_memory_back_and_keeps_what_others_wrote() {
    let scope = scope();
    let mut before = item(&scope, 0.0);
    before["metadata"] =
        json!({"memgate_tenant": scope.tenant(), "memgate_write_id": "w-1", "memgate_priority": "low", "seen": 3});
    let (server, client) = bank(KIND, [ok(&before), ok(&json!({"message": "Memory updated successfully!"}))]).await;
    let changes = MemoryChanges { content: Some(content("The key is gone.")), ..MemoryChanges::default() };
    let memory = client.update(&scope, &ID.parse().unwrap(), &update(&changes, now())).await.unwrap().unwrap();
    assert_eq!(memory.content.as_str(), "The key is gone.");
    let request = &requests(&server).await[1];
    assert_eq!(line(request), format!("PUT /memories/{ID}"));
    let sent = body(request);
    assert_eq!(sent["text"], "The key is gone.");
    let metadata = &sent["metadata"];
    assert_eq!((&metadata["memgate_write_id"], &metadata["seen"]), (&json!("w-1"), &json!(3)));
    assert_eq!(metadata["memgate_priority"], "low");
    assert_eq!(metadata["memgate_updated_at"], 2_000_000_000_123_i64);
    assert_eq!(metadata["memgate_expires_at"], 0, "a server that merges would keep an expiry that is left out");
}

#[tokio::test]
async fn a_look_up_asks_for_the_write_by_its_id() {
    let (scope, write) = (scope(), write());
    let mut found = item(&scope, 0.1);
    found["metadata"] = json!({"memgate_tenant": scope.tenant(), "memgate_write_id": write.id.as_str()});
    let (server, client) = bank(KIND, [ok(&json!({ "results": [found] }))]).await;
    assert_eq!(client.create(&scope, &write).await.unwrap().id.as_str(), ID);
    let sent = requests(&server).await;
    assert_eq!(sent.len(), 1, "it was there");
    let filters = json!({"user_id": scope.tenant(), "memgate_write_id": write.id.as_str()});
    assert_eq!(body(&sent[0])["filters"], filters);
}

#[tokio::test]
async fn a_search_that_filters_asks_for_more_as_long_as_there_is_more() {
    let scope = scope();
    let results = |number: u32| -> Value {
        let of = |index: u32| {
            let mut item = item(&scope, 0.5);
            item["id"] = json!(format!("01937a5e-0000-7000-8000-{index:012}"));
            let categories = if index % 100 == 99 { "[\"home\"]" } else { "[]" };
            item["metadata"] = json!({"memgate_tenant": scope.tenant(), "memgate_categories": categories});
            item
        };
        json!({"results": (0..number).map(of).collect::<Vec<_>>()})
    };
    let (server, client) = bank(KIND, [ok(&results(50)), ok(&results(200)), ok(&results(500))]).await;
    let filter = MemoryFilter { categories: categories(&["home"]), ..MemoryFilter::default() };
    let found = client.search(&scope, &MemoryQuery { filter, ..query("key") }).await.unwrap();
    assert_eq!((found.hits.len(), found.total_found), (5, 5));
    let asked: Vec<Value> = requests(&server).await.iter().map(|request| body(request)["top_k"].clone()).collect();
    assert_eq!(asked, [50, 200, 800], "800 were asked for, and 500 are all there are");
}

#[tokio::test]
async fn what_no_version_wrote_is_left_out_of_lists_and_an_error_by_itself() {
    let scope = scope();
    let own = json!({"memgate_tenant": scope.tenant()});
    for (name, value) in [
        ("memgate_priority", json!("urgent")),
        ("memgate_categories", json!(["home"])),
        ("memgate_categories", json!("[1]")),
        ("memgate_metadata", json!("[]")),
        ("memgate_metadata", json!({"a": 1})),
        ("memgate_created_at", json!("yesterday")),
        ("memgate_expires_at", json!([])),
    ] {
        let mut broken = item(&scope, 0.9);
        broken["metadata"] = own.clone();
        broken["metadata"][name] = value;
        let (_server, client) = bank(KIND, [ok(&json!({ "results": [broken] })), ok(&broken)]).await;
        assert_eq!(client.search(&scope, &query("key")).await.unwrap().hits, [], "{broken}");
        assert_inconsistent(client.get(&scope, &ID.parse().unwrap(), now()).await);
        assert_eq!(client.metrics().left_out(LeftOut::Unreadable), 2);
    }
}

#[tokio::test]
async fn answers_of_another_shape_are_an_error_and_not_an_empty_result() {
    for odd in
        [json!({}), json!({"results": {}}), json!("ok"), json!({"results": [{"memory": "x"}]}), json!({"results": [1]})]
    {
        let (_server, client) = bank(KIND, [ok(&odd)]).await;
        assert_inconsistent(client.search(&scope(), &query("key")).await);
        assert_inconsistent(client.check_health().await);
    }
    for odd in [json!({}), json!({"results": [{"event": "ADD"}]}), json!({"results": [{"id": "not an id/.."}]})] {
        let (_server, client) = bank(KIND, [ok(&odd)]).await;
        assert_inconsistent(client.create_first(&scope(), &new_memory("x")).await);
    }
}

#[tokio::test]
async fn a_scope_too_large_to_list_is_refused_and_not_listed_with_gaps() {
    let scope = scope();
    let list = json!({"results": [item(&scope, 0.0), item(&scope, 0.0), item(&scope, 0.0)]});
    let (server, _) = bank(KIND, [ok(&list)]).await;
    let mut config = super::config(KIND, &server.uri().parse().unwrap());
    config.list_limit = 2;
    let page = memgate::domain::memories::ListQuery::new(10.try_into().unwrap(), now());
    let answer = super::client(config).list(&scope, &page).await;
    assert!(matches!(&answer, Err(MemoryBankError::Rejected(why)) if why.contains("more than 2")), "{answer:?}");
    let tenant = scope.tenant().replace('/', "%2F");
    assert_eq!(line(&requests(&server).await[0]), format!("GET /memories?user_id={tenant}&top_k=3"));
}

#[tokio::test]
async fn health_is_a_list_of_a_tenant_that_nobody_is() {
    let (server, client) = bank(KIND, [ok(&json!({"results": []}))]).await;
    client.check_health().await.unwrap();
    assert_eq!(line(&requests(&server).await[0]), "GET /memories?user_id=-memgate-health%2Fapp&top_k=1000");
}

fn first_page() -> memgate::domain::memories::ListQuery {
    memgate::domain::memories::ListQuery::new(10.try_into().unwrap(), now())
}

#[tokio::test]
async fn no_more_is_asked_for_than_the_server_gives_and_all_that_it_gives_may_not_be_all_there_is() {
    let (bank, scope) = (mem0::oss().await, scope());
    let client = super::client(super::config(KIND, &bank.url));
    client.check_health().await.unwrap();
    let capabilities = client.capabilities();
    assert_eq!((capabilities.max_listed, capabilities.max_searched), (Some(999), Some(1_000)));
    for _ in 0..999 {
        client.create_first(&scope, &new_memory("x")).await.unwrap();
    }
    assert_eq!(client.list(&scope, &first_page()).await.unwrap().memories.len(), 10);
    client.create_first(&scope, &new_memory("x")).await.unwrap();
    let answer = client.list(&scope, &first_page()).await;
    assert!(matches!(&answer, Err(MemoryBankError::Rejected(why)) if why.contains("more than 999")), "{answer:?}");
    let deleted = erase(&client, &scope).await;
    assert_eq!((deleted, bank.state().points.len()), (1_000, 0), "what cannot be listed can be erased");
}

/// Deletes what is sampled until nothing is left, and returns how many that were.
async fn erase(bank: &dyn MemoryBank, scope: &MemoryScope) -> usize {
    let mut deleted = 0;
    loop {
        let ids = bank.sample(scope, Limit::LARGEST).await.unwrap();
        if ids.is_empty() {
            return deleted;
        }
        for id in ids {
            assert!(bank.delete(scope, &id).await.unwrap());
            deleted += 1;
            assert!(deleted <= 1_000, "what was deleted is sampled again");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_read_any_more_can_be_erased_and_what_is_not_ours_stays() {
    let (bank, scope, other) = (mem0::oss().await, scope(), scope());
    let client = super::client(super::config(KIND, &bank.url));
    for scope in [&scope, &scope, &scope, &other] {
        client.create_first(scope, &new_memory("x")).await.unwrap();
    }
    {
        let points = &mut bank.state().points;
        points[0].payload["memgate_priority"] = json!("?");
        points[1].payload["data"] = json!("x".repeat(40_000));
    }
    let id = bank.state().points[0].id.parse().unwrap();
    assert_inconsistent(client.delete(&scope_limited_to(&scope, &["work"]), &id).await);
    assert!(!client.delete(&other, &id).await.unwrap());
    assert_eq!((erase(&client, &scope).await, bank.state().points.len()), (3, 1));
}

#[tokio::test]
async fn what_is_too_much_for_one_answer_is_erased_in_smaller_parts() {
    let (bank, scope) = (mem0::oss().await, scope());
    let config = super::config(KIND, &bank.url);
    let client = super::client(RemoteBankConfig { answer_limit: 20_000, ..config });
    for _ in 0..40 {
        client.create_first(&scope, &new_memory(&"x".repeat(9_000))).await.unwrap();
    }
    assert_inconsistent(client.list(&scope, &first_page()).await);
    assert_eq!((erase(&client, &scope).await, bank.state().points.len()), (40, 0));
}

#[tokio::test]
async fn a_bank_that_does_not_take_its_own_limit_is_not_healthy() {
    let refused = json!({"detail": [{
        "type": "less_than_equal", "loc": ["query", "top_k"], "msg": "Input should be less than or equal to 100",
    }]});
    let (_server, client) = bank(KIND, [ResponseTemplate::new(422).set_body_json(&refused)]).await;
    let answer = client.check_health().await;
    assert!(matches!(&answer, Err(MemoryBankError::Rejected(why)) if why.contains("query.top_k")), "{answer:?}");
}

#[tokio::test]
async fn a_text_that_the_model_refuses_is_refused_and_counts_for_no_breaker_and_no_retry() {
    let (bank, scope) = (mem0::oss().await, scope());
    let client = super::client(super::config(KIND, &bank.url));
    let stored = client.create_first(&scope, &new_memory("x")).await.unwrap();
    bank.state().longest_embedded = Some(8_192);
    let long = new_memory(&"会議の記録。".repeat(1_500));
    let changes = MemoryChanges { content: Some(long.content.clone()), ..MemoryChanges::default() };
    let before = client.metrics().attempts();
    for _ in 0..30 {
        for answer in [
            client.create_first(&scope, &long).await.map(drop),
            client.update(&scope, &stored.id, &update(&changes, now())).await.map(drop),
        ] {
            match answer {
                Err(MemoryBankError::Rejected(why)) => {
                    assert_eq!(why, "Provider rejected the request as malformed. (status 502)");
                }
                answer => panic!("it is the text's fault, and not {answer:?}"),
            }
        }
    }
    assert_eq!(client.metrics().attempts() - before, 90, "nothing was sent twice: 30 creates, reads and changes");
    for access in [Access::Read, Access::Write] {
        assert_eq!(client.breaker(access).0, BreakerState::Closed);
    }
    client.create_first(&scope, &new_memory("others go on")).await.unwrap();
}

#[tokio::test]
async fn a_failure_says_whether_it_may_be_the_request_or_is_the_bank() {
    for (code, reached) in [
        ("unknown", true),
        ("provider_timeout", true),
        ("provider_rate_limited", false),
        ("provider_unavailable", false),
        ("provider_auth_failed", false),
        ("datastore_unavailable", false),
        ("vector_store_unavailable", false),
    ] {
        let bank = mem0::oss().await;
        bank.state().add_fails = Some(mem0::upstream(code));
        let answer = super::client(super::config(KIND, &bank.url)).create_first(&scope(), &new_memory("x")).await;
        assert_eq!(answer.unwrap_err().may_be_the_request(), reached, "{code}");
    }
}
