//! PKCE (RFC 7636), `S256` alone.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::validation::InvalidValue;

/// The digest of a code verifier, which the client sent in advance (RFC 7636 §4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeChallenge(String);

impl CodeChallenge {
    /// The only supported method. `plain` would reveal the verifier to whoever sees the request.
    pub const METHOD: &'static str = "S256";
    /// SHA-256 in URL-safe Base64.
    const LENGTH: usize = 43;

    /// The challenge as it was sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it matches `verifier`.
    #[must_use]
    pub fn is_met_by(&self, verifier: &CodeVerifier) -> bool {
        let expected = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.0.expose_secret()));
        expected.as_bytes().ct_eq(self.0.as_bytes()).into()
    }
}

impl FromStr for CodeChallenge {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let url_safe = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if text.len() != Self::LENGTH || !text.bytes().all(url_safe) {
            return Err(InvalidValue::new(
                "code_challenge",
                "must be the SHA-256 of the code verifier in 43 characters of URL-safe Base64",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

/// The code verifier: 43 to 128 unreserved characters (RFC 7636 §4.1).
#[derive(Clone)]
pub struct CodeVerifier(SecretString);

impl FromStr for CodeVerifier {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
        if !(43..=128).contains(&text.len()) || !text.bytes().all(unreserved) {
            return Err(InvalidValue::new("code_verifier", "must be 43 to 128 of A-Z a-z 0-9 - . _ ~"));
        }
        Ok(Self(SecretString::from(text.to_owned())))
    }
}

impl fmt::Debug for CodeVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CodeVerifier(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7636, appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    #[test]
    fn the_vector_of_the_rfc_is_met_and_no_other_verifier_is() {
        let challenge: CodeChallenge = CHALLENGE.parse().unwrap();
        assert_eq!(challenge.as_str(), CHALLENGE);
        assert!(challenge.is_met_by(&VERIFIER.parse().unwrap()));
        assert!(!challenge.is_met_by(&VERIFIER.replace('d', "e").parse().unwrap()));
        assert!(!challenge.is_met_by(&CHALLENGE.parse().unwrap()), "a challenge is not its own verifier");
    }

    #[test]
    fn what_cannot_be_a_challenge_or_a_verifier_is_refused() {
        for text in ["", "short", &"a".repeat(42), &"a".repeat(44), &"+".repeat(43), &format!("{}=", "a".repeat(42))] {
            assert!(text.parse::<CodeChallenge>().is_err(), "{text}");
        }
        for (text, accepted) in [
            ("a".repeat(42), false),
            ("a".repeat(43), true),
            ("~".repeat(128), true),
            ("a".repeat(129), false),
            (" ".repeat(43), false),
            ("é".repeat(43), false),
        ] {
            assert_eq!(text.parse::<CodeVerifier>().is_ok(), accepted, "{text}");
        }
    }

    #[test]
    fn a_verifier_is_not_printed() {
        assert_eq!(format!("{:?}", VERIFIER.parse::<CodeVerifier>().unwrap()), "CodeVerifier(…)");
    }
}
