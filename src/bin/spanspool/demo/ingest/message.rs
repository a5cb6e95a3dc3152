//! Message: a request as it came in, and what it is answered with.

use std::time::{Duration, Instant};

use serde_json::value::RawValue;

/// One request as it came in, its body uncompressed.
#[derive(Debug, Clone)]
pub struct Request {
    /// Which connection it came on; they count from 0.
    pub connection: u64,
    pub method: String,
    pub path: String,
    /// In order; names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// When its last byte arrived.
    pub arrived: Instant,
}

impl Request {
    /// The value of the first header `name`, which is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

/// The raw text of each item in `{"data":[…]}`; none when the body is anything else.
pub fn items_of(request: &Request) -> Vec<String> {
    #[derive(serde::Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        data: Vec<&'a RawValue>,
    }
    let items = serde_json::from_slice::<Body>(&request.body).map(|body| body.data).unwrap_or_default();
    items.into_iter().map(|item| item.get().to_owned()).collect()
}

/// What a request is answered with.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub fault: Fault,
}

/// What goes wrong with an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    None,
    /// The connection is reset (RST); the request was received whole.
    ResetAfterRead,
    /// The connection is closed in order, without a byte.
    CloseWithoutAnswer,
    /// Silence for this long, then the connection is closed.
    Hang(Duration),
    /// The answer, after this delay.
    DelayBefore(Duration),
    /// These bytes in place of an answer, then the connection is closed.
    RawBytes(Vec<u8>),
    /// These pieces in place of an answer, `pause` after each; then the connection is closed, or kept.
    Pieces {
        pieces: Vec<Vec<u8>>,
        pause: Duration,
        keep: bool,
    },
    /// The first bytes in place of an answer, then the second over and over until the client is gone.
    Endless(Vec<u8>, Vec<u8>),
}

impl Answer {
    /// An empty answer.
    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new(), fault: Fault::None }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub fn fault(mut self, fault: Fault) -> Self {
        self.fault = fault;
        self
    }
}
