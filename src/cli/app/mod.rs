//! `memgate app`: applications and their secrets.

mod arguments;
mod named;
mod secret;
mod view;

use std::sync::Arc;

use clap::{Args, Subcommand};

use self::arguments::{CreateArguments, UpdateArguments};
use self::named::{ByClientId, explain};
use super::confirm::Confirmation;
use super::{CliError, open};
use crate::config::Config;
use crate::domain::applications::{Application, ApplicationService};
use crate::domain::ids::ApplicationId;
use crate::domain::memories::{ErasureError, MemoriesOfDeleted};

/// Register and manage applications.
///
/// Works on the database directly, even while `memgate serve` is running, which notices within two seconds.
#[derive(Debug, Subcommand)]
pub(super) enum App {
    /// Register an application and print its credentials; the secret is shown only this once
    Create(CreateArguments),
    /// List applications
    List(ListArguments),
    /// Show one application
    Show(ByClientId),
    /// Change an application; options that are not given leave it unchanged
    Update(UpdateArguments),
    /// Disable an application: it gets no token, and its tokens become invalid at once
    Disable(ByClientId),
    /// Enable a disabled application
    Enable(ByClientId),
    /// Delete an application; its tokens become invalid at once, its memories are kept unless --with-memories is given
    Delete {
        #[command(flatten)]
        named: ByClientId,
        /// Delete everything in its space too: its own memories and those of people. Also works for an application deleted
        /// earlier, if it had a space of its own
        #[arg(long)]
        with_memories: bool,
        #[command(flatten)]
        confirmation: Confirmation,
    },
    #[command(subcommand)]
    Secret(secret::Secret),
}

/// Which applications are listed, and how.
#[derive(Debug, Args)]
pub(super) struct ListArguments {
    /// Only applications whose name contains this, ignoring case
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// Only applications in this space
    #[arg(long, value_name = "NAME")]
    space: Option<String>,
    /// Maximum number of applications
    #[arg(long, value_name = "NUMBER")]
    limit: Option<usize>,
    /// Start after this application, the last one of the previous page
    #[arg(long, value_name = "CLIENT_ID")]
    after: Option<ApplicationId>,
    /// Print one JSON array
    #[arg(long)]
    json: bool,
}

impl ListArguments {
    fn match_with(&self, application: &Application) -> bool {
        let name = application.name.as_str().to_lowercase();
        self.name.as_ref().is_none_or(|text| name.contains(&text.to_lowercase()))
            && self.space.as_ref().is_none_or(|space| application.space.as_str() == space)
    }
}

impl App {
    pub(super) async fn run(self, config: &Config) -> Result<(), CliError> {
        let backend = open(config).await?;
        let applications = backend.applications();
        match self {
            Self::Create(arguments) => create(&applications, arguments).await,
            Self::List(arguments) => list(&applications, &arguments).await,
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
            Self::Delete { named, with_memories, confirmation } => {
                let memories = if with_memories { MemoriesOfDeleted::Delete } else { MemoriesOfDeleted::Keep };
                let erasing = backend.eraser();
                let extent = erasing.extent_of_application(named.id, memories).await.map_err(explain_erasure)?;
                confirmation.ask(&view::loss(named.id, &extent, memories))?;
                let erased = erasing.erase_application(named.id, memories).await.map_err(explain_erasure)?;
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

/// Prints page by page: there may be more applications than fit into memory.
async fn list(applications: &ApplicationService, arguments: &ListArguments) -> Result<(), CliError> {
    const PAGE: u32 = 500;
    let mut view = view::ApplicationList::new(arguments.json);
    let (mut after, mut left) = (arguments.after, arguments.limit.unwrap_or(usize::MAX));
    while left > 0 {
        let page = applications.list(after, PAGE).await.map_err(explain)?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        let mut wanted: Vec<Arc<Application>> = page.into_iter().filter(|one| arguments.match_with(one)).collect();
        wanted.truncate(left);
        left -= wanted.len();
        view.add(&wanted)?;
    }
    view.end()
}

async fn set_enabled(applications: &ApplicationService, named: ByClientId, enabled: bool) -> Result<(), CliError> {
    let application = applications.set_enabled(named.id, enabled).await.map_err(explain)?;
    view::application(&application, named.json)
}

fn explain_erasure(error: ErasureError) -> CliError {
    match error {
        ErasureError::Application(error) => explain(error),
        ErasureError::SharedSpace(..) => {
            CliError::failed(format!("{error}. Nothing was deleted; delete the application without --with-memories"))
        }
        other => CliError::failed(format!("{other}. The application is disabled, but not deleted: repeat the command")),
    }
}
