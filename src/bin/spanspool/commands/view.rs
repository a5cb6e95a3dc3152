//! View: a page that shows a spool, in the browser or as one file.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use clap::{Args, ValueHint};

use crate::cli::outcome::{Done, Failure};
use crate::cli::spool::Spool;
use crate::view::{self, Picture, Server};

/// Show the spool in the browser: lanes, traces and rejected items
///
/// Prints an address of this machine and serves a page there until interrupted.
/// Whoever has the address can read the spool: it has a random part, and no other
/// machine can reach it. Nothing is changed: owners may be running, and permission
/// to read the spool is enough. Delivered items are gone from the spool; the page
/// counts those that it saw.
///
/// With --html the page and what it shows are written into one file instead, which
/// refers to nothing outside.
///
/// Exit code: 0 done, 1 the spool can't be read or there is no such trace, 2 wrong usage.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct View {
    #[command(flatten)]
    spool: Spool,
    /// Open the page in the browser, if there is one
    #[arg(long, conflicts_with = "html")]
    open: bool,
    /// The port of 127.0.0.1; any free one by default
    #[arg(long, value_name = "PORT", conflicts_with = "html", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// Write the page into this file, and end
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    html: Option<PathBuf>,
    /// Only the trace with this id
    #[arg(long, value_name = "ID", requires = "html")]
    trace: Option<String>,
}

impl View {
    pub fn run(&self, out: &mut dyn Write) -> Result<Done, Failure> {
        // Wrong settings are errors here, as in every command.
        self.spool.view()?;
        let spool = view::Spool::open(self.spool.dir()?)?;
        match &self.html {
            Some(path) => self.write(&spool, path),
            None => self.serve(spool, out),
        }
    }

    fn write(&self, spool: &std::sync::Arc<view::Spool>, path: &std::path::Path) -> Result<Done, Failure> {
        spool.load();
        let picture = match &self.trace {
            None => Picture::of_spool(spool).map(Some),
            Some(id) => Picture::of_trace(spool, id),
        };
        let Some(picture) = picture.map_err(Failure::Failed)? else {
            return Err(Failure::Failed("the spool has no trace with this id".into()));
        };
        let written = picture.write(path);
        written.map_err(|error| Failure::Failed(format!("cannot write {}: {error}", path.display())))?;
        Ok(Done::All)
    }

    fn serve(&self, spool: std::sync::Arc<view::Spool>, out: &mut dyn Write) -> Result<Done, Failure> {
        let failed = |error| Failure::Failed(format!("cannot serve the page on 127.0.0.1: {error}"));
        spool.follow().map_err(failed)?;
        let server = Server::start(spool, self.port).map_err(failed)?;
        writeln!(out, "{}", server.address())?;
        out.flush()?;
        if self.open {
            open(&server.invite().map_err(failed)?);
        }
        server.run().map_err(failed)?;
        Ok(Done::All)
    }
}

/// Opens `address` in the user's browser. Without one the address that was printed has to do.
fn open(address: &str) {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let mut command = Command::new(opener);
    let quiet = command.arg(address).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    drop(quiet.spawn());
}
