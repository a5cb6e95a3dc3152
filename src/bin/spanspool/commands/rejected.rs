//! Rejected: the items that the ingest refused, to be listed, sent again or removed.

use std::io::{BufWriter, Write};
use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::value::RawValue;
use spanspool::{BatchTraceProcessor, RejectedItem};

use crate::cli::clock::now_unix_ms;
use crate::cli::human::{counted, duration, one_line};
use crate::cli::item::Printer;
use crate::cli::json;
use crate::cli::outcome::{Done, Failure};
use crate::cli::spool::Spool;

/// List, requeue or purge the items that the ingest refused
#[derive(Args)]
#[command(subcommand_value_name = "list|requeue|purge")]
pub struct Rejected {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    options: Options,
}

#[derive(Subcommand)]
enum Action {
    /// Show every rejected item with the ingest's answer; items of OTLP as OTLP JSON
    List {
        #[command(flatten)]
        options: Options,
    },
    /// Put items back into the spool; 'spanspool drain' sends them
    ///
    /// An unknown id is an error, exit code 2, and nothing is changed then.
    Requeue {
        #[command(flatten)]
        selection: Selection,
        #[command(flatten)]
        options: Options,
    },
    /// Remove items for good
    ///
    /// An unknown id is an error, exit code 2, and nothing is changed then.
    Purge {
        #[command(flatten)]
        selection: Selection,
        #[command(flatten)]
        options: Options,
    },
}

/// They stand before the action or after it. Not clap's global options: of a list, those keep only the later part.
#[derive(Args)]
struct Options {
    #[command(flatten)]
    spool: Spool,
    /// Write JSON: list one object a line, requeue and purge their count
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Selection {
    /// The ids that 'spanspool rejected list' shows
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// Every rejected item
    #[arg(long)]
    all: bool,
}

/// How much of a text is shown to people.
const SHOWN_CHARS: usize = 160;

impl Rejected {
    pub fn run(&self, out: &mut dyn Write) -> Result<Done, Failure> {
        let Options { spool, json } = self.options();
        // Opened first: a mistyped folder is an error here, not a new spool.
        let view = spool.view()?;
        match &self.action {
            Action::List { .. } => write_list(&view.rejected()?, json, out)?,
            Action::Requeue { selection, .. } => {
                write_count("requeued", requeue(&spool, &selection.ids)?, json, out)?;
            }
            Action::Purge { selection, .. } => {
                spool.config_to_change(&[])?;
                write_count("purged", view.purge(&selection.ids)?, json, out)?;
            }
        }
        Ok(Done::All)
    }

    fn options(&self) -> Options {
        let (Action::List { options: later }
        | Action::Requeue { options: later, .. }
        | Action::Purge { options: later, .. }) = &self.action;
        Options { spool: self.options.spool.and(&later.spool), json: self.options.json || later.json }
    }
}

/// Requeues the items with these ids; an empty list means all, as it does for the library.
fn requeue(spool: &Spool, ids: &[String]) -> Result<u64, Failure> {
    let mut config = spool.config_to_change(&[])?;
    config.set("exporter", "none")?;
    let processor = BatchTraceProcessor::open(config)?;
    let requeued = processor.requeue_rejected(ids)?;
    processor.sync()?;
    // It can only say that items are undelivered, which is what was asked for.
    let _ = processor.shutdown(Duration::ZERO);
    Ok(requeued)
}

fn write_list(rejected: &[RejectedItem], json: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let (mut out, mut printer) = (BufWriter::new(out), Printer::new("spanspool rejected"));
    if json {
        rejected.iter().try_for_each(|item| write_json(item, &mut printer, &mut out))?;
    } else {
        rejected.iter().try_for_each(|item| write_text(item, &mut printer, &mut out))?;
        writeln!(out, "{}", counted(rejected.len() as u64, "rejected item"))?;
    }
    Ok(out.flush()?)
}

fn write_count(what: &str, items: u64, json: bool, out: &mut dyn Write) -> Result<(), Failure> {
    if json {
        writeln!(out, "{{\"{what}\":{items}}}")?;
    } else {
        writeln!(out, "{} {what}", counted(items, "item"))?;
    }
    Ok(())
}

fn write_text(item: &RejectedItem, printer: &mut Printer, out: &mut dyn Write) -> Result<(), Failure> {
    let status = if item.status == 0 { "no answer".into() } else { format!("HTTP {}", item.status) };
    let waited = duration(now_unix_ms().saturating_sub(item.rejected_unix_ms));
    let reason = one_line(item.reason.as_bytes(), SHOWN_CHARS);
    writeln!(out, "{}  {status}  {reason}  {waited} ago  batch {}", item.id, item.batch_id)?;
    if !item.key_name.is_empty() {
        writeln!(out, "    key     {}", one_line(item.key_name.as_bytes(), SHOWN_CHARS))?;
    }
    if !item.answer.is_empty() {
        writeln!(out, "    answer  {}", one_line(&item.answer, SHOWN_CHARS))?;
    }
    let shown = printer.line(&item.destination, &item.json).unwrap_or_else(|_| item.json.clone());
    writeln!(out, "    item    {}\n", one_line(&shown, SHOWN_CHARS))?;
    Ok(())
}

/// A rejected item for programs.
#[derive(Serialize)]
struct Entry<'a> {
    id: &'a str,
    batch_id: &'a str,
    status: u16,
    reason: &'a str,
    rejected_unix_ms: u64,
    key_name: &'a str,
    answer: &'a str,
    item: Body<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Body<'a> {
    Json(&'a RawValue),
    /// An item that is not what it should be, as `validation=none` permits.
    Text(String),
}

fn write_json(item: &RejectedItem, printer: &mut Printer, out: &mut dyn Write) -> Result<(), Failure> {
    let line = printer.line(&item.destination, &item.json).unwrap_or_default();
    let body = match serde_json::from_slice(&line) {
        Ok(json) => Body::Json(json),
        Err(_) => Body::Text(String::from_utf8_lossy(&item.json).into_owned()),
    };
    let entry = Entry {
        id: &item.id,
        batch_id: &item.batch_id,
        status: item.status,
        reason: &item.reason,
        rejected_unix_ms: item.rejected_unix_ms,
        key_name: &item.key_name,
        answer: &String::from_utf8_lossy(&item.answer),
        item: body,
    };
    json::write_line(&entry, out)
}
