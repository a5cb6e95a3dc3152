//! Record: what came to the ingest, and how it was answered; it outlives the ingest.

use std::sync::atomic::AtomicU16;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};

use crate::items::{Kind, name_of};
use testkit::ingest::{Answer, Ingest, Request, items_of};

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
}

impl Recorder {
    /// Begins with what was `sent` before.
    pub fn start(sent: Vec<Sent>, status: u16) -> Self {
        let sent = Arc::new(Mutex::new(sent));
        let status = Arc::new(AtomicU16::new(status));
        let ingest = Ingest::start({
            let (sent, status) = (sent.clone(), status.clone());
            move |request| {
                let seen = see(request, status.load(Relaxed));
                let answer = Answer::status(seen.status);
                sent.lock().unwrap().push(seen);
                answer
            }
        });
        Self { ingest: ingest.unwrap(), sent, status }
    }

    pub fn answer_with(&self, status: u16) {
        self.status.store(status, Relaxed);
    }

    pub fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }
}

fn see(request: &Request, status: u16) -> Sent {
    let items = items_of(request);
    let is_bad = |item: &String| name_of(item).is_some_and(|name| Kind::of(name) == Kind::Bad);
    let status = if status == 200 && items.iter().any(is_bad) { 400 } else { status };
    let header = |name| request.header(name).unwrap_or_default().to_owned();
    Sent { batch_id: header("idempotency-key"), authorization: header("authorization"), items, status }
}
