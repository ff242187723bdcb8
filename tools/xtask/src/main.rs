//! `cargo xtask`: set-up, build, run and test of hvpxe. Start with `cargo xtask run`.

mod bench;
mod boot_tests;
mod build;
mod conformance;
mod images;
mod interrupt;
mod lab;
mod lint;
mod matrix;
mod process;
mod progress;
mod run;
mod setup;
mod test;
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
    /// line (210 MB) and is instant when all is there. Packages come from the Debian mirror of this machine's own apt
    /// configuration (or $HVPXE_DEBIAN_MIRROR), are checked against Debian's keys, and are unpacked, not installed,
    /// to .lab in the workspace (or $HVPXE_LAB). A qemu-system-x86_64 of the machine that is 11.1 or newer is used
    /// instead.
    Setup,
    /// Build the option ROMs and the QEMU plugin.
    Build,
    /// Build everything that starts hvpxe, with checksums, in dist/.
    ///
    ///   hvpxe.rom       option ROM, for firmware and for QEMU's -option-rom; at most 57,344 bytes, which every BIOS takes
    ///   hvpxe-disk.rom  the same with the disk service; at most 65,536 bytes
    ///   hvpxe.0         boot program for another PXE ROM, for instance that of Hyper-V's legacy network adapter
    ///   hvpxe.img       1.44 MB floppy; also a USB stick or a hard disk
    ///   hvpxe.iso       CD; also a USB stick
    ///   hvpxe.vhd       fixed virtual hard disk, for Hyper-V (on IDE) and Azure
    ///
    /// All but the first have the disk service.
    ///
    /// The same sources give the same bytes.
    #[command(verbatim_doc_comment)]
    Images(images::ImagesArgs),
    /// Show what is in an image of any kind, and check it: signatures, checksums, headers, settings.
    Inspect(images::InspectArgs),
    /// Change settings in a finished image of any kind.
    #[command(after_help = images::settings_help())]
    Configure(images::ConfigureArgs),
    /// Boot the ROM in QEMU turned Hyper-V host: a real boot program comes up over the synthetic network card.
    ///
    /// Without options that is PXELINUX, which shows its prompt; type `ipxe` there to go on to iPXE, which drives the
    /// card through the ROM. This terminal is the machine's console; Ctrl-A X ends it.
    #[command(after_long_help = run::EXAMPLES)]
    Run(run::RunArgs),
    /// Check everything: format, lints, unit tests, and real boots in QEMU.
    ///
    /// The boots run side by side, each in a machine of its own, and each fails if the ROM breaks a rule of the
    /// Hyper-V interface or of a network protocol on the way. A table shows what passed; the last line counts.
    Test(test::TestArgs),
    /// Run the conformance boot program on PXE stacks, and show them side by side.
    ///
    /// The program (tests/conformance) checks any PXE 2.1 stack: structures, entries, every function, hostile
    /// parameters, random calls, and the orders in which boot programs unload. A stack is our ROM on the synthetic
    /// NIC, or Debian's iPXE ROM on one of QEMU's cards. Only what our ROM fails makes the exit code 1.
    Conformance(conformance::ConformanceArgs),
    /// Boot beside other owners of VMBus, and thieves of it: every combination that is worth its time, as a table.
    ///
    /// A BIOS that reaches its disk through VMBus (several kinds, tests/parties), a network boot that works or fails,
    /// boot programs that take VMBus in the middle of a download, and hosts that behave differently. Each cell ends on
    /// the disk, which must have been read and written; one that fails says why, and makes the exit code 1.
    Matrix(matrix::MatrixArgs),
    /// Compare hvpxe with iPXE, in guest instructions, exits, packets and virtual time.
    ///
    /// Every contestant runs in the same machine with the same server, which answers in the machine's own time: the same
    /// binaries give the same numbers each time, on any computer and under any load. The table goes to the terminal, all
    /// numbers to dist/bench.json, and bars to dist/bench.svg. The README shows docs/bench.svg, which --svg writes.
    Bench(bench::BenchArgs),
    /// Show where the ROM's instructions go, by function: as a table, and as a flame graph in dist/profile.svg.
    ///
    /// One measurement of the benchmark, counted by block of code: every instruction, no samples.
    Profile(bench::profile::ProfileArgs),
    /// Check format, clippy's lints and the house rules, without running any test.
    ///
    /// House rules: `unsafe` only where it is reviewed, imports in the core run one way, each crate has its licence,
    /// no file over 600 lines, nothing unfinished, a fixed top level. Each is one file in tools/xtask/src/lint.
    Lint,
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
        Command::Run(args) => run::run(&workspace, args),
        Command::Test(args) => test::run(&workspace, &args),
        Command::Conformance(args) => conformance::run(&workspace, &args),
        Command::Matrix(args) => matrix::run(&workspace, &args),
        Command::Profile(args) => bench::profile::run(&workspace, &args),
        Command::Bench(args) => bench::run(&workspace, &args),
        Command::Lint => lint::run(&workspace),
        Command::Images(args) => images::run(&workspace, &args),
        Command::Inspect(args) => images::inspect(&args),
        Command::Configure(args) => images::configure(&args),
        Command::Build => build::report(&build::all(&workspace)?),
    }
}
