//! The report as JSON.

use anyhow::Result;
use serde::Serialize;

use super::mark::Counts;
use super::plan::Setting;
use super::results::Results;

/// One measurement.
#[derive(Serialize)]
struct Entry<'a> {
    section: &'a str,
    contestant: String,
    task: String,
    shift: u8,
    latency_ms: u32,
    loss_percent: f64,
    counts: Counts,
    figures: serde_json::Map<String, serde_json::Value>,
    ratios: serde_json::Map<String, serde_json::Value>,
}

/// All measurements, with raw counts, figures and ratios.
///
/// # Errors
/// When it can't be written as JSON.
pub fn text(results: &Results) -> Result<String> {
    let mut entries = Vec::new();
    for section in &results.sections {
        for item in &section.items {
            let Some(counts) = results.counts(item) else { continue };
            let figures = results.figures(item);
            let Setting { shift, latency_ms, loss_permille, .. } = item.setting;
            entries.push(Entry {
                section: section.title,
                contestant: item.contestant.name(),
                task: item.words(),
                shift,
                latency_ms,
                loss_percent: f64::from(loss_permille) / 10.0,
                counts,
                figures: figures.iter().map(|figure| (figure.name.to_owned(), figure.value.into())).collect(),
                ratios: figures
                    .iter()
                    .filter_map(|figure| Some((figure.name.to_owned(), figure.ratio()?.into())))
                    .collect(),
            });
        }
    }
    Ok(serde_json::to_string_pretty(&entries)? + "\n")
}
