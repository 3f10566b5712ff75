//! Applications and people that a command names.

use std::sync::Arc;

use super::CliError;
use crate::app::Backend;
use crate::domain::applications::Application;
use crate::domain::ids::ApplicationId;
use crate::domain::people::{Login, Person};

pub(super) async fn application(backend: &Backend, id: ApplicationId) -> Result<Arc<Application>, CliError> {
    let found = backend.applications().get(id).await;
    found.map_err(|error| CliError::failed(format!("the application {id} cannot be used: {error}")))
}

pub(super) async fn person(backend: &Backend, login: &Login) -> Result<Person, CliError> {
    let found = backend.people().get_by_login(login).await;
    found.map_err(|error| CliError::failed(format!("the user {login} cannot be used: {error}")))
}
