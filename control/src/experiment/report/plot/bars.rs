//! What became of the requests of both groups: a bar for each ending and group.

use super::super::wording::{counted, percent};
use super::super::xml::escaped;
use super::super::{Group, Report, Share};
use super::axis::{Axis, Scale};
use super::canvas::line;
use super::curves::drawable;

const WIDTH: f64 = 760.0;
const LEFT: f64 = 110.0;
const RIGHT: f64 = 620.0;
const TOP: f64 = 34.0;
const BAR: f64 = 15.0;
/// Two bars and what parts them from the next two.
const ENDING: f64 = 44.0;

/// How an ending is read from a group.
type Ending = (&'static str, fn(&Group) -> Share);

const ENDINGS: [Ending; 5] = [
    ("absorbed", |group| group.absorbed),
    ("slower", |group| group.slower),
    ("degraded", |group| group.degraded),
    ("propagated", |group| group.propagated),
    ("harmed", |group| group.harmed),
];

/// As an SVG element that is well-formed XML.
pub(super) fn svg(report: &Report) -> String {
    let groups = [("faulted", &report.groups.faulted), ("control", &report.groups.control)];
    let height = TOP + ENDING * ENDINGS.len() as f64 + 22.0;
    let said = groups.map(|(name, group)| said(name, group)).join(" ");
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-labelledby=\"endings-name endings-said\">\n<title id=\"endings-name\">Endings of both groups</title>\n\
         <desc id=\"endings-said\">{}</desc>\n",
        escaped(&said)
    );
    let axis = Axis::new(Scale::Linear, std::iter::once(1.0));
    grid(&mut svg, &axis, height - 22.0);
    for (row, (ending, read)) in ENDINGS.iter().enumerate() {
        let top = TOP + ENDING * row as f64 + 4.0;
        let (left, base) = (LEFT - 10.0, top + BAR + 4.0);
        line(
            &mut svg,
            format_args!("<text class=\"name\" x=\"{left:.1}\" y=\"{base:.1}\" text-anchor=\"end\">{ending}</text>"),
        );
        for (place, (name, group)) in groups.iter().enumerate() {
            let top = top + place as f64 * (BAR + 2.0);
            bar(&mut svg, &axis, name, top, (group.requests > 0).then(|| read(group)));
        }
    }
    legend(&mut svg, &groups);
    svg.push_str("</svg>\n");
    svg
}

fn said(name: &str, group: &Group) -> String {
    let shares = ENDINGS.map(|(ending, read)| format!("{ending} {}", percent(read(group).share)));
    format!("Of {} of the group {name}: {}.", counted(group.requests, "request"), shares.join(", "))
}

fn grid(svg: &mut String, axis: &Axis, bottom: f64) {
    let base = bottom + 16.0;
    for tick in &axis.ticks {
        let at = x(axis, *tick);
        line(
            svg,
            format_args!("<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP:.1}\" y2=\"{bottom:.1}\"/>"),
        );
        let text = escaped(&percent(*tick));
        line(svg, format_args!("<text x=\"{at:.1}\" y=\"{base:.1}\" text-anchor=\"middle\">{text}</text>"));
    }
}

/// The share, its interval, and both in words; nothing for a group without requests.
fn bar(svg: &mut String, axis: &Axis, group: &str, top: f64, share: Option<Share>) {
    let read = |share: Share| Some((drawable(share.share)?, drawable(share.low)?, drawable(share.high)?));
    let Some((share, low, high)) = share.and_then(read) else { return };
    let (end, low, high) = (x(axis, share), x(axis, low), x(axis, high));
    let (width, middle) = (end - LEFT, top + BAR / 2.0);
    line(
        svg,
        format_args!(
            "<rect class=\"fill-{group}\" x=\"{LEFT:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{BAR:.1}\"/>"
        ),
    );
    line(
        svg,
        format_args!(
            "<line class=\"whisker\" x1=\"{low:.1}\" x2=\"{high:.1}\" y1=\"{middle:.1}\" y2=\"{middle:.1}\"/>"
        ),
    );
    let (text, base, after) = (escaped(&percent(share)), middle + 4.0, end.max(high) + 8.0);
    line(svg, format_args!("<text x=\"{after:.1}\" y=\"{base:.1}\">{text}</text>"));
}

fn legend(svg: &mut String, groups: &[(&str, &Group)]) {
    let mut left = LEFT;
    for (name, group) in groups {
        let text = left + 20.0;
        line(
            svg,
            format_args!("<rect class=\"fill-{name}\" x=\"{left:.1}\" y=\"6.0\" width=\"14.0\" height=\"12.0\"/>"),
        );
        let named = format!("{name}: {}", counted(group.requests, "request"));
        line(svg, format_args!("<text class=\"name\" x=\"{text:.1}\" y=\"16.0\">{}</text>", escaped(&named)));
        left = text + super::canvas::width_of(&named) + 18.0;
    }
}

fn x(axis: &Axis, share: f64) -> f64 {
    LEFT + axis.place(share) * (RIGHT - LEFT)
}
