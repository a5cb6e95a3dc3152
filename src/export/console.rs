//! Console: the exporter that prints items, for a look at what a program sends.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde::Deserialize;

use super::{Outcome, TracingExporter};
use crate::batch::Batch;
use crate::config::Destination;
use crate::os::lock::Unpoison;

/// Prints one line an item to standard output, as the exporter of that name in the OpenAI Agents SDK does; a span
/// as its JSON.
///
/// It may be shared by threads; the lines of a batch stay together. A full pipe makes it wait for the reader,
/// whatever the deadline.
#[derive(Debug, Default)]
pub struct ConsoleSpanExporter {
    /// Held while a batch is printed. The standard library's lock on standard output would not do: a child of
    /// `fork` may find that one held for ever.
    printing: Mutex<()>,
}

impl ConsoleSpanExporter {
    /// An exporter to standard output.
    pub fn new() -> Self {
        Self::default()
    }
}

impl TracingExporter for ConsoleSpanExporter {
    fn destination(&self) -> Destination {
        Destination::console()
    }

    fn export(&self, batch: &Batch, _deadline: Option<Instant>) -> Outcome {
        let mut lines = Vec::with_capacity(batch.joined().len() + 40 * batch.len());
        for item in batch.items() {
            push_line(item, &mut lines);
        }
        let _printing = self.printing.lock().unpoisoned();
        match print(&lines) {
            Ok(()) => Outcome::Accepted { status: 0 },
            Err(e) => Outcome::Retry {
                status: 0,
                after: None,
                reason: format!("cannot write to standard output: {e}"),
            },
        }
    }

    fn fork(&self) -> Option<Arc<dyn TracingExporter>> {
        Some(Arc::new(Self::new()))
    }
}

fn print(lines: &[u8]) -> io::Result<()> {
    File::from(io::stdout().as_fd().try_clone_to_owned()?).write_all(lines)
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    object: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    workflow_name: Cow<'a, str>,
}

/// A trace as its id and name; everything else as its JSON.
fn push_line(item: &[u8], out: &mut Vec<u8>) {
    match serde_json::from_slice::<Head>(item) {
        Ok(head) if head.object == "trace" => {
            let line = format!("[Exporter] Export trace_id={}, name={}", head.id, head.workflow_name);
            // A control character in a name must not break the line, or command the terminal.
            for c in line.chars() {
                match c {
                    c if c.is_control() => out.extend(c.escape_default().map(|c| c as u8)),
                    c => out.extend(c.encode_utf8(&mut [0; 4]).bytes()),
                }
            }
        }
        _ => {
            out.extend(b"[Exporter] Export span: ");
            // A line break in JSON stands between tokens only, where a space does as well.
            out.extend(item.iter().map(|&b| if matches!(b, b'\n' | b'\r') { b' ' } else { b }));
        }
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn line(item: &str) -> String {
        let mut out = Vec::new();
        push_line(item.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_trace_is_its_id_and_name() {
        let item = r#"{"object":"trace","id":"trace_1","workflow_name":"h\u00e9 \"x\"","group_id":null,"metadata":{}}"#;
        assert_eq!(line(item), "[Exporter] Export trace_id=trace_1, name=hé \"x\"\n");
    }

    #[test]
    fn a_span_is_its_json_on_one_line() {
        let item = "{\"object\":\"trace.span\",\n \"id\":\"span_1\"}";
        assert_eq!(line(item), "[Exporter] Export span: {\"object\":\"trace.span\",  \"id\":\"span_1\"}\n");
    }

    #[test]
    fn a_name_can_not_break_the_line() {
        let item = r#"{"object":"trace","id":"t","workflow_name":"a\nb\u001b[2J"}"#;
        assert_eq!(line(item), "[Exporter] Export trace_id=t, name=a\\nb\\u{1b}[2J\n");
    }

    #[test]
    fn what_does_not_read_as_a_trace_is_printed_whole() {
        for item in [r#"{"object":"trace","id":"t","workflow_name":5}"#, "{}", "no json"] {
            assert_eq!(line(item), format!("[Exporter] Export span: {item}\n"));
        }
    }
}
