//! A table as a picture: the medians as bars, the ranges as lines across their ends.

use std::path::Path;

use plotters::prelude::*;

use crate::report::Table;

const WIDTH: u32 = 800;
const BAR: u32 = 34;

/// Draws the table as SVG.
pub(crate) fn draw(table: &Table, file: &Path) -> anyhow::Result<()> {
    let rows: Vec<_> = table.rows.iter().filter(|row| !row.is_left_out).collect();
    let all = rows.iter().flat_map(|row| row.range());
    let (least, most) = all.fold((0.0_f64, 0.0_f64), |(least, most), value: f64| (least.min(value), most.max(value)));
    let count = u32::try_from(rows.len())?;
    let area = SVGBackend::new(file, (WIDTH, 70 + BAR * count)).into_drawing_area();
    area.fill(&WHITE)?;
    let names: Vec<String> = rows.iter().map(|row| row.name.clone()).collect();
    let mut chart = ChartBuilder::on(&area)
        .caption(&table.title, ("sans-serif", 17))
        .margin(10)
        .y_label_area_size(160)
        .x_label_area_size(24)
        .build_cartesian_2d(least * 1.05..most * 1.12 + f64::EPSILON, 0.0..f64::from(count))?;
    chart.configure_mesh().disable_y_mesh().light_line_style(TRANSPARENT).y_labels(0).y_desc("").draw()?;
    for (i, (row, name)) in rows.iter().zip(&names).enumerate() {
        // The first row is the uppermost.
        let y = f64::from(count) - f64::from(u32::try_from(i)?);
        let (median, [low, high]) = (row.median(), row.range());
        let color = if name.starts_with("Squall") { RGBColor(36, 97, 171) } else { RGBColor(170, 178, 189) };
        chart.draw_series([
            Rectangle::new([(0.0, y - 0.85), (median, y - 0.15)], color.filled()),
            Rectangle::new([(low, y - 0.52), (high, y - 0.48)], BLACK.filled()),
        ])?;
        let (x, py) = chart.backend_coord(&(0.0_f64.max(least), y - 0.5));
        area.draw(&Text::new(
            format!("{name}  {median:.2}"),
            (if least < 0.0 { 12 } else { x - 152 }, py - 7),
            ("sans-serif", 13),
        ))?;
    }
    area.present()?;
    Ok(())
}
