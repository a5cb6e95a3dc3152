//! Scene: programs whose calls are logged, on one spool, and an ingest that refuses some items.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicU16;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use testkit::cli::{Ended, spanspool};
use testkit::client::Received;
use testkit::host::{Host, settings};
use testkit::ingest::{Answer, Ingest, items_of};
use testkit::wait::{PATIENCE, until};
use testkit::{TempDir, caller, compile_c, compile_shim, have, tool};

use super::rules;

/// What is to go wrong, as `struct orders` of tests/c/order_shim.c has it.
#[derive(Default)]
pub struct Orders {
    /// Each sync of a journal's header or file takes so much longer.
    pub hold_us: u64,
    /// So many of the next syncs of a header fail that would release ring space.
    pub fail_header_syncs: u64,
    /// 1: all syncs of journals fail.
    pub fail_journal_syncs: u64,
    /// 1: the process dies of the next sync of a header.
    pub die_at_header: u64,
}

pub struct Scene {
    program: PathBuf,
    shim: PathBuf,
    orders: File,
    ingest: Ingest,
    status: Arc<AtomicU16>,
    received: Received,
    dir: TempDir,
}

impl Scene {
    /// `None`: there is no compiler, and `test` is skipped.
    pub fn new(test: &str) -> Option<Self> {
        if !have(&tool("CC", "cc"), "--version", test) {
            return None;
        }
        let dir = TempDir::in_memory(test);
        fs::create_dir(dir.join("below")).unwrap();
        fs::write(dir.join("orders"), [0; 4096]).unwrap();
        fs::write(dir.join("log"), "").unwrap();
        let status = Arc::new(AtomicU16::new(200));
        let received = Received::default();
        let ingest = Ingest::start({
            let (status, received) = (status.clone(), received.clone());
            move |request| match status.load(Relaxed) {
                200 if items_of(request).iter().any(|item| item.contains("\"bad-")) => Answer::status(400),
                200 => received.take(request),
                status => Answer::status(status),
            }
        });
        Some(Self {
            program: compile_c("tests/c/order.c", dir.path()),
            shim: compile_shim("tests/c/order_shim.c", dir.path()),
            orders: OpenOptions::new().write(true).open(dir.join("orders")).unwrap(),
            ingest: ingest.unwrap(),
            status,
            received,
            dir,
        })
    }

    /// What the ingest answers from now on; with 200 it refuses items whose names begin with "bad".
    pub fn ingest_is(&self, status: u16) {
        self.status.store(status, Relaxed);
    }

    pub fn spool(&self) -> PathBuf {
        self.dir.join("below/a/spool")
    }

    /// Items that the ingest took.
    pub fn delivered(&self) -> usize {
        self.received.items().len()
    }

    pub fn order(&self, orders: Orders) {
        let words =
            [orders.hold_us, orders.fail_header_syncs, orders.fail_journal_syncs, orders.die_at_header];
        self.orders.write_all_at(&words.map(u64::to_ne_bytes).concat(), 0).unwrap();
    }

    /// Starts tests/c/order.c.
    pub fn start(&mut self, more: &[&str]) -> Host {
        let common = ["base_delay_ms=5", "max_delay_ms=20"];
        let mut command = caller(&self.program);
        command.args(settings(&self.spool(), &self.ingest.url(), &[&common, more].concat()));
        let host = Host::run(self.watch(&mut command));
        assert_eq!(host.line(), "ready");
        host
    }

    /// Lets the program come to its end. Returns whether it has died of its orders before.
    pub fn dies(&self, host: &mut Host) -> bool {
        host.end_input();
        let status = until(Instant::now() + PATIENCE, "it ends", || host.process.try_wait().unwrap());
        assert!(status.success() || status.signal() == Some(9), "{status}");
        !status.success()
    }

    /// Runs the program to its end.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        let mut command = spanspool(arguments);
        command.arg("--spool-dir").arg(self.spool());
        self.watch(&mut command).output().unwrap().into()
    }

    fn watch<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("LD_PRELOAD", &self.shim).env("SPANSPOOL_TEST_ORDER_LOG", self.dir.join("log"));
        command.env("SPANSPOOL_TEST_ORDER_FOLDER", self.dir.join("below"));
        command.env("SPANSPOOL_TEST_ORDER_ORDERS", self.dir.join("orders"))
    }

    /// Holds all calls so far against the rules; `rules` must have had something to say. Returns how often each had.
    #[track_caller]
    pub fn judge(&self, rules: &[&str]) -> BTreeMap<&'static str, u64> {
        let log = fs::read_to_string(self.dir.join("log")).unwrap();
        if let Some(path) = std::env::var_os("SPANSPOOL_ORDER_LOG") {
            fs::write(path, &log).unwrap();
        }
        let verdict = rules::judge(&log);
        let shown = &verdict.broken[..verdict.broken.len().min(5)];
        assert!(shown.is_empty(), "{} broken: {}", verdict.broken.len(), shown.join("\n"));
        for rule in rules {
            assert!(verdict.applied.contains_key(rule), "{rule} had nothing to say: {:?}", verdict.applied);
        }
        verdict.applied
    }
}
