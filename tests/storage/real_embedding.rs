//! Real embedding models, which `.ci/install-embedding-model` installs: they understand texts as their authors say, and memories
//! are found with them over HTTP.
//!
//! `TEST_EMBEDDING_MODELS` names the folder. Where it is not set, the tests say so and pass; with `REQUIRE_EMBEDDING_MODELS=1`
//! they fail.

use std::env;
use std::path::PathBuf;
use std::sync::Once;

use memgate::adapters::embedding::LocalEmbedder;
use memgate::domain::memories::{Embedder, Embedding, TextKind};
use memgate_test_kit::database::TestDatabase;
use memgate_test_kit::gate::TestGate;
use memgate_test_kit::skip::skip;

/// The folder of the model `name`; `None` where there is none and none is required.
fn model(name: &str) -> Option<PathBuf> {
    static SAID: Once = Once::new();
    let folder = env::var_os("TEST_EMBEDDING_MODELS").map(|models| PathBuf::from(models).join(name));
    if let Some(folder) = folder.filter(|folder| folder.is_dir()) {
        return Some(folder);
    }
    let missing = "TEST_EMBEDDING_MODELS does not name a folder with embedding models.";
    SAID.call_once(|| {
        let remedy = "TEST_EMBEDDING_MODELS=$(.ci/install-embedding-model) cargo test --test storage real_embedding";
        skip("REQUIRE_EMBEDDING_MODELS", "real embedding models", missing, remedy);
    });
    None
}

async fn vectors(embedder: &LocalEmbedder, texts: &[&str]) -> Vec<Embedding> {
    let texts = texts.iter().map(|text| (*text).to_owned()).collect();
    let vectors = embedder.embed(texts, TextKind::Memory).await.unwrap();
    vectors.into_iter().map(|vector| vector.expect("a vector")).collect()
}

#[tokio::test]
async fn minilm_says_what_sentence_transformers_says_of_it() {
    let Some(folder) = model("minilm") else { return };
    let embedder = LocalEmbedder::load(&folder).unwrap();
    assert_eq!(embedder.model().dimensions, 384);
    // The example of its documentation: https://www.sbert.net, with weights of 32 bits 0.6660, 0.1046 and 0.1411.
    let texts = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."];
    let vectors = vectors(&embedder, &texts).await;
    for (a, b, expected) in [(0, 1, 666_000), (0, 2, 104_600), (1, 2, 141_100)] {
        let similarity = vectors[a].similarity(&vectors[b]);
        assert!((similarity - expected).abs() < 60_000, "{similarity} instead of {expected}");
    }
}

#[tokio::test]
async fn wordllama_knows_what_belongs_together() {
    let Some(folder) = model("wordllama") else { return };
    let embedder = LocalEmbedder::load(&folder).unwrap();
    assert_eq!(embedder.model().dimensions, 256);
    // The example of its documentation: "I went to the car" and "I went to the pawn shop" have 0.0664 in common.
    let examples = vectors(&embedder, &["I went to the car", "I went to the pawn shop"]).await;
    let similarity = examples[0].similarity(&examples[1]);
    assert!((similarity - 66_400).abs() < 20_000, "{similarity}");
    let words = vectors(&embedder, &["The dog barks.", "A puppy is a young pet.", "Interest rates are rising."]).await;
    assert!(words[0].similarity(&words[1]) > words[0].similarity(&words[2]) + 100_000);
}

#[tokio::test]
async fn a_long_text_and_any_script_have_a_vector() {
    for name in ["minilm", "wordllama"] {
        let Some(folder) = model(name) else { return };
        let embedder = LocalEmbedder::load(&folder).unwrap();
        let long = "An endless story about a dog. ".repeat(1_000);
        let texts = ["Собака лает.", "犬が吠える。", "🐕", "?!", &long, &"x".repeat(30_000)];
        assert_eq!(vectors(&embedder, &texts).await.len(), texts.len(), "{name}");
    }
}

#[tokio::test]
async fn a_question_finds_what_is_meant_over_http() {
    for name in ["minilm", "wordllama"] {
        let Some(folder) = model(name) else { return };
        let variables = [("MEMGATE_EMBEDDING_MODEL", folder.to_str().unwrap())];
        let gate = TestGate::configured(TestDatabase::sqlite(), &variables).await;
        let token = gate.access_token(&gate.application().await).await;
        for text in [
            "We adopted a puppy from the shelter.",
            "The mortgage has to be paid by Friday.",
            "Ines moved to Lisbon last spring.",
            "The oven is broken again.",
        ] {
            gate.remember(&token, text).await;
        }
        let without = gate.beside(&[]).await;
        let token_without = without.access_token(&without.application().await).await;
        gate.gate().backend().embed().await.unwrap();
        let answer = gate.search(&token, "dog").await;
        assert_eq!(answer["results"][0]["content"], "We adopted a puppy from the shelter.", "{name}: {answer}");
        let answer = without.search(&token_without, "dog").await;
        assert_eq!(answer["results"].as_array().unwrap().len(), 0);
    }
}

#[tokio::test]
async fn minilm_finds_what_only_meaning_leads_to() {
    let Some(folder) = model("minilm") else { return };
    let variables = [("MEMGATE_EMBEDDING_MODEL", folder.to_str().unwrap())];
    let gate = TestGate::configured(TestDatabase::sqlite(), &variables).await;
    for (query, memories) in [
        (
            "Do I have a pet?",
            ["I adopted a dog named Biscuit.", "I parked the car on level 3.", "My sister lives in Porto."],
        ),
        (
            "Am I vegetarian?",
            ["I don't eat meat any more.", "I used to eat meat every day.", "I like meat balls from IKEA."],
        ),
    ] {
        let token = gate.access_token(&gate.application().await).await;
        for text in memories {
            gate.remember(&token, text).await;
        }
        gate.gate().backend().embed().await.unwrap();
        let answer = gate.search(&token, query).await;
        assert_eq!(answer["results"][0]["content"], memories[0], "{query}: {answer}");
    }
}
