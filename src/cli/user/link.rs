//! One-time links, with which people choose their passwords themselves.

use clap::Args;
use serde_json::json;
use url::Url;

use super::{ByLoginOrId, explain, find};
use crate::app::public_url;
use crate::cli::{CliError, output};
use crate::config::{Config, parse_duration};
use crate::domain::people::{LinkLifetime, LinkPurpose, Login, NewLink, PeopleError, PeopleService};

/// Create an account and print a one-time link with which the person chooses a password
///
/// Nobody else learns the password. The link works once; a newer link and a new password end it. Give it to the person on a
/// way that only they read: whoever opens it first has the account.
#[derive(Debug, Args)]
pub(in crate::cli) struct Invite {
    /// Login: letters, digits and . _ - + @
    #[arg(value_name = "LOGIN")]
    login: Login,
    /// How long the link works
    #[arg(long, value_name = "DURATION", value_parser = lifetime, default_value = "7d")]
    expires_in: LinkLifetime,
    #[command(flatten)]
    printed: Printed,
}

/// Print a one-time link with which a person chooses a new password
///
/// Until it is used the old password works; then every session ends, and applications stay connected. A newer link and a new
/// password end it. It is also for somebody whose invitation has expired.
#[derive(Debug, Args)]
pub(in crate::cli) struct ResetLink {
    #[command(flatten)]
    named: ByLoginOrId,
    /// How long the link works
    #[arg(long, value_name = "DURATION", value_parser = lifetime, default_value = "24h")]
    expires_in: LinkLifetime,
    /// Base of the link [default: MEMGATE_PUBLIC_URL, or the address that `memgate serve` listens on]
    #[arg(long, value_name = "URL")]
    public_url: Option<Url>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Printed {
    /// Base of the link [default: MEMGATE_PUBLIC_URL, or the address that `memgate serve` listens on]
    #[arg(long, value_name = "URL")]
    public_url: Option<Url>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Invite {
    pub(super) async fn run(self, config: &Config, people: &PeopleService) -> Result<(), CliError> {
        let Printed { public_url, json } = self.printed;
        let base = base(config, public_url.as_ref())?;
        let link = people.invite(self.login, self.expires_in).await.map_err(|error| match error {
            PeopleError::Exists => CliError::failed(
                "a person with this login exists already; `memgate user reset-link` prints a link for them, even if their \
                 invitation has expired",
            ),
            other => explain(other),
        })?;
        show(&link, &base, json)
    }
}

impl ResetLink {
    pub(super) async fn run(self, config: &Config, people: &PeopleService) -> Result<(), CliError> {
        let base = base(config, self.public_url.as_ref())?;
        let person = find(people, &self.named).await?;
        let link = people.make_reset_link(person.id, self.expires_in).await.map_err(explain)?;
        show(&link, &base, self.named.json)
    }
}

fn lifetime(text: &str) -> Result<LinkLifetime, String> {
    let lifetime = parse_duration(text).and_then(|duration| LinkLifetime::try_from(duration).ok());
    lifetime.ok_or_else(|| "must be a duration from 1m to 30d, such as 24h".to_owned())
}

/// The public URL without a trailing slash.
fn base(config: &Config, given: Option<&Url>) -> Result<String, CliError> {
    if let Some(url) = given.or(config.public_url.as_ref()) {
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(CliError::Usage("--public-url must be a URL such as https://memory.example.com".into()));
        }
        return Ok(url.as_str().trim_end_matches('/').to_owned());
    }
    if config.listen.port() == 0 {
        let problem = "the port of MEMGATE_LISTEN is chosen at the start, so it cannot be in a link; set MEMGATE_PUBLIC_URL or \
                       --public-url";
        return Err(CliError::Usage(problem.into()));
    }
    Ok(public_url(config, config.listen))
}

fn show(link: &NewLink, base: &str, json: bool) -> Result<(), CliError> {
    let url = format!("{base}/account/set-password?link={}", link.token.expose());
    let (login, until) = (link.person.label(), link.expires_at);
    if json {
        return output::json(&json!({
            "id": link.person.id.to_string(),
            "login": login,
            "purpose": link.purpose.as_str(),
            "url": url,
            "expires_at": until.to_string(),
        }));
    }
    let what = match link.purpose {
        LinkPurpose::Invitation => "The account is created. With this link its owner chooses a password",
        LinkPurpose::Reset => "With this link its owner chooses a new password",
    };
    output::line(format!("{login}: {what}. It works once, until {until}:\n\n  {url}\n"))
}
