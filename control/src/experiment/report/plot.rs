//! Pictures of a report, as SVG that stands within HTML and takes its colours from there.
//!
//! Numbers of any size come in and only finite coordinates go out: what is not finite is left out, the rest is kept within
//! what a picture can show.

mod axis;
mod bars;
mod canvas;
mod curves;

use super::page::Drawing;
use super::wording::{count, number, percent, seconds};
use super::xml::escaped;
use super::{Report, SeriesPoint};
use axis::Scale;
use canvas::Plot;
use curves::{Bound, Curve, Style};

/// A drawing with its caption.
pub(super) fn figure(report: &Report, drawing: Drawing) -> String {
    let (caption, picture) = match drawing {
        Drawing::Traffic => ("Traffic: requests and calls in a second", traffic(report).svg()),
        Drawing::Errors => ("Errors: failed requests of all in both groups", errors(report).svg()),
        Drawing::Latency => ("Latency: what requests of both groups took", latency(report).svg()),
        Drawing::InFlight => ("Requests at once", in_flight(report).svg()),
        Drawing::Endings => ("Endings of the requests of both groups, with 95 % confidence", bars::svg(report)),
    };
    format!("<figure>\n<figcaption>{}</figcaption>\n{picture}</figure>\n", escaped(caption))
}

/// What a latency of both groups is drawn from.
type Quantile = fn(&SeriesPoint) -> Option<f64>;

fn traffic(report: &Report) -> Plot<'_> {
    let curve = |name, style, read: fn(&SeriesPoint) -> u64| {
        Curve::peaks(name, style, report.series.iter().map(|point| (point.at, Some(read(point) as f64))))
    };
    let curves = vec![
        curve("requests", Style::Control, |point| point.requests),
        curve("failed requests", Style::Bad, |point| point.failed),
        curve("calls with a fault", Style::FaultedDashed, |point| point.calls_faulted),
    ];
    let most = report.series.iter().map(|point| point.requests).max().unwrap_or(0);
    let failed = report.series.iter().map(|point| point.failed).max().unwrap_or(0);
    let said = format!("At most {} requests and {} failed requests in a second.", count(most), count(failed));
    Plot {
        id: "traffic",
        said,
        report,
        curves,
        bounds: Vec::new(),
        scale: Scale::Linear,
        write: |v| format!("{}/s", number(v)),
    }
}

fn errors(report: &Report) -> Plot<'_> {
    let curve = |name, style, read: fn(&SeriesPoint) -> (u64, u64)| {
        Curve::shares(name, style, report.series.iter().map(|point| (point.at, read(point))))
    };
    let curves = vec![
        curve("faulted", Style::Faulted, |point| (point.faulted_failed, point.faulted)),
        curve("control", Style::Control, |point| (point.control_failed, point.control)),
    ];
    let failed = |group: &super::Group| percent(group.propagated.share);
    let groups = &report.groups;
    let said = format!(
        "All in all {} of the faulted group and {} of the control group failed.",
        failed(&groups.faulted),
        failed(&groups.control)
    );
    let bounds = bounds(report, "%", 0.01);
    Plot { id: "errors", said, report, curves, bounds, scale: Scale::Linear, write: percent }
}

fn latency(report: &Report) -> Plot<'_> {
    let curve = |name, style, read: Quantile| {
        Curve::peaks(name, style, report.series.iter().map(|point| (point.at, read(point))))
    };
    // Outside of the injection there are no groups, and all requests are drawn in their place.
    let all: Quantile = |point| if point.faulted == 0 && point.control == 0 { point.p99 } else { None };
    let curves = vec![
        curve("faulted p99", Style::Faulted, |point| point.faulted_p99),
        curve("faulted p50", Style::FaultedDashed, |point| point.faulted_p50),
        curve("control p99", Style::Control, |point| point.control_p99),
        curve("control p50", Style::ControlDashed, |point| point.control_p50),
        curve("p99 without faults", Style::All, all),
    ];
    let bounds = bounds(report, "s", 1.0);
    let scale = Scale::of_durations(&curves, &bounds);
    let longest = |quantile: Option<f64>| quantile.map_or_else(|| "unknown".to_owned(), seconds);
    let groups = &report.groups;
    let said = format!(
        "All in all the p99 of the faulted group is {}, that of the control group {}.",
        longest(groups.faulted.p99),
        longest(groups.control.p99)
    );
    Plot { id: "latency", said, report, curves, bounds, scale, write: seconds }
}

fn in_flight(report: &Report) -> Plot<'_> {
    let points = report.series.iter().map(|point| (point.at, Some(point.in_flight as f64)));
    let curves = vec![Curve::peaks("requests at once", Style::Control, points)];
    let most = report.series.iter().map(|point| point.in_flight).max().unwrap_or(0);
    let said = format!("At most {} at once.", count(most));
    Plot { id: "in-flight", said, report, curves, bounds: Vec::new(), scale: Scale::Linear, write: number }
}

/// The bounds of the statements in this unit, each as so many of the units that are drawn.
fn bounds<'r>(report: &'r Report, unit: &str, each: f64) -> Vec<Bound<'r>> {
    let of_unit = report.steady_state.iter().filter(|statement| statement.unit == unit);
    of_unit.filter_map(|statement| Bound::new(&statement.name, statement.bound? * each)).take(3).collect()
}
