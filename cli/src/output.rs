//! The one door to stdout (data) and stderr (talk).
//!
//! A reader that went away (`squall rule ls | head -1`) is not an error: writing to it ends quietly. That is also why
//! nothing here uses `println!`, which panics then.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::ops::ControlFlow;

use serde_json::Value;

use crate::exit::Failure;

/// How data is written to stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Columns for people.
    Table,
    /// JSON, indented.
    Json,
    /// YAML.
    Yaml,
}

/// Writes data to stdout; a missing last line break is added.
pub(crate) fn data(text: &str) -> io::Result<()> {
    write_whole(&mut io::stdout().lock(), text)
}

/// Writes a line of data that more will follow; breaks when nobody reads any more.
pub(crate) fn line(text: &str) -> io::Result<ControlFlow<()>> {
    let mut out = io::stdout().lock();
    match out.write_all(format!("{text}\n").as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(ControlFlow::Continue(())),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(ControlFlow::Break(())),
        Err(error) => Err(error),
    }
}

/// Writes talk to stderr; when nobody listens there is nobody to tell.
pub(crate) fn say(text: &str) {
    let _ = write_whole(&mut io::stderr().lock(), text);
}

fn write_whole(out: &mut impl Write, text: &str) -> io::Result<()> {
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    match out.write_all(format!("{text}{end}").as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Writes terminal control sequences and text as they are; for pictures that redraw in place.
pub(crate) fn paint(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Writes a value as asked; `table` is only called for tables.
pub(crate) fn value(format: Format, value: &Value, table: impl FnOnce() -> String) -> Result<(), Failure> {
    let text = match format {
        Format::Table => table(),
        Format::Json => json(value),
        Format::Yaml => yaml(value)?,
    };
    Ok(data(&text)?)
}

/// Indented JSON.
pub(crate) fn json(value: &Value) -> String {
    format!("{value:#}\n")
}

/// YAML of anything that can be serialised.
pub(crate) fn yaml(value: &impl serde::Serialize) -> Result<String, Failure> {
    Ok(serde_saphyr::to_string(value).map_err(|e| anyhow::anyhow!("cannot write YAML: {e}"))?)
}

/// A table without lines, made to be read and to be cut by `awk`.
pub(crate) fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(header.to_vec());
    for row in rows {
        table.add_row(row);
    }
    let mut text = String::new();
    for line in table.to_string().lines() {
        // The style pads every cell on both sides; the first column begins at the margin all the same.
        text.push_str(line.strip_prefix(' ').unwrap_or(line).trim_end());
        text.push('\n');
    }
    text
}

/// Whether stdout is a terminal that can move its cursor.
pub(crate) fn stdout_is_live() -> bool {
    io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Whether colour is welcome on stdout (see no-color.org: any non-empty value turns it off).
pub(crate) fn stdout_has_colour() -> bool {
    stdout_is_live() && no_color_is_unset()
}

/// Whether colour is welcome on stderr.
pub(crate) fn stderr_has_colour() -> bool {
    io::stderr().is_terminal() && no_color_is_unset()
}

fn no_color_is_unset() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Gone(ErrorKind);

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_went_away_is_no_error_and_a_full_disk_is() {
        write_whole(&mut Gone(ErrorKind::BrokenPipe), "x").unwrap();
        assert_eq!(write_whole(&mut Gone(ErrorKind::StorageFull), "x").unwrap_err().kind(), ErrorKind::StorageFull);
    }

    #[test]
    fn every_text_ends_with_one_line_break() {
        for text in ["a", "a\n"] {
            let mut out = Vec::new();
            write_whole(&mut out, text).unwrap();
            assert_eq!(out, b"a\n");
        }
    }

    #[test]
    fn tables_have_no_blanks_around_them() {
        let text = table(&["NAME", "NOTE"], [vec!["slow-b".to_owned(), String::new()]]);
        assert_eq!(text.lines().count(), 2);
        assert!(text.lines().all(|line| line == line.trim()), "{text:?}");
    }
}
