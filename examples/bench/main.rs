//! The benchmark: memgate against the floor (`examples/floor.rs`), in turn, with one load generator.

mod compare;
mod corpus;
mod load;
mod person;
mod postgres;
mod random;
mod report;
mod scenarios;
mod servers;
mod tantivy_index;

use std::fs;
use std::process::ExitCode;
use std::thread;

use clap::Parser;

use crate::compare::Plan;
use crate::report::Report;
use crate::scenarios::{Bench, Scenario};

/// Measures memgate: speed against a floor of poem and jwt-simple alone, behaviour under attack, memory, search.
///
/// It starts the binaries that lie beside it (memgate and the example floor, of the same profile), each with a database of
/// its own in a temporary directory, and prints a Markdown table. Progress goes to standard error. Rounds of the two servers
/// alternate; every figure is a median of rounds, and the ratio is taken pair by pair, so it holds on a machine that others
/// use as well. The load generator takes one core.
#[derive(Parser)]
#[command(after_help = "Examples:\n  \
    cargo build --release --bin memgate --example floor --example bench\n  \
    cargo run --release --example bench\n  \
    cargo run --release --example bench -- --only token --only me\n  \
    cargo run --release --example bench -- --quick --json > figures.json")]
struct Arguments {
    /// Runs this scenario; can be given several times [default: all but the largest, which say so]
    #[arg(long, value_enum, value_name = "NAME")]
    only: Vec<Scenario>,

    /// Short rounds and a tenth of the data: says whether everything works, not how fast it is
    #[arg(long)]
    quick: bool,

    /// Prints JSON instead of a table
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.to_string()),
    };
    match runtime.block_on(run(&arguments)) {
        Ok(report) if arguments.json => println!("{:#}", report.json()),
        Ok(report) => print!("{}", report.markdown()),
        Err(error) => return fail(&error),
    }
    ExitCode::SUCCESS
}

fn fail(error: &str) -> ExitCode {
    eprintln!("bench: {error}");
    ExitCode::FAILURE
}

async fn run(arguments: &Arguments) -> Result<Report, String> {
    let mut report = Report { machine: machine(), ..Report::default() };
    let bench = Bench::new(Plan::new(arguments.quick))?;
    let wanted = if arguments.only.is_empty() { Scenario::usual() } else { arguments.only.clone() };
    for scenario in wanted {
        eprintln!("{}", scenario.title());
        scenario.run(&bench, &mut report).await.map_err(|error| format!("{}: {error}", scenario.title()))?;
    }
    Ok(report)
}

/// The machine in a line.
fn machine() -> String {
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let field = |file: &str, name: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split(':').nth(1).unwrap_or("unknown").trim().to_owned()
    };
    format!(
        "{}, {cores} cores for the servers, the load generator and everything else; {} of memory; built as {}.",
        field("/proc/cpuinfo", "model name"),
        field("/proc/meminfo", "MemTotal"),
        if cfg!(debug_assertions) { "debug, so the figures mean nothing" } else { "release" },
    )
}
