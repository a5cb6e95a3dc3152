//! A key finds the items that wait for it in every lane of the spool, whoever set them aside.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

use spanspool::{BatchTraceProcessor, Stats};
use testkit::TempDir;
use testkit::cli::spanspool;
use testkit::client::{
    HOLD, NEVER_MS, assert_ledger, item, lanes, number_of, open, rejected, wait_for_state,
};
use testkit::ingest::{Answer, Ingest, items_of};
use testkit::wait::{PATIENCE, eventually};

/// Longer than many rounds of an adopter that looks around every 20 ms.
const MANY_ROUNDS: Duration = Duration::from_millis(500);

/// A spool of several clients, and an ingest that takes items under the key `sk-good` only.
struct Scene {
    dir: TempDir,
    ingest: Ingest,
}

impl Scene {
    fn new(name: &str) -> Self {
        Self { dir: TempDir::new(name), ingest: taking("sk-good") }
    }

    fn spool(&self) -> PathBuf {
        self.dir.join("spool")
    }

    /// A client that looks around when it is told to and no earlier.
    fn client(&self) -> BatchTraceProcessor {
        open(&self.spool(), &self.ingest.url(), &[("adopt_interval_ms", NEVER_MS)])
    }

    /// A client that looks around often.
    fn watchful(&self) -> BatchTraceProcessor {
        open(&self.spool(), &self.ingest.url(), &[("adopt_interval_ms", "20")])
    }

    /// The items that the ingest took, in order of their numbers.
    fn taken(&self) -> Vec<u64> {
        taken(&self.ingest, "sk-good")
    }

    /// All numbers up to `items` arrived, each once, and every ledger says so.
    fn assert_each_once(&self, items: u64) {
        let taken = self.taken();
        assert!(
            taken.iter().copied().eq(0..items),
            "{} items arrived, not each of {items} once",
            taken.len()
        );
        self.assert_counted(items);
    }

    /// Nothing is left, and every ledger says so. They may do so a moment after the items have arrived.
    fn assert_counted(&self, items: u64) {
        eventually("all is counted", || {
            let stats: Vec<Stats> = lanes(&self.spool()).into_iter().map(|lane| lane.stats).collect();
            stats.iter().for_each(assert_ledger);
            let sum = |of: fn(&Stats) -> u64| stats.iter().map(of).sum::<u64>();
            (sum(|s| s.rejected), sum(|s| s.pending), sum(|s| s.held_batches)) == (0, 0, 0)
                && (sum(|s| s.accepted), sum(|s| s.delivered)) == (items, items)
        });
        assert!(rejected(&self.spool()).is_empty());
    }
}

fn taking(key: &str) -> Ingest {
    let wanted = format!("Bearer {key}");
    Ingest::start(move |request| match request.header("authorization") == Some(&wanted) {
        true => Answer::status(200),
        false => Answer::status(401),
    })
    .unwrap()
}

fn taken(ingest: &Ingest, key: &str) -> Vec<u64> {
    let wanted = format!("Bearer {key}");
    let requests = ingest.requests();
    let taken = requests.iter().filter(|request| request.header("authorization") == Some(&wanted));
    let mut numbers: Vec<u64> = taken.flat_map(items_of).map(|item| number_of(&item)).collect();
    numbers.sort_unstable();
    numbers
}

/// Lets `client` set items aside for the key `team`.
fn set_aside(client: &BatchTraceProcessor, numbers: impl IntoIterator<Item = u64>) {
    for n in numbers {
        client.enqueue_as("team", item(n).as_bytes()).unwrap();
    }
    client.flush(PATIENCE).unwrap();
    assert!(client.stats().unwrap().rejected > 0);
}

fn reasons(spool: &Path) -> Vec<String> {
    let mut reasons: Vec<String> = rejected(spool).into_iter().map(|it| it.reason).collect();
    reasons.dedup();
    reasons
}

#[test]
fn a_key_moves_what_another_living_process_set_aside() {
    let scene = Scene::new("keys-elsewhere");
    let (other, mine) = (scene.client(), scene.client());
    set_aside(&other, 0..300);
    mine.set_named_key("team", "sk-good").unwrap();
    mine.flush(PATIENCE).unwrap();
    scene.assert_each_once(300);
    assert_eq!(mine.stats().unwrap().delivered, 300);
    assert_eq!(other.stats().unwrap().accepted, 0);
}

#[test]
fn a_good_key_moves_what_another_process_got_refused() {
    let scene = Scene::new("keys-elsewhere-refused");
    let (other, mine) = (scene.client(), scene.client());
    other.set_named_key("team", "sk-bad").unwrap();
    set_aside(&other, 0..20);
    assert_eq!(reasons(&scene.spool()), ["key_refused:team"]);
    mine.set_named_key("team", "sk-good").unwrap();
    mine.flush(PATIENCE).unwrap();
    scene.assert_each_once(20);
}

#[test]
fn a_key_moves_what_a_dead_process_set_aside() {
    let scene = Scene::new("keys-elsewhere-dead");
    let mine = scene.client();
    let dead = [scene.client(), scene.client()];
    set_aside(&dead[0], 0..300);
    set_aside(&dead[1], 300..600);
    drop(dead);
    mine.set_named_key("team", "sk-good").unwrap();
    eventually("all arrive", || mine.stats().unwrap().delivered == 600);
    scene.assert_each_once(600);
}

#[test]
fn a_key_moves_nothing_that_goes_to_another_ingest() {
    let scene = Scene::new("keys-elsewhere-destinations");
    let elsewhere = taking("sk-good");
    let other = open(&scene.spool(), &elsewhere.url(), &[("adopt_interval_ms", NEVER_MS)]);
    let mine = scene.watchful();
    set_aside(&other, 0..10);
    mine.set_named_key("team", "sk-good").unwrap();
    mine.flush(PATIENCE).unwrap();
    thread::sleep(MANY_ROUNDS);
    assert_eq!(rejected(&scene.spool()).len(), 10);
    assert_eq!(scene.taken(), [0; 0]);
    other.set_named_key("team", "sk-good").unwrap();
    other.flush(PATIENCE).unwrap();
    assert_eq!(taken(&elsewhere, "sk-good"), Vec::from_iter(0..10));
}

#[test]
fn processes_that_learn_one_key_at_once_send_its_items_once() {
    let scene = Scene::new("keys-elsewhere-at-once");
    let clients = [scene.watchful(), scene.watchful(), scene.watchful()];
    // One takes over the lane of a dead one meanwhile.
    let dead = scene.client();
    for (n, client) in (0..).zip([&clients[0], &clients[1], &dead]) {
        set_aside(client, 1000 * n..1000 * (n + 1));
    }
    drop(dead);
    thread::scope(|scope| {
        for client in &clients {
            scope.spawn(|| client.set_named_key("team", "sk-good").unwrap());
        }
    });
    eventually("all arrive", || clients.iter().map(|it| it.stats().unwrap().delivered).sum::<u64>() == 3000);
    scene.assert_each_once(3000);
}

#[test]
fn a_key_finds_what_another_process_sets_aside_later() {
    let scene = Scene::new("keys-elsewhere-late");
    let (other, mine) = (scene.client(), scene.watchful());
    mine.set_named_key("team", "sk-good").unwrap();
    mine.flush(PATIENCE).unwrap();
    for n in 0..5 {
        other.enqueue_as("team", item(n).as_bytes()).unwrap();
        eventually("it arrives", || scene.taken().len() as u64 == n + 1);
    }
    eventually("it is counted", || mine.stats().unwrap().delivered == 5);
    scene.assert_each_once(5);
}

/// What its owner has not settled would be sent again by the next owner, besides what was taken.
#[test]
fn a_key_takes_nothing_that_its_owner_may_still_send() {
    let dir = TempDir::new("keys-elsewhere-unsettled");
    let spool = dir.join("spool");
    let takes_default_key = Arc::new(AtomicBool::new(false));
    let well = takes_default_key.clone();
    let ingest = Ingest::start(move |request| match request.header("authorization") {
        Some("Bearer sk-default") if !well.load(SeqCst) => Answer::status(401),
        _ => Answer::status(200),
    })
    .unwrap();
    let settings = [("api_key", "sk-default"), ("adopt_interval_ms", NEVER_MS), ("max_in_flight", "2")];
    let (other, mine) = (open(&spool, &ingest.url(), &settings), open(&spool, &ingest.url(), &settings));
    other.enqueue(item(0).as_bytes()).unwrap();
    wait_for_state(&other, HOLD);
    (1..=10).for_each(|n| other.enqueue_as("team", item(n).as_bytes()).unwrap());
    eventually("they are set aside", || rejected(&spool).len() == 10);
    mine.set_named_key("team", "sk-team").unwrap();
    mine.flush(PATIENCE).unwrap();
    assert_eq!(rejected(&spool).len(), 10);
    drop(other);
    takes_default_key.store(true, SeqCst);
    mine.wake().unwrap();
    eventually("all are delivered", || mine.stats().unwrap().delivered == 11);
    mine.flush(PATIENCE).unwrap();
    assert_eq!(taken(&ingest, "sk-team"), Vec::from_iter(1..=10));
    assert_eq!(taken(&ingest, "sk-default").last(), Some(&0));
    assert!(rejected(&spool).is_empty());
}

#[test]
fn processes_whose_keys_are_refused_do_not_take_items_from_each_other_without_end() {
    let scene = Scene::new("keys-elsewhere-refused-twice");
    let clients = [scene.watchful(), scene.watchful()];
    for (n, client) in (0..).zip(&clients) {
        client.set_named_key("team", "sk-bad").unwrap();
        client.enqueue_as("team", item(n).as_bytes()).unwrap();
    }
    let (mut seen, mut since) = (0, Instant::now());
    eventually("no more requests are made", || {
        let requests = scene.ingest.requests().len();
        if requests != seen {
            (seen, since) = (requests, Instant::now());
        }
        since.elapsed() > MANY_ROUNDS
    });
    assert_eq!(reasons(&scene.spool()), ["key_refused:team"]);
    assert!(seen < 10, "{seen} requests");
    clients[0].set_named_key("team", "sk-good").unwrap();
    eventually("both arrive", || scene.taken() == [0, 1]);
}

#[test]
fn what_is_set_aside_under_a_refused_key_goes_to_a_process_whose_key_is_good() {
    let scene = Scene::new("keys-elsewhere-good-and-bad");
    let (other, mine) = (scene.client(), scene.watchful());
    mine.set_named_key("team", "sk-good").unwrap();
    other.set_named_key("team", "sk-bad").unwrap();
    other.enqueue_as("team", item(0).as_bytes()).unwrap();
    eventually("it arrives", || scene.taken() == [0]);
}

/// A program that has the key is killed at any moment, again and again, while it moves the items of others.
#[test]
fn a_death_while_items_are_moved_loses_none() {
    const ITEMS: u64 = 2000;
    const DEATHS: u64 = 12;
    /// What one death may send twice: what was being moved, and what was on its way.
    const TWICE: u64 = 512;
    let scene = Scene::new("keys-elsewhere-kill");
    let (living, dead) = (scene.client(), scene.client());
    set_aside(&living, 0..ITEMS / 2);
    set_aside(&dead, ITEMS / 2..ITEMS);
    drop(dead);
    let spool = scene.spool();
    let endpoint = format!("endpoint={}", scene.ingest.url());
    let words = [
        "drain",
        "--spool-dir",
        spool.to_str().unwrap(),
        "--set",
        &endpoint,
        "--named-key-env",
        "team=TEAM_KEY",
    ];
    for death in 0..DEATHS {
        let mut drain = spanspool(&words)
            .env("TEAM_KEY", "sk-good")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_millis(5 * death));
        drain.kill().unwrap();
        drain.wait().unwrap();
        assert_ledger(&living.stats().unwrap());
    }
    let output = spanspool(&words).env("TEAM_KEY", "sk-good").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let mut taken = scene.taken();
    let all = taken.len() as u64;
    taken.dedup();
    assert!(taken.iter().copied().eq(0..ITEMS), "{} of {ITEMS} items arrived", taken.len());
    assert!(all <= ITEMS + DEATHS * TWICE, "{all} items arrived for {ITEMS}");
    assert!(rejected(&spool).is_empty());
    lanes(&spool).iter().for_each(|lane| assert_ledger(&lane.stats));
}
