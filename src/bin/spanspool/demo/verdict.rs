//! Verdict: compares what the ingest received with what was acknowledged and with the ledger.

use std::collections::{HashMap, HashSet};
use std::io::Write;

use spanspool::Stats;

use super::REFUSALS;
use super::ingest::Request;
use super::items::Items;
use crate::cli::human::count;
use crate::cli::ledger::{balances, equation};
use crate::cli::outcome::Failure;

pub struct Verdict<'a> {
    /// What was enqueued.
    pub items: Items,
    /// The ids that were acknowledged to the killed program.
    pub acknowledged: &'a HashSet<String>,
    /// All that arrived, the refused attempts included.
    pub requests: &'a [Request],
    /// The counters at the end.
    pub stats: &'a Stats,
}

impl Verdict<'_> {
    /// Writes the checks and the ledger; says whether all hold.
    pub fn write(&self, out: &mut dyn Write) -> Result<bool, Failure> {
        let checks = self.checks();
        for (holds, check, figure) in &checks {
            let word = if *holds { "ok" } else { "FAILED" };
            writeln!(out, "   {word:<8}{check:<51}{figure}")?;
        }
        let stats = self.stats;
        writeln!(out, "\n   {}", equation(stats))?;
        for (term, source) in [
            (
                "accepted",
                "counted by the killed program in the spool's journal, which outlived it".to_owned(),
            ),
            ("delivered", format!("answered 200 by the ingest, in {} requests", count(stats.batches_sent))),
            ("the rest", "read from the spool at the end".to_owned()),
        ] {
            writeln!(out, "     {term:<10} {source}")?;
        }
        Ok(checks.iter().all(|(holds, ..)| *holds))
    }

    fn checks(&self) -> Vec<(bool, &'static str, String)> {
        let (refused, accepted) = self.requests.split_at(REFUSALS.min(self.requests.len()));
        let arrived: Vec<Vec<u8>> =
            accepted.iter().flat_map(|request| self.items.in_request(request)).collect();
        let times = self.times_by_id(&arrived);
        let missing = self.acknowledged.iter().filter(|id| !times.contains_key(*id)).count();
        let twice = times.values().filter(|times| **times > 1).count();
        let changed = self.changed(&arrived, &times);
        let again = accepted.first().is_some_and(|first| refused.iter().all(|r| is_same_batch(r, first)));
        let distinct = times.len() as u64;
        let stats = self.stats;
        let all = count(self.acknowledged.len() as u64);
        let ledger = balances(stats) && stats.accepted == distinct && stats.delivered == distinct;
        vec![
            (missing == 0, "every acknowledged item arrived", format!("{missing} of {all} missing")),
            (twice == 0, "no item arrived twice", format!("{twice} twice")),
            (changed == 0, "each is byte for byte what was enqueued", format!("{changed} changed")),
            (
                again && refused.len() == REFUSALS,
                "the refused batch came again, same id, same bytes",
                format!("{REFUSALS} refusals"),
            ),
            (ledger, "the ledger agrees with the ingest", format!("{} items arrived", count(distinct))),
        ]
    }

    fn times_by_id(&self, arrived: &[Vec<u8>]) -> HashMap<String, u64> {
        let mut times = HashMap::new();
        for item in arrived {
            *times.entry(self.items.id_of(item)).or_default() += 1;
        }
        times
    }

    /// How many of the arrived items were never enqueued in exactly these bytes.
    fn changed(&self, arrived: &[Vec<u8>], times: &HashMap<String, u64>) -> usize {
        let rounds: HashSet<u32> = times.keys().filter_map(|id| self.items.round_of(id)).collect();
        let enqueued: HashSet<Vec<u8>> =
            rounds.into_iter().flat_map(|round| self.items.of_round(round)).collect();
        arrived.iter().filter(|item| !enqueued.contains(*item)).count()
    }
}

fn is_same_batch(a: &Request, b: &Request) -> bool {
    a.body == b.body
        && a.header("idempotency-key").is_some()
        && a.header("idempotency-key") == b.header("idempotency-key")
}
