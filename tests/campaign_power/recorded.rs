//! Recorded: cuts of a disk with a volatile cache, after the fact. While processes enqueue, the disk (`volatile`) keeps
//! the record of what it was told, and with each entry what was acknowledged by then. Afterwards images are made of
//! cuts after every flush of that run and at random, several for each, and what is in them is held against what was
//! owed at that instant. A process of its own (`server`) plays the disk and all images.
//!
//! `SPANSPOOL_IMAGES=900 cargo test --test campaign_power volatile -- --nocapture` looks at 900 images for each file
//! system and durability; without it, at a few.

use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use super::Durability;
use super::disk::Kind;
use super::mounts;
use super::program::{self, Crew, Name, Preload};
use super::server::{Event, Sample, Server, Sources};
use super::verdict::{Before, Findings, judge};
use super::witness::{Mood, Seen, Witness};
use testkit::client::Noise;
use testkit::form::Form;
use testkit::mount::Mount;
use testkit::wait::PATIENCE;
use testkit::{TempDir, campaign, have, skip, succeed, tool};

/// The least that xfs can be made with is 300 MiB.
const DISK_BYTES: u64 = 320 << 20;
const SPOOL: &str = "spool";
/// Images of one run: enough for each flush to be followed by a cut.
const IMAGES_A_RUN: u64 = 450;
/// Images without SPANSPOOL_IMAGES, and how long the run is for them.
const SMOKE_IMAGES: u64 = 4;
/// Images that are looked at together: most of it is waiting.
const WORKERS: usize = 4;
/// How long an image of a disk that lies is given.
const SHORT_PATIENCE: Duration = Duration::from_secs(2);

/// A run of the processes, over and done, and what reached its disk.
struct Run {
    events: Vec<Event>,
    requests: Vec<Seen>,
    crew: Crew,
    durability: Durability,
    form: Form,
    settings: Vec<(&'static str, &'static str)>,
    _dir: TempDir,
}

impl Run {
    /// The ingest is down at first, then up and deaf by turns; in the middle of each half a process is killed and begun
    /// again, so that lanes are adopted.
    fn new(
        kind: Kind,
        durability: Durability,
        form: Form,
        honest: bool,
        server: &Server,
        noise: &mut Noise,
    ) -> Self {
        let dir = TempDir::new("power-recorded");
        let name = format!("live-{}", dir.path().file_name().unwrap().to_str().unwrap());
        let device = server.add_disk(&name, DISK_BYTES);
        make_file_system(kind, &device);
        let live = Mount::new(&device, "loop", dir.join("live"));

        let requests = dir.join("requests");
        let ingest = Witness::counting(&requests);
        let in_flight = ["1", "4"][noise.below(2) as usize];
        let mut settings = vec![("exporter", form.exporter()), ("durability", durability.name())];
        settings.push(("journal_bytes", "192 KiB"));
        settings.extend([
            ("max_in_flight", in_flight),
            ("schedule_delay_ms", "3"),
            ("adopt_interval_ms", "20"),
            ("adopt", "any"),
        ]);
        settings.extend([("base_delay_ms", "5"), ("max_delay_ms", "20"), ("sync_interval_ms", "50")]);
        let spool = live.path().join(SPOOL);
        let mut arguments =
            vec![format!("spool_dir={}", spool.display()), format!("endpoint={}", ingest.url(form))];
        arguments.extend(settings.iter().map(|(key, value)| format!("{key}={value}")));
        let mut crew = Crew::new(dir.path(), Preload::SyncLog, arguments, None);
        crew.sync_ms = if durability == Durability::Process { 15 } else { 0 };

        succeed(std::process::Command::new("sync").arg("-f").arg(live.path()));
        server.begin_record(Sources { counters: crew.counters(), requests });
        ingest.set_mood(Mood::Down);
        crew.start(0);
        crew.start(1);
        for mood in [Mood::Down, Mood::Up, Mood::Deaf, Mood::Up] {
            ingest.set_mood(mood);
            pause(noise);
            let which = noise.below(program::PROCESSES as u64) as usize;
            crew.kill(which);
            pause(noise);
            crew.start(which);
        }
        // What is left is delivered, and the segments go.
        crew.rest(true);
        pause(noise);
        pause(noise);
        let events = server.end_record(honest);
        (0..program::PROCESSES).for_each(|which| crew.kill(which));
        drop(live);
        server.remove(&name);
        let requests = ingest.record().clone();
        Self { events, requests, crew, durability, form, settings, _dir: dir }
    }

    /// What was owed just before event `cut` came.
    fn before(&self, cut: usize) -> Before {
        let Sample { requests, progress } = &self.events[cut].sample;
        let owed_ends = match self.durability {
            Durability::Power => &progress.acknowledged,
            Durability::Process => &progress.synced,
        };
        let names = progress.acknowledged.iter().enumerate();
        let names = names.flat_map(|(thread, end)| (0..*end).map(move |n| Name { thread, n }));
        let (owed, recent) = names
            .filter(|name| !self.crew.is_uncertain(name))
            .partition(|name| name.n < owed_ends[name.thread] && !self.crew.is_unsynced(name));
        let record = self.requests[..*requests].to_vec();
        Before {
            form: self.form,
            owed,
            recent,
            progress: progress.clone(),
            record,
            record_at_begin: *requests,
        }
    }

    /// The events that are flushes.
    fn flushes(&self) -> impl Iterator<Item = usize> {
        (0..self.events.len()).filter(|at| self.events[*at].is_flush)
    }

    /// Where to cut, in order, and how many sectors in a hundred are lost: for each flush, once just after it, and
    /// twice just before it, when most is in the cache; and as often at random.
    fn cuts(&self, images: usize, noise: &mut Noise) -> Vec<(usize, u64)> {
        let mut cuts = Vec::new();
        for flush in self.flushes() {
            cuts.push((flush + 1, 0));
            cuts.extend((0..2).map(|_| (flush, 1 + noise.below(99))));
            let anywhere = noise.below(self.events.len() as u64) as usize;
            cuts.push((anywhere, [0, 10, 50, 90, 100][noise.below(5) as usize]));
        }
        cuts.retain(|(cut, _)| *cut < self.events.len());
        for at in (1..cuts.len()).rev() {
            cuts.swap(at, noise.below(at as u64 + 1) as usize);
        }
        cuts.truncate(images);
        cuts.sort_unstable();
        cuts
    }
}

fn pause(noise: &mut Noise) {
    thread::sleep(Duration::from_millis(20 + noise.below(60)));
}

fn make_file_system(kind: Kind, device: &Path) {
    let mut command = std::process::Command::new(format!("mkfs.{}", kind.name()));
    match kind {
        // All of it now: nothing is written later that has to do with the making.
        Kind::Ext4 => command.args(["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard"]),
        Kind::Xfs => command.args(["-q", "-f", "-K"]),
        Kind::Btrfs => command.args(["-q", "-f", "-K"]),
    };
    succeed(command.arg(device));
}

/// What the disk writes as one. btrfs takes it for granted that its superblock, of 4 KiB, is never torn.
fn sector_bytes(kind: Kind) -> usize {
    if kind == Kind::Btrfs { 4096 } else { 512 }
}

/// The last that the kernel said.
fn kernel_log() -> String {
    let output = std::process::Command::new("dmesg").output().map(|output| output.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&output);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// Looks at what a cut left.
fn look(
    kind: Kind,
    image: &Path,
    before: &Before,
    settings: &[(&str, &str)],
    dir: &Path,
    patience: Duration,
) -> Findings {
    let mount = Mount::try_new(image, kind.options_of_copy(), dir.to_path_buf());
    let found = match &mount {
        Ok(mount) => judge(&mount.path().join(SPOOL), settings, before, patience),
        Err(why) => {
            Findings { unopened: 1, told: vec![why.clone(), kernel_log()], ..Findings::all_lost(before) }
        }
    };
    drop(mount);
    let _ = std::fs::remove_dir(dir);
    found
}

/// What a campaign finds; `honest`: the disk does as it is told to flush.
fn campaign(kind: Kind, durability: Durability, honest: bool, images: u64) -> Option<Findings> {
    let test = format!("campaign_power: a volatile {}", kind.name());
    let can = kind.is_available(&test) && have(&tool("CC", "cc"), "--version", &test);
    if !can || !Path::new("/dev/fuse").exists() && !skip(&test, "/dev/fuse") {
        return None;
    }
    mounts::keep_own();
    let title = format!("volatile disk: {} durability={} honest={honest}", kind.name(), durability.name());
    let seed = campaign::seed(&title);
    let mut noise = Noise::new(seed ^ kind as u64 ^ (durability as u64) << 8);
    let patience = if honest { PATIENCE } else { SHORT_PATIENCE };
    let dir = TempDir::new("power-volatile");
    let server = Server::start(dir.join("files"));
    let all = Mutex::new(Findings::default());
    let (mut events, mut flushes, mut runs) = (0, 0, 0);
    while all.lock().unwrap().cuts < images {
        let form = Form::nth(kind as usize + durability as usize + runs);
        let mut run = Run::new(kind, durability, form, honest, &server, &mut noise);
        events += run.events.len();
        flushes += run.flushes().count();
        runs += 1;
        let left = images - all.lock().unwrap().cuts;
        let cuts = if honest {
            run.cuts(left.min(IMAGES_A_RUN) as usize, &mut noise)
        } else {
            (0..left).map(|n| ((n + 1) as usize * (run.events.len() - 1) / left as usize, 50)).collect()
        };
        assert!(!cuts.is_empty(), "nothing was flushed");
        let mut settings = run.settings.clone();
        // A lone offender needs the batch after it as a witness, which other threads must not take.
        settings.push(("max_in_flight", "1"));
        let queue = Mutex::new((cuts.iter().enumerate(), &mut run, &mut noise));
        thread::scope(|scope| {
            let work = || {
                loop {
                    let mut queue = queue.lock().unwrap();
                    let (cuts, run, noise) = &mut *queue;
                    let Some((number, (cut, lost))) = cuts.next() else { return };
                    let name = format!("cut-{runs}-{number}");
                    let image = server.add_image(&name, *cut, *lost, sector_bytes(kind), noise);
                    let before = run.before(*cut);
                    drop(queue);
                    let found = look(kind, &image, &before, &settings, &dir.join(&name), patience);
                    server.remove(&name);
                    if honest {
                        let what = format!("{title}, seed {seed}, run {runs}, cut {cut}, lost {lost} %");
                        found.assert_promise_kept(&what, durability == Durability::Power);
                    }
                    all.lock().unwrap().add(found);
                }
            };
            (0..WORKERS).for_each(|_| drop(scope.spawn(work)));
        });
    }
    let all = all.into_inner().unwrap();
    println!("{title}: {all}; {runs} runs, {events} writes and flushes, {flushes} of them flushes");
    Some(all)
}

fn keeps(kind: Kind, durability: Durability) {
    campaign(kind, durability, true, campaign::number("SPANSPOOL_IMAGES").unwrap_or(SMOKE_IMAGES));
}

#[test]
fn volatile_ext4_power() {
    keeps(Kind::Ext4, Durability::Power);
}

#[test]
fn volatile_ext4_process() {
    keeps(Kind::Ext4, Durability::Process);
}

#[test]
fn volatile_xfs_power() {
    keeps(Kind::Xfs, Durability::Power);
}

#[test]
fn volatile_xfs_process() {
    keeps(Kind::Xfs, Durability::Process);
}

#[test]
fn volatile_btrfs_power() {
    keeps(Kind::Btrfs, Durability::Power);
}

#[test]
fn volatile_btrfs_process() {
    keeps(Kind::Btrfs, Durability::Process);
}

/// A disk that says that it flushed and did not loses: the campaign must see it.
#[test]
fn control_volatile_disk_that_lies_loses() {
    if let Some(found) = campaign(Kind::Ext4, Durability::Power, false, SMOKE_IMAGES) {
        assert!(found.lost > 0, "nothing is lost without a single flush: {found}");
    }
}
