//! Tiny embedding models, made by the tests that use them.

use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};

/// Words and their vectors: an animal is rather a pet than a house or a vehicle. Other words are unknown.
pub const WORDS: [(&str, [f32; 4]); 8] = [
    ("dog", [1.0, 0.1, 0.0, 0.1]),
    ("puppy", [0.9, 0.2, 0.1, 0.0]),
    ("pet", [1.0, 0.2, 0.0, 0.0]),
    ("house", [0.1, 1.0, 0.0, 0.1]),
    ("flat", [0.0, 0.9, 0.1, 0.1]),
    ("car", [0.0, 0.1, 1.0, 0.0]),
    ("bicycle", [0.1, 0.0, 0.9, 0.1]),
    ("soup", [0.0, 0.0, 0.1, 1.0]),
];

const MARKS: [&str; 3] = ["[UNK]", "[CLS]", "[SEP]"];

/// The tokenizer of the words: each is a token, after the marks.
pub fn tokenizer() -> Value {
    let tokens = MARKS.into_iter().chain(WORDS.iter().map(|(word, _)| *word));
    let vocabulary: HashMap<&str, usize> = tokens.zip(0..).collect();
    let mark = |id: usize| {
        json!({"id": id, "content": MARKS[id], "special": true, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false})
    };
    let of = |name: &str| json!({"SpecialToken": {"id": name, "type_id": 0}});
    let a = json!({"Sequence": {"id": "A", "type_id": 0}});
    json!({
        "version": "1.0",
        "truncation": null,
        // As many folders have it: it must not count.
        "padding": {"strategy": {"Fixed": 32}, "direction": "Right", "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0,
            "pad_token": "[UNK]"},
        "added_tokens": [mark(0), mark(1), mark(2)],
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null,
            "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [of("[CLS]"), a, of("[SEP]")],
            "pair": [of("[CLS]"), a, of("[SEP]"), {"Sequence": {"id": "B", "type_id": 1}}, of("[SEP]")],
            "special_tokens": {
                "[CLS]": {"id": "[CLS]", "ids": [1], "tokens": ["[CLS]"]},
                "[SEP]": {"id": "[SEP]", "ids": [2], "tokens": ["[SEP]"]},
            },
        },
        "decoder": null,
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocabulary},
    })
}

/// The vectors of all tokens, those of the marks first.
fn table() -> Vec<f32> {
    let marks = [[0.2, 0.2, 0.2, 0.2]; MARKS.len()];
    marks.iter().chain(WORDS.iter().map(|(_, vector)| vector)).flatten().copied().collect()
}

fn bytes(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) {
    std::fs::write(folder.join(name), content).unwrap();
}

/// Writes `table` as a static model with one vector of four numbers per token.
pub fn write_table(folder: &Path, name: &str, table: &[f32]) {
    let data = bytes(table);
    let tensor = TensorView::new(Dtype::F32, vec![table.len() / 4, 4], &data).unwrap();
    write(folder, "model.safetensors", safetensors::serialize([(name, tensor)], None).unwrap());
}

/// Writes a static model of the words.
pub fn write_static(folder: &Path) {
    write(folder, "tokenizer.json", tokenizer().to_string());
    write_table(folder, "embeddings", &table());
}

/// The same with vectors in which every topic has another dimension: another model.
pub fn write_other_static(folder: &Path) {
    write(folder, "tokenizer.json", tokenizer().to_string());
    let turned: Vec<f32> = table().chunks(4).flat_map(|row| [row[3], row[0], row[1], row[2]]).collect();
    write_table(folder, "embeddings", &turned);
}

/// Writes a transformer of one layer, which looks up the vectors of the tokens: `Gather(table, input_ids)`.
pub fn write_transformer(folder: &Path) {
    write(folder, "tokenizer.json", tokenizer().to_string());
    write(folder, "model.onnx", onnx(&table(), "input_ids"));
}

/// An ONNX model whose input has the name `input`.
pub fn onnx(table: &[f32], input: &str) -> Vec<u8> {
    let node = [text(1, "table"), text(1, input), text(2, "last_hidden_state"), text(4, "Gather")].concat();
    let rows = u64::try_from(table.len() / 4).unwrap();
    let weights = [number(1, rows), number(1, 4), number(2, 1), text(8, "table"), message(9, &bytes(table))].concat();
    let graph = [
        message(1, &node),
        text(2, "words"),
        message(5, &weights),
        message(11, &tensor(input, 7, &["batch", "sequence"])),
        message(12, &tensor("last_hidden_state", 1, &["batch", "sequence", "4"])),
    ];
    let opset = number(2, 17);
    [number(1, 8), message(7, &graph.concat()), message(8, &opset)].concat()
}

/// The description of an input or an output.
fn tensor(name: &str, element: u64, dimensions: &[&str]) -> Vec<u8> {
    let dimension = |text_or_number: &&str| {
        let value = text_or_number.parse().map_or_else(|_| text(2, text_or_number), |size| number(1, size));
        message(1, &value)
    };
    let shape: Vec<u8> = dimensions.iter().flat_map(dimension).collect();
    let tensor = [number(1, element), message(2, &shape)].concat();
    [text(1, name), message(2, &message(1, &tensor))].concat()
}

// The wire format of protocol buffers, as far as it is needed.

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap());
    bytes
}

fn number(field: u64, number: u64) -> Vec<u8> {
    [varint(field << 3), varint(number)].concat()
}

fn message(field: u64, content: &[u8]) -> Vec<u8> {
    [varint(field << 3 | 2), varint(content.len() as u64), content.to_vec()].concat()
}

fn text(field: u64, text: &str) -> Vec<u8> {
    message(field, text.as_bytes())
}
