//! The binary: everything it does stands in the library.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// A third of a node's time went into the C library's allocator, which many small values from many threads fragment.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    quietus::surface::cli::main()
}
