//! Embedding models in folders as others make them: what is read, and what is refused with which words.

use std::path::Path;

use memgate::adapters::embedding::LocalEmbedder;
use memgate::domain::memories::{Embedder, Embedding, TextKind};
use memgate_test_kit::embedding_model::{
    WORDS, onnx, tokenizer, write_other_static, write_static, write_table, write_transformer,
};
use safetensors::serialize;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::json;
use tempfile::TempDir;

fn folder(write: impl Fn(&Path)) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    folder
}

fn put(folder: &TempDir, name: &str, content: impl AsRef<[u8]>) {
    let file = folder.path().join(name);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, content).unwrap();
}

fn load(folder: &TempDir) -> LocalEmbedder {
    LocalEmbedder::load(folder.path()).unwrap_or_else(|error| panic!("{error}"))
}

/// What is said of a folder that is refused.
fn refused(folder: &TempDir) -> String {
    let Err(error) = LocalEmbedder::load(folder.path()) else { panic!("the folder was accepted") };
    let source = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
    format!("{error}{source}")
}

async fn vector(embedder: &LocalEmbedder, text: &str) -> Option<Embedding> {
    embedder.embed(vec![text.to_owned()], TextKind::Memory).await.unwrap().remove(0)
}

#[tokio::test]
async fn a_static_text_is_the_mean_of_its_words() {
    let embedder = load(&folder(write_static));
    assert_eq!(embedder.model().dimensions, 4);
    for (word, expected) in WORDS {
        assert_eq!(vector(&embedder, word).await, Embedding::of(&expected), "{word}");
        assert_eq!(
            vector(&embedder, &format!("My {} was unknown.", word.to_uppercase())).await,
            Embedding::of(&expected)
        );
    }
    let mean: Vec<f32> = WORDS[0].1.iter().zip(WORDS[3].1).map(|(dog, house)| f32::midpoint(*dog, house)).collect();
    assert_eq!(vector(&embedder, "a dog in the house").await, Embedding::of(&mean));
    assert_eq!(vector(&embedder, "nothing of that").await, None);
}

#[tokio::test]
async fn tables_of_other_kinds_are_read() {
    let table: Vec<f32> = (0..11_u8).flat_map(|token| [f32::from(token), 1.0, 0.5, -2.0]).collect();
    let exact = folder(|folder| {
        write_static(folder);
        write_table(folder, "embedding.weight", &table);
    });
    let exact = vector(&load(&exact), "dog house").await.unwrap();
    // Numbers of 16 bits, and of 8; rows that tokens share; weights of tokens.
    let upper: Vec<u8> = table.iter().flat_map(|number| number.to_le_bytes()[2..].to_vec()).collect();
    let rows = |dtype, data| TensorView::new(dtype, vec![11, 4], data).unwrap();
    let bf16 = folder(|folder| {
        write_static(folder);
        let file = serialize([("embeddings", rows(Dtype::BF16, &upper))], None).unwrap();
        std::fs::write(folder.join("model.safetensors"), file).unwrap();
    });
    assert_eq!(vector(&load(&bf16), "dog house").await, Some(exact));

    let eighths: Vec<u8> = (0..4_u8).flat_map(|row| [row, 1, 0, 254]).collect();
    let mapping: Vec<u8> = (0..11_i64).flat_map(|token| (token % 4).to_le_bytes()).collect();
    let weights: Vec<u8> = (0..11_u8).flat_map(|token| f32::from(token).to_le_bytes()).collect();
    let mapped = folder(|folder| {
        write_static(folder);
        let file = serialize(
            [
                ("embeddings", TensorView::new(Dtype::I8, vec![4, 4], &eighths).unwrap()),
                ("mapping", TensorView::new(Dtype::I64, vec![11], &mapping).unwrap()),
                ("weights", TensorView::new(Dtype::F32, vec![11], &weights).unwrap()),
            ],
            None,
        );
        std::fs::write(folder.join("model.safetensors"), file.unwrap()).unwrap();
    });
    // "dog" is token 3 in row 3, "house" token 6 in row 2.
    let expected = [3.0 * 3.0 + 6.0 * 2.0, 3.0 + 6.0, 0.0, 3.0 * -2.0 + 6.0 * -2.0];
    assert_eq!(vector(&load(&mapped), "dog house").await, Embedding::of(&expected));
}

#[tokio::test]
async fn a_transformer_is_pooled_as_its_folder_says() {
    let mean = |tokens: &[[f32; 4]]| {
        let sum = tokens.iter().fold([0.0; 4], |sum: [f32; 4], token| std::array::from_fn(|at| sum[at] + token[at]));
        Embedding::of(&sum)
    };
    let (mark, dog) = ([0.2; 4], WORDS[0].1);
    let model = folder(write_transformer);
    let plain = load(&model);
    assert_eq!(vector(&plain, "dog").await, mean(&[mark, dog, mark]), "without padding");
    for name in ["1_Pooling/config.json", "pool/config.json"] {
        put(&model, name, json!({"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}).to_string());
    }
    let first = load(&model);
    assert_eq!(vector(&first, "dog").await, mean(&[mark]));
    assert_ne!(first.model().id, plain.model().id, "its vectors are others");
    put(&model, "1_Pooling/config.json", json!({"pooling_mode": "mean", "include_prompt": true}).to_string());
    assert_eq!(load(&model).model().id, plain.model().id);
    put(&model, "modules.json", json!([{"type": "sentence_transformers.models.Pooling", "path": "pool"}]).to_string());
    assert_eq!(load(&model).model().id, first.model().id);

    // As Hugging Face lays it out.
    let below = folder(|folder| {
        write_transformer(folder);
        std::fs::create_dir(folder.join("onnx")).unwrap();
        std::fs::rename(folder.join("model.onnx"), folder.join("onnx/model.onnx")).unwrap();
    });
    assert_eq!(load(&below).model(), plain.model());
}

#[tokio::test]
async fn of_a_text_longer_than_the_window_the_beginning_counts() {
    for (name, settings) in [
        ("sentence_bert_config.json", json!({"max_seq_length": 16})),
        ("config.json", json!({"max_position_embeddings": 16})),
    ] {
        for write in [write_static, write_transformer] {
            let model = folder(write);
            put(&model, name, settings.to_string());
            let embedder = load(&model);
            let (short, long) = ("dog ".repeat(16), format!("{}{}", "dog ".repeat(16), "house ".repeat(5_000)));
            assert_eq!(vector(&embedder, &long).await, vector(&embedder, &short).await);
            assert_ne!(vector(&embedder, &format!("{}house", "dog ".repeat(8))).await, vector(&embedder, &short).await);
        }
    }
    // A window of the tokenizer, beyond which the model has no place for a token.
    let model = folder(write_transformer);
    let mut of_tokenizer = tokenizer();
    of_tokenizer["truncation"] =
        json!({"max_length": 20, "strategy": "LongestFirst", "stride": 0, "direction": "Right"});
    put(&model, "tokenizer.json", of_tokenizer.to_string());
    let embedder = load(&model);
    let long = format!("{}{}", "dog ".repeat(18), "house ".repeat(100));
    assert_eq!(vector(&embedder, &long).await, vector(&embedder, &"dog ".repeat(18)).await);
}

#[tokio::test]
async fn the_same_model_has_the_same_name_and_any_other_another() {
    let (one, same, other) = (folder(write_static), folder(write_static), folder(write_other_static));
    assert_eq!(load(&one).model(), load(&same).model());
    let mut names = vec![load(&one).model().id.clone(), load(&other).model().id.clone()];
    names.push(load(&folder(write_transformer)).model().id.clone());
    put(&one, "sentence_bert_config.json", json!({"max_seq_length": 32}).to_string());
    names.push(load(&one).model().id.clone());
    let mut of_tokenizer = tokenizer();
    of_tokenizer["normalizer"]["lowercase"] = json!(false);
    put(&same, "tokenizer.json", of_tokenizer.to_string());
    names.push(load(&same).model().id.clone());
    for (number, name) in names.iter().enumerate() {
        assert!(!names[..number].contains(name), "{names:?}");
    }
}

#[tokio::test]
async fn what_is_not_a_number_is_no_vector() {
    let model = folder(|folder| {
        write_static(folder);
        let mut table = vec![1.0; 44];
        table[3 * 4] = f32::NAN;
        table[6 * 4] = f32::INFINITY;
        write_table(folder, "embeddings", &table);
    });
    let embedder = load(&model);
    for text in ["dog", "house", "dog and car"] {
        assert_eq!(vector(&embedder, text).await, None, "{text}");
    }
    assert!(vector(&embedder, "car").await.is_some());
}

#[test]
fn what_is_no_model_is_refused_with_the_file_and_the_reason() {
    type Spoil = fn(&TempDir);
    let cases: [(&str, Spoil, &str); 18] = [
        (
            "",
            |model| std::fs::remove_file(model.path().join("model.safetensors")).unwrap(),
            "is not a folder with an embedding",
        ),
        (
            "tokenizer.json",
            |model| std::fs::remove_file(model.path().join("tokenizer.json")).unwrap(),
            "cannot be read: No such",
        ),
        ("tokenizer.json", |model| put(model, "tokenizer.json", "{"), "is not a tokenizer"),
        ("tokenizer.json", |model| put(model, "tokenizer.json", "{}"), "is not a tokenizer"),
        ("tokenizer.json", |model| put(model, "tokenizer.json", b"\xff\xfe"), "is not a tokenizer"),
        ("model.safetensors", |model| put(model, "model.safetensors", ""), "is not a safetensors file"),
        ("model.safetensors", |model| put(model, "model.safetensors", [0xff; 64]), "is not a safetensors file"),
        ("model.safetensors", |model| cut(model, "model.safetensors"), "is not a safetensors file"),
        (
            "model.safetensors",
            |model| write_table(model.path(), "encoder.weight", &[0.0; 44]),
            "has no table of token vectors",
        ),
        (
            "model.safetensors",
            |model| write_table(model.path(), "embeddings", &[1.0; 40]),
            "10 tokens, but tokenizer.json has 11",
        ),
        ("model.safetensors", |model| write_table(model.path(), "embeddings", &[]), "has 0 vectors"),
        ("model.onnx", |model| put(model, "model.onnx", ""), "is not an ONNX model"),
        ("model.onnx", |model| put(model, "model.onnx", [0xff; 64]), "is not an ONNX model"),
        ("model.onnx", |model| put(model, "model.onnx", onnx(&[1.0; 44], "pixels")), "has an input `pixels`"),
        // Every vector is zero.
        (
            "model.onnx",
            |model| put(model, "model.onnx", onnx(&[0.0; 44], "input_ids")),
            "zero, infinite or not numbers",
        ),
        (
            "model.onnx",
            |model| put(model, "model.onnx", onnx(&[f32::NAN; 44], "input_ids")),
            "zero, infinite or not numbers",
        ),
        (
            "model.onnx",
            |model| {
                write_transformer(model.path());
                cut(model, "model.onnx");
            },
            "",
        ),
        (
            "config.json",
            |model| {
                write_transformer(model.path());
                put(model, "config.json", "not JSON");
            },
            "is not valid JSON",
        ),
    ];
    for (file, spoil, reason) in cases {
        let model = folder(write_static);
        spoil(&model);
        let said = refused(&model);
        assert!(said.starts_with(model.path().join(file).to_str().unwrap().trim_end_matches('/')), "{file}: {said}");
        assert!(said.contains(reason), "{reason}: {said}");
    }
}

/// Takes the end of a file away.
fn cut(model: &TempDir, name: &str) {
    let file = model.path().join(name);
    let content = std::fs::read(&file).unwrap();
    std::fs::write(file, &content[..content.len() / 2]).unwrap();
}

#[test]
fn settings_that_memgate_does_not_follow_are_refused() {
    let pooling = |mode: &str| json!({mode: true}).to_string();
    let module = |kind: &str, path: &str| json!([{"type": kind, "path": path}]).to_string();
    for (file, content, reason) in [
        ("1_Pooling/config.json", pooling("pooling_mode_max_tokens"), "asks for a pooling"),
        ("1_Pooling/config.json", json!({"pooling_mode": "lasttoken"}).to_string(), "asks for a pooling"),
        (
            "1_Pooling/config.json",
            json!({"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": true}).to_string(),
            "asks for a pooling",
        ),
        ("modules.json", module("sentence_transformers.models.Dense", "2_Dense"), "has a step `Dense`"),
        ("modules.json", module("sentence_transformers.models.Pooling", "../../etc"), "is not the name of a folder"),
    ] {
        let model = folder(write_transformer);
        put(&model, file, content);
        let said = refused(&model);
        assert!(said.contains(file) && said.contains(reason), "{said}");
    }
    let model = folder(write_transformer);
    put(&model, "config.json", json!({"vocab_size": 10}).to_string());
    let said = refused(&model);
    assert!(said.contains("tokenizer.json has 11 tokens, but by config.json the model knows 10"), "{said}");
    put(&model, "config.json", json!({"vocab_size": 11}).to_string());
    load(&model);
}

#[test]
fn a_pipe_and_a_folder_are_not_waited_for() {
    let model = folder(write_static);
    let tokenizer = model.path().join("tokenizer.json");
    std::fs::remove_file(&tokenizer).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&tokenizer).status().unwrap();
    assert!(made.success());
    assert!(refused(&model).contains("tokenizer.json is not a file"));
    std::fs::remove_file(&tokenizer).unwrap();
    std::fs::create_dir(&tokenizer).unwrap();
    assert!(refused(&model).contains("tokenizer.json is not a file"));
    let missing = LocalEmbedder::load(&model.path().join("missing")).err().expect("an error");
    assert!(missing.to_string().contains("missing is not a folder with an embedding model"), "{missing}");
}

#[tokio::test]
async fn a_token_beyond_the_model_is_an_error_and_not_the_end() {
    // The model has vectors for the marks and "dog" only; "house" is found out when it is met.
    let model = folder(|folder| {
        write_transformer(folder);
        std::fs::write(folder.join("model.onnx"), onnx(&[1.0; 16], "input_ids")).unwrap();
    });
    let embedder = load(&model);
    assert!(vector(&embedder, "dog").await.is_some());
    let failed = embedder.embed(vec!["house".to_owned()], TextKind::Memory).await;
    assert!(failed.is_err(), "{failed:?}");
    assert!(vector(&embedder, "dog").await.is_some(), "it goes on");
}
