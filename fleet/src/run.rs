//! Run: one scenario under one policy, from the outage's beginning until the backlog is delivered.

use crate::client::{Batch, Client, Making};
use crate::delivery::Epoch;
use crate::events::{Events, Ms};
use crate::export::random::Random;
use crate::ingest::{Ingest, Said};
use crate::measure::{Measured, SHARES, Second, fairness, percentile};
use crate::policy::{Kind, Permit, Policy};
use crate::scenario::{Scenario, Start};

/// A run is broken off after so many times the ideal, and not before two minutes.
const PATIENCE: Ms = 12;
/// So many clients are asked each second how old their newest delivered item is.
const ASKED: u32 = 1_000;

/// What happens to a client: an answer to this request, or, without one, it looks for something to do.
struct Event {
    client: u32,
    request: Option<u32>,
}

/// A request under way.
struct Request {
    batch: Batch,
    permit: Permit,
    said: Said,
}

struct Run<'a> {
    scenario: &'a Scenario,
    making: Making,
    up_at: Ms,
    clients: Vec<Client>,
    ingest: Ingest,
    events: Events<Event>,
    requests: Vec<Option<Request>>,
    unused: Vec<u32>,
    drained_items: u64,
    measured: Measured,
    ages: Vec<f32>,
}

/// Runs `scenario` under a policy.
pub fn run(scenario: &Scenario, kind: Kind) -> Measured {
    let mut run = Run::new(scenario, kind);
    let end = run.up_at + PATIENCE * scenario.ideal(1.0, &[]).max(10_000);
    let (mut next_second, measures_age_from) = (0, run.up_at + scenario.first_contact());
    while !run.events.is_empty() && run.events.now() < end && run.measured.drained[2].is_none() {
        let now = run.events.now();
        if now >= next_second {
            next_second = now + 1_000;
            if now >= measures_age_from {
                run.ask_ages(now);
            }
        }
        let due = run.events.take_due();
        for event in &due {
            run.happens(event, now);
        }
        run.events.end(due);
    }
    run.ended()
}

impl<'a> Run<'a> {
    fn new(scenario: &'a Scenario, kind: Kind) -> Self {
        let mut random = Random::root(scenario.seed);
        let (epoch, making, up_at) = (Epoch::now(), scenario.making(), scenario.up_at());
        let mut events = Events::default();
        let mut clients = Vec::with_capacity(scenario.clients as usize);
        for n in 0..scenario.clients {
            let (share, other) = scenario.others;
            let kind = if random.fraction() < share { other } else { kind };
            let mut policy = Policy::new(kind, &scenario.settings, epoch);
            if scenario.start == Start::Restarted {
                policy.remember_outage(scenario.outage);
            }
            let phase = random.fraction() * making.gap.max(making.schedule_delay as f64);
            let mut client = Client::new(policy, phase, scenario.order, &making, up_at, epoch);
            let begins = random.fraction();
            client.wakes_at = match scenario.start {
                // Each has its turn within the time that a batch waits for more items.
                Start::AtOnce => (begins * making.schedule_delay as f64) as Ms,
                Start::Staggered => (begins * (up_at / 2) as f64) as Ms,
                Start::Restarted => up_at + (begins * 1_000.0) as Ms,
            };
            events.add(client.wakes_at, Event { client: n, request: None });
            clients.push(client);
        }
        let backlog = clients.iter().map(|client| u64::from(client.made_in_outage)).sum();
        Self {
            scenario,
            making,
            up_at,
            clients,
            ingest: Ingest::new(scenario.ingest.clone(), up_at, Random::seeded()),
            events,
            requests: Vec::new(),
            unused: Vec::new(),
            drained_items: 0,
            measured: Measured {
                seconds: Vec::new(),
                backlog,
                drained: [None; 3],
                age: [f64::NAN; 2],
                fairness: f64::NAN,
            },
            ages: Vec::new(),
        }
    }

    fn happens(&mut self, event: &Event, now: Ms) {
        let client = event.client;
        match event.request {
            Some(request) => self.answered(client, request, now),
            None if self.clients[client as usize].wakes_at != now => return,
            None => {}
        }
        self.look(client, now);
    }

    /// The client makes the requests that it may make now, and looks again when there may be another one.
    fn look(&mut self, n: u32, now: Ms) {
        let client = &mut self.clients[n as usize];
        let most =
            if matches!(client.policy, Policy::Ours(_)) { self.scenario.settings.max_in_flight } else { 1 };
        let mut wakes_at = None;
        while client.in_flight < most && wakes_at.is_none() {
            wakes_at = client.policy.wait(now);
            if wakes_at.is_some() {
                break;
            }
            match client.take(&self.making, now) {
                Err(at) => wakes_at = Some(at).filter(|at| *at < Ms::MAX),
                Ok(mut batch) => match client.policy.enter(batch.bytes(), now) {
                    None => {
                        client.put_back(batch);
                        wakes_at = client.policy.wait(now);
                    }
                    Some(permit) => {
                        let is_new = now >= client.connected_until;
                        let answer = self.ingest.request(now, is_new);
                        let is_duplicate = batch.is_taken && answer.is_taken;
                        batch.is_taken |= answer.is_taken;
                        batch.attempts += 1;
                        client.in_flight += 1;
                        let is_first =
                            now >= self.up_at && !std::mem::replace(&mut client.has_come, now >= self.up_at);
                        client.connected_until = answer.at + self.scenario.ingest.keeps_alive;
                        let request = Request { batch, permit, said: answer.said };
                        let at = self.unused.pop().unwrap_or(self.requests.len() as u32);
                        if at as usize == self.requests.len() {
                            self.requests.push(Some(request));
                        } else {
                            self.requests[at as usize] = Some(request);
                        }
                        self.events.add(answer.at, Event { client: n, request: Some(at) });
                        count(&mut self.measured, self.up_at, now, |second| {
                            second.offered += 1;
                            second.first += u32::from(is_first);
                            second.duplicates += u32::from(is_duplicate);
                        });
                        continue;
                    }
                },
            }
            if wakes_at.is_none() {
                break;
            }
        }
        let client = &mut self.clients[n as usize];
        if let Some(at) = wakes_at {
            let at = at.max(now + 1);
            if client.wakes_at <= now || at < client.wakes_at {
                client.wakes_at = at;
                self.events.add(at, Event { client: n, request: None });
            }
        }
    }

    fn answered(&mut self, n: u32, request: u32, now: Ms) {
        let Some(Request { mut batch, permit, said }) = self.requests[request as usize].take() else {
            return;
        };
        self.unused.push(request);
        let client = &mut self.clients[n as usize];
        client.in_flight -= 1;
        batch.not_before = client.policy.answer(permit, said, batch.attempts, now);
        let is_accepted = said == Said::Accepted;
        let mut drained = 0;
        if is_accepted {
            drained = client.accepted(&batch, &self.making, now);
        } else {
            client.failed(batch, now);
            if said == Said::Nothing {
                client.connected_until = 0;
            }
        }
        count(&mut self.measured, self.up_at, now, |second| {
            second.accepted += u32::from(is_accepted);
            second.failed += u32::from(!is_accepted);
            second.drained += u64::from(drained);
        });
        if drained > 0 {
            self.drained_items += u64::from(drained);
            self.note_drained(now);
        }
    }

    fn note_drained(&mut self, now: Ms) {
        let backlog = self.measured.backlog as f64;
        for (at, share) in SHARES.iter().enumerate() {
            if self.measured.drained[at].is_none() && self.drained_items as f64 >= backlog * share {
                self.measured.drained[at] = Some(now - self.up_at);
                if at == 0 {
                    self.measured.fairness = fairness(self.clients.iter().map(|c| f64::from(c.drained)));
                }
            }
        }
    }

    fn ask_ages(&mut self, now: Ms) {
        let step = (self.scenario.clients / ASKED).max(1) as usize;
        let asked = self.clients.iter().step_by(step);
        self.ages.extend(asked.map(|client| client.age(&self.making, now) as f32));
    }

    fn ended(mut self) -> Measured {
        self.measured.age = [0.5, 0.99].map(|share| percentile(&mut self.ages, share));
        self.measured
    }
}

/// Counts what happened `now`, if the ingest was back.
fn count(measured: &mut Measured, up_at: Ms, now: Ms, what: impl FnOnce(&mut Second)) {
    let Some(since) = now.checked_sub(up_at) else { return };
    let second = (since / 1_000) as usize;
    if measured.seconds.len() <= second {
        measured.seconds.resize(second + 1, Second::default());
    }
    what(&mut measured.seconds[second]);
}
