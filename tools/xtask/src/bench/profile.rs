//! `cargo xtask profile`: where the instructions of a measurement go, by function.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};

use super::SHIFT;
use super::contestant::{Contestant, Program, Protocol, Stack};
use super::plan::{Item, MB, Setting, Task};
use super::run::Bench;
use super::symbols::{STUB, Symbols};
use crate::build;
use crate::lab::Lab;
use crate::workspace::Workspace;

/// Functions in the table, unless told otherwise.
const ROWS: usize = 30;

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// From the boot entry to the first instruction of the boot program.
    Boot,
    /// A download of 1 MB by the base code.
    Download,
    /// A download of 1 MB by the base code, HTTP.
    Http,
    /// The same as `download` by `TFTP_OPEN` and `TFTP_READ`.
    TftpApi,
    /// By pxelinux.0 on the UDP API.
    Pxelinux,
    /// By lpxelinux.0 on UNDI, HTTP.
    Lpxelinux,
    /// By undionly.kpxe on UNDI, HTTP.
    Undionly,
    /// Calls that do nothing.
    Call,
}

/// Which measurement.
#[derive(Args)]
pub struct ProfileArgs {
    /// What is measured.
    #[arg(value_enum, default_value = "download")]
    what: What,

    /// Functions in the table.
    #[arg(long, default_value_t = ROWS, value_name = "N")]
    rows: usize,
}

impl What {
    fn item(self) -> Item {
        let (program, task) = match self {
            Self::Boot => (Program::Itself, Task::Boot),
            Self::Download => (Program::Itself, Task::Download(Protocol::Tftp, MB)),
            Self::Http => (Program::Itself, Task::Download(Protocol::Http, MB)),
            Self::TftpApi => (Program::Packets, Task::Download(Protocol::Tftp, MB)),
            Self::Pxelinux => (Program::Pxelinux, Task::Download(Protocol::Tftp, MB)),
            Self::Lpxelinux => (Program::Lpxelinux, Task::Download(Protocol::Http, MB)),
            Self::Undionly => (Program::Undionly, Task::Download(Protocol::Http, MB)),
            Self::Call => (Program::Itself, Task::NullCall),
        };
        Item { contestant: Contestant { stack: Stack::Hvpxe, program }, task, setting: Setting::plain(SHIFT) }
    }
}

/// Builds, runs, and shows the functions with the most instructions; the flame graph goes to dist/profile.svg.
///
/// # Errors
/// When something can't be built, or the run doesn't get to its end.
pub fn run(workspace: &Workspace, args: &ProfileArgs) -> Result<()> {
    let products = build::all(workspace)?;
    let lab = Lab::prepare(workspace, &products)?;
    let meter = fs::read(build::meter(workspace)?)?;
    let symbols = Symbols::read(&products.net.elf)?;
    let dir = tempfile::Builder::new().prefix("hvpxe-profile-").tempdir()?;
    let path = dir.path().join("blocks");
    let item = args.what.item();
    Bench::new(&lab, &meter).profile(&item, &path)?;
    let blocks = fs::read_to_string(&path).context("the plugin wrote no profile")?;
    let functions = by_function(&blocks, &symbols)?;
    print!("{}", table(&functions, args.rows));

    let mut graph = Vec::new();
    let mut options = inferno::flamegraph::Options::default();
    options.title = format!("hvpxe, guest instructions: {}", item.words());
    options.count_name = "instructions".to_owned();
    let lines: Vec<String> = functions.iter().map(|(name, count)| format!("{} {count}", stack(name))).collect();
    inferno::flamegraph::from_lines(&mut options, lines.iter().map(String::as_str), &mut graph)
        .context("can't draw the flame graph")?;
    let svg = workspace.root.join("dist/profile.svg");
    fs::write(&svg, graph).with_context(|| format!("can't write {}", svg.display()))?;
    println!("{}", svg.display());
    Ok(())
}

/// The lines of a profile: a block's address, and the instructions executed there.
fn parsed(blocks: &str) -> Result<Vec<(u64, u64)>> {
    let parse = |line: &str| {
        let (address, count) = line.split_once(' ').with_context(|| format!("not a line of a profile: {line}"))?;
        Ok((u64::from_str_radix(address, 16)?, count.parse()?))
    };
    blocks.lines().map(parse).collect()
}

/// The instructions of the real-mode stub.
///
/// # Errors
/// When this is no profile, or there are none.
pub fn in_stub(blocks: &str) -> Result<u64> {
    let blocks = parsed(blocks)?;
    let count = blocks.iter().filter(|(address, _)| STUB.contains(address)).map(|(_, count)| count).sum();
    ensure!(count > 0, "no instruction of the stub in the profile");
    Ok(count)
}

/// Instructions by function, most first.
fn by_function(blocks: &str, symbols: &Symbols) -> Result<Vec<(String, u64)>> {
    let mut functions = BTreeMap::new();
    for (address, count) in parsed(blocks)? {
        *functions.entry(symbols.name(address)).or_insert(0) += count;
    }
    let mut functions: Vec<_> = functions.into_iter().collect();
    functions.sort_by_key(|(name, count)| (std::cmp::Reverse(*count), name.clone()));
    Ok(functions)
}

fn table(functions: &[(String, u64)], rows: usize) -> String {
    let total: u64 = functions.iter().map(|(_, count)| count).sum();
    let share = |count: u64| count as f64 * 100.0 / total.max(1) as f64;
    let mut text = format!("  share  instructions  function\n 100.0%  {total:>12}  all\n");
    for (name, count) in functions.iter().take(rows) {
        text.push_str(&format!("{:>6.1}%  {count:>12}  {name}\n", share(*count)));
    }
    text
}

/// A function as a stack of the flame graph: the modules that it lies in, each in the one before. Calls are not recorded.
fn stack(name: &str) -> String {
    // A space ends the stack in that format, and a semicolon a frame.
    name.replace([';', ' '], "_").replace("::", ";")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stub_is_told_from_the_rest() {
        assert_eq!(in_stub("7c00 5\n9d010 3\n9e000 4\nffffffff80000000 100\n").unwrap(), 7);
        assert!(in_stub("7c00 5\n").is_err());
        assert!(in_stub("7c00\n").is_err());
    }

    #[test]
    fn shares_add_up_and_modules_become_frames() {
        let functions = [("hvpxe::net::a".to_owned(), 75), ("BIOS".to_owned(), 25)];
        let text = table(&functions, 1);
        assert!(text.contains("75.0%            75  hvpxe::net::a"), "{text}");
        assert!(!text.contains("BIOS"), "one row was asked for: {text}");
        assert_eq!(stack("hvpxe::net::a b"), "hvpxe;net;a_b");
    }
}
