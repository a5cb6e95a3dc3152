//! Enqueue: items from a file or a pipe into the spool.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::time::Duration;

use spanspool::{BatchTraceProcessor, ErrorKind};

use crate::cli::args::Args;
use crate::cli::command::{Command, Done, Failure};
use crate::cli::human::items;
use crate::cli::progress::complain;

pub const COMMAND: Command = Command {
    name: "enqueue",
    summary: "put items from a file or a pipe into the spool",
    help: "Usage: spanspool enqueue --spool-dir DIR [FILE|-]

Reads NDJSON, one item a line, and makes every item durable. It sends nothing:
'spanspool drain' does, or any program that opens the same spool. Empty lines
are skipped. A line that is no item is reported with its number, and the rest
goes on. At the spool's limit it stops and names the line.

Options:
  --spool-dir DIR    the spool; it is made when absent
  --json             the counts as one JSON object
  --set KEY=VALUE    a setting; see 'spanspool help settings'
  --help             this text

Exit code: 0 every line was taken, 1 some were not, 2 wrong usage.",
    options: &["--spool-dir=", "--set=", "--json"],
    max_operands: 1,
    run,
};

/// What became of the lines.
#[derive(Default, serde::Serialize)]
struct Count {
    enqueued: u64,
    refused: u64,
    /// The first line that was not looked at any more.
    stopped_at_line: Option<u64>,
}

fn run(args: &Args, out: &mut dyn Write) -> Result<Done, Failure> {
    let mut config = args.config(&[])?;
    config.set("exporter", "none")?;
    let max_item_bytes = config.max_item_bytes();
    let source = args.operands().first().map_or("-", String::as_str);
    let reader: Box<dyn BufRead> = match source {
        "-" => Box::new(io::stdin().lock()),
        path => Box::new(BufReader::new(open(path)?)),
    };
    let processor = BatchTraceProcessor::open(config)?;
    let mut lines = Lines { reader, number: 0, max_item_bytes };
    let result = enqueue_lines(&mut lines, source, &processor);
    processor.sync()?;
    // Nothing is to be delivered here; what a shutdown could not deliver is what was asked for.
    let _ = processor.shutdown(Duration::ZERO);
    let count = result?;
    write_count(&count, args, out)?;
    Ok(Done::all_if(count.refused == 0 && count.stopped_at_line.is_none()))
}

fn open(path: &str) -> Result<File, Failure> {
    File::open(path).map_err(|error| Failure::Failed(format!("cannot open {path}: {error}")))
}

fn enqueue_lines(lines: &mut Lines, source: &str, processor: &BatchTraceProcessor) -> Result<Count, Failure> {
    let mut count = Count::default();
    loop {
        let line = match lines.next() {
            Ok(Some(line)) => line,
            Ok(None) => return Ok(count),
            Err(e) => {
                return Err(Failure::Failed(format!(
                    "cannot read {source} behind line {}: {e}; {} taken until then",
                    lines.number,
                    items(count.enqueued, "item")
                )));
            }
        };
        let Err(error) = processor.enqueue(&line) else {
            count.enqueued += 1;
            continue;
        };
        complain(&format!("spanspool enqueue: {source}:{}: {error}", lines.number));
        match error.kind() {
            ErrorKind::InvalidItem | ErrorKind::ItemTooLarge => count.refused += 1,
            _ => {
                count.stopped_at_line = Some(lines.number);
                return Ok(count);
            }
        }
    }
}

/// Lines that are not empty, none read further than the longest item and one byte.
struct Lines {
    reader: Box<dyn BufRead>,
    /// The number of the line read last, from 1.
    number: u64,
    max_item_bytes: usize,
}

impl Lines {
    fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let mut line = Vec::new();
            // One byte more than allowed, and the line's end: the processor refuses it by its length.
            let most = self.max_item_bytes as u64 + 2;
            if self.reader.by_ref().take(most).read_until(b'\n', &mut line)? == 0 {
                return Ok(None);
            }
            self.number += 1;
            if line.last() == Some(&b'\n') {
                line.pop();
            } else if line.len() as u64 == most {
                self.reader.skip_until(b'\n')?;
            }
            if !line.iter().all(u8::is_ascii_whitespace) {
                return Ok(Some(line));
            }
        }
    }
}

fn write_count(count: &Count, args: &Args, out: &mut dyn Write) -> Result<(), Failure> {
    if args.has("--json") {
        serde_json::to_writer(&mut *out, count)?;
        writeln!(out)?;
        return Ok(());
    }
    let dir = args.spool_dir()?;
    writeln!(out, "{} taken into {dir}", items(count.enqueued, "item"))?;
    if count.refused > 0 {
        writeln!(out, "{} refused; see above", items(count.refused, "line"))?;
    }
    if let Some(line) = count.stopped_at_line {
        writeln!(out, "stopped at line {line}: that line and those behind it were not taken")?;
    }
    if count.enqueued > 0 {
        writeln!(out, "deliver them with: spanspool drain --spool-dir {dir}")?;
    }
    Ok(())
}
