//! The settings of the identity provider.

use secrecy::SecretString;

use super::error::ConfigError;
use super::parser::Parser;
use crate::adapters::identity_provider::{Issuer, OpenIdConfig};
use crate::domain::people::Admission;
use crate::domain::validation::{InvalidValue, is_bidi_control, is_invisible};

/// The identity provider, and who may sign in.
#[derive(Clone, Debug)]
pub struct IdentityProviderConfig {
    /// The provider.
    pub provider: OpenIdConfig,
    /// Who may sign in.
    pub admission: Admission,
}

/// Maximum length of the provider's name and of the client ID.
const MAX_NAME: usize = 60;
const MAX_CLIENT_ID: usize = 255;

/// Settings that have no effect without an issuer.
const COMPANIONS: [&str; 5] =
    ["oidc_client_id", "oidc_client_secret", "oidc_name", "oidc_allowed_domains", "oidc_allowed_subjects"];

pub(super) fn parse(v: &Parser<'_>) -> Result<Option<IdentityProviderConfig>, ConfigError> {
    let problem = |error: InvalidValue| error.problem().to_string();
    let Some(issuer) = v.optional("oidc_issuer", |text| text.parse::<Issuer>().map_err(problem))? else {
        return match COMPANIONS.into_iter().find(|name| !v.text(name).is_empty()) {
            Some(name) => Err(invalid("oidc_issuer", format!("must be set where {} is", variable(name)))),
            None => Ok(None),
        };
    };
    let client_id = v.required("oidc_client_id", |text| match text.len() {
        0 => Err("must be set where MEMGATE_OIDC_ISSUER is; the provider issues it".to_owned()),
        1..=MAX_CLIENT_ID if text.bytes().all(|b| b.is_ascii_graphic() || b == b' ') => Ok(text.to_owned()),
        _ => Err(format!("must be 1 to {MAX_CLIENT_ID} visible ASCII characters")),
    })?;
    let name = v.optional("oidc_name", |text| {
        let fits = text.chars().count() <= MAX_NAME
            && !text.chars().any(|c| c.is_control() || is_bidi_control(c))
            && !text.chars().all(is_invisible);
        if fits { Ok(text.to_owned()) } else { Err(format!("must be 1 to {MAX_NAME} visible characters on one line")) }
    })?;
    let domains = v.optional("oidc_allowed_domains", |text| Admission::parse_domains(text).map_err(problem))?;
    let subjects = v.optional("oidc_allowed_subjects", |text| Admission::parse_subjects(text).map_err(problem))?;
    if domains.is_none() && subjects.is_none() {
        let problem =
            "or MEMGATE_OIDC_ALLOWED_SUBJECTS must say who may sign in with MEMGATE_OIDC_ISSUER, such as example.com";
        return Err(invalid("oidc_allowed_domains", problem.to_owned()));
    }
    let admission = Admission { domains: domains.unwrap_or_default(), subjects: subjects.unwrap_or_default() };
    let mut provider = OpenIdConfig::new(issuer, &client_id);
    provider.client_secret = v.optional("oidc_client_secret", |text| Ok(SecretString::from(text.to_owned())))?;
    provider.name = name.unwrap_or(provider.name);
    Ok(Some(IdentityProviderConfig { provider, admission }))
}

fn variable(name: &str) -> String {
    format!("MEMGATE_{}", name.to_uppercase())
}

fn invalid(name: &str, problem: String) -> ConfigError {
    ConfigError::Invalid { name: variable(name), problem }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::config::{Config, Values};

    const ISSUER: (&str, &str) = ("MEMGATE_OIDC_ISSUER", "https://id.example/tenant");
    const CLIENT: (&str, &str) = ("MEMGATE_OIDC_CLIENT_ID", "memgate");
    const DOMAINS: (&str, &str) = ("MEMGATE_OIDC_ALLOWED_DOMAINS", "example.com, Example.org");

    fn config(variables: &[(&str, &str)]) -> Result<IdentityProviderConfig, String> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let config = Config::from_values(&Values::gather(None, variables).unwrap());
        config.map(|config| config.identity_provider.unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn an_issuer_a_client_and_an_allow_list_are_enough() {
        let config = config(&[ISSUER, CLIENT, DOMAINS]).unwrap();
        assert_eq!(config.provider.client_id, "memgate");
        assert_eq!(config.provider.name, "id.example");
        assert!(config.provider.client_secret.is_none());
        assert_eq!(config.admission.domains.len(), 2);
        assert!(config.admission.subjects.is_empty());
    }

    #[test]
    fn everything_can_be_said() {
        let secret = ("MEMGATE_OIDC_CLIENT_SECRET", "a-secret-of-it");
        let name = ("MEMGATE_OIDC_NAME", "Beispiel & Söhne");
        let subjects = ("MEMGATE_OIDC_ALLOWED_SUBJECTS", "1,2");
        let config = config(&[ISSUER, CLIENT, secret, name, subjects]).unwrap();
        assert_eq!(config.provider.client_secret.as_ref().unwrap().expose_secret(), secret.1);
        assert_eq!(config.provider.name, name.1);
        assert_eq!(config.admission.subjects.len(), 2);
        assert!(!format!("{config:?}").contains(secret.1));
    }

    #[test]
    fn what_is_missing_is_named() {
        for (variables, names) in [
            (vec![ISSUER, DOMAINS], vec!["MEMGATE_OIDC_CLIENT_ID", "MEMGATE_OIDC_ISSUER"]),
            (vec![ISSUER, CLIENT], vec!["MEMGATE_OIDC_ALLOWED_DOMAINS", "MEMGATE_OIDC_ALLOWED_SUBJECTS"]),
            (vec![CLIENT], vec!["MEMGATE_OIDC_ISSUER", "MEMGATE_OIDC_CLIENT_ID"]),
            (vec![DOMAINS], vec!["MEMGATE_OIDC_ISSUER", "MEMGATE_OIDC_ALLOWED_DOMAINS"]),
            (
                vec![("MEMGATE_OIDC_CLIENT_SECRET", "hunter2")],
                vec!["MEMGATE_OIDC_ISSUER", "MEMGATE_OIDC_CLIENT_SECRET"],
            ),
        ] {
            let error = config(&variables).unwrap_err();
            assert!(names.iter().all(|name| error.contains(name)), "{error}");
            assert!(error.contains("must") && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn what_cannot_be_is_named() {
        for (name, value) in [
            ("MEMGATE_OIDC_CLIENT_ID", "mem\tgate"),
            ("MEMGATE_OIDC_NAME", "two\nlines"),
            ("MEMGATE_OIDC_NAME", "\u{202e}Accounts"),
            ("MEMGATE_OIDC_NAME", "\u{200b}"),
            ("MEMGATE_OIDC_NAME", &"x".repeat(61)),
            ("MEMGATE_OIDC_ALLOWED_DOMAINS", "@example.com"),
            ("MEMGATE_OIDC_ALLOWED_DOMAINS", ","),
            ("MEMGATE_OIDC_ALLOWED_SUBJECTS", "a\tb"),
        ] {
            let error = config(&[ISSUER, CLIENT, DOMAINS, (name, value)]).unwrap_err();
            assert!(error.starts_with(name) && error.contains("must"), "{error}");
        }
    }
}
