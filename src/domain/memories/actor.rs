//! Who stored or changed a memory.

use std::fmt;
use std::str::FromStr;

use crate::ids::ApplicationId;
use crate::oauth::Caller;
use crate::validation::{InvalidValue, ValueProblem};

/// Who stored or changed a memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Actor {
    /// An application, for itself or on behalf of the person.
    Application(ApplicationId),
    /// The person whose memory it is, on the pages.
    Person,
}

impl Actor {
    const PERSON: &str = "person";

    /// The application of a caller.
    #[must_use]
    pub fn of(caller: &Caller) -> Self {
        Self::Application(caller.application.id)
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Application(id) => id.fmt(f),
            Self::Person => f.write_str(Self::PERSON),
        }
    }
}

impl FromStr for Actor {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        if text == Self::PERSON {
            return Ok(Self::Person);
        }
        let id = text.parse().map_err(|_| InvalidValue::new("by", ValueProblem::NotAnActor))?;
        Ok(Self::Application(id))
    }
}
