//! What a new operator runs first.

use std::fs;

use memgate_test_kit::process::{run, succeed};
use serde_json::Value;

use super::folder;

#[test]
fn the_openapi_document_is_printed_for_any_public_url() {
    let folder = folder();
    let document: Value = serde_json::from_str(&succeed(folder.path(), &["openapi"])).unwrap();
    assert!(document["paths"]["/api/v1/search"]["post"].is_object());
    let text = succeed(folder.path(), &["openapi", "--public-url", "https://memory.example.com"]);
    assert!(text.contains("https://memory.example.com") && !text.contains("127.0.0.1"));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was made");
}

#[test]
fn the_demo_shows_a_token_a_memory_stored_and_one_found() {
    let folder = folder();
    let output = run(folder.path(), &["demo", "--exit", "--listen", "127.0.0.1:0"]);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    for shown in
        ["client_secret  mgs_", "320 memories", "\"access_token\"", "export TOKEN='ey", "\"status\": \"stored\""]
    {
        assert!(out.contains(shown), "the demo shows {shown}: {out}");
    }
    assert!(
        out.contains("Marta is allergic to hazelnuts and all other tree nuts"),
        "the first question is answered: {out}"
    );
    assert!(out.contains("the next step is to connect a real GPT"), "what was just stored is found: {out}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "the demo leaves nothing behind");
}

#[test]
fn the_sample_questions_are_answered_by_the_memories_that_they_expect() {
    // Written with the samples: each names a text that only its answer holds.
    let questions: Value = serde_json::from_str(
        &fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/samples/questions.json")).unwrap(),
    )
    .unwrap();
    let memories = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/samples/memories.jsonl")).unwrap();
    assert_eq!(memories.lines().count(), 320);
    for question in questions.as_array().unwrap() {
        let expected = question["expect"].as_str().unwrap();
        let holding = memories.lines().filter(|line| {
            serde_json::from_str::<Value>(line).unwrap()["content"].as_str().unwrap().contains(expected)
        });
        assert_eq!(holding.count(), 1, "{expected}");
    }
}
