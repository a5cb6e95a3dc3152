//! Plot: lines in an SVG, readable on light and dark pages.

use std::fmt::Write as _;

const WIDTH: f64 = 840.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 250.0;
const TOP: f64 = 52.0;
const BOTTOM: f64 = 50.0;
const COLORS: [&str; 6] = ["#d1495b", "#30638e", "#66a182", "#edae49", "#8d6a9f", "#7a7a7a"];

/// How a value lies on an axis.
pub struct Axis {
    /// What stands beside it.
    pub title: &'static str,
    /// The values that have a line or a mark, with what stands there; the first and the last are the ends.
    pub marks: Vec<(f64, String)>,
    /// Whether equal ratios are equally far apart.
    pub is_log: bool,
}

impl Axis {
    /// Where `value` lies, from 0 to 1.
    fn place(&self, value: f64) -> f64 {
        let scaled = |v: f64| if self.is_log { v.max(f64::MIN_POSITIVE).ln() } else { v };
        let ends = self.marks.first().zip(self.marks.last());
        let (from, to) = ends.map_or((0.0, 1.0), |(first, last)| (scaled(first.0), scaled(last.0)));
        ((scaled(value) - from) / (to - from)).clamp(0.0, 1.0)
    }
}

/// One line and its name.
pub struct Line {
    /// What stands at its end.
    pub name: String,
    /// From left to right.
    pub points: Vec<(f64, f64)>,
}

/// The picture as the text of an SVG.
pub fn svg(title: &str, x: &Axis, y: &Axis, lines: &[Line]) -> String {
    let across = |value: f64| LEFT + x.place(value) * (WIDTH - LEFT - RIGHT);
    let up = |value: f64| HEIGHT - BOTTOM - y.place(value) * (HEIGHT - TOP - BOTTOM);
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\" \
         fill=\"#777\">\n<text x=\"{LEFT}\" y=\"22\" font-size=\"15\">{title}</text>\n"
    );
    for (value, label) in &x.marks {
        let at = across(*value);
        let _ = writeln!(out, "<path d=\"M{at:.1} {TOP}V{bottom}\" stroke=\"#8884\"/>");
        let _ = writeln!(
            out,
            "<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>",
            bottom + 18.0
        );
    }
    for (value, label) in &y.marks {
        let at = up(*value);
        let _ = writeln!(out, "<path d=\"M{LEFT} {at:.1}H{right}\" stroke=\"#8884\"/>");
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
            LEFT - 8.0,
            at + 4.0
        );
    }
    let middle = (LEFT + right) / 2.0;
    let _ = writeln!(
        out,
        "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
        HEIGHT - 10.0,
        x.title
    );
    let _ = writeln!(out, "<text x=\"{LEFT}\" y=\"{}\" text-anchor=\"end\">{}</text>", TOP - 14.0, y.title);
    for (n, line) in lines.iter().enumerate() {
        let color = COLORS[n % COLORS.len()];
        let points: Vec<String> =
            line.points.iter().map(|(a, b)| format!("{:.1},{:.1}", across(*a), up(*b))).collect();
        let points = points.join(" ");
        let _ = writeln!(
            out,
            "<polyline points=\"{points}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"/>"
        );
        let (at, name) = (TOP + 10.0 + 18.0 * n as f64, &line.name);
        let _ = writeln!(out, "<text x=\"{}\" y=\"{at:.1}\" fill=\"{color}\">{name}</text>", right + 12.0);
    }
    out + "</svg>\n"
}
