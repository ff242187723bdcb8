//! The report as bars: for each download without latency, what a byte costs with hvpxe and with iPXE.

use std::fmt::Write;

use super::contestant::Stack;
use super::plan::{MB, Task};
use super::results::Results;

/// Height of a bar, and of the row that has it, in pixels.
const BAR: u32 = 16;
const ROW: u32 = 22;
/// Where bars begin, and how long the longest is.
const LEFT: u32 = 230;
const LENGTH: f64 = 480.0;
/// Width of the picture.
const WIDTH: u32 = 800;
/// Room for the title.
const TOP: u32 = 44;
/// Ours, and theirs.
const COLOURS: [&str; 2] = ["#2a7f62", "#b8b8b8"];

/// The picture: instructions per byte of downloads of 1 MB.
pub fn svg(results: &Results) -> String {
    let items = results.sections.iter().flat_map(|section| &section.items);
    let mut bars: Vec<(String, f64, Stack)> = Vec::new();
    for item in items {
        let is_plain = item.setting == super::plan::Setting::plain(item.setting.shift);
        if !is_plain || !matches!(item.task, Task::Download(_, bytes) if bytes == MB) {
            continue;
        }
        if let Some(value) = results.figures(item).first().and_then(|figure| figure.value) {
            let label = format!("{}, {}", item.contestant.name(), item.words());
            if !bars.iter().any(|(known, ..)| *known == label) {
                bars.push((label, value, item.contestant.stack));
            }
        }
    }
    let longest = bars.iter().map(|(_, value, _)| *value).fold(f64::MIN_POSITIVE, f64::max);
    let height = TOP + ROW * bars.len() as u32 + 10;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"white\"/>\n\
         <text x=\"10\" y=\"26\" font-size=\"16\">Guest instructions per downloaded byte (less is better)</text>\n"
    );
    for (index, (label, value, stack)) in bars.iter().enumerate() {
        let y = TOP + ROW * index as u32;
        let length = (value / longest * LENGTH).max(1.0);
        let colour = COLOURS[usize::from(*stack == Stack::Ipxe)];
        let text_y = y + BAR - 3;
        // Writing to a string can't fail.
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{text_y}\" text-anchor=\"end\">{label}</text>\
             <rect x=\"{LEFT}\" y=\"{y}\" width=\"{length:.0}\" height=\"{BAR}\" fill=\"{colour}\"/>\
             <text x=\"{:.0}\" y=\"{text_y}\">{}</text>",
            LEFT - 8,
            f64::from(LEFT) + length + 6.0,
            super::table::number(*value),
        );
    }
    svg.push_str("</svg>\n");
    svg
}
