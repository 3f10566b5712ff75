//! `memgate connect mcp`: a client of the Model Context Protocol.

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::check;
use crate::cli::{CliError, find, open, output, public_url};
use crate::config::Config;
use crate::domain::applications::{ApplicationName, NewApplication, Permission, RedirectUri, SpaceName};
use crate::domain::ids::ApplicationId;
use crate::domain::oauth::PublicUrl;

/// Register an MCP client and print what to enter, or the text of its configuration file.
///
/// The people who use the client sign in here and get memories of their own. With --same-memories-as they find the memories
/// that they have with another application, such as a Custom GPT; nothing is copied.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  memgate connect mcp --client claude --public-url https://memory.example.com
  memgate connect mcp --client chatgpt --same-memories-as CLIENT_ID_OF_THE_GPT

docs/mcp.md leads through it from the beginning.")]
pub(in crate::cli) struct ConnectMcp {
    /// The client
    #[arg(long, value_enum, default_value = "claude")]
    client: McpClient,
    /// Name shown to people on the consent page, 1 to 100 characters [default: that of the client]
    #[arg(long)]
    name: Option<ApplicationName>,
    /// The URL at which the client and people reach this service [default: MEMGATE_PUBLIC_URL]
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// Permission, repeatable: memory:read, memory:write, memory:delete [default: all]
    #[arg(long = "permission", value_name = "PERMISSION")]
    permissions: Vec<Permission>,
    /// The application (its client_id) whose memory space it shares [default: a space of its own]
    #[arg(long, value_name = "CLIENT_ID")]
    same_memories_as: Option<ApplicationId>,
    /// Do not check first that the public URL is reachable
    #[arg(long)]
    skip_check: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// A client whose settings are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum McpClient {
    /// Claude on the web, on the desktop and on phones, and Claude Code
    Claude,
    /// ChatGPT's connectors and plugins
    Chatgpt,
    /// Visual Studio Code
    Vscode,
    /// Cursor
    Cursor,
    /// Codex
    Codex,
    /// Gemini CLI
    Gemini,
}

/// What to do with a registered client.
struct Steps {
    /// What to do, in words.
    instructions: Vec<String>,
    /// The file that a text goes into, and the text.
    file: Option<(&'static str, String)>,
}

impl McpClient {
    fn title(self) -> &'static str {
        match self {
            Self::Claude => "Claude",
            Self::Chatgpt => "ChatGPT",
            Self::Vscode => "VS Code",
            Self::Cursor => "Cursor",
            Self::Codex => "Codex",
            Self::Gemini => "Gemini CLI",
        }
    }

    /// Clients on a computer listen on any port of it.
    fn redirect_uris(self) -> &'static [&'static str] {
        match self {
            Self::Claude => &[RedirectUri::CLAUDE, "http://localhost/callback"],
            Self::Chatgpt => &[RedirectUri::CHATGPT_CONNECTOR],
            Self::Vscode => &["http://127.0.0.1/", "https://vscode.dev/redirect"],
            Self::Cursor => &["cursor://anysphere.cursor-mcp/oauth/callback"],
            Self::Codex => &["http://127.0.0.1/callback"],
            Self::Gemini => &["http://localhost/oauth/callback"],
        }
    }

    fn steps(self, url: &str, id: &str) -> Steps {
        let written = |value: &Value| format!("{value:#}");
        match self {
            Self::Claude => Steps {
                instructions: vec![
                    "Claude: Settings > Connectors > Add custom connector.".to_owned(),
                    format!("  Remote MCP server URL  {url}"),
                    format!("  OAuth Client ID        {id}   (under Advanced settings; leave the secret empty)"),
                    "Claude Code:".to_owned(),
                    format!("  claude mcp add --transport http --client-id {id} memgate {url}"),
                ],
                file: None,
            },
            Self::Chatgpt => Steps {
                instructions: vec![
                    "ChatGPT: Settings > Apps & Connectors > Advanced settings > Developer mode, then Create."
                        .to_owned(),
                    format!("  MCP Server URL  {url}"),
                    "  Authentication  OAuth".to_owned(),
                    format!("  Client ID       {id}   (leave the secret empty)"),
                ],
                file: None,
            },
            Self::Vscode => Steps {
                instructions: vec![format!("VS Code asks for a client ID at the first connection: {id}")],
                file: Some((
                    ".vscode/mcp.json",
                    written(&json!({ "servers": { "memgate": { "type": "http", "url": url } } })),
                )),
            },
            Self::Cursor => Steps {
                instructions: vec!["Cursor: Settings > MCP shows the server, and signs in.".to_owned()],
                file: Some((
                    "~/.cursor/mcp.json",
                    written(&json!({ "mcpServers": { "memgate": { "url": url, "auth": { "CLIENT_ID": id } } } })),
                )),
            },
            Self::Codex => Steps {
                instructions: vec!["Then sign in: codex mcp login memgate".to_owned()],
                file: Some((
                    "~/.codex/config.toml",
                    format!(
                        "[mcp_servers.memgate]\nurl = \"{url}\"\n\n[mcp_servers.memgate.oauth]\nclient_id = \"{id}\"\n\
                         callback_url = \"http://127.0.0.1/callback\""
                    ),
                )),
            },
            Self::Gemini => Steps {
                instructions: vec!["Then sign in, in Gemini CLI: /mcp auth memgate".to_owned()],
                file: Some((
                    "~/.gemini/settings.json",
                    written(&json!({
                        "mcpServers": { "memgate": { "httpUrl": url, "oauth": { "enabled": true, "clientId": id } } }
                    })),
                )),
            },
        }
    }
}

impl ConnectMcp {
    pub(super) async fn run(self, config: &Config) -> Result<(), CliError> {
        let public_url = self.public_url(config)?;
        if !self.skip_check {
            check::reaches_a_gate(&public_url).await?;
        }
        let backend = open(config).await?;
        let space = match self.same_memories_as {
            Some(id) => Some(find::application(&backend, id).await?.space.clone()),
            None => None,
        };
        let (client, json) = (self.client, self.json);
        let registration = backend.applications().register(self.into_new(space)?).await.map_err(CliError::failed)?;
        let application = &registration.application;
        let url = format!("{}/mcp", public_url.base());
        let id = application.client_id.to_string();
        let Steps { instructions, file } = client.steps(&url, &id);
        if json {
            let mut value = json!({
                "name": application.name.as_str(), "client": client.title(), "url": url, "client_id": id,
                "space": application.space.as_str(), "instructions": instructions.join("\n"),
            });
            if let Some((file, content)) = &file {
                value["file"] = json!(file);
                value["content"] = json!(content);
            }
            return output::json(&value);
        }
        output::line(format!("Registered {}, client ID {id}.", application.name))?;
        if let Some((file, content)) = &file {
            output::line(format!("\nPut this into {file}:\n\n{content}\n"))?;
        } else {
            output::line("")?;
        }
        for line in &instructions {
            output::line(line)?;
        }
        output::line("\nPeople sign in with an account: create one with `memgate user create LOGIN`.")
    }

    fn into_new(self, space: Option<SpaceName>) -> Result<NewApplication, CliError> {
        let name = self.name.map_or_else(|| self.client.title().parse(), Ok).map_err(CliError::failed)?;
        let uris = self.client.redirect_uris().iter().map(|uri| uri.parse());
        let redirect_uris = uris.collect::<Result<_, _>>().map_err(CliError::failed)?;
        let usual = NewApplication::for_mcp_client(name, redirect_uris).permitting(&self.permissions);
        Ok(NewApplication { space, ..usual })
    }

    /// The public URL, which vendors reach only over https; a client on this computer takes http as well.
    fn public_url(&self, config: &Config) -> Result<PublicUrl, CliError> {
        let given = self.public_url.as_deref();
        let url = public_url::given_or_configured(given, config)?.ok_or_else(|| {
            CliError::Usage(
                "say at which address clients reach this service: set MEMGATE_PUBLIC_URL, or use --public-url".into(),
            )
        })?;
        let from_outside = matches!(self.client, McpClient::Claude | McpClient::Chatgpt);
        if from_outside && !url.is_https() {
            return Err(CliError::Usage(format!(
                "the public URL must be https, such as https://memory.example.com; it is {url}"
            )));
        }
        Ok(url)
    }
}
