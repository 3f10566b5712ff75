//! `memgate keys`: the signing keys.

use clap::Subcommand;
use serde_json::json;

use super::confirm::Confirmation;
use super::{CliError, input, open, output};
use crate::config::Config;
use crate::domain::oauth::{KeyId, MasterKey};

/// More than a key with the white space around it can have, in bytes.
const LONGEST_MASTER_KEY: u64 = 4096;

/// Look after the keys that sign tokens.
#[derive(Debug, Subcommand)]
pub(super) enum Keys {
    /// List the keys and what each is good for at present
    List {
        /// Print one JSON array
        #[arg(long)]
        json: bool,
    },
    /// Make new keys; they are published at once and sign after MEMGATE_KEY_PUBLISH_BEFORE
    Rotate {
        /// Let the new keys sign at once, because an old one may be known to somebody
        #[arg(long)]
        now: bool,
        /// Print one JSON array
        #[arg(long)]
        json: bool,
    },
    /// Take a key out of use at once: every token that it signed is refused
    Retire {
        /// The key's id, as `keys list` shows it
        // Some ids begin with a hyphen.
        #[arg(value_name = "KEY_ID", allow_hyphen_values = true)]
        id: KeyId,
        #[command(flatten)]
        confirmation: Confirmation,
    },
    /// Encrypt the keys anew with another master key, which is read from standard input
    ///
    /// Stop the service, run this with the old master key configured and the new one on standard input, configure the
    /// new one, and start the service. It is refused while a service runs: that would go on with keys that its next start
    /// cannot open. Where the key comes from a file or a pipe nobody can be asked: --yes agrees.
    Rewrap(Confirmation),
}

impl Keys {
    pub(super) async fn run(self, config: &Config) -> Result<(), CliError> {
        let backend = open(config).await?;
        let keys = backend.keys().await.map_err(CliError::failed)?;
        match self {
            Self::List { json } => {
                let listed = keys.list().await.map_err(CliError::failed)?;
                if json {
                    let values = listed.iter().map(|(key, state)| {
                        json!({
                            "key_id": key.id.as_str(), "purpose": key.purpose.as_str(),
                            "algorithm": key.algorithm.as_str(), "state": state.as_str(),
                            "created_at": key.created_at.to_string(), "signs_from": key.activates_at.to_string(),
                        })
                    });
                    return output::json(&values.collect::<Vec<_>>());
                }
                let rows = listed.iter().map(|(key, state)| {
                    let (purpose, algorithm) = (key.purpose.as_str(), key.algorithm.as_str());
                    let text = [key.id.as_str(), purpose, algorithm, state.as_str()].map(str::to_owned);
                    [text.as_slice(), &[key.activates_at.to_string()]].concat()
                });
                output::table(&["key_id", "purpose", "algorithm", "state", "signs_from"], &rows.collect::<Vec<_>>())
            }
            Self::Rotate { now, json } => {
                let made = keys.rotate(now).await.map_err(CliError::failed)?;
                if json {
                    let values = made.iter().map(|key| {
                        json!({
                            "key_id": key.id.as_str(), "purpose": key.purpose.as_str(),
                            "signs_from": key.activates_at.to_string(),
                        })
                    });
                    return output::json(&values.collect::<Vec<_>>());
                }
                for key in made {
                    let (id, purpose, from) = (&key.id, key.purpose.as_str(), key.activates_at);
                    output::line(format!("Made {id} for {purpose}; it signs from {from}."))?;
                }
                Ok(())
            }
            Self::Retire { id, confirmation } => {
                let listed = keys.list().await.map_err(CliError::failed)?;
                if let Some((key, state)) = listed.iter().find(|(key, _)| key.id == id) {
                    let (purpose, state) = (key.purpose.as_str(), state.as_str());
                    confirmation.ask(&format!(
                        "This retires the key {id} ({purpose}, {state}): every token that it signed is refused from now on."
                    ))?;
                }
                keys.retire(&id).await.map_err(CliError::failed)?;
                output::line(format!("Retired {id}. The tokens that it signed are refused."))
            }
            Self::Rewrap(confirmation) => {
                let text = input::read_text("the new master key", LONGEST_MASTER_KEY)?;
                let master = MasterKey::parse("the new master key on standard input", &text);
                let master = master.map_err(|error| CliError::Usage(error.to_string()))?;
                let _lock = backend.lock_out_services().await.map_err(CliError::failed)?;
                confirmation.ask(
                    "This encrypts the signing keys anew: the master key that is configured opens none of them any more.",
                )?;
                let count = keys.rewrap(&master).await.map_err(CliError::failed)?;
                output::line(format!(
                    "Encrypted {count} keys with the new master key. Configure it before the next start."
                ))
            }
        }
    }
}
