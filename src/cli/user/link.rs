//! One-time links, with which people choose their passwords themselves.

use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};

use super::named::{ByLoginOrId, explain, find};
use crate::adapters::http::{Language, emails};
use crate::app::{self, mailer};
use crate::cli::{CliError, output, public_url};
use crate::config::{Config, parse_duration};
use crate::domain::people::{
    EmailAddress, LinkLifetime, LinkPurpose, Login, MailError, Mailer, NewLink, PeopleError, PeopleService,
};

/// Create an account and make a one-time link with which the person chooses a password
///
/// Nobody else learns the password. The link works once; a newer link and a new password end it. It is sent by e-mail if
/// MEMGATE_SMTP_URL is set, to --email or to a login that is an address. Otherwise it is printed: give it to the person on a way
/// that only they read. Whoever opens it first has the account.
#[derive(Debug, Args)]
pub(in crate::cli) struct Invite {
    /// Login: letters, digits and . _ - + @
    #[arg(value_name = "LOGIN")]
    login: Login,
    /// How long the link works
    #[arg(long, value_name = "DURATION", value_parser = lifetime, default_value = "7d")]
    expires_in: LinkLifetime,
    #[command(flatten)]
    sending: Sending,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Make a one-time link with which a person chooses a new password
///
/// Until it is used the old password works; then every session ends, and applications stay connected. A newer link and a new
/// password end it. It is also for somebody whose invitation has expired. It is sent by e-mail if MEMGATE_SMTP_URL is set, to
/// --email or to a login that is an address, and otherwise printed.
#[derive(Debug, Args)]
pub(in crate::cli) struct ResetLink {
    #[command(flatten)]
    named: ByLoginOrId,
    /// How long the link works
    #[arg(long, value_name = "DURATION", value_parser = lifetime, default_value = "24h")]
    expires_in: LinkLifetime,
    #[command(flatten)]
    sending: Sending,
}

#[derive(Debug, Args)]
struct Sending {
    /// Send the link to this e-mail address
    #[arg(long, value_name = "ADDRESS", conflicts_with = "print")]
    email: Option<EmailAddress>,
    /// Print the link even if it could be sent
    #[arg(long)]
    print: bool,
    /// Language of the e-mail: en, de, es, fr, pt or ja
    #[arg(long, value_parser = language, default_value = "en")]
    language: Language,
    /// Base of the link [default: MEMGATE_PUBLIC_URL, or the address that `memgate serve` listens on]
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
}

impl Invite {
    pub(super) async fn run(self, config: &Config, people: &PeopleService) -> Result<(), CliError> {
        let delivery = Delivery::new(config, self.sending, self.json)?;
        let link = people.invite(self.login, self.expires_in).await.map_err(|error| match error {
            PeopleError::Exists => CliError::failed(
                "a person with this login exists already; `memgate user reset-link` makes a link for them, even if their \
                 invitation has expired",
            ),
            other => explain(other),
        })?;
        delivery.deliver(&link).await
    }
}

impl ResetLink {
    pub(super) async fn run(self, config: &Config, people: &PeopleService) -> Result<(), CliError> {
        let delivery = Delivery::new(config, self.sending, self.named.json)?;
        let person = find(people, &self.named).await?;
        let link = people.make_reset_link(person.id, self.expires_in).await.map_err(explain)?;
        delivery.deliver(&link).await
    }
}

/// How a link gets to the person.
struct Delivery {
    mailer: Option<Arc<dyn Mailer>>,
    email: Option<EmailAddress>,
    language: Language,
    base: String,
    json: bool,
}

impl Delivery {
    fn new(config: &Config, sending: Sending, json: bool) -> Result<Self, CliError> {
        let base = base(config, sending.public_url.as_deref())?;
        let mailer = if sending.print { None } else { mailer(config).map_err(CliError::failed)? };
        if sending.email.is_some() && mailer.is_none() {
            let problem = "--email needs MEMGATE_SMTP_URL and MEMGATE_SMTP_FROM; without them the link is printed";
            return Err(CliError::Usage(problem.into()));
        }
        Ok(Self { mailer, email: sending.email, language: sending.language, base, json })
    }

    async fn deliver(self, link: &NewLink) -> Result<(), CliError> {
        let url = format!("{}/account/set-password?link={}", self.base, link.token.expose());
        let to = self.email.or_else(|| EmailAddress::of(&link.person));
        let (Some(mailer), Some(to)) = (self.mailer, to) else { return show(link, &url, self.json) };
        mailer.send(&to, &emails::of_link(link, &url, self.language)).await.map_err(|error| {
            let login = link.person.label();
            let unsent = match link.purpose {
                LinkPurpose::Invitation => "the account is created, but its link was not sent",
                LinkPurpose::Reset => "the link was not sent",
            };
            CliError::failed(format!(
                "{unsent}: {error}{}. Send another with `memgate user reset-link {login}`, or print it with --print",
                cause(&error)
            ))
        })?;
        let (login, until) = (link.person.label(), link.expires_at);
        if self.json {
            return output::json(&described(link, "sent_to", to.as_str()));
        }
        output::line(format!("{login}: A link to choose a password was sent to {to}. It works once, until {until}."))
    }
}

fn lifetime(text: &str) -> Result<LinkLifetime, String> {
    let lifetime = parse_duration(text).and_then(|duration| LinkLifetime::try_from(duration).ok());
    lifetime.ok_or_else(|| "must be a duration from 1m to 30d, such as 24h".to_owned())
}

/// The public URL without a trailing slash.
fn base(config: &Config, given: Option<&str>) -> Result<String, CliError> {
    if let Some(url) = public_url::given_or_configured(given, config)? {
        return Ok(url.base().to_owned());
    }
    if config.listen.port() == 0 {
        let problem = "the port of MEMGATE_LISTEN is chosen at the start, so it cannot be in a link; set MEMGATE_PUBLIC_URL or \
                       --public-url";
        return Err(CliError::Usage(problem.into()));
    }
    Ok(app::public_url(config, config.listen))
}

fn language(text: &str) -> Result<Language, String> {
    Language::from_tag(text).ok_or_else(|| "must be en, de, es, fr, pt or ja".to_owned())
}

fn cause(error: &MailError) -> String {
    std::error::Error::source(error).map(|source| format!(" ({source})")).unwrap_or_default()
}

fn show(link: &NewLink, url: &str, json: bool) -> Result<(), CliError> {
    let (login, until) = (link.person.label(), link.expires_at);
    if json {
        return output::json(&described(link, "url", url));
    }
    let what = match link.purpose {
        LinkPurpose::Invitation => "The account is created. With this link its owner chooses a password",
        LinkPurpose::Reset => "With this link its owner chooses a new password",
    };
    output::line(format!("{login}: {what}. It works once, until {until}:\n\n  {url}\n"))
}

/// The link as a JSON object, with where it is or went.
fn described(link: &NewLink, member: &str, place: &str) -> Value {
    json!({
        "id": link.person.id.to_string(),
        "login": link.person.label(),
        "purpose": link.purpose.as_str(),
        member: place,
        "expires_at": link.expires_at.to_string(),
    })
}
