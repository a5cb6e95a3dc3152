//! Cat: the pending items, one a line.

use std::io::{self, BufWriter, Write};

use clap::{Args, ValueEnum};
use spanspool::{Destination, Signal};

use crate::cli::human::counted;
use crate::cli::item::Printer;
use crate::cli::outcome::{Done, Failure};
use crate::cli::progress::warn;
use crate::cli::spool::Spool;

/// Write the pending items to standard output, one a line
///
/// The output is NDJSON, oldest first within a lane. Items of OTLP are written
/// as OTLP JSON. 'spanspool enqueue' takes what is written, with the settings that
/// the items had; where a spool holds items of several kinds, --only chooses one.
/// The items stay in the spool, and its owners may be running.
///
/// A field of OTLP that this version does not know is left out and named on
/// standard error. So is an item that is no request of OTLP, as validation=none
/// permits.
///
/// Exit code: 0 every item was written, 1 one could not be, 2 wrong usage.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Cat {
    #[command(flatten)]
    spool: Spool,
    /// Only items of this kind; json: those of any exporter but otlp
    #[arg(long, value_name = "KIND")]
    only: Option<Kind>,
    /// No effect: the output is always NDJSON
    #[arg(long)]
    json: bool,
}

/// What items are.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Json,
    Traces,
    Logs,
    Metrics,
}

impl Kind {
    fn of(destination: &Destination) -> Self {
        match destination.signal() {
            None => Self::Json,
            Some(Signal::Traces) => Self::Traces,
            Some(Signal::Logs) => Self::Logs,
            Some(Signal::Metrics) => Self::Metrics,
        }
    }
}

const PROGRAM: &str = "spanspool cat";

impl Cat {
    pub fn run(&self, out: &mut dyn Write) -> Result<Done, Failure> {
        let (mut out, mut printer) = (BufWriter::new(out), Printer::new(PROGRAM));
        let (mut written, mut not_shown) = (Ok(()), 0);
        self.spool.view()?.pending(&mut |destination, item| {
            if self.only.is_none_or(|only| only == Kind::of(destination)) {
                match printer.line(destination, item) {
                    Ok(line) => written = write_line(&line, &mut out),
                    Err(flaw) => {
                        warn(&format!("{PROGRAM}: an item for {destination} is no request: {flaw}"));
                        not_shown += 1;
                    }
                }
            }
            written.is_ok()
        })?;
        written?;
        out.flush()?;
        if not_shown > 0 {
            warn(&format!("{PROGRAM}: {} not shown", counted(not_shown, "item")));
        }
        Ok(Done::all_if(not_shown == 0))
    }
}

fn write_line(line: &[u8], out: &mut impl Write) -> io::Result<()> {
    out.write_all(line)?;
    out.write_all(b"\n")
}
