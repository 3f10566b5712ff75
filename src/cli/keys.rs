//! `memgate keys`: the signing keys.

use clap::Subcommand;
use serde_json::json;

use super::confirm::Confirmation;
use super::{CliError, input, open, output};
use crate::config::Config;
use crate::domain::oauth::{KeyId, MasterKey};

/// Maximum length of a key with surrounding white space, in bytes.
const LONGEST_MASTER_KEY: u64 = 4096;

/// Manage the keys that sign tokens.
#[derive(Debug, Subcommand)]
pub(super) enum Keys {
    /// List the keys and their states
    List {
        /// Print one JSON array
        #[arg(long)]
        json: bool,
    },
    /// Create new keys; they are published at once and sign after MEMGATE_KEY_PUBLISH_BEFORE
    Rotate {
        /// Let the new keys sign at once, because an old one may be compromised
        #[arg(long)]
        now: bool,
        /// Print one JSON array
        #[arg(long)]
        json: bool,
    },
    /// Retire a key at once: every token that it signed becomes invalid
    Retire {
        /// Key ID, as shown by `keys list`
        // Some ids begin with a hyphen.
        #[arg(value_name = "KEY_ID", allow_hyphen_values = true)]
        id: KeyId,
        #[command(flatten)]
        confirmation: Confirmation,
    },
    /// Re-encrypt the keys with another master key, which is read from standard input
    ///
    /// Stop the service, run this with the old master key configured and the new one on standard input, configure the
    /// new one, and start the service. Refused while a service is running: it would continue with keys that its next start
    /// cannot open. If the key comes from a file or a pipe, --yes is needed.
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
                    output::line(format!("Created {id} for {purpose}; it signs from {from}."))?;
                }
                Ok(())
            }
            Self::Retire { id, confirmation } => {
                let listed = keys.list().await.map_err(CliError::failed)?;
                if let Some((key, state)) = listed.iter().find(|(key, _)| key.id == id) {
                    let (purpose, state) = (key.purpose.as_str(), state.as_str());
                    confirmation.ask(&format!(
                        "This retires the key {id} ({purpose}, {state}): every token that it signed becomes invalid."
                    ))?;
                }
                keys.retire(&id).await.map_err(CliError::failed)?;
                output::line(format!("Retired {id}. The tokens that it signed are invalid."))
            }
            Self::Rewrap(confirmation) => {
                let text = input::read_text("the new master key", LONGEST_MASTER_KEY)?;
                let master = MasterKey::parse("the new master key on standard input", &text);
                let master = master.map_err(|error| CliError::Usage(error.to_string()))?;
                let _lock = backend.lock_out_services().await.map_err(CliError::failed)?;
                confirmation
                    .ask("This re-encrypts the signing keys: the configured master key will not open them any more.")?;
                let count = keys.rewrap(&master).await.map_err(CliError::failed)?;
                output::line(format!(
                    "Re-encrypted {count} keys with the new master key. Configure it before the next start."
                ))
            }
        }
    }
}
