//! `memgate mcp`: MCP over standard input and output.

use clap::Args;

use super::serve::StopSignals;
use super::{CliError, find, open_with_model};
use crate::config::Config;
use crate::domain::ids::ApplicationId;
use crate::domain::oauth::Subject;
use crate::domain::people::Login;

/// Serve MCP over standard input and output, for a client on this machine
///
/// The client starts this command itself. There is no sign-in: whoever can run it can read the database. Messages are one
/// line of JSON each, on standard input and output; logs go to standard error. It can run beside `memgate serve` on the same
/// database, which must exist.
#[derive(Debug, Args)]
#[command(after_help = "\
An entry in the configuration of a client, such as Claude Desktop or Cursor:
  {\"mcpServers\": {\"memgate\": {\"command\": \"memgate\", \"args\": [\"mcp\", \"--application\", \"CLIENT_ID\", \"--user\", \"LOGIN\"],
                                \"env\": {\"MEMGATE_DATABASE_URL\": \"sqlite:///var/lib/memgate/memgate.db\"}}}}

Create the application with `memgate app create --name 'My editor'`; its permissions decide which tools there are.")]
pub(super) struct Mcp {
    /// The application (its client_id) whose permissions, memory space and rate limit apply
    #[arg(long, value_name = "CLIENT_ID")]
    application: ApplicationId,
    /// The person (login) whose memories are served [default: those of the application itself]
    #[arg(long, value_name = "LOGIN")]
    user: Option<Login>,
}

impl Mcp {
    pub(super) async fn run(self, config: &Config) -> Result<(), CliError> {
        let backend = open_with_model(config).await?;
        let application = find::application(&backend, self.application).await?;
        let subject = match &self.user {
            Some(login) => Subject::Person(find::person(&backend, login).await?.id),
            None => Subject::Application,
        };
        let mut signals = StopSignals::listen()?;
        tokio::select! {
            session = backend.serve_stdio(application.id, subject) => session.map_err(CliError::failed),
            // Whatever was answered is stored.
            _ = signals.next() => Ok(()),
        }
    }
}
