//! Identifiers, each with its own type, so that they cannot be mixed up.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use crate::system::{Entropy, Timestamp};
use crate::validation::{InvalidValue, ValueProblem};

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $field:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// A new random id.
            pub fn generate(entropy: &dyn Entropy) -> Self {
                Self(entropy.uuid())
            }

            /// Accepts an existing ID.
            #[must_use]
            pub fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The id as a UUID.
            #[must_use]
            pub fn as_uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidValue;

            fn from_str(text: &str) -> Result<Self, InvalidValue> {
                Uuid::try_parse(text).map(Self).map_err(|_| {
                    InvalidValue::new($field, "must be a UUID such as 67e55044-10b1-426f-9247-bb680e5fe0c8")
                })
            }
        }
    };
}

uuid_id!(
    /// Identifies an application inside memgate.
    ApplicationId, "application_id"
);
uuid_id!(
    /// Identifies a secret of an application; it is not secret itself.
    SecretId, "secret_id"
);
uuid_id!(
    /// Identifies a grant: one authorization, and all the tokens that descend from it.
    GrantId, "grant_id"
);
uuid_id!(
    /// Identifies one token (the claim `jti`).
    TokenId, "token_id"
);
uuid_id!(
    /// Identifies a person.
    UserId, "user_id"
);
uuid_id!(
    /// Identifies a passkey of a person.
    PasskeyId, "passkey_id"
);
uuid_id!(
    /// Identifies one HTTP request, and the write that it asked for.
    RequestId, "request_id"
);

impl RequestId {
    /// A new ID that sorts by time.
    pub fn generate_at(entropy: &dyn Entropy, now: Timestamp) -> Self {
        Self(entropy.uuid_at(now))
    }
}

/// The OAuth `client_id`: 1 to 255 visible ASCII characters. A registered application's is its [`ApplicationId`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(String);

impl ClientId {
    const MAX: usize = 255;

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<ApplicationId> for ClientId {
    fn from(id: ApplicationId) -> Self {
        Self(id.to_string())
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ClientId {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        if text.is_empty() || text.len() > Self::MAX || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(InvalidValue::new("client_id", "must be 1 to 255 visible ASCII characters"));
        }
        Ok(Self(text.to_owned()))
    }
}

/// The ID that a memory bank gave a memory: 1 to 128 characters of `A-Z a-z 0-9 - _ . :`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemoryId(String);

impl MemoryId {
    const MAX: usize = 128;

    /// The ID that memgate proposes for the write `request`.
    #[must_use]
    pub fn for_request(request: RequestId) -> Self {
        Self(request.to_string())
    }

    /// The write that proposes this ID, if it is of that kind.
    #[must_use]
    pub fn as_request(&self) -> Option<RequestId> {
        self.0.parse().ok().filter(|request| Self::for_request(*request) == *self)
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MemoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for MemoryId {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.:".contains(&b);
        if text.is_empty() || text.len() > Self::MAX || !text.bytes().all(allowed) {
            return Err(InvalidValue::new("memory_id", ValueProblem::NotAMemoryId));
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests;
