//! Reads the files that somebody brings along, a piece at a time, whatever program wrote them.

use std::convert::Infallible;
use std::io::{self, Read};
use std::ops::ControlFlow;

use serde_json::Value;

use super::super::loading::{ImportReport, Lines, Place};
use super::items::{Items, listed};
use super::rows::{ForeignRow, ItemRows, Part};
use super::{ImportFormat, conversation};
use crate::memories::import_problem::ImportProblem;
use crate::system::Timestamp;

/// How much of a file is read at a time.
const PIECE: usize = 64 * 1024;
/// Maximum size of a note in bytes.
const LONGEST_NOTE: u64 = 4 << 20;
/// How many unreadable items a file in an archive may begin with before it is taken for something else.
const MAX_UNREADABLE: u64 = 10;

/// A row of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundRow {
    /// Where its item stands in the file.
    pub place: Place,
    /// The conversation that it is a message of, by its number in [`Reading::conversations`].
    pub conversation: Option<usize>,
    /// The row.
    pub row: ForeignRow,
}

/// A conversation in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// Its title, shortened; may be empty.
    pub title: String,
    /// When it began, if that is known.
    pub at: Option<Timestamp>,
    /// How many rows the person's messages in it make.
    pub messages: u64,
}

/// Why the reading of a file ended early.
#[derive(Debug, thiserror::Error)]
pub enum ReadingError<E = Infallible> {
    /// The file.
    #[error("it cannot be read")]
    File(#[from] io::Error),
    /// Whoever takes the rows.
    #[error("its rows cannot be taken")]
    Taker(E),
}

/// The reading of one or more files. It holds one item at a time.
#[derive(Debug, Default)]
pub struct Reading {
    asked: Option<ImportFormat>,
    /// The formats that were found, in the order of their first file.
    pub formats: Vec<ImportFormat>,
    /// The conversations with messages of the person, as many as are kept.
    pub conversations: Vec<Conversation>,
    /// How many rows were stored as memories.
    pub memories: u64,
    /// How many rows the person said in conversations.
    pub messages: u64,
    /// How many files of an archive hold nothing that can be imported.
    pub skipped: u64,
    /// The items, and the parts of items, that were left out.
    pub left_out: ImportReport,
    /// How many conversations there are, kept or not.
    pub conversation_count: usize,
}

impl Reading {
    /// How many conversations are kept in [`conversations`](Self::conversations). Of further ones the messages are found, too.
    pub const MAX_CONVERSATIONS: usize = 5_000;
    const LONGEST_TITLE: usize = 120;

    /// Finds out the format of each file, unless one is `asked` for.
    #[must_use]
    pub fn new(asked: Option<ImportFormat>) -> Self {
        Self { asked, ..Self::default() }
    }

    /// Reads a file on its own. What its name says of its format is a hint.
    ///
    /// # Errors
    /// [`ReadingError`].
    pub fn read<E>(
        &mut self,
        name: &str,
        input: &mut dyn Read,
        take: &mut dyn FnMut(FoundRow) -> Result<(), E>,
    ) -> Result<(), ReadingError<E>> {
        FileReading { reading: self, name, number: 1, is_in_archive: false, format: None, take }.read(input)
    }

    /// Reads a file of an archive, with its number there. One that is not recognized is skipped, since archives hold much else.
    ///
    /// # Errors
    /// [`ReadingError`].
    pub fn read_in_archive<E>(
        &mut self,
        name: &str,
        number: u64,
        input: &mut dyn Read,
        take: &mut dyn FnMut(FoundRow) -> Result<(), E>,
    ) -> Result<(), ReadingError<E>> {
        FileReading { reading: self, name, number, is_in_archive: true, format: None, take }.read(input)
    }

    /// Whether a file of an archive may hold memories, by its name.
    #[must_use]
    pub fn may_hold_memories(name: &str) -> bool {
        let file = name.rsplit('/').next().unwrap_or(name);
        let is_hidden = file.starts_with('.') || name.split('/').any(|part| part == "__MACOSX");
        !is_hidden && (is_note(name) || ["json", "jsonl", "ndjson"].iter().any(|ending| has_ending(name, ending)))
    }

    /// Counts a file of an archive that is not read.
    pub fn skip(&mut self) {
        self.skipped += 1;
    }

    /// Names a file of an archive that cannot be read.
    pub fn leave_out_file(&mut self, name: &str, number: u64, problem: ImportProblem) {
        self.left_out.leave_out(Place::file(number), Some(&shown(name)), problem);
    }

    fn take_conversation(&mut self, format: ImportFormat, item: &Value, messages: u64) -> usize {
        let number = self.conversation_count;
        self.conversation_count += 1;
        if self.conversations.len() < Self::MAX_CONVERSATIONS {
            let (title, at) = conversation(format, item).unwrap_or_default();
            let title = title.chars().filter(|c| !c.is_control()).take(Self::LONGEST_TITLE).collect();
            self.conversations.push(Conversation { title, at, messages });
        }
        number
    }
}

/// A name of a file as it is shown.
fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(200).collect()
}

fn has_ending(name: &str, ending: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, found)| found.eq_ignore_ascii_case(ending))
}

fn is_note(name: &str) -> bool {
    has_ending(name, "md") || has_ending(name, "markdown")
}

/// Reads a file up to its end, or up to an item that says that the file holds something else.
struct FileReading<'a, E> {
    reading: &'a mut Reading,
    name: &'a str,
    number: u64,
    is_in_archive: bool,
    format: Option<ImportFormat>,
    take: &'a mut dyn FnMut(FoundRow) -> Result<(), E>,
}

impl<E> FileReading<'_, E> {
    fn read(mut self, input: &mut dyn Read) -> Result<(), ReadingError<E>> {
        let notes = [None, Some(ImportFormat::BasicMemory)];
        if is_note(self.name) && notes.contains(&self.reading.asked) {
            return self.read_note(input);
        }
        // An archive holds other files too.
        self.format = self.reading.asked.filter(|_| !self.is_in_archive);
        let mut piece = vec![0; PIECE];
        let mut length = fill(input, &mut piece)?;
        if self.holds_lines(&piece[..length], length < PIECE) {
            let mut lines = Lines::default();
            while length > 0 {
                for (place, line) in lines.push(&piece[..length]) {
                    if self.take_line(place, line)?.is_break() {
                        return Ok(());
                    }
                }
                length = fill(input, &mut piece)?;
            }
            if let Some((place, line)) = lines.end() {
                let _last = self.take_line(place, line)?;
            }
            return Ok(());
        }
        let (mut items, mut number) = (Items::default(), 0);
        while length > 0 {
            for item in items.push(&piece[..length]) {
                number += 1;
                if self.take_item(number, item)?.is_break() {
                    return Ok(());
                }
            }
            length = fill(input, &mut piece)?;
        }
        if let Some(item) = items.end() {
            let _last = self.take_item(number + 1, item)?;
        }
        Ok(())
    }

    /// Whether each line is an item, by the first of them: then a broken one spoils no other.
    fn holds_lines(&self, start: &[u8], is_all: bool) -> bool {
        if self.format == Some(ImportFormat::Memgate)
            || ["jsonl", "ndjson"].iter().any(|end| has_ending(self.name, end))
        {
            return true;
        }
        let start = start.strip_prefix("\u{feff}".as_bytes()).unwrap_or(start);
        let mut lines = start.split(|byte| *byte == b'\n').peekable();
        while let Some(line) = lines.next() {
            let is_whole = is_all || lines.peek().is_some();
            let line = line.trim_ascii();
            if !line.is_empty() {
                // Of an answer on one line, each memory is an item.
                let is_item = |line| serde_json::from_slice(line).is_ok_and(|value| listed(&value).is_none());
                return is_whole && line.starts_with(b"{") && is_item(line);
            }
        }
        false
    }

    fn read_note(mut self, input: &mut dyn Read) -> Result<(), ReadingError<E>> {
        let mut note = Vec::new();
        input.take(LONGEST_NOTE + 1).read_to_end(&mut note)?;
        let place = Place::file(self.number);
        if note.len() as u64 > LONGEST_NOTE {
            self.leave_out(place, ImportProblem::TooLong(LONGEST_NOTE));
            return Ok(());
        }
        if let Ok(note) = String::from_utf8(note) {
            return self.take_value(ImportFormat::BasicMemory, place, &Value::String(note));
        }
        self.leave_out(place, ImportProblem::NotUtf8);
        Ok(())
    }

    fn take_line(
        &mut self,
        place: Place,
        line: Result<String, ImportProblem>,
    ) -> Result<ControlFlow<()>, ReadingError<E>> {
        match line {
            Ok(line) if super::super::ImportReader::trim(&line).is_empty() => Ok(ControlFlow::Continue(())),
            Ok(line) => self.take_text(place, &line),
            Err(problem) => Ok(self.leave_out_item(place, problem)),
        }
    }

    fn take_item(&mut self, number: u64, item: super::Item) -> Result<ControlFlow<()>, ReadingError<E>> {
        let place = Place::item(number);
        match item.and_then(|item| String::from_utf8(item).map_err(|_| ImportProblem::NotUtf8)) {
            Ok(item) => self.take_text(place, &item),
            Err(problem) => Ok(self.leave_out_item(place, problem)),
        }
    }

    fn take_text(&mut self, place: Place, text: &str) -> Result<ControlFlow<()>, ReadingError<E>> {
        let text = super::super::ImportReader::trim(text);
        let value = match serde_json::from_str::<Value>(text) {
            Ok(value) => value,
            // An import tells of its own rows what is wrong.
            Err(_) if self.format == Some(ImportFormat::Memgate) && !text.contains('\n') => Value::Null,
            Err(error) => return Ok(self.leave_out_item(place, ImportProblem::NotJson(error.into()))),
        };
        let (found, asked) = (self.format.or_else(|| ImportFormat::detect(&value)), self.reading.asked);
        let is_wanted = |format| asked.is_none_or(|asked| asked == format);
        let format = match found {
            Some(format) if !self.is_in_archive || is_wanted(format) => format,
            _ if self.is_in_archive => {
                self.reading.skip();
                return Ok(ControlFlow::Break(()));
            }
            _ => ImportFormat::Memgate,
        };
        // What is of no format says nothing of what follows.
        self.format = found;
        if format == ImportFormat::Memgate {
            // As it is: what a parser makes of it may have fewer digits.
            let row = ForeignRow { part: Part::Memories, json: text.replace(['\r', '\n'], " ") };
            self.note_format(format);
            self.reading.memories += 1;
            (self.take)(FoundRow { place, conversation: None, row }).map_err(ReadingError::Taker)?;
        } else {
            self.take_value(format, place, &value)?;
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Takes an item, or each of an answer: one that is left out spoils no other.
    fn take_value(&mut self, format: ImportFormat, place: Place, value: &Value) -> Result<(), ReadingError<E>> {
        match listed(value) {
            Some(list) => list.iter().try_for_each(|value| self.take_one(format, place, value)),
            None => self.take_one(format, place, value),
        }
    }

    fn take_one(&mut self, format: ImportFormat, place: Place, value: &Value) -> Result<(), ReadingError<E>> {
        let ItemRows { rows, left_out } = match format.rows(value) {
            Ok(rows) => rows,
            Err(problem) => {
                self.leave_out(place, problem);
                return Ok(());
            }
        };
        if let Some(problem) = left_out {
            self.leave_out(place, problem);
        }
        self.note_format(format);
        let messages = rows.iter().filter(|row| row.part == Part::Messages).count() as u64;
        let number = (messages > 0).then(|| self.reading.take_conversation(format, value, messages));
        self.reading.messages += messages;
        self.reading.memories += rows.len() as u64 - messages;
        for row in rows {
            let conversation = if row.part == Part::Messages { number } else { None };
            (self.take)(FoundRow { place, conversation, row }).map_err(ReadingError::Taker)?;
        }
        Ok(())
    }

    fn note_format(&mut self, format: ImportFormat) {
        if !self.reading.formats.contains(&format) {
            self.reading.formats.push(format);
        }
    }

    fn leave_out(&mut self, place: Place, problem: ImportProblem) {
        let file = self.is_in_archive.then(|| shown(self.name));
        self.reading.left_out.leave_out(place, file.as_deref(), problem);
    }

    fn leave_out_item(&mut self, place: Place, problem: ImportProblem) -> ControlFlow<()> {
        self.leave_out(place, problem);
        let is_something_else = self.is_in_archive && self.format.is_none() && place.number >= MAX_UNREADABLE;
        if is_something_else { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// Fills `piece` as far as the input reaches.
fn fill(input: &mut dyn Read, piece: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < piece.len() {
        match input.read(&mut piece[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(name: &str, text: &str, is_in_archive: bool) -> (Reading, Vec<FoundRow>) {
        let (mut reading, mut rows) = (Reading::new(None), Vec::new());
        let mut take = |row| {
            rows.push(row);
            Ok::<_, Infallible>(())
        };
        let mut input = text.as_bytes();
        if is_in_archive {
            reading.read_in_archive(name, 1, &mut input, &mut take).unwrap();
        } else {
            reading.read(name, &mut input, &mut take).unwrap();
        }
        (reading, rows)
    }

    fn places(reading: &Reading) -> Vec<String> {
        reading.left_out.reasons.iter().map(|left_out| left_out.place.to_string()).collect()
    }

    #[test]
    fn a_broken_line_spoils_no_other() {
        let entity = r#"{"type": "entity", "name": "A", "entityType": "person", "observations": ["sails"]}"#;
        let text = format!("\u{feff}{entity}\r\n\r\n{{\"type\": \"entity\", \"name\r\n{entity}\r\n");
        let (reading, rows) = read("memory", &text, false);
        assert_eq!((rows.len(), places(&reading)), (2, vec!["line 3".to_owned()]));
        assert_eq!(rows[1].place, Place::line(4));
        assert_eq!(reading.formats, [ImportFormat::ServerMemory]);
    }

    fn contents(rows: &[FoundRow]) -> Vec<String> {
        let content = |row: &FoundRow| serde_json::from_str::<Value>(&row.row.json).unwrap()["content"].clone();
        rows.iter().map(|row| content(row).as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn a_memory_of_an_answer_that_is_left_out_spoils_no_other() {
        let memories = json!([{"memory": ""}, {"memory": "sails"}, {"memory": null}, {"id": "x"}, {"memory": "bakes"}]);
        let answer = json!({"count": 5, "next": null, "results": memories, "relations": [{"source": "a"}]});
        let text = format!("{answer:#}");
        for (name, text) in [("a.json", answer.to_string()), ("a.json", text), ("a.txt", memories.to_string())] {
            let (reading, rows) = read(name, &text, false);
            assert_eq!(contents(&rows), ["sails", "bakes"], "{text}");
            assert_eq!(places(&reading), ["item 1", "item 3", "item 4"], "{text}");
            assert_eq!((rows[1].place, &*reading.formats), (Place::item(5), &[ImportFormat::Mem0][..]));
            let problems: Vec<&ImportProblem> = reading.left_out.reasons.iter().map(|one| &one.problem).collect();
            assert_eq!(problems, [&ImportProblem::NoText, &ImportProblem::NoText, &ImportProblem::NotOfMem0]);
        }
        let pages = [&answer, &answer].map(ToString::to_string).join("\n");
        let (reading, rows) = read("pages.jsonl", &pages, false);
        assert_eq!(contents(&rows), ["sails", "bakes", "sails", "bakes"]);
        assert_eq!(places(&reading), ["line 1", "line 1", "line 1", "line 2", "line 2", "line 2"]);
        assert_eq!(read("pages.json", &pages, false).1[3].place, Place::item(10));
        let unknown_first = json!({"results": [{"id": "x"}, {"memory": "sails"}]}).to_string();
        let (reading, rows) = read("a.json", &unknown_first, false);
        assert_eq!(contents(&rows[1..]), ["sails"], "the first is for the import to refuse");
        assert_eq!(reading.formats, [ImportFormat::Memgate, ImportFormat::Mem0]);
    }

    #[test]
    fn an_answer_may_be_larger_than_an_item() {
        let memory = format!(r#"{{"memory": "tea", "note": "{}"}}"#, "x".repeat(1 << 20));
        let count = Items::MAX / memory.len() + 2;
        let text = format!(r#"{{"results": [{}], "next": null}}"#, vec![memory; count].join(", "));
        let (reading, rows) = read("answer.json", &text, false);
        assert_eq!((rows.len(), reading.left_out.left_out), (count, 0));
    }

    #[test]
    fn what_of_an_item_is_left_out_is_told() {
        let entity = |observations: Value| {
            json!({"type": "entity", "name": "A", "entityType": "person", "observations": observations}).to_string()
        };
        let relation = r#"{"type": "relation", "from": "A", "to": "", "relationType": "knows"}"#;
        let entities = [json!([]), json!(["sails", " ", 3]), Value::Null].map(entity).join("\n");
        let (reading, rows) = read("memory.jsonl", &format!("{entities}\n{relation}\n"), false);
        assert_eq!(contents(&rows), ["A: sails"]);
        let told: Vec<String> =
            reading.left_out.reasons.iter().map(|one| format!("{} {}", one.place, one.problem)).collect();
        let expected = [
            "line 1 is an entity without observations",
            "line 2 a part of it is left out: has no text",
            "line 3 is an entity without observations",
            "line 4 has no text",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn rows_of_memgate_are_taken_as_they_are() {
        let line = r#"{"content": "tea", "metadata": {"n": 123456789012345678901234567890}}"#;
        let (reading, rows) = read("memories.jsonl", &format!("{line}\n{{\n"), false);
        assert_eq!(rows[0].row.json, line);
        assert_eq!((rows.len(), reading.memories), (2, 2), "what is wrong with a row is for the import to say");
    }

    #[test]
    fn conversations_are_named_and_their_messages_belong_to_them() {
        let conversation = |title: &str, said: &[&str]| {
            let nodes = said.iter().enumerate().map(|(index, text)| {
                let message = json!({"author": {"role": "user"}, "content": {"parts": [text]}});
                (index.to_string(), json!({"message": message}))
            });
            json!({"title": title, "create_time": 1_767_225_600, "mapping": nodes.collect::<serde_json::Map<_, _>>()})
        };
        let document = json!([conversation("Tea", &["a", "b"]), conversation("", &[]), conversation("Boats", &["c"])]);
        let (reading, rows) = read("conversations.json", &document.to_string(), true);
        let named: Vec<_> = reading.conversations.iter().map(|one| (one.title.as_str(), one.messages)).collect();
        assert_eq!(named, [("Tea", 2), ("Boats", 1)]);
        assert!(reading.conversations[0].at.is_some());
        assert_eq!(rows.iter().map(|row| row.conversation.unwrap()).collect::<Vec<_>>(), [0, 0, 1]);
        assert_eq!((reading.messages, reading.memories), (3, 0));
    }

    #[test]
    fn what_else_is_in_an_archive_is_skipped() {
        for text in [r#"{"user": "marta"}"#, r#"[{"id": "x"}, {"id": "y"}]"#, "", "[]"] {
            let (reading, rows) = read("user.json", text, true);
            assert_eq!((rows.len(), reading.left_out.left_out), (0, 0), "{text}");
        }
        for (name, expected) in [
            ("a/conversations.json", true),
            ("a.JSONL", true),
            ("notes/a.md", true),
            ("chat.html", false),
            ("a/.b.md", false),
            ("__MACOSX/a/b.json", false),
            ("image.png", false),
        ] {
            assert_eq!(Reading::may_hold_memories(name), expected, "{name}");
        }
    }

    #[test]
    fn of_an_archive_only_files_of_the_format_that_is_asked_for_are_read() {
        let mut reading = Reading::new(Some(ImportFormat::Memgate));
        let mut rows = Vec::new();
        for (number, name, text) in [
            (1, "account.json", "{\n  \"account\": {\n    \"login\": \"marta\"\n  }\n}\n"),
            (
                2,
                "memories.jsonl",
                "{\"memory_id\": \"m\", \"content\": \"tea\", \"created_at\": \"2026-01-01T00:00:00Z\"}\n",
            ),
            (
                3,
                "memory.jsonl",
                "{\"type\": \"entity\", \"name\": \"Marta\", \"entityType\": \"person\", \"observations\": [\"x\"]}\n",
            ),
        ] {
            let mut take = |row: FoundRow| {
                rows.push(row.row.json);
                Ok::<_, Infallible>(())
            };
            reading.read_in_archive(name, number, &mut text.as_bytes(), &mut take).unwrap();
        }
        assert_eq!((rows.len(), reading.left_out.left_out, reading.skipped), (1, 0, 2), "{rows:?}");
    }

    #[test]
    fn a_note_is_read_as_prose_observations_and_relations() {
        let note = "---\r\ntitle: Coffee\r\ntype: note\r\ntags: [brewing, 'hot drinks']\r\ncreated: 2026-01-02\r\n---\r\n\
                    # Coffee\r\n\r\nThe best part of the day.\r\n\r\n## Observations\r\n\
                    - [method] Pour over is clearer #clarity (tried)\r\n- [ ] buy beans\r\n- [link](https://x.example)\r\n\
                    ## Relations\r\n- pairs_with [[Chocolate]]\r\n";
        let (reading, rows) = read("notes/coffee.md", note, true);
        let rows: Vec<Value> = rows.iter().map(|row| serde_json::from_str(&row.row.json).unwrap()).collect();
        let texts: Vec<&str> = rows.iter().map(|row| row["content"].as_str().unwrap()).collect();
        assert!(texts[0].starts_with("# Coffee\n\nThe best part") && texts[0].contains("- [ ] buy beans"), "{texts:?}");
        assert_eq!(texts[1..], ["Coffee: Pour over is clearer #clarity (tried)", "Coffee pairs with Chocolate"]);
        assert_eq!(rows[1]["categories"], json!(["method", "clarity", "brewing", "hot drinks"]));
        assert_eq!(rows[1]["created_at"], "2026-01-02T00:00:00Z");
        assert_eq!(reading.formats, [ImportFormat::BasicMemory]);
        let (reading, rows) = read("empty.md", "# Title\n\n", false);
        assert_eq!((rows.len(), reading.left_out.left_out), (0, 1));
    }
}
