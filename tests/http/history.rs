//! What happened to memories, and memories that supersede others.

use memgate::domain::memories::Capabilities;
use memgate_domain::testing::InMemoryMemoryBank;
use poem::http::Method;
use serde_json::{Value, json};

use super::face::Face;
use super::importing::import_lines;

fn path(id: &Value) -> String {
    format!("/api/v1/memories/{}", id.as_str().unwrap())
}

#[tokio::test]
async fn a_history_says_who_changed_what_and_is_forgotten() {
    let face = Face::new();
    let memory = face.remember("Marta lives in Ulm.").await;
    let id = &memory["memory_id"];
    let history = format!("{}/history", path(id));
    let application = face.application.id.to_string();
    let answer = face.call(Method::GET, &history, None).await.json();
    let expected = json!({
        "status": "success", "request_id": answer["request_id"], "memory_id": id, "created_at": memory["created_at"],
        "created_by": application, "history": [],
    });
    assert_eq!(answer, expected);
    face.clock.advance(std::time::Duration::from_secs(1));
    let change = json!({"content": "Marta lives in Porto.", "categories": ["places"], "priority": "normal"});
    assert_eq!(face.call(Method::PATCH, &path(id), Some(change)).await.status, 200);
    let answer = face.call(Method::GET, &history, None).await.json();
    let entry = json!({
        "event": "updated", "at": "2033-05-18T03:33:21.123Z", "by": application, "changed": ["content", "categories"],
    });
    assert_eq!(answer["history"], json!([entry]));
    assert!(!answer.to_string().contains("Ulm"), "the old text is gone");

    let forgotten = face.call(Method::DELETE, &history, None).await.json();
    let expected = json!({"status": "deleted", "request_id": forgotten["request_id"], "memory_id": id});
    assert_eq!(forgotten, expected);
    assert_eq!(face.call(Method::GET, &history, None).await.json()["history"], json!([]));
    assert_eq!(face.call(Method::GET, &path(id), None).await.json()["memory"]["content"], "Marta lives in Porto.");
    for method in [Method::GET, Method::DELETE] {
        face.call(method, "/api/v1/memories/unknown/history", None).await.problem(404, "memory-not-found");
    }
}

#[tokio::test]
async fn a_memory_supersedes_another_which_is_only_in_its_history_then() {
    let face = Face::new();
    let older = face.remember("Marta lives in Ulm.").await;
    let body = json!({"content": "Marta lives in Porto.", "supersedes": older["memory_id"], "idempotency_key": "k"});
    let created = face.post("/api/v1/memories", body.clone()).await;
    assert_eq!(created.status, 201);
    let newer = created.json()["memory"].clone();
    face.call(Method::GET, &path(&older["memory_id"]), None).await.problem(404, "memory-not-found");
    assert_eq!(face.post("/api/v1/search", json!({"query": "Ulm"})).await.json()["results"], json!([]));
    let history = face.call(Method::GET, &format!("{}/history", path(&newer["memory_id"])), None).await.json();
    let entry = json!({
        "event": "superseded", "at": newer["created_at"], "by": face.application.id.to_string(), "memory": older,
    });
    assert_eq!(history["history"], json!([entry]));
    let again = face.post("/api/v1/memories", body).await;
    assert_eq!((again.status.as_u16(), &again.json()["memory"]), (201, &newer), "a repetition");

    let refused = face.post("/api/v1/memories", json!({"content": "x", "supersedes": older["memory_id"]})).await;
    assert_eq!(refused.problem(422, "superseded-not-found")["field"], "supersedes");
    let refused = face.post("/api/v1/memories", json!({"content": "x", "supersedes": "a b"})).await;
    assert_eq!(refused.problem(400, "invalid-value")["field"], "supersedes");
    let list = face.call(Method::GET, "/api/v1/memories", None).await.json();
    assert_eq!(list["memories"], json!([newer]), "nothing else was stored");
}

#[tokio::test]
async fn each_of_several_creates_can_supersede_a_memory() {
    let face = Face::new();
    let older = face.remember("older").await;
    let memories = json!([
        {"content": "a", "supersedes": older["memory_id"]}, {"content": "b", "supersedes": "unknown"}, {"content": "c"},
    ]);
    let answer = face.post("/api/v1/bulk/memories", json!({ "memories": memories })).await.json();
    let statuses: Vec<&Value> = answer["results"].as_array().unwrap().iter().map(|result| &result["status"]).collect();
    assert_eq!(statuses, ["stored", "refused", "stored"]);
    assert_eq!(answer["results"][1]["error"]["type"], "urn:memgate:problem:superseded-not-found");
    face.call(Method::GET, &path(&older["memory_id"]), None).await.problem(404, "memory-not-found");
}

#[tokio::test]
async fn an_export_carries_the_history_and_an_import_keeps_it() {
    let face = Face::new();
    let older = face.remember("older").await;
    let created = face.post("/api/v1/memories", json!({"content": "newer", "supersedes": older["memory_id"]})).await;
    let id = created.json()["memory"]["memory_id"].clone();
    face.clock.advance(std::time::Duration::from_secs(1));
    face.call(Method::PATCH, &path(&id), Some(json!({"categories": ["food"]}))).await;
    let export = async |face: &Face| face.call(Method::GET, "/api/v1/export", None).await;
    let before = String::from_utf8(export(&face).await.body).unwrap();
    let history = face.call(Method::GET, &format!("{}/history", path(&id)), None).await.json();
    assert_eq!(face.call(Method::DELETE, &path(&id), None).await.status, 200);
    let imported = import_lines(&face, &before).await.json();
    assert_eq!((&imported["created"], &imported["left_out"]), (&json!(1), &json!(0)), "{imported}");
    assert_eq!(String::from_utf8(export(&face).await.body).unwrap(), before);
    let after = face.call(Method::GET, &format!("{}/history", path(&id)), None).await.json();
    assert_eq!(after["history"], history["history"]);
    assert_eq!(after["history"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_bank_that_keeps_no_history_says_so() {
    let face = Face::on(InMemoryMemoryBank::with_capabilities(Capabilities {
        history: false,
        supersede: false,
        ..InMemoryMemoryBank::CAPABILITIES
    }));
    let capabilities = face.call(Method::GET, "/api/v1/capabilities", None).await.json();
    assert_eq!((&capabilities["history"], &capabilities["supersede"]), (&json!(false), &json!(false)));
    let memory = face.remember("x").await;
    let history = format!("{}/history", path(&memory["memory_id"]));
    for (method, path, body) in [
        (Method::GET, &*history, None),
        (Method::DELETE, &history, None),
        (Method::POST, "/api/v1/memories", Some(json!({"content": "y", "supersedes": memory["memory_id"]}))),
    ] {
        face.call(method, path, body).await.problem(501, "not-supported");
    }
}
