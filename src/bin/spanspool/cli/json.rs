//! JSON: output for programs, one value a line.

use std::io::Write;

use serde::Serialize;

use crate::cli::outcome::Failure;

/// Writes `value` as one line.
pub fn write_line(value: &impl Serialize, out: &mut dyn Write) -> Result<(), Failure> {
    serde_json::to_writer(&mut *out, value)?;
    writeln!(out)?;
    Ok(())
}

/// `json` on one line. A line break in JSON can only stand between tokens, where a space means the same.
pub fn on_one_line(json: &[u8]) -> Vec<u8> {
    json.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }).collect()
}
