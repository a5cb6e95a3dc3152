//! Enqueue: items from a file or a pipe into the spool.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueHint};
use spanspool::{BatchTraceProcessor, ErrorKind};

use crate::cli::human::counted;
use crate::cli::json;
use crate::cli::outcome::{Done, Failure};
use crate::cli::progress::warn;
use crate::cli::spool::Spool;

/// Put items from a file or a pipe into the spool
///
/// Reads NDJSON, one item a line, and makes every item durable. Sends nothing:
/// 'spanspool drain' does, or any program that opens the same spool. A missing
/// spool is created. Empty lines are skipped. A line that is not an item is
/// reported with its number, and the rest is read. At the spool's limit the command
/// stops and names the line.
///
/// Exit code: 0 every line was accepted, 1 some were not, 2 wrong usage.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Enqueue {
    /// The file to read; '-' is standard input
    #[arg(default_value = "-", value_hint = ValueHint::FilePath)]
    file: PathBuf,
    #[command(flatten)]
    spool: Spool,
    /// Write the counts as one JSON object
    #[arg(long)]
    json: bool,
}

/// What became of the lines.
#[derive(Default, serde::Serialize)]
struct Count {
    enqueued: u64,
    refused: u64,
    /// The line at which the spool was at its limit; neither it nor a later one was accepted.
    stopped_at_line: Option<u64>,
}

impl Enqueue {
    pub fn run(&self, out: &mut dyn Write) -> Result<Done, Failure> {
        let mut config = self.spool.config_to_change(&[])?;
        config.set("exporter", "none")?;
        let max_item_bytes = config.max_item_bytes();
        let reader: Box<dyn BufRead> = match self.file.as_path() {
            path if path == Path::new("-") => Box::new(io::stdin().lock()),
            path => Box::new(BufReader::new(open(path)?)),
        };
        let processor = BatchTraceProcessor::open(config)?;
        let mut lines = Lines { reader, number: 0, skipped: 0, max_item_bytes };
        let result = enqueue_lines(&mut lines, &self.file.display().to_string(), &processor);
        processor.sync()?;
        // It can only say that items are undelivered, which is what was asked for.
        let _ = processor.shutdown(Duration::ZERO);
        let count = result?;
        self.write_count(&count, out)?;
        Ok(Done::all_if(count.refused == 0 && count.stopped_at_line.is_none()))
    }

    fn write_count(&self, count: &Count, out: &mut dyn Write) -> Result<(), Failure> {
        if self.json {
            return json::write_line(count, out);
        }
        let dir = self.spool.dir()?.display();
        writeln!(out, "{} accepted into {dir}", counted(count.enqueued, "item"))?;
        if count.refused > 0 {
            writeln!(out, "{} refused; see above", counted(count.refused, "line"))?;
        }
        if let Some(line) = count.stopped_at_line {
            writeln!(out, "stopped at line {line}: neither it nor any later line was accepted")?;
        }
        if count.enqueued > 0 {
            writeln!(out, "deliver them with: spanspool drain --spool-dir {dir}")?;
        }
        Ok(())
    }
}

fn open(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|error| Failure::Failed(format!("cannot open {}: {error}", path.display())))
}

fn enqueue_lines(lines: &mut Lines, source: &str, processor: &BatchTraceProcessor) -> Result<Count, Failure> {
    let mut count = Count::default();
    loop {
        let line = match lines.next() {
            Ok(Some(line)) => line,
            Ok(None) => return Ok(count),
            Err(e) => {
                return Err(Failure::Failed(format!(
                    "cannot read {source} after line {}: {e}; {} accepted so far",
                    lines.number,
                    counted(count.enqueued, "item")
                )));
            }
        };
        if lines.skipped > 0 {
            let (bytes, most) = (line.len() as u64 + lines.skipped, lines.max_item_bytes);
            let place = format_args!("{source}:{}", lines.number);
            warn(&format!("spanspool enqueue: {place}: line of {bytes} bytes is over max_item_bytes={most}"));
            count.refused += 1;
            continue;
        }
        let Err(error) = processor.enqueue(&line) else {
            count.enqueued += 1;
            continue;
        };
        warn(&format!("spanspool enqueue: {source}:{}: {error}", lines.number));
        match error.kind() {
            ErrorKind::InvalidItem | ErrorKind::ItemTooLarge => count.refused += 1,
            _ => {
                count.stopped_at_line = Some(lines.number);
                return Ok(count);
            }
        }
    }
}

/// The lines that are not empty. Of a line longer than any item, only so much is kept as shows that.
struct Lines {
    reader: Box<dyn BufRead>,
    /// The number of the last line read, from 1.
    number: u64,
    /// How many bytes of it were left out.
    skipped: u64,
    max_item_bytes: usize,
}

impl Lines {
    fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let mut line = Vec::new();
            // One byte more than the longest item, and the line's end.
            let most = self.max_item_bytes as u64 + 2;
            self.skipped = 0;
            if self.reader.by_ref().take(most).read_until(b'\n', &mut line)? == 0 {
                return Ok(None);
            }
            self.number += 1;
            if line.last() == Some(&b'\n') {
                line.pop();
            } else if line.len() as u64 == most {
                self.skipped = self.reader.skip_until(b'\n')? as u64;
            }
            if !line.iter().all(u8::is_ascii_whitespace) {
                return Ok(Some(line));
            }
        }
    }
}
