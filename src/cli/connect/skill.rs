//! `memgate connect skill`: what a Custom GPT's instructions say, for assistants that read skills.

use clap::Args;

use super::instructions::{TOOLS, instructions};
use crate::cli::{CliError, output};
use crate::domain::applications::{Permission, Permissions};

/// Print the text of a skill (SKILL.md) that tells an assistant when to use its memory.
///
/// It says for the tools of MCP what the instructions of a Custom GPT say for its actions. Nothing is registered. Put it where
/// the assistant looks for skills, with what else the GPT was told below it.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  memgate connect skill > SKILL.md

docs/mcp.md says where it goes.")]
pub(in crate::cli) struct Skill {
    /// Permission that the client has, repeatable: memory:read, memory:write, memory:delete [default: all]
    #[arg(long = "permission", value_name = "PERMISSION")]
    permissions: Vec<Permission>,
}

impl Skill {
    pub(super) fn run(self) -> Result<(), CliError> {
        let permissions = match self.permissions.as_slice() {
            [] => Permissions::all(),
            given => given.iter().copied().collect(),
        };
        output::line(format!(
            "---\n\
             name: memgate\n\
             description: Long-term memory of the person you talk to. Use it before you answer anything that may depend on \
             what they told you earlier, and when they tell you something that will still matter later.\n\
             ---\n\n\
             {}",
            instructions(&TOOLS, permissions)
        ))
    }
}
