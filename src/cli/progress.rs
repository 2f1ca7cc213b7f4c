//! How a build looks while it runs: bars on a terminal, plain lines elsewhere. Decides nothing.

use std::io::IsTerminal;
use std::sync::Mutex;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::{escape, show};
use crate::build::progress::{Event, Progress};
use crate::image;
use crate::report::{bytes, counted};

/// A watcher for standard error.
pub(super) fn watcher() -> Box<dyn Progress> {
    if std::io::stderr().is_terminal() && !show::is_quiet() {
        Box::new(Bars::default())
    } else {
        Box::new(Lines::default())
    }
}

/// Plain lines: few, and none that a log would have to repeat.
#[derive(Default)]
struct Lines(Mutex<Download>);

#[derive(Default)]
struct Download {
    bytes: u64,
    reported: u64,
}

impl Progress for Lines {
    fn on_event(&self, event: Event) {
        let mut download = self.0.lock().expect("no thread panics while holding it");
        match event {
            Event::Downloading { files, bytes: size } => {
                *download = Download {
                    bytes: size,
                    reported: 0,
                };
                let files = counted(files, "file");
                show::remark(&format!("downloading {files}, {}", bytes(size)));
            }
            Event::Downloaded(there) => {
                // A line for each tenth, where there is enough to wait for.
                let tenth = 10 * there / download.bytes.max(1);
                if download.bytes > 100_000_000 && tenth > download.reported && tenth < 10 {
                    download.reported = tenth;
                    show::remark(&format!(
                        "downloaded {} of {}",
                        bytes(there),
                        bytes(download.bytes)
                    ));
                }
            }
            Event::Preparing(packages) => {
                show::remark(&format!("preparing {}", counted(packages, "package")));
            }
            Event::Waiting(claim) => {
                show::remark(&format!(
                    "{} is built by {claim}: waiting",
                    claim.environment
                ));
            }
            Event::Assembling(name) => show::remark(&format!("linking {name}")),
            Event::Loading(..) | Event::Warning(_) => show_message(event),
            Event::Finished(..)
            | Event::DownloadsDone
            | Event::Prepared(_)
            | Event::PreparationsDone => {}
        }
    }
}

/// One bar for downloads, one for packages, one line for each environment that is being linked.
#[derive(Default)]
struct Bars {
    all: MultiProgress,
    downloads: Mutex<Option<ProgressBar>>,
    packages: Mutex<Option<ProgressBar>>,
    environments: Mutex<Vec<(String, ProgressBar)>>,
}

impl Bars {
    fn bar(&self, length: u64, template: &str, what: &str) -> ProgressBar {
        let style = ProgressStyle::with_template(template).expect("the template is one");
        let bar = self.all.add(ProgressBar::new(length).with_style(style));
        bar.set_message(what.to_owned());
        bar
    }
}

const BYTES: &str =
    "{msg:12} {bar:30} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}";
const COUNT: &str = "{msg:12} {bar:30} {pos}/{len}";

impl Progress for Bars {
    fn on_event(&self, event: Event) {
        const HELD: &str = "no thread panics while holding it";
        match event {
            Event::Downloading { bytes, .. } => {
                *self.downloads.lock().expect(HELD) = Some(self.bar(bytes, BYTES, "downloading"));
            }
            Event::Downloaded(there) => {
                if let Some(bar) = &*self.downloads.lock().expect(HELD) {
                    bar.set_position(there);
                }
            }
            Event::Loading(..) | Event::Warning(_) => show_message(event),
            Event::DownloadsDone => finish(self.downloads.lock().expect(HELD).take()),
            Event::Preparing(packages) => {
                let bar = self.bar(packages as u64, COUNT, "preparing");
                *self.packages.lock().expect(HELD) = Some(bar);
            }
            Event::Prepared(_) => {
                if let Some(bar) = &*self.packages.lock().expect(HELD) {
                    bar.inc(1);
                }
            }
            Event::Waiting(claim) => {
                let line = format!("{} is built by {claim}: waiting", claim.environment);
                // Where the line cannot be drawn, nothing else could.
                let _ = self.all.println(escape::line(&line));
            }
            Event::PreparationsDone => finish(self.packages.lock().expect(HELD).take()),
            Event::Assembling(name) => {
                let bar = self.bar(1, "linking {msg}", name.as_str());
                bar.tick();
                let mut environments = self.environments.lock().expect(HELD);
                environments.push((name.to_string(), bar));
            }
            Event::Finished(name, _) => {
                let mut environments = self.environments.lock().expect(HELD);
                let position = environments
                    .iter()
                    .position(|(known, _)| known == name.as_str());
                finish(position.map(|position| environments.remove(position).1));
            }
        }
    }
}

fn show_message(event: Event) {
    match event {
        Event::Loading(model, why) => show::remark(&format!("loading {model} once: {why}")),
        Event::Warning(text) => show::remark(&text),
        _ => {}
    }
}

fn finish(bar: Option<ProgressBar>) {
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
}

/// How far a deep examination is: on a terminal the bytes read so far, elsewhere nothing.
pub(super) struct Reading(ProgressBar);

impl Reading {
    /// Hidden unless standard error is a terminal.
    pub(super) fn new() -> Self {
        let style = ProgressStyle::with_template("reading {decimal_bytes} {decimal_bytes_per_sec}")
            .expect("the template is one");
        Self(ProgressBar::new_spinner().with_style(style))
    }

    /// So many bytes were read in all.
    pub(super) fn update(&self, bytes: u64) {
        self.0.set_position(bytes);
    }

    /// Nothing more will be read.
    pub(super) fn finish(&self) {
        self.0.finish_and_clear();
    }
}

/// How many environments were imported: a bar on a terminal, elsewhere one line at the beginning.
pub(super) struct Importing(ProgressBar);

impl Importing {
    /// Nothing is shown before the first update.
    pub(super) fn new() -> Self {
        let style = ProgressStyle::with_template(COUNT).expect("the template is one");
        let bar = ProgressBar::new(0).with_style(style);
        Self(bar.with_message("importing"))
    }

    /// So many are to be imported, and so many of them have been.
    pub(super) fn update(&self, all: usize, done: usize) {
        if done == 0 && !std::io::stderr().is_terminal() {
            show::remark(&format!("importing {}", counted(all, "environment")));
        }
        self.0.set_length(all as u64);
        self.0.set_position(done as u64);
    }

    /// Nothing more will be imported.
    pub(super) fn finish(&self) {
        self.0.finish_and_clear();
    }
}

/// How far packing or staging is: a bar on a terminal, elsewhere one line at the beginning.
pub(super) struct Transfer {
    verb: &'static str,
    bar: ProgressBar,
}

impl Transfer {
    /// Nothing is shown before it begins.
    pub(super) fn new(verb: &'static str) -> Self {
        let style = ProgressStyle::with_template(BYTES).expect("the template is one");
        let bar = if std::io::stderr().is_terminal() {
            ProgressBar::new(0)
        } else {
            ProgressBar::hidden()
        };
        Self {
            verb,
            bar: bar.with_style(style).with_message(verb),
        }
    }

    /// Shows it.
    pub(super) fn on_event(&self, event: image::Event) {
        match event {
            image::Event::Begin(files, size) => {
                self.bar.set_length(size);
                if !std::io::stderr().is_terminal() {
                    let files = usize::try_from(files).unwrap_or(usize::MAX);
                    let files = counted(files, "file");
                    show::remark(&format!("{} {files}, {}", self.verb, bytes(size)));
                }
            }
            image::Event::Bytes(more) => self.bar.inc(more),
            image::Event::End => self.bar.finish_and_clear(),
        }
    }
}
