//! Enqueue: items from a file or a pipe into the spool.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum, ValueHint};
use spanspool::{BatchTraceProcessor, ErrorKind, Signal};

use crate::cli::human::counted;
use crate::cli::input::{Delimited, Found, Input, Lines, Place, Reader};
use crate::cli::json;
use crate::cli::outcome::{Done, Failure};
use crate::cli::progress::warn;
use crate::cli::spool::Spool;
use crate::otlp;

/// Put items from a file or a pipe into the spool
///
/// Reads NDJSON, one item a line, and makes every item durable. Sends nothing:
/// 'spanspool drain' does, or any program that opens the same spool. A missing
/// spool is created. Empty lines are skipped. A line that is not an item is
/// reported with its number, and the rest is read. At the spool's limit the command
/// stops and names the line.
///
/// With '--set exporter=otlp' an item is an export request of OTLP: a line of OTLP
/// JSON, as the Collector's fileexporter writes it, or with '--format delimited'
/// the protobuf bytes with their length before them, as writeDelimitedTo writes
/// them. '--set signal=logs' and '--set signal=metrics' say what the requests are,
/// and '--set endpoint=URL' where they go. A field in JSON that OTLP does not have
/// is left out and named on standard error; protobuf bytes are stored as they are.
///
/// Exit code: 0 every item was accepted, 1 some were not, 2 wrong usage.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Enqueue {
    /// The file to read; '-' is standard input
    #[arg(default_value = "-", value_hint = ValueHint::FilePath)]
    file: PathBuf,
    #[command(flatten)]
    spool: Spool,
    /// How the items are written
    #[arg(long, value_name = "FORMAT", default_value = "json")]
    format: Format,
    /// Write the counts as one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// JSON, one item a line
    Json,
    /// Requests of OTLP as protobuf, each with its length before it, a varint
    Delimited,
}

/// How many times as long as the request its JSON may be: what is a byte or two in protobuf may have a long name.
const JSON_TIMES: u64 = 16;

/// What became of the items.
#[derive(Default, serde::Serialize)]
struct Count {
    enqueued: u64,
    refused: u64,
    /// The line at which the spool was at its limit; neither it nor a later one was accepted.
    stopped_at_line: Option<u64>,
    /// The same in bytes, for what is not in lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    stopped_at_byte: Option<u64>,
}

impl Enqueue {
    pub fn run(&self, out: &mut dyn Write) -> Result<Done, Failure> {
        let mut config = self.spool.config_to_change(&[])?;
        let signal = config.destination().signal();
        if signal.is_none() {
            config.set("exporter", "none")?;
        }
        let mut source = self.source(signal, config.max_item_bytes())?;
        let processor = BatchTraceProcessor::open_offline(config)?;
        let result = source.enqueue(&processor);
        processor.sync()?;
        // It can only say that items are undelivered, which is what was asked for.
        let _ = processor.shutdown(Duration::ZERO);
        let count = result?;
        self.write_count(&count, out)?;
        let stopped = count.stopped_at_line.or(count.stopped_at_byte);
        Ok(Done::all_if(count.refused == 0 && stopped.is_none()))
    }

    fn source(&self, signal: Option<Signal>, max_item_bytes: usize) -> Result<Source, Failure> {
        if self.format == Format::Delimited && signal.is_none() {
            let why = "'--format delimited' is for protobuf: it takes '--set exporter=otlp'";
            return Err(Failure::Usage(why.into()));
        }
        let mut reader: Reader = match self.file.as_path() {
            path if path == Path::new("-") => Box::new(io::stdin().lock()),
            path => Box::new(BufReader::new(open(path)?)),
        };
        let name = self.file.display().to_string();
        let begin = reader.fill_buf().unwrap_or_default();
        let (input, signal): (Box<dyn Input>, _) = match (self.format, signal) {
            (Format::Delimited, _) if begin.starts_with(b"{\"") => {
                return Err(Failure::Usage(format!("{name} has JSON: leave '--format delimited' out")));
            }
            (Format::Delimited, _) => (Box::new(Delimited::new(reader, max_item_bytes)), None),
            (Format::Json, None) => (Box::new(Lines::new(reader, max_item_bytes, 1)), None),
            (Format::Json, Some(_)) if begin.trim_ascii_start().first().is_some_and(|byte| *byte != b'{') => {
                let what =
                    "has no JSON: '--format delimited' is for protobuf with a length before each request";
                return Err(Failure::Usage(format!("{name} {what}")));
            }
            (Format::Json, signal) => (Box::new(Lines::new(reader, max_item_bytes, JSON_TIMES)), signal),
        };
        Ok(Source { name, input, of_json: signal, said: BTreeSet::new() })
    }

    fn write_count(&self, count: &Count, out: &mut dyn Write) -> Result<(), Failure> {
        if self.json {
            return json::write_line(count, out);
        }
        let dir = self.spool.dir()?.display();
        let noun = if self.format == Format::Json { "line" } else { "request" };
        writeln!(out, "{} accepted into {dir}", counted(count.enqueued, "item"))?;
        if count.refused > 0 {
            writeln!(out, "{} refused; see above", counted(count.refused, noun))?;
        }
        if let Some(line) = count.stopped_at_line {
            writeln!(out, "stopped at line {line}: neither it nor any later line was accepted")?;
        }
        if let Some(byte) = count.stopped_at_byte {
            writeln!(out, "stopped at byte {byte}: neither that request nor any later one was accepted")?;
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

/// Where the items come from.
struct Source {
    name: String,
    input: Box<dyn Input>,
    /// The signal of requests in JSON, which are enqueued as protobuf.
    of_json: Option<Signal>,
    /// What was left out of requests, and said.
    said: BTreeSet<String>,
}

impl Source {
    fn enqueue(&mut self, processor: &BatchTraceProcessor) -> Result<Count, Failure> {
        let mut count = Count::default();
        loop {
            let found = match self.input.next() {
                Ok(Some(found)) => found,
                Ok(None) => return Ok(count),
                Err(e) => {
                    let after = self.input.place().after(&self.name);
                    let accepted = counted(count.enqueued, "item");
                    let what = format!("cannot read on after {after}: {e}; {accepted} accepted so far");
                    return Err(Failure::Failed(what));
                }
            };
            match self.item(found) {
                Err(why) => {
                    self.say(&why);
                    count.refused += 1;
                }
                Ok(item) => match processor.enqueue(&item) {
                    Ok(()) => count.enqueued += 1,
                    Err(error) => {
                        self.say(&error.to_string());
                        if !matches!(error.kind(), ErrorKind::InvalidItem | ErrorKind::ItemTooLarge) {
                            match self.input.place() {
                                Place::Line(line) => count.stopped_at_line = Some(line),
                                Place::Byte(byte) => count.stopped_at_byte = Some(byte),
                            }
                            return Ok(count);
                        }
                        count.refused += 1;
                    }
                },
            }
        }
    }

    /// The bytes to enqueue.
    fn item(&mut self, found: Found) -> Found {
        let Some(signal) = self.of_json else { return found };
        let item = found?;
        let converted = otlp::from_json(&item, signal)
            .map_err(|flaw| format!("not OTLP JSON of {}: {flaw}", signal.name()))?;
        for field in converted.left_out {
            if !self.said.contains(&field) {
                self.say(&format!("{field} is not known to this version, and left out"));
                self.said.insert(field);
            }
        }
        Ok(converted.request)
    }

    fn say(&self, what: &str) {
        warn(&format!("spanspool enqueue: {}: {what}", self.input.place().after(&self.name)));
    }
}
