//! Sim: simulated threads and time around a dispatch.

use super::*;

/// How long a request takes.
pub(super) const LATENCY: Duration = Duration::from_millis(5);

/// A request as the pretended ingest sees it.
pub(super) struct Request<'a> {
    pub(super) items: Range<u64>,
    pub(super) key: &'a str,
    /// Since the start.
    pub(super) time: Duration,
    pub(super) bytes: usize,
}

pub(super) type Ingest<'a> = &'a dyn Fn(&Request) -> Outcome;

/// So many simulated threads, and a lane with batches.
pub(super) struct Sim {
    pub(super) dispatch: Dispatch,
    pub(super) gates: Gates,
    threads: usize,
    /// Until when threads wait that nothing has woken.
    asleep: Vec<Option<Instant>>,
    /// How long it takes to ask the lane for a batch.
    pub(super) asking: Duration,
    pub(super) start: Instant,
    pub(super) now: Instant,
    pub(super) lane: VecDeque<Arc<StoredBatch>>,
    pub(super) accepted: u64,
    under_way: Vec<(Instant, Sending)>,
    /// First item and number of items of each request, when it began, and whether the ingest refused it.
    pub(super) requests: Vec<(Duration, Range<u64>, char)>,
    pub(super) events: Vec<String>,
    pub(super) settled: Vec<(u64, u64, usize)>,
    pub(super) set_aside: Vec<(u64, String)>,
}

impl Sim {
    pub(super) fn wake(&mut self) {
        self.gates.wake(self.now);
        self.dispatch.wake();
    }

    pub(super) fn new(threads: usize, batches: impl IntoIterator<Item = (Range<u64>, &'static str)>) -> Self {
        let limits = Limits {
            most_piece_bytes: None,
            backoff: Backoff::new(BASE, MAX, 0.0),
            max_delay: MAX,
            max_retries: 0,
            max_in_flight: threads,
        };
        let (now, gates) = (Instant::now(), Gates::new(&limits));
        let stored = |(items, key): (Range<u64>, &str)| {
            let mut batch = Batch::new("lane", items.start, key);
            items.for_each(|n| batch.push(format!("{{\"n\":{n}}}").as_bytes()));
            Arc::new(StoredBatch { batch, bytes_before: 0, newest_unix_ms: 0, oldest_unix_ms: 0 })
        };
        Self {
            dispatch: Dispatch::new(limits, gates.clone()),
            gates,
            threads,
            asleep: Vec::new(),
            asking: Duration::ZERO,
            start: now,
            now,
            lane: batches.into_iter().map(stored).collect(),
            accepted: 0,
            under_way: Vec::new(),
            requests: Vec::new(),
            events: Vec::new(),
            settled: Vec::new(),
            set_aside: Vec::new(),
        }
    }

    pub(super) fn settle(&mut self, job: Job) {
        self.events.push(format!("settled {}/{}", job.delivered, job.bad_items.len()));
        self.dispatch.finish(job.first());
        self.settled.push((job.first(), job.delivered, job.bad_items.len()));
    }

    fn aside(&mut self, aside: SetAside) {
        self.events.push(format!("aside {}", aside.reason));
        self.dispatch.finish(aside.job.first());
        self.set_aside.push((aside.job.first(), aside.reason));
    }

    fn begin(&mut self, job: Job) {
        match self.dispatch.begin(job, self.now, self.accepted) {
            Begin::Send(sending) => self.under_way.push((self.now + LATENCY, sending)),
            Begin::SetAside(aside) => self.aside(aside),
            Begin::Wait => {}
        }
    }

    /// Lets a free thread do something; until when it waits if it can't.
    pub(super) fn step(&mut self) -> Result<(), Option<Instant>> {
        let mut task = self.dispatch.next(self.now, self.accepted);
        if let Task::Take { .. } = task {
            self.now += self.asking;
            task = match self.lane.pop_front() {
                Some(stored) => Task::Look(self.dispatch.took(stored)),
                None => self.dispatch.took_nothing(self.now, self.accepted),
            };
        }
        match task {
            Task::Look(job) => self.begin(job),
            Task::Settle(job) => self.settle(job),
            Task::Wait(until) => return Err(until),
            Task::Take { .. } => {}
        }
        Ok(())
    }

    pub(super) fn answer(&mut self, ingest: Ingest) {
        let at = (0..self.under_way.len()).min_by_key(|at| self.under_way[*at].0).unwrap();
        let (time, sending) = self.under_way.remove(at);
        self.now = self.now.max(time);
        let (first, len) = (sending.job.part().first(), sending.job.part().len() as u64);
        let request = Request {
            items: first..first + len,
            key: sending.job.key_name(),
            time: self.now - self.start,
            bytes: sending.job.part().body().len(),
        };
        let outcome = ingest(&request);
        let sign = match &outcome {
            Outcome::Accepted { .. } => '+',
            Outcome::Refused(_) | Outcome::TooLarge(_) => '-',
            _ => '!',
        };
        self.accepted += u64::from(sign == '+');
        self.events.push(format!("{sign}{first}..{}", first + len));
        self.requests.push((self.now - LATENCY - self.start, first..first + len, sign));
        let was_shut = self.dispatch.passage.why().is_some();
        if let Some(aside) = self.dispatch.report(sending, outcome, self.now, self.accepted) {
            self.aside(aside);
        }
        if !was_shut && matches!(self.dispatch.passage.why(), Some((Why::Hold(_), _))) {
            self.events.push("hold".into());
        }
    }

    /// Runs until nothing is left or so much time has passed. A thread that waits goes on when its time has come, or when
    /// the dispatch wakes it.
    pub(super) fn run(&mut self, time: Duration, ingest: Ingest) {
        let end = self.start + time;
        self.asleep.clear();
        while self.now < end {
            while self.under_way.len() + self.asleep.len() < self.threads {
                let open = self.dispatch.passage.why().is_none();
                if let Err(until) = self.step() {
                    self.asleep.push(until);
                    if open && self.dispatch.passage.why().is_some() {
                        self.events.push("hold".into());
                    }
                }
                self.hear();
            }
            let next_answer = self.under_way.iter().map(|(time, _)| *time).min();
            let next_waking = self.asleep.iter().filter_map(|until| *until).min();
            match (next_answer, next_waking) {
                (Some(at), until) if until.is_none_or(|until| at <= until) => self.answer(ingest),
                (_, Some(until)) => self.now = until.max(self.now),
                _ => return,
            }
            self.hear();
            self.asleep.retain(|until| until.is_none_or(|until| self.now < until));
        }
    }

    /// Wakes the threads if there is something to see.
    fn hear(&mut self) {
        if self.dispatch.take_change() | self.dispatch.take_gate_change() {
            self.asleep.clear();
        }
    }

    pub(super) fn delivered(&self) -> u64 {
        self.settled.iter().map(|(_, delivered, _)| delivered).sum()
    }

    pub(super) fn requests_between(&self, from: Duration, to: Duration) -> usize {
        self.requests.iter().filter(|(time, ..)| (from..to).contains(time)).count()
    }
}
