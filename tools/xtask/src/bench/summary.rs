//! Throughput at each latency and loss, side by side.

use super::contestant::Contestant;
use super::plan::{Item, Task};
use super::results::Results;
use super::table;

/// Latency in ms and loss in units of 0.1 %.
type Cell = (u32, u32);

/// What one contestant reached by one protocol.
struct Line {
    contestant: Contestant,
    protocol: &'static str,
    values: Vec<(Cell, f64)>,
}

/// The figure that is shown.
const FIGURE: &str = "MB/s virtual";

/// One line for each contestant and protocol that was measured on more than one wire, one column for each wire; empty
/// when there is none.
pub fn text(results: &Results) -> String {
    let mut cells: Vec<Cell> = Vec::new();
    let mut lines: Vec<Line> = Vec::new();
    for item in results.sections.iter().flat_map(|section| &section.items) {
        let (Some((protocol, cell)), Some(value)) = (place(item), throughput(results, item)) else { continue };
        if !cells.contains(&cell) {
            cells.push(cell);
        }
        let known = lines.iter_mut().find(|line| (line.contestant, line.protocol) == (item.contestant, protocol));
        match known {
            // The first is the one with the shortest file.
            Some(line) if line.at(cell).is_some() => {}
            Some(line) => line.values.push((cell, value)),
            None => lines.push(Line { contestant: item.contestant, protocol, values: vec![(cell, value)] }),
        }
    }
    lines.retain(|line| line.values.len() > 1);
    cells.sort_unstable_by_key(|(latency, loss)| (*loss, *latency));
    cells.retain(|cell| lines.iter().any(|line| line.at(*cell).is_some()));
    let rows: Vec<_> = lines.iter().map(|line| line.row(&cells)).collect();
    if rows.is_empty() {
        return String::new();
    }
    let names = cells.iter().map(|(latency, loss)| match loss {
        0 => format!("{latency} ms"),
        _ => format!("{latency} ms, {:.1} % lost", f64::from(*loss) / 10.0),
    });
    let heading: Vec<_> = [String::new(), String::new()].into_iter().chain(names).collect();
    format!("\nThroughput in virtual time, MB/s, by latency (one way) and loss\n{}", table::aligned(&heading, &rows))
}

impl Line {
    fn at(&self, cell: Cell) -> Option<f64> {
        self.values.iter().find(|(known, _)| *known == cell).map(|(_, value)| *value)
    }

    fn row(&self, cells: &[Cell]) -> Vec<String> {
        let numbers = cells.iter().map(|cell| table::cell(self.at(*cell)));
        [self.contestant.name(), self.protocol.to_owned()].into_iter().chain(numbers).collect()
    }
}

/// The line and the column of a download that differs from others in latency and loss only.
fn place(item: &Item) -> Option<(&'static str, Cell)> {
    let Task::Download(protocol, _) = item.task else { return None };
    let setting = &item.setting;
    let is_usual =
        setting.window.is_none() && setting.block.is_none() && setting.nics == 1 && setting.spare_offers == 0;
    is_usual.then_some((protocol.name(), (setting.latency_ms, setting.loss_permille)))
}

fn throughput(results: &Results, item: &Item) -> Option<f64> {
    results.figures(item).iter().find(|figure| figure.name == FIGURE)?.value
}

#[cfg(test)]
mod tests {
    use super::super::contestant::Protocol;
    use super::super::mark::Counts;
    use super::super::plan::{Section, Setting};
    use super::*;

    #[test]
    fn a_cell_that_was_not_measured_is_not_made_up() {
        let item = |who: usize, latency_ms: u32, loss_permille: u32| Item {
            contestant: Contestant::ALL[who],
            task: Task::Download(Protocol::Tftp, 1_000_000),
            setting: Setting { latency_ms, loss_permille, ..Setting::plain(7) },
        };
        let items = vec![item(0, 0, 0), item(0, 10, 10), item(1, 0, 0), item(1, 10, 0), item(2, 0, 0)];
        let counts = |time_100ns| Some(Counts { time_100ns, ..Counts::default() });
        let counted = items.iter().cloned().zip([2, 4, 5, 10, 1].map(|tenths| counts(tenths * 1_000_000))).collect();
        let text = text(&Results::new(vec![Section { title: "t", items }], counted));
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[2].join(" "), "0 ms 10 ms 10 ms, 1.0 % lost");
        assert_eq!(lines[3], ["hvpxe", "TFTP", "5.000", "-", "2.500"]);
        assert_eq!(lines[4], ["ipxe", "TFTP", "2.000", "1.000", "-"]);
        assert_eq!(lines.len(), 5, "one wire is no comparison: {text}");
    }
}
