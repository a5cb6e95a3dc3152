//! Quickstart: a trace and two spans go into the spool, and from there to the ingest.

use std::error::Error;
use std::time::Duration;

use spanspool::model::{AgentData, FunctionData};
use spanspool::{BatchTraceProcessor, Config, Span, SpanData, Trace, TracingProcessor};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(spool_dir), Some(endpoint)) = (args.next(), args.next()) else {
        return Err("usage: quickstart SPOOL_DIR ENDPOINT".into());
    };
    let mut config = Config::new();
    config.set("spool_dir", &spool_dir)?.set("endpoint", &endpoint)?;
    let processor = BatchTraceProcessor::open(config)?;

    let trace = Trace::new("quickstart");
    processor.on_trace_start(&trace)?; // durable when it returns Ok
    let mut agent = Span::new(&trace.id, AgentData::new("helper"));
    let mut call = agent.child(FunctionData::new("lookup"));
    if let SpanData::Function(lookup) = &mut call.span_data {
        lookup.output = Some("42".into());
    }
    call.finish();
    processor.on_span_end(&call)?;
    agent.finish();
    processor.on_span_end(&agent)?;
    processor.on_trace_end(&trace)?;

    // What is not delivered by then stays in the spool for the next client.
    processor.shutdown(Duration::from_secs(5))?;
    Ok(())
}
