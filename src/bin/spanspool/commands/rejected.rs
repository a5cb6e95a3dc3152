//! Rejected: the items that the ingest refused: look at them, send them again, remove them.

use std::io::{BufWriter, Write};
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;
use spanspool::{BatchTraceProcessor, RejectedItem};

use crate::cli::args::Args;
use crate::cli::command::{Command, Done, Failure};
use crate::cli::human::{age, items, one_line};
use crate::commands::cat::one_line_json;
use crate::commands::status::now_unix_ms;

pub const COMMAND: Command = Command {
    name: "rejected",
    summary: "list, requeue or purge the items that the ingest refused",
    help: "Usage: spanspool rejected list|requeue|purge --spool-dir DIR [ID...|--all]

  list       show every rejected item with the ingest's answer
  requeue    put items back on their way; 'spanspool drain' sends them
  purge      remove items for good

requeue and purge take the ids that list shows, or --all. An id that is not
there is an error, and nothing is changed then.

Options:
  --spool-dir DIR    the spool
  --all              every rejected item
  --json             list: one JSON object a line; else the count as an object
  --set KEY=VALUE    a setting; see 'spanspool help settings'
  --help             this text

Exit code: 0 done, 1 it could not be done, 2 wrong usage or an unknown id.",
    options: &["--spool-dir=", "--set=", "--json", "--all"],
    max_operands: usize::MAX,
    run,
};

/// How much of a text a person is shown.
const SHOWN_CHARS: usize = 160;

fn run(args: &Args, out: &mut dyn Write) -> Result<Done, Failure> {
    let Some((action, ids)) = args.operands().split_first() else {
        return Err(Failure::Usage("what to do is missing; allowed: list, requeue, purge".into()));
    };
    match action.as_str() {
        "list" => list(ids, args, out),
        "requeue" => change("requeued", ids, args, out, |ids| {
            let mut config = args.config(&[])?;
            config.set("exporter", "none")?;
            let processor = BatchTraceProcessor::open(config)?;
            let requeued = processor.requeue_rejected(ids)?;
            processor.sync()?;
            // Nothing is to be delivered here; what a shutdown could not deliver is what was asked for.
            let _ = processor.shutdown(Duration::ZERO);
            Ok(requeued)
        }),
        "purge" => change("purged", ids, args, out, |ids| Ok(args.view()?.purge(ids)?)),
        other => Err(Failure::Usage(format!("unknown action '{other}'; allowed: list, requeue, purge"))),
    }
}

fn list(ids: &[String], args: &Args, out: &mut dyn Write) -> Result<Done, Failure> {
    if let Some(id) = ids.first() {
        return Err(Failure::Usage(format!("unexpected argument '{id}': list shows every item")));
    }
    let rejected = args.view()?.rejected()?;
    let mut out = BufWriter::new(out);
    for item in &rejected {
        if args.has("--json") { write_json(item, &mut out)? } else { write_text(item, &mut out)? }
    }
    if !args.has("--json") {
        writeln!(out, "{}", items(rejected.len() as u64, "rejected item"))?;
    }
    out.flush()?;
    Ok(Done::All)
}

/// Does `action` to the items that the command line names, and says how many there were.
fn change(
    what: &str,
    ids: &[String],
    args: &Args,
    out: &mut dyn Write,
    action: impl FnOnce(&[String]) -> Result<u64, Failure>,
) -> Result<Done, Failure> {
    match (ids, args.has("--all")) {
        ([], false) => {
            return Err(Failure::Usage("which items? allowed: the ids that list shows, or --all".into()));
        }
        ([id, ..], true) => {
            return Err(Failure::Usage(format!("'{id}' and --all together; allowed: one of them")));
        }
        // The library takes an empty list for all.
        _ => {}
    }
    // Looked at first: a mistyped folder is an error here, not a new spool.
    args.view()?;
    let changed = action(ids)?;
    if args.has("--json") {
        writeln!(out, "{{\"{what}\":{changed}}}")?;
    } else {
        writeln!(out, "{} {what}", items(changed, "item"))?;
    }
    Ok(Done::All)
}

fn write_text(item: &RejectedItem, out: &mut dyn Write) -> Result<(), Failure> {
    let status = if item.status == 0 { "no answer".into() } else { format!("HTTP {}", item.status) };
    let waited = age(now_unix_ms().saturating_sub(item.rejected_unix_ms));
    let reason = one_line(item.reason.as_bytes(), SHOWN_CHARS);
    writeln!(out, "{}  {status}  {reason}  {waited} ago  batch {}", item.id, item.batch_id)?;
    if !item.key_name.is_empty() {
        writeln!(out, "    key     {}", one_line(item.key_name.as_bytes(), SHOWN_CHARS))?;
    }
    if !item.answer.is_empty() {
        writeln!(out, "    answer  {}", one_line(&item.answer, SHOWN_CHARS))?;
    }
    writeln!(out, "    item    {}\n", one_line(&item.json, SHOWN_CHARS))?;
    Ok(())
}

/// A rejected item as a program reads it.
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
    /// What is not JSON, which `validation=none` lets in.
    Text(String),
}

fn write_json(item: &RejectedItem, out: &mut dyn Write) -> Result<(), Failure> {
    let line = one_line_json(&item.json);
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
    serde_json::to_writer(&mut *out, &entry)?;
    writeln!(out)?;
    Ok(())
}
