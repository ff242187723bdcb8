//! The report as text.

use std::fmt::Write;

use super::memory::Footprint;
use super::plan::Item;
use super::results::{Figure, Results};

/// In place of a number that can't be had.
const ABSENT: &str = "-";
/// Over the table of memory.
const MEMORY_TITLE: &str = "Memory in KiB: ROM file, what is kept of it in the option-ROM area, extended memory that POST takes; base and \
     extended memory that is gone when the boot program runs";
/// Below it.
const NOT_A_ROM: &str =
    "ipxe.lkrn is no option ROM. What a ROM allocates for POST alone, by PMM, the map shows again afterwards.";
/// What is said below a table with one that died.
const IT_DIED: &str = "undionly@ipxe was tried: a few blocks into the download it executes its own transmit buffer (INT 05h by \
     BOUND), for ever.";
/// What is said below a table with contestants on NICs that QEMU emulates.
const OTHER_NICS: &str = "ipxe-e1000 and ipxe-virtio are on NICs that QEMU emulates: their exits can't be counted, and QEMU's own \
     DHCP and TFTP server answers them.";

/// The tables, one a section. A number in brackets is the ratio to iPXE at the same task.
pub fn text(results: &Results) -> String {
    let mut text = String::new();
    for section in &results.sections {
        // One block for each kind of figures.
        let mut blocks: Vec<(Vec<&str>, Vec<Vec<String>>)> = Vec::new();
        for item in &section.items {
            let figures = results.figures(item);
            let names: Vec<_> = figures.iter().map(|figure| figure.name).collect();
            let row = row(item, &figures);
            match blocks.iter_mut().find(|(known, _)| *known == names) {
                Some((_, rows)) => rows.push(row),
                None => blocks.push((names, vec![row])),
            }
        }
        // Writing to a string can't fail.
        let _ = writeln!(text, "\n{}", section.title);
        for (names, rows) in blocks {
            let mut heading = vec![String::new(), String::new()];
            heading.extend(names.into_iter().map(str::to_owned));
            text.push_str(&aligned(&heading, &rows));
        }
        if section.items.iter().any(|item| results.died(item)) {
            let _ = writeln!(text, "  {ABSENT}  {IT_DIED}");
        }
        if section.items.iter().any(|item| !item.contestant.stack.is_synthetic()) {
            let _ = writeln!(text, "  {ABSENT}  {OTHER_NICS}");
        }
    }
    text
}

fn row(item: &Item, figures: &[Figure]) -> Vec<String> {
    let mut row = vec![item.contestant.name(), item.words()];
    let is_rival = item.rival() == *item;
    row.extend(figures.iter().map(|figure| match figure.ratio().filter(|_| !is_rival) {
        Some(ratio) => format!("{} ({ratio:.2})", cell(figure.value)),
        None => cell(figure.value),
    }));
    row
}

/// A number, or that there is none.
pub fn cell(value: Option<f64>) -> String {
    value.map_or_else(|| ABSENT.to_owned(), number)
}

/// A number with about four digits.
pub fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size < 0.1 => format!("{value:.4}"),
        size if size < 10.0 => format!("{value:.3}"),
        size if size < 1000.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// What the contestants take of the machine's memory.
pub fn memory(footprints: &[Footprint]) -> String {
    if footprints.is_empty() {
        return String::new();
    }
    let heading = ["", "", "ROM file", "kept after POST", "extended after POST", "base", "extended"].map(str::to_owned);
    let kib = |bytes: Option<u64>| cell(bytes.map(|bytes| bytes as f64 / 1024.0));
    let row = |found: &Footprint| {
        let Footprint { name, rom_file, rom_area, extended_after_post, base, extended } = found;
        let cells = [*rom_file, *rom_area, *extended_after_post, Some(*base), Some(*extended)];
        [name.clone(), String::new()].into_iter().chain(cells.map(kib)).collect()
    };
    let rows: Vec<_> = footprints.iter().map(row).collect();
    format!("\n{MEMORY_TITLE}\n{}  {ABSENT}  {NOT_A_ROM}\n", aligned(&heading, &rows))
}

/// Columns: names to the left, numbers to the right.
pub fn aligned(heading: &[String], rows: &[Vec<String>]) -> String {
    const NAMES: usize = 2;
    let all: Vec<_> = std::iter::once(heading).chain(rows.iter().map(Vec::as_slice)).collect();
    let width = |column: usize| all.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for row in &all {
        let mut line = String::from(" ");
        for (column, cell) in row.iter().enumerate() {
            let _ = match column < NAMES {
                true => write!(line, " {cell:<0$} ", width(column)),
                false => write!(line, "  {cell:>0$}", width(column)),
            };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows =
            [vec!["a".to_owned(), "bb".to_owned(), "1".to_owned()], vec!["ccc".into(), "d".into(), "22.5".into()]];
        let text = aligned(&["".to_owned(), "".into(), "n".into()], &rows);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[1].len(), lines[2].len(), "{text}");
        assert!(lines[0].ends_with('n') && lines[1].ends_with(" 1"), "{text}");
    }

    #[test]
    fn numbers_have_the_digits_that_matter() {
        assert_eq!([0.0, 0.0123, 4.81, 56.78, 12345.6].map(number), ["0", "0.0123", "4.810", "56.8", "12346"]);
    }
}
