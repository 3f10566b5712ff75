//! `memgate serve`: the service itself.

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::CliError;
use crate::app::{Gate, GateOptions};
use crate::config::Config;
use crate::telemetry;

/// Serve the OAuth endpoints, the memory API and MCP until SIGINT or SIGTERM
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Fail rather than create the database or change its schema
    #[arg(long)]
    no_migrate: bool,
}

impl Serve {
    pub(super) async fn run(self, config: Config) -> Result<(), CliError> {
        telemetry::log_panics();
        // Before the start, so that a signal right after it does not kill the process.
        let mut signals = StopSignals::listen()?;
        let options = GateOptions { migrate: !self.no_migrate, ..GateOptions::default() };
        let gate = Gate::start(&config, options).await.map_err(CliError::failed)?;
        let admin = gate.admin_address().map_or("off".to_owned(), |address| address.to_string());
        let database = gate.backend().location();
        tracing::info!(address = %gate.address(), public_url = %gate.public_url(), admin, database, "listening");
        if signals.next().await == StopSignal::Terminate && !config.drain.is_zero() {
            let drain = humantime::format_duration(config.drain).to_string();
            tracing::info!(drain, "draining: readiness returns 503, and requests are still served");
            gate.drain();
            tokio::select! {
                () = tokio::time::sleep(config.drain) => {}
                _again = signals.next() => {}
            }
        }
        tracing::info!("shutting down: requests in flight finish, new ones are not accepted");
        gate.stop().await;
        Ok(())
    }
}

/// How the process was asked to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StopSignal {
    /// From a terminal (SIGINT).
    Interrupt,
    /// By a supervisor (SIGTERM).
    Terminate,
}

/// The signals that stop the process, caught from the creation of this on.
pub(super) struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    pub(super) fn listen() -> Result<Self, CliError> {
        let interrupt = signal(SignalKind::interrupt()).map_err(CliError::failed)?;
        let terminate = signal(SignalKind::terminate()).map_err(CliError::failed)?;
        Ok(Self { interrupt, terminate })
    }

    /// Returns when the process is asked to stop.
    pub(super) async fn next(&mut self) -> StopSignal {
        tokio::select! {
            _ = self.interrupt.recv() => StopSignal::Interrupt,
            _ = self.terminate.recv() => StopSignal::Terminate,
        }
    }
}
