//! `memgate connect`: connects an assistant.

mod check;
mod gpt;
mod instructions;
mod mcp;
mod skill;

use clap::Subcommand;

use super::CliError;
use crate::config::Config;

/// Connect an assistant: register it, and print what to paste where.
#[derive(Debug, Subcommand)]
pub(super) enum Connect {
    Gpt(gpt::Gpt),
    Mcp(mcp::ConnectMcp),
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
