//! `memgate app`: applications and their secrets.

mod arguments;
mod secret;
mod view;

use std::sync::Arc;

use clap::{Args, Subcommand};

use self::arguments::{CreateArguments, UpdateArguments};
use super::CliError;
use crate::app::Backend;
use crate::config::Config;
use crate::domain::applications::{Application, ApplicationError, ApplicationService};
use crate::domain::ids::ApplicationId;
use crate::domain::memories::{ErasureError, MemoriesOfDeleted};

/// Register applications and look after them.
///
/// Works on the database directly, also while `memgate serve` runs, which notices within two seconds.
#[derive(Debug, Subcommand)]
pub(super) enum App {
    /// Register an application and print its credentials; the secret is shown this once
    Create(CreateArguments),
    /// List all applications
    List {
        /// Print one JSON array
        #[arg(long)]
        json: bool,
    },
    /// Show one application
    Show(Named),
    /// Change an application; what is not named stays as it is
    Update(UpdateArguments),
    /// Shut an application out: it gets no token, and those it has stop at once
    Disable(Named),
    /// Let a disabled application in again
    Enable(Named),
    /// Delete an application; its tokens stop at once, its memories stay unless --with-memories is given
    Delete {
        #[command(flatten)]
        named: Named,
        /// Delete everything in its space too: its own memories and those of people. Also for an application that was deleted
        /// before, if it had a space of its own
        #[arg(long)]
        with_memories: bool,
    },
    #[command(subcommand)]
    Secret(secret::Secret),
}

/// An application, by its id.
#[derive(Debug, Args)]
pub(in crate::cli) struct Named {
    /// The application's id (its client_id)
    #[arg(value_name = "CLIENT_ID")]
    id: ApplicationId,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl App {
    pub(super) async fn run(self, config: &Config) -> Result<(), CliError> {
        let backend = Backend::open(config).await.map_err(CliError::failed)?;
        let applications = backend.applications();
        match self {
            Self::Create(arguments) => create(&applications, arguments).await,
            Self::List { json } => list(&applications, json).await,
            Self::Show(named) => {
                let application = applications.get(named.id).await.map_err(explain)?;
                view::application(&application, named.json)
            }
            Self::Update(arguments) => {
                let json = arguments.json;
                let (id, changes) = arguments.into_changes()?;
                let application = applications.update(id, &changes).await.map_err(explain)?;
                view::application(&application, json)
            }
            Self::Disable(named) => set_enabled(&applications, named, false).await,
            Self::Enable(named) => set_enabled(&applications, named, true).await,
            Self::Delete { named, with_memories } => {
                let memories = if with_memories { MemoriesOfDeleted::Delete } else { MemoriesOfDeleted::Keep };
                let erased = backend.eraser().erase_application(named.id, memories).await.map_err(explain_erasure)?;
                view::deleted(named.id, &erased, named.json)
            }
            Self::Secret(secret) => secret.run(&applications).await,
        }
    }
}

async fn create(applications: &ApplicationService, arguments: CreateArguments) -> Result<(), CliError> {
    let json = arguments.json;
    let registration = applications.register(arguments.into_new()).await.map_err(explain)?;
    view::registration(&registration, json)
}

async fn list(applications: &ApplicationService, json: bool) -> Result<(), CliError> {
    const AT_A_TIME: u32 = 500;
    let mut all: Vec<Arc<Application>> = Vec::new();
    loop {
        let after = all.last().map(|application| application.id);
        let page = applications.list(after, AT_A_TIME).await.map_err(explain)?;
        if page.is_empty() {
            break;
        }
        all.extend(page);
    }
    view::list(&all, json)
}

async fn set_enabled(applications: &ApplicationService, named: Named, enabled: bool) -> Result<(), CliError> {
    let application = applications.set_enabled(named.id, enabled).await.map_err(explain)?;
    view::application(&application, named.json)
}

fn explain_erasure(error: ErasureError) -> CliError {
    match error {
        ErasureError::Application(error) => explain(error),
        ErasureError::SharedSpace(..) => {
            CliError::failed(format!("{error}. Nothing was deleted; delete the application without --with-memories"))
        }
        other => CliError::failed(format!("{other}. The application is disabled and still there: repeat the command")),
    }
}

/// What the operator typed is a usage error; the rest is not.
fn explain(error: ApplicationError) -> CliError {
    match error {
        ApplicationError::Invalid(invalid) => CliError::Usage(invalid.to_string()),
        ApplicationError::NotFound => {
            CliError::failed("there is no application with this id; `memgate app list` shows them")
        }
        ApplicationError::SecretNotFound => CliError::failed(
            "the application has no secret with this id; `memgate app secret list CLIENT_ID` shows them",
        ),
        other => CliError::failed(other),
    }
}
