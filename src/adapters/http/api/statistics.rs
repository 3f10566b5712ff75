//! `/api/v1/categories` and `/api/v1/statistics`: what there is.

use poem::Request;
use poem_openapi::{Object, OpenApi};
use serde::Serialize;

use super::memories::page_size;
use crate::adapters::http::openapi::scalar::{CategoryLimit, DateTime};
use crate::adapters::http::openapi::tag::Tag;
use crate::adapters::http::server::bearer::Bearer;
use crate::adapters::http::server::error::ListFailure;
use crate::adapters::http::server::exchange::Exchange;
use crate::adapters::http::server::payload::Json;
use crate::adapters::http::server::query::{self, Parameter};
use crate::domain::ids::RequestId;
use crate::domain::memories::{Actor, Limit, MemoryStatistics};
use crate::domain::oauth::{Caller, Read};

pub(crate) struct StatisticsApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Memories")]
impl StatisticsApi {
    /// List the categories
    ///
    /// The categories that memories have, and how many have each, the most used first.
    #[oai(path = "/categories", method = "get", operation_id = "listCategories")]
    async fn categories(
        &self,
        request: &Request,
        exchange: &Exchange,
        caller: Bearer<Read>,
        /// Maximum number of categories.
        limit: Parameter<CategoryLimit>,
    ) -> Result<Json<CategoriesAnswer>, ListFailure> {
        let Exchange { services, request_id, .. } = exchange;
        query::refuse_unknown(request, &["limit"])?;
        let limit = limit.text.as_deref().map(page_size).transpose()?.unwrap_or(Limit::CATEGORIES);
        exchange.answer.reserve(&caller, 1).await?;
        let statistics = services.memories.statistics(&caller, *request_id).await?;
        Ok(Json(CategoriesAnswer::new(*request_id, &statistics, limit)))
    }

    /// Get statistics
    ///
    /// How many memories there are, when the oldest and the newest were created, the 100 most used categories, and how many
    /// each application stored.
    #[oai(path = "/statistics", method = "get", operation_id = "getStatistics")]
    async fn statistics(
        &self,
        exchange: &Exchange,
        caller: Bearer<Read>,
    ) -> Result<Json<StatisticsAnswer>, ListFailure> {
        let Exchange { services, request_id, .. } = exchange;
        exchange.answer.reserve(&caller, 1).await?;
        let statistics = services.memories.statistics(&caller, *request_id).await?;
        Ok(Json(StatisticsAnswer::new(*request_id, &caller, &statistics)))
    }
}

/// How many applications are named.
const APPLICATIONS: usize = 100;

/// A category, and how many memories have it.
#[derive(Object, Serialize)]
struct CategoryCount {
    /// The category.
    category: String,
    /// How many memories have it.
    memories: u64,
}

/// An application, and how many memories it stored.
#[derive(Object, Serialize)]
struct ApplicationCount {
    /// The ID of the application.
    application_id: String,
    /// How many memories it stored.
    memories: u64,
}

/// The categories with the most memories first.
fn most_used(statistics: &MemoryStatistics, limit: Limit) -> Vec<CategoryCount> {
    let most = statistics.most_used().into_iter().take(usize::try_from(limit.get()).unwrap_or(usize::MAX));
    most.map(|(category, memories)| CategoryCount { category: category.to_string(), memories }).collect()
}

fn count(categories: usize) -> u64 {
    u64::try_from(categories).unwrap_or(u64::MAX)
}

/// The categories that memories have.
#[derive(Object, Serialize)]
struct CategoriesAnswer {
    /// Always `success`.
    status: String,
    /// Identifies this request in the log.
    request_id: String,
    /// The categories, the most used first. A memory with several is counted in each of them.
    categories: Vec<CategoryCount>,
    /// How many categories there are in all.
    total: u64,
    /// How many memories have no category.
    uncategorized: u64,
}

impl CategoriesAnswer {
    fn new(request_id: RequestId, statistics: &MemoryStatistics, limit: Limit) -> Self {
        Self {
            status: "success".to_owned(),
            request_id: request_id.to_string(),
            categories: most_used(statistics, limit),
            total: count(statistics.by_category.len()),
            uncategorized: statistics.uncategorized,
        }
    }
}

/// What there is in the caller's memory space.
#[derive(Object, Serialize)]
struct StatisticsAnswer {
    /// Always `success`.
    status: String,
    /// Identifies this request in the log.
    request_id: String,
    /// The memory space.
    space: String,
    /// How many memories there are.
    memories: u64,
    /// When the oldest was created; left out if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest: Option<DateTime>,
    /// When the newest was created; left out if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    newest: Option<DateTime>,
    /// The 100 most used categories. A memory with several is counted in each of them.
    categories: Vec<CategoryCount>,
    /// How many categories there are in all.
    total_categories: u64,
    /// How many memories have no category.
    uncategorized: u64,
    /// The 100 applications that stored the most memories.
    applications: Vec<ApplicationCount>,
    /// How many memories the person stored on their pages.
    stored_by_person: u64,
    /// How many memories an earlier version stored, which did not note by whom.
    stored_by_unknown: u64,
}

impl StatisticsAnswer {
    fn new(request_id: RequestId, caller: &Caller, statistics: &MemoryStatistics) -> Self {
        Self {
            status: "success".to_owned(),
            request_id: request_id.to_string(),
            space: caller.application().space.to_string(),
            memories: statistics.memories,
            oldest: statistics.oldest.map(DateTime::from),
            newest: statistics.newest.map(DateTime::from),
            categories: most_used(statistics, Limit::CATEGORIES),
            total_categories: count(statistics.by_category.len()),
            uncategorized: statistics.uncategorized,
            applications: statistics
                .most_active()
                .into_iter()
                .take(APPLICATIONS)
                .map(|(id, memories)| ApplicationCount { application_id: id.to_string(), memories })
                .collect(),
            stored_by_person: statistics.stored_by(Some(Actor::Person)),
            stored_by_unknown: statistics.stored_by(None),
        }
    }
}
