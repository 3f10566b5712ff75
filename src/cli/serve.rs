//! `memgate serve`: the service itself.

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::CliError;
use crate::app::{Gate, GateOptions};
use crate::config::Config;
use crate::telemetry;

/// Serve the OAuth endpoints and the memory API until told to stop (SIGINT or SIGTERM)
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Fail rather than change the schema of the database
    #[arg(long)]
    no_migrate: bool,
}

impl Serve {
    pub(super) async fn run(self, config: Config) -> Result<(), CliError> {
        telemetry::log_panics();
        let options = GateOptions { migrate: !self.no_migrate, ..GateOptions::default() };
        let gate = Gate::start(&config, options).await.map_err(CliError::failed)?;
        let admin = gate.admin_address().map_or("off".to_owned(), |address| address.to_string());
        tracing::info!(address = %gate.address(), public_url = %gate.public_url(), admin, "listening");
        until_told_to_stop().await?;
        tracing::info!("stopping: requests that are under way are finished");
        gate.stop().await;
        Ok(())
    }
}

/// Returns when the process is asked to end.
pub(super) async fn until_told_to_stop() -> Result<(), CliError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(CliError::failed)?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.map_err(CliError::failed),
        _ = terminate.recv() => Ok(()),
    }
}
