//! What the benchmark is asked for.

use std::path::PathBuf;

use clap::Args;

use super::SHIFT;
use super::contestant::Contestant;
use super::plan::Choice;

/// Sizes of the files in MB, unless told otherwise.
const SIZES: [u64; 3] = [1, 20, 100];
/// Most loss, in percent (policy): with more, nothing gets through.
const MOST_LOSS: f64 = 50.0;

/// Who competes, and in what.
#[derive(Args, Debug)]
pub struct BenchArgs {
    /// A contestant; may be repeated. Default: all. iPXE's own measurement, to which ratios are given, is always made.
    #[arg(long, value_name = "NAME", value_parser = contestant)]
    pub contestant: Vec<Contestant>,

    /// Size of the downloads in MB; may be repeated. Default: 1, 20 and 100. Latency and growth are measured with 1, loss with 10.
    #[arg(long, value_name = "MB", value_parser = clap::value_parser!(u64).range(1..=200))]
    pub size: Vec<u64>,

    /// Only the rows that contain this text, such as "hvpxe: TFTP 100 MB" or "lost"; without what they are compared with.
    #[arg(long, value_name = "TEXT")]
    pub row: Option<String>,

    /// Latency one way, in ms; may be repeated. Only downloads on such wires are measured then, each latency with each
    /// --loss. Default: 0, 1, 10 and 50, and 10 with a loss of 0.1 and 1 %, by hvpxe, ipxe, and undionly@hvpxe.
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub latency: Vec<u32>,

    /// Loss of frames each way, in percent, such as 0.1; may be repeated. Likewise.
    #[arg(long, value_name = "PERCENT", value_parser = permille)]
    pub loss: Vec<u32>,

    /// Switch of the network server for all measurements, for example `tftp.max-window=4`; may be repeated. The table is in
    /// tools/netserver/src/lib.rs.
    #[arg(long, value_name = "KEY=VALUE", value_parser = server_switch)]
    pub net: Vec<(String, String)>,

    /// Write the bars also to this file.
    #[arg(long, value_name = "FILE", conflicts_with = "row")]
    pub svg: Option<PathBuf>,

    /// Measure nothing: draw the bars of --svg from an earlier dist/bench.json.
    #[arg(long, value_name = "FILE", requires = "svg")]
    #[arg(conflicts_with_all = ["contestant", "size", "row", "latency", "loss", "net", "short"])]
    pub from: Option<PathBuf>,

    /// Only what the guard of the tests measures, against what is recorded. Ends with an error when a count has grown by more
    /// than 5 %.
    #[arg(long, conflicts_with_all = ["contestant", "size", "row", "latency", "loss", "net", "svg"])]
    pub short: bool,

    /// With --short: write the counts down as the new record.
    #[arg(long, requires = "short")]
    pub record: bool,

    /// Virtual time: an instruction takes 2^SHIFT ns.
    #[arg(long, default_value_t = SHIFT, value_parser = clap::value_parser!(u8).range(0..=10), conflicts_with = "short")]
    pub shift: u8,

    /// Machines at the same time. Default: one for each processor. The numbers don't depend on it.
    #[arg(long, value_name = "N")]
    pub jobs: Option<usize>,
}

impl BenchArgs {
    /// What is measured.
    pub fn choice(&self) -> Choice {
        let or = |given: &[u32], usual: u32| if given.is_empty() { vec![usual] } else { given.to_vec() };
        let (latencies, losses) = (or(&self.latency, 0), or(&self.loss, 0));
        let is_chosen = !self.latency.is_empty() || !self.loss.is_empty();
        let cells = latencies.iter().flat_map(|&latency| losses.iter().map(move |&loss| (latency, loss))).collect();
        Choice {
            contestants: if self.contestant.is_empty() { Contestant::ALL.to_vec() } else { self.contestant.clone() },
            sizes: if self.size.is_empty() { SIZES.to_vec() } else { self.size.clone() },
            cells: is_chosen.then_some(cells),
            switches: self.net.clone(),
            shift: self.shift,
        }
    }
}

fn contestant(name: &str) -> Result<Contestant, String> {
    Contestant::ALL.into_iter().find(|contestant| contestant.name() == name).ok_or_else(|| {
        let names: Vec<_> = Contestant::ALL.iter().map(|contestant| contestant.name()).collect();
        format!("no such contestant; there are {}", names.join(", "))
    })
}

/// Percent as text, in units of 0.1 %.
fn permille(text: &str) -> Result<u32, String> {
    let percent: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    let permille = percent * 10.0;
    if !(0.0..=MOST_LOSS * 10.0).contains(&permille) || (permille - permille.round()).abs() > 1e-6 {
        return Err(format!("not between 0 and {MOST_LOSS} in steps of 0.1"));
    }
    Ok(permille.round() as u32)
}

/// A switch that the network server takes.
fn server_switch(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("not KEY=VALUE")?;
    netserver::NetServer::new().set(key, value).map_err(|error| error.to_string())?;
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        args: BenchArgs,
    }

    fn parse(args: &[&str]) -> Result<BenchArgs, String> {
        let all = std::iter::once("bench").chain(args.iter().copied());
        Cli::try_parse_from(all).map(|cli| cli.args).map_err(|error| error.to_string())
    }

    #[test]
    fn what_makes_no_sense_is_refused_before_anything_runs() {
        for (args, reason) in [
            (&["--latency", "abc"][..], "abc"),
            (&["--latency", "100000"], "100000"),
            (&["--loss", "150"], "between 0 and 50"),
            (&["--loss", "0.05"], "steps of 0.1"),
            (&["--loss", "NaN"], "between 0 and 50"),
            (&["--loss", "much"], "not a number"),
            (&["--net", "latency=abc"], "no switch latency"),
            (&["--net", "latency-ms=abc"], "latency-ms can't be"),
            (&["--net", "loss-percent=150"], "loss-percent can't be"),
            (&["--net", "http"], "not KEY=VALUE"),
            (&["--contestant", "etherboot"], "no such contestant"),
            (&["--size", "0"], "0"),
            (&["--from", "a.json"], "--svg"),
            (&["--short", "--loss", "1"], "--loss"),
        ] {
            let error = parse(args).expect_err(&args.join(" "));
            assert!(error.contains(reason), "{args:?}: {error}");
        }
    }

    #[test]
    fn every_wire_can_be_asked_for() {
        assert_eq!(parse(&[]).unwrap().choice().cells, None);
        let args = ["--latency", "1", "--latency", "50", "--loss", "0", "--loss", "0.1"];
        assert_eq!(parse(&args).unwrap().choice().cells, Some(vec![(1, 0), (1, 1), (50, 0), (50, 1)]));
        assert_eq!(parse(&["--loss", "1"]).unwrap().choice().cells, Some(vec![(0, 10)]));
    }
}
