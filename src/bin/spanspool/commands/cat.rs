//! Cat: the pending items, one a line.

use std::io::{BufWriter, Write};

use crate::cli::args::Args;
use crate::cli::command::{Command, Done, Failure};

pub const COMMAND: Command = Command {
    name: "cat",
    summary: "write the pending items to standard output, one a line",
    help: "Usage: spanspool cat --spool-dir DIR

Writes every pending item to standard output as NDJSON, oldest first within a
lane. It only looks: the items stay, and owners of the spool may be running.

Options:
  --spool-dir DIR    the spool
  --set KEY=VALUE    a setting; see 'spanspool help settings'
  --json             no effect: the output is NDJSON always
  --help             this text",
    options: &["--spool-dir=", "--set=", "--json"],
    max_operands: 0,
    run,
};

fn run(args: &Args, out: &mut dyn Write) -> Result<Done, Failure> {
    let mut out = BufWriter::new(out);
    let mut written = Ok(());
    args.view()?.pending(&mut |item| {
        written = write_line(item, &mut out);
        written.is_ok()
    })?;
    written?;
    out.flush()?;
    Ok(Done::All)
}

fn write_line(item: &[u8], out: &mut impl Write) -> std::io::Result<()> {
    out.write_all(&one_line_json(item))?;
    out.write_all(b"\n")
}

/// The item without line breaks: in JSON they can stand between tokens only, where a space says the same.
pub fn one_line_json(item: &[u8]) -> Vec<u8> {
    item.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }).collect()
}
