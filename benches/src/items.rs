//! Items: what ours and the peers enqueue, send or write.

/// 319 items of 24 whole traces, from runs of the OpenAI Agents SDK.
pub const SAMPLE: &str = include_str!("../../tests/fixtures/agents-sdk-sample.ndjson");

/// The length of [`span`] in bytes.
pub const SPAN_BYTES: usize = 511;

/// A span like those of the sample, with ids and times unique to `n`. All spans have the same length.
pub fn span(n: u64) -> Vec<u8> {
    let id = |n: u64| u128::from(random(n)) << 64 | u128::from(random(!n));
    let (span, parent, trace) = (id(n) >> 32, id(n / 2) >> 32, id(n / 8));
    let (begin_us, end_us) = (random(n) % 1_000_000, random(n + 1) % 1_000_000);
    let json = format!(
        r#"{{"object":"trace.span","id":"span_{span:024x}","trace_id":"trace_{trace:032x}","parent_id":"span_{parent:024x}","started_at":"2026-11-22T10:48:32.{begin_us:06}+00:00","ended_at":"2026-11-22T10:48:33.{end_us:06}+00:00","span_data":{{"type":"agent","name":"Real run","handoffs":[],"tools":["lookup_order"],"output_type":"str"}},"error":{{"message":"Error in agent run","data":{{"error":"Error code: 500 - The server had an error"}}}},"metadata":{{"agent_harness_id":"harness_dede55aeb9"}}}}"#
    );
    debug_assert_eq!(json.len(), SPAN_BYTES);
    json.into_bytes()
}

/// One export request of OTLP with a span of ten attributes that are strings, as long as [`span`], with ids unique to `n`.
pub fn otlp_span(n: u64) -> Vec<u8> {
    let text = |key: &str, value: &str| {
        let value = field(2, &field(1, value.as_bytes()));
        [field(1, key.as_bytes()), value].concat()
    };
    let mut span = [field(1, &[random(n / 8), random(n / 8 + 1)].map(u64::to_le_bytes).concat())].concat();
    span.extend(field(2, &random(n).to_le_bytes()));
    span.extend(field(5, b"lookup_order"));
    for (number, time) in [(7, 1_795_000_000_000_000_000), (8, 1_795_000_000_001_000_000 + n)] {
        span.push(number << 3 | 1);
        span.extend(time.to_le_bytes());
    }
    for n in 0..10 {
        span.extend(field(9, &text(&format!("attribute.{n}"), "a value of some length")));
    }
    let scope = |pad: usize| field(1, &field(1, "s".repeat(pad).as_bytes()));
    let request = |pad: usize| {
        let resource = field(1, &field(1, &text("service.name", "shop")));
        field(1, &[resource, field(2, &[scope(pad), field(2, &span)].concat())].concat())
    };
    request(SPAN_BYTES.saturating_sub(request(0).len()))
}

/// A field of a protobuf message that has a length of less than 2^14.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let length = match content.len() {
        short @ 0..0x80 => vec![short as u8],
        long => vec![long as u8 | 0x80, (long >> 7) as u8],
    };
    [&[number << 3 | 2], &length[..], content].concat()
}

/// A pseudo-random number, the same in every run (splitmix64, public domain, Vigna 2015).
fn random(n: u64) -> u64 {
    let mut x = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The first `count` spans.
pub fn spans(count: usize) -> Vec<Vec<u8>> {
    (0..count as u64).map(span).collect()
}

/// The first `count` requests of OTLP.
pub fn otlp_spans(count: usize) -> Vec<Vec<u8>> {
    (0..count as u64).map(otlp_span).collect()
}

/// The items of [`SAMPLE`].
pub fn sample() -> Vec<Vec<u8>> {
    SAMPLE.split_terminator('\n').map(|line| line.as_bytes().to_vec()).collect()
}
