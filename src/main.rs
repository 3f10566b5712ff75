//! The binary; everything else is in the library.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Returns memory to the system after a burst of requests, which glibc's allocator does not (docs/adr/0014).
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    memgate::cli::run()
}
