//! The headers by which an assistant describes the origin of a request. ChatGPT sends them by itself; they are not
//! documented as parameters, because its actions do not support header parameters.

use poem::Request;
use poem::http::header;

use crate::domain::audit::{Context, ContextId};
use crate::domain::validation::InvalidValue;

const GPT_ID: &str = "openai-gpt-id";
const CONVERSATION_ID: &str = "openai-conversation-id";
/// A substring of the header `User-Agent`.
const USER_AGENT: &str = "ChatGPT-User";
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The context from the headers. An invalid ID is ignored: the person cannot correct it, and nothing depends on it.
pub(crate) fn context(request: &Request) -> Context {
    let read = |name| request.header(name).and_then(|id| ContextId::parse(name, id).ok());
    Context { custom_gpt_id: read(GPT_ID), conversation_id: read(CONVERSATION_ID) }
}

/// Whether a request comes from ChatGPT, which rejects responses of 100,000 characters or more.
pub(crate) fn asks(request: &Request) -> bool {
    let from_gpt = [GPT_ID, CONVERSATION_ID].iter().any(|name| request.headers().contains_key(*name));
    from_gpt || request.header(header::USER_AGENT).is_some_and(|agent| agent.contains(USER_AGENT))
}

/// The header `Idempotency-Key`.
///
/// # Errors
/// [`InvalidValue`] if it is given twice, or contains anything but visible ASCII characters.
pub(crate) fn idempotency_key(request: &Request) -> Result<Option<String>, InvalidValue> {
    let refuse = |problem: &str| InvalidValue::new("Idempotency-Key", problem);
    let mut values = request.headers().get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(refuse("is given more than once"));
    }
    let key = value.to_str().map_err(|_| refuse("must consist of visible ASCII characters"))?;
    Ok(Some(key.to_owned()))
}
