//! `memgate connect`: connects an assistant.

mod check;
mod gpt;
mod instructions;
mod mcp;
mod skill;

use clap::Subcommand;

use super::CliError;
use crate::config::Config;
use crate::domain::applications::{ApplicationName, ClientKind, GrantType, NewApplication, Permission};

/// Connect an assistant: register it, and print what to paste where.
#[derive(Debug, Subcommand)]
pub(super) enum Connect {
    Gpt(gpt::Gpt),
    Mcp(mcp::Mcp),
    Skill(skill::Skill),
}

impl Connect {
    pub(super) async fn run(self, config: &Config) -> Result<(), CliError> {
        match self {
            Self::Gpt(gpt) => gpt.run(config).await,
            Self::Mcp(mcp) => mcp.run(config).await,
            Self::Skill(skill) => skill.run(),
        }
    }
}

/// An application for people who authorize it, with the permissions that are named, or all if none is.
fn for_people(name: ApplicationName, kind: ClientKind, permissions: &[Permission]) -> NewApplication {
    let grants = [GrantType::AuthorizationCode, GrantType::RefreshToken].into();
    let usual = NewApplication::new(name, kind, grants);
    match permissions {
        [] => usual,
        given => NewApplication { permissions: given.iter().copied().collect(), ..usual },
    }
}
