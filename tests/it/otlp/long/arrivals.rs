//! Arrivals: what a Collector has written, each request once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use serde_json::{Deserializer, Value};

/// The requests that a Collector took.
pub struct Arrivals {
    requests: Vec<Value>,
    /// How many requests came that are equal to an earlier one: a batch that was sent again.
    pub repeated: usize,
}

impl Arrivals {
    pub fn read(files: impl Iterator<Item = PathBuf>) -> Self {
        let (mut requests, mut repeated) = (Vec::new(), 0);
        let mut seen = BTreeSet::new();
        for file in files {
            let text = fs::read(file).unwrap_or_default();
            // A line that is not whole ends the file of a Collector that was killed, or is just being written.
            for request in Deserializer::from_slice(&text).into_iter::<Value>().map_while(Result::ok) {
                if seen.insert(request.to_string()) {
                    requests.push(request);
                } else {
                    repeated += 1;
                }
            }
        }
        Self { requests, repeated }
    }

    pub fn requests(&self) -> &[Value] {
        &self.requests
    }

    pub fn spans(&self) -> impl Iterator<Item = &Value> {
        self.records("resourceSpans", "scopeSpans", "spans")
    }

    pub fn log_records(&self) -> impl Iterator<Item = &Value> {
        self.records("resourceLogs", "scopeLogs", "logRecords")
    }

    pub fn metrics(&self) -> impl Iterator<Item = &Value> {
        self.records("resourceMetrics", "scopeMetrics", "metrics")
    }

    fn records(&self, resource: &str, scope: &str, record: &str) -> impl Iterator<Item = &Value> {
        let resources = self.requests.iter().flat_map(move |request| list(&request[resource]));
        let scopes = resources.flat_map(move |of| list(&of[scope]));
        scopes.flat_map(move |of| list(&of[record]))
    }

    /// The values of `service.name`.
    pub fn services<'a>(&'a self) -> BTreeSet<&'a str> {
        let signals = ["resourceSpans", "resourceLogs", "resourceMetrics"];
        let of_request =
            move |request: &'a Value| signals.into_iter().flat_map(move |name| list(&request[name]));
        let resources = self.requests.iter().flat_map(of_request);
        resources.filter_map(|of| attribute(&of["resource"], "service.name")).collect()
    }

    /// The ids of each span by its `name`. A span comes twice only in a request that comes twice.
    pub fn spans_by(&self, name: impl Fn(&Value) -> Option<&str>) -> BTreeMap<String, Ids> {
        by_name(self.spans(), name)
    }

    /// The ids that each log record carries by its `name`.
    pub fn log_records_by(&self, name: impl Fn(&Value) -> Option<&str>) -> BTreeMap<String, Ids> {
        by_name(self.log_records(), name)
    }
}

/// The trace's id and the span's.
pub type Ids = (String, String);

fn by_name<'a>(
    records: impl Iterator<Item = &'a Value>,
    name: impl Fn(&Value) -> Option<&str>,
) -> BTreeMap<String, Ids> {
    let mut all = BTreeMap::new();
    for record in records {
        let name = name(record).unwrap_or_else(|| panic!("invented: {record}")).to_owned();
        let id = |id: &str| record[id].as_str().unwrap_or_default().to_owned();
        let twice = all.insert(name, (id("traceId"), id("spanId")));
        assert_eq!(twice, None, "in two requests: {record}");
    }
    all
}

pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The text of an attribute.
pub fn attribute<'a>(of: &'a Value, key: &str) -> Option<&'a str> {
    list(&of["attributes"]).iter().find(|pair| pair["key"] == key)?["value"]["stringValue"].as_str()
}
