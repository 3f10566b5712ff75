//! The person that a command names.

use clap::Args;

use crate::cli::error::CliError;
use crate::domain::ids::UserId;
use crate::domain::people::{Login, PeopleError, PeopleService, Person};

/// A person, by login or ID.
#[derive(Debug, Args)]
pub(in crate::cli) struct ByLoginOrId {
    /// The login, or the ID shown by `user list`
    #[arg(value_name = "PERSON")]
    pub(super) person: String,
    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

/// The person with that login or ID. A login that looks like an ID is only matched if nobody has that ID.
pub(super) async fn find(people: &PeopleService, named: &ByLoginOrId) -> Result<Person, CliError> {
    if let Ok(id) = named.person.parse::<UserId>() {
        match people.get(id).await {
            Err(PeopleError::NotFound) => {}
            other => return other.map_err(explain),
        }
    }
    let login: Login = named.person.parse().map_err(|_| explain(PeopleError::NotFound))?;
    people.get_by_login(&login).await.map_err(explain)
}

pub(super) fn explain(error: PeopleError) -> CliError {
    match error {
        PeopleError::NotFound => CliError::failed("there is no such person; `memgate user list` shows everybody"),
        other => CliError::failed(other),
    }
}
