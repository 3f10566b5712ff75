//! A memory bank that remembers nothing and costs next to nothing: behind the bare proxy, behind memgate, or alone, it is the
//! same. It speaks as much of the API of the self-hosted mem0 as a search needs, and can be told to be slow or unwell.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use poem::http::StatusCode;
use poem::web::{Data, Json, Path};
use poem::{EndpointExt as _, IntoEndpoint, IntoResponse, Response, Route, get, handler, post};
use serde::Deserialize;
use serde_json::{Value, json};

const WELL: u8 = 0;
/// Two of a hundred searches take half a second longer.
const SLOW: u8 = 1;
/// Nothing but 503.
const FAILING: u8 = 2;

const SLOW_PERCENT: u64 = 2;
const DELAY: Duration = Duration::from_millis(500);

/// Three memories as memgate stores them, but for whose they are.
const RESULTS: &str = r#"{"results":[{"id":"019b0a4e-21aa-7d02-8a3c-5f1f7d1a9c01","memory":"Marta is allergic to hazelnuts and all other tree nuts; peanuts are fine. She wants every recipe suggestion checked for nut flour and praline.","hash":"900150983cd24fb0d6963f7d28e17f72","metadata":{"memgate_tenant":TENANT,"memgate_write_id":"019b0a4e-21aa-7d02-8a3c-5f1f7d1a9c01","memgate_categories":"[\"health\",\"diet\"]","memgate_metadata":"{\"source\":\"chat\",\"pinned\":true}","memgate_priority":"normal","memgate_created_at":1767622814000,"memgate_updated_at":1767622814000,"memgate_expires_at":0},"score":0.92,"created_at":"2026-01-05T14:20:14.115362+00:00","updated_at":"2026-01-05T14:20:14.115362+00:00","user_id":TENANT,"role":"user"},{"id":"019b0a4e-21aa-7d02-8a3c-5f1f7d1a9c02","memory":"Tomas has been vegetarian since 2019 and is lactose intolerant. Oat milk works for him, soy milk gives him a headache.","hash":"900150983cd24fb0d6963f7d28e17f73","metadata":{"memgate_tenant":TENANT,"memgate_write_id":"019b0a4e-21aa-7d02-8a3c-5f1f7d1a9c02","memgate_categories":"[\"diet\",\"health\"]","memgate_metadata":"{\"source\":\"chat\"}","memgate_priority":"normal","memgate_created_at":1767693905000,"memgate_updated_at":1767693905000,"memgate_expires_at":0},"score":0.58,"created_at":"2026-01-06T10:05:05.115362+00:00","updated_at":"2026-01-06T10:05:05.115362+00:00","user_id":TENANT,"role":"user"},{"id":"019b0a4e-21aa-7d02-8a3c-5f1f7d1a9c03","memory":"The lunch place by the office closes at 14:00 on Fridays and needs two days of notice for a table of more than six.","hash":"900150983cd24fb0d6963f7d28e17f74","metadata":{"memgate_tenant":TENANT,"memgate_write_id":"019b0a4e-21aa-7d02-8a3c-5f1f7d1a9c03","memgate_categories":"[\"places\"]","memgate_metadata":"{}","memgate_priority":"normal","memgate_created_at":1770802890000,"memgate_updated_at":1770802890000,"memgate_expires_at":0},"score":0.31,"created_at":"2026-02-11T09:41:30.115362+00:00","updated_at":"2026-02-11T09:41:30.115362+00:00","user_id":TENANT,"role":"user"}]}"#;

#[derive(Default)]
struct Bank {
    mood: AtomicU8,
    searches: AtomicU64,
}

#[derive(Deserialize)]
struct Search {
    filters: Filters,
}

#[derive(Deserialize)]
struct Filters {
    user_id: String,
}

#[handler]
async fn search(Data(bank): Data<&Arc<Bank>>, Json(search): Json<Search>) -> Response {
    let number = bank.searches.fetch_add(1, Ordering::Relaxed);
    match bank.mood.load(Ordering::Relaxed) {
        FAILING => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
        SLOW if mixed(number) % 100 < SLOW_PERCENT => tokio::time::sleep(DELAY).await,
        _ => {}
    }
    let tenant = Value::String(search.filters.user_id).to_string();
    RESULTS.replace("TENANT", &tenant).with_content_type("application/json").into_response()
}

/// So that it cannot be foreseen which search is slow (`SplitMix64`).
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// What memgate asks to see whether it is there.
#[handler]
fn list() -> Json<Value> {
    Json(json!({ "results": [] }))
}

#[handler]
fn set_mood(Data(bank): Data<&Arc<Bank>>, Path(mood): Path<String>) -> Response {
    let mood = match mood.as_str() {
        "well" => WELL,
        "slow" => SLOW,
        "failing" => FAILING,
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    bank.mood.store(mood, Ordering::Relaxed);
    Json(json!({ "mood": mood })).into_response()
}

#[handler]
fn count(Data(bank): Data<&Arc<Bank>>) -> Json<Value> {
    Json(json!({ "searches": bank.searches.load(Ordering::Relaxed) }))
}

/// `POST /search` and `GET /memories` as mem0 has them; `GET /mood/well`, `slow` or `failing` decides how it behaves from
/// then on, and `GET /searches` tells how many searches there were.
pub fn routes() -> impl IntoEndpoint {
    Route::new()
        .at("/search", post(search))
        .at("/memories", get(list))
        .at("/mood/:mood", get(set_mood))
        .at("/searches", get(count))
        .data(Arc::new(Bank::default()))
}
