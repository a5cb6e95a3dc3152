//! Plot: line charts as SVG, readable on light and dark pages.

use std::ops::Range;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use crate::Result;

const SIZE: (u32, u32) = (840, 400);
/// Room for the names of the lines, at the right.
const NAMES_WIDTH: u32 = 240;
const FONT: &str = "sans-serif";
const INK: RGBColor = RGBColor(0x77, 0x77, 0x77);
const COLORS: [RGBColor; 6] = [
    RGBColor(0xd1, 0x49, 0x5b),
    RGBColor(0x30, 0x63, 0x8e),
    RGBColor(0x66, 0xa1, 0x82),
    RGBColor(0xed, 0xae, 0x49),
    RGBColor(0x8d, 0x6a, 0x9f),
    RGBColor(0x7a, 0x7a, 0x7a),
];

/// An axis from its first mark to its last.
#[derive(Clone)]
pub struct Axis {
    /// Its title.
    pub title: &'static str,
    /// The values with a grid line, in ascending order, and their labels.
    pub marks: Vec<(f64, String)>,
    /// Whether equal ratios are equally far apart.
    pub is_log: bool,
}

impl Axis {
    fn label(&self, value: f64) -> String {
        let mark = self.marks.iter().find(|(at, _)| *at == value);
        mark.map_or_else(String::new, |(_, label)| label.clone())
    }
}

impl Ranged for Axis {
    type ValueType = f64;
    type FormatOption = DefaultFormatting;

    fn range(&self) -> Range<f64> {
        self.marks.first().zip(self.marks.last()).map_or(0.0..1.0, |(first, last)| first.0..last.0)
    }

    /// The pixel of `value`; what lies beyond an end is drawn at the end.
    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let Range { start, end } = self.range();
        let value = value.clamp(start, end);
        if self.is_log {
            LogCoord::from((start..end).log_scale()).map(&value, limit)
        } else {
            RangedCoordf64::from(start..end).map(&value, limit)
        }
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        let marks = self.marks.iter().map(|(value, _)| *value);
        if hint.weight().allow_light_points() { Vec::new() } else { marks.collect() }
    }
}

/// One line and its name.
pub struct Line {
    /// Its name.
    pub name: String,
    /// From left to right.
    pub points: Vec<(f64, f64)>,
}

/// The chart as the text of an SVG.
pub fn svg(title: &str, x: &Axis, y: &Axis, lines: &[Line]) -> Result<String> {
    let mut out = String::new();
    let image = SVGBackend::with_string(&mut out, SIZE).into_drawing_area();
    let text = (FONT, 13).into_font();
    let mut chart = ChartBuilder::on(&image)
        .caption(title, (FONT, 17).into_font().color(&INK))
        .margin(8)
        .margin_right(NAMES_WIDTH)
        .x_label_area_size(44)
        .y_label_area_size(84)
        .build_cartesian_2d(x.clone(), y.clone())?;
    chart
        .configure_mesh()
        .axis_style(INK)
        .bold_line_style(INK.mix(0.4))
        .label_style(text.color(&INK))
        .x_desc(x.title)
        .y_desc(y.title)
        .x_label_formatter(&|value| x.label(*value))
        .y_label_formatter(&|value| y.label(*value))
        .draw()?;
    let mut name_at = ((SIZE.0 - NAMES_WIDTH + 12) as i32, 48);
    for (line, color) in lines.iter().zip(COLORS.iter().cycle()) {
        chart.draw_series(LineSeries::new(line.points.iter().copied(), color.stroke_width(2)))?;
        image.draw(&Text::new(line.name.as_str(), name_at, text.color(color)))?;
        name_at.1 += 20;
    }
    image.present()?;
    drop(chart);
    drop(image);
    Ok(out)
}
