//! Finding memories by what they mean, with a model: over HTTP with tiny models in folders, and in the bank itself with one that
//! is told what means what.

mod support;

#[path = "support/embedding_model.rs"]
mod embedding_model;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use embedding_model::{write_other_static, write_static};
use memgate::adapters::database::memories::EmbeddedMemoryBank;
use memgate::adapters::database::{Database, DatabaseOptions};
use memgate::domain::memories::{
    Embedder, Embedding, EmbeddingError, EmbeddingModel, Limit, MemoryBank, MemoryChanges, MemoryFilter, MemoryQuery,
    MemoryScope, NewMemory, Relevance, TextKind,
};
use memgate_domain::testing::{
    FakeEmbedder, categories, content, new_memory, now, scope_limited_to, scope_of_person, update,
};
use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};
use support::database::TestDatabase;
use support::gate::TestGate;
use support::process::{memgate, succeed_json};
use tempfile::TempDir;

fn model(write: impl Fn(&Path)) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    folder
}

/// SQLite, and PostgreSQL where there is a server.
async fn databases() -> Vec<TestDatabase> {
    let mut databases = vec![TestDatabase::sqlite()];
    databases.extend(TestDatabase::postgres().await);
    databases
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

/// A database opened beside the gate.
struct Beside(Database);

impl Beside {
    async fn new(database: &TestDatabase) -> Self {
        let database = Database::connect(database.url(), DatabaseOptions::default()).await.unwrap();
        database.migrate_up().await.unwrap();
        Self(database)
    }

    async fn number(&self, sql: &str) -> i64 {
        let statement = Statement::from_string(self.0.backend(), sql);
        let row = self.0.reader().query_one_raw(statement).await.unwrap().expect("a row");
        row.try_get_by_index(0).unwrap()
    }

    async fn vectors(&self) -> i64 {
        self.number("SELECT count(*) FROM memory_vectors").await
    }

    fn bank(&self, embedder: Arc<dyn Embedder>) -> EmbeddedMemoryBank {
        let database = &self.0;
        EmbeddedMemoryBank::new(database.reader().clone(), database.searcher().clone(), database.writer())
            .with_embedder(embedder, database.writer())
    }

    /// A bank with this model, with which vectors are made from now on.
    async fn adopted(&self, embedder: Arc<dyn Embedder>) -> EmbeddedMemoryBank {
        let bank = self.bank(embedder);
        bank.adopt_model().await.unwrap();
        bank
    }
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

#[tokio::test]
async fn the_operator_sees_the_vectors_and_rebuilds_them() {
    let model = model(write_static);
    let database = TestDatabase::sqlite();
    let folder = database.folder().unwrap().to_owned();
    let beside = Beside::new(&database).await;
    let gate = gate_with(database, &model).await;
    let token = token_of(&gate).await;
    for text in ["A dog.", "A house.", "Nothing that the model knows."] {
        gate.remember(&token, text).await;
    }
    embedded(&gate).await;
    let command = |arguments: &[&str]| {
        let mut command = memgate(&folder);
        command.env("MEMGATE_EMBEDDING_MODEL", model.path()).args(arguments);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let status = || serde_json::from_str::<Value>(&command(&["embed", "status", "--json"])).unwrap();
    let id = gate.gate().backend().embedding_model().unwrap().id.to_string();
    let before = status();
    assert_eq!(before["model"], json!({"id": id, "dimensions": 4}));
    assert_eq!((&before["memories"], &before["embedded"], &before["waiting"]), (&json!(3), &json!(3), &json!(0)));
    assert_eq!((&before["of_other_models"], &before["made_with"]), (&json!({}), &json!(id)));
    assert!(command(&["embed", "status"]).contains("3 of 3 memories are embedded; 0 wait."));

    // Whatever happened to them, they are made anew, beside the running service.
    beside.0.writer().execute_unprepared("UPDATE memory_vectors SET vector = x'00', model = 'gone'").await.unwrap();
    assert_eq!(status()["of_other_models"], json!({"gone": 3}));
    assert_eq!(status()["waiting"], 3);
    let rebuilt: Value = serde_json::from_str(&command(&["embed", "rebuild", "--json"])).unwrap();
    assert_eq!(rebuilt["model"], json!(id));
    embedded(&gate).await;
    assert_eq!((&status()["embedded"], &status()["waiting"]), (&json!(3), &json!(0)));
    assert_eq!(texts(&gate.search(&token, "pet").await), ["A dog."]);

    let without = succeed_json(&folder, &["embed", "status"]);
    assert_eq!((&without["model"], &without["of_other_models"]), (&Value::Null, &json!({ id: 3 })));
    let refused = memgate(&folder).args(["embed", "rebuild"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("MEMGATE_EMBEDDING_MODEL is not set"));
}

#[test]
fn a_model_that_cannot_be_used_is_said_at_the_start_and_where_settings_are_shown() {
    let (place, model) = (tempfile::tempdir().unwrap(), model(write_static));
    std::fs::write(model.path().join("model.safetensors"), "not a model").unwrap();
    let command = |arguments: &[&str]| {
        memgate(place.path()).env("MEMGATE_EMBEDDING_MODEL", model.path()).args(arguments).output().unwrap()
    };
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

    let remote = memgate(place.path())
        .env("MEMGATE_EMBEDDING_MODEL", model.path())
        .env("MEMGATE_MEMORY_BANK_KIND", "mem0-oss")
        .env("MEMGATE_MEMORY_BANK_URL", "http://127.0.0.1:1")
        .arg("serve")
        .output()
        .unwrap();
    assert_eq!(remote.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&remote.stderr).contains("MEMGATE_EMBEDDING_MODEL is for memories in the database")
    );
}

/// One scope for all tests: each has a database of its own.
fn scope() -> MemoryScope {
    static SCOPE: LazyLock<MemoryScope> = LazyLock::new(memgate_domain::testing::scope);
    SCOPE.clone()
}

fn query(text: &str) -> MemoryQuery {
    MemoryQuery {
        text: text.to_owned().try_into().unwrap(),
        limit: Limit::try_from(50).unwrap(),
        threshold: None,
        filter: MemoryFilter::default(),
        now: now(),
    }
}

async fn found(bank: &EmbeddedMemoryBank, scope: &MemoryScope, text: &str) -> Vec<String> {
    let results = bank.search(scope, &query(text)).await.unwrap();
    results.hits.into_iter().map(|hit| hit.memory.content.as_str().to_owned()).collect()
}

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn text(&mut self, words: u64) -> String {
        (0..words).map(|_| format!("word{}x", self.below(300))).collect::<Vec<_>>().join(" ")
    }
}

/// Of each hundred words three mean the same.
fn synonyms() -> Arc<FakeEmbedder> {
    let words: Vec<[String; 3]> =
        (0..40).map(|n| [n, n + 100, n + 200].map(|number| format!("word{number}x"))).collect();
    let words: Vec<Vec<&str>> = words.iter().map(|words| words.iter().map(String::as_str).collect()).collect();
    let words: Vec<&[&str]> = words.iter().map(Vec::as_slice).collect();
    Arc::new(FakeEmbedder::new("synonyms", &words))
}

type Answer = (Vec<(String, u64)>, u64);

async fn answers(bank: &EmbeddedMemoryBank, scope: &MemoryScope) -> Vec<Answer> {
    let (mut numbers, mut answers) = (Numbers(11), Vec::new());
    for number in 0..40_u64 {
        let words = 1 + number % 4;
        let mut query = query(&numbers.text(words));
        match number % 5 {
            1 => query.filter.categories = categories(&["b"]),
            2 => {
                let metadata = json!({"n": 1}).as_object().unwrap().clone();
                query.filter.metadata = MemoryFilter::parse_metadata(metadata).unwrap();
            }
            3 => query.threshold = Some(Relevance::clamped(0.2)),
            _ => {}
        }
        let scope = if number % 5 == 4 { scope_limited_to(scope, &["a"]) } else { scope.clone() };
        let results = bank.search(&scope, &query).await.unwrap();
        for hit in &results.hits {
            assert!(query.filter.passes(&hit.memory), "{query:?}");
            assert!(scope.categories().allows(&hit.memory.categories));
        }
        let hits = results.hits.into_iter().map(|hit| (hit.memory.id.to_string(), hit.relevance.get().to_bits()));
        answers.push((hits.collect(), results.total_found));
    }
    answers
}

async fn fill(bank: &EmbeddedMemoryBank, scope: &MemoryScope, from: u64, to: u64) {
    let mut numbers = Numbers(from + 5);
    let memories = (from..to).map(|number| {
        let words = 2 + numbers.below(8);
        let labels = memgate_domain::testing::metadata(json!({"n": number % 3}));
        let categories = categories([&["a"][..], &["a", "b"], &[]][usize::try_from(number % 3).unwrap()]);
        let id = format!("m{number}").parse().unwrap();
        NewMemory { id, metadata: labels, categories, ..new_memory(&numbers.text(words)) }
    });
    let memories: Vec<NewMemory> = memories.collect();
    for part in memories.chunks(200) {
        bank.create_all(scope, part.to_vec()).await.unwrap();
    }
}

#[tokio::test]
async fn both_databases_find_the_same_however_the_vectors_came_into_memory() {
    let mut all = Vec::new();
    for database in databases().await {
        let beside = Beside::new(&database).await;
        let (bank, scope) = (beside.adopted(synonyms()).await, scope());
        // A small scope, whose vectors are read anew after each change, and a larger one, of which the changes are noted.
        for (from, to) in [(0, 300), (300, 1_300)] {
            fill(&bank, &scope, from, to).await;
            bank.embed().await.unwrap();
            answers(&bank, &scope).await;
            for number in (from..to).step_by(7) {
                let (id, mut numbers) = (format!("m{number}").parse().unwrap(), Numbers(number));
                let changes = MemoryChanges { content: Some(content(&numbers.text(5))), ..MemoryChanges::default() };
                bank.update(&scope, &id, &update(&changes, now())).await.unwrap().expect("it is there");
            }
            for number in (from + 3..to).step_by(11) {
                bank.delete(&scope, &format!("m{number}").parse().unwrap()).await.unwrap();
            }
            let outdated = answers(&bank, &scope).await;
            bank.embed().await.unwrap();
            let updated = answers(&bank, &scope).await;
            assert_ne!(outdated, updated, "changed memories have vectors again");
            // A bank that has nothing in memory yet finds the same.
            assert_eq!(answers(&beside.bank(synonyms()), &scope).await, updated);
            let by_meaning = updated.iter().filter(|(hits, _)| !hits.is_empty()).count();
            assert!(by_meaning > 30, "{by_meaning}");
            all.push(updated);
        }
    }
    for pair in all.chunks(2).collect::<Vec<_>>().windows(2) {
        assert!(pair[0] == pair[1], "both databases answer the same");
    }
}

#[tokio::test]
async fn what_a_search_may_not_return_is_not_found_by_its_meaning_either() {
    for database in databases().await {
        let beside = Beside::new(&database).await;
        let bank = beside.adopted(Arc::new(FakeEmbedder::new("fake", &[&["dog", "pet"]]))).await;
        let (scope, person) = (scope(), scope_of_person(&scope()));
        let secret = NewMemory { categories: categories(&["private"]), ..new_memory("The dog is ill.") };
        bank.create(&scope, &secret).await.unwrap();
        let open = NewMemory { categories: categories(&["open"]), ..new_memory("Something else.") };
        bank.create(&scope, &open).await.unwrap();
        let of_person = NewMemory { ..new_memory("My dog barks.") };
        bank.create(&person, &of_person).await.unwrap();
        let expires = NewMemory {
            expires_at: Some(now().plus(std::time::Duration::from_mins(1))),
            ..new_memory("A dog until then.")
        };
        bank.create(&scope, &expires).await.unwrap();
        bank.embed().await.unwrap();

        assert_eq!(sorted(found(&bank, &scope, "pet").await), ["A dog until then.", "The dog is ill."]);
        assert_eq!(found(&bank, &person, "pet").await, ["My dog barks."]);
        assert_eq!(found(&bank, &scope_limited_to(&scope, &["open"]), "pet").await, [""; 0]);
        assert_eq!(found(&bank, &scope_limited_to(&scope, &["private"]), "pet").await, ["The dog is ill."]);
        assert_eq!(found(&bank, &scope_limited_to(&scope, &[]), "pet").await, [""; 0]);
        let later = MemoryQuery { now: now().plus(std::time::Duration::from_secs(61)), ..query("pet") };
        let hits = bank.search(&scope, &later).await.unwrap().hits;
        assert_eq!(hits.iter().map(|hit| hit.memory.content.as_str()).collect::<Vec<_>>(), ["The dog is ill."]);
        let mut filtered = query("pet");
        filtered.filter.categories = categories(&["open"]);
        assert!(bank.search(&scope, &filtered).await.unwrap().hits.is_empty());
    }
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts
}

#[tokio::test]
async fn scores_do_not_tell_of_memories_that_are_invisible() {
    for database in databases().await {
        let beside = Beside::new(&database).await;
        let bank = beside.adopted(Arc::new(FakeEmbedder::new("fake", &[&["dog", "pet"]]))).await;
        let (scope, limited) = (scope(), scope_limited_to(&scope(), &["open"]));
        for text in ["A dog in the garden.", "The roof leaks."] {
            let open = NewMemory { categories: categories(&["open"]), ..new_memory(text) };
            bank.create(&scope, &open).await.unwrap();
        }
        bank.embed().await.unwrap();
        let before = bank.search(&limited, &query("pet")).await.unwrap();
        assert_eq!(before.hits.len(), 1);
        for number in 0..50 {
            let id = format!("hidden{number}").parse().unwrap();
            let hidden = NewMemory { id, categories: categories(&["hidden"]), ..new_memory("dog") };
            bank.create(&scope, &hidden).await.unwrap();
        }
        bank.embed().await.unwrap();
        assert_eq!(bank.search(&limited, &query("pet")).await.unwrap(), before);
    }
}

#[tokio::test]
async fn beyond_the_memory_for_vectors_what_the_words_find_is_compared() {
    for database in databases().await {
        let beside = Beside::new(&database).await;
        let bank = beside.adopted(Arc::new(FakeEmbedder::new("fake", &[&["dog", "pet"], &["house", "flat"]]))).await;
        for text in ["The garden of a house.", "The garden of a dog.", "A puddle.", "A dog."] {
            bank.create(&scope(), &new_memory(text)).await.unwrap();
        }
        bank.embed().await.unwrap();
        assert!(found(&bank, &scope(), "pet in the garden").await.contains(&"A dog.".to_owned()));
        // As many as do not fit; what the counts say is taken for true.
        beside.0.writer().execute_unprepared("UPDATE memory_scopes SET memories = 2000000").await.unwrap();
        assert_eq!(
            found(&bank, &scope(), "pet in the garden").await,
            ["The garden of a dog.", "The garden of a house."]
        );
        assert_eq!(
            found(&bank, &scope(), "flat in the garden").await,
            ["The garden of a house.", "The garden of a dog."]
        );
    }
}

/// Does something while the model embeds memories, once.
struct Meanwhile {
    embedder: FakeEmbedder,
    database: Database,
    statement: &'static str,
}

#[async_trait]
impl Embedder for Meanwhile {
    fn model(&self) -> &EmbeddingModel {
        self.embedder.model()
    }

    async fn embed(&self, texts: Vec<String>, of: TextKind) -> Result<Vec<Option<Embedding>>, EmbeddingError> {
        let vectors = self.embedder.embed(texts, of).await;
        if of == TextKind::Memory
            && self.embedder.embedded().iter().filter(|(_, of)| *of == TextKind::Memory).count() <= 2
        {
            self.database.writer().execute_unprepared(self.statement).await.unwrap();
        }
        vectors
    }
}

#[tokio::test]
async fn what_changes_or_goes_while_it_is_embedded_has_no_outdated_vector() {
    let change = "UPDATE memories SET content = 'A house.' WHERE content = 'A dog.'; \
                  UPDATE memory_scopes SET memories = memories";
    let delete = "DELETE FROM memory_listings; DELETE FROM memory_index; DELETE FROM memories WHERE content = 'A dog.'; \
                  UPDATE memory_scopes SET memories = memories - 1";
    for (statement, vectors) in [(change, 1), (delete, 1)] {
        for database in databases().await {
            let beside = Beside::new(&database).await;
            let embedder = FakeEmbedder::new("fake", &[&["dog", "pet"], &["house", "flat"]]);
            let meanwhile = Meanwhile { embedder, database: beside.0.clone(), statement };
            let bank = beside.adopted(Arc::new(meanwhile)).await;
            for text in ["A dog.", "A car."] {
                bank.create(&scope(), &new_memory(text)).await.unwrap();
            }
            assert_eq!(bank.embed().await.unwrap(), vectors);
            assert_eq!(beside.vectors().await, vectors.cast_signed());
            // The next run finds what was left out.
            bank.embed().await.unwrap();
            let memories = beside.number("SELECT count(*) FROM memories").await;
            assert_eq!(beside.vectors().await, memories);
            if statement == change {
                assert_eq!(bank.search(&scope(), &query("flat")).await.unwrap().hits.len(), 1);
            }
        }
    }
}

#[tokio::test]
async fn any_number_of_instances_embed_the_same_memories_without_harm() {
    for database in databases().await {
        let (first, second) = (Beside::new(&database).await, Beside::new(&database).await);
        let banks = [first.adopted(synonyms()).await, second.bank(synonyms()), first.bank(synonyms())];
        fill(&banks[0], &scope(), 0, 200).await;
        let writer = async {
            for number in 200..240 {
                fill(&banks[1], &scope(), number, number + 1).await;
                let changes = MemoryChanges { content: Some(content("word1x")), ..MemoryChanges::default() };
                banks[1]
                    .update(&scope(), &format!("m{}", number - 100).parse().unwrap(), &update(&changes, now()))
                    .await
                    .unwrap();
            }
        };
        let embed = async |bank: &EmbeddedMemoryBank| {
            for _ in 0..4 {
                bank.embed().await.unwrap();
            }
        };
        tokio::join!(embed(&banks[0]), embed(&banks[1]), embed(&banks[2]), writer);
        for bank in &banks {
            bank.embed().await.unwrap();
        }
        assert_eq!(first.vectors().await, 240);
        assert_eq!(banks[0].embed().await.unwrap(), 0);
        let expected = answers(&first.bank(synonyms()), &scope()).await;
        for bank in &banks {
            assert_eq!(answers(bank, &scope()).await, expected);
        }
    }
}

/// Fails on one text.
struct Choosy {
    embedder: FakeEmbedder,
    calls: AtomicUsize,
}

#[async_trait]
impl Embedder for Choosy {
    fn model(&self) -> &EmbeddingModel {
        self.embedder.model()
    }

    async fn embed(&self, texts: Vec<String>, of: TextKind) -> Result<Vec<Option<Embedding>>, EmbeddingError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if texts.iter().any(|text| text.contains("poison")) {
            return Err(EmbeddingError::Failed("a text that it fails on".into()));
        }
        self.embedder.embed(texts, of).await
    }
}

#[tokio::test]
async fn a_text_that_the_model_fails_on_does_not_keep_others_waiting() {
    for database in databases().await {
        let beside = Beside::new(&database).await;
        let embedder = FakeEmbedder::new("fake", &[&["dog", "pet"]]);
        let choosy = Arc::new(Choosy { embedder, calls: AtomicUsize::new(0) });
        let bank = beside.adopted(Arc::clone(&choosy) as _).await;
        for text in ["A dog.", "The poison of snakes.", "Another dog."] {
            bank.create(&scope(), &new_memory(text)).await.unwrap();
        }
        assert_eq!(bank.embed().await.unwrap(), 3);
        assert_eq!(sorted(found(&bank, &scope(), "pet").await), ["A dog.", "Another dog."]);
        assert_eq!(found(&bank, &scope(), "snakes").await, ["The poison of snakes."]);
        assert_eq!(
            found(&bank, &scope(), "poison").await,
            ["The poison of snakes."],
            "by its words, though the query fails"
        );
        // It is not tried again and again.
        let calls = choosy.calls.load(Ordering::SeqCst);
        assert_eq!(bank.embed().await.unwrap(), 0);
        assert_eq!(choosy.calls.load(Ordering::SeqCst), calls);
    }
}

#[tokio::test]
async fn while_the_model_fails_memories_are_stored_and_found_by_their_words() {
    for database in databases().await {
        let beside = Beside::new(&database).await;
        let embedder = Arc::new(FakeEmbedder::new("fake", &[&["dog", "pet"]]));
        let bank = beside.adopted(Arc::clone(&embedder) as _).await;
        embedder.set_broken(true);
        bank.create(&scope(), &new_memory("A dog in the garden.")).await.unwrap();
        let failed = bank.embed().await.expect_err("the model is broken");
        assert!(failed.is_retryable(), "{failed}");
        assert_eq!(beside.vectors().await, 0, "it is not taken for a text without meaning");
        assert_eq!(found(&bank, &scope(), "garden").await, ["A dog in the garden."]);
        embedder.set_broken(false);
        assert_eq!(bank.embed().await.unwrap(), 1);
        assert_eq!(found(&bank, &scope(), "pet").await, ["A dog in the garden."]);
    }
}

#[tokio::test]
async fn vectors_of_another_length_or_none_are_not_compared() {
    for database in databases().await {
        let beside = Beside::new(&database).await;
        let bank = beside.adopted(Arc::new(FakeEmbedder::new("fake", &[&["dog", "pet"]]))).await;
        for text in ["A dog here.", "A dog there.", "A dog everywhere.", "?!"] {
            bank.create(&scope(), &new_memory(text)).await.unwrap();
        }
        assert_eq!(bank.embed().await.unwrap(), 4);
        let bytes = |text: &str| match beside.0.backend() {
            sea_orm::DbBackend::Sqlite => format!("x'{text}'"),
            _ => format!("'\\x{text}'::bytea"),
        };
        // What no version of the program writes: too short, no scale, not a number as a scale.
        for (content, vector) in
            [("A dog here.", "00"), ("A dog there.", "0000803f01"), ("A dog everywhere.", "0000c07f0102")]
        {
            let statement = format!(
                "UPDATE memory_vectors SET vector = {}, revision = revision + 1 \
                 WHERE seq = (SELECT seq FROM memories WHERE content = '{content}')",
                bytes(vector)
            );
            beside.0.writer().execute_unprepared(&statement).await.unwrap();
        }
        let bank = beside.bank(Arc::new(FakeEmbedder::new("fake", &[&["dog", "pet"]])));
        assert_eq!(found(&bank, &scope(), "pet").await, [""; 0]);
        assert_eq!(sorted(found(&bank, &scope(), "dog").await).len(), 3);
    }
}
