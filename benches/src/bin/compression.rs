//! Compression: what each codec that could compress the segments costs for a batch of real items, and what it saves.
//!
//! ```text
//! cargo run --release --manifest-path benches/Cargo.toml --bin compression
//! ```
//! Every batch is compressed by itself, as in the spool. The codecs take turns, so that a busy machine slows all of them
//! alike. The fastest round of each counts.

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// 319 items of 24 whole traces, from runs of the OpenAI Agents SDK.
const SAMPLE: &str = include_str!("../../../tests/fixtures/agents-sdk-sample.ndjson");
/// The library's default `max_batch_size`.
const BATCH_ITEMS: usize = 128;
const ROUNDS: usize = 9;

type Outcome = Result<Vec<u8>, Box<dyn Error>>;

/// One way to compress a batch.
struct Codec {
    name: &'static str,
    pack: fn(&[u8]) -> Outcome,
    /// Takes the compressed bytes and their original length.
    unpack: fn(&[u8], usize) -> Outcome,
}

const CODECS: &[Codec] = &[
    Codec { name: "none (copy)", pack: |b| Ok(b.to_vec()), unpack: |b, _| Ok(b.to_vec()) },
    Codec {
        name: "lz4_flex block",
        pack: |b| Ok(lz4_flex::block::compress(b)),
        unpack: |b, len| Ok(lz4_flex::block::decompress(b, len)?),
    },
    Codec { name: "zstd -1", pack: |b| Ok(zstd::bulk::compress(b, -1)?), unpack: unzstd },
    Codec { name: "zstd 1", pack: |b| Ok(zstd::bulk::compress(b, 1)?), unpack: unzstd },
    Codec { name: "zstd 3", pack: |b| Ok(zstd::bulk::compress(b, 3)?), unpack: unzstd },
];

fn unzstd(bytes: &[u8], len: usize) -> Outcome {
    Ok(zstd::bulk::decompress(bytes, len)?)
}

/// The best of one codec's rounds.
#[derive(Clone, Copy)]
struct Measured {
    packed_bytes: usize,
    pack: Duration,
    unpack: Duration,
}

/// The items joined by commas, 128 a batch. The sample is repeated until its end is also the end of a batch, so that every
/// item counts equally.
fn batches() -> Vec<Vec<u8>> {
    let items: Vec<&str> = SAMPLE.split_terminator('\n').collect();
    let all: Vec<&str> = items.iter().copied().cycle().take(items.len() * BATCH_ITEMS).collect();
    all.chunks(BATCH_ITEMS).map(|items| items.join(",").into_bytes()).collect()
}

fn measure(codec: &Codec, batches: &[Vec<u8>]) -> Result<Measured, Box<dyn Error>> {
    let begin = Instant::now();
    let packed: Vec<Vec<u8>> =
        batches.iter().map(|batch| (codec.pack)(black_box(batch))).collect::<Result<_, _>>()?;
    let pack = begin.elapsed();
    let begin = Instant::now();
    for (packed, batch) in packed.iter().zip(batches) {
        black_box((codec.unpack)(black_box(packed), batch.len())?);
    }
    let unpack = begin.elapsed();
    for (packed, batch) in packed.iter().zip(batches) {
        if (codec.unpack)(packed, batch.len())? != *batch {
            return Err(format!("{} does not restore what it compressed", codec.name).into());
        }
    }
    Ok(Measured { packed_bytes: packed.iter().map(Vec::len).sum(), pack, unpack })
}

fn main() -> Result<(), Box<dyn Error>> {
    let batches = batches();
    let plain_bytes: usize = batches.iter().map(Vec::len).sum();
    let mut best: Vec<Option<Measured>> = vec![None; CODECS.len()];
    for _ in 0..ROUNDS {
        for (codec, best) in CODECS.iter().zip(&mut best) {
            let now = measure(codec, &batches)?;
            let before = best.unwrap_or(now);
            *best = Some(Measured {
                pack: now.pack.min(before.pack),
                unpack: now.unpack.min(before.unpack),
                ..now
            });
        }
    }
    println!(
        "{} batches of {BATCH_ITEMS} items, {plain_bytes} bytes; fastest of {ROUNDS} rounds\n",
        batches.len()
    );
    println!("| codec          | bytes left | ratio | pack MB/s | unpack MB/s |");
    println!("|----------------|-----------:|------:|----------:|------------:|");
    for (codec, measured) in CODECS.iter().zip(best) {
        let Some(measured) = measured else { continue };
        let speed = |time: Duration| plain_bytes as f64 / 1e6 / time.as_secs_f64();
        println!(
            "| {:<14} | {:>8.1} % | {:>5.2} | {:>9.0} | {:>11.0} |",
            codec.name,
            100.0 * measured.packed_bytes as f64 / plain_bytes as f64,
            plain_bytes as f64 / measured.packed_bytes as f64,
            speed(measured.pack),
            speed(measured.unpack),
        );
    }
    Ok(())
}
