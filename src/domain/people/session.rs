//! The secrets in a browser's cookies: of a signed-in person, and of a sign-in attempt.
//!
//! Both are 256 random bits. Everything else that is bound to that browser (the hidden token of a form; `state`, `nonce` and
//! code verifier for an identity provider) is derived from them, so it needs no storage, and nobody can compute it without
//! the cookie.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::ids::UserId;
use crate::system::{Entropy, Timestamp};

/// The length of 256 bits in URL-safe Base64.
const LENGTH: usize = 43;

/// The session of a signed-in person in one browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its ID in the store.
    pub id: SessionId,
    /// The person.
    pub person: UserId,
    /// When the person signed in.
    pub signed_in_at: Timestamp,
    /// When it expires.
    pub expires_at: Timestamp,
}

impl Session {
    /// Maximum number of sessions per person, including expired ones that were not swept yet.
    pub const MAX_PER_PERSON: u32 = 100;
}

/// The ID of a session: the digest of its token, which does not authenticate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionId([u8; 32]);

impl SessionId {
    /// Accepts a stored ID.
    #[must_use]
    pub fn from_stored(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The ID in stored form.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

macro_rules! kept_by_a_browser {
    ($(#[$doc:meta])* $name:ident, $make:ident, $form:literal) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(SecretString);

        impl $name {
            /// A new one.
            pub fn $make(entropy: &dyn Entropy) -> Self {
                Self(SecretString::from(entropy.url_safe_token()))
            }

            /// Parses a cookie; `None` if it is malformed.
            #[must_use]
            pub fn parse(presented: &str) -> Option<Self> {
                is_token(presented).then(|| Self(SecretString::from(presented.to_owned())))
            }

            /// The secret itself, for the cookie.
            #[must_use]
            pub fn expose(&self) -> &str {
                self.0.expose_secret()
            }

            /// The CSRF token of its pages' forms.
            #[must_use]
            pub fn form_token(&self) -> FormToken {
                FormToken(derived($form, self.expose()))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    };
}

kept_by_a_browser!(
    /// The token of a session. Only its browser has it.
    SessionToken, generate, "session form"
);
kept_by_a_browser!(
    /// A sign-in attempt, from the sign-in page to the verification. It binds these to one browser, so that nobody can be signed
    /// in to somebody else's account (login CSRF).
    SignInAttempt, begin, "sign-in form"
);

/// The browser and the purpose for which a passkey is asked.
#[derive(Clone, Copy)]
pub struct PasskeyCeremony([u8; 32]);

impl PasskeyCeremony {
    /// What distinguishes it from every other.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for PasskeyCeremony {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasskeyCeremony(…)")
    }
}

impl SessionToken {
    /// Adding a passkey in this browser.
    #[must_use]
    pub fn passkey_ceremony(&self) -> PasskeyCeremony {
        PasskeyCeremony(digest("passkey registration", self.expose()))
    }

    /// The ID of the session in the store.
    #[must_use]
    pub fn id(&self) -> SessionId {
        SessionId(digest("session", self.expose()))
    }

    /// What proves that `text` was put into a form of this session by us. The outer digest keeps anybody from appending to
    /// the text.
    #[must_use]
    pub fn seal(&self, text: &str) -> FormToken {
        let inner = digest("sealed text", &format!("{}\0{text}", self.expose()));
        FormToken(derived("seal", &format!("{}\0{}", self.expose(), URL_SAFE_NO_PAD.encode(inner))))
    }
}

impl SignInAttempt {
    /// Signing in with a passkey in this browser.
    #[must_use]
    pub fn passkey_ceremony(&self) -> PasskeyCeremony {
        PasskeyCeremony(digest("passkey sign-in", self.expose()))
    }

    /// `state` for the identity provider.
    #[must_use]
    pub fn state(&self) -> FormToken {
        FormToken(derived("identity provider state", self.expose()))
    }

    /// `nonce` for the identity provider.
    #[must_use]
    pub fn nonce(&self) -> SecretString {
        SecretString::from(derived("identity provider nonce", self.expose()))
    }

    /// The code verifier for the identity provider (RFC 7636).
    #[must_use]
    pub fn code_verifier(&self) -> SecretString {
        SecretString::from(derived("identity provider code verifier", self.expose()))
    }
}

/// Proves that a form, or a response of the identity provider, belongs to this browser.
pub struct FormToken(String);

impl FormToken {
    /// The token in the form, or in the URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `presented` is this token. Constant-time.
    #[must_use]
    pub fn matches(&self, presented: &str) -> bool {
        self.0.as_bytes().ct_eq(presented.as_bytes()).into()
    }
}

impl fmt::Debug for FormToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FormToken(…)")
    }
}

fn is_token(text: &str) -> bool {
    text.len() == LENGTH && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

fn digest(purpose: &str, secret: &str) -> [u8; 32] {
    Sha256::new()
        .chain_update("memgate ")
        .chain_update(purpose)
        .chain_update("\0")
        .chain_update(secret)
        .finalize()
        .into()
}

fn derived(purpose: &str, secret: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(purpose, secret))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::testing::SeededEntropy;

    #[test]
    fn everything_that_is_derived_differs_by_purpose_and_by_secret() {
        let entropy = SeededEntropy::default();
        let mut seen = HashSet::new();
        for _ in 0..3 {
            let session = SessionToken::generate(&entropy);
            let attempt = SignInAttempt::begin(&entropy);
            for derived in [
                session.expose().to_owned(),
                URL_SAFE_NO_PAD.encode(session.id().as_bytes()),
                URL_SAFE_NO_PAD.encode(session.passkey_ceremony().as_bytes()),
                URL_SAFE_NO_PAD.encode(attempt.passkey_ceremony().as_bytes()),
                session.form_token().as_str().to_owned(),
                attempt.expose().to_owned(),
                attempt.form_token().as_str().to_owned(),
                attempt.state().as_str().to_owned(),
                attempt.nonce().expose_secret().to_owned(),
                attempt.code_verifier().expose_secret().to_owned(),
            ] {
                assert_eq!(derived.len(), LENGTH);
                assert!(seen.insert(derived));
            }
        }
    }

    #[test]
    fn what_a_browser_kept_is_read_back_to_the_same() {
        let entropy = SeededEntropy::default();
        let session = SessionToken::generate(&entropy);
        assert_eq!(SessionToken::parse(session.expose()).unwrap().id(), session.id());
        let attempt = SignInAttempt::begin(&entropy);
        let again = SignInAttempt::parse(attempt.expose()).unwrap();
        assert!(again.form_token().matches(attempt.form_token().as_str()));
        assert!(!again.state().matches(attempt.form_token().as_str()));
        assert!(!again.form_token().matches(""));
    }

    #[test]
    fn garbage_is_no_token() {
        for garbage in ["", "short", &"a".repeat(42), &"a".repeat(44), &"é".repeat(43), &format!("{}=", "a".repeat(42))]
        {
            assert!(SessionToken::parse(garbage).is_none(), "{garbage}");
            assert!(SignInAttempt::parse(garbage).is_none(), "{garbage}");
        }
    }

    #[test]
    fn nothing_secret_is_printed() {
        let entropy = SeededEntropy::default();
        let (session, attempt) = (SessionToken::generate(&entropy), SignInAttempt::begin(&entropy));
        let form_token = session.form_token();
        for (printed, expected) in [
            (format!("{session:?}"), "SessionToken(…)"),
            (format!("{attempt:?}"), "SignInAttempt(…)"),
            (format!("{form_token:?}"), "FormToken(…)"),
        ] {
            assert_eq!(printed, expected);
        }
        let nonce = attempt.nonce();
        assert!(!format!("{nonce:?}").contains(nonce.expose_secret()));
    }
}
