//! How far an evaluation is: a bar on a terminal, elsewhere a line a minute.

use std::cell::Cell;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::show;
use crate::evaluate::Progress;

/// How often a line is printed.
const EVERY: Duration = Duration::from_secs(60);

pub(super) struct Watcher {
    bar: Option<ProgressBar>,
    printed: Cell<Instant>,
}

impl Watcher {
    pub(super) fn new() -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        Self {
            bar: is_terminal.then(bar),
            printed: Cell::new(Instant::now()),
        }
    }

    pub(super) fn update(&self, progress: &Progress) {
        if let Some(bar) = &self.bar {
            bar.set_length(progress.total.unwrap_or(0));
            bar.set_position(progress.done + progress.failed + progress.already);
            bar.set_message(text(progress));
        } else if self.printed.get().elapsed() >= EVERY {
            self.printed.set(Instant::now());
            show::remark(&format!("rootstock: {}", text(progress)));
        }
    }

    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {msg}").expect("the template is one");
    ProgressBar::new(0).with_style(style)
}

/// What was done, and how fast.
#[expect(clippy::cast_precision_loss, reason = "counts of structures are small")]
fn text(progress: &Progress) -> String {
    let all = progress.done + progress.failed + progress.already;
    let total = progress
        .total
        .map(|total| format!(" of {total}"))
        .unwrap_or_default();
    let failed = match progress.failed {
        0 => String::new(),
        failed => format!(", {failed} failed"),
    };
    let rate = progress.done as f64 / progress.seconds.max(1e-3);
    format!("{all}{total} structures{failed}, {rate:.1}/s")
}
