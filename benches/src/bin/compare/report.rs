//! Results as tables.

use std::fmt::Write;

/// One proxy.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) values: Vec<f64>,
    pub(crate) is_left_out: bool,
}

impl Row {
    pub(crate) fn new(name: String) -> Self {
        Self { name, values: Vec::new(), is_left_out: false }
    }

    pub(crate) fn left_out(name: String) -> Self {
        Self { name, values: Vec::new(), is_left_out: true }
    }

    fn sorted(&self) -> Vec<f64> {
        let mut values = self.values.clone();
        values.sort_by(f64::total_cmp);
        values
    }

    /// The least and the greatest value.
    pub(crate) fn range(&self) -> [f64; 2] {
        let values = self.sorted();
        [values.first().copied().unwrap_or(f64::NAN), values.last().copied().unwrap_or(f64::NAN)]
    }

    pub(crate) fn median(&self) -> f64 {
        let values = self.sorted();
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

/// One kind of work.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) title: String,
    pub(crate) rows: Vec<Row>,
}

impl Table {
    /// The table, with what Squall costs in terms of each other one.
    pub(crate) fn markdown(&self) -> String {
        let squall = self.rows.iter().find(|row| row.name == "Squall").map_or(f64::NAN, Row::median);
        let mut text = format!("\n### {}\n\n| | median | range | Squall costs |\n|---|---|---|---|\n", self.title);
        for row in &self.rows {
            if row.is_left_out {
                let _ = writeln!(text, "| {} | not installed | | |", row.name);
                continue;
            }
            let ([least, most], median) = (row.range(), row.median());
            let ratio = squall / median;
            let _ = writeln!(text, "| {} | {median:.2} | {least:.2} – {most:.2} | {ratio:.2} × |", row.name);
        }
        text
    }
}

/// Prints for the person who waits.
#[expect(clippy::print_stdout, reason = "the result of the command")]
pub(crate) fn say(text: &str) {
    println!("{text}");
}
