//! Events: what happens when, in virtual time. A wheel of milliseconds, with a heap for what is further off.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Milliseconds of virtual time.
pub type Ms = u64;

/// The turn of the wheel: two minutes.
const SLOTS: usize = 1 << 17;

/// Events in the order of their times; those of one millisecond in the order in which they were added.
pub struct Events<E> {
    now: Ms,
    slots: Vec<Vec<E>>,
    far: BinaryHeap<Reverse<(Ms, u64, Far<E>)>>,
    added: u64,
    pending: usize,
}

/// Never compared: no two have the same time and number.
struct Far<E>(E);

impl<E> PartialEq for Far<E> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<E> Eq for Far<E> {}

impl<E> PartialOrd for Far<E> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Far<E> {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

impl<E> Default for Events<E> {
    /// None yet, at time 0.
    fn default() -> Self {
        let slots = std::iter::repeat_with(Vec::new).take(SLOTS).collect();
        Self { now: 0, slots, far: BinaryHeap::new(), added: 0, pending: 0 }
    }
}

impl<E> Events<E> {
    /// Lets `event` happen at `at`, or at once if that has passed.
    pub fn add(&mut self, at: Ms, event: E) {
        let at = at.max(self.now);
        self.pending += 1;
        self.added += 1;
        if at - self.now < SLOTS as Ms {
            self.slots[at as usize % SLOTS].push(event);
        } else {
            self.far.push(Reverse((at, self.added, Far(event))));
        }
    }

    /// Whether none is left.
    pub fn is_empty(&self) -> bool {
        self.pending == 0
    }

    /// Now.
    pub fn now(&self) -> Ms {
        self.now
    }

    /// All that happens in this millisecond, as far as it is known by now; more may be added to it.
    pub fn take_due(&mut self) -> Vec<E> {
        let due = std::mem::take(&mut self.slots[self.now as usize % SLOTS]);
        self.pending -= due.len();
        due
    }

    /// Gives back the memory of what `take_due` took, and goes on to the next millisecond if nothing was added to this one.
    pub fn end(&mut self, mut taken: Vec<E>) {
        taken.clear();
        let slot = &mut self.slots[self.now as usize % SLOTS];
        if !slot.is_empty() {
            return;
        }
        *slot = taken;
        self.now += 1;
        while self.far.peek().is_some_and(|Reverse((at, ..))| at - self.now < SLOTS as Ms) {
            if let Some(Reverse((at, _, Far(event)))) = self.far.pop() {
                self.slots[at as usize % SLOTS].push(event);
            }
        }
    }
}
