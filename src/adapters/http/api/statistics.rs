//! `/api/v1/categories` and `/api/v1/statistics`: what there is.

use poem::Request;
use poem_openapi::OpenApi;

use super::dto::statistics::{CategoriesAnswer, StatisticsAnswer};
use super::memories::page_size;
use crate::adapters::http::openapi::scalar::PageSize;
use crate::adapters::http::openapi::tag::Tag;
use crate::adapters::http::server::bearer::Bearer;
use crate::adapters::http::server::error::ListFailure;
use crate::adapters::http::server::exchange::Exchange;
use crate::adapters::http::server::payload::Json;
use crate::adapters::http::server::query::{self, Parameter};
use crate::domain::memories::Limit;
use crate::domain::oauth::Read;

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
        limit: Parameter<PageSize>,
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
