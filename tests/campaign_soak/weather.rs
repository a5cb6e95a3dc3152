//! Weather: an ingest that is up, down, slow, restarted and refuses in turn, by a seed, and knows what it took.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use testkit::client::{Noise, batch_id};
use testkit::ingest::{Answer, Fault, Ingest, Request, items_of};

/// Of a thread's items the ingest never takes this one of so many.
const BAD_ITEM: u64 = 1_000;
const BAD_ITEM_EVERY: u64 = 100_000;

/// What the ingest does for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Mode {
    Up,
    Down,
    Slow,
    Restart,
    Refusing,
}

/// A round; each goes through all of it in an order of its own. Half of it is fair, so that backlogs end.
const ROUND: [Mode; 10] = [
    Mode::Up,
    Mode::Down,
    Mode::Up,
    Mode::Slow,
    Mode::Up,
    Mode::Restart,
    Mode::Up,
    Mode::Refusing,
    Mode::Up,
    Mode::Refusing,
];

/// The ingest in its weather.
pub struct Weather {
    ingest: Ingest,
    scene: Arc<Scene>,
    noise: Noise,
    /// How long a mode lasts on average.
    mode_time: Duration,
    ahead: Vec<Mode>,
    next_change: Duration,
    stops: u64,
}

struct Scene {
    mode: AtomicU8,
    received: Mutex<Received>,
    noise: Mutex<Noise>,
}

/// The items that were answered with 200, each thread's as bits.
#[derive(Default)]
pub struct Received {
    bits: Vec<Vec<u64>>,
    /// What the bytes of each batch hashed to.
    batches: HashMap<String, u64>,
    /// Different items.
    pub items: u64,
    /// Answers that were taken back after the items had been received.
    pub lost_answers: u64,
    /// Batches that came again after they had been received.
    pub resent_batches: u64,
    /// Batches that came again with other bytes.
    pub changed_batches: u64,
    /// Items that came in two batches.
    pub in_two_batches: u64,
}

/// Which item this is: `{"thread":t,"n":n,…`.
pub fn thread_and_number(item: &str) -> (usize, u64) {
    let rest = item.strip_prefix(r#"{"thread":"#).unwrap();
    let (thread, rest) = rest.split_once(r#","n":"#).unwrap();
    (thread.parse().unwrap(), rest.split_once(',').unwrap().0.parse().unwrap())
}

/// Whether the ingest never takes this item.
pub fn is_bad((_, n): (usize, u64)) -> bool {
    n % BAD_ITEM_EVERY == BAD_ITEM
}

impl Weather {
    /// Fair until the first change; a mode lasts about `mode_time`.
    pub fn new(seed: u64, mode_time: Duration) -> Self {
        let scene = Arc::new(Scene {
            mode: AtomicU8::new(Mode::Up as u8),
            received: Mutex::default(),
            noise: Mutex::new(Noise::new(seed ^ 1)),
        });
        let ingest = scene.ingest(0);
        let noise = Noise::new(seed);
        Self { ingest, scene, noise, mode_time, ahead: Vec::new(), next_change: mode_time, stops: 0 }
    }

    pub fn url(&self) -> String {
        self.ingest.url()
    }

    pub fn received(&self) -> MutexGuard<'_, Received> {
        self.scene.received.lock().unwrap()
    }

    /// How often the ingest was stopped, with requests under way.
    pub fn stops(&self) -> u64 {
        self.stops
    }

    /// Changes the mode when it is time; `now` is counted from the beginning.
    pub fn go_on(&mut self, now: Duration) {
        // What was received is noted already; half an hour of bodies would fill the memory.
        self.ingest.take_requests();
        if now < self.next_change {
            return;
        }
        let mode = self.next_mode();
        let share = 50 + self.noise.below(100) as u32;
        self.next_change = now + self.mode_time * share / 100;
        self.set(mode);
    }

    /// From now on it is fair.
    pub fn clear_up(&mut self) {
        self.set(Mode::Up);
    }

    /// The next of a round that is shuffled (Fisher and Yates).
    fn next_mode(&mut self) -> Mode {
        if self.ahead.is_empty() {
            self.ahead = ROUND.to_vec();
            for last in (1..self.ahead.len()).rev() {
                self.ahead.swap(last, self.noise.below(last as u64 + 1) as usize);
            }
        }
        self.ahead.pop().unwrap()
    }

    fn set(&mut self, mode: Mode) {
        let was_down = self.scene.mode.swap(mode as u8, Relaxed) == Mode::Down as u8;
        if matches!(mode, Mode::Down | Mode::Restart) && !was_down {
            self.ingest.stop();
            self.stops += 1;
        }
        let is_down = was_down || mode == Mode::Restart;
        if is_down && mode != Mode::Down {
            self.ingest = self.scene.ingest(self.ingest.port());
        }
    }
}

impl Scene {
    fn ingest(self: &Arc<Self>, port: u16) -> Ingest {
        let scene = self.clone();
        Ingest::start_on(port, move |request| scene.answer(request)).unwrap()
    }

    fn answer(&self, request: &Request) -> Answer {
        let items: Vec<(usize, u64)> = items_of(request).iter().map(|item| thread_and_number(item)).collect();
        if items.iter().any(|item| is_bad(*item)) {
            return Answer::status(400).body("data[?]: never");
        }
        let mode = self.mode.load(Relaxed);
        let chance = |of| self.noise.lock().unwrap().below(of);
        let dice = if mode == Mode::Refusing as u8 { chance(16) } else { u64::MAX };
        let refusal = match dice {
            0 => Answer::status(503),
            1 => Answer::status(500).header("Retry-After", "-1"),
            2 => Answer::status(429).header("retry-after-ms", "100"),
            3 => Answer::status(401).body("not now"),
            4 => Answer::status(200).fault(Fault::RawBytes(b"HTTP/1.1 2".to_vec())),
            5 => Answer::status(200).fault(Fault::ResetAfterRead),
            6 => Answer::status(200).fault(Fault::CloseWithoutAnswer),
            _ => {
                self.received.lock().unwrap().take(request, &items);
                let slow = mode == Mode::Slow as u8;
                let delay = Duration::from_millis(if slow { 10 + chance(60) } else { 0 });
                return Answer::status(200).fault(Fault::DelayBefore(delay));
            }
        };
        if (4..=6).contains(&dice) {
            let mut received = self.received.lock().unwrap();
            received.take(request, &items);
            received.lost_answers += 1;
        }
        refusal
    }
}

impl Received {
    pub fn has(&self, (thread, n): (usize, u64)) -> bool {
        self.bits
            .get(thread)
            .and_then(|bits| bits.get(n as usize / 64))
            .is_some_and(|w| w >> (n % 64) & 1 == 1)
    }

    fn take(&mut self, request: &Request, items: &[(usize, u64)]) {
        let mut hash = DefaultHasher::new();
        request.body.hash(&mut hash);
        let hash = hash.finish();
        if let Some(before) = self.batches.insert(batch_id(request).to_owned(), hash) {
            self.resent_batches += 1;
            self.changed_batches += u64::from(before != hash);
            return;
        }
        for item in items {
            self.in_two_batches += u64::from(self.has(*item));
            self.items += u64::from(!self.has(*item));
            self.set(*item);
        }
    }

    fn set(&mut self, (thread, n): (usize, u64)) {
        let word = n as usize / 64;
        self.bits.resize_with(self.bits.len().max(thread + 1), Vec::new);
        let bits = &mut self.bits[thread];
        bits.resize(bits.len().max(word + 1), 0);
        bits[word] |= 1 << (n % 64);
    }
}
