//! The protected resources of this service.

use std::str::FromStr;

use crate::validation::InvalidValue;

/// A protected resource of this service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resource {
    /// The REST API.
    #[default]
    Api,
    /// The Model Context Protocol.
    Mcp,
}

impl Resource {
    /// The name in storage and configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Mcp => "mcp",
        }
    }
}

impl FromStr for Resource {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        match text {
            "api" => Ok(Self::Api),
            "mcp" => Ok(Self::Mcp),
            _ => Err(InvalidValue::new("default_resource", "must be api or mcp")),
        }
    }
}
