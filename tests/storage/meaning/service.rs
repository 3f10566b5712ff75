//! A whole gate with a model.

use std::path::Path;
use std::sync::Arc;

use memgate::domain::memories::MemoryBank;
use memgate_domain::testing::{FakeEmbedder, new_memory};
use memgate_test_kit::database::TestDatabase;
use memgate_test_kit::embedding_model::{write_other_static, write_static};
use memgate_test_kit::gate::TestGate;
use memgate_test_kit::process::{finish, memgate, succeed_json};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Beside, databases, found, scope};

fn model(write: impl Fn(&Path)) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    folder
}

async fn gate_with(database: TestDatabase, model: &TempDir) -> TestGate {
    let folder = model.path().to_str().unwrap();
    TestGate::configured(database, &[("MEMGATE_EMBEDDING_MODEL", folder)]).await
}

/// Waits until every memory that was stored before has a vector.
async fn embedded(gate: &TestGate) {
    gate.gate().backend().embed().await.unwrap();
}

fn texts(answer: &Value) -> Vec<&str> {
    answer["results"].as_array().unwrap().iter().map(|memory| memory["content"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn with_a_model_what_is_meant_is_found_and_without_one_what_is_said() {
    for database in databases().await {
        let model = model(write_static);
        let gate = gate_with(database.clone(), &model).await;
        let application = gate.application().await;
        let token = gate.access_token(&application).await;
        gate.remember(&token, "We adopted a dog.").await;
        gate.remember(&token, "The house has a garden.").await;
        embedded(&gate).await;
        let answer = gate.search(&token, "pet").await;
        assert_eq!(texts(&answer), ["We adopted a dog."], "{answer}");
        assert_eq!(answer["total_found"], 1);
        let relevance = answer["results"][0]["relevance_score"].as_f64().unwrap();
        assert!(relevance > 0.1 && relevance < 0.75, "{relevance}");
        assert_eq!(texts(&gate.search(&token, "garden").await), ["The house has a garden."]);

        let without = gate.beside(&[]).await;
        let token = without.access_token(&application).await;
        assert_eq!(texts(&without.search(&token, "pet").await), [""; 0]);
        assert_eq!(texts(&without.search(&token, "dog").await), ["We adopted a dog."]);
    }
}

async fn token_of(gate: &TestGate) -> String {
    gate.access_token(&gate.application().await).await
}

#[tokio::test]
async fn a_memory_without_a_vector_yet_is_found_by_its_words() {
    for database in databases().await {
        let beside = Beside::new(&database).await;
        let bank = beside.adopted(Arc::new(FakeEmbedder::new("fake", &[&["dog", "pet"]]))).await;
        bank.create(&scope(), &new_memory("A dog in the garden.")).await.unwrap();
        assert_eq!(found(&bank, &scope(), "garden").await, ["A dog in the garden."]);
        assert_eq!(found(&bank, &scope(), "pet").await, [""; 0]);
        assert_eq!(bank.embed().await.unwrap(), 1);
        assert_eq!(bank.embed().await.unwrap(), 0);
        assert_eq!(found(&bank, &scope(), "pet").await, ["A dog in the garden."]);
    }
}

#[tokio::test]
async fn a_vector_is_gone_with_its_memory_and_with_its_text() {
    for database in databases().await {
        let beside = Beside::new(&database).await;
        let model = model(write_static);
        let gate = gate_with(database, &model).await;
        let token = token_of(&gate).await;
        let dog = gate.remember(&token, "A dog.").await;
        let house = gate.remember(&token, "A house.").await;
        embedded(&gate).await;
        assert_eq!(beside.vectors().await, 2);

        let path = |memory: &Value| gate.url(&format!("/api/v1/memories/{}", memory["memory_id"].as_str().unwrap()));
        // A change of something else leaves the vector; another text deletes it in the same transaction.
        let change = |body: Value| gate.http.patch(path(&house)).bearer_auth(&token).json(&body);
        beside.0.writer().execute_unprepared("UPDATE memory_vectors SET revision = revision + 1000").await.unwrap();
        assert_eq!(change(json!({"priority": "high"})).send().await.unwrap().status(), 200);
        assert_eq!(beside.number("SELECT count(*) FROM memory_vectors WHERE revision > 1000").await, 2);
        let changed = change(json!({"content": "A car."})).send().await.unwrap();
        assert_eq!(changed.status(), 200);
        assert_eq!(beside.number("SELECT count(*) FROM memory_vectors WHERE revision > 1000").await, 1);
        embedded(&gate).await;
        assert_eq!(beside.vectors().await, 2);
        assert_eq!(texts(&gate.search(&token, "flat").await), [""; 0]);
        assert_eq!(texts(&gate.search(&token, "bicycle").await), ["A car."]);

        assert_eq!(gate.http.delete(path(&dog)).bearer_auth(&token).send().await.unwrap().status(), 200);
        assert_eq!(beside.vectors().await, 1);
        assert_eq!(texts(&gate.search(&token, "pet").await), [""; 0]);
    }
}

#[tokio::test]
async fn another_model_makes_all_vectors_anew() {
    for database in databases().await {
        let beside = Beside::new(&database).await;
        let (first, other) = (model(write_static), model(write_other_static));
        let gate = gate_with(database.clone(), &first).await;
        let application = gate.application().await;
        let token = gate.access_token(&application).await;
        gate.remember(&token, "A dog.").await;
        gate.remember(&token, "Soup.").await;
        embedded(&gate).await;
        let name = "SELECT count(DISTINCT model) FROM memory_vectors";
        assert_eq!((beside.vectors().await, beside.number(name).await), (2, 1));
        let of_first = gate.gate().backend().embedding_model().unwrap().id.clone();

        // During a rolling restart both run: the vectors are made by the one that started last, and not again and again.
        let newer = gate.beside(&[("MEMGATE_EMBEDDING_MODEL", other.path().to_str().unwrap())]).await;
        embedded(&newer).await;
        embedded(&gate).await;
        let of_first = format!("SELECT count(*) FROM memory_vectors WHERE model = '{of_first}'");
        assert_eq!((beside.vectors().await, beside.number(&of_first).await), (2, 0));
        let token = newer.access_token(&application).await;
        assert_eq!(texts(&newer.search(&token, "pet").await), ["A dog."]);
        // The older one finds what it finds without vectors.
        assert_eq!(texts(&gate.search(&gate.access_token(&application).await, "dog").await), ["A dog."]);
    }
}

// The commands block this thread, and must not keep the service from ending its transactions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operator_sees_the_vectors_and_rebuilds_them() {
    let (model, other) = (model(write_static), model(write_other_static));
    let database = TestDatabase::sqlite();
    let folder = database.folder().unwrap().to_owned();
    let beside = Beside::new(&database).await;
    let gate = gate_with(database, &model).await;
    let token = token_of(&gate).await;
    for text in ["A dog.", "A house.", "Nothing that the model knows."] {
        gate.remember(&token, text).await;
    }
    embedded(&gate).await;
    let command_with = |model: &TempDir, arguments: &[&str]| {
        let mut command = memgate(&folder);
        command.env("MEMGATE_EMBEDDING_MODEL", model.path()).args(arguments);
        let output = finish(&mut command);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let command = |arguments: &[&str]| command_with(&model, arguments);
    let status = || serde_json::from_str::<Value>(&command(&["embed", "status", "--json"])).unwrap();
    let id = gate.gate().backend().embedding_model().unwrap().id.to_string();
    let before = status();
    assert_eq!(before["model"], json!({"id": id, "dimensions": 4}));
    assert_eq!((&before["memories"], &before["embedded"], &before["waiting"]), (&json!(3), &json!(3), &json!(0)));
    assert_eq!((&before["of_other_models"], &before["made_with"]), (&json!({}), &json!(id)));
    assert!(command(&["embed", "status"]).contains("3 of 3 memories are embedded; 0 wait."));

    // Beside the running service, which leaves the vectors to whoever came last.
    let of_other: Value = serde_json::from_str(&command_with(&other, &["embed", "rebuild", "--json"])).unwrap();
    assert_eq!(of_other["embedded"], 3);
    let after = status();
    assert_eq!((&after["made_with"], &after["waiting"]), (&of_other["model"], &json!(3)));
    assert_eq!(after["of_other_models"], json!({ of_other["model"].as_str().unwrap(): 3 }));

    // Whatever happened to them, they are made anew.
    beside.0.writer().execute_unprepared("UPDATE memory_vectors SET vector = x'00'").await.unwrap();
    let rebuilt: Value = serde_json::from_str(&command(&["embed", "rebuild", "--json"])).unwrap();
    assert_eq!(rebuilt["model"], json!(id));
    embedded(&gate).await;
    assert_eq!((&status()["embedded"], &status()["waiting"]), (&json!(3), &json!(0)));
    assert_eq!(texts(&gate.search(&token, "pet").await), ["A dog."]);

    let without = succeed_json(&folder, &["embed", "status"]);
    assert_eq!((&without["model"], &without["of_other_models"]), (&Value::Null, &json!({ id: 3 })));
    let refused = finish(memgate(&folder).args(["embed", "rebuild"]));
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("MEMGATE_EMBEDDING_MODEL is not set"));
}

#[test]
fn a_model_that_cannot_be_used_is_said_at_the_start_and_where_settings_are_shown() {
    let (place, model) = (tempfile::tempdir().unwrap(), model(write_static));
    std::fs::write(model.path().join("model.safetensors"), "not a model").unwrap();
    let command =
        |arguments: &[&str]| finish(memgate(place.path()).env("MEMGATE_EMBEDDING_MODEL", model.path()).args(arguments));
    let started = command(&["serve"]);
    assert_eq!(started.status.code(), Some(1));
    let said = String::from_utf8_lossy(&started.stderr);
    let file = model.path().join("model.safetensors");
    assert!(said.contains("MEMGATE_EMBEDDING_MODEL") && said.contains(file.to_str().unwrap()), "{said}");
    assert!(said.contains("is not a safetensors file"), "{said}");
    assert!(!place.path().join("memgate.db").exists(), "nothing was made");

    let shown = command(&["config", "show", "--json"]);
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert!(shown["embedding_model"]["problem"].as_str().unwrap().contains("is not a safetensors file"), "{shown}");

    let mut remote = memgate(place.path());
    remote
        .env("MEMGATE_EMBEDDING_MODEL", model.path())
        .env("MEMGATE_MEMORY_BANK_KIND", "mem0-oss")
        .env("MEMGATE_MEMORY_BANK_URL", "http://127.0.0.1:1");
    let remote = finish(remote.arg("serve"));
    assert_eq!(remote.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&remote.stderr).contains("MEMGATE_EMBEDDING_MODEL is for memories in the database")
    );
}
