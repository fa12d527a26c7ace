//! A report as Markdown (CommonMark, with the tables of GitHub).

use super::Report;
use super::page::{Block, Cell, Section, Table, Tone};
use super::wording::line;
use super::{content, facts};

impl Report {
    /// For people: in a pull request, a ticket or a wiki.
    pub(crate) fn to_markdown(&self) -> String {
        page(self, &content::sections(self))
    }
}

/// What everybody wants to know, without the rest.
pub(super) fn summary(report: &Report) -> String {
    page(report, &content::opening(report))
}

fn page(report: &Report, sections: &[Section]) -> String {
    let mut text = format!("# {}\n", escaped(&content::heading(report)));
    for section in sections.iter().filter(|section| !section.is_drawn()) {
        text.push_str(&format!("\n## {}\n", section.title));
        for block in &section.blocks {
            let block = written(block);
            if !block.is_empty() {
                text.push('\n');
                text.push_str(&block);
            }
        }
    }
    text
}

fn written(block: &Block) -> String {
    match block {
        Block::Verdict { verdict, text } => format!("**{}**: {}\n", facts::verdict_word(*verdict), escaped(text)),
        Block::Text(text) => format!("{}\n", paragraph(text)),
        Block::Loud(text) => format!("> **{}**\n", escaped(text)),
        Block::Heading(title) => format!("### {title}\n"),
        Block::List(points) => points.iter().map(|point| format!("- {}\n", paragraph(point))).collect(),
        Block::Links(links) => links.iter().map(|link| format!("- {}\n", address(link))).collect(),
        Block::Gap(prompt) => format!("*To be filled in: {}.*\n", escaped(prompt)),
        Block::Table(table) => written_table(table),
        Block::Code { language, text } => code_block(language, text),
        Block::Drawing(_) => String::new(),
    }
}

fn written_table(table: &Table) -> String {
    let heads: Vec<_> = table.columns.iter().map(|column| column.title.to_owned()).collect();
    let rules = table.columns.iter().map(|column| if column.is_number { "---:" } else { ":---" }.to_owned());
    let mut text = format!("*{}:*\n\n", table.caption) + &row(&heads) + &row(&rules.collect::<Vec<_>>());
    for cells in &table.rows {
        text.push_str(&row(&cells.iter().map(cell).collect::<Vec<_>>()));
    }
    text
}

fn row(cells: &[String]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

fn cell(cell: &Cell) -> String {
    let text = toned(cell);
    if cell.note.is_empty() { text } else { format!("{text}, {}", escaped(&cell.note)) }
}

fn toned(cell: &Cell) -> String {
    match cell.tone {
        // Within a table even code has to escape what parts cells.
        Tone::Code => code(&cell.text).replace('|', "\\|"),
        Tone::Bad => format!("**{}**", escaped(&cell.text)),
        Tone::Plain | Tone::Good | Tone::Unknown => escaped(&cell.text),
    }
}

/// Text that is only text: nothing of it is read as Markdown or HTML, and it is one line.
fn escaped(text: &str) -> String {
    let characters: Vec<char> = line(text).chars().collect();
    let mut safe = String::with_capacity(characters.len());
    for (place, c) in characters.iter().enumerate() {
        let is_in_word = |at: Option<usize>| at.and_then(|at| characters.get(at)).is_some_and(|c| c.is_alphanumeric());
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            // An underscore within a word is one.
            '_' if is_in_word(place.checked_sub(1)) && is_in_word(Some(place + 1)) => safe.push('_'),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' => safe.extend(['\\', *c]),
            c => safe.push(*c),
        }
    }
    safe
}

/// [`escaped`], where a line begins with it: neither a heading, nor a list, nor a rule.
fn paragraph(text: &str) -> String {
    let text = escaped(text);
    let text = text.trim_start();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(digits);
    match rest.chars().next() {
        Some('#' | '-' | '+' | '=') if digits == 0 => format!("\\{text}"),
        Some('.' | ')') if digits > 0 => format!("{number}\\{rest}"),
        _ => text.to_owned(),
    }
}

/// Between as many backticks as it takes.
fn code(text: &str) -> String {
    let text = line(text);
    let fence = "`".repeat(longest_run(&text) + 1);
    if text.starts_with('`') || text.ends_with('`') {
        format!("{fence} {text} {fence}")
    } else {
        format!("{fence}{text}{fence}")
    }
}

fn code_block(language: &str, text: &str) -> String {
    let fence = "`".repeat((longest_run(text) + 1).max(3));
    format!("{fence}{language}\n{}\n{fence}\n", text.trim_end())
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// Addresses of pages are links; everything else, such as `javascript:`, is text.
fn address(link: &str) -> String {
    let is_safe = |c: char| c.is_ascii_graphic() && !matches!(c, '<' | '>' | '\\' | '`' | '|');
    if super::html::is_page(link) && link.chars().all(is_safe) { format!("<{link}>") } else { escaped(link) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_only_text() {
        assert_eq!(
            escaped("<script>alert(1)</script> & *x* | y"),
            "&lt;script&gt;alert(1)&lt;/script&gt; &amp; \\*x\\* \\| y"
        );
        assert_eq!(escaped("steady_state _now_\nnext"), "steady_state \\_now\\_ next");
        assert_eq!(paragraph("# not a heading"), "\\# not a heading");
        assert_eq!(paragraph("1. not a list"), "1\\. not a list");
        assert_eq!(paragraph("1.5 s"), "1\\.5 s");
    }

    #[test]
    fn code_ends_where_it_ends() {
        assert_eq!(code("a`b"), "``a`b``");
        assert_eq!(code("`"), "`` ` ``");
        assert_eq!(code_block("yaml", "a: |\n  ```\n"), "````yaml\na: |\n  ```\n````\n");
    }

    #[test]
    fn only_pages_are_links() {
        assert_eq!(address("https://runbook.example/a_b"), "<https://runbook.example/a_b>");
        assert_eq!(address("javascript:alert(1)"), "javascript:alert(1)");
        assert_eq!(address("https://x.example/> <b>"), "https://x.example/&gt; &lt;b&gt;");
    }
}
