//! `memgate import`, as somebody who brings memories along uses it.

mod support;

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use support::process::{fail, succeed_json};

const SAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/samples/memories.jsonl");

fn application(folder: &Path) -> String {
    succeed_json(folder, &["app", "create", "--name", "A"])["client_id"].as_str().unwrap().to_owned()
}

fn import(folder: &Path, file: &str, application: &str) -> Value {
    succeed_json(folder, &["import", file, "--application", application])
}

#[test]
fn the_samples_are_loaded_once_however_often_they_are_imported() {
    let folder = tempfile::tempdir().unwrap();
    let application = application(folder.path());
    let first = import(folder.path(), SAMPLES, &application);
    assert_eq!(first, json!({ "rows": 320, "loaded": 320, "already_there": 0 }));
    let second = import(folder.path(), SAMPLES, &application);
    assert_eq!(second, json!({ "rows": 320, "loaded": 0, "already_there": 320 }));
}

#[test]
fn an_import_that_was_interrupted_goes_on_where_it_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let application = application(folder.path());
    let half = fs::read_to_string(SAMPLES).unwrap().lines().take(160).collect::<Vec<_>>().join("\n");
    fs::write(folder.path().join("half.jsonl"), half).unwrap();
    assert_eq!(import(folder.path(), "half.jsonl", &application)["loaded"], 160);
    let rest = import(folder.path(), SAMPLES, &application);
    assert_eq!(rest, json!({ "rows": 320, "loaded": 160, "already_there": 160 }));
}

#[test]
fn rows_that_are_equal_are_memories_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let application = application(folder.path());
    fs::write(folder.path().join("twice.jsonl"), "{\"content\": \"tea\"}\n\n{\"content\": \"tea\"}\n").unwrap();
    let loaded = import(folder.path(), "twice.jsonl", &application);
    assert_eq!(loaded, json!({ "rows": 2, "loaded": 2, "already_there": 0 }));
}

#[test]
fn bad_rows_are_named_by_their_line_and_nothing_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let application = application(folder.path());
    let file = folder.path().join("bad.jsonl");
    let rows = [
        r#"{"content": "good"}"#,
        r#"{"content": ""}"#,
        r#"{"content": "x", "colour": "red"}"#,
        r#"{"content": "x", "created_at": "yesterday"}"#,
        r#"{"content": "x", "metadata": {"user_id": "somebody"}}"#,
        "not json",
        r#"{"categories": ["a"]}"#,
        r#"{"content": "x", "priority": "urgent"}"#,
    ];
    fs::write(&file, rows.join("\n")).unwrap();
    let error = fail(folder.path(), &["import", "bad.jsonl", "--application", &application], 1);
    for said in [
        "nothing was loaded, 7 lines",
        "line 2: `content`",
        "line 3: ",
        "colour",
        "line 4: `created_at`",
        "line 5: `metadata.user_id`",
        "line 6: ",
        "line 7: ",
        "line 8: `priority`",
    ] {
        assert!(error.contains(said), "{said}: {error}");
    }
    fs::write(&file, rows[0]).unwrap();
    assert_eq!(
        import(folder.path(), "bad.jsonl", &application)["already_there"],
        0,
        "the good row was not loaded before"
    );
}

#[test]
fn a_missing_file_and_an_unknown_application_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    let known = application(folder.path());
    assert!(
        fail(folder.path(), &["import", "none.jsonl", "--application", &known], 1)
            .contains("none.jsonl cannot be read")
    );
    let unknown = "67e55044-10b1-426f-9247-bb680e5fe0c8";
    assert!(fail(folder.path(), &["import", SAMPLES, "--application", unknown], 1).contains(unknown));
    fs::write(folder.path().join("latin1.jsonl"), b"{\"content\": \"caf\xe9\"}\n").unwrap();
    let error = fail(folder.path(), &["import", "latin1.jsonl", "--application", &known], 1);
    assert!(error.contains("line 1: is not UTF-8"), "{error}");
}
