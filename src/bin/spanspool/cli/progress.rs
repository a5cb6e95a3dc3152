//! Progress: a bar on a terminal, a plain line every few seconds elsewhere; both on standard error.

use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::human::count;
use crate::cli::lock::lock;

/// How far a piece of work has come. Threads may share it.
pub struct Progress {
    what: &'static str,
    kind: Kind,
}

enum Kind {
    Bar(ProgressBar),
    /// When the last line was written, and that line.
    Lines(Mutex<Option<(Instant, String)>>),
}

/// The least time between two plain lines.
const LINE_INTERVAL: Duration = Duration::from_secs(3);

impl Progress {
    /// `what` is what happens to the items, as in "delivered".
    pub fn new(what: &'static str) -> Self {
        let kind = if io::stderr().is_terminal() {
            let template = format!("  {what} [{{bar:40}}] {{human_pos}} of {{human_len}}  {{wide_msg}}");
            // `what` is a plain word, so the template is valid; were it not, the default style would do.
            let style =
                ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = ProgressBar::new(0).with_style(style.progress_chars("=> "));
            Kind::Bar(bar)
        } else {
            Kind::Lines(Mutex::new(None))
        };
        Self { what, kind }
    }

    /// Shows that `done` of `total` are done; `note` says what is going on, or is empty.
    pub fn show(&self, done: u64, total: u64, note: &str) {
        match &self.kind {
            Kind::Bar(bar) => {
                bar.set_length(total);
                bar.set_position(done);
                bar.set_message(note.to_owned());
            }
            Kind::Lines(last) => {
                let line = format!("  {} {} of {}  {note}", self.what, count(done), count(total));
                let mut last = lock(last);
                let due = last.as_ref().is_none_or(|(at, old)| at.elapsed() >= LINE_INTERVAL && *old != line);
                if due {
                    warn(line.trim_end());
                    *last = Some((Instant::now(), line));
                }
            }
        }
    }

    /// Writes a line that stays, above the bar.
    pub fn say(&self, line: &str) {
        match &self.kind {
            Kind::Bar(bar) => bar.suspend(|| warn(line)),
            Kind::Lines(_) => warn(line),
        }
    }

    /// Removes the bar; lines stay.
    pub fn clear(&self) {
        if let Kind::Bar(bar) = &self.kind {
            bar.finish_and_clear();
        }
    }
}

/// Writes a line to standard error. If that fails, the line is lost and the work goes on.
pub fn warn(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
