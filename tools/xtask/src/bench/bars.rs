//! The report as bars, for the README: an SVG with colours for light and dark surroundings, the same bytes for the same
//! numbers.

use std::fmt::Write;

use anyhow::{Result, ensure};

use super::report::{Measurement, Report};

/// Height of a bar, of the row that has it, and of a heading, in pixels.
const BAR: u32 = 15;
const ROW: u32 = 21;
const HEADING: u32 = 36;
/// Where bars begin, and how long the longest of a group is.
const LEFT: u32 = 235;
const LENGTH: f64 = 470.0;
/// Width of the picture, and its margin above and below.
const WIDTH: u32 = 800;
const MARGIN: u32 = 10;
/// Text on its own ground, so that it can be read on any page; what iPXE has is grey.
const STYLE: &str = "\
.ground{fill:#fff}text{fill:#1f2328;font:13px sans-serif}.head{font-weight:bold}.ours{fill:#2a7f62}.theirs{fill:#a8adb3}
@media(prefers-color-scheme:dark){.ground{fill:#0d1117}text{fill:#e6edf3}.ours{fill:#3fb68b}.theirs{fill:#6e7681}}";
const KIB: f64 = 1024.0;

/// Bars of the same unit.
struct Group {
    title: &'static str,
    bars: Vec<Bar>,
}

/// A bar.
struct Bar {
    label: String,
    value: f64,
    is_ours: bool,
}

/// The picture.
///
/// # Errors
/// When the report has none of the numbers that are shown.
pub fn svg(report: &Report) -> Result<String> {
    let groups: Vec<_> = groups(report).into_iter().filter(|group| !group.bars.is_empty()).collect();
    ensure!(!groups.is_empty(), "nothing that was measured is shown as bars");
    let rows: usize = groups.iter().map(|group| group.bars.len()).sum();
    let height = 2 * MARGIN + HEADING * groups.len() as u32 + ROW * rows as u32;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         role=\"img\">\n<title>hvpxe and iPXE side by side</title>\n<style>{STYLE}</style>\n\
         <rect class=\"ground\" width=\"{WIDTH}\" height=\"{height}\" rx=\"6\"/>\n"
    );
    let mut top = MARGIN;
    for group in &groups {
        // Writing to a string can't fail.
        let _ = writeln!(svg, "<text class=\"head\" x=\"14\" y=\"{}\">{}</text>", top + 23, escaped(group.title));
        top += HEADING;
        let longest = group.bars.iter().map(|bar| bar.value).fold(f64::MIN_POSITIVE, f64::max);
        for Bar { label, value, is_ours } in &group.bars {
            let length = (value / longest * LENGTH).round().max(1.0);
            let class = if *is_ours { "ours" } else { "theirs" };
            let (label_end, text_y, label) = (LEFT - 8, top + BAR - 3, escaped(label));
            let (figure_x, figure) = (f64::from(LEFT) + length + 6.0, super::table::number(*value));
            let _ = writeln!(
                svg,
                "<text x=\"{label_end}\" y=\"{text_y}\" text-anchor=\"end\">{label}</text>\
                 <rect class=\"{class}\" x=\"{LEFT}\" y=\"{top}\" width=\"{length}\" height=\"{BAR}\"/>\
                 <text x=\"{figure_x}\" y=\"{text_y}\">{figure}</text>"
            );
            top += ROW;
        }
    }
    svg.push_str("</svg>\n");
    Ok(svg)
}

fn groups(report: &Report) -> Vec<Group> {
    let boots = |task: &'static str| bars(report, "instructions/1e6", "", move |row| row.task == task, |_| "");
    let loads = |name: &'static str, circumstances: &'static str| {
        bars(report, name, circumstances, |row| row.task.ends_with(" 1 MB"), |row| row.task.as_str())
    };
    let memory = |bytes: fn(&super::memory::Footprint) -> Option<u64>| {
        let bar = |found: &super::memory::Footprint| {
            let is_ours = found.name.contains("hvpxe");
            Some(Bar { label: found.name.clone(), value: bytes(found)? as f64 / KIB, is_ours })
        };
        report.memory.iter().filter_map(bar).collect()
    };
    vec![
        Group { title: "Boot entry to boot program: million instructions (less is better)", bars: boots("boot entry") },
        Group { title: "Power-on to boot program: million instructions (less is better)", bars: boots("power-on") },
        Group { title: "Download: instructions per byte (less is better)", bars: loads("instr/byte", "") },
        Group { title: "Download at 10 ms latency: MB/s (more is better)", bars: loads("MB/s virtual", "10 ms") },
        Group { title: "ROM file: KiB (less is better)", bars: memory(|found| found.rom_file) },
        Group { title: "Base memory taken: KiB (less is better)", bars: memory(|found| Some(found.base)) },
        Group { title: "Extended memory taken: KiB (less is better)", bars: memory(|found| Some(found.extended)) },
    ]
}

/// The bars of one figure under these circumstances.
fn bars<'a>(
    report: &'a Report,
    figure: &str,
    circumstances: &str,
    is_shown: impl Fn(&Measurement) -> bool,
    what: impl Fn(&'a Measurement) -> &'a str,
) -> Vec<Bar> {
    let mut bars: Vec<Bar> = Vec::new();
    for row in report.measurements.iter().filter(|row| row.circumstances == circumstances && is_shown(row)) {
        let Some(value) = row.figures.get(figure).copied().flatten() else { continue };
        let label = format!("{} {}", row.contestant, what(row)).trim_end().to_owned();
        if !bars.iter().any(|bar| bar.label == label) {
            bars.push(Bar { label, value, is_ours: row.contestant.contains("hvpxe") });
        }
    }
    bars
}

/// Text between tags.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::super::memory::Footprint;
    use super::super::report::Software;
    use super::*;

    fn report(memory: Vec<Footprint>) -> Report {
        let software =
            Software { hvpxe: "1".to_owned(), commit: None, qemu: "11.1".to_owned(), packages: Default::default() };
        Report { software, arguments: Vec::new(), memory, measurements: Vec::new() }
    }

    fn footprint(name: &str, rom: u64) -> Footprint {
        let name = name.to_owned();
        Footprint { name, rom_file: Some(rom), rom_area: None, extended_after_post: None, base: 12_288, extended: 9 }
    }

    #[test]
    fn every_bar_has_its_figure_and_the_same_numbers_give_the_same_bytes() {
        let report = report(vec![footprint("hvpxe.rom", 56 << 10), footprint("a<b", 112 << 10)]);
        let picture = svg(&report).unwrap();
        assert_eq!(picture.matches("<rect class=\"ours\"").count(), 3);
        assert_eq!(picture.matches("<rect class=\"theirs\"").count(), 3);
        assert!(picture.contains("width=\"235\" height") && picture.contains("width=\"470\" height"), "{picture}");
        assert!(picture.contains(">56.0<") && picture.contains(">112.0<") && picture.contains(">a&lt;b<"), "{picture}");
        assert!(picture.contains("prefers-color-scheme:dark"));
        assert_eq!(svg(&Report::parse(&report.json().unwrap()).unwrap()).unwrap(), picture, "by way of JSON");
    }

    #[test]
    fn a_report_without_such_numbers_has_no_picture() {
        assert!(svg(&report(Vec::new())).is_err());
        assert!(Report::parse("[]").is_err());
    }
}
