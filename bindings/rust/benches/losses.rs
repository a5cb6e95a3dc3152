//! How many spans that had ended are lost to `kill -9`: with the SDK's batch processor, and with ours. The receiver is
//! healthy.
//!
//! ```text
//! cargo bench -p spanspool-opentelemetry --bench losses
//! ```

#![allow(clippy::print_stdout, reason = "it is a program")]

use std::collections::BTreeSet;
use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use opentelemetry::trace::{Span as _, Tracer as _, TracerProvider as _};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{BatchSpanProcessor, SdkTracerProvider, SpanData, SpanExporter};
use prost::Message;
use spanspool::{BatchTraceProcessor, Config};
use spanspool_opentelemetry::SpoolSpanProcessor;
use testkit::TempDir;
use testkit::ingest::{Answer, Ingest};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Between two spans: about 200 of them in a second.
const PAUSE: Duration = Duration::from_millis(5);
/// How many spans have ended when the process is killed: more than five seconds of them.
const KILLED_AFTER: [usize; 5] = [1_000, 1_111, 1_222, 1_333, 1_444];

/// Posts what the SDK's own encoder makes, as an OTLP exporter does.
#[derive(Debug)]
struct Post {
    port: u16,
}

impl Post {
    fn send(&self, body: &[u8]) -> std::io::Result<()> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        write!(
            stream,
            "POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )?;
        stream.write_all(body)?;
        stream.read_to_end(&mut Vec::new()).map(drop)
    }
}

impl SpanExporter for Post {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let resource_spans = group_spans_by_resource_and_scope(batch, &Default::default());
        let body = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
        self.send(&body).map_err(|e| OTelSdkError::InternalFailure(e.to_string()))
    }
}

fn config(spool_dir: &str, port: u16) -> Result<Config> {
    let mut config = Config::new();
    config.set("spool_dir", spool_dir)?.set("exporter", "otlp")?;
    config.set("endpoint", &format!("http://127.0.0.1:{port}"))?;
    Ok(config)
}

/// The process that is to be killed: it says the number of each span that has ended.
fn write_spans(processor: &str, spool_dir: &str, port: u16) -> Result<()> {
    let provider = SdkTracerProvider::builder();
    let provider = match processor {
        "BatchSpanProcessor" => {
            provider.with_span_processor(BatchSpanProcessor::builder(Post { port }).build())
        }
        _ => provider.with_span_processor(SpoolSpanProcessor::with_config(config(spool_dir, port)?)?),
    };
    let tracer = provider.build().tracer("losses");
    let mut out = std::io::stdout();
    for n in 0_usize.. {
        tracer.start(n.to_string()).end();
        writeln!(out, "{n}")?;
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// The spans that had ended when the process was killed.
fn run_and_kill(processor: &str, spool_dir: &str, port: u16, after: usize) -> Result<usize> {
    let mut command = Command::new(env::current_exe()?);
    command.args([processor, spool_dir, &port.to_string()]).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let mut lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
    let ended = lines.by_ref().take(after).count();
    child.kill()?;
    child.wait()?;
    Ok(ended + lines.count())
}

fn names(ingest: &Ingest) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for request in ingest.requests() {
        for of_resource in ExportTraceServiceRequest::decode(&*request.body)?.resource_spans {
            let spans = of_resource.scope_spans.into_iter().flat_map(|of| of.spans);
            names.extend(spans.map(|span| span.name));
        }
    }
    Ok(names)
}

fn measure(processor: &str) -> Result<()> {
    let mut losses = Vec::new();
    for after in KILLED_AFTER {
        let (dir, ingest) = (TempDir::new("losses"), Ingest::start(|_| Answer::status(200))?);
        let spool_dir = dir.argument("spool");
        let ended = run_and_kill(processor, &spool_dir, ingest.port(), after)?;
        // The next process.
        BatchTraceProcessor::open(config(&spool_dir, ingest.port())?)?.flush(Duration::from_secs(60))?;
        let arrived = names(&ingest)?;
        losses.push((0..ended).filter(|n| !arrived.contains(&n.to_string())).count());
    }
    println!("{processor:<20} killed after {KILLED_AFTER:?} spans, lost {losses:?}");
    Ok(())
}

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match &arguments[..] {
        [processor, spool_dir, port] => write_spans(processor, spool_dir, port.parse()?),
        _ => ["BatchSpanProcessor", "SpoolSpanProcessor"].into_iter().try_for_each(measure),
    }
}
