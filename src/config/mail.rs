//! The settings of e-mail.

use super::{ConfigError, Parser};
use crate::adapters::mail::{Sender, SmtpServer};
use crate::domain::validation::InvalidValue;

/// How e-mail is sent.
#[derive(Clone, Debug)]
pub struct MailConfig {
    /// The mail server.
    pub server: SmtpServer,
    /// The sender.
    pub from: Sender,
}

pub(super) fn parse(v: &Parser<'_>) -> Result<Option<MailConfig>, ConfigError> {
    let problem = |error: InvalidValue| error.problem().to_string();
    let server = v.optional("smtp_url", |text| text.parse::<SmtpServer>().map_err(problem))?;
    let from = v.optional("smtp_from", |text| text.parse::<Sender>().map_err(problem))?;
    let missing = |name: &str, other: &str| {
        Err(ConfigError::Invalid { name: name.to_owned(), problem: format!("must be set where {other} is") })
    };
    match (server, from) {
        (Some(server), Some(from)) => Ok(Some(MailConfig { server, from })),
        (Some(_), None) => missing("MEMGATE_SMTP_FROM", "MEMGATE_SMTP_URL"),
        (None, Some(_)) => missing("MEMGATE_SMTP_URL", "MEMGATE_SMTP_FROM"),
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Values};

    const SERVER: (&str, &str) = ("MEMGATE_SMTP_URL", "smtps://me:hunter2@mail.example.com");
    const FROM: (&str, &str) = ("MEMGATE_SMTP_FROM", "memgate <memory@example.com>");

    fn config(variables: &[(&str, &str)]) -> Result<Config, String> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::from_values(&Values::gather(None, variables).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn e_mail_needs_a_server_and_a_sender() {
        let complete = config(&[SERVER, FROM]).unwrap();
        assert!(complete.mail.is_some() && !format!("{complete:?}").contains("hunter2"));
        assert!(config(&[]).unwrap().mail.is_none());
        for (variables, named) in [
            (vec![SERVER], "MEMGATE_SMTP_FROM"),
            (vec![FROM], "MEMGATE_SMTP_URL"),
            (vec![("MEMGATE_SMTP_URL", "smtp://me:hunter2@"), FROM], "MEMGATE_SMTP_URL"),
            (vec![SERVER, ("MEMGATE_SMTP_FROM", "memgate")], "MEMGATE_SMTP_FROM"),
        ] {
            let error = config(&variables).unwrap_err();
            assert!(error.starts_with(named) && error.contains("must") && !error.contains("hunter2"), "{error}");
        }
    }
}
