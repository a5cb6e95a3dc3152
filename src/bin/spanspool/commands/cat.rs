//! Cat: the pending items, one a line.

use std::io::{self, BufWriter, Write};

use clap::Args;

use crate::cli::json::on_one_line;
use crate::cli::outcome::{Done, Failure};
use crate::cli::spool::Spool;

/// Write the pending items to standard output, one a line
///
/// The output is NDJSON, oldest first within a lane. The items stay in the
/// spool, and its owners may be running.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Cat {
    #[command(flatten)]
    spool: Spool,
    /// No effect: the output is always NDJSON
    #[arg(long)]
    json: bool,
}

impl Cat {
    pub fn run(&self, out: &mut dyn Write) -> Result<Done, Failure> {
        let mut out = BufWriter::new(out);
        let mut written = Ok(());
        self.spool.view()?.pending(&mut |_, item| {
            written = write_item(item, &mut out);
            written.is_ok()
        })?;
        written?;
        out.flush()?;
        Ok(Done::All)
    }
}

fn write_item(item: &[u8], out: &mut impl Write) -> io::Result<()> {
    out.write_all(&on_one_line(item))?;
    out.write_all(b"\n")
}
