//! `memgate connect gpt`: a Custom GPT.

use clap::Args;
use serde_json::json;

use super::check;
use super::instructions::{ACTIONS, instructions};
use crate::cli::{CliError, open, output, public_url};
use crate::config::Config;
use crate::domain::applications::{ApplicationName, NewApplication, Permission, RedirectUri, Registration, SpaceName};
use crate::domain::oauth::PublicUrl;

/// Register a Custom GPT and print what to paste into which field of the GPT editor.
///
/// The people who use the GPT sign in here and get memories of their own: nobody else sees them, not even another person
/// behind the same GPT.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  memgate connect gpt --name 'Trip planner' --public-url https://memory.example.com

docs/gpt-actions.md leads through it from the beginning.")]
pub(in crate::cli) struct Gpt {
    /// Name shown to people on the consent page, 1 to 100 characters
    #[arg(long)]
    name: ApplicationName,
    /// The public https URL for ChatGPT and people [default: MEMGATE_PUBLIC_URL]
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// Permission, repeatable: memory:read, memory:write, memory:delete [default: all]
    #[arg(long = "permission", value_name = "PERMISSION")]
    permissions: Vec<Permission>,
    /// The callback URL shown in the GPT editor, repeatable; it changes whenever the GPT's authentication is edited
    /// [default: gpt-callback, that of any GPT]
    #[arg(long = "redirect-uri", value_name = "URI")]
    redirect_uris: Vec<RedirectUri>,
    /// Memory space to share with other applications of the same people [default: one of its own]
    #[arg(long, value_name = "NAME")]
    space: Option<SpaceName>,
    /// Do not check first that the public URL is reachable
    #[arg(long)]
    skip_check: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Gpt {
    pub(super) async fn run(self, config: &Config) -> Result<(), CliError> {
        let public_url = for_chatgpt(self.public_url.as_deref(), config)?;
        if !self.skip_check {
            check::reaches_a_gate(&public_url).await?;
        }
        let json = self.json;
        let backend = open(config).await?;
        let registration = backend.applications().register(self.into_new()).await.map_err(|error| match error {
            crate::domain::applications::ApplicationError::Invalid(invalid) => CliError::Usage(invalid.to_string()),
            other => CliError::failed(other),
        })?;
        let fields = fields(&registration, public_url.base());
        if json { print_json(&registration, &fields) } else { print(&registration, &fields) }
    }

    fn into_new(self) -> NewApplication {
        let usual = NewApplication::for_gpt(self.name).permitting(&self.permissions);
        let redirect_uris = if self.redirect_uris.is_empty() { usual.redirect_uris } else { self.redirect_uris };
        NewApplication { redirect_uris, space: self.space, ..usual }
    }
}

/// The public URL, which must be one that ChatGPT accepts.
fn for_chatgpt(given: Option<&str>, config: &Config) -> Result<PublicUrl, CliError> {
    let url = public_url::given_or_configured(given, config)?.ok_or_else(|| {
        CliError::Usage(
            "say by which https address ChatGPT reaches this gate: set MEMGATE_PUBLIC_URL, or use --public-url".into(),
        )
    })?;
    if url.is_https() && url.has_default_port() {
        return Ok(url);
    }
    Err(CliError::Usage(format!(
        "the public URL must be https on port 443, such as https://memory.example.com; it is {url}"
    )))
}

/// A field of the GPT editor.
struct Field {
    /// Its name in `--json`.
    name: &'static str,
    /// What the editor calls it.
    label: &'static str,
    value: String,
}

fn fields(registration: &Registration, base: &str) -> Vec<Field> {
    let application = &registration.application;
    let secret = registration.secret.as_ref().map(|secret| secret.expose().to_owned()).unwrap_or_default();
    [
        ("authentication_type", "Authentication type", "OAuth".to_owned()),
        ("client_id", "Client ID", application.client_id.to_string()),
        ("client_secret", "Client Secret", secret),
        ("authorization_url", "Authorization URL", format!("{base}/auth/authorize")),
        ("token_url", "Token URL", format!("{base}/auth/token")),
        ("scope", "Scope", application.permissions.to_string()),
        ("token_exchange_method", "Token Exchange Method", "Default (POST request)".to_owned()),
        ("schema_url", "Schema (Import from URL)", format!("{base}/openapi/gpt-actions.json")),
        ("privacy_policy_url", "Privacy policy", format!("{base}/privacy")),
    ]
    .map(|(name, label, value)| Field { name, label, value })
    .into()
}

fn print(registration: &Registration, fields: &[Field]) -> Result<(), CliError> {
    output::line(format!("Registered {}. In the GPT editor (Configure):", registration.application.name))?;
    output::line("")?;
    output::line("Actions > Create new action, and paste:")?;
    let width = fields.iter().map(|field| field.label.len()).max().unwrap_or_default();
    for field in fields {
        output::line(format!("  {:width$}  {}", field.label, field.value))?;
    }
    output::line("")?;
    output::line("Store the secret now: only its hash is kept, and it is not shown again.")?;
    output::line("")?;
    output::line("Instructions, to be put before your own:")?;
    output::line("")?;
    output::line(instructions(&ACTIONS, registration.application.permissions))?;
    output::line("")?;
    output::line("People sign in with an account: make one with `memgate user create LOGIN`.")
}

fn print_json(registration: &Registration, fields: &[Field]) -> Result<(), CliError> {
    let application = &registration.application;
    let instructions = instructions(&ACTIONS, application.permissions);
    let mut value = json!({ "name": application.name.as_str(), "instructions": instructions });
    for field in fields {
        value[field.name] = field.value.as_str().into();
    }
    output::json(&value)
}
