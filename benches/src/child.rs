//! Child: a part of a measurement in a process of its own, so that its memory is its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::Result;

/// What a child measured, by name.
pub struct Readings(BTreeMap<String, f64>);

impl Readings {
    /// Runs this program with `part`, the directory and `numbers`, and reads what it prints.
    pub fn of(part: &str, dir: &Path, numbers: &[u64]) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(part).arg(dir).args(numbers.iter().map(u64::to_string));
        let output = command.stderr(Stdio::inherit()).output()?;
        if !output.status.success() {
            return Err(format!("{part}: {}", output.status).into());
        }
        let text = String::from_utf8(output.stdout)?;
        let reading = |line: &str| {
            let (name, value) = line.split_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        Ok(Self(text.lines().filter_map(reading).collect()))
    }

    /// The reading `name`, or NaN.
    pub fn get(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or(f64::NAN)
    }
}

/// Prints a reading for the parent.
pub fn tell(name: &str, value: f64) {
    println!("{name} {value}");
}
