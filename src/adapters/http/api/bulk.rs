//! `/api/v1/bulk`: many memories in one request.

use std::time::Duration;

use poem::Request;
use poem_openapi::OpenApi;

use super::assistant;
use super::dto::bulk::{BulkCreateAnswer, BulkCreateBody, BulkDeleteAnswer, BulkDeleteBody};
use crate::adapters::http::openapi::tag::Tag;
use crate::adapters::http::server::bearer::Bearer;
use crate::adapters::http::server::error::{BulkCreateFailure, BulkDeleteFailure};
use crate::adapters::http::server::exchange::Exchange;
use crate::adapters::http::server::payload::Json;
use crate::domain::ids::RequestId;
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
        exchange: &Exchange,
        caller: Bearer<Write>,
        body: Json<BulkCreateBody>,
    ) -> Result<Json<BulkCreateAnswer>, BulkCreateFailure> {
        let Exchange { services, request_id, .. } = exchange;
        if assistant::idempotency_key(request)?.is_some() {
            let problem = "is for one memory; give each of `memories` an `idempotency_key` instead";
            return Err(InvalidValue::new("Idempotency-Key", problem).into());
        }
        let creates = body.0.read(&assistant::context(request))?;
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
