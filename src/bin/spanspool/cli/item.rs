//! Item: an item as one line of JSON, whatever it is.

use std::collections::BTreeSet;

use spanspool::Destination;

use crate::cli::json::on_one_line;
use crate::cli::progress::warn;
use crate::otlp::{self, Flaw};

/// Makes lines of items. What can't be in a line is said on standard error, once.
pub struct Printer {
    program: &'static str,
    said: BTreeSet<String>,
}

impl Printer {
    /// `program`: who says what is left out.
    pub fn new(program: &'static str) -> Self {
        Self { program, said: BTreeSet::new() }
    }

    /// `item`, which goes to `destination`, on one line.
    pub fn line(&mut self, destination: &Destination, item: &[u8]) -> Result<Vec<u8>, Flaw> {
        let Some(signal) = destination.signal() else { return Ok(on_one_line(item)) };
        let converted = otlp::to_json(item, signal)?;
        for field in converted.left_out {
            if self.said.insert(field.clone()) {
                warn(&format!("{}: {field} is not known to this version, and not shown", self.program));
            }
        }
        Ok(converted.request.into_bytes())
    }
}
