//! How memories get their vectors.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use memgate::adapters::database::Database;
use memgate::adapters::database::memories::EmbeddedMemoryBank;
use memgate::domain::memories::{
    Embedder, Embedding, EmbeddingError, EmbeddingModel, MemoryBank, MemoryChanges, TextKind,
};
use memgate_domain::testing::{FakeEmbedder, content, new_memory, now, update};
use sea_orm::ConnectionTrait;

use super::{Beside, answers, databases, fill, found, query, scope, sorted, synonyms};

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
async fn a_run_ends_when_another_model_takes_over() {
    for database in databases().await {
        let beside = Beside::new(&database).await;
        let embedder = FakeEmbedder::new("fake", &[&["dog", "pet"]]);
        let statement = "UPDATE memory_vector_models SET model = 'newer'";
        let bank = beside.adopted(Arc::new(Meanwhile { embedder, database: beside.0.clone(), statement })).await;
        bank.create(&scope(), &new_memory("A dog.")).await.unwrap();
        assert_eq!(bank.embed().await.unwrap(), 0);
        assert_eq!(beside.vectors().await, 0);
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
