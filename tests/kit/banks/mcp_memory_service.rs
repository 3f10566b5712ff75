//! mcp-memory-service 12.2.0.

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::{Asked, Bank, Told, serve, similarity};

/// One memory of one store.
#[derive(Clone, Debug)]
pub struct Row {
    pub hash: String,
    pub store: String,
    pub content: String,
    pub tags: Vec<String>,
    pub metadata: Map<String, Value>,
    pub created_at: f64,
}

/// What an mcp-memory-service keeps.
#[derive(Default)]
pub struct McpMemoryService {
    pub rows: Vec<Row>,
    /// Its embedding service is unavailable: it answers 200, and says that it could not.
    pub cannot_embed: bool,
}

/// `MCP_HTTP_MAX_BODY_BYTES`.
const MAX_BODY_BYTES: usize = 1024 * 1024;

const CREDENTIALS: &[(&str, &str)] =
    &[("authorization", "Bearer the-key-of-the-bank"), ("x-api-key", "the-key-of-the-bank")];

pub async fn mcp_memory_service() -> Bank<McpMemoryService> {
    serve(McpMemoryService::default(), CREDENTIALS, |bank, asked| {
        let (method, path) = asked.route();
        match (method, path.as_slice()) {
            _ if asked.body.to_string().len() > MAX_BODY_BYTES => {
                let problem = format!("Request body exceeds the maximum of {MAX_BODY_BYTES} bytes");
                Told { status: 413, body: json!({"error": "payload_too_large", "error_description": problem}) }
            }
            ("POST", ["api", "memories"]) => bank.add(&asked.body),
            ("GET", ["api", "memories"]) => bank.list(asked),
            ("POST", ["api", "search"]) => bank.search(&asked.body),
            ("POST", ["api", "search", "by-tag"]) => bank.search_by_tag(&asked.body),
            (_, ["api", "memories", hash]) => bank.one(asked, hash),
            ("GET", ["api", "health"]) => Told::ok(json!({"status": "healthy"})),
            _ => Told::error(404, "Not Found"),
        }
    })
    .await
}

impl McpMemoryService {
    /// The hash is that of the text alone, and it is unique over all stores.
    fn add(&mut self, body: &Value) -> Told {
        let refuse = |message: &str| {
            Told::ok(json!({"success": false, "message": message, "content_hash": null, "memory": null}))
        };
        let content = body["content"].as_str().unwrap();
        let store = body["store"].as_str().unwrap_or("default");
        let hash = hash_of(content);
        if let Some(row) = self.rows.iter().find(|row| row.hash == hash) {
            let elsewhere =
                if row.store == store { String::new() } else { format!("; already exists in store '{}'", row.store) };
            return refuse(&format!("Duplicate content detected (exact match){elsewhere}"));
        }
        let alike = |row: &&Row| row.store == store && similarity(content, &row.content) >= 0.85;
        if body["conversation_id"].is_null()
            && let Some(row) = self.rows.iter().find(alike)
        {
            return refuse(&format!("Duplicate content detected (semantically similar to {})", row.hash));
        }
        if self.cannot_embed {
            return refuse("Failed to generate embedding: connection refused");
        }
        let mut metadata = body["metadata"].as_object().cloned().unwrap_or_default();
        for name in ["tags", "type"] {
            metadata.remove(name);
        }
        metadata.insert("conversation_id".to_owned(), body["conversation_id"].clone());
        let mut tags: Vec<String> =
            body["tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap().to_owned()).collect();
        if tags.is_empty() {
            tags.push("untagged".to_owned());
        }
        let created_at = 1_795_346_221.115_362 + f64::from(u32::try_from(self.rows.len()).unwrap());
        let row = Row {
            hash: hash.clone(),
            store: store.to_owned(),
            content: content.to_owned(),
            tags,
            metadata,
            created_at,
        };
        let memory = memory(&row);
        self.rows.push(row);
        Told::ok(json!({
            "success": true, "message": "Memory stored successfully", "content_hash": hash, "memory": memory
        }))
    }

    fn list(&self, asked: &Asked) -> Told {
        let (page, size) = (asked.number("page").unwrap_or(1), asked.number("page_size").unwrap_or(10));
        if page == 0 || !(1..=100).contains(&size) {
            return out_of_range("page_size");
        }
        let store = asked.query("store").unwrap_or("default");
        let mut rows: Vec<&Row> = self.rows.iter().filter(|row| store == "all" || row.store == store).collect();
        rows.sort_by(|a, b| b.created_at.total_cmp(&a.created_at));
        let memories: Vec<Value> = rows.iter().skip((page - 1) * size).take(size).map(|row| memory(row)).collect();
        let has_more = page * size < rows.len();
        Told::ok(
            json!({"memories": memories, "total": rows.len(), "page": page, "page_size": size, "has_more": has_more}),
        )
    }

    /// It notes in each memory that it finds what was searched for.
    fn search(&mut self, body: &Value) -> Told {
        let most = body["n_results"].as_u64().unwrap_or(10);
        if !(1..=100).contains(&most) {
            return out_of_range("n_results");
        }
        let (query, store) = (body["query"].as_str().unwrap(), body["store"].as_str().unwrap_or("default"));
        let threshold = body["similarity_threshold"].as_f64().unwrap_or(0.0);
        if !(0.0..=1.0).contains(&threshold) {
            return out_of_range("similarity_threshold");
        }
        let fit = |row: &Row| f64::midpoint(1.0, similarity(query, &row.content));
        let mut rows: Vec<&mut Row> = self.rows.iter_mut().filter(|row| store == "all" || row.store == store).collect();
        rows.sort_by(|a, b| fit(b).total_cmp(&fit(a)));
        let results: Vec<Value> = rows
            .into_iter()
            .take(usize::try_from(most).unwrap())
            .filter(|row| fit(row) >= threshold)
            .map(|row| {
                row.metadata.insert("access_count".to_owned(), json!(1));
                row.metadata.insert("access_queries".to_owned(), json!([{"query": query, "timestamp": 1.5}]));
                json!({"memory": memory(row), "similarity_score": fit(row), "relevance_reason": "Semantic similarity"})
            })
            .collect();
        Told::ok(json!({"results": results, "total_found": results.len(), "query": query, "search_type": "semantic"}))
    }

    fn search_by_tag(&self, body: &Value) -> Told {
        if body["limit"].as_u64().is_some_and(|limit| !(1..=100).contains(&limit)) {
            return out_of_range("limit");
        }
        let wanted: Vec<&str> = body["tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap()).collect();
        let store = body["store"].as_str().unwrap_or("default");
        let has = |row: &&Row| row.store == store && wanted.iter().all(|tag| row.tags.iter().any(|each| each == tag));
        let results: Vec<Value> = self
            .rows
            .iter()
            .filter(has)
            .map(|row| json!({"memory": memory(row), "similarity_score": null, "relevance_reason": "Tags match"}))
            .collect();
        Told::ok(json!({"results": results, "total_found": results.len(), "query": "Tags", "search_type": "tag"}))
    }

    /// A memory is looked up in the store that is asked for, and deleted by its hash alone.
    fn one(&mut self, asked: &Asked, hash: &str) -> Told {
        let store = asked.query("store").unwrap_or("default");
        let found = self.rows.iter().position(|row| row.hash == hash && (store == "all" || row.store == store));
        match (asked.method.as_str(), found) {
            (_, None) => Told::error(404, "Memory not found"),
            ("GET", Some(index)) => Told::ok(memory(&self.rows[index])),
            ("DELETE", Some(index)) => {
                self.rows.remove(index);
                Told::ok(json!({"success": true, "message": "Successfully deleted memory", "content_hash": hash}))
            }
            _ => Told::error(405, "Method Not Allowed"),
        }
    }
}

fn hash_of(content: &str) -> String {
    format!("{:x}", Sha256::digest(content.trim().to_lowercase()))
}

fn memory(row: &Row) -> Value {
    json!({
        "content": row.content,
        "content_hash": row.hash,
        "tags": row.tags,
        "memory_type": null,
        "metadata": row.metadata,
        "created_at": row.created_at,
        "created_at_iso": "2026-11-22T11:17:01.115362Z",
        "updated_at": row.created_at,
        "updated_at_iso": "2026-11-22T11:17:01.115362Z",
    })
}

fn out_of_range(field: &str) -> Told {
    let problem = json!({"type": "less_than_equal", "loc": ["body", field], "msg": "Input should be less than or equal to 100", "input": 1});
    Told { status: 422, body: json!({ "detail": [problem] }) }
}
