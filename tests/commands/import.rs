//! `memgate import` and `POST /api/v1/import`, as somebody who brings memories along uses them.

use std::fs;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::StreamBody;
use hyper::body::Frame;
use memgate_test_kit::archive::zip;
use memgate_test_kit::banks::{self, mem0};
use memgate_test_kit::database::TestDatabase;
use memgate_test_kit::gate::TestGate;
use memgate_test_kit::http;
use memgate_test_kit::process::{Server, fail, finish, installation, memgate, run_with_input, succeed, succeed_json};
use serde_json::{Value, json};

const SAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/samples/memories.jsonl");

fn application(folder: &Path) -> String {
    succeed_json(folder, &["app", "create", "--name", "A"])["client_id"].as_str().unwrap().to_owned()
}

/// What an import says that left nothing out.
fn outcome(rows: u32, loaded: u32, already_there: u32) -> Value {
    json!({ "rows": rows, "loaded": loaded, "already_there": already_there, "expired": 0, "refused": 0 })
}

fn import(folder: &Path, file: &str, application: &str) -> Value {
    succeed_json(folder, &["import", file, "--application", application])
}

#[test]
fn the_samples_are_loaded_once_however_often_they_are_imported() {
    let folder = installation();
    let application = application(folder.path());
    let first = import(folder.path(), SAMPLES, &application);
    assert_eq!(first, outcome(320, 320, 0));
    let second = import(folder.path(), SAMPLES, &application);
    assert_eq!(second, outcome(320, 0, 320));
}

#[test]
fn an_import_that_was_interrupted_goes_on_where_it_stopped() {
    let folder = installation();
    let application = application(folder.path());
    let half = fs::read_to_string(SAMPLES).unwrap().lines().take(160).collect::<Vec<_>>().join("\n");
    fs::write(folder.path().join("half.jsonl"), half).unwrap();
    assert_eq!(import(folder.path(), "half.jsonl", &application)["loaded"], 160);
    let rest = import(folder.path(), SAMPLES, &application);
    assert_eq!(rest, outcome(320, 160, 160));
}

#[test]
fn rows_that_are_equal_are_one_memory_as_in_the_api() {
    let folder = installation();
    let application = application(folder.path());
    let rows = "{\"content\": \"tea\"}\n\n".repeat(3_000);
    fs::write(folder.path().join("equal.jsonl"), rows).unwrap();
    let loaded = import(folder.path(), "equal.jsonl", &application);
    assert_eq!(loaded, outcome(3_000, 1, 2_999));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_memory_that_is_twice_in_a_file_is_given_to_a_remote_bank_once() {
    let bank = mem0::oss().await;
    let folder = installation();
    let application = application(folder.path());
    let row = "{\"memory_id\": \"tea\", \"content\": \"Marta drinks tea\"}\n";
    fs::write(folder.path().join("twice.jsonl"), row.repeat(2)).unwrap();
    let mut command = memgate(folder.path());
    command.args(["import", "twice.jsonl", "--json", "--application", &application]).envs([
        ("MEMGATE_MEMORY_BANK_KIND", "mem0-oss"),
        ("MEMGATE_MEMORY_BANK_URL", bank.url.as_str()),
        ("MEMGATE_MEMORY_BANK_API_KEY", banks::KEY),
    ]);
    let output = tokio::task::spawn_blocking(move || finish(&mut command)).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&said["rows"], &said["loaded"], &said["already_there"]), (&json!(2), &json!(1), &json!(1)));
    assert_eq!(bank.state().points.len(), 1);
}

#[test]
fn of_a_line_of_any_length_and_a_flood_of_bad_ones_little_is_held_and_all_is_told() {
    let folder = installation();
    let application = application(folder.path());
    let long = format!("{{\"content\": \"{}\"}}\n", "x".repeat(3 << 20));
    fs::write(folder.path().join("bad.jsonl"), format!("{{\"content\": \"tea\"}}\n{long}{}", "[]\n".repeat(5_000)))
        .unwrap();
    let error = fail(folder.path(), &["import", "bad.jsonl", "--application", &application], 1);
    for said in
        ["nothing was loaded, 5001 lines", "line 2: is longer than 1 MiB", "line 3: is not a row", "and 4981 more"]
    {
        assert!(error.contains(said), "{said}: {error}");
    }
    assert!(!error.contains("line 22"), "{error}");
}

#[test]
fn a_file_of_another_program_is_read_and_what_has_expired_is_counted_as_left_out() {
    let folder = installation();
    let application = application(folder.path());
    let rows = [
        "\u{feff}{\"content\": \"tea\", \"categories\": null, \"metadata\": null}\r",
        "\r",
        "{\"content\": \"coffee\", \"expires_at\": \"2020-01-01T00:00:00Z\"}\r",
        "{\"content\": \"juice\", \"expires_at\": \"2999-01-01\"}\r",
    ];
    fs::write(folder.path().join("dos.jsonl"), rows.join("\n")).unwrap();
    let first = import(folder.path(), "dos.jsonl", &application);
    assert_eq!(first, json!({ "rows": 3, "loaded": 2, "already_there": 0, "expired": 1, "refused": 0 }));
    fs::write(folder.path().join("unix.jsonl"), rows.join("\n").replace(['\u{feff}', '\r'], "")).unwrap();
    let second = import(folder.path(), "unix.jsonl", &application);
    assert_eq!(second, json!({ "rows": 3, "loaded": 0, "already_there": 2, "expired": 1, "refused": 0 }));
}

#[test]
fn bad_rows_are_named_by_their_line_and_nothing_is_loaded() {
    let folder = installation();
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
        r#"["text", ["a"], {}, null, "high", null, null]"#,
        r#"{"content": "x", "metadata": {"n": 123456789012345678901234567890}}"#,
    ];
    fs::write(&file, rows.join("\n")).unwrap();
    let error = fail(folder.path(), &["import", "bad.jsonl", "--application", &application], 1);
    for said in [
        "nothing was loaded, 9 lines",
        "line 2: `content`",
        "line 3: ",
        "colour",
        "line 4: `created_at`",
        "line 5: `metadata.user_id`",
        "line 6: ",
        "line 7: ",
        "line 8: `priority`",
        "line 9: is not a row",
        "line 10: `metadata` holds an integer of more than 64 bits",
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
    let folder = installation();
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

#[test]
fn what_is_exported_is_imported_elsewhere_to_the_same() {
    let (here, there) = (installation(), installation());
    let source = application(here.path());
    import(here.path(), SAMPLES, &source);
    let exported = succeed(here.path(), &["export", "--application", &source]);
    assert_eq!(exported.lines().count(), 320);
    // One that was changed after it was created.
    let exported = exported.replacen("\"updated_at\":\"20", "\"updated_at\":\"29", 1);
    fs::write(there.path().join("all.jsonl"), &exported).unwrap();
    let target = application(there.path());
    assert_eq!(import(there.path(), "all.jsonl", &target), outcome(320, 320, 0));
    assert_eq!(import(there.path(), "all.jsonl", &target), outcome(320, 0, 320), "each memory keeps its id");
    let again = succeed(there.path(), &["export", "--application", &target]);
    let without_place = |text: &str| -> Vec<Value> {
        let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for line in &mut lines {
            line.as_object_mut().unwrap().remove("space");
        }
        lines
    };
    assert_eq!(without_place(&again), without_place(&exported));
}

#[test]
fn rows_come_from_standard_input_and_become_a_persons() {
    let folder = installation();
    let application = application(folder.path());
    let with_input = |arguments: &[&str], input: &str| {
        let output = run_with_input(folder.path(), arguments, input);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    with_input(&["user", "create", "marta"], "correct horse battery\n");
    let arguments = ["import", "-", "--application", &application, "--user", "marta"];
    let rows = "\u{feff}{\"content\": \"tea\"}\r\n{\"content\": \"chess\"}\r\n";
    with_input(&arguments, rows);
    let exported = succeed(folder.path(), &["export", "--user", "marta"]);
    assert!(exported.contains("\"tea\"") && exported.contains("\"chess\""), "{exported}");
    assert_eq!(succeed(folder.path(), &["export", "--application", &application]), "", "not the application's own");
    let both = succeed(folder.path(), &["export", "--application", &application, "--user", "marta"]);
    assert_eq!(both, exported);
    assert!(fail(folder.path(), &["export", "--user", "nobody"], 1).contains("nobody"));

    let events: Value = serde_json::from_str(&succeed(folder.path(), &["audit", "--json"])).unwrap();
    let person = serde_json::from_str::<Value>(&succeed(folder.path(), &["user", "show", "marta", "--json"])).unwrap();
    let events: Vec<_> = events.as_array().unwrap().iter().filter(|e| e["person_id"] == person["id"]).collect();
    let transfers = events.iter().filter(|e| e["event"].as_str().unwrap().starts_with("memories_"));
    let transfers: Vec<(&str, &Value)> = transfers.map(|e| (e["event"].as_str().unwrap(), &e["client_id"])).collect();
    let this = Value::from(application);
    let expected = [("memories_exported", &this), ("memories_exported", &Value::Null), ("memories_imported", &this)];
    assert_eq!(transfers, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_larger_than_all_bodies_in_memory_may_be_is_imported_as_it_arrives() {
    let gate = TestGate::on(TestDatabase::sqlite()).await;
    let token = gate.access_token(&gate.application().await).await;
    // The service holds at most 64 MiB of bodies.
    let line = |number: usize| format!("{{\"content\": \"memory {}\"{}}}\n", number % 7, " ".repeat(1_000_000));
    let frame = move |number| Ok::<_, std::io::Error>(Frame::data(Bytes::from(line(number))));
    let lines = StreamBody::new(futures_util::stream::iter((0..100).map(frame)));
    let request = gate.http.post(gate.url("/api/v1/import")).bearer_auth(&token);
    let request = request.header("content-type", "application/x-ndjson").body(reqwest::Body::wrap(lines));
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let report: Value = answer.json().await.unwrap();
    assert_eq!((&report["rows"], &report["created"], &report["duplicates"]), (&json!(100), &json!(7), &json!(93)));
}

/// What the service may take while it reads a body of any size: in a debug build it begins with some 40 MiB.
const PEAK: u64 = 160 << 20;
/// How long so many bytes may take on a busy machine.
const LONG: Duration = Duration::from_mins(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_and_an_export_of_any_size_take_bounded_memory() {
    let folder = installation();
    let application = succeed_json(folder.path(), &["app", "create", "--name", "A"]);
    let server = Server::start(memgate(folder.path()));
    // Installs what reqwest needs.
    let http = http::client();
    let id = application["client_id"].as_str().unwrap();
    let secret = application["client_secret"].as_str().unwrap();
    let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
    let request = http.post(format!("{}/auth/token", server.url)).body(form);
    let answer = request.header("content-type", "application/x-www-form-urlencoded").send().await.unwrap();
    let token: Value = answer.json().await.unwrap();
    let token = token["access_token"].as_str().unwrap();
    let import = |body: reqwest::Body| {
        let request = http.post(format!("{}/api/v1/import", server.url)).bearer_auth(token).body(body).timeout(LONG);
        request.header("content-type", "application/x-ndjson").send()
    };

    // Blank lines, then one that is broken, then one line without an end.
    let blank = Bytes::from(vec![b'\n'; 1 << 20]);
    let endless = Bytes::from(vec![b' '; 1 << 20]);
    let frames = std::iter::repeat_n(blank, 8)
        .chain([Bytes::from_static(b"{\"content\": \"tea\"}\nbroken\n")])
        .chain(std::iter::repeat_n(endless, 200));
    let frames = frames.map(|piece| Ok::<_, std::io::Error>(Frame::data(piece)));
    let body = StreamBody::new(futures_util::stream::iter(frames));
    let report: Value = import(reqwest::Body::wrap(body)).await.unwrap().json().await.unwrap();
    assert_eq!(report["reasons"][0]["line"], (8 << 20) + 2, "{report}");
    assert_eq!(report["reasons"][1]["reason"], "is longer than 1 MiB", "{report}");
    assert!(server.peak_memory() < PEAK, "{} bytes for an import", server.peak_memory());

    // 100,000 equal rows, then so many blank lines that the broken one has the number 900,001: 900,000 rows would take minutes.
    let equal = Bytes::from("{\"content\": \"tea\"}\n".repeat(1_000));
    let blank = Bytes::from("\n".repeat(800_000));
    let frames = std::iter::repeat_n(equal, 100).chain([blank, Bytes::from_static(b"{\"content\": ")]);
    let frames = frames.map(|piece| Ok::<_, std::io::Error>(Frame::data(piece)));
    let body = StreamBody::new(futures_util::stream::iter(frames));
    let report: Value = import(reqwest::Body::wrap(body)).await.unwrap().json().await.unwrap();
    let counts = ["rows", "created", "duplicates", "left_out"].map(|count| report[count].as_u64().unwrap());
    assert_eq!(counts, [100_001, 0, 100_000, 1], "{report}");
    assert_eq!(report["reasons"][0]["line"], 900_001, "{report}");
    assert!(server.peak_memory() < PEAK, "{} bytes for equal rows", server.peak_memory());

    // More than may be resident, of memories of 32,000 characters.
    let line = |number: usize| format!("{{\"content\": \"{number} {}\"}}\n", "x".repeat(32_000));
    let frames = (0..6_000).map(move |number| Ok::<_, std::io::Error>(Frame::data(Bytes::from(line(number)))));
    let body = StreamBody::new(futures_util::stream::iter(frames));
    let report: Value = import(reqwest::Body::wrap(body)).await.unwrap().json().await.unwrap();
    assert_eq!(report["created"], 6_000, "{report}");
    let export = http.get(format!("{}/api/v1/export", server.url)).bearer_auth(token).timeout(LONG);
    let mut export = export.send().await.unwrap();
    let mut bytes = 0;
    while let Some(piece) = export.chunk().await.unwrap() {
        bytes += piece.len();
    }
    assert!(bytes > 6_000 * 32_000, "{bytes}");
    assert!(server.peak_memory() < PEAK, "{} bytes for an export", server.peak_memory());
}

#[test]
fn an_export_of_another_program_is_found_out_and_loaded_once() {
    let folder = installation();
    let application = application(folder.path());
    let message = |role: &str, recipient: &str, said: &str| {
        json!({"message": {"author": {"role": role}, "recipient": recipient, "create_time": 1_767_225_600.5,
            "content": {"content_type": "text", "parts": [said]}}})
    };
    let conversation = json!({"title": "Tea", "conversation_id": "c-1", "mapping": {
        "a": message("user", "all", "I drink green tea."), "b": message("assistant", "bio", "User drinks green tea."),
    }});
    let files = [
        ("chatgpt", json!([conversation, {"title": "no tree"}]).to_string(), 1, 1, 1),
        ("claude", json!([{"conversations_memory": "Marta builds boats."}]).to_string(), 1, 0, 0),
        (
            "mem0",
            json!({"results": [{"id": "1", "memory": "Sails"}, {"id": "2", "memory": "Bakes"}]}).to_string(),
            2,
            0,
            0,
        ),
        (
            "server-memory",
            "{\"type\": \"entity\", \"name\": \"Marta\", \"entityType\": \"person\", \"observations\": [\"sings\"]}\n\
             {\"type\": \"relation\", \"from\": \"Marta\", \"to\": \"Nils\", \"relationType\": \"knows\"}\n"
                .to_owned(),
            2,
            0,
            0,
        ),
    ];
    for (format, content, memories, messages, left_out) in files {
        let name = format!("{format}.json");
        fs::write(folder.path().join(&name), &content).unwrap();
        for (loaded, already_there) in [(memories, 0), (0, memories)] {
            let expected = json!({
                "rows": memories, "loaded": loaded, "already_there": already_there, "expired": 0, "refused": 0,
                "format": format, "messages_left_out": messages, "left_out": left_out,
            });
            assert_eq!(import(folder.path(), &name, &application), expected, "{format}");
        }
    }
    let with_messages = ["import", "chatgpt.json", "--application", &application, "--messages", "--format", "chatgpt"];
    let said = succeed(folder.path(), &with_messages);
    assert!(said.contains("Loaded 1 memories") && said.contains("item 2: is not a conversation of ChatGPT"), "{said}");
    let exported = succeed(folder.path(), &["export", "--application", &application]);
    for text in ["I drink green tea.", "Marta: sings", "Marta knows Nils", "Marta builds boats.", "Bakes"] {
        assert!(exported.contains(text), "{text}: {exported}");
    }
    fs::write(folder.path().join("half.json"), &json!([conversation]).to_string()[..60]).unwrap();
    let half = ["import", "half.json", "--application", &application, "--format", "chatgpt"];
    assert!(succeed(folder.path(), &half).contains("is not complete"));
}

#[test]
fn an_archive_is_read_whatever_is_in_it() {
    let folder = installation();
    let application = application(folder.path());
    let message = json!({"message": {"author": {"role": "assistant"}, "recipient": "bio",
        "content": {"content_type": "text", "parts": ["User drinks green tea."]}}});
    let conversations = json!([{"title": "Tea", "mapping": {"a": message}}]).to_string();
    let note = "---\ntitle: Coffee\n---\n\n- [method] Pour over is clearer #brewing\n";
    let files: [(&str, &[u8]); 5] = [
        ("conversations.json", conversations.as_bytes()),
        ("user.json", b"{\"id\": \"u\"}"),
        ("notes/coffee.md", note.as_bytes()),
        ("../escape.md", note.as_bytes()),
        ("inner.zip", b"PK"),
    ];
    fs::write(folder.path().join("export.zip"), zip(&files)).unwrap();
    let expected = json!({
        "rows": 2, "loaded": 2, "already_there": 0, "expired": 0, "refused": 0, "format": "chatgpt, basic-memory",
        "messages_left_out": 0, "left_out": 2,
    });
    assert_eq!(import(folder.path(), "export.zip", &application), expected);
    let again = succeed(folder.path(), &["import", "export.zip", "--application", &application]);
    for said in ["2 were there already", "file 4: ../escape.md: has a name that leads out", "file 5: inner.zip"] {
        assert!(again.contains(said), "{said}: {again}");
    }
    let exported = succeed(folder.path(), &["export", "--application", &application]);
    assert!(exported.contains("Coffee: Pour over is clearer #brewing"), "{exported}");
    fs::write(folder.path().join("coffee.md"), note).unwrap();
    let one = ["import", "coffee.md", "--application", &application];
    assert!(succeed(folder.path(), &one).contains("1 were there already"), "a note on its own");
    fs::write(folder.path().join("broken.zip"), b"PK\x03\x04xxxx").unwrap();
    let broken = fail(folder.path(), &["import", "broken.zip", "--application", &application], 1);
    assert!(broken.contains("broken.zip: the ZIP archive is damaged or not complete; nothing was loaded"), "{broken}");
}
