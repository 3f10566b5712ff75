//! Requests from an assistant: where its headers say that they come from, and how long an answer to it may be. ChatGPT sends
//! these headers by itself; they are not documented as parameters, because its actions do not support header parameters.
//!
//! ChatGPT rejects a response of 100,000 characters or more, and the model then sees nothing at all. A long response
//! therefore ends after a complete memory and says how to get the rest.

use poem::http::header;
use poem::{FromRequest, Request, RequestBody, Result};
use serde::Serialize;

use crate::adapters::http::server::payload::Json;
use crate::domain::audit::{Context, ContextId};
use crate::domain::validation::InvalidValue;

const GPT_ID: &str = "openai-gpt-id";
const CONVERSATION_ID: &str = "openai-conversation-id";
/// A substring of the header `User-Agent`.
const USER_AGENT: &str = "ChatGPT-User";
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Maximum number of characters of JSON for the memories of one response. The rest, up to 100,000, is for the surroundings.
const ROOM: usize = 98_000;
/// Number of characters kept of a text that does not fit even alone. Each can take six in JSON (`\u0001`), and up to
/// 16 KiB of metadata are next to it.
const SHORTENED: usize = 12_000;
/// Appended to a truncated text.
const CUT_MARK: &str = " […]";

/// Where a request comes from.
pub(crate) struct Origin {
    /// The context from the headers. An invalid ID is left out: the person cannot correct it, and nothing depends on it.
    pub(crate) context: Context,
    /// Whether it comes from ChatGPT.
    pub(crate) is_chatgpt: bool,
}

impl<'a> FromRequest<'a> for Origin {
    async fn from_request(request: &'a Request, _body: &mut RequestBody) -> Result<Self> {
        let read = |name| request.header(name).and_then(|id| ContextId::parse(name, id).ok());
        let from_gpt = [GPT_ID, CONVERSATION_ID].iter().any(|name| request.headers().contains_key(*name));
        Ok(Self {
            context: Context { custom_gpt_id: read(GPT_ID), conversation_id: read(CONVERSATION_ID) },
            is_chatgpt: from_gpt || request.header(header::USER_AGENT).is_some_and(|agent| agent.contains(USER_AGENT)),
        })
    }
}

impl Origin {
    /// The response with this body, which fits into what the origin reads.
    pub(crate) fn answer<T: Fit>(&self, mut body: T) -> Json<T> {
        if self.is_chatgpt {
            body.fit();
        }
        Json(body)
    }
}

/// A body of a response that can be made to fit.
pub(crate) trait Fit {
    /// Leaves out or shortens what is too long for an assistant, and says so in the body.
    fn fit(&mut self);
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

/// Something with a text that can be truncated.
pub(crate) trait Shorten {
    /// The text.
    fn text(&mut self) -> &mut String;
}

/// How a list was made to fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fitted {
    /// Number of memories left out at its end.
    pub(crate) left_out: usize,
    /// Whether a text was truncated.
    pub(crate) shortened: bool,
}

impl Fitted {
    /// The note in the response; `rest` says how to get the memories that were left out.
    pub(crate) fn note(self, rest: &str) -> Option<String> {
        let left_out = (self.left_out > 0)
            .then(|| format!("{} more memories did not fit into this answer. {rest}", self.left_out));
        let shortened = self.shortened.then(|| {
            format!("A text that ends with `{CUT_MARK}` is longer than an answer can be; its end can be read outside of ChatGPT only.")
        });
        let notes: Vec<String> = left_out.into_iter().chain(shortened).collect();
        (!notes.is_empty()).then(|| notes.join(" "))
    }
}

/// Makes `memories` fit into one response. At least the first one is kept.
pub(crate) fn fit_all<T: Serialize + Shorten>(memories: &mut Vec<T>) -> Fitted {
    let mut fitted = Fitted::default();
    let mut used = 0;
    let mut kept = 0;
    for memory in &mut *memories {
        fitted.shortened |= fit_one(memory);
        used += characters(memory) + 1;
        if kept > 0 && used > ROOM {
            break;
        }
        kept += 1;
    }
    fitted.left_out = memories.len() - kept;
    memories.truncate(kept);
    fitted
}

/// Makes one memory fit. Returns whether its text was truncated.
pub(crate) fn fit_one(memory: &mut (impl Serialize + Shorten)) -> bool {
    if characters(memory) < ROOM {
        return false;
    }
    let text = memory.text();
    if let Some((end, _)) = text.char_indices().nth(SHORTENED) {
        text.truncate(end);
        text.push_str(CUT_MARK);
    }
    true
}

/// The length of a value in JSON.
fn characters(value: &impl Serialize) -> usize {
    serde_json::to_string(value).map_or(0, |json| json.chars().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Serialize)]
    struct Text(String);

    impl Shorten for Text {
        fn text(&mut self) -> &mut String {
            &mut self.0
        }
    }

    fn texts(lengths: &[usize]) -> Vec<Text> {
        lengths.iter().map(|length| Text("ä".repeat(*length))).collect()
    }

    #[test]
    fn what_fits_stays_as_it_is() {
        for lengths in [vec![], vec![10, 20], vec![30_000, 30_000, 30_000]] {
            let mut memories = texts(&lengths);
            assert_eq!(fit_all(&mut memories), Fitted::default());
            assert_eq!(memories, texts(&lengths));
            assert_eq!(Fitted::default().note("x"), None);
        }
    }

    #[test]
    fn an_answer_ends_with_a_whole_memory() {
        let mut memories = texts(&[32_000, 32_000, 32_000, 32_000, 5]);
        let fitted = fit_all(&mut memories);
        assert_eq!(memories, texts(&[32_000, 32_000, 32_000]));
        assert_eq!(fitted, Fitted { left_out: 2, shortened: false });
        assert_eq!(fitted.note("Ask again.").unwrap(), "2 more memories did not fit into this answer. Ask again.");
    }

    #[test]
    fn a_text_that_is_too_long_by_itself_is_cut_and_says_so() {
        let mut memories = vec![Text("\u{1}".repeat(32_768)), Text("short".to_owned())];
        let fitted = fit_all(&mut memories);
        assert_eq!(fitted, Fitted { left_out: 0, shortened: true });
        assert!(memories[0].0.ends_with(CUT_MARK));
        assert!(characters(&memories) < 100_000);
        assert!(fitted.note("").unwrap().contains(CUT_MARK));
    }
}
