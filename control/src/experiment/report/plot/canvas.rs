//! One plot over time: frame, axes, phases, bounds, curves and legend.

use std::fmt::Write;

use super::super::wording::{number, seconds as write_seconds};
use super::super::xml::escaped;
use super::super::{Report, RunPhase};
use super::axis::{Axis, Scale};
use super::curves::{Bound, Curve, drawable};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 728.0;
const TOP: f64 = 46.0;
const BOTTOM: f64 = 222.0;
/// Bounds have some room above them.
const ABOVE_BOUND: f64 = 1.05;
/// About the width of a character of 12 pixels.
const CHARACTER: f64 = 6.4;

/// What is drawn.
#[derive(Debug)]
pub(super) struct Plot<'r> {
    /// Unique on its page.
    pub(super) id: &'static str,
    /// What it shows, for those who do not see it.
    pub(super) said: String,
    pub(super) report: &'r Report,
    pub(super) curves: Vec<Curve<'r>>,
    pub(super) bounds: Vec<Bound<'r>>,
    pub(super) scale: Scale,
    /// How values are written.
    pub(super) write: fn(f64) -> String,
}

impl Plot<'_> {
    /// As an SVG element that is well-formed XML.
    pub(super) fn svg(&self) -> String {
        let phases = self.report.phases.iter().filter_map(|span| drawable(span.to));
        let end = self.curves.iter().flat_map(Curve::known).map(|(at, _)| at).chain(phases).fold(0.0, f64::max);
        let time = Axis::of_time(end);
        let values =
            self.curves.iter().flat_map(Curve::values).chain(self.bounds.iter().map(|bound| bound.value * ABOVE_BOUND));
        let axis = Axis::new(self.scale, values);
        let id = self.id;
        let title = self.curves.iter().map(|curve| curve.name).collect::<Vec<_>>().join(", ");
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
             aria-labelledby=\"{id}-name {id}-said\">\n<title id=\"{id}-name\">Over time: {}</title>\n\
             <desc id=\"{id}-said\">{}</desc>\n",
            escaped(&title),
            escaped(&self.said)
        );
        let parts = [
            self.bands(&time),
            self.grid(&axis),
            times(&time),
            self.bounds(&axis),
            self.curves(&time, &axis),
            self.legend(),
        ];
        svg.extend(parts);
        svg.push_str("</svg>\n");
        svg
    }

    /// The injection shaded, and all phases named where there is room.
    fn bands(&self, time: &Axis) -> String {
        let mut svg = String::new();
        for span in &self.report.phases {
            let (Some(from), Some(to)) = (drawable(span.from), drawable(span.to)) else { continue };
            let (from, to) = (x(time, from), x(time, to));
            let name = span.phase.as_str();
            if span.phase == RunPhase::Injecting && to > from {
                let (width, height) = (to - from, BOTTOM - TOP);
                line(
                    &mut svg,
                    format_args!(
                        "<rect class=\"band\" x=\"{from:.1}\" y=\"{TOP:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
                    ),
                );
            }
            line(
                &mut svg,
                format_args!(
                    "<line class=\"edge\" x1=\"{from:.1}\" x2=\"{from:.1}\" y1=\"{TOP:.1}\" y2=\"{BOTTOM:.1}\"/>"
                ),
            );
            if to - from > width_of(name) {
                let (middle, y) = ((from + to) / 2.0, TOP - 6.0);
                line(
                    &mut svg,
                    format_args!("<text x=\"{middle:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{name}</text>"),
                );
            }
        }
        svg
    }

    fn grid(&self, axis: &Axis) -> String {
        let mut svg = String::new();
        for tick in &axis.ticks {
            let (at, left) = (y(axis, *tick), LEFT - 8.0);
            line(
                &mut svg,
                format_args!("<line class=\"grid\" x1=\"{LEFT:.1}\" x2=\"{RIGHT:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>"),
            );
            let (text, base) = (escaped(&(self.write)(*tick)), at + 4.0);
            line(&mut svg, format_args!("<text x=\"{left:.1}\" y=\"{base:.1}\" text-anchor=\"end\">{text}</text>"));
        }
        svg
    }

    /// Lines with their names above them, or below where there is no room.
    fn bounds(&self, axis: &Axis) -> String {
        let mut svg = String::new();
        for bound in &self.bounds {
            let at = y(axis, bound.value);
            line(
                &mut svg,
                format_args!(
                    "<line class=\"bound\" x1=\"{LEFT:.1}\" x2=\"{RIGHT:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>"
                ),
            );
            let name = format!("{}: {}", shortened(bound.name), (self.write)(bound.value));
            let (name, right) = (escaped(&name), RIGHT - 4.0);
            let base = if at - TOP > 14.0 { at - 4.0 } else { at + 13.0 };
            line(
                &mut svg,
                format_args!(
                    "<text class=\"bound-name\" x=\"{right:.1}\" y=\"{base:.1}\" text-anchor=\"end\">{name}</text>"
                ),
            );
        }
        svg
    }

    fn curves(&self, time: &Axis, axis: &Axis) -> String {
        let mut svg = String::new();
        for curve in &self.curves {
            let (mut path, mut dots) = (String::new(), String::new());
            for part in curve.points.split(Option::is_none) {
                let mut places = part.iter().flatten().map(|(at, value)| (x(time, *at), y(axis, *value)));
                let Some((x, y)) = places.next() else { continue };
                if part.len() == 1 {
                    // A stroke of no length, whose round ends make a dot.
                    dots.push_str(&format!("M{x:.1} {y:.1}h0"));
                } else {
                    path.push_str(&format!("M{x:.1} {y:.1}"));
                    path.extend(places.map(|(x, y)| format!("L{x:.1} {y:.1}")));
                }
            }
            for (path, kind) in [(path, ""), (dots, " dots")] {
                if !path.is_empty() {
                    let class = curve.style.class();
                    line(&mut svg, format_args!("<path class=\"{class}{kind}\" d=\"{path}\"/>"));
                }
            }
        }
        svg
    }

    fn legend(&self) -> String {
        let (mut svg, mut left) = (String::new(), LEFT);
        for curve in self.curves.iter().filter(|curve| curve.known().next().is_some()) {
            let (end, text) = (left + 22.0, left + 28.0);
            line(&mut svg, format_args!("<path class=\"{}\" d=\"M{left:.1} 12.0H{end:.1}\"/>", curve.style.class()));
            let name = escaped(curve.name);
            line(&mut svg, format_args!("<text class=\"name\" x=\"{text:.1}\" y=\"16.0\">{name}</text>"));
            left = text + width_of(curve.name) + 14.0;
        }
        if svg.is_empty() {
            line(&mut svg, format_args!("<text x=\"{LEFT:.1}\" y=\"16.0\">nothing was measured</text>"));
        }
        svg
    }
}

fn times(time: &Axis) -> String {
    let mut svg = String::new();
    let base = BOTTOM + 18.0;
    for tick in &time.ticks {
        let (at, text) = (x(time, *tick), escaped(&time_name(*tick, time)));
        line(&mut svg, format_args!("<text x=\"{at:.1}\" y=\"{base:.1}\" text-anchor=\"middle\">{text}</text>"));
    }
    svg
}

/// All in the same way: seconds of short runs, minutes of long ones.
fn time_name(seconds: f64, axis: &Axis) -> String {
    let step = axis.ticks.get(1).copied().unwrap_or(1.0);
    match step {
        step if step < 30.0 || seconds == 0.0 => write_seconds(seconds),
        step if step < 60.0 => format!("{:.0}:{:02.0} min", (seconds / 60.0).floor(), seconds % 60.0),
        _ => format!("{} min", number(seconds / 60.0)),
    }
}

fn x(time: &Axis, at: f64) -> f64 {
    LEFT + time.place(at) * (RIGHT - LEFT)
}

fn y(axis: &Axis, value: f64) -> f64 {
    BOTTOM - axis.place(value) * (BOTTOM - TOP)
}

/// About how wide a text is.
pub(super) fn width_of(text: &str) -> f64 {
    text.chars().count() as f64 * CHARACTER
}

/// A name that fits into a plot.
fn shortened(name: &str) -> String {
    let mut short: String = name.chars().take(40).collect();
    if short.len() < name.len() {
        short.push('…');
    }
    short
}

/// Appends a line.
pub(super) fn line(svg: &mut String, arguments: std::fmt::Arguments<'_>) {
    svg.write_fmt(arguments).expect("invariant: writing to memory does not fail");
    svg.push('\n');
}
