use serde_json::json;

use super::*;
use crate::memories::{ImportProblem, ImportReader, ImportRow, NewMemory};
use crate::testing::{now, scope};

/// The memories of a document, as an import takes them.
fn read(format: ImportFormat, document: &Value) -> Vec<(Part, NewMemory)> {
    let mut reader = ImportReader::new(scope().into_scope(), now());
    let rows = format.rows(document).unwrap().rows.into_iter();
    rows.map(|row| match reader.read(&row.json).unwrap() {
        ImportRow::Memory(memory) => (row.part, *memory),
        ImportRow::Expired => panic!("nothing expires"),
    })
    .collect()
}

fn texts(read: &[(Part, NewMemory)], part: Part) -> Vec<&str> {
    read.iter().filter(|(of, _)| *of == part).map(|(_, memory)| memory.content.as_str()).collect()
}

#[test]
fn of_chatgpt_what_was_saved_and_what_the_person_said_is_taken_and_nothing_else() {
    let message = |role: &str, recipient: &str, kind: &str, parts: Value| {
        json!({"message": {"author": {"role": role}, "recipient": recipient, "create_time": 1_767_225_600.25,
            "content": {"content_type": kind, "parts": parts}, "metadata": {}}})
    };
    let document = json!({
        "title": "Tea", "create_time": 1_767_225_000.0, "conversation_id": "c-1",
        "mapping": {
            "root": {"id": "root", "message": null},
            "1": message("user", "all", "text", json!(["I drink green tea."])),
            "2": message("assistant", "bio", "text", json!(["User drinks green tea."])),
            "3": message("tool", "all", "text", json!(["Model set context updated."])),
            "4": message("assistant", "all", "text", json!(["Noted."])),
            "5": message("user", "all", "multimodal_text", json!([{"asset_pointer": "file://x"}, "What is this?"])),
            "6": message("user", "all", "user_editable_context", json!(["hidden"])),
            "7": message("user", "all", "text", json!([""])),
        },
    });
    assert_eq!(ImportFormat::detect(&document), Some(ImportFormat::ChatGpt));
    let read = read(ImportFormat::ChatGpt, &document);
    assert_eq!(texts(&read, Part::Memories), ["User drinks green tea."]);
    let mut said = texts(&read, Part::Messages);
    said.sort_unstable();
    assert_eq!(said, ["I drink green tea.", "What is this?"]);
    let memory = &read[0].1;
    assert_eq!(memory.metadata.conversation_id(), Some("c-1"));
    assert_eq!(memory.created_at.to_string(), "2026-01-01T00:00:00.25Z");
    assert_eq!(memory.metadata.as_object()["imported_from"], "chatgpt");
    assert!(
        read.iter()
            .all(|(part, memory)| { memory.occurred_at == (*part == Part::Messages).then_some(memory.created_at) })
    );
    assert!(ImportFormat::ChatGpt.rows(&json!({"title": "x"})).is_err());
}

#[test]
fn of_claude_messages_of_the_person_and_all_kinds_of_memory_are_taken() {
    let conversation = json!({
        "uuid": "u-1", "name": "Tea", "created_at": "2026-01-02T03:04:05.000000Z",
        "chat_messages": [
            {"sender": "human", "text": "", "created_at": "2026-01-02T03:04:06Z",
             "content": [{"type": "text", "text": "I drink green tea."}, {"type": "image"}]},
            {"sender": "assistant", "text": "Noted.", "content": []},
            {"sender": "human", "text": "In the morning."},
        ],
    });
    assert_eq!(ImportFormat::detect(&conversation), Some(ImportFormat::Claude));
    let read_back = read(ImportFormat::Claude, &conversation);
    assert_eq!(texts(&read_back, Part::Messages), ["I drink green tea.", "In the morning."]);
    assert_eq!(read_back[1].1.created_at.to_string(), "2026-01-02T03:04:05Z");
    let memories = json!({
        "conversations_memory": "**Work**\n\nMarta builds boats.", "project_memories": {"p-1": "The hull is oak."},
        "memory_files": [{"path": "/a.md", "content": "- tea", "updated_at": "2026-01-02T03:04:05Z"}], "account_uuid": "a",
    });
    let memories = read(ImportFormat::Claude, &memories);
    assert_eq!(texts(&memories, Part::Memories), ["**Work**\n\nMarta builds boats.", "The hull is oak.", "- tea"]);
    assert!(ImportFormat::Claude.rows(&json!({"uuid": "x"})).is_err());
}

#[test]
fn of_mem0_text_categories_time_and_metadata_are_taken() {
    let memory = json!({
        "id": "m-1", "memory": "Drinks tea", "user_id": "u", "hash": "x", "categories": ["Food", "food", " "],
        "metadata": {"source": "chat", "tags": ["a", {"b": 1.5}]}, "created_at": "2025-07-01T00:00:00-07:00",
        "updated_at": "2025-07-02T00:00:00Z",
    });
    for document in [memory.clone(), json!({"results": [memory.clone()]}), json!({"memories": [memory.clone()]})] {
        assert_eq!(ImportFormat::detect(&document), Some(ImportFormat::Mem0));
    }
    let read = read(ImportFormat::Mem0, &memory);
    assert_eq!(texts(&read, Part::Memories), ["Drinks tea"]);
    assert_eq!(read[0].1.categories.iter().map(ToString::to_string).collect::<Vec<_>>(), ["food"]);
    assert_eq!(read[0].1.created_at.to_string(), "2025-07-01T07:00:00Z");
    assert_eq!(read[0].1.updated().to_string(), "2025-07-02T00:00:00Z");
    let expected = json!({"imported_from": "mem0", "source": "chat", "tags": ["a", {"b": 1.5}]});
    assert_eq!(&Value::Object(read[0].1.metadata.as_object().clone()), &expected);
    assert_eq!(ImportFormat::Mem0.rows(&memory).unwrap().left_out, None);
    for memory in [json!({"memory": " "}), json!({"memory": null}), json!({"memory": "\u{0}"})] {
        assert_eq!(ImportFormat::Mem0.rows(&memory), Err(ImportProblem::NoText));
    }
    assert_eq!(ImportFormat::Mem0.rows(&json!({"id": "m-1"})), Err(ImportProblem::NotOfMem0));
}

#[test]
fn of_the_metadata_of_mem0_what_a_memory_cannot_have_is_left_out_and_told() {
    let deep = json!([[[[[[1]]]]]]);
    let many: serde_json::Map<String, Value> = (0..70).map(|number| (format!("n{number:02}"), json!(1))).collect();
    for (metadata, kept, told) in [
        (json!({"a": 1, "user_id": "x", "z": 2}), 2, "`metadata.user_id` is a reserved name"),
        (json!({"a": 1, "imported_from": "x"}), 1, "`metadata.imported_from` is a reserved name"),
        (json!({"a": deep, "z": 2}), 1, "`metadata` must not be nested more than 5 levels deep"),
        (json!({"a": 1e30, "z": 2}), 1, "`metadata.a` holds an integer of more than 64 bits"),
        (json!({"a": "x".repeat(9_000), "b": "x".repeat(9_000), "z": 2}), 2, "`metadata` is 18"),
        (Value::Object(many), 63, "`metadata` must have at most 64 members"),
        (json!("text"), 0, "`metadata` must be an object"),
        (json!(null), 0, ""),
    ] {
        let memory = json!({"memory": "tea", "metadata": metadata});
        let found = ImportFormat::Mem0.rows(&memory).unwrap();
        let said = found.left_out.map(|problem| problem.to_string()).unwrap_or_default();
        let expected = if told.is_empty() { String::new() } else { format!("a part of it is left out: {told}") };
        assert!(said.starts_with(&expected) && said.is_empty() == told.is_empty(), "{said}");
        let read = read(ImportFormat::Mem0, &memory);
        assert_eq!(read[0].1.metadata.as_object().len(), kept + 1, "{said}");
        assert_eq!(read[0].1.metadata.as_object()["imported_from"], "mem0");
    }
}

#[test]
fn of_server_memory_each_observation_and_relation_is_a_memory() {
    let entity =
        json!({"type": "entity", "name": "Marta", "entityType": "person", "observations": ["drinks tea", "sails"]});
    assert_eq!(ImportFormat::detect(&entity), Some(ImportFormat::ServerMemory));
    let read_back = read(ImportFormat::ServerMemory, &entity);
    assert_eq!(texts(&read_back, Part::Memories), ["Marta: drinks tea", "Marta: sails"]);
    let relation = json!({"type": "relation", "from": "Marta", "to": "Acme", "relationType": "works_at"});
    assert_eq!(texts(&read(ImportFormat::ServerMemory, &relation), Part::Memories), ["Marta works at Acme"]);
    assert!(ImportFormat::ServerMemory.rows(&json!({"type": "x"})).is_err());
}

#[test]
fn whatever_a_file_holds_a_row_is_valid_or_left_out() {
    let long = format!("{}\n\n{}", "ä".repeat(30_000), "b ".repeat(30_000));
    let document = json!({"memory": long, "categories": ["x".repeat(300), "a\nb", "#tag"], "created_at": "yesterday"});
    let read_back = read(ImportFormat::Mem0, &document);
    assert_eq!(read_back.len(), 3, "cut between paragraphs and words");
    assert_eq!(read_back[0].1.content.as_str().chars().count(), 30_000);
    let odd = json!({"mapping": {"1": {"message": {"author": {"role": "user"}, "create_time": 1e300,
        "content": {"parts": ["a\u{0}b"]}}}}, "id": "x".repeat(10_000)});
    assert_eq!(texts(&read(ImportFormat::ChatGpt, &odd), Part::Messages), ["ab"]);
    assert_eq!(ImportFormat::detect(&json!([])), None);
    assert_eq!("chatgpt".parse(), Ok(ImportFormat::ChatGpt));
    assert!("ChatGPT".parse::<ImportFormat>().unwrap_err().to_string().contains("server-memory"));
}

#[test]
fn items_are_cut_wherever_the_pieces_end() {
    let item = |text: &str| Ok(text.as_bytes().to_vec());
    for (document, expected) in [
        (
            "\u{feff}[{\"a\": \"]}\\\"[\"}, {\"b\": [1, {}]}\n]\n",
            vec![item("{\"a\": \"]}\\\"[\"}"), item("{\"b\": [1, {}]}")],
        ),
        ("{\"results\": [1, 2]}", vec![item("1"), item("2")]),
        (
            "{\"n\": [1, {\"results\": [0]}], \"x,\\\"results\": \"[\", \n\"memories\" :\n[{\"a\": 1} , {\"b\": []}] , \"c\": {\"d\": [1]}}\n{\"b\": 2}",
            vec![item("{\"a\": 1}"), item("{\"b\": []}"), item("{\"b\": 2}")],
        ),
        ("{\"a\": {\"results\": [1]}}", vec![item("{\"a\": {\"results\": [1]}}")]),
        ("{\"x\\\"results\": [1]}", vec![item("{\"x\\\"results\": [1]}")]),
        ("{\"results\": [1, 2]", vec![item("1"), item("2"), Err(ImportProblem::Incomplete)]),
        ("[1, 2", vec![item("1"), Err(ImportProblem::Incomplete)]),
        ("[{\"a\": 1}, ", vec![item("{\"a\": 1}"), Err(ImportProblem::Incomplete)]),
        ("{\"a\": 1}\n{\"b\": 2}\n", vec![item("{\"a\": 1}"), item("{\"b\": 2}")]),
        ("[]", vec![]),
        (" \n", vec![]),
        ("[{\"a\": 1}, {\"b\": ", vec![item("{\"a\": 1}"), Err(ImportProblem::Incomplete)]),
        ("[{\"a\": 1}, {\"b\": \"", vec![item("{\"a\": 1}"), Err(ImportProblem::Incomplete)]),
    ] {
        for size in 1..=document.len() {
            let mut items = Items::default();
            let mut read: Vec<Item> = document.as_bytes().chunks(size).flat_map(|piece| items.push(piece)).collect();
            read.extend(items.end());
            assert_eq!(read, expected, "{document} in pieces of {size}");
        }
    }
}
