//! What the terminal shows.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Cell, Row, Table, TableState};

use super::format;
use super::overview::{Overview, RuleRow};

/// The last line.
const KEYS: &str = "q leave   h halt all faults   r resume   up/down choose a rule   space switch it on or off";

/// All that is on the screen.
#[derive(Debug)]
pub(super) struct Screen {
    pub(super) overview: Overview,
    /// The name of the chosen rule, which stays chosen when others come and go.
    chosen: Option<String>,
    /// The last thing that there was to say.
    pub(super) said: String,
    has_colour: bool,
}

impl Screen {
    pub(super) fn new(overview: Overview, has_colour: bool) -> Self {
        Self { overview, chosen: None, said: String::new(), has_colour }
    }

    /// Goes down the rules, or up.
    pub(super) fn choose(&mut self, step: isize) {
        let last = self.overview.rules.len().saturating_sub(1);
        let place = self.place().map_or(0, |place| place.saturating_add_signed(step).min(last));
        self.chosen = self.overview.rules.get(place).map(|rule| rule.name.clone());
    }

    /// The chosen rule, while it exists.
    pub(super) fn rule(&self) -> Option<&RuleRow> {
        self.overview.rules.get(self.place()?)
    }

    fn place(&self) -> Option<usize> {
        self.overview.rules.iter().position(|rule| Some(&rule.name) == self.chosen.as_ref())
    }

    pub(super) fn draw(&self, frame: &mut Frame<'_>) {
        let overview = &self.overview;
        let n_traffic = u16::try_from(overview.traffic.len()).unwrap_or(u16::MAX);
        let [head, halt, traffic, rules, said, keys] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Length(n_traffic.saturating_add(2)),
            Constraint::Min(2),
            Constraint::Length(1),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        frame.render_widget(Line::styled(format::headline(overview), Modifier::BOLD), head);
        if let Some(text) = format::halt(overview) {
            frame.render_widget(Line::styled(text, self.coloured(Color::Red).add_modifier(Modifier::REVERSED)), halt);
        }
        let (listeners, all) = (overview.traffic.iter().map(format::traffic), overview.rules.iter().map(format::rule));
        table(frame, traffic, (&format::TRAFFIC, listeners.collect()), None);
        table(frame, rules, (&format::RULES, all.collect()), self.place());
        frame.render_widget(Line::styled(self.said.as_str(), self.coloured(Color::Yellow)), said);
        frame.render_widget(Line::styled(KEYS, Modifier::DIM), keys);
    }

    /// Colour only where it is welcome.
    fn coloured(&self, colour: Color) -> Style {
        if self.has_colour { Style::default().fg(colour) } else { Style::default() }
    }
}

/// Columns as wide as what is in them.
fn table(frame: &mut Frame<'_>, area: Rect, (header, rows): (&[&str], Vec<Vec<String>>), chosen: Option<usize>) {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        let widest = cells.chain([header[column].len()]).max().unwrap_or(0);
        Constraint::Length(u16::try_from(widest).unwrap_or(u16::MAX))
    };
    let widths: Vec<Constraint> = (0..header.len()).map(width).collect();
    let head = Row::new(header.iter().map(|name| Cell::from(*name))).style(Modifier::UNDERLINED);
    let table = Table::new(rows.into_iter().map(Row::new), widths)
        .header(head)
        .column_spacing(2)
        .row_highlight_style(Modifier::REVERSED);
    frame.render_stateful_widget(table, area, &mut TableState::default().with_selected(chosen));
}

#[cfg(test)]
#[path = "screen_tests.rs"]
pub(super) mod tests;
