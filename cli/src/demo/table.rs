//! What the audience sees: a table that redraws in place on a terminal, plain lines elsewhere.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::sample::{DemoPhase, Summary};
use crate::output;

const PLAIN_EVERY: Duration = Duration::from_secs(1);

/// One row of the table.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) phase: DemoPhase,
    pub(super) summary: Summary,
    /// Faults counted so far, where faults are expected.
    pub(super) injected: Option<u64>,
}

/// The stage's front.
#[derive(Debug)]
pub(super) struct LiveTable {
    is_live: bool,
    has_colour: bool,
    n_lines_drawn: usize,
    drawn: Vec<Row>,
    plain_last: Option<Instant>,
}

impl LiveTable {
    /// A table on stdout, in the manner that stdout allows.
    pub(super) fn new() -> Self {
        Self::with(output::stdout_is_live(), output::stdout_has_colour())
    }

    fn with(is_live: bool, has_colour: bool) -> Self {
        Self { is_live, has_colour, n_lines_drawn: 0, drawn: Vec::new(), plain_last: None }
    }

    /// A line of the story; stays on the screen, above the table.
    pub(super) fn tell(&mut self, line: &str) -> std::io::Result<()> {
        if !self.is_live {
            return output::data(line);
        }
        let rows = std::mem::take(&mut self.drawn);
        output::paint(&format!("{}{line}\n", self.erase()));
        self.redraw(rows);
        Ok(())
    }

    /// A command that the audience could type.
    pub(super) fn tell_command(&mut self, command: &str) -> std::io::Result<()> {
        let line = format!("   $ {command}");
        let line = self.colour("36", &line);
        self.tell(&line)
    }

    /// The verdict.
    pub(super) fn tell_verdict(&mut self, report: &Value) -> std::io::Result<()> {
        let verdict = report["verdict"].as_str().unwrap_or_default();
        let code = match verdict {
            "held" => "1;32",
            "failed" => "1;31",
            _ => "1;33",
        };
        let word = self.colour(code, &verdict.to_uppercase());
        let reasons = report["reasons"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let reasons: String = reasons.map(|reason| format!("\n  {reason}")).collect();
        self.tell(&format!("\nHypothesis {word}{reasons}"))
    }

    /// The numbers now. Off a terminal at most one line a second, about the last phase; `is_final` always prints.
    pub(super) fn draw(&mut self, rows: Vec<Row>, is_final: bool) -> std::io::Result<()> {
        if self.is_live {
            output::paint(&self.erase());
            self.redraw(rows);
            return Ok(());
        }
        let is_due = self.plain_last.is_none_or(|last| last.elapsed() >= PLAIN_EVERY);
        let Some(row) = rows.last().filter(|_| is_due || is_final) else { return Ok(()) };
        self.plain_last = Some(Instant::now());
        output::data(&format!("   {}", plain(row)))
    }

    /// The whole table one last time; it stays.
    pub(super) fn finish(&mut self, rows: Vec<Row>) -> std::io::Result<()> {
        if !self.is_live {
            return output::data(&format!("\n{}", picture(&rows)));
        }
        self.draw(rows, true)?;
        (self.n_lines_drawn, self.drawn) = (0, Vec::new());
        Ok(())
    }

    fn redraw(&mut self, rows: Vec<Row>) {
        if rows.is_empty() {
            return;
        }
        let picture = picture(&rows);
        self.n_lines_drawn = picture.lines().count();
        self.drawn = rows;
        output::paint(&picture);
    }

    /// Moves the cursor to where the table begins and clears from there.
    fn erase(&mut self) -> String {
        match std::mem::take(&mut self.n_lines_drawn) {
            0 => String::new(),
            n => format!("\x1b[{n}A\x1b[J"),
        }
    }

    fn colour(&self, code: &str, text: &str) -> String {
        if self.has_colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn cells(row: &Row) -> [String; 8] {
    let summary = &row.summary;
    let ms = |seconds: f64| format!("{:.1} ms", seconds * 1000.0);
    [
        row.phase.as_str().to_owned(),
        summary.requests.to_string(),
        format!("{:.2} %", summary.success_ratio * 100.0),
        ms(summary.p50_seconds),
        ms(summary.p99_seconds),
        ms(summary.max_seconds),
        summary.from_cache.to_string(),
        row.injected.map_or_else(|| "-".to_owned(), |n| n.to_string()),
    ]
}

const HEADER: [&str; 8] = ["PHASE", "REQUESTS", "SUCCESS", "P50", "P99", "MAX", "CACHED", "INJECTED"];

/// Columns of fixed width: a table whose columns dance is hard to read while it redraws. 79 columns in all: a line that
/// wraps could not be erased.
fn picture(rows: &[Row]) -> String {
    const WIDTHS: [usize; 8] = [9, 9, 10, 10, 11, 11, 7, 10];
    let line = |cells: &[String]| {
        let mut line = String::from("  ");
        for (index, (cell, width)) in cells.iter().zip(WIDTHS).enumerate() {
            line.push_str(&if index == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") });
        }
        line.push('\n');
        line
    };
    let mut text = line(&HEADER.map(str::to_owned));
    for row in rows {
        text.push_str(&line(&cells(row)));
    }
    text
}

fn plain(row: &Row) -> String {
    let [phase, requests, success, p50, p99, max, cached, injected] = cells(row);
    format!(
        "{phase:<8} {requests:>6} requests  success {success}  p50 {p50}  p99 {p99}  max {max}  from cache {cached}  injected {injected}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(phase: DemoPhase) -> Row {
        let summary = Summary {
            requests: 1234,
            success_ratio: 1.0,
            p50_seconds: 0.004,
            p99_seconds: 0.1512,
            ..Summary::default()
        };
        Row { phase, summary, injected: Some(61) }
    }

    #[test]
    fn the_picture_has_one_line_a_phase_and_fits_80_columns() {
        let text = picture(&[row(DemoPhase::Baseline), row(DemoPhase::Fault)]);
        assert_eq!(text.lines().count(), 3);
        let widths: Vec<_> = text.lines().map(str::len).collect();
        assert!(widths.iter().all(|width| *width == widths[0] && *width < 80), "{widths:?}");
        assert!(text.contains("151.2 ms"), "{text}");
    }

    #[test]
    fn what_was_drawn_is_erased_exactly() {
        let mut table = LiveTable::with(true, false);
        table.n_lines_drawn = 4;
        assert_eq!((table.erase(), table.erase()), ("\x1b[4A\x1b[J".to_owned(), String::new()));
    }

    #[test]
    fn without_colour_there_are_no_escapes() {
        assert_eq!(LiveTable::with(false, false).colour("31", "x"), "x");
        assert_eq!(LiveTable::with(true, true).colour("31", "x"), "\x1b[31mx\x1b[0m");
    }
}
