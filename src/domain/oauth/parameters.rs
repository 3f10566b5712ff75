//! The parameters of a request to an OAuth endpoint, from any encoding.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::error::OAuthError;

/// Accepts Base64 with and without padding, since clients differ.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The parameters of one request: no control characters, and no duplicates except for repeatable ones.
#[derive(Default)]
pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Maximum number of parameters of a request. The grants need fewer than ten.
    pub const MAX: usize = 64;

    /// Parses `application/x-www-form-urlencoded` in UTF-8.
    ///
    /// # Errors
    /// [`OAuthError::InvalidRequest`] with the problem.
    pub fn from_form(body: &[u8]) -> Result<Self, OAuthError> {
        let mut parameters = Self::default();
        for pair in pairs(body) {
            let (name, value) = pair.map_err(Fault::into_error)?;
            parameters.add(name, value).map_err(Fault::into_error)?;
        }
        Ok(parameters)
    }

    /// Parses the query of an authorization request, in the same format. An invalid parameter is recorded and left out, because
    /// the client must be told at its redirect URI; the first fault is returned. Nothing after the first [`MAX`](Self::MAX)
    /// parameters is parsed. Unrecognized parameters are ignored, even if malformed (RFC 6749 §3.1).
    #[must_use]
    pub fn from_query(query: &[u8]) -> (Self, Option<QueryFault>) {
        let mut parameters = Self::default();
        let mut fault: Option<QueryFault> = None;
        for (index, pair) in pairs(query).enumerate() {
            if index == Self::MAX {
                fault.get_or_insert(QueryFault { names: Vec::new(), problem: too_many() });
                break;
            }
            let recognised = is_recognised(&pair);
            let added = pair.and_then(|(name, value)| match &fault {
                // A third occurrence must not make it valid again.
                Some(fault) if fault.concerns(&[&name]) => Ok(()),
                _ => parameters.add(name, value),
            });
            if let Err(Fault { name, problem }) = added
                && recognised
            {
                let fault = fault.get_or_insert(QueryFault { names: Vec::new(), problem });
                parameters.0.retain(|(known, _)| Some(known) != name.as_ref());
                fault.names.extend(name);
            }
        }
        (parameters, fault)
    }

    /// Parses a JSON object with the same members as the form; each that is used must be a string, or a list of strings if
    /// it is repeatable, and `null` counts as absent.
    ///
    /// # Errors
    /// [`OAuthError::InvalidRequest`] that says what is wrong.
    pub fn from_json(body: &[u8]) -> Result<Self, OAuthError> {
        let object: JsonObject = serde_json::from_slice(body)
            .map_err(|_| OAuthError::InvalidRequest("the body is not a well-formed JSON object".to_owned()))?;
        let mut parameters = Self::default();
        for (name, value) in object.0 {
            match value {
                serde_json::Value::String(value) => parameters.add(name, value).map_err(Fault::into_error)?,
                serde_json::Value::Null => parameters.add(name, String::new()).map_err(Fault::into_error)?,
                serde_json::Value::Array(values) if may_repeat(&name) => {
                    for value in values {
                        let serde_json::Value::String(value) = value else {
                            let problem = format!("the member `{name}` must be a string or a list of strings");
                            return Err(OAuthError::InvalidRequest(problem));
                        };
                        parameters.add(name.clone(), value).map_err(Fault::into_error)?;
                    }
                }
                _ if KNOWN.contains(&name.as_str()) => {
                    return Err(OAuthError::InvalidRequest(format!("the member `{name}` must be a string")));
                }
                _ => parameters.add(name, String::new()).map_err(Fault::into_error)?,
            }
        }
        Ok(parameters)
    }

    /// The value of a parameter; an empty one counts as absent (RFC 6749 §3.2).
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str()).filter(|v| !v.is_empty())
    }

    /// All values of a repeatable parameter, in order; empty ones count as absent.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(known, value)| known == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// The value of a required parameter.
    ///
    /// # Errors
    /// [`OAuthError::InvalidRequest`] naming the parameter.
    pub fn require(&self, name: &str) -> Result<&str, OAuthError> {
        self.get(name).ok_or_else(|| OAuthError::InvalidRequest(format!("the parameter `{name}` is missing")))
    }

    fn add(&mut self, name: String, value: String) -> Result<(), Fault> {
        // First, because the search for a duplicate compares with all previous parameters.
        if self.0.len() == Self::MAX {
            return Err(Fault { name: Some(name), problem: too_many() });
        }
        let refuse = |name: String, problem: &str| {
            let shown = if KNOWN.contains(&name.as_str()) { &*format!("`{name}`") } else { "that is not known" };
            let problem = format!("a parameter {shown} {problem}");
            Err(Fault { name: Some(name), problem })
        };
        if value.chars().chain(name.chars()).any(char::is_control) {
            return refuse(name, "contains a control character");
        }
        if !may_repeat(&name) && self.0.iter().any(|(known, _)| *known == name) {
            return refuse(name, "is given more than once");
        }
        self.0.push((name, value));
        Ok(())
    }
}

fn too_many() -> String {
    format!("there are more than {} parameters", Parameters::MAX)
}

/// The problem of one parameter, and its name if that is readable.
struct Fault {
    name: Option<String>,
    problem: String,
}

impl Fault {
    fn into_error(self) -> OAuthError {
        OAuthError::InvalidRequest(self.problem)
    }
}

/// The problems of a query.
#[derive(Debug)]
pub struct QueryFault {
    /// At most [`Parameters::MAX`].
    names: Vec<String>,
    problem: String,
}

impl QueryFault {
    /// Whether one of these parameters is invalid.
    #[must_use]
    pub fn concerns(&self, names: &[&str]) -> bool {
        self.names.iter().any(|name| names.contains(&name.as_str()))
    }
}

impl fmt::Display for QueryFault {
    /// The first problem. It repeats nothing of the request.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem)
    }
}

/// The pairs of a form.
fn pairs(form: &[u8]) -> impl Iterator<Item = Result<(String, String), Fault>> {
    form.split(|b| *b == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
        let mut halves = pair.splitn(2, |b| *b == b'=');
        let name = decode_form_component(halves.next().unwrap_or_default());
        let value = decode_form_component(halves.next().unwrap_or_default());
        match (name, value) {
            (Some(name), Some(value)) => Ok((name, value)),
            (name, _) => Err(Fault { name, problem: "the request is not a well-formed UTF-8 form".to_owned() }),
        }
    })
}

/// The parameters that some endpoint uses: only these are named in errors.
const KNOWN: [&str; 20] = [
    "grant_type",
    "client_id",
    "client_secret",
    "scope",
    "refresh_token",
    "token",
    "token_type_hint",
    "response_type",
    "response_mode",
    "redirect_uri",
    "state",
    "code",
    "code_challenge",
    "code_challenge_method",
    "code_verifier",
    "resource",
    "audience",
    "prompt",
    "max_age",
    SIGNED_IN_AFTER,
];

/// Those of [`KNOWN`] that may be repeated (RFC 8707 §2, RFC 8693 §2.1).
const REPEATABLE: [&str; 2] = ["resource", "audience"];

/// A parameter of our own: the person must have signed in at this time or later, in seconds since the epoch. It replaces
/// `prompt` and `max_age` in the request that continues once the person has signed in.
pub(super) const SIGNED_IN_AFTER: &str = "memgate_signed_in_after";

fn may_repeat(name: &str) -> bool {
    REPEATABLE.contains(&name)
}

/// Whether a pair belongs to a parameter that some endpoint uses.
fn is_recognised(pair: &Result<(String, String), Fault>) -> bool {
    let name = match pair {
        Ok((name, _)) => Some(name),
        Err(fault) => fault.name.as_ref(),
    };
    name.is_some_and(|name| KNOWN.contains(&name.as_str()))
}

/// Values may be secrets.
impl fmt::Debug for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// The first members of an object in order, including duplicates, which a map would hide. One more than the maximum is kept,
/// to detect that there are too many.
struct JsonObject(Vec<(String, serde_json::Value)>);

impl<'de> Deserialize<'de> for JsonObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = JsonObject;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<JsonObject, A::Error> {
                let mut members = Vec::new();
                while members.len() <= Parameters::MAX {
                    let Some(member) = map.next_entry()? else { return Ok(JsonObject(members)) };
                    members.push(member);
                }
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(JsonObject(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// The ID and the secret of a Basic header (RFC 6749 §2.3.1: each form-encoded, then joined as in RFC 7617).
///
/// `None` if the header is anything else.
#[must_use]
pub fn parse_basic(header: &[u8]) -> Option<(String, String)> {
    let (scheme, encoded) = header.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let decoded = BASE64.decode(encoded.trim_ascii()).ok()?;
    let colon = decoded.iter().position(|b| *b == b':')?;
    let id = decode_form_component(&decoded[..colon])?;
    let secret = decode_form_component(&decoded[colon + 1..])?;
    Some((id, secret))
}

/// Decodes `+` and `%XX`. `None` for a `%` without two hexadecimal digits, and for invalid UTF-8.
fn decode_form_component(encoded: &[u8]) -> Option<String> {
    let mut bytes = Cow::Borrowed(encoded);
    if encoded.iter().any(|b| matches!(b, b'+' | b'%')) {
        let mut decoded = Vec::with_capacity(encoded.len());
        let mut rest = encoded.iter();
        while let Some(byte) = rest.next() {
            decoded.push(match byte {
                b'+' => b' ',
                b'%' => hex_digit(*rest.next()?)? * 16 + hex_digit(*rest.next()?)?,
                byte => *byte,
            });
        }
        bytes = Cow::Owned(decoded);
    }
    String::from_utf8(bytes.into_owned()).ok()
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests;
