//! The command line, for operators. One file per command.
#![expect(clippy::doc_markdown, reason = "the comments on commands and arguments are help texts, read on a terminal")]

mod app;
mod audit;
mod config;
mod confirm;
mod connect;
mod demo;
mod embed;
mod error;
mod export;
mod find;
mod import;
mod input;
mod keys;
mod mcp;
mod migrate;
mod open;
mod openapi;
mod output;
mod public_url;
mod queue;
mod serve;
mod user;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use self::error::CliError;
use self::open::{open, open_with_model};
use crate::config::Config;
use crate::telemetry;

/// Gives AI assistants safe, durable memory.
///
/// memgate is an OAuth 2.0 server and a memory API in one binary. It is configured by the environment (MEMGATE_*) and an
/// optional TOML file; everything has a default. `memgate config show` lists all settings.
#[derive(Debug, Parser)]
#[command(name = "memgate", version, max_term_width = 100)]
#[command(after_help = "\
Try it:
  memgate demo                        a gate with sample memories, and requests to paste
  memgate serve                       serve on http://127.0.0.1:8080, with a database in this directory
  memgate app create --name 'My GPT'  register an application and get its credentials, in another terminal

Only serve, demo and `migrate up` create a database or change its schema; each command names the one that it works on. What
cannot be undone is asked for first (--yes agrees).

Exit codes: 0 done, 1 it could not be done, 2 the command line or the configuration is wrong.")]
struct Cli {
    /// Configuration file (also MEMGATE_CONFIG)
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    Demo(demo::Demo),
    #[command(subcommand)]
    App(app::App),
    #[command(subcommand)]
    User(user::User),
    #[command(subcommand)]
    Connect(connect::Connect),
    Mcp(mcp::Mcp),
    #[command(subcommand)]
    Keys(keys::Keys),
    #[command(subcommand)]
    Queue(queue::QueueCommand),
    Audit(audit::Audit),
    #[command(subcommand)]
    Embed(embed::Embed),
    Export(export::Export),
    Import(import::Import),
    #[command(subcommand)]
    Migrate(migrate::Migrate),
    Openapi(openapi::Openapi),
    #[command(subcommand)]
    Config(config::ConfigCommand),
}

/// Runs the command line of this process.
#[must_use]
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let Some(command) = cli.command else {
        let shown = Cli::command().print_long_help();
        return if shown.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    };
    // One crypto provider for all TLS of this process; a second call, as in tests, has no effect.
    let _already_installed = rustls::crypto::ring::default_provider().install_default();
    match execute(command, cli.config.as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(&error);
            error.exit_code()
        }
    }
}

fn execute(command: Command, file: Option<&Path>) -> Result<(), CliError> {
    // These two also work with an invalid configuration.
    match command {
        Command::Config(command) => return command.run(file),
        Command::Openapi(command) => return command.run(),
        _ => {}
    }
    let config = Config::load(file)?;
    let log = if matches!(command, Command::Serve(_)) { telemetry::WHILE_SERVING } else { telemetry::OTHERWISE };
    telemetry::init(config.log_format, config.log.as_deref().unwrap_or(log));
    let runtime = tokio::runtime::Runtime::new().map_err(CliError::failed)?;
    let outcome = runtime.block_on(async {
        match command {
            Command::Serve(command) => command.run(config).await,
            Command::Demo(command) => command.run(config).await,
            Command::App(command) => command.run(&config).await,
            Command::User(command) => command.run(&config).await,
            Command::Connect(command) => command.run(&config).await,
            Command::Mcp(command) => command.run(&config).await,
            Command::Keys(command) => command.run(&config).await,
            Command::Queue(command) => command.run(&config).await,
            Command::Audit(command) => command.run(&config).await,
            Command::Embed(command) => command.run(&config).await,
            Command::Export(command) => command.run(&config).await,
            Command::Import(command) => command.run(&config).await,
            Command::Migrate(command) => command.run(&config).await,
            Command::Openapi(_) | Command::Config(_) => Ok(()),
        }
    });
    // A read of standard input cannot be cancelled, and would be waited for.
    runtime.shutdown_background();
    outcome
}
