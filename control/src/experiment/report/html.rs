//! A report as one HTML file that loads nothing: no script, no font, no picture from elsewhere.

use super::page::{Block, Cell, Section, Table, Tone};
use super::xml::escaped;
use super::{Report, Verdict, content, facts, plot};

/// Light and dark, narrow and wide, screen and paper.
const STYLE: &str = include_str!("style.css");
/// Even if text got in as markup, nothing would run or be loaded.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

impl Report {
    /// For people: the same as the Markdown, and plots.
    pub(crate) fn to_html(&self) -> String {
        let sections = content::sections(self);
        let sections = || sections.iter().filter(|section| !section.blocks.is_empty());
        let heading = escaped(&content::heading(self));
        let contents: String =
            sections().map(|s| format!("<li><a href=\"#{}\">{}</a></li>\n", s.id, escaped(s.title))).collect();
        let body: String = sections().map(|s| section(self, s)).collect();
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
             <title>{heading}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
             <header>\n<p class=\"kind\">Report of an experiment</p>\n<h1>{heading}</h1>\n</header>\n\
             <nav aria-label=\"Contents\">\n<ul>\n{contents}</ul>\n</nav>\n<main>\n{body}</main>\n</body>\n</html>\n"
        )
    }
}

fn section(report: &Report, section: &Section) -> String {
    let blocks: String = section.blocks.iter().map(|one| block(report, one)).collect();
    let (id, title) = (section.id, escaped(section.title));
    format!(
        "<section id=\"{id}\" aria-labelledby=\"{id}-title\">\n<h2 id=\"{id}-title\">{title}</h2>\n{blocks}</section>\n"
    )
}

fn block(report: &Report, block: &Block) -> String {
    match block {
        Block::Verdict { verdict, text } => format!(
            "<p class=\"verdict {}\"><strong>{}</strong>: {}</p>\n",
            verdict_class(*verdict),
            facts::verdict_word(*verdict),
            escaped(text)
        ),
        Block::Text(text) => format!("<p>{}</p>\n", escaped(text)),
        Block::Loud(text) => format!("<p class=\"loud\">{}</p>\n", escaped(text)),
        Block::Heading(title) => format!("<h3>{}</h3>\n", escaped(title)),
        Block::List(points) => list(points.iter().map(|point| escaped(point))),
        Block::Links(links) => list(links.iter().map(|link| address(link))),
        Block::Gap(prompt) => format!("<p class=\"gap\">To be filled in: {}.</p>\n", escaped(prompt)),
        Block::Table(rows) => table(rows),
        Block::Code { text, .. } => format!("<pre tabindex=\"0\"><code>{}</code></pre>\n", escaped(text)),
        Block::Drawing(drawing) => plot::figure(report, *drawing),
    }
}

fn verdict_class(verdict: Option<Verdict>) -> &'static str {
    match verdict {
        Some(Verdict::Held) => "good",
        Some(Verdict::Failed) => "bad",
        Some(Verdict::Inconclusive) | None => "unknown",
    }
}

fn list(points: impl Iterator<Item = String>) -> String {
    let points: String = points.map(|point| format!("<li>{point}</li>\n")).collect();
    format!("<ul>\n{points}</ul>\n")
}

fn table(table: &Table) -> String {
    let class = |place: usize| match table.columns.get(place) {
        Some(column) if column.is_number => " class=\"number\"",
        _ => "",
    };
    let heads: String = table
        .columns
        .iter()
        .enumerate()
        .map(|(place, column)| format!("<th scope=\"col\"{}>{}</th>", class(place), escaped(column.title)))
        .collect();
    let row = |cells: &Vec<Cell>| -> String {
        let cells = cells.iter().enumerate().map(|(place, one)| {
            let (open, close) = if place == 0 { ("th scope=\"row\"", "th") } else { ("td", "td") };
            format!("<{open}{}>{}</{close}>", class(place), cell(one))
        });
        format!("<tr>{}</tr>\n", cells.collect::<String>())
    };
    let rows: String = table.rows.iter().map(row).collect();
    let caption = escaped(table.caption);
    format!(
        "<div class=\"wide\" role=\"region\" aria-label=\"{caption}\" tabindex=\"0\">\n<table>\n<caption>{caption}</caption>\n\
         <thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n</div>\n"
    )
}

fn cell(cell: &Cell) -> String {
    let text = toned(cell);
    if cell.note.is_empty() { text } else { format!("{text}<br><small>{}</small>", escaped(&cell.note)) }
}

fn toned(cell: &Cell) -> String {
    let text = escaped(&cell.text);
    match cell.tone {
        Tone::Plain => text,
        Tone::Code => format!("<code>{text}</code>"),
        Tone::Good => format!("<span class=\"good\">{text}</span>"),
        Tone::Bad => format!("<strong class=\"bad\">{text}</strong>"),
        Tone::Unknown => format!("<span class=\"unknown\">{text}</span>"),
    }
}

/// Whether an address is that of a page, so that a click on it does no more than show one.
pub(super) fn is_page(link: &str) -> bool {
    ["https://", "http://"].iter().any(|scheme| {
        link.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)) && link.len() > scheme.len()
    })
}

fn address(link: &str) -> String {
    let text = escaped(link);
    if is_page(link) { format!("<a href=\"{text}\" rel=\"noopener noreferrer\">{text}</a>") } else { text }
}
