//! `memgate app secret`: the secrets of an application.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;

use super::arguments::lifetime;
use super::named::{ByClientId, explain};
use super::view;
use crate::cli::confirm::Confirmation;
use crate::cli::{CliError, output};
use crate::domain::applications::{ApplicationError, ApplicationService};
use crate::domain::ids::{ApplicationId, SecretId};

/// Add, list, remove and rotate secrets; several can be valid at a time.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Secret {
    /// Add a secret and print it; it is shown only this once, and the existing ones stay valid
    Add(Add),
    /// List the secrets, without the secrets themselves
    List(ByClientId),
    /// Remove a secret; it is rejected from now on
    Remove(Remove),
    /// Add a secret, print it, and remove all others at once
    Rotate {
        #[command(flatten)]
        named: ByClientId,
        #[command(flatten)]
        confirmation: Confirmation,
    },
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Add {
    /// Application ID (its client_id)
    #[arg(value_name = "CLIENT_ID")]
    id: ApplicationId,
    /// Lifetime, such as 30d [default: unlimited]
    #[arg(long, value_name = "DURATION", value_parser = lifetime)]
    expires_in: Option<Duration>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Remove {
    /// Application ID (its client_id)
    #[arg(value_name = "CLIENT_ID")]
    id: ApplicationId,
    /// Secret ID, as shown by `app secret list`
    secret_id: SecretId,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    confirmation: Confirmation,
}

impl Secret {
    pub(super) async fn run(self, applications: &ApplicationService) -> Result<(), CliError> {
        match self {
            Self::Add(add) => {
                let issued = applications.add_secret(add.id, add.expires_in).await.map_err(explain)?;
                view::issued_secret(add.id, &issued, add.json)
            }
            Self::List(named) => {
                let application = applications.get(named.id).await.map_err(explain)?;
                view::secrets(&application, named.json)
            }
            Self::Remove(remove) => {
                let application = applications.get(remove.id).await.map_err(explain)?;
                let secret = application.secrets.iter().find(|secret| secret.id == remove.secret_id);
                let secret = secret.ok_or_else(|| explain(ApplicationError::SecretNotFound))?;
                remove.confirmation.ask(&format!(
                    "This removes the secret {} ({}) of {}: clients that use it are rejected.",
                    remove.secret_id, secret.hint, application.name
                ))?;
                applications.remove_secret(remove.id, remove.secret_id).await.map_err(explain)?;
                if remove.json {
                    output::json(&json!({ "secret_id": remove.secret_id.to_string(), "removed": true }))
                } else {
                    output::line(format!("Removed the secret {}.", remove.secret_id))
                }
            }
            Self::Rotate { named, confirmation } => {
                let application = applications.get(named.id).await.map_err(explain)?;
                confirmation.ask(&format!(
                    "This replaces the {} secrets of {}: clients that use one of them are rejected.",
                    application.secrets.len(),
                    application.name
                ))?;
                let issued = applications.rotate_secret(named.id).await.map_err(explain)?;
                view::issued_secret(named.id, &issued, named.json)
            }
        }
    }
}
