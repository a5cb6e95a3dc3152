//! Trace: what the list keeps of a trace. There may be a million of them, so it is small.

use crate::view::record::Record;

use super::names::{Name, Names};
use super::place::Place;

/// No time is known.
const NO_START: i64 = i64::MAX;
const NO_END: i64 = i64::MIN;

pub struct Trace {
    pub id: Box<str>,
    pub name: Name,
    pub service: Name,
    /// How sure the name is.
    named_by: NamedBy,
    start_us: i64,
    end_us: i64,
    pub spans: u32,
    pub errors: u32,
    /// Spans of it that are in the rejected store.
    pub rejected: u32,
    /// One for each span, and for what describes the trace.
    pub places: Vec<Place>,
}

/// Where a trace has its name from; a later one counts more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum NamedBy {
    Nothing,
    Span,
    Root,
    Trace,
}

impl Trace {
    pub fn new(id: &str) -> Self {
        Self {
            id: id.into(),
            name: Name::default(),
            service: Name::default(),
            named_by: NamedBy::Nothing,
            start_us: NO_START,
            end_us: NO_END,
            spans: 0,
            errors: 0,
            rejected: 0,
            places: Vec::new(),
        }
    }

    pub fn start_us(&self) -> Option<i64> {
        Some(self.start_us).filter(|us| *us != NO_START)
    }

    pub fn end_us(&self) -> Option<i64> {
        Some(self.end_us).filter(|us| *us != NO_END)
    }

    pub fn duration_us(&self) -> Option<i64> {
        self.end_us()?.checked_sub(self.start_us()?)
    }

    /// The order of the list: the newest first, and then those whose time is not known.
    pub fn rank(&self) -> i64 {
        self.start_us().map_or(i64::MAX, |us| us.saturating_neg().min(i64::MAX - 1))
    }

    /// Adds what `record`, which is at `place`, says of it. Returns how many bytes its names take.
    pub fn add(&mut self, record: &Record, place: Place, names: &mut Names) -> usize {
        let by = match record.parent {
            _ if record.is_trace => NamedBy::Trace,
            None => NamedBy::Root,
            Some(_) => NamedBy::Span,
        };
        let mut bytes = 0;
        if by > self.named_by {
            self.named_by = by;
            let (name, more) = names.name(&record.name);
            self.name = name;
            bytes += more;
        }
        if !record.service.is_empty() && (by >= self.named_by || self.service == Name::default()) {
            let (service, more) = names.name(&record.service);
            self.service = service;
            bytes += more;
        }
        self.start_us = self.start_us.min(record.start_us.unwrap_or(NO_START));
        self.end_us = self.end_us.max(record.end_us.or(record.start_us).unwrap_or(NO_END));
        self.spans += u32::from(!record.is_trace);
        self.errors += u32::from(record.error.is_some());
        self.places.push(place);
        bytes
    }

    /// What is at `place` counts no longer.
    pub fn uncount(&mut self, place: Place) {
        self.spans = self.spans.saturating_sub(u32::from(!place.is_trace()));
        self.errors = self.errors.saturating_sub(u32::from(place.is_error()));
    }
}
