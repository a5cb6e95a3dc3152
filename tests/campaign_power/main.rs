//! Campaign: the power is cut at random instants, on ext4, xfs and btrfs: what was acknowledged is there afterwards.
//!
//! Two processes with four threads each enqueue into one spool, on a disk whose state at any instant can be looked at
//! (`disk`). Meanwhile the ingest goes up and down and refuses some items, segments are written and removed, and one of
//! the processes is killed and started again, so that lanes are adopted. At each cut the processes go on; what the disk
//! had is mounted elsewhere, the spool there is opened and delivered, and what comes out is held against what had its
//! OK.
//!
//! `SPANSPOOL_TRIALS=200 cargo test --test campaign_power -- --nocapture` cuts 200 times for each file system
//! and durability; without it, a few times.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod batches;
mod disk;
mod fuse;
mod mounts;
mod program;
mod recorded;
mod server;
mod stopwatch;
mod verdict;
mod volatile;
mod witness;

use std::thread;
use std::time::Duration;

use disk::{Disk, Kind, can_make};
use program::{AgeLimit, Crew, Preload, unix_ns};
use testkit::client::Noise;
use testkit::form::Form;
use testkit::wait::PATIENCE;
use testkit::{TempDir, have, tool};
use verdict::{Before, Findings, judge};
use witness::{Mood, Witness};

/// Cuts while the same processes run.
const CUTS_A_RUN: u64 = 20;
/// Cuts without SPANSPOOL_TRIALS.
const SMOKE_CUTS: u64 = 2;
/// The spool's folder below where its disk is mounted.
const SPOOL: &str = "a/b/spool";
const SYNC_INTERVAL_MS: u64 = 200;
/// What the machine may take to wake a thread that is due, apart from what is measured.
const WAKE_UP_NS: u64 = 300_000_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Durability {
    Power,
    Process,
}

impl Durability {
    fn name(self) -> &'static str {
        if self == Self::Power { "power" } else { "process" }
    }
}

/// One run of the processes on a disk of its own.
struct Run {
    // Killed before the disk is unmounted.
    crew: Crew,
    ingest: Witness,
    form: Form,
    settings: Vec<(&'static str, String)>,
    disk: Disk,
    _dir: TempDir,
}

impl Run {
    fn new(kind: Kind, durability: Durability, form: Form, preload: Preload, noise: &mut Noise) -> Self {
        let disk = Disk::new(kind, noise.below(2) == 0);
        let dir = TempDir::new("power-programs");
        let ingest = Witness::start();
        let journal = if noise.below(3) == 0 { "4 MiB" } else { "256 KiB" };
        let mut settings = vec![("exporter", form.exporter().to_owned())];
        settings.push(("durability", durability.name().into()));
        settings.push(("journal_bytes", journal.into()));
        settings.push(("sync_interval_ms", SYNC_INTERVAL_MS.to_string()));
        settings.push(("schedule_delay_ms", (1 + noise.below(30)).to_string()));
        settings.push(("max_in_flight", (1 + 3 * noise.below(2)).to_string()));
        settings.push(("order", ["oldest_first", "newest_first"][noise.below(2) as usize].into()));
        settings.push(("adopt_interval_ms", "50".into()));
        // What a cut leaves goes to an ingest of its own.
        settings.push(("adopt", "any".into()));
        settings.push(("base_delay_ms", "5".into()));
        settings.push(("max_delay_ms", "50".into()));
        let spool = disk.live().join(SPOOL);
        let mut arguments =
            vec![format!("spool_dir={}", spool.display()), format!("endpoint={}", ingest.url(form))];
        arguments.extend(settings.iter().map(|(key, value)| format!("{key}={value}")));
        let limit = AgeLimit { interval_ns: SYNC_INTERVAL_MS * 1_000_000, wake_up_ns: WAKE_UP_NS };
        let limit = (durability == Durability::Process).then_some(limit);
        let crew = Crew::new(dir.path(), preload, arguments, limit);
        Self { crew, ingest, form, settings, disk, _dir: dir }
    }

    /// Something else happens: the ingest's mood changes, a process dies or begins.
    fn stir(&mut self, noise: &mut Noise) {
        self.ingest.set_mood(match noise.below(4) {
            0 | 1 => Mood::Up,
            2 => Mood::Deaf,
            _ => Mood::Down,
        });
        for which in 0..program::PROCESSES {
            if !self.crew.is_running(which) {
                self.crew.start(which);
            } else if noise.below(4) == 0 {
                self.crew.kill(which);
            }
        }
        if !self.crew.is_running(0) && !self.crew.is_running(1) {
            self.crew.start(0);
        }
    }

    /// Cuts the power and looks at what is left.
    fn cut(&mut self, noise: &mut Noise, patience: Duration) -> Findings {
        if noise.below(2) == 0 {
            self.disk.write_back_some(noise);
        }
        let record_at_begin = self.ingest.record().len();
        let progress = self.crew.progress();
        let begin_ns = unix_ns();
        let capture = self.disk.capture();
        // The spool stays small however slow the machine is to look at what was captured.
        self.crew.rest(true);
        let (owed, recent) = self.crew.acknowledged(&progress, begin_ns);
        let record = self.ingest.record().clone();
        let before =
            Before { form: self.form, owed, recent, progress: self.crew.progress(), record, record_at_begin };
        let remains = self.disk.mount(capture);
        let mut settings: Vec<(&str, &str)> =
            self.settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
        // A lone offender needs the batch after it as a witness, which other threads must not take.
        settings.push(("max_in_flight", "1"));
        let found = judge(&remains.folder().join(SPOOL), &settings, &before, patience);
        self.crew.rest(false);
        found
    }
}

/// What a campaign on one file system finds; `patience`: how long a lane may take to be drained.
fn campaign(
    kind: Kind,
    durability: Durability,
    preload: Preload,
    cuts: u64,
    patience: Duration,
) -> Option<Findings> {
    let test = format!("campaign_power on {}", kind.name());
    if !can_make(kind, &test) || !have(&tool("CC", "cc"), "--version", &test) {
        return None;
    }
    mounts::keep_own();
    let title = format!("power: {} durability={} {preload:?}", kind.name(), durability.name());
    let seed = testkit::campaign::seed(&title);
    let mut noise = Noise::new(seed ^ kind as u64 ^ (durability as u64) << 8);
    let mut all = Findings::default();
    let mut longest_sync_ns = 0;
    // The short runs of all kinds have both forms.
    let mut forms = (kind as usize + durability as usize..).map(Form::nth);
    while all.cuts < cuts {
        let form = forms.next().unwrap();
        let mut run = Run::new(kind, durability, form, preload, &mut noise);
        for _ in 0..CUTS_A_RUN.min(cuts - all.cuts) {
            run.stir(&mut noise);
            if preload == Preload::NoSync {
                // What was delivered can't be lost.
                run.ingest.set_mood(Mood::Down);
            }
            // With `process`, nothing is owed before it is as old as that.
            let longest = if durability == Durability::Power { 200_000 } else { 1_000_000 };
            thread::sleep(Duration::from_micros(noise.below(longest)));
            let found = run.cut(&mut noise, patience);
            if preload == Preload::SyncLog {
                found.assert_promise_kept(
                    &format!("{title}, seed {seed}, cut {}, {:?}", all.cuts, run.settings),
                    durability == Durability::Power,
                );
            }
            all.add(found);
        }
        longest_sync_ns = longest_sync_ns.max(run.crew.longest_sync_ns());
    }
    println!("{title}: {all}, longest sync {} ms", longest_sync_ns / 1_000_000);
    Some(all)
}

/// A spool that syncs nothing loses: the campaign must see it.
fn control(kind: Kind) {
    let patience = Duration::from_secs(2);
    if let Some(found) = campaign(kind, Durability::Power, Preload::NoSync, SMOKE_CUTS, patience) {
        assert!(found.lost > 0, "nothing is lost without a single sync: {found}");
    }
}

fn keeps(kind: Kind, durability: Durability) {
    campaign(kind, durability, Preload::SyncLog, testkit::campaign::trials(SMOKE_CUTS), PATIENCE);
}

#[test]
fn ext4_power() {
    keeps(Kind::Ext4, Durability::Power);
}

#[test]
fn ext4_process() {
    keeps(Kind::Ext4, Durability::Process);
}

#[test]
fn xfs_power() {
    keeps(Kind::Xfs, Durability::Power);
}

#[test]
fn xfs_process() {
    keeps(Kind::Xfs, Durability::Process);
}

#[test]
fn btrfs_power() {
    keeps(Kind::Btrfs, Durability::Power);
}

#[test]
fn btrfs_process() {
    keeps(Kind::Btrfs, Durability::Process);
}

#[test]
fn control_ext4_without_syncs_loses() {
    control(Kind::Ext4);
}

#[test]
fn control_xfs_without_syncs_loses() {
    control(Kind::Xfs);
}

#[test]
fn control_btrfs_without_syncs_loses() {
    control(Kind::Btrfs);
}
