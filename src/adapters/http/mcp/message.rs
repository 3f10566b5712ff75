//! A JSON-RPC message, parsed as far as authorization needs it. rmcp implements the protocol itself.

use poem::http::StatusCode;
use serde_json::{Map, Value, json};

/// The methods that name what they call.
const NAMING: [&str; 2] = ["tools/call", "prompts/get"];

/// What the endpoint must know about a message before it is passed on.
#[derive(Debug, PartialEq)]
pub(super) struct Message {
    /// The id of a request; `None` for a notification or for the client's own response.
    pub(super) id: Option<Value>,
    /// The method of a request or notification.
    pub(super) method: Option<String>,
    /// The name of the tool of `tools/call`, or of the prompt of `prompts/get`.
    pub(super) name: Option<String>,
}

/// Why a body is not a message (JSON-RPC 2.0 §5.1).
#[derive(Debug, PartialEq, thiserror::Error)]
pub(super) enum InvalidMessage {
    /// It is not JSON.
    #[error("the body is not well-formed JSON")]
    Malformed,
    /// It is JSON, but not a message.
    #[error("{problem}")]
    Invalid {
        /// The ID, if there is a valid one.
        id: Option<Value>,
        /// The problem.
        problem: &'static str,
    },
}

impl InvalidMessage {
    /// The JSON-RPC error; its HTTP status is 400.
    pub(super) fn to_json(&self) -> Value {
        let (code, id) = match self {
            Self::Malformed => (-32700, None),
            Self::Invalid { id, .. } => (-32600, id.clone()),
        };
        error(id, code, &self.to_string())
    }

    /// The HTTP status.
    pub(super) fn status() -> StatusCode {
        StatusCode::BAD_REQUEST
    }
}

/// A JSON-RPC error response.
pub(super) fn error(id: Option<Value>, code: i32, message: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id.unwrap_or(Value::Null), "error": {"code": code, "message": message}})
}

impl Message {
    /// Parses one message.
    ///
    /// # Errors
    /// [`InvalidMessage`]: not JSON, a batch, no `jsonrpc`, an id that is `null` or of another type.
    pub(super) fn parse(body: &[u8]) -> Result<Self, InvalidMessage> {
        let value: Value = serde_json::from_slice(body).map_err(|_| InvalidMessage::Malformed)?;
        let message = match value {
            Value::Object(message) => message,
            Value::Array(_) => {
                return Err(InvalidMessage::Invalid {
                    id: None,
                    problem: "batches are not supported; send one message",
                });
            }
            _ => return Err(InvalidMessage::Invalid { id: None, problem: "a message must be a JSON object" }),
        };
        let id = message.get("id").filter(|id| id.is_string() || id.is_i64() || id.is_u64()).cloned();
        let refuse = |problem| Err(InvalidMessage::Invalid { id: id.clone(), problem });
        if message.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return refuse("the member jsonrpc must be \"2.0\"");
        }
        if message.contains_key("id") && id.is_none() {
            return refuse("the member id must be a string or an integer");
        }
        let method = match message.get("method") {
            Some(Value::String(method)) => Some(method.clone()),
            Some(_) => return refuse("the member method must be a string"),
            None => None,
        };
        let is_response = message.contains_key("result") || message.contains_key("error");
        if method.is_none() && !is_response {
            return refuse("the member method is missing");
        }
        let name = method.as_deref().filter(|method| NAMING.contains(method)).and_then(|_| name_in(&message));
        Ok(Self { id: if method.is_some() { id } else { None }, method, name })
    }
}

fn name_in(message: &Map<String, Value>) -> Option<String> {
    Some(message.get("params")?.get("name")?.as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &str) -> Value {
        Message::parse(body.as_bytes()).unwrap_err().to_json()
    }

    #[test]
    fn a_request_is_read_as_far_as_authorization_needs_it() {
        let call = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"search","arguments":{}}}"#;
        let message = Message::parse(call.as_bytes()).unwrap();
        assert_eq!(
            message,
            Message { id: Some(json!(7)), method: Some("tools/call".to_owned()), name: Some("search".to_owned()) }
        );
        let other = r#"{"jsonrpc":"2.0","id":"a","method":"tools/list","params":{"name":"search"}}"#;
        assert_eq!(Message::parse(other.as_bytes()).unwrap().name, None);
        let notification = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        assert_eq!(Message::parse(notification.as_bytes()).unwrap().id, None);
        let response = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
        assert_eq!(Message::parse(response.as_bytes()).unwrap(), Message { id: None, method: None, name: None });
    }

    #[test]
    fn what_is_no_message_is_refused_with_its_id_where_there_is_one() {
        for (body, code, id) in [
            ("", -32700, Value::Null),
            ("{", -32700, Value::Null),
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping""#, -32700, Value::Null),
            ("[]", -32600, Value::Null),
            (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, -32600, Value::Null),
            ("5", -32600, Value::Null),
            ("null", -32600, Value::Null),
            (r#"{"id":1,"method":"ping"}"#, -32600, json!(1)),
            (r#"{"jsonrpc":"1.0","id":"a","method":"ping"}"#, -32600, json!("a")),
            (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, -32600, Value::Null),
            (r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, -32600, Value::Null),
            (r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, -32600, Value::Null),
            (r#"{"jsonrpc":"2.0","id":2,"method":3}"#, -32600, json!(2)),
            (r#"{"jsonrpc":"2.0","id":3}"#, -32600, json!(3)),
        ] {
            let error = refused(body);
            assert_eq!((&error["error"]["code"], &error["id"]), (&json!(code), &id), "{body}");
            assert_eq!(error["jsonrpc"], "2.0");
        }
    }

    #[test]
    fn deep_nesting_is_malformed_and_not_a_stack_overflow() {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{}1{}}}"#,
            "[".repeat(10_000),
            "]".repeat(10_000)
        );
        assert_eq!(refused(&body)["error"]["code"], -32700);
    }
}
