//! Progress of long steps: a spinner on a terminal, one plain line at the start and the end of a step elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

/// Redraw interval of a spinner (policy).
const TICK: Duration = Duration::from_millis(120);
/// Steps shorter than this are finished without naming the time they took (policy).
const WORTH_TIMING: Duration = Duration::from_secs(1);

/// One step under way. Dropped without [`Step::done`], it has failed, and the error says why.
pub struct Step {
    title: String,
    started: Instant,
    spinner: Option<ProgressBar>,
}

impl Step {
    /// Announces a step.
    pub fn start(title: impl Into<String>) -> Self {
        let title = title.into();
        let spinner = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{spinner:.cyan} {prefix} {wide_msg:.dim}")
                .expect("the template is a constant that indicatif accepts");
            let bar = ProgressBar::new_spinner().with_style(style).with_prefix(title.clone());
            bar.enable_steady_tick(TICK);
            bar
        });
        if spinner.is_none() {
            eprintln!("{title} ...");
        }
        Self { title, started: Instant::now(), spinner }
    }

    /// Says what the step is doing now. Shown on a terminal only: it changes often.
    pub fn detail(&self, text: impl Into<String>) {
        if let Some(bar) = &self.spinner {
            bar.set_message(text.into());
        }
    }

    /// Writes a line above the spinner.
    pub fn say(&self, line: &str) {
        match &self.spinner {
            Some(bar) => bar.println(line),
            None => eprintln!("{line}"),
        }
    }

    /// Ends the step; `result` is what came of it, in a few words.
    pub fn done(self, result: &str) {
        let elapsed = self.started.elapsed();
        let time = match elapsed {
            short if short < WORTH_TIMING => String::new(),
            short if short < Duration::from_secs(60) => format!(" ({:.1} s)", short.as_secs_f64()),
            long => format!(" ({})", HumanDuration(long)),
        };
        if let Some(bar) = &self.spinner {
            bar.finish_and_clear();
        }
        eprintln!("{}: {result}{time}", self.title);
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(bar) = &self.spinner {
            bar.finish_and_clear();
        }
    }
}
