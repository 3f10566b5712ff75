//! The binary; everything is in the library.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Gives memory back to the system after a storm of requests, which glibc's does not (docs/adr/0014).
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    memgate::cli::run()
}
