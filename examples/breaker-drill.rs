//! The drill of the circuit breaker: a bank that can be broken by hand, memgate before it, and what happens.

use std::env;
use std::io::stdin;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use clap::Parser;
use memgate_test_kit::breaker_drill::{METRICS, Stage, describe, play};
use memgate_test_kit::fault_proxy::Fault;
use tokio::sync::mpsc;

/// Breaks a memory bank, watches memgate's circuit breaker open, heals the bank, and watches the breaker close.
///
/// Everything runs on free ports of this machine, in a temporary folder: a fake of mem0, a proxy that breaks it, and the
/// memgate that lies beside this program. The transcript is printed; the exit code says whether all went as it should.
#[derive(Parser)]
struct Arguments {
    /// Reads commands instead of playing the drill, to break and heal the bank by hand
    #[arg(long)]
    by_hand: bool,

    /// For how long the breaker stays open
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = humantime::parse_duration)]
    open_for: Duration,
}

const COMMANDS: &str = "\
    break         the bank refuses every connection\n\
    hang          the bank takes requests and answers nothing\n\
    fail          the bank answers 500\n\
    heal          the bank is well\n\
    store TEXT    store a memory\n\
    search TEXT   search\n\
    breaker       the states of the breakers\n\
    metrics       what the metrics say of breakers, retries and queue\n\
    quit";

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("breaker-drill: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), String> {
    let stage = Stage::set(&memgate()?, arguments.open_for).await?;
    if arguments.by_hand {
        return by_hand(&stage).await;
    }
    play(&stage, &mut |line| println!("{line}")).await
}

/// The program that cargo puts a folder above the examples.
fn memgate() -> Result<PathBuf, String> {
    let own = env::current_exe().map_err(|error| error.to_string())?;
    let folder = own.parent().and_then(|examples| examples.parent()).ok_or("this program is in no folder")?;
    Ok(folder.join("memgate"))
}

async fn by_hand(stage: &Stage) -> Result<(), String> {
    println!("memgate at {}, the operator's listener at {}", stage.url, stage.admin);
    println!("\nexport TOKEN='{}'\n\n{COMMANDS}\n", stage.token);
    let (typed, mut lines) = mpsc::unbounded_channel();
    // Bank and proxy go on while nothing is typed.
    thread::spawn(move || stdin().lines().map_while(Result::ok).try_for_each(|line| typed.send(line)));
    while let Some(line) = lines.recv().await {
        let (command, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        match command {
            "break" => stage.proxy.refuse(true).await,
            "hang" => faulty(stage, Fault::Stall).await,
            "fail" => faulty(stage, Fault::status("500 Internal Server Error")).await,
            "heal" => faulty(stage, Fault::Pass).await,
            "store" => println!("{}", describe(&stage.store(rest).await?)),
            "search" => println!("{}", describe(&stage.search(rest).await?)),
            "breaker" => println!("{}", stage.breakers().await?),
            "metrics" => println!("{}", stage.metrics(&METRICS).await?.join("\n")),
            "quit" => break,
            _ => println!("{COMMANDS}"),
        }
    }
    Ok(())
}

async fn faulty(stage: &Stage, fault: Fault) {
    stage.proxy.refuse(false).await;
    stage.proxy.set(fault);
}
