//! Setup: how a trial goes.

use std::path::Path;
use std::sync::Arc;

use spanspool::{BackendSpanExporter, BatchTraceProcessor, TracingExporter};

use crate::trouble::Trouble;
use testkit::client::Noise;
use testkit::form::Form;

/// Batches of adopted lanes that may be under way at once.
const ADOPTED_AT_ONCE: u64 = 4;
/// In seconds. Nothing gets so old, whatever a clock says.
const MAX_AGE: &str = "3600";

/// How a trial goes.
#[derive(Debug, Clone)]
pub struct Setup {
    pub form: Form,
    pub threads: u64,
    pub items: u64,
    /// What a worker finds at each of its endpoints, one or two.
    pub ingests: Vec<Weather>,
    pub crew: Crew,
    /// Whether the spool has two lanes of the dead to begin with.
    pub orphans: bool,
    pub power: bool,
    pub small_journal: bool,
    pub max_in_flight: u64,
    pub max_batch_size: u64,
    /// The part of requests that a backlog has, with new items before it; none: all in order.
    pub backlog_share: Option<&'static str>,
    pub trouble: Option<Trouble>,
}

/// What a worker finds at an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    Up,
    Failing,
    Down,
}

/// What the crew's key gets, where the ingest is up, until the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crew {
    Welcome,
    Refused,
    PutOff,
}

impl Crew {
    pub fn status(self) -> u16 {
        match self {
            Self::Welcome => 200,
            Self::Refused => 401,
            Self::PutOff => 429,
        }
    }
}

impl Setup {
    pub fn new(noise: &mut Noise) -> Self {
        let mut weather =
            || [Weather::Up, Weather::Up, Weather::Failing, Weather::Down][noise.below(4) as usize];
        let ingests = [weather(), weather()];
        Self {
            ingests: ingests[..1 + noise.below(2) as usize].to_vec(),
            form: Form::any(noise),
            threads: 1 + noise.below(8),
            items: if noise.below(10) == 0 { 2000 } else { 16 + noise.below(100) },
            crew: [Crew::Welcome, Crew::Refused, Crew::PutOff][noise.below(3) as usize],
            orphans: noise.below(3) > 0,
            power: noise.below(4) == 0,
            small_journal: noise.below(4) > 0,
            max_in_flight: [1, 2, 8][noise.below(3) as usize],
            max_batch_size: if noise.below(2) == 0 { 16 } else { 128 },
            backlog_share: [None, Some("0"), Some("0.5"), Some("1")][noise.below(4) as usize],
            trouble: None,
        }
    }

    pub fn destinations(&self) -> usize {
        self.ingests.len()
    }

    /// The destination of a thread's items.
    pub fn home_of(&self, thread: usize) -> usize {
        thread % self.destinations()
    }

    /// Whether a worker waits at its end until all is delivered.
    pub fn is_waited_for(&self) -> bool {
        self.ingests.iter().all(|weather| *weather == Weather::Up) && self.crew != Crew::PutOff
    }

    /// Lanes of a client's own items: with new ones first, backlogs too.
    fn own_lanes(&self) -> u64 {
        if self.backlog_share.is_some() { 4 } else { 1 }
    }

    /// Batches that a death can make be sent again: those of the lane's own, and of lanes being adopted. What passed
    /// others that wait for their key is sent again with them, however much that is.
    pub fn max_resent(&self) -> u64 {
        match self.crew {
            Crew::Welcome => {
                (self.max_in_flight * self.own_lanes() + ADOPTED_AT_ONCE) * self.destinations() as u64
            }
            Crew::Refused | Crew::PutOff => u64::from(u32::MAX),
        }
    }

    /// Those of every client but the endpoint.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = vec![
            ("exporter", self.form.exporter().to_owned()),
            ("api_key", "key-default".into()),
            ("schedule_delay_ms", "2".into()),
            ("base_delay_ms", "2".into()),
            ("max_delay_ms", "20".into()),
            ("adopt_interval_ms", "5".into()),
            ("sync_interval_ms", "5".into()),
            ("max_age_s", MAX_AGE.into()),
            ("max_in_flight", self.max_in_flight.to_string()),
            ("max_batch_size", self.max_batch_size.to_string()),
        ];
        if self.power {
            settings.push(("durability", "power".into()));
        }
        if self.small_journal {
            settings.push(("journal_bytes", "128 KiB".into()));
        }
        if let Some(share) = self.backlog_share {
            settings.push(("order", "newest_first".into()));
            settings.push(("backlog_share", share.into()));
        }
        if self.destinations() == 1 {
            // The lanes of before have two.
            settings.push(("adopt", "any".into()));
        }
        settings
    }

    /// A client in this process. It knows all keys before it takes over anything, as a worker does not.
    pub fn open(&self, spool: &Path, url: &str) -> BatchTraceProcessor {
        let settings = self.settings();
        let settings: Vec<_> = settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let config = testkit::client::config(spool, url, &settings);
        let exporter = BackendSpanExporter::new(&config).unwrap();
        exporter.set_named_key("team", "key-team");
        exporter.set_named_key("crew", "key-crew");
        BatchTraceProcessor::with_exporter(config, Arc::new(exporter)).unwrap()
    }
}
