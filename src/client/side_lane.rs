//! Side lane: a lane that a process opens for a while, besides its own if it has one, to put items into it. It sends none.

use std::ops::Deref;
use std::sync::Arc;

use crate::client::runner::Runner;
use crate::config::Config;
use crate::error::Result;
use crate::spool::Lane;

/// An open lane and its committer. Dropping it lets it go.
pub(super) struct SideLane {
    lane: Arc<Lane>,
    runner: Runner,
}

impl SideLane {
    pub(super) fn start(lane: Lane, config: &Config) -> Result<Self> {
        let lane = Arc::new(lane);
        Ok(Self { runner: Runner::start(lane.clone(), true, None, config, 0)?, lane })
    }
}

impl Deref for SideLane {
    type Target = Lane;

    fn deref(&self) -> &Lane {
        &self.lane
    }
}

impl Drop for SideLane {
    fn drop(&mut self) {
        if self.runner.stop() {
            self.lane.unlock();
        }
    }
}
