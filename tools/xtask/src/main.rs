//! `cargo xtask`: set-up, build, run and test of hvpxe. Start with `cargo xtask run`.

mod build;
mod interrupt;
mod process;
mod progress;
mod setup;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// Builds hvpxe, a PXE boot ROM for Hyper-V's synthetic network card, and boots it in QEMU turned Hyper-V host.
///
/// New here? `cargo xtask run` shows a boot; `cargo xtask test` checks everything. Both fetch what they need first:
/// into .lab in the workspace, without root, with nothing installed on the machine.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Fetch what the other commands need: Rust's library source, QEMU 11.1, network boot programs.
    ///
    /// The others do it by themselves; run it to prepare a machine or a CI image. It takes under a minute on a good
    /// line (60 MB) and is instant when all is there. Packages come from the Debian mirror of this machine's own apt
    /// configuration (or $HVPXE_DEBIAN_MIRROR), are checked against Debian's keys, and are unpacked, not installed,
    /// to .lab in the workspace (or $HVPXE_LAB). A qemu-system-x86_64 of the machine that is 11.1 or newer is used
    /// instead.
    Setup,
    /// Build the option ROM and the QEMU plugin.
    Build,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match execute(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn execute(command: Command) -> Result<()> {
    interrupt::install()?;
    let workspace = Workspace::find()?;
    match command {
        Command::Setup => setup::run(&workspace),
        Command::Build => build::report(&build::all(&workspace)?),
    }
}
