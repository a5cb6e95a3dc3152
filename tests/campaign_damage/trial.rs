//! Trial: a copy of a template is damaged and drained; what arrives is held against what was touched.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use spanspool::{SpoolView, repair};

use crate::harm::Harm;
use crate::template::{
    HEADER_BYTES, Place, RECORD_HEADER, Taker, Template, drain, is_in, read_tree, settings, write_tree,
};
use testkit::client::Noise;
use testkit::run::output_within;
use testkit::wait::PATIENCE;

/// The smallest record of the journal.
const MIN_RECORD_BYTES: usize = RECORD_HEADER + 8;
/// How often the program is asked besides the library.
const PROGRAM_EVERY: u64 = 40;

#[derive(Debug, Default, Clone, Copy)]
pub struct Figures {
    trials: u64,
    pending: u64,
    touched: u64,
    lost: u64,
    dropped_corrupt: u64,
    duplicates: u64,
    invented: u64,
    repaired: u64,
    wrecks: u64,
}

impl Figures {
    fn words(&mut self) -> [(&'static str, &mut u64); 9] {
        [
            ("trials", &mut self.trials),
            ("pending", &mut self.pending),
            ("touched", &mut self.touched),
            ("lost", &mut self.lost),
            ("dropped_corrupt", &mut self.dropped_corrupt),
            ("duplicates", &mut self.duplicates),
            ("invented_or_torn", &mut self.invented),
            ("repaired", &mut self.repaired),
            ("header_damaged", &mut self.wrecks),
        ]
    }

    /// Adds what another one says of itself.
    pub fn add(&mut self, line: &str) {
        for word in line.split(' ') {
            let (name, value) = word.split_once('=').unwrap();
            let mut words = self.words();
            let (_, sum) = words.iter_mut().find(|(known, _)| *known == name).unwrap();
            **sum += value.parse::<u64>().unwrap();
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut copy = *self;
        let words: Vec<String> = copy.words().iter().map(|(name, value)| format!("{name}={value}")).collect();
        f.write_str(&words.join(" "))
    }
}

/// Trial `n`. `control`: nothing is said to be touched.
pub fn run(
    templates: &[Template],
    seed: u64,
    n: u64,
    dir: &Path,
    control: bool,
) -> (Figures, Option<String>) {
    let mut noise = Noise::new(seed.wrapping_add(n.wrapping_mul(0x9e37_79b9)));
    let template = &templates[noise.below(templates.len() as u64) as usize];
    let mut files = template.files.clone();
    let harm = Harm::inflict(&mut files, &mut noise);
    let _ = fs::remove_dir_all(dir);
    write_tree(dir, &files);
    let mut seen = Seen { figures: Figures { trials: 1, ..Figures::default() }, wrong: Vec::new() };

    let view = SpoolView::open(dir).unwrap();
    let whole = view.check().unwrap().iter().all(|lane| lane.is_whole());
    let wrecks = view.unreadable().unwrap().len() as u64;
    seen.figures.wrecks = wrecks.min(1);
    if n.is_multiple_of(PROGRAM_EVERY) {
        let code = check_program(dir);
        seen.expect(code == Some(i32::from(!whole)), || {
            format!("spanspool check ends with {code:?}, whole: {whole}")
        });
    }
    let mut lost_in_repair = 0;
    // What is missing is waited for until a repair gives it up.
    if noise.below(3) == 0 || harm.removed() {
        lost_in_repair = seen.repair_twice(dir);
    }
    let taker = Arc::new(Taker::new(template.form));
    drain(dir, &taker);
    seen.judge(template, &harm, &taker, control, whole, lost_in_repair, dir);
    let failure = (!seen.wrong.is_empty()).then(|| {
        format!("(template {} {:?}, {}): {}", template.name, template.form, harm.what, seen.wrong.join("; "))
    });
    let _ = fs::remove_dir_all(dir);
    (seen.figures, failure)
}

fn check_program(dir: &Path) -> Option<i32> {
    let mut program = Command::new(testkit::program());
    program.args(["check", "--json", "--spool-dir"]).arg(dir);
    let output = output_within(PATIENCE, &mut program, "spanspool check");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(json["lanes"].is_array());
    output.status.code()
}

struct Seen {
    figures: Figures,
    wrong: Vec<String>,
}

impl Seen {
    fn expect(&mut self, holds: bool, wrong: impl FnOnce() -> String) {
        if !holds {
            self.wrong.push(wrong());
        }
    }

    /// Returns how many items the repair knows to be lost.
    fn repair_twice(&mut self, dir: &Path) -> u64 {
        let config = settings(dir, &[]);
        let repaired = repair(&config).unwrap();
        self.figures.repaired = repaired.len() as u64;
        let (mut once, mut twice) = (BTreeMap::new(), BTreeMap::new());
        read_tree(dir, dir, &mut once);
        let view = SpoolView::open(dir).unwrap();
        let damaged: Vec<_> = view.check().unwrap().into_iter().filter(|lane| !lane.is_whole()).collect();
        self.expect(damaged.is_empty(), || format!("damaged after the repair: {damaged:?}"));
        let again = repair(&config).unwrap();
        self.expect(again.is_empty(), || format!("repaired again: {again:?}"));
        read_tree(dir, dir, &mut twice);
        self.expect(once == twice, || "the second repair changed files".into());
        repaired.iter().map(|lane| lane.lost.unwrap_or(0)).sum()
    }

    #[allow(clippy::too_many_arguments)]
    fn judge(
        &mut self,
        template: &Template,
        harm: &Harm,
        taker: &Taker,
        control: bool,
        whole: bool,
        lost_in_repair: u64,
        dir: &Path,
    ) {
        let arrived = taker.items();
        let view = SpoolView::open(dir).unwrap();
        let rejected: Vec<String> = view
            .rejected()
            .unwrap()
            .into_iter()
            .map(|item| template.form.text(&item.json).unwrap_or_default())
            .collect();
        let touches = |places: &[Place]| !control && places.iter().all(|place| harm.touches(place));
        let missing: Vec<(&String, bool)> = template
            .pending
            .iter()
            .filter(|(item, _)| !arrived.contains_key(*item))
            .map(|(item, places)| (item, touches(places)))
            .collect();
        let untouched = missing.iter().filter(|(_, touched)| !touched).count();
        let some = |items: &[(&String, bool)]| -> Vec<String> {
            items
                .iter()
                .filter(|(_, touched)| !touched)
                .take(3)
                .map(|(item, _)| item[..12].to_owned())
                .collect()
        };
        self.expect(untouched == 0, || {
            format!("{untouched} untouched items are missing: {:?}", some(&missing))
        });
        let gone: Vec<&String> = template
            .rejected
            .iter()
            .filter(|(item, places)| !rejected.contains(item) && !touches(places))
            .map(|(item, _)| item)
            .collect();
        self.expect(gone.is_empty(), || format!("{} untouched rejected items are missing", gone.len()));
        let invented =
            arrived.keys().chain(&rejected).filter(|item| !template.all.contains_key(*item)).count() as u64;
        self.figures.invented = invented + *taker.torn.lock().unwrap();
        self.expect(self.figures.invented == 0, || format!("{invented} items are invented or torn"));

        let lanes = view.lanes().unwrap();
        let dropped: u64 = lanes.iter().map(|lane| lane.stats.dropped_corrupt).sum();
        for lane in &lanes {
            let s = lane.stats;
            let sum = s.delivered
                + s.pending
                + s.rejected
                + s.dropped_overflow
                + s.dropped_expired
                + s.dropped_corrupt;
            self.expect(s.accepted == sum, || format!("the ledger does not add up: {s:?}"));
        }
        let lost = missing.len() as u64;
        let is_header =
            |path: &PathBuf| path.ends_with("journal") && harm.touches_range(path, &(0..HEADER_BYTES));
        let header = harm.files().any(is_header);
        if !header && self.figures.wrecks == 0 {
            self.expect(lost <= dropped, || format!("{lost} items are lost, {dropped} counted"));
            self.expect(lost == 0 || !whole, || format!("check sees nothing, {lost} items are lost"));
            let kept = files_in_quarantine(dir);
            let was_there = harm.files().any(|path| dir_had(path, template) && !harm.removed());
            self.expect(lost == 0 || kept > 0 || !was_there, || "nothing is in quarantine".into());
        }
        // A damaged counter is believed as far as the ring has room for so many items.
        let most = template.all.len() + (128 << 10) / MIN_RECORD_BYTES;
        self.expect(dropped <= most as u64, || format!("{dropped} items are counted as lost"));
        self.expect(lost_in_repair <= dropped, || {
            format!("the repair says {lost_in_repair} lost, {dropped} counted")
        });
        self.figures.pending = template.pending.len() as u64;
        self.figures.touched = template.pending.values().filter(|places| touches(places)).count() as u64;
        self.figures.lost = lost;
        self.figures.dropped_corrupt = dropped;
        self.figures.duplicates = arrived.values().map(|times| times - 1).sum();
    }
}

fn dir_had(path: &Path, template: &Template) -> bool {
    template.files.get(path).is_some_and(|bytes| !bytes.is_empty())
}

fn files_in_quarantine(dir: &Path) -> usize {
    let mut files = BTreeMap::new();
    read_tree(dir, dir, &mut files);
    files.keys().filter(|path| is_in(path, "quarantine")).count()
}
