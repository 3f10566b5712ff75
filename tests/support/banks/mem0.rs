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
            ("POST", ["memories"]) => Told::ok(json!({ "results": bank.add(&asked.body) })),
            ("POST", ["search"]) => bank.search_by_filters(&asked.body),
            ("GET", ["memories"]) => match asked.query("user_id") {
                None => Told::error(400, "At least one identifier is required."),
                Some(user) => {
                    let filters = Map::from_iter([("user_id".to_owned(), json!(user))]);
                    Told::ok(json!({ "results": bank.list(&filters, asked.number("top_k").unwrap_or(20), 0) }))
                }
            },
            (_, ["memories", id]) => {
                if Uuid::try_parse(id).is_err() {
                    let body = json!({"detail": "x", "code": "datastore_unavailable", "request_id": "req-1"});
                    return Told { status: 502, body };
                }
                bank.one(asked, id, || Told::ok(Value::Null))
            }
            _ => Told::error(404, "Not Found"),
        }
    })
    .await
}

pub async fn platform() -> Bank<Mem0> {
    serve(Mem0::default(), &[("authorization", "Token the-key-of-the-bank")], |bank, asked| {
        let (method, path) = asked.route();
        match (method, path.as_slice()) {
            ("POST", ["v3", "memories", "add", ""]) => bank.add_hosted(&asked.body, |event| event),
            ("POST", ["v3", "memories", "search", ""]) => bank.search_by_filters(&asked.body),
            ("POST", ["v3", "memories", ""]) => {
                if !asked.body["user_id"].is_null() {
                    return Told { status: 400, body: json!({"error": "use filters"}) };
                }
                let (page, size) = (asked.number("page").unwrap_or(1), asked.number("page_size").unwrap_or(100));
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
