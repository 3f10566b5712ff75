//! mem0, in its three kinds: the self-hosted server, the hosted API of version 3, and version 1.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{Asked, Bank, KEY, Told, serve, similarity};

/// A point in a store: everything but the id is one flat object, as mem0 keeps it.
#[derive(Clone, Debug)]
pub struct Point {
    pub id: String,
    pub payload: Map<String, Value>,
}

/// What a mem0 keeps, and how it behaves.
#[derive(Default)]
pub struct Mem0 {
    pub points: Vec<Point>,
    /// The hosted kinds answer an add with an event that has to be asked for so often until the memory is there.
    pub pending_for: u32,
    /// The longest text, in characters, that the embedding model takes.
    pub longest_embedded: Option<usize>,
    /// What an add fails with, whatever its text.
    pub add_fails: Option<Told>,
    events: Vec<(String, Value, u32)>,
    made: u128,
}

const PROMOTED: [&str; 7] = ["user_id", "agent_id", "run_id", "actor_id", "role", "attributed_to", "expiration_date"];
const CORE: [&str; 5] = ["data", "hash", "created_at", "updated_at", "text_lemmatized"];
const DATE: &str = "2026-11-22T11:17:01.115362+00:00";

pub async fn oss() -> Bank<Mem0> {
    serve(Mem0::default(), &[("x-api-key", KEY)], |bank, asked| {
        let (method, path) = asked.route();
        match (method, path.as_slice()) {
            ("POST", ["memories"]) => {
                if let Some(told) = &bank.add_fails {
                    return told.clone();
                }
                if let Some(problem) = problem_of_id(&asked.body["user_id"]) {
                    return Told::error(400, problem);
                }
                if !bank.embeds(&asked.body["messages"][0]["content"]) {
                    return upstream("provider_bad_request");
                }
                Told::ok(json!({ "results": bank.add(&asked.body) }))
            }
            ("POST", ["search"]) => {
                if !bank.embeds(&asked.body["query"]) {
                    return upstream("provider_bad_request");
                }
                let filtered = &asked.body["filters"]["user_id"];
                problem_of_id(filtered)
                    .map_or_else(|| bank.search_by_filters(&asked.body), |problem| Told::error(400, problem))
            }
            ("GET", ["memories"]) => bank.list_oss(asked),
            (_, ["memories", id]) => {
                if Uuid::try_parse(id).is_err() {
                    return upstream("datastore_unavailable");
                }
                let text = &asked.body["text"];
                if asked.method == "PUT" && !bank.embeds(text) {
                    return upstream("provider_bad_request");
                }
                bank.one(asked, id, || Told::ok(Value::Null))
            }
            _ => Told::error(404, "Not Found"),
        }
    })
    .await
}

/// What the server says when what it depends on fails: `server/errors.py`.
pub fn upstream(code: &str) -> Told {
    let detail = match code {
        "provider_bad_request" => "Provider rejected the request as malformed.",
        "datastore_unavailable" => "The memory database is unreachable.",
        "provider_unavailable" => "Provider is unreachable or returned a server error.",
        _ => "Upstream provider error.",
    };
    Told { status: 502, body: json!({"detail": detail, "code": code, "request_id": "0a1b2c3d"}) }
}

/// What is wrong with an entity's id: `_validate_and_trim_entity_id` of mem0.
fn problem_of_id(id: &Value) -> Option<&'static str> {
    let id = id.as_str().unwrap_or_default();
    if id.is_empty() {
        Some("At least one identifier (user_id, agent_id, run_id) is required.")
    } else if id.contains(char::is_whitespace) {
        Some("Invalid user_id: cannot contain whitespace. Provide a valid identifier without spaces.")
    } else {
        None
    }
}

/// A number that `FastAPI` finds out of range.
fn out_of_range(place: [&str; 2], least: u64, most: u64) -> Told {
    let problem = json!({
        "type": "less_than_equal", "loc": place, "input": "0",
        "msg": format!("Input should be from {least} to {most}"), "ctx": {"le": most},
    });
    Told { status: 422, body: json!({ "detail": [problem] }) }
}

pub async fn platform() -> Bank<Mem0> {
    serve(Mem0::default(), &[("authorization", "Token the-key-of-the-bank")], |bank, asked| {
        let (method, path) = asked.route();
        match (method, path.as_slice()) {
            ("POST", ["v3", "memories", "add", ""]) => bank.add_hosted(&asked.body, |event| event),
            ("POST", ["v3", "memories", "search", ""]) => {
                let (most, threshold) = (asked.body["top_k"].as_u64(), asked.body["threshold"].as_f64());
                if most.is_some_and(|most| !(1..=1_000).contains(&most)) {
                    return Told { status: 400, body: json!({"top_k": ["Ensure this value is between 1 and 1000."]}) };
                }
                if threshold.is_some_and(|threshold| !(0.0..=1.0).contains(&threshold)) {
                    return Told { status: 400, body: json!({"threshold": ["Ensure this value is between 0 and 1."]}) };
                }
                bank.search_by_filters(&asked.body)
            }
            ("POST", ["v3", "memories", ""]) => {
                if !asked.body["user_id"].is_null() {
                    return Told { status: 400, body: json!({"error": "use filters"}) };
                }
                let (page, size) = (asked.number("page").unwrap_or(1), asked.number("page_size").unwrap_or(100));
                if page == 0 || !(1..=200).contains(&size) {
                    return Told {
                        status: 400,
                        body: json!({"page_size": ["Ensure this value is between 1 and 200."]}),
                    };
                }
                let filters = asked.body["filters"].as_object().cloned().unwrap_or_default();
                let all = bank.list(&filters, usize::MAX, 0);
                let results = bank.list(&filters, size, (page - 1) * size);
                let next =
                    (page * size < all.len()).then(|| format!("https://api.mem0.ai/v3/memories/?page={}", page + 1));
                Told::ok(json!({"count": all.len(), "next": next, "previous": null, "results": results}))
            }
            _ => bank.hosted_v1(asked),
        }
    })
    .await
}

/// No limit of its searches is documented, so this takes any.
pub async fn v1() -> Bank<Mem0> {
    serve(Mem0::default(), &[("authorization", "Token the-key-of-the-bank")], |bank, asked| {
        let (method, path) = asked.route();
        match (method, path.as_slice()) {
            ("POST", ["v1", "memories", ""]) => bank.add_hosted(&asked.body, |event| {
                if event["status"] == "PENDING" { json!([event]) } else { event["results"].clone() }
            }),
            ("POST", ["v1", "memories", "search", ""]) => {
                let filters = Map::from_iter([("user_id".to_owned(), asked.body["user_id"].clone())]);
                let most = asked.body["limit"].as_u64().or(asked.body["top_k"].as_u64()).unwrap_or(10);
                Told::ok(json!(bank.search(&asked.body["query"], &filters, most, 0.0)))
            }
            _ => bank.hosted_v1(asked),
        }
    })
    .await
}

impl Mem0 {
    /// At most 1,000 at a time (`ALL_MEMORIES_LIMIT`), and no pages.
    fn list_oss(&self, asked: &Asked) -> Told {
        const MOST: usize = 1_000;
        let most = match asked.query("top_k").map(str::parse) {
            None => 20,
            Some(Ok(most)) if most <= MOST => most,
            Some(_) => return out_of_range(["query", "top_k"], 0, 1_000),
        };
        let user = json!(asked.query("user_id").unwrap_or_default());
        if let Some(problem) = problem_of_id(&user) {
            return Told::error(400, problem);
        }
        let filters = Map::from_iter([("user_id".to_owned(), user)]);
        Told::ok(json!({ "results": self.list(&filters, most, 0) }))
    }

    /// Whether the embedding model takes the text.
    fn embeds(&self, text: &Value) -> bool {
        let length = text.as_str().unwrap_or_default().chars().count();
        self.longest_embedded.is_none_or(|longest| length <= longest)
    }

    fn hosted_v1(&mut self, asked: &Asked) -> Told {
        let (method, path) = asked.route();
        match (method, path.as_slice()) {
            ("GET", ["v1", "event", id, ""]) => self.event(id),
            (_, ["v1", "memories", id, ""]) => {
                self.one(asked, id, || Told { status: 404, body: json!({"error": "Memory not found!"}) })
            }
            _ => Told::error(404, "Not Found"),
        }
    }

    /// Never the same twice, and never twice refused: with `infer: false` nothing is compared.
    fn add(&mut self, body: &Value) -> Vec<Value> {
        assert_eq!(body["infer"], false, "a model must not rewrite what was said");
        let mut payload = body["metadata"].as_object().cloned().unwrap_or_default();
        assert!(payload.values().all(|value| value.is_string() || value.is_number()), "some stores keep nothing else");
        let message = &body["messages"][0];
        payload.insert("user_id".to_owned(), body["user_id"].clone());
        payload.insert("role".to_owned(), message["role"].clone());
        payload.insert("data".to_owned(), message["content"].clone());
        payload.insert("hash".to_owned(), json!("900150983cd24fb0d6963f7d28e17f72"));
        payload.entry("created_at").or_insert(json!(DATE));
        payload.insert("updated_at".to_owned(), json!(DATE));
        self.made += 1;
        let id = Uuid::from_u128(self.made << 64 | 0x8000_0000_0000_0000).to_string();
        self.points.push(Point { id: id.clone(), payload });
        vec![json!({"id": id, "memory": message["content"], "event": "ADD", "actor_id": null, "role": message["role"]})]
    }

    fn add_hosted(&mut self, body: &Value, shape: fn(Value) -> Value) -> Told {
        self.made += 1;
        let event_id = Uuid::from_u128(0xe << 96 | self.made).to_string();
        if self.pending_for > 0 {
            self.events.push((event_id.clone(), body.clone(), self.pending_for));
            let message = "Memory processing has been queued for background execution";
            return Told::ok(shape(json!({"message": message, "status": "PENDING", "event_id": event_id})));
        }
        let results: Vec<Value> = self.add(body).iter().map(hosted_result).collect();
        Told::ok(shape(json!({"status": "SUCCEEDED", "event_id": event_id, "results": results})))
    }

    fn event(&mut self, id: &str) -> Told {
        let Some(index) = self.events.iter().position(|(event, ..)| event == id) else {
            return Told::error(404, "Event not found");
        };
        self.events[index].2 -= 1;
        if self.events[index].2 > 0 {
            return Told::ok(json!({"id": id, "status": "RUNNING", "results": [], "error": null}));
        }
        let (_, body, _) = self.events.remove(index);
        let results: Vec<Value> = self.add(&body).iter().map(hosted_result).collect();
        Told::ok(json!({"id": id, "status": "SUCCEEDED", "results": results, "error": null}))
    }

    fn one(&mut self, asked: &Asked, id: &str, missing: fn() -> Told) -> Told {
        let Some(index) = self.points.iter().position(|point| point.id == id) else {
            return if asked.method == "GET" { missing() } else { Told::error(404, "Memory not found") };
        };
        match asked.method.as_str() {
            "GET" => Told::ok(item(&self.points[index])),
            "PUT" => {
                let payload = &mut self.points[index].payload;
                // Metadata is merged, and the identity stays.
                for (name, value) in asked.body["metadata"].as_object().cloned().unwrap_or_default() {
                    if !PROMOTED.contains(&name.as_str()) {
                        payload.insert(name, value);
                    }
                }
                payload.insert("data".to_owned(), asked.body["text"].clone());
                Told::ok(json!({"message": "Memory updated successfully!"}))
            }
            "DELETE" => {
                self.points.remove(index);
                Told::ok(json!({"message": "Memory deleted successfully!"}))
            }
            _ => Told::error(405, "Method Not Allowed"),
        }
    }

    fn search_by_filters(&self, body: &Value) -> Told {
        if body["query"].as_str().is_none_or(|query| query.trim().is_empty()) {
            return Told::error(400, "Invalid query: cannot be empty or whitespace-only.");
        }
        let Some(filters) = body["filters"].as_object().filter(|_| body["user_id"].is_null()) else {
            return Told::error(400, "filters must contain at least one of: user_id, agent_id, run_id.");
        };
        let most = body["top_k"].as_u64().unwrap_or(10);
        let threshold = body["threshold"].as_f64().unwrap_or(0.1);
        Told::ok(json!({ "results": self.search(&body["query"], filters, most, threshold) }))
    }

    fn search(&self, query: &Value, filters: &Map<String, Value>, most: u64, threshold: f64) -> Vec<Value> {
        let score = |point: &Point| similarity(query.as_str().unwrap(), point.payload["data"].as_str().unwrap());
        let passing = self.points.iter().filter(|point| passes(point, filters));
        let mut found: Vec<(f64, &Point)> = passing.map(|point| (score(point), point)).collect();
        found.retain(|(score, _)| *score >= threshold);
        found.sort_by(|a, b| b.0.total_cmp(&a.0));
        found.truncate(usize::try_from(most).unwrap());
        found
            .into_iter()
            .map(|(score, point)| {
                let mut found = item(point);
                found["score"] = json!(score);
                found
            })
            .collect()
    }

    fn list(&self, filters: &Map<String, Value>, most: usize, skip: usize) -> Vec<Value> {
        self.points.iter().filter(|point| passes(point, filters)).skip(skip).take(most).map(item).collect()
    }
}

fn hosted_result(added: &Value) -> Value {
    json!({"id": added["id"], "data": {"memory": added["memory"]}, "event": "ADD"})
}

/// As the store filters: a star is everything, and what an `AND` says takes the place of what stands beside it.
fn passes(point: &Point, filters: &Map<String, Value>) -> bool {
    let mut effective = filters.clone();
    for more in effective.remove("AND").and_then(|and| and.as_array().cloned()).unwrap_or_default() {
        effective.extend(more.as_object().cloned().unwrap_or_default());
    }
    effective.iter().all(|(name, wanted)| {
        let held = point.payload.get(name);
        if wanted == "*" { held.is_some() } else { held == Some(wanted) }
    })
}

fn item(point: &Point) -> Value {
    let payload = &point.payload;
    let metadata: Map<String, Value> = payload
        .iter()
        .filter(|(name, _)| !PROMOTED.contains(&name.as_str()) && !CORE.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let metadata = if metadata.is_empty() { Value::Null } else { Value::Object(metadata) };
    json!({
        "id": point.id,
        "memory": payload["data"],
        "hash": payload["hash"],
        "metadata": metadata,
        "created_at": payload["created_at"],
        "updated_at": payload["updated_at"],
        "user_id": payload["user_id"],
        "role": payload["role"],
        "a_member_of_a_later_version": {"deep": [1]},
    })
}
