//! Record: what came to the ingest, and how it was answered; it outlives the ingest.

use std::sync::atomic::AtomicU16;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};

use crate::items::{Kind, name_of};
use testkit::form::texts_of;
use testkit::ingest::{Answer, Ingest, Request};

/// A request as the ingest saw it.
#[derive(Debug, Clone)]
pub struct Sent {
    pub batch_id: String,
    pub authorization: String,
    pub items: Vec<String>,
    pub status: u16,
}

/// An ingest that keeps a record, answers 400 to bad items, and everything else with the status it is told.
pub struct Recorder {
    pub ingest: Ingest,
    sent: Arc<Mutex<Vec<Sent>>>,
    status: Arc<AtomicU16>,
    crew: Arc<AtomicU16>,
}

impl Recorder {
    /// On `port`, if that is not 0. Begins with what was `sent` before.
    pub fn start(port: u16, sent: Vec<Sent>, status: u16) -> Self {
        let sent = Arc::new(Mutex::new(sent));
        let [status, crew] = [status, 200].map(|status| Arc::new(AtomicU16::new(status)));
        let answer = {
            let (sent, status, crew) = (sent.clone(), status.clone(), crew.clone());
            move |request: &Request| {
                let seen = see(request, status.load(Relaxed), crew.load(Relaxed));
                let answer = Answer::status(seen.status);
                sent.lock().unwrap().push(seen);
                answer
            }
        };
        let ingest = Ingest::start_on(port, answer).unwrap();
        Self { ingest, sent, status, crew }
    }

    pub fn answer_with(&self, status: u16) {
        self.status.store(status, Relaxed);
    }

    /// What the crew's key is answered where others get 200.
    pub fn answer_crew_with(&self, status: u16) {
        self.crew.store(status, Relaxed);
    }

    pub fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }
}

fn see(request: &Request, status: u16, crew: u16) -> Sent {
    let items = texts_of(request);
    let is_of = |kind| items.iter().filter_map(|item| name_of(item)).any(|name| Kind::of(name) == kind);
    let status = match status {
        200 if is_of(Kind::Bad) => 400,
        200 if is_of(Kind::Crew) => crew,
        other => other,
    };
    let header = |name| request.header(name).unwrap_or_default().to_owned();
    Sent { batch_id: header("idempotency-key"), authorization: header("authorization"), items, status }
}
