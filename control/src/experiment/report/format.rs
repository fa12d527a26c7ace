//! The forms of a report.

use std::fmt::{self, Display};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Report;

/// A form of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReportFormat {
    /// The whole value; the only form that can be read back.
    Json,
    /// For people, in a pull request or a wiki.
    Markdown,
    /// For people: one file with pictures, that loads nothing.
    Html,
    /// For CI systems: anything but HELD is shown as not passed.
    Junit,
    /// The journal of Chaos Toolkit, for what reads those.
    ChaosToolkit,
}

impl ReportFormat {
    /// All forms.
    pub const ALL: [Self; 5] = [Self::Json, Self::Markdown, Self::Html, Self::Junit, Self::ChaosToolkit];

    /// What it is asked for by.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Markdown => "markdown",
            Self::Html => "html",
            Self::Junit => "junit",
            Self::ChaosToolkit => "chaostoolkit",
        }
    }

    /// For `Content-Type`.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json | Self::ChaosToolkit => "application/json",
            Self::Markdown => "text/markdown; charset=utf-8",
            Self::Html => "text/html; charset=utf-8",
            Self::Junit => "application/xml",
        }
    }

    /// The end of the name of a file, without the dot before it; no two forms have the same.
    pub fn file_ending(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Markdown => "md",
            Self::Html => "html",
            Self::Junit => "junit.xml",
            Self::ChaosToolkit => "journal.json",
        }
    }
}

impl Display for ReportFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No form has that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no form of report is called {0:?}; there are json, markdown, html, junit and chaostoolkit")]
pub struct UnknownFormat(pub String);

impl FromStr for ReportFormat {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or_else(|| UnknownFormat(name.to_owned()))
    }
}

impl Report {
    /// In this form.
    pub(crate) fn render(&self, format: ReportFormat) -> String {
        match format {
            ReportFormat::Json => self.to_json(),
            ReportFormat::Markdown => self.to_markdown(),
            ReportFormat::Html => self.to_html(),
            ReportFormat::Junit => self.to_junit(),
            ReportFormat::ChaosToolkit => self.to_journal(),
        }
    }

    /// All of it, for programs. Numbers that are not finite are null, which JSON has no other word for.
    pub(crate) fn to_json(&self) -> String {
        crate::text::pretty(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_found_by_its_name_and_no_other() {
        for format in ReportFormat::ALL {
            assert_eq!(format.name().parse(), Ok(format));
            assert_eq!(serde_json::to_value(format).unwrap(), format.name());
        }
        let error = "pdf".parse::<ReportFormat>().unwrap_err().to_string();
        for format in ReportFormat::ALL {
            assert!(error.contains(format.name()), "{error}");
        }
    }

    #[test]
    fn no_two_forms_write_the_same_file() {
        let endings: std::collections::BTreeSet<_> = ReportFormat::ALL.map(ReportFormat::file_ending).into();
        assert_eq!(endings.len(), ReportFormat::ALL.len());
    }
}
