//! Models for programs (`Serialize`), for people, and as a page of a cluster's documentation (Markdown).

use std::fmt::{self, Formatter, Write as _};
use std::path::PathBuf;

use serde::Serialize;

use super::Model;
use crate::report::{bytes, line};

/// How text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// Lines of at most 80 columns.
    Lines,
    /// A table for each environment.
    Markdown,
}

/// Models, and where they are.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// The root; `None` if they are those of a lock.
    pub root: Option<PathBuf>,
    /// By id.
    pub models: Vec<Model>,
    /// How the text looks.
    #[serde(skip)]
    pub style: Style,
}

/// The width of a terminal.
const WIDTH: usize = 80;

impl fmt::Display for Report {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self.style {
            Style::Lines => self.write_lines(out),
            Style::Markdown => self.write_markdown(out),
        }
    }
}

impl Report {
    fn write_lines(&self, out: &mut Formatter<'_>) -> fmt::Result {
        for model in &self.models {
            let state = match model.built {
                Some(false) => ", not built",
                Some(true) | None => "",
            };
            line(
                out,
                format_args!("{} (environment {}{state})", model.id, model.environment),
            )?;
            for text in model.lines() {
                wrapped(out, &text)?;
            }
        }
        match (&self.root, self.models.is_empty()) {
            (Some(root), true) => line(out, format_args!("no models in {}", root.display())),
            (Some(root), false) => line(out, format_args!("root: {}", root.display())),
            (None, _) => Ok(()),
        }
    }

    fn write_markdown(&self, out: &mut Formatter<'_>) -> fmt::Result {
        line(out, "# Models")?;
        let mut environments: Vec<_> = self.models.iter().map(|model| &model.environment).collect();
        environments.sort();
        environments.dedup();
        for environment in environments {
            let of = |model: &&Model| model.environment == *environment;
            let models: Vec<&Model> = self.models.iter().filter(of).collect();
            writeln!(out)?;
            line(out, format_args!("## {environment}"))?;
            writeln!(out)?;
            if let Some(summary) = models.iter().find_map(|model| model.summary.as_ref()) {
                line(out, summary)?;
                writeln!(out)?;
            }
            let shared = shared(&models);
            for text in &shared {
                line(out, text)?;
            }
            if !shared.is_empty() {
                writeln!(out)?;
            }
            line(out, "| model | elements | weights | numbers |")?;
            line(out, "|---|---|---|---|")?;
            for model in models {
                let cells = [
                    format!("`{}`", model.id),
                    model.elements_text(),
                    model.weights_text(),
                    model.numbers_text(),
                ];
                let cells = cells.map(|cell| cell.replace('|', "\\|"));
                line(out, format_args!("| {} |", cells.join(" | ")))?;
            }
        }
        Ok(())
    }
}

/// What is the same for all models of an environment, a line each.
fn shared(models: &[&Model]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut add = |title: &str, of: fn(&Model) -> Option<String>| {
        let mut values: Vec<String> = models.iter().filter_map(|model| of(model)).collect();
        values.sort();
        values.dedup();
        if !values.is_empty() {
            lines.push(format!("- {title}: {}", values.join("; ")));
        }
    };
    add("licence", Model::licence_text);
    add("cite", |model| model.about.citation.clone());
    add("needs", super::Model::needs_text);
    add("forces", |model| {
        let direct = "predicted directly, not the slope of the energy";
        (!model.about.conservative).then(|| direct.to_owned())
    });
    lines
}

impl Model {
    fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut add = |title: &str, text: Option<String>| {
            if let Some(text) = text.filter(|text| !text.is_empty()) {
                lines.push(format!("{title}{text}"));
            }
        };
        add("elements: ", Some(self.elements_text()));
        add("licence: ", self.licence_text());
        add("cite: ", self.about.citation.clone());
        add(
            "weights: ",
            Some(self.weights_text()).filter(|_| !self.weights.is_empty()),
        );
        add("needs ", self.needs_text());
        add(
            "",
            (!self.about.conservative).then(|| "forces are predicted directly".to_owned()),
        );
        for verified in &self.verified {
            add("", Some(verified.to_string()));
        }
        if self.verified.is_empty() && self.reference.is_some() && self.built == Some(true) {
            add("", Some("numbers recorded, not verified here".to_owned()));
        }
        lines
    }

    fn elements_text(&self) -> String {
        self.about.ranges.join(", ").replace('-', "–")
    }

    fn licence_text(&self) -> Option<String> {
        match (&self.about.licence, &self.about.weights_licence) {
            (Some(code), Some(weights)) => Some(format!("{code}, weights {weights}")),
            (None, Some(weights)) => Some(format!("weights {weights}")),
            (code, None) => code.clone(),
        }
    }

    fn needs_text(&self) -> Option<String> {
        let needs = self.needs.as_ref()?;
        let driver = needs.driver.as_ref()?;
        Some(format!(
            "NVIDIA driver {} for CUDA ({})",
            driver.floor, driver.package
        ))
    }

    fn weights_text(&self) -> String {
        if self.weights.is_empty() {
            return "not locked: in its packages, or fetched by itself".to_owned();
        }
        let size: Option<u64> = self.weights.iter().map(|weight| weight.size).sum();
        let hosts = self.weights.iter().filter_map(|weight| {
            let url = weight.url.as_deref()?;
            Some(match url.split_once("://") {
                Some(("hf", rest)) => format!("Hugging Face, {}", rest.split('@').next()?),
                Some((_, rest)) => rest.split('/').next()?.to_owned(),
                None => return None,
            })
        });
        let mut parts: Vec<String> = hosts.collect();
        parts.sort();
        parts.dedup();
        parts.extend(size.map(bytes));
        parts.join(", ")
    }

    /// Energy and largest force of each structure, and whether they were verified.
    fn numbers_text(&self) -> String {
        let mut text = String::new();
        for numbers in &self.numbers {
            let _ = write!(
                text,
                "{}{}: {:.6} eV, {:.3} eV/Å",
                if text.is_empty() { "" } else { "; " },
                numbers.name,
                numbers.energy_ev,
                numbers.largest_force_ev_per_angstrom
            );
        }
        for verified in &self.verified {
            let _ = write!(text, "; {verified}");
        }
        if text.is_empty() {
            "none recorded".to_owned()
        } else {
            text
        }
    }
}

/// A text below its title, in lines of at most 80 columns.
fn wrapped(out: &mut Formatter<'_>, text: &str) -> fmt::Result {
    let mut row = String::new();
    for word in text.split_whitespace() {
        if !row.is_empty() && row.chars().count() + 1 + word.chars().count() + 4 > WIDTH {
            line(out, format_args!("    {row}"))?;
            row.clear();
            // What goes on is set further in.
            row.push_str("  ");
        }
        if !row.trim().is_empty() {
            row.push(' ');
        }
        row.push_str(word);
    }
    line(out, format_args!("    {row}"))
}
