//! Lane clock: the time that records carry, from which the age of an item is counted.
//!
//! It begins with the wall clock and goes on with the machine's uptime: a step of the wall clock changes no item's age.
//! What it showed is noted in the header, next to the wall clock and the uptime of that moment. From these the next owner
//! knows how much time has passed: exactly within one start of the machine, else by the wall clock.

use super::clock::{boot, boot_ms, now_unix_ms};
use super::header::HeaderCounter;

/// A wall clock that shows an earlier time, here the begin of 2024, was never set.
const SET_SINCE_UNIX_MS: u64 = 1_704_067_200_000;

/// The machine's clocks at one moment.
#[derive(Debug, Clone, Copy)]
struct Moment {
    unix_ms: u64,
    boot_ms: u64,
    boot: u64,
}

impl Moment {
    fn now() -> Self {
        Self { unix_ms: now_unix_ms(), boot_ms: boot_ms(), boot: boot() }
    }
}

/// What a lane's clock showed at a moment.
struct Note {
    lane_ms: u64,
    moment: Moment,
}

impl Note {
    /// The one in a header; without a time where there is none.
    fn of(header: impl Fn(HeaderCounter) -> u64) -> Self {
        let moment = Moment {
            unix_ms: header(HeaderCounter::ClockUnixMs),
            boot_ms: header(HeaderCounter::ClockBootMs),
            boot: header(HeaderCounter::ClockBoot),
        };
        Self { lane_ms: header(HeaderCounter::ClockMs), moment }
    }

    /// What the lane's clock shows at `now`.
    fn at(&self, now: Moment) -> u64 {
        let Moment { unix_ms, boot_ms, boot } = self.moment;
        let passed = if boot != 0 && boot == now.boot && boot_ms <= now.boot_ms {
            now.boot_ms - boot_ms
        } else if unix_ms >= SET_SINCE_UNIX_MS {
            now.unix_ms.saturating_sub(unix_ms)
        } else {
            0
        };
        // A record without a time is none. A journal of an older release has no note.
        if self.lane_ms == 0 { now.unix_ms.max(1) } else { self.lane_ms.saturating_add(passed) }
    }
}

/// What the clock of the lane shows now that has this header.
pub(crate) fn lane_ms(header: impl Fn(HeaderCounter) -> u64) -> u64 {
    Note::of(header).at(Moment::now())
}

/// The clock of a lane that this process owns.
pub(super) struct LaneClock {
    /// What it showed when the machine was started, counting below 0 where that has to be.
    base_ms: u64,
}

impl LaneClock {
    /// Goes on where the last owner's clock was, by its header.
    pub(super) fn open(header: impl Fn(HeaderCounter) -> u64) -> Self {
        let now = Moment::now();
        Self { base_ms: Note::of(header).at(now).wrapping_sub(now.boot_ms) }
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.base_ms.wrapping_add(boot_ms())
    }

    /// What to note in the header now.
    pub(super) fn note(&self) -> [(HeaderCounter, u64); 4] {
        let now = Moment::now();
        [
            (HeaderCounter::ClockMs, self.base_ms.wrapping_add(now.boot_ms)),
            (HeaderCounter::ClockUnixMs, now.unix_ms),
            (HeaderCounter::ClockBootMs, now.boot_ms),
            (HeaderCounter::ClockBoot, now.boot),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: u64 = 1_800_000_000_000;
    const HOUR: u64 = 3_600_000;

    fn at(unix_ms: u64, boot_ms: u64, boot: u64) -> Moment {
        Moment { unix_ms, boot_ms, boot }
    }

    #[test]
    fn within_one_start_of_the_machine_the_wall_clock_is_not_asked() {
        let note = Note { lane_ms: 1000, moment: at(5, 500, 7) };
        for unix_ms in [0, TODAY, u64::MAX] {
            assert_eq!(note.at(at(unix_ms, 700, 7)), 1200);
        }
    }

    #[test]
    fn after_another_start_as_much_has_passed_as_the_wall_clock_says_if_it_was_set() {
        let note = Note { lane_ms: 1000, moment: at(TODAY, 500, 7) };
        assert_eq!(note.at(at(TODAY + HOUR, 10, 8)), 1000 + HOUR);
        assert_eq!(note.at(at(TODAY + HOUR, 10, 0)), 1000 + HOUR);
        // It was set back, or is not set yet.
        assert_eq!(note.at(at(TODAY - HOUR, 10, 8)), 1000);
        assert_eq!(note.at(at(0, 10, 8)), 1000);
        // It was not set then.
        let unset = Note { lane_ms: 1000, moment: at(HOUR, 500, 7) };
        assert_eq!(unset.at(at(TODAY, 10, 8)), 1000);
    }

    #[test]
    fn a_lane_of_an_older_release_goes_by_the_wall_clock() {
        let none = Note { lane_ms: 0, moment: at(0, 0, 0) };
        assert_eq!(none.at(at(TODAY, 500, 7)), TODAY);
        assert_eq!(none.at(at(0, 500, 7)), 1);
    }
}
