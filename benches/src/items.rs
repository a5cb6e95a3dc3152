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

/// The items of [`SAMPLE`].
pub fn sample() -> Vec<Vec<u8>> {
    SAMPLE.split_terminator('\n').map(|line| line.as_bytes().to_vec()).collect()
}
