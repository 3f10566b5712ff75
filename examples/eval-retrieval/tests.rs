//! Which sets are accepted, and what the converter makes of the data of others.

use std::fs;
use std::path::Path;
use std::process::Command;

use memgate_test_kit::skip::there_is;
use serde_json::json;

use super::{Set, sets};

fn problem(sets: Result<Vec<Set>, String>) -> String {
    sets.err().expect("an error")
}

#[test]
fn a_file_that_is_not_a_set_is_named_with_what_is_expected() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
    let text = problem(sets(&samples));
    assert!(text.contains("samples/questions.json: this is not a set"), "{text}");
    assert!(text.contains("an object with conversations, memories and questions"), "{text}");
    let text = problem(sets(&samples.join("nowhere")));
    assert!(text.contains("samples/nowhere"), "{text}");
    let folder = tempfile::tempdir().unwrap();
    let text = problem(sets(folder.path()));
    assert!(text.contains("there is no .json file"), "{text}");
}

#[test]
fn evidence_that_is_no_memory_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let set = json!({ "conversations": [{
        "conversation": "Ada",
        "memories": [{ "id": "1", "content": "I planted beans." }],
        "questions": [{ "question": "What did I plant?", "evidence": ["1", "2"] }],
    }]});
    fs::write(folder.path().join("garden.json"), set.to_string()).unwrap();
    let text = problem(sets(folder.path()));
    assert!(text.contains("garden.json") && text.contains(r#""2""#), "{text}");
}

#[test]
fn data_of_others_becomes_sets() {
    if !there_is("python3", "REQUIRE_PYTHON3") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (data, into) = (folder.path().join("data"), folder.path().join("sets"));
    fs::create_dir(&data).unwrap();
    for (name, content) in [
        (
            "xquad.de.json",
            json!({ "data": [{ "title": "Oslo", "paragraphs": [
                { "context": "Oslo liegt am Fjord.", "qas": [{ "question": "Wo liegt Oslo?" }] },
                { "context": "Es ist im Winter kalt.", "qas": [{ "question": "Wann ist es kalt?" }] },
            ]}]}),
        ),
        (
            "locomo10.json",
            json!([{ "sample_id": "conv-26", "conversation": {
                "session_2_date_time": "1:14 pm on 25 May, 2023",
                "session_2": [{ "dia_id": "D2:1", "speaker": "Tova", "text": "Look!", "blip_caption": "a canoe" }],
                "session_1_date_time": "1:56 pm on 8 May, 2023",
                "session_1": [{ "dia_id": "D1:1", "speaker": "Nils", "text": "I will buy a boat." }],
            }, "qa": [
                { "question": "What did Nils buy?", "evidence": ["D1:1; D2:1", "D9:9"], "category": 1 },
                { "question": "Is it blue?", "evidence": [], "category": 3 },
                { "question": "Whose car is it?", "evidence": ["D1:1"], "category": 5 },
            ]}]),
        ),
        (
            "meetings/Bed003.json",
            json!({ "meeting_transcripts": [
                { "speaker": "A", "content": "Let us begin." },
                { "speaker": "B", "content": "" },
                { "speaker": "B", "content": "The budget is 5 euros." },
                { "speaker": "A", "content": "Thank you." },
            ], "specific_query_list": [{ "query": "What is the budget?", "relevant_text_span": [["1", "2"]] }]}),
        ),
    ] {
        let file = data.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content.to_string()).unwrap();
    }
    for (source, given) in [
        ("xquad", Some("xquad.de.json")),
        ("locomo", Some("locomo10.json")),
        ("qmsum", Some("meetings")),
        ("samples", None),
    ] {
        let mut command = Command::new("python3");
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/samples/retrieval/convert.py")).arg(source);
        let output = command.args(given.map(|name| data.join(name))).arg("--into").arg(&into).output().unwrap();
        assert!(output.status.success(), "{source}: {}", String::from_utf8_lossy(&output.stderr));
    }

    let sets = sets(&into).unwrap();
    let counts: Vec<(&str, &str, usize, usize)> = sets
        .iter()
        .map(|set| {
            let memories = set.conversations.iter().map(|conversation| conversation.memories.len()).sum();
            let questions = set.conversations.iter().map(|conversation| conversation.questions.len()).sum();
            (set.name.as_str(), set.kind.as_str(), memories, questions)
        })
        .collect();
    assert_eq!(
        counts,
        [
            ("assistant-chats", "assistant", 206, 48),
            ("assistant-chats-user", "assistant", 103, 48),
            ("locomo", "people", 2, 1),
            ("qmsum", "meetings", 3, 1),
            ("sample-memories", "notes", 320, 12),
            ("xquad-de", "languages", 2, 2),
        ]
    );
    let last = |set: usize| &sets[set].conversations[0].questions.last().unwrap().evidence;
    assert!(last(2).iter().eq(["D1:1", "D2:1"]) && last(3).iter().eq(["Bed003:2"]) && last(5).iter().eq(["1"]));
    let canoe = &sets[2].conversations[0].memories[1];
    assert_eq!((canoe.text().as_str(), canoe.session()), ("Look! [image: a canoe]", "session_2"));
}
