//! `/api/v1/bulk`: many memories in one request.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use poem::Request;
use poem_openapi::registry::{MetaSchemaRef, Registry};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type};
use poem_openapi::{Object, OpenApi};
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::assistant::{self, Origin};
use super::dto::create::CreateBody;
use super::dto::filters::FiltersBody;
use crate::adapters::http::openapi::object::read_from_objects;
use crate::adapters::http::openapi::tag::Tag;
use crate::adapters::http::server::bearer::Bearer;
use crate::adapters::http::server::error::{ApiError, BulkCreateFailure, BulkDeleteFailure, as_problem};
use crate::adapters::http::server::exchange::Exchange;
use crate::adapters::http::server::failure::{NearDuplicateAnswer, Problem};
use crate::adapters::http::server::payload;
use crate::adapters::http::server::payload::Json;
use crate::domain::audit::Context;
use crate::domain::ids::RequestId;
use crate::domain::memories::{
    CreateMemory, Created, Deletion, EachCreated, MemoryError, MemoryFilter, MemoryService, OnNearDuplicate,
};
use crate::domain::oauth::{ReadAndDelete, Write};
use crate::domain::validation::InvalidValue;

pub(crate) struct BulkApi;

#[OpenApi(prefix_path = "/api/v1/bulk", tag = "Tag::Memories")]
impl BulkApi {
    /// Store several memories
    ///
    /// Each is stored by itself, and has its own outcome: `results` is in the order of `memories`. Give each an idempotency key
    /// if you may have to repeat the request.
    #[oai(path = "/memories", method = "post", operation_id = "createMemories")]
    async fn create(
        &self,
        request: &Request,
        origin: Origin,
        exchange: &Exchange,
        caller: Bearer<Write>,
        body: Json<BulkCreateBody>,
    ) -> Result<Json<BulkCreateAnswer>, BulkCreateFailure> {
        let Exchange { services, request_id, .. } = exchange;
        if assistant::idempotency_key(request)?.is_some() {
            let problem = "is for one memory; give each of `memories` an `idempotency_key` instead";
            return Err(InvalidValue::new("Idempotency-Key", problem).into());
        }
        let creates = body.0.read(&origin.context)?;
        exchange.answer.reserve(&caller, 1).await?;
        // The IDs sort in the order of the memories, although all are created at the same time.
        let (now, mut number) = (services.clock.now(), 0);
        let mut next_id = || {
            number += 1;
            RequestId::generate_at(&*services.entropy, now.plus(Duration::from_millis(number)))
        };
        let creates: Vec<_> = creates.into_iter().map(|create| (next_id(), create)).collect();
        let valid = creates.iter().filter_map(|(id, create)| {
            let (create, on_near_duplicate) = create.as_ref().ok()?.clone();
            Some((*id, create, on_near_duplicate))
        });
        let mut outcomes = services.memories.create_each(&caller, valid.collect()).await.into_iter();
        let mut answer = BulkCreateAnswer::new(*request_id);
        for (id, create) in creates {
            let outcome = match create {
                Ok(_) => outcomes.next().map(|outcome| outcome.map_err(|error| answer.placed(error))),
                Err(error) => Some(Err(error.into())),
            };
            if let Some(outcome) = outcome {
                answer.add(id, outcome);
            }
        }
        Ok(Json(answer))
    }

    /// Delete all memories that match filters
    ///
    /// Without a `confirmation` nothing is deleted: the answer says how many memories match, and has a `confirmation`. With it
    /// exactly these are deleted; if any other matches by then, or one of them was changed, nothing is.
    #[oai(path = "/deletions", method = "post", operation_id = "deleteMemories")]
    async fn delete(
        &self,
        exchange: &Exchange,
        caller: Bearer<ReadAndDelete>,
        body: Json<BulkDeleteBody>,
    ) -> Result<Json<BulkDeleteAnswer>, BulkDeleteFailure> {
        let Exchange { services, request_id, .. } = exchange;
        let (filter, confirmation) = body.0.read()?;
        exchange.answer.reserve(&caller, 1).await?;
        let deletion = services.memories.delete_matching(&caller, *request_id, filter, confirmation.as_deref()).await?;
        Ok(Json(BulkDeleteAnswer::new(*request_id, deletion)))
    }
}

read_from_objects!(BulkCreateBody, BulkDeleteBody);

/// Memories to store.
#[derive(Deserialize, Object)]
#[oai(rename = "NewMemories")]
#[serde(deny_unknown_fields, remote = "Self")]
struct BulkCreateBody {
    /// The memories, 1 to 100. The whole body has at most 512 KiB.
    #[oai(validator(min_items = 1, max_items = 100))]
    memories: Vec<EachMemory>,
}

/// A memory to store, documented like any other. Its members are read one by one, so that one that is invalid does not keep
/// the others from being stored.
struct EachMemory(Map<String, Value>);

impl<'de> Deserialize<'de> for EachMemory {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = EachMemory;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<EachMemory, A::Error> {
                let mut object = Map::new();
                while let Some((name, value)) = members.next_entry::<String, Value>()? {
                    if object.contains_key(&name) {
                        return Err(A::Error::custom(format!("duplicate field `{name}`")));
                    }
                    object.insert(name, value);
                }
                Ok(EachMemory(object))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

impl Type for EachMemory {
    const IS_REQUIRED: bool = true;

    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        CreateBody::name()
    }

    fn schema_ref() -> MetaSchemaRef {
        CreateBody::schema_ref()
    }

    fn register(registry: &mut Registry) {
        CreateBody::register(registry);
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ParseFromJSON for EachMemory {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        serde_json::from_value(value.unwrap_or_default()).map_err(ParseError::custom)
    }
}

impl ToJSON for EachMemory {
    fn to_json(&self) -> Option<Value> {
        Some(Value::Object(self.0.clone()))
    }
}

/// A memory to store, and what to do about near duplicates; or what is wrong with it.
type ReadCreate = Result<(CreateMemory, OnNearDuplicate), InvalidValue>;

impl BulkCreateBody {
    /// Converts each of them, with the context from the headers.
    ///
    /// # Errors
    /// [`InvalidValue`] if there are none, or too many.
    fn read(self, context: &Context) -> Result<Vec<ReadCreate>, InvalidValue> {
        if !(1..=MemoryService::MAX_CREATED).contains(&self.memories.len()) {
            let problem = format!("must have 1 to {} items", MemoryService::MAX_CREATED);
            return Err(InvalidValue::new("memories", problem));
        }
        let read = |EachMemory(members)| payload::from_object::<CreateBody>(members)?.read(context.clone(), None);
        let placed = |(number, members)| read(members).map_err(|error: InvalidValue| error.within(&place(number)));
        Ok(self.memories.into_iter().enumerate().map(placed).collect())
    }
}

fn place(number: usize) -> String {
    format!("memories[{number}]")
}

/// The outcome of storing several memories.
#[derive(Object, Serialize)]
struct BulkCreateAnswer {
    /// Always `done`; see the results.
    status: String,
    /// Identifies this request in the log.
    request_id: String,
    /// How many were stored.
    stored: u64,
    /// How many were accepted, and will be delivered to the memory bank.
    accepted: u64,
    /// How many were known by their idempotency key.
    duplicates: u64,
    /// How many were refused.
    refused: u64,
    /// The outcome of each, in the order of the memories.
    results: Vec<BulkCreateResult>,
}

/// The outcome of storing one of several memories.
#[derive(Object, Serialize)]
struct BulkCreateResult {
    /// `stored`; `accepted`: it is safe, do not send it again; `duplicate`: an earlier request had stored it under the same
    /// idempotency key; or `refused`, for the reason that `error` gives.
    status: String,
    /// The request ID of this memory, by which its status can be queried.
    request_id: String,
    /// The ID of the memory, if it is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_id: Option<String>,
    /// Memories that are nearly the same, the most similar first; left out unless this memory asked for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    near_duplicates: Option<Vec<NearDuplicateAnswer>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Problem>,
}

impl BulkCreateAnswer {
    fn new(request_id: RequestId) -> Self {
        Self {
            status: "done".to_owned(),
            request_id: request_id.to_string(),
            stored: 0,
            accepted: 0,
            duplicates: 0,
            refused: 0,
            results: Vec::new(),
        }
    }

    /// An error of the next memory that names its place.
    fn placed(&self, error: MemoryError) -> ApiError {
        match error {
            MemoryError::Invalid(error) => error.within(&place(self.results.len())).into(),
            error => error.into(),
        }
    }

    /// Adds the outcome of the next memory, which was requested under that ID.
    fn add(&mut self, requested_as: RequestId, outcome: Result<EachCreated, ApiError>) {
        let (mut request_id, mut memory_id, mut error, mut near) = (requested_as, None, None, None);
        let (status, count) = match outcome {
            Ok(EachCreated { created, is_duplicate, near_duplicates }) => {
                near = near_duplicates.as_deref().map(NearDuplicateAnswer::all);
                let counted = match created {
                    Created::Stored(stored) => {
                        (request_id, memory_id) = (stored.request_id, Some(stored.memory.id.to_string()));
                        ("stored", &mut self.stored)
                    }
                    Created::Accepted { request_id: accepted } => {
                        request_id = accepted;
                        ("accepted", &mut self.accepted)
                    }
                };
                if is_duplicate { ("duplicate", &mut self.duplicates) } else { counted }
            }
            Err(refusal) => {
                error = Some(as_problem(&refusal, requested_as));
                ("refused", &mut self.refused)
            }
        };
        *count += 1;
        let (status, request_id) = (status.to_owned(), request_id.to_string());
        self.results.push(BulkCreateResult { status, request_id, memory_id, near_duplicates: near, error });
    }
}

/// Which memories to delete: those that match the filters, which have at least one condition.
#[derive(Deserialize, Object)]
#[oai(rename = "BulkDeletion")]
#[serde(deny_unknown_fields, remote = "Self")]
struct BulkDeleteBody {
    filters: FiltersBody,
    /// The `confirmation` of an earlier answer to the same filters. Left out, nothing is deleted.
    #[oai(validator(min_length = 1, max_length = 64))]
    confirmation: Option<String>,
}

impl BulkDeleteBody {
    /// Converts it.
    ///
    /// # Errors
    /// [`InvalidValue`] that names the member.
    fn read(self) -> Result<(MemoryFilter, Option<String>), InvalidValue> {
        let filter = self.filters.read().map_err(|error| error.within("filters"))?;
        Ok((filter, self.confirmation))
    }
}

/// The outcome of a deletion by filters.
#[derive(Object, Serialize)]
struct BulkDeleteAnswer {
    /// `dry_run`: nothing was deleted; `deleted`; or `partly_deleted`: repeat the request from its dry run on.
    status: String,
    /// Identifies this request in the log.
    request_id: String,
    /// How many memories match; in a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    matching: Option<u64>,
    /// Send it with the same filters to delete these memories; in a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    confirmation: Option<String>,
    /// How many memories were deleted.
    deleted: u64,
    /// How many memories could not be deleted, the first of them for the reason that `error` gives; left out if none.
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Problem>,
}

impl BulkDeleteAnswer {
    fn new(request_id: RequestId, deletion: Deletion) -> Self {
        let answer = |status: &str| Self {
            status: status.to_owned(),
            request_id: request_id.to_string(),
            matching: None,
            confirmation: None,
            deleted: 0,
            failed: None,
            error: None,
        };
        match deletion {
            Deletion::Planned { matching, confirmation } => {
                Self { matching: Some(matching), confirmation: Some(confirmation), ..answer("dry_run") }
            }
            Deletion::Done { deleted, reason: None, .. } => Self { deleted, ..answer("deleted") },
            Deletion::Done { deleted, failed, reason: Some(reason) } => {
                let error = Some(as_problem(&reason.into(), request_id));
                Self { deleted, failed: Some(failed), error, ..answer("partly_deleted") }
            }
        }
    }
}
