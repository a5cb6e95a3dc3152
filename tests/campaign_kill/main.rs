//! "OK means never lost" under SIGKILL: at any moment, before and after every system call, and between two
//! instructions.
//!
//! `SPANSPOOL_TRIALS=10000 cargo test --test campaign_kill -- --nocapture` makes each of the three ways as long as
//! that; `SPANSPOOL_SEED` repeats one.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod findings;
mod items;
mod record;
mod scene;
mod setup;
mod tracer;
mod trouble;

use std::os::unix::process::ExitStatusExt;
use std::thread;
use std::time::Duration;

use findings::{Findings, Order};
use scene::{Scene, Stage};
use setup::{Crew, Setup, Weather};
use testkit::client::Noise;
use testkit::form::Form;
use testkit::wait::eventually;
use testkit::{campaign, have, run, tool};
use tracer::{KillAt, Run};
use trouble::Trouble;

/// Rounds that no worker lives to see the end of.
const UNTIL_KILLED: u64 = 1_000_000;
/// A worker is killed at some moment of this time.
const MAX_LIFE: Duration = Duration::from_millis(120);
/// A trouble, and what is before and after it, takes at most so long.
const MAX_TROUBLE: Duration = Duration::from_millis(60);

/// A way to kill, its trials, and what they found.
struct Campaign {
    way: &'static str,
    seed: u64,
    trials: u64,
    kills: u64,
    found: Findings,
}

impl Campaign {
    fn new(way: &'static str) -> Self {
        let seed = campaign::seed(way);
        Self { way, seed, trials: 0, kills: 0, found: Findings::default() }
    }

    /// Ends a trial: delivers the rest, and fails when anything is not as promised.
    fn judge(&mut self, mut scene: Scene, kills: u64, ledger: Result<(), String>, how: &dyn std::fmt::Debug) {
        let mut found = scene.deliver_rest();
        found.amiss.extend(ledger.err());
        let setup = scene.setup.clone();
        let clients = setup.destinations() as u64;
        let max_resent = kills * setup.max_resent() + scene.shutdowns() * clients;
        let order = match setup.backlog_share {
            _ if setup.max_in_flight > 1 || !setup.trouble.is_none_or(Trouble::keeps_order) => Order::Any,
            Some(_) => Order::OfLanes,
            None => Order::OfAll,
        };
        if !found.is_clean(kills * clients, max_resent, order) {
            let (way, seed, trial) = (self.way, self.seed, self.trials);
            let kept = scene.keep();
            panic!(
                "{way}: SPANSPOOL_SEED={seed} trial {trial} {setup:?} {how:?}: {found:?}; kept in {}",
                kept.display()
            );
        }
        self.trials += 1;
        self.kills += kills;
        self.found.add(found);
        if self.trials.is_multiple_of(250) {
            self.report();
        }
    }

    /// Prints the line of figures.
    fn report(&self) {
        let Self { way, seed, trials, kills, found } = self;
        println!(
            "{way}: seed={seed} trials={trials} kills={kills} acknowledged={} delivered={} rejected={} lost={} invented={} \
             torn={} twice={} sent_again={} counted_twice={} resent_batches={}",
            found.acknowledged,
            found.delivered,
            found.rejected,
            found.lost.len(),
            found.invented.len(),
            found.torn.len(),
            found.twice.len(),
            found.sent_again.len(),
            found.counted_twice,
            found.resent
        );
    }
}

fn have_compiler() -> bool {
    have(&tool("CC", "cc"), "--version", "campaign_kill")
}

/// Starts a worker, lets it live for `life`, and kills it.
fn kill_after(scene: &Scene, life: Duration) {
    let mut worker = scene.worker(UNTIL_KILLED, "-").spawn().unwrap();
    thread::sleep(life);
    let status = run::kill(&mut worker);
    assert_eq!(status.signal(), Some(9), "the worker ended by itself: {status}");
}

fn pause(noise: &mut Noise) {
    thread::sleep(Duration::from_micros(noise.below(MAX_TROUBLE.as_micros() as u64)));
}

/// Starts a worker, lets a trouble come over it, and kills it while that lasts or after it.
fn kill_in(trouble: Trouble, scene: &mut Scene, noise: &mut Noise) {
    let items = if trouble.takes_one_round() { UNTIL_KILLED } else { scene.setup.items };
    let mut command = scene.worker_of(UNTIL_KILLED, items, "s");
    scene.tools().load(trouble, &mut command);
    let before = scene.acknowledged();
    let mut worker = command.spawn().unwrap();
    eventually("items are accepted", || {
        let ended = worker.try_wait().unwrap();
        assert!(ended.is_none(), "the worker ended by itself: {ended:?}");
        scene.acknowledged() > before
    });
    pause(noise);
    let lasting = trouble.begin(scene, noise);
    pause(noise);
    if noise.below(2) == 0 {
        drop(lasting);
        pause(noise);
        worker.kill().unwrap();
    } else {
        // One that waits for a frozen file system ends after that.
        worker.kill().unwrap();
        drop(lasting);
    }
    let status = run::exit(&mut worker);
    assert_eq!(status.signal(), Some(9), "the worker ended by itself: {status}");
}

#[test]
fn killed_at_any_moment() {
    if !have_compiler() {
        return;
    }
    let mut campaign = Campaign::new("killed at any moment");
    let mut noise = Noise::new(campaign.seed);
    let stage = Stage::new("kill-moments");
    for trial in 0..campaign::trials(20) {
        let mut setup = Setup::new(&mut noise);
        // Every other spool has trouble as well.
        setup.trouble = (trial % 2 == 1).then(|| stage.tools.any_trouble(&mut noise));
        let mut scene = Scene::new(&stage, setup);
        // Now and then a spool outlives many deaths.
        let kills = if trial % 20 == 0 { 10 } else { 1 + noise.below(8) / 6 };
        let (mut lives, mut ledger, mut visits) = (Vec::new(), Ok(()), 0);
        for _ in 0..kills {
            if let Some(trouble) = scene.setup.trouble {
                kill_in(trouble, &mut scene, &mut noise);
                visits += trouble.visits();
            } else {
                let life = Duration::from_micros(noise.below(MAX_LIFE.as_micros() as u64));
                kill_after(&scene, life);
                lives.push(life);
            }
            ledger = ledger.and(scene.after_death());
        }
        campaign.judge(scene, kills + visits, ledger, &lives);
    }
    campaign.report();
}

/// The runs that are killed at each of their stops: short, and all of a client's life. The first one does everything:
/// it enqueues, forms batches, moves items into segments, has batches accepted and refused, adopts and shuts down.
fn traced_setups() -> [Setup; 4] {
    let plain = Setup {
        form: Form::Json,
        threads: 1,
        items: 48,
        ingests: vec![Weather::Up],
        crew: Crew::Welcome,
        orphans: false,
        power: false,
        small_journal: true,
        max_in_flight: 1,
        max_batch_size: 128,
        backlog_share: None,
        trouble: None,
    };
    let orphans = Setup { orphans: true, threads: 2, items: 24, ..plain.clone() };
    [
        orphans.clone(),
        Setup {
            form: Form::Otlp,
            ingests: vec![Weather::Up, Weather::Up],
            crew: Crew::Refused,
            max_in_flight: 8,
            max_batch_size: 16,
            // The backlog that it finds is handed over.
            backlog_share: Some("0.5"),
            ..orphans
        },
        Setup {
            orphans: true,
            ingests: vec![Weather::Failing],
            crew: Crew::PutOff,
            power: true,
            ..plain.clone()
        },
        Setup {
            form: Form::Otlp,
            ingests: vec![Weather::Down, Weather::Up],
            threads: 2,
            power: true,
            max_in_flight: 2,
            ..plain
        },
    ]
}

/// Runs the worker of `setup` until it is killed, and looks at what became of everything.
fn trace(campaign: &mut Campaign, stage: &Stage, setup: &Setup, at: KillAt) -> Run {
    let mut scene = Scene::new(stage, setup.clone());
    let run = tracer::run(&mut scene.worker(1, "t"), at);
    let ledger = scene.after_death();
    campaign.judge(scene, run.killed.into(), ledger, &(at, &run));
    run
}

#[test]
fn killed_at_every_system_call() {
    if !have_compiler() {
        return;
    }
    let mut campaign = Campaign::new("killed at system calls");
    let mut noise = Noise::new(campaign.seed);
    let stage = Stage::new("kill-calls");
    let setups = traced_setups();
    let trials = campaign::trials(20);
    // Every stop in turn, or some of them when there are few trials.
    let (furthest, patience) = if trials < 1000 { (200, 1) } else { (1, 20) };
    let (mut which, mut stop, mut missed) = (0, 0, 0);
    for _ in 0..trials {
        stop += 1 + noise.below(furthest);
        let run = trace(&mut campaign, &stage, &setups[which], KillAt::Stop(stop));
        missed = if run.killed { 0 } else { missed + 1 };
        // How many stops a run has is a matter of how its threads meet.
        if missed == patience {
            println!("killed at system calls: run {which} ends before stop {stop}");
            (which, stop, missed) = ((which + 1) % setups.len(), 0, 0);
        }
    }
    campaign.report();
}

#[test]
fn killed_between_two_instructions() {
    if !have_compiler() {
        return;
    }
    let mut campaign = Campaign::new("killed between two instructions");
    let mut noise = Noise::new(campaign.seed);
    let stage = Stage::new("kill-steps");
    let setups = traced_setups();
    let runs = setups.each_ref().map(|setup| trace(&mut campaign, &stage, setup, KillAt::Never));
    for _ in 0..campaign::trials(20) {
        let which = noise.below(setups.len() as u64) as usize;
        let at = if noise.below(2) == 0 {
            KillAt::Enqueue { nth: 1 + noise.below(runs[which].enqueues), steps: 1 + noise.below(4000) }
        } else {
            KillAt::Behind { stop: 1 + noise.below(runs[which].stops), steps: 1 + noise.below(2000) }
        };
        trace(&mut campaign, &stage, &setups[which], at);
    }
    campaign.report();
}

#[test]
fn a_snapshot_that_a_death_left_half_written_costs_nothing() {
    if !have_compiler() {
        return;
    }
    let stage = Stage::new("kill-snapshot");
    let setup = traced_setups()[0].clone();
    let mut scene = Scene::new(&stage, setup);
    assert!(!scene.segments().is_empty());
    for segment in scene.segments() {
        std::fs::write(segment.join("snap.00000000000FFFFF.generating"), [7; 100]).unwrap();
    }
    let found = scene.deliver_rest();
    assert!(found.acknowledged > 0 && found.is_clean(0, 0, Order::OfAll), "{found:?}");
}

#[test]
fn control_without_the_journals_writes_everything_taken_is_lost() {
    if !have_compiler() {
        return;
    }
    let stage = Stage::new("kill-control");
    for writes in [true, false] {
        let mut scene =
            Scene::new(&stage, Setup { ingests: vec![Weather::Down], ..traced_setups()[0].clone() });
        let mut worker = scene.worker(UNTIL_KILLED, "-");
        if !writes {
            scene.without_journal_writes(&mut worker);
        }
        let mut worker = worker.spawn().unwrap();
        eventually("items are accepted", || scene.acknowledged() >= 40);
        run::kill(&mut worker);
        let ledger = scene.after_death();
        let (accepted, found) = (scene.acknowledged(), scene.deliver_rest());
        if writes {
            assert!(ledger.is_ok() && found.is_clean(1, 0, Order::OfAll), "{ledger:?} {found:?}");
        } else {
            let lost = found.lost.len() as u64;
            assert!(
                ledger.is_err() && (40..=accepted).contains(&lost),
                "{ledger:?} {accepted} accepted, {lost} lost"
            );
            println!("without the journal's writes: lost={lost} of {accepted} acknowledged");
        }
    }
}

#[test]
fn control_a_client_that_takes_every_lane_is_seen_to_send_items_astray() {
    if !have_compiler() {
        return;
    }
    let stage = Stage::new("kill-astray");
    let ingests = vec![Weather::Up; 2];
    let mut scene = Scene::new(&stage, Setup { ingests: ingests.clone(), ..traced_setups()[0].clone() });
    // It knows of one destination only.
    scene.setup.ingests.pop();
    // One may end before it has looked for orphans.
    for _ in 0..5 {
        let status = run::exit(&mut scene.worker(1, "-").spawn().unwrap());
        assert!(status.success(), "{status}");
    }
    scene.setup.ingests = ingests;
    let found = scene.deliver_rest();
    assert!(!found.invented.is_empty() && !found.lost.is_empty(), "{found:?}");
    println!("sent astray: invented={} lost={}", found.invented.len(), found.lost.len());
}
