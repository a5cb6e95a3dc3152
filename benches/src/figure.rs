//! Figure: a measured value with its unit.

use std::fmt;

/// A value and its unit.
#[derive(Clone, Copy, PartialEq)]
pub struct Figure {
    /// The value in `unit`; NaN if there was nothing to measure.
    pub value: f64,
    /// The unit.
    pub unit: Unit,
}

/// What a figure counts.
#[derive(Clone, Copy, PartialEq)]
pub enum Unit {
    /// Nanoseconds.
    Nanoseconds,
    /// Items a second.
    ItemsPerSecond,
    /// Bytes.
    Bytes,
    /// Things, such as items or threads.
    Count,
}

impl Unit {
    /// The unit as the history writes it.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Nanoseconds => "ns",
            Self::ItemsPerSecond => "items/s",
            Self::Bytes => "B",
            Self::Count => "",
        }
    }
}

/// A time in nanoseconds.
pub fn ns(value: f64) -> Figure {
    Figure { value, unit: Unit::Nanoseconds }
}

/// Items a second.
pub fn rate(value: f64) -> Figure {
    Figure { value, unit: Unit::ItemsPerSecond }
}

/// Bytes.
pub fn bytes(value: f64) -> Figure {
    Figure { value, unit: Unit::Bytes }
}

/// A number of things.
pub fn count(value: f64) -> Figure {
    Figure { value, unit: Unit::Count }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value;
        match self.unit {
            Unit::Nanoseconds if value >= 10e6 => write!(f, "{:.1} ms", value / 1e6),
            Unit::Nanoseconds if value >= 10e3 => write!(f, "{:.1} µs", value / 1e3),
            Unit::Nanoseconds => write!(f, "{value:.0} ns"),
            Unit::ItemsPerSecond if value >= 1e6 => write!(f, "{:.2} M/s", value / 1e6),
            Unit::ItemsPerSecond if value >= 10e3 => write!(f, "{:.0} k/s", value / 1e3),
            Unit::ItemsPerSecond => write!(f, "{value:.0}/s"),
            Unit::Bytes if value >= 10e3 => write!(f, "{:.1} MiB", value / f64::from(1 << 20)),
            Unit::Bytes => write!(f, "{value:.0} B"),
            Unit::Count => write!(f, "{value:.0}"),
        }
    }
}
