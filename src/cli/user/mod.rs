//! `memgate user`: the people who sign in.

mod link;
mod named;
mod password;
mod view;

use clap::Subcommand;

use self::named::{ByLoginOrId, explain, find};
use super::confirm::Confirmation;
use super::{CliError, open, output};
use crate::app::Backend;
use crate::config::Config;
use crate::domain::ids::UserId;
use crate::domain::memories::{ErasureError, MemoriesOfDeleted};
use crate::domain::people::{Login, PeopleService, Person};

/// Manage the people who sign in and connect applications to memories of their own.
///
/// Works on the database directly, even while `memgate serve` is running, which notices within two seconds. Passwords are
/// read from standard input (with a prompt on a terminal), never from the command line.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  memgate user invite marta                     prints a link with which she chooses her password
  memgate user reset-link marta                 prints one with which she chooses a new password
  memgate user create marta                     asks for a password, twice
  printf '%s' \"$PASSWORD\" | memgate user create marta@example.com --json
  memgate user disable marta                    signs her out everywhere and stops her applications
  memgate user delete marta                     deletes the account and everything stored of her")]
pub(super) enum User {
    /// Create an account; its password is read from standard input
    Create {
        /// Login: letters, digits and . _ - + @
        #[arg(value_name = "LOGIN")]
        login: Login,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    Invite(link::Invite),
    ResetLink(link::ResetLink),
    /// List all people, including those of the identity provider
    List {
        /// Print one JSON array
        #[arg(long)]
        json: bool,
    },
    /// Show one person
    Show(ByLoginOrId),
    /// Disable a person: every session ends, and all connected applications are disconnected
    Disable(ByLoginOrId),
    /// Enable a person; applications have to be connected again
    Enable(ByLoginOrId),
    /// Replace a password, read from standard input; every session ends, applications stay connected
    SetPassword(ByLoginOrId),
    /// Delete an account, with everything that any application stored for the person
    Delete {
        #[command(flatten)]
        named: ByLoginOrId,
        /// Keep the memories in the bank, where they are inaccessible; the same command with the person's ID and without this
        /// option deletes them later
        #[arg(long)]
        keep_memories: bool,
        #[command(flatten)]
        confirmation: Confirmation,
    },
}

impl User {
    pub(super) async fn run(self, config: &Config) -> Result<(), CliError> {
        let backend = open(config).await?;
        let people = backend.people();
        match self {
            Self::Create { login, json } => {
                let password = password::read()?;
                let person = people.create(login, &password).await.map_err(explain)?;
                view::person(&person, json)
            }
            Self::Invite(invite) => invite.run(config, &people).await,
            Self::ResetLink(reset) => reset.run(config, &people).await,
            Self::List { json } => view::list(&everybody(&people).await?, json),
            Self::Show(named) => view::person(&find(&people, &named).await?, named.json),
            Self::Disable(named) => {
                let person = find(&people, &named).await?;
                view::person(&people.disable(person.id).await.map_err(explain)?, named.json)
            }
            Self::Enable(named) => {
                let person = find(&people, &named).await?;
                view::person(&people.enable(person.id).await.map_err(explain)?, named.json)
            }
            Self::SetPassword(named) => {
                let person = find(&people, &named).await?;
                people.set_password(person.id, &password::read()?).await.map_err(explain)?;
                view::person(&people.get(person.id).await.map_err(explain)?, named.json)
            }
            Self::Delete { named, keep_memories, confirmation } => {
                let memories = if keep_memories { MemoriesOfDeleted::Keep } else { MemoriesOfDeleted::Delete };
                delete(&backend, &people, &named, memories, &confirmation).await
            }
        }
    }
}

async fn everybody(people: &PeopleService) -> Result<Vec<Person>, CliError> {
    const AT_A_TIME: u32 = 500;
    let mut all: Vec<Person> = Vec::new();
    loop {
        let page = people.list(all.last().map(|person| person.id), AT_A_TIME).await.map_err(explain)?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

/// Also a person deleted before whose memories were kept.
async fn delete(
    backend: &Backend,
    people: &PeopleService,
    named: &ByLoginOrId,
    memories: MemoriesOfDeleted,
    confirmation: &Confirmation,
) -> Result<(), CliError> {
    let (id, label) = match (find(people, named).await, named.person.parse::<UserId>()) {
        (Ok(person), _) => (person.id, person.label().to_owned()),
        (Err(_), Ok(id)) => (id, id.to_string()),
        (Err(error), Err(_)) => return Err(error),
    };
    let erasing = backend.eraser();
    let spaces = erasing.tenants_of_person(id, memories).await.map_err(explain_erasure)?.len();
    confirmation.ask(&match memories {
        MemoriesOfDeleted::Delete => format!(
            "This deletes {label}, ends every session and connection, and deletes every memory of {label}, in {spaces} spaces."
        ),
        MemoriesOfDeleted::Keep => format!(
            "This deletes {label} and ends every session and connection. Memories stay in {spaces} spaces, where they are \
             inaccessible."
        ),
    })?;
    let erased = erasing.erase_person(id, memories).await.map_err(explain_erasure)?;
    if named.json {
        let id = id.to_string();
        return output::json(&serde_json::json!({ "id": id, "deleted": true, "memories_deleted": erased }));
    }
    output::line(format!("Deleted {label}, and {erased} memories."))
}

fn explain_erasure(error: ErasureError) -> CliError {
    const DISABLED: &str = "The person is disabled and the account is still there: repeat the command";
    match error {
        ErasureError::Person(error) => explain(error),
        ErasureError::Bank(error) => {
            CliError::failed(format!("{error}. {DISABLED} when the memory bank works, or with --keep-memories"))
        }
        other => CliError::failed(format!("{other}. {DISABLED}")),
    }
}
