//! Script: an ingest whose first answers are written down.

use std::sync::Mutex;

use crate::ingest::{Answer, Fault, Ingest};

/// An ingest that gives these answers in turn, and then 200 to every request.
pub fn scripted(answers: Vec<Answer>) -> Ingest {
    let answers = Mutex::new(answers.into_iter());
    let next = move || answers.lock().unwrap().next().unwrap_or_else(|| Answer::status(200));
    Ingest::start(move |_| next()).unwrap()
}

/// These bytes in place of an answer; then the connection is closed.
pub fn raw(bytes: impl Into<Vec<u8>>) -> Answer {
    Answer::status(200).fault(Fault::RawBytes(bytes.into()))
}

/// These bytes in place of an answer; the connection is kept.
pub fn kept(bytes: impl Into<Vec<u8>>) -> Answer {
    let pieces = vec![bytes.into()];
    Answer::status(200).fault(Fault::Pieces { pieces, pause: std::time::Duration::ZERO, keep: true })
}
