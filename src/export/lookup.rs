//! Lookup: the addresses of a host name, found by a separate thread: the system's resolver may hang, and nothing can
//! interrupt it.

use std::io::{Error, ErrorKind, Result};
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use crate::os::lock::Unpoison;
use crate::os::thread;

const STOPPED: &str = "the exporter is shut down";

/// Looks names up. Calls for the same name share one thread and its answer, so that hanging threads do not pile up.
#[derive(Debug, Default)]
pub(super) struct Lookup(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The question that was asked last.
    question: Option<Arc<Question>>,
    stopped: bool,
}

#[derive(Debug)]
struct Question {
    name: String,
    answer: Mutex<Option<Answer>>,
    answered: Condvar,
}

/// Several calls may wait for it, and `io::Error` can't be cloned: the kind and the text stand for it.
type Answer = std::result::Result<Vec<SocketAddr>, (ErrorKind, String)>;

impl Lookup {
    /// The addresses of `name`, which is `host:port`.
    ///
    /// Errors: `TimedOut` after `limit`, `NotConnected` after `stop`, and those of the system's resolver.
    pub(super) fn addresses(&self, name: &str, limit: Duration) -> Result<Vec<SocketAddr>> {
        match name.parse() {
            Ok(address) => Ok(vec![address]),
            Err(_) => self.ask(name)?.wait(limit),
        }
    }

    /// Nothing is looked up any more, and calls that wait return. A thread that hangs ends when its resolver does; it
    /// holds nothing of the exporter.
    pub(super) fn stop(&self) {
        let mut state = lock(&self.0);
        state.stopped = true;
        if let Some(question) = &state.question {
            question.settle(Err((ErrorKind::NotConnected, STOPPED.into())));
        }
    }

    /// The question under way if it is the same, else a new one.
    fn ask(&self, name: &str) -> Result<Arc<Question>> {
        let mut state = lock(&self.0);
        if state.stopped {
            return Err(Error::new(ErrorKind::NotConnected, STOPPED));
        }
        let is_same = |question: &&Arc<Question>| question.name == name && lock(&question.answer).is_none();
        if let Some(question) = state.question.as_ref().filter(is_same) {
            return Ok(question.clone());
        }
        let question =
            Arc::new(Question { name: name.to_owned(), answer: Mutex::default(), answered: Condvar::new() });
        let asked = question.clone();
        thread::spawn("names", move || asked.settle(asked.resolve()))?;
        state.question = Some(question.clone());
        Ok(question)
    }
}

impl Drop for Lookup {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Question {
    fn resolve(&self) -> Answer {
        self.name.to_socket_addrs().map(Iterator::collect).map_err(|e| (e.kind(), e.to_string()))
    }

    /// The first answer counts.
    fn settle(&self, answer: Answer) {
        lock(&self.answer).get_or_insert(answer);
        self.answered.notify_all();
    }

    fn wait(&self, limit: Duration) -> Result<Vec<SocketAddr>> {
        let waiting = self.answered.wait_timeout_while(lock(&self.answer), limit, |answer| answer.is_none());
        match &*waiting.unpoisoned().0 {
            Some(Ok(addresses)) => Ok(addresses.clone()),
            Some(Err((kind, text))) => Err(Error::new(*kind, text.clone())),
            None => Err(ErrorKind::TimedOut.into()),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unpoisoned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn addresses_need_no_looking_up() {
        let lookup = Lookup::default();
        let found = lookup.addresses("[::1]:80", Duration::ZERO).unwrap();
        assert_eq!(found, ["[::1]:80".parse().unwrap()]);
        assert!(lock(&lookup.0).question.is_none());
    }

    #[test]
    fn a_name_is_looked_up_again_each_time() {
        let lookup = Lookup::default();
        let first = lookup.addresses("localhost:80", PATIENCE).unwrap();
        assert!(first.iter().all(|address| address.ip().is_loopback() && address.port() == 80));
        let before = lock(&lookup.0).question.clone().unwrap();
        assert_eq!(lookup.addresses("localhost:80", PATIENCE).unwrap(), first);
        assert!(!Arc::ptr_eq(&before, lock(&lookup.0).question.as_ref().unwrap()));
    }

    #[test]
    fn who_asks_while_the_resolver_hangs_waits_for_the_same_answer_and_stop_ends_that() {
        let lookup = Lookup::default();
        let hanging = Arc::new(Question {
            name: "nowhere.invalid:80".into(),
            answer: Mutex::default(),
            answered: Condvar::new(),
        });
        lock(&lookup.0).question = Some(hanging.clone());
        let error = lookup.addresses("nowhere.invalid:80", Duration::from_millis(1)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(Arc::ptr_eq(&hanging, lock(&lookup.0).question.as_ref().unwrap()));
        lookup.stop();
        for name in ["nowhere.invalid:80", "localhost:80"] {
            assert_eq!(lookup.addresses(name, PATIENCE).unwrap_err().kind(), ErrorKind::NotConnected);
        }
        assert_eq!(hanging.wait(PATIENCE).unwrap_err().kind(), ErrorKind::NotConnected);
    }
}
