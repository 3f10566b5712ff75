//! What is left out of an import and why, in the language of a person.

use crate::adapters::http::pages::frame::Frame;
use crate::adapters::http::pages::texts::{Filled, Text};
use crate::domain::memories::{ImportProblem, JsonError, LeftOut, PlaceUnit};
use crate::domain::validation::{InvalidValue, ValueProblem};

/// How a time may be written.
const TIME: &str = "2026-05-08T13:56:00Z";
const PRIORITIES: &str = "low, normal, high";

/// Where something stood, and why it is left out.
pub(super) fn in_words(left_out: &LeftOut, t: &Frame) -> Filled {
    let texts = &t.import_problem;
    let unit = match left_out.place.unit {
        PlaceUnit::Line => texts.line,
        PlaceUnit::Item => texts.item,
        PlaceUnit::File => texts.file,
    };
    let place = unit.in_text(&t.number(left_out.place.number));
    let why = problem(&left_out.problem, t);
    match &left_out.file {
        Some(file) => texts.said_of_file.strong(place).name(file).text(&why),
        None => texts.said.strong(place).text(&why),
    }
}

fn problem(problem: &ImportProblem, t: &Frame) -> Filled {
    let texts = &t.import_problem;
    let mebibytes = |bytes: u64| t.number(bytes >> 20);
    let text = match problem {
        ImportProblem::TooLong(bytes) | ImportProblem::TooLarge(bytes) => {
            return texts.too_long.plain(mebibytes(*bytes));
        }
        ImportProblem::NotJson(error) | ImportProblem::NotARow(error) => return json(error, t),
        ImportProblem::Invalid(invalid) => return value(invalid, t),
        ImportProblem::NotOfChatGpt => return texts.not_of.plain("ChatGPT"),
        ImportProblem::NotOfClaude => return texts.not_of.plain("Claude"),
        ImportProblem::NotOfMem0 => return texts.not_of.plain("mem0"),
        ImportProblem::NotOfServerMemory => return texts.not_of.plain("server-memory"),
        ImportProblem::Refused(words) => return Filled::from(texts.refused).english(words),
        ImportProblem::InPart(rest) => return Filled::from(texts.in_part).text(&self::problem(rest, t)),
        ImportProblem::NotUtf8 => texts.not_utf8,
        ImportProblem::Incomplete => texts.incomplete,
        ImportProblem::CategoryNotAllowed => texts.category_not_allowed,
        ImportProblem::NoText => texts.no_text,
        ImportProblem::NoObservations => texts.no_observations,
        ImportProblem::NestedArchive => texts.nested_archive,
        ImportProblem::LeadsOut => texts.leads_out,
        ImportProblem::Encrypted => texts.encrypted,
        ImportProblem::Damaged => texts.damaged,
        ImportProblem::DamagedAtTheEnd => texts.damaged_at_the_end,
        ImportProblem::UnknownCompression => texts.unknown_compression,
    };
    text.into()
}

fn json(error: &JsonError, t: &Frame) -> Filled {
    match error.at() {
        Some((line, character)) => t.import_problem.not_json.plain(line).plain(character),
        // The names of members are those of the format.
        None => Filled::from(t.import_problem.not_a_row).english(error.text()),
    }
}

fn value(invalid: &InvalidValue, t: &Frame) -> Filled {
    let texts = &t.import_problem;
    let number = |number: usize| t.number(number as u64);
    let of = |text: Text| text.code(invalid.field());
    match invalid.problem() {
        ValueProblem::Empty => of(texts.empty),
        ValueProblem::Nul => of(texts.nul),
        ValueProblem::ControlCharacters => of(texts.control_characters),
        ValueProblem::TooLong { length, max } => {
            of(texts.too_many_characters).plain(number(*length)).plain(number(*max))
        }
        ValueProblem::TooLarge { size, max } => of(texts.too_many_bytes).plain(number(*size)).plain(number(*max)),
        ValueProblem::TooManyEntries(max) => of(texts.too_many_entries).plain(number(*max)),
        ValueProblem::TooManyMembers(max) => of(texts.too_many_members).plain(number(*max)),
        ValueProblem::MemberNames(max) => of(texts.member_names).plain(number(*max)),
        ValueProblem::TooDeep(max) => of(texts.too_deep).plain(number(*max)),
        ValueProblem::Reserved => of(texts.reserved),
        ValueProblem::IntegerTooLarge => of(texts.integer_too_large),
        ValueProblem::NotATime => of(texts.not_a_time).code(TIME),
        ValueProblem::NotAPriority => of(texts.not_a_priority).code(PRIORITIES),
        ValueProblem::NotAMemoryId => of(texts.not_a_memory_id),
        ValueProblem::NotAnActor => of(texts.not_an_actor),
        ValueProblem::NotAHistory(_) => of(texts.not_a_history),
        ValueProblem::Other(words) => of(texts.unusable).english(words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::http::pages::texts::Language;
    use crate::domain::memories::Place;

    fn in_language(language: Language, problem: &ImportProblem, file: Option<&str>) -> String {
        let left_out = LeftOut { place: Place::item(1_234), file: file.map(str::to_owned), problem: problem.clone() };
        in_words(&left_out, &Frame { language, here: "/account/import".to_owned() }).to_string()
    }

    fn json_error(text: &str) -> JsonError {
        serde_json::from_str::<std::collections::BTreeMap<String, String>>(text).unwrap_err().into()
    }

    fn every_problem() -> Vec<ImportProblem> {
        let values = [
            ValueProblem::Empty,
            ValueProblem::Nul,
            ValueProblem::ControlCharacters,
            ValueProblem::TooLong { length: 40_000, max: 32_768 },
            ValueProblem::TooLarge { size: 40_000, max: 16_384 },
            ValueProblem::TooManyEntries(16),
            ValueProblem::TooManyMembers(64),
            ValueProblem::MemberNames(128),
            ValueProblem::TooDeep(5),
            ValueProblem::Reserved,
            ValueProblem::IntegerTooLarge,
            ValueProblem::NotATime,
            ValueProblem::NotAPriority,
            ValueProblem::NotAMemoryId,
            ValueProblem::NotAnActor,
            ValueProblem::NotAHistory("must not be so"),
            ValueProblem::Other("must be otherwise".to_owned()),
        ];
        let mut problems = vec![
            ImportProblem::TooLong(4 << 20),
            ImportProblem::TooLarge(32 << 20),
            ImportProblem::NotUtf8,
            ImportProblem::Incomplete,
            ImportProblem::NotJson(json_error("{\n]")),
            ImportProblem::NotARow(json_error("{")),
            ImportProblem::NotARow(json_error("[1]")),
            ImportProblem::CategoryNotAllowed,
            ImportProblem::NotOfChatGpt,
            ImportProblem::NotOfClaude,
            ImportProblem::NotOfMem0,
            ImportProblem::NotOfServerMemory,
            ImportProblem::NoText,
            ImportProblem::NoObservations,
            ImportProblem::InPart(Box::new(InvalidValue::new("metadata", ValueProblem::TooDeep(5)).into())),
            ImportProblem::Refused("the memory bank refused the request: <no>".to_owned()),
            ImportProblem::NestedArchive,
            ImportProblem::LeadsOut,
            ImportProblem::Encrypted,
            ImportProblem::Damaged,
            ImportProblem::DamagedAtTheEnd,
            ImportProblem::UnknownCompression,
        ];
        problems.extend(values.map(|problem| InvalidValue::new("metadata.<b>", problem).into()));
        problems
    }

    /// What of a text is not said to be English.
    fn without_english(text: &str) -> String {
        let mut parts = text.split("<bdi lang=\"en\">");
        let first = parts.next().unwrap_or_default().to_owned();
        parts.filter_map(|part| part.split_once("</bdi>")).fold(first, |text, (_, rest)| text + rest)
    }

    #[test]
    fn every_reason_is_said_in_the_language_of_the_person() {
        for reason in every_problem() {
            let said = Language::ALL.map(|language| {
                let frame = Frame { language, here: String::new() };
                without_english(&problem(&reason, &frame).to_string())
            });
            for (index, text) in said.iter().enumerate() {
                assert!(!said[..index].contains(text), "{text} is said in two languages");
                assert!(!text.contains("<b>") && !text.contains("<no>"), "{text}");
                // What it repeats beyond that is a name, a number or a form.
                assert!(!text.contains("must ") && !text.contains("expected"), "{text}");
            }
        }
    }

    #[test]
    fn a_place_a_file_and_data_are_told() {
        let german = |problem: &ImportProblem, file| in_language(Language::German, problem, file);
        let text = german(&ImportProblem::TooLong(4 << 20), Some("a<b>.md"));
        assert_eq!(text, "<strong><bdi>Eintrag 1.234</bdi></strong>, <bdi>a&#60;b&#62;.md</bdi>: länger als 4 MiB");
        let text = german(&ImportProblem::NotJson(json_error("{\n]")), None);
        assert!(text.ends_with("kein gültiges JSON (bei 2:1)"), "{text}");
        let invalid = InvalidValue::new("content", ValueProblem::TooLong { length: 40_000, max: 32_768 });
        let text = german(&invalid.into(), None);
        assert!(
            text.ends_with("<span class=\"mono\">content</span> hat 40.000 Zeichen; erlaubt sind höchstens 32.768")
        );
        let text = german(&ImportProblem::NotARow(json_error("[1]")), None);
        assert!(text.contains("(<bdi lang=\"en\">invalid type: "), "{text}");
    }
}
