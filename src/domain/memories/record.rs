//! A memory as people carry it away, and bring it back: one JSON object per line.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::history::{HistoryEntry, HistoryEvent};
use super::metadata::Metadata;
use super::model::{Content, Memory};
use super::new_memory::OwnMemory;
use super::object::{object, objects, optional_object};
use crate::applications::{Category, SpaceName};
use crate::audit::{Context, ContextId};
use crate::system::Timestamp;
use crate::validation::{InvalidValue, ValueProblem};

/// A memory with everything that is known of it, in the members that an import reads.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryRecord {
    /// See [`Memory::id`].
    pub memory_id: String,
    /// See [`Memory::content`].
    pub content: String,
    /// See [`Memory::categories`].
    #[serde(default)]
    pub categories: Vec<String>,
    /// See [`Memory::metadata`], without the ids of GPT and conversation.
    #[serde(default)]
    pub metadata: Map<String, Value>,
    /// Where the memory came from.
    #[serde(default, deserialize_with = "object", skip_serializing_if = "ContextRecord::is_empty")]
    pub context: ContextRecord,
    /// See [`Memory::priority`].
    pub priority: String,
    /// See [`Memory::created_at`].
    pub created_at: String,
    /// See [`Memory::occurred_at`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<String>,
    /// See [`Memory::updated_at`].
    pub updated_at: String,
    /// See [`Memory::expires_at`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// See [`Memory::created_by`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// The space that it is in; left out of one that another superseded, which is where that one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub space: Option<String>,
    /// What happened to it, newest first.
    #[serde(default, deserialize_with = "objects", skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<HistoryRecord>,
}

/// An entry of the history of a memory: what was changed, or what it superseded.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct HistoryRecord {
    /// See [`HistoryEntry::at`].
    pub at: String,
    /// See [`HistoryEntry::by`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The names of the members that were changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<Vec<String>>,
    /// The memory whose place it took.
    #[serde(default, deserialize_with = "optional_object", skip_serializing_if = "Option::is_none")]
    pub superseded: Option<Box<MemoryRecord>>,
}

impl From<&HistoryEntry> for HistoryRecord {
    fn from(entry: &HistoryEntry) -> Self {
        let (changed, superseded) = match &entry.event {
            HistoryEvent::Updated(members) => {
                (Some(members.iter().map(|member| member.as_str().to_owned()).collect()), None)
            }
            HistoryEvent::Superseded(memory) => (None, Some(Box::new(MemoryRecord::from(&**memory)))),
        };
        Self { at: entry.at.to_string(), by: entry.by.map(|actor| actor.to_string()), changed, superseded }
    }
}

impl TryFrom<HistoryRecord> for HistoryEntry {
    type Error = InvalidValue;

    fn try_from(record: HistoryRecord) -> Result<Self, InvalidValue> {
        let event = match (record.changed, record.superseded) {
            (Some(names), None) => {
                HistoryEvent::Updated(names.iter().map(|name| name.parse()).collect::<Result<_, _>>()?)
            }
            (None, Some(memory)) => HistoryEvent::Superseded(Box::new((*memory).try_into()?)),
            _ => {
                let problem = ValueProblem::NotAHistory("must have either `changed` or `superseded` in each entry");
                return Err(InvalidValue::new("history", problem));
            }
        };
        Ok(Self {
            at: Timestamp::parse("at", &record.at)?,
            by: record.by.as_deref().map(str::parse).transpose()?,
            event,
        })
    }
}

impl HistoryEvent {
    /// What there is to say of it beside its kind, as JSON: the names of the members, or the memory.
    #[must_use]
    pub fn body(&self) -> String {
        match self {
            Self::Updated(members) => {
                members.iter().map(|member| member.as_str()).collect::<serde_json::Value>().to_string()
            }
            Self::Superseded(memory) => serde_json::json!(MemoryRecord::from(&**memory)).to_string(),
        }
    }

    /// Reads a [kind](Self::kind) and a [body](Self::body).
    ///
    /// # Errors
    /// [`InvalidValue`], which repeats nothing of the body.
    pub fn parse(kind: &str, body: &str) -> Result<Self, InvalidValue> {
        let invalid = |_| InvalidValue::new("history", "is not what an event of its kind has");
        match kind {
            Self::UPDATED => {
                let names: Vec<String> = serde_json::from_str(body).map_err(invalid)?;
                Ok(Self::Updated(names.iter().map(|name| name.parse()).collect::<Result<_, _>>()?))
            }
            Self::SUPERSEDED => {
                let record: MemoryRecord = serde_json::from_str(body).map_err(invalid)?;
                Ok(Self::Superseded(Box::new(record.try_into()?)))
            }
            _ => Err(InvalidValue::new("history", "has an event of an unknown kind")),
        }
    }
}

/// The ids of GPT and conversation.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ContextRecord {
    /// The GPT that wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_gpt_id: Option<String>,
    /// The conversation in which it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<String>,
}

impl ContextRecord {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl From<&OwnMemory> for MemoryRecord {
    fn from(own: &OwnMemory) -> Self {
        Self {
            space: Some(own.space.to_string()),
            history: own.history.iter().map(HistoryRecord::from).collect(),
            ..Self::from(&own.memory)
        }
    }
}

impl From<&Memory> for MemoryRecord {
    fn from(memory: &Memory) -> Self {
        let mut metadata = memory.metadata.as_object().clone();
        let mut take = |name| match metadata.remove(name) {
            Some(Value::String(id)) => Some(id),
            _ => None,
        };
        let context = ContextRecord {
            custom_gpt_id: take(Metadata::CUSTOM_GPT_ID),
            conversation_id: take(Metadata::CONVERSATION_ID),
        };
        Self {
            memory_id: memory.id.to_string(),
            content: memory.content.as_str().to_owned(),
            categories: memory.categories.iter().map(ToString::to_string).collect(),
            metadata,
            context,
            priority: memory.priority.as_str().to_owned(),
            created_at: memory.created_at.to_string(),
            occurred_at: memory.occurred_at.map(|at| at.to_string()),
            updated_at: memory.updated_at.to_string(),
            expires_at: memory.expires_at.map(|at| at.to_string()),
            created_by: memory.created_by.map(|actor| actor.to_string()),
            space: None,
            history: Vec::new(),
        }
    }
}

impl TryFrom<MemoryRecord> for OwnMemory {
    type Error = InvalidValue;

    fn try_from(mut record: MemoryRecord) -> Result<Self, InvalidValue> {
        let missing = || InvalidValue::new("space", "is missing");
        let space: SpaceName = record.space.take().ok_or_else(missing)?.parse()?;
        let history = std::mem::take(&mut record.history).into_iter().map(HistoryEntry::try_from);
        let history = history.collect::<Result<_, _>>()?;
        Ok(Self { history, ..Self::stored(record.try_into()?, space) })
    }
}

impl TryFrom<MemoryRecord> for Memory {
    type Error = InvalidValue;

    /// Reads a memory that has no history of its own.
    fn try_from(record: MemoryRecord) -> Result<Self, InvalidValue> {
        if !record.history.is_empty() {
            let problem = ValueProblem::NotAHistory("must not have entries with a history of their own");
            return Err(InvalidValue::new("history", problem));
        }
        let id = |field: &str, text: Option<&str>| text.map(|text| ContextId::parse(field, text)).transpose();
        let context = Context {
            custom_gpt_id: id("context.custom_gpt_id", record.context.custom_gpt_id.as_deref())?,
            conversation_id: id("context.conversation_id", record.context.conversation_id.as_deref())?,
        };
        Ok(Self {
            id: record.memory_id.parse()?,
            content: Content::try_from(record.content)?,
            categories: Category::parse_list("categories", &record.categories)?,
            metadata: Metadata::from_caller(record.metadata)?.with_context(&context),
            priority: record.priority.parse()?,
            created_at: Timestamp::parse("created_at", &record.created_at)?,
            occurred_at: record.occurred_at.as_deref().map(|at| Timestamp::parse("occurred_at", at)).transpose()?,
            updated_at: Timestamp::parse("updated_at", &record.updated_at)?,
            expires_at: record.expires_at.as_deref().map(|at| Timestamp::parse("expires_at", at)).transpose()?,
            created_by: record.created_by.as_deref().map(str::parse).transpose()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::ids::ApplicationId;
    use crate::memories::{Actor, ImportReader, ImportRow, MemoryMember, MemoryScope};
    use crate::system::Timestamp;
    use crate::testing::{categories, content, context, metadata, new_memory, now, scope, unique};

    fn own() -> OwnMemory {
        let memory = Memory {
            categories: categories(&["food", "guests"]),
            metadata: metadata(json!({"n": 1.5, "deep": {"x": [1, null]}})).with_context(&context("g-1", "c-1")),
            priority: crate::memories::Priority::High,
            content: content("Marta's \"nuts\"\nand 日本"),
            occurred_at: Some(Timestamp::from_unix_millis(-86_400_000)),
            updated_at: Timestamp::from_unix_millis(now().unix_millis() + 1),
            expires_at: Some(now().plus(std::time::Duration::from_hours(1))),
            created_by: Some(Actor::Application(ApplicationId::from_uuid(unique()))),
            ..new_memory("x").into_memory()
        };
        let older = Memory { content: content("older"), created_by: Some(Actor::Person), ..memory.clone() };
        let entry = |by, event| HistoryEntry { at: now(), by, event };
        let history = vec![
            entry(Some(Actor::Person), HistoryEvent::Updated(vec![MemoryMember::Content, MemoryMember::Metadata])),
            entry(None, HistoryEvent::Superseded(Box::new(older))),
        ];
        OwnMemory { history, ..OwnMemory::stored(memory, "home".parse().unwrap()) }
    }

    #[test]
    fn what_is_carried_away_is_brought_back_to_the_same() {
        let own = own();
        let line = serde_json::to_string(&MemoryRecord::from(&own)).unwrap();
        assert!(!line.contains('\n'), "one line: {line}");
        let record: MemoryRecord = serde_json::from_str(&line).unwrap();
        assert_eq!(OwnMemory::try_from(record).unwrap(), own);
    }

    #[test]
    fn an_import_reads_it_with_its_id_and_its_times() {
        let own = own();
        let line = serde_json::to_string(&MemoryRecord::from(&own)).unwrap();
        let into: MemoryScope = scope().into_scope();
        let ImportRow::Memory(read) = ImportReader::new(into, now()).read(&line).unwrap() else { panic!("expired") };
        let OwnMemory { memory, history, .. } = own;
        assert_eq!(read.history, history);
        assert_eq!(read.into_memory(), memory);
    }

    /// Any text that a memory may have.
    fn text() -> impl Strategy<Value = Content> {
        any::<String>().prop_filter_map("a memory has such a text", |text| Content::try_from(text).ok())
    }

    /// Any moment that RFC 3339 can represent.
    fn moment() -> impl Strategy<Value = Timestamp> {
        any::<i64>().prop_map(|millis| Timestamp::from_unix_millis(millis % 300_000_000_000_000))
    }

    fn actor() -> impl Strategy<Value = Option<Actor>> {
        let application = any::<[u8; 16]>().prop_map(|bytes| {
            Actor::Application(ApplicationId::from_uuid(uuid::Builder::from_random_bytes(bytes).into_uuid()))
        });
        prop::option::of(prop_oneof![Just(Actor::Person), application])
    }

    /// Any JSON, as far as metadata goes.
    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(2, 6, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..3)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    fn memory() -> impl Strategy<Value = Memory> {
        let ids = (any::<u128>(), "[!-~]{1,20}", "[!-~]{1,20}", any::<[bool; 2]>());
        let members = prop::collection::btree_map("[a-z]{1,8}", value(), 0..4);
        let dates = (moment(), prop::option::of(moment()), any::<u32>(), any::<bool>());
        let words = prop::collection::btree_set("[a-z]{1,10}", 0..4);
        let priority = prop::sample::select(vec!["low", "normal", "high"]);
        (ids, text(), words, members, dates, priority, actor()).prop_filter_map(
            "a memory has such metadata",
            |((id, gpt, conversation, [of_gpt, in_conversation]), content, words, members, dates, priority, by)| {
                let (created_at, occurred_at, later, expires) = dates;
                let context = Context {
                    custom_gpt_id: of_gpt.then(|| ContextId::parse("gpt", &gpt)).transpose().ok()?,
                    conversation_id: in_conversation.then(|| ContextId::parse("c", &conversation)).transpose().ok()?,
                };
                Some(Memory {
                    id: format!("m-{id:x}").parse().ok()?,
                    content,
                    categories: Category::parse_list("categories", &words.into_iter().collect::<Vec<_>>()).ok()?,
                    metadata: Metadata::from_caller(members.into_iter().collect()).ok()?.with_context(&context),
                    priority: priority.parse().ok()?,
                    created_at,
                    occurred_at,
                    updated_at: created_at.plus(std::time::Duration::from_secs(later.into())),
                    // What has expired is left out.
                    expires_at: expires.then(|| now().plus(std::time::Duration::from_secs(1))),
                    created_by: by,
                })
            },
        )
    }

    fn entry() -> impl Strategy<Value = HistoryEntry> {
        let members = prop::sample::subsequence(MemoryMember::ALL.to_vec(), 1..=MemoryMember::ALL.len());
        let event = prop_oneof![
            members.prop_map(HistoryEvent::Updated),
            memory().prop_map(|memory| HistoryEvent::Superseded(Box::new(memory))),
        ];
        (moment(), actor(), event).prop_map(|(at, by, event)| HistoryEntry { at, by, event })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn whatever_a_memory_is_an_export_and_an_import_lose_nothing(
            memory in memory(),
            history in prop::collection::vec(entry(), 0..4),
        ) {
            let own = OwnMemory { history, ..OwnMemory::stored(memory, "home".parse().unwrap()) };
            let line = serde_json::to_string(&MemoryRecord::from(&own)).unwrap();
            prop_assert!(!line.contains(['\n', '\r']), "one line: {line}");
            let record: MemoryRecord = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(&OwnMemory::try_from(record).unwrap(), &own);
            let ImportRow::Memory(read) = ImportReader::new(scope().into_scope(), now()).read(&line).unwrap() else {
                panic!("it has not expired")
            };
            prop_assert_eq!(&read.history, &own.history);
            let read = read.into_memory();
            prop_assert_eq!(read, Memory { created_by: own.memory.created_by, ..own.memory });
        }
    }

    fn changed_history(record: &MemoryRecord, change: impl FnOnce(&mut HistoryRecord)) -> MemoryRecord {
        let mut record = record.clone();
        change(&mut record.history[0]);
        record
    }

    #[test]
    fn a_changed_record_is_checked_like_any_input() {
        let record = MemoryRecord::from(&own());
        for changed in [
            MemoryRecord { content: String::new(), ..record.clone() },
            MemoryRecord { memory_id: "a b".to_owned(), ..record.clone() },
            MemoryRecord { created_at: "yesterday".to_owned(), ..record.clone() },
            MemoryRecord { space: Some("a/b".to_owned()), ..record.clone() },
            MemoryRecord { space: None, ..record.clone() },
            MemoryRecord { created_by: Some("somebody".to_owned()), ..record.clone() },
            changed_history(&record, |entry| entry.changed = None),
            changed_history(&record, |entry| entry.changed = Some(vec!["text".to_owned()])),
            changed_history(&record, |entry| entry.superseded = Some(Box::new(record.clone()))),
            changed_history(&record, |entry| {
                // A history within a history.
                (entry.changed, entry.superseded) = (None, Some(Box::new(record.clone())));
            }),
            MemoryRecord { priority: "urgent".to_owned(), ..record },
        ] {
            assert!(OwnMemory::try_from(changed).is_err());
        }
    }
}
