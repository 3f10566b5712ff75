//! The parameters of a request to an OAuth endpoint, whichever way they came.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use super::error::OAuthError;

/// Accepts Base64 with and without padding, since clients differ.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The parameters of one request: none twice, and none with a control character.
#[derive(Default)]
pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// How many a request may have. The grants need fewer than ten.
    pub const MAX: usize = 64;

    /// Reads `application/x-www-form-urlencoded` in UTF-8.
    ///
    /// # Errors
    /// [`OAuthError::InvalidRequest`] that says what is wrong.
    pub fn from_form(body: &[u8]) -> Result<Self, OAuthError> {
        let invalid = || OAuthError::InvalidRequest("the body is not a well-formed UTF-8 form".to_owned());
        let mut parameters = Self::default();
        for pair in body.split(|b| *b == b'&').filter(|pair| !pair.is_empty()) {
            let mut halves = pair.splitn(2, |b| *b == b'=');
            let name = decode_form_component(halves.next().unwrap_or_default()).ok_or_else(invalid)?;
            let value = decode_form_component(halves.next().unwrap_or_default()).ok_or_else(invalid)?;
            parameters.add(name, value)?;
        }
        Ok(parameters)
    }

    /// Reads a JSON object with the same members as the form; each that is used must be a string, and `null` counts as
    /// absent.
    ///
    /// # Errors
    /// [`OAuthError::InvalidRequest`] that says what is wrong.
    pub fn from_json(body: &[u8]) -> Result<Self, OAuthError> {
        let object: JsonObject = serde_json::from_slice(body)
            .map_err(|_| OAuthError::InvalidRequest("the body is not a well-formed JSON object".to_owned()))?;
        let mut parameters = Self::default();
        for (name, value) in object.0 {
            match value {
                serde_json::Value::String(value) => parameters.add(name, value)?,
                serde_json::Value::Null => parameters.add(name, String::new())?,
                _ if KNOWN.contains(&name.as_str()) => {
                    return Err(OAuthError::InvalidRequest(format!("the member `{name}` must be a string")));
                }
                _ => parameters.add(name, String::new())?,
            }
        }
        Ok(parameters)
    }

    /// The value of a parameter; an empty one counts as absent (RFC 6749 §3.2).
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str()).filter(|v| !v.is_empty())
    }

    /// The value of a parameter that must be there.
    ///
    /// # Errors
    /// [`OAuthError::InvalidRequest`] naming the parameter.
    pub fn require(&self, name: &str) -> Result<&str, OAuthError> {
        self.get(name).ok_or_else(|| OAuthError::InvalidRequest(format!("the parameter `{name}` is missing")))
    }

    fn add(&mut self, name: String, value: String) -> Result<(), OAuthError> {
        let shown = if KNOWN.contains(&name.as_str()) { format!("`{name}`") } else { "that is not known".to_owned() };
        if self.0.len() == Self::MAX {
            return Err(OAuthError::InvalidRequest(format!("there are more than {} parameters", Self::MAX)));
        }
        if value.chars().chain(name.chars()).any(char::is_control) {
            return Err(OAuthError::InvalidRequest(format!("a parameter {shown} contains a control character")));
        }
        if self.0.iter().any(|(known, _)| *known == name) {
            return Err(OAuthError::InvalidRequest(format!("a parameter {shown} is given more than once")));
        }
        self.0.push((name, value));
        Ok(())
    }
}

/// The parameters that some endpoint reads: only these are named in errors.
const KNOWN: [&str; 7] =
    ["grant_type", "client_id", "client_secret", "scope", "refresh_token", "token", "token_type_hint"];

/// Values may be secrets.
impl fmt::Debug for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// The members of an object in their order, repeated ones included, which a map would hide.
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
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(JsonObject(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// The id and the secret of a Basic header (RFC 6749 §2.3.1: each form-encoded, then joined as RFC 7617 says).
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

/// Undoes `+` and `%XX`. `None` for a `%` without two hexadecimal digits, and for what is not UTF-8.
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
