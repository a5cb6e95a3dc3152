//! Repair: moving what is whole in damaged lanes into a new lane, on request.

use std::path::PathBuf;

use crate::client::side_lane::SideLane;
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::os::signal::without_file_size_signal;
use crate::spool::{DamagedLane, HeldPath, Lane, LaneCheck, LaneSettings, SpoolView};

/// What a repair did to one lane.
#[derive(Debug, Clone)]
pub struct LaneRepair {
    /// The id that the lane had.
    pub id: String,
    /// Pending items that can be delivered again, by the next client: they are in another lane now.
    pub salvaged: u64,
    /// Pending items that can't be recovered; `None` when their number is not known.
    pub lost: Option<u64>,
    /// Where its damaged files are kept.
    pub kept: PathBuf,
}

/// Moves what is whole in every damaged lane without an owner into a new lane of the same destination, and the damaged
/// files into that lane's quarantine. With nothing to do it changes nothing, so doing it twice is doing it once.
///
/// A client that delivers does the same by itself, except that it goes on in a lane whose journal it can read. Items of
/// a lane whose header was damaged may be delivered twice. Errors: `Io`, and `Full` when `max_spool_bytes` has no room.
pub fn repair(config: &Config) -> Result<Vec<LaneRepair>> {
    config.check()?;
    let view = SpoolView::open(&config.spool_dir)?;
    let mut damaged = view.check()?;
    damaged.retain(|lane| !lane.is_whole() && lane.repairable);
    if damaged.is_empty() {
        return Ok(Vec::new());
    }
    damaged.sort_by(|a, b| a.destination.cmp(&b.destination));
    without_file_size_signal(|| move_all(config, &damaged))
}

/// As [`repair`]; lanes of one destination come one after the other.
fn move_all(config: &Config, damaged: &[LaneCheck]) -> Result<Vec<LaneRepair>> {
    let lanes = Lane::make_all_in(&config.spool_dir)?;
    let mut repaired = Vec::new();
    for same in damaged.chunk_by(|a, b| a.destination == b.destination) {
        let settings = LaneSettings::new(config, same[0].destination.clone());
        let own = SideLane::start(Lane::make(&lanes, &settings, &config.log)?, config)?;
        for lane in same {
            repaired.extend(move_over(&own, &lanes, lane)?);
        }
    }
    Ok(repaired)
}

/// Moves what is whole in `lane` into `own`. `None`: somebody owns it by now.
fn move_over(own: &Lane, lanes: &HeldPath, lane: &LaneCheck) -> Result<Option<LaneRepair>> {
    let why: Vec<&str> = lane.findings.iter().map(|finding| finding.what.as_str()).collect();
    let Some(damaged_lane) = DamagedLane::lock(&lane.id, lanes, &why.join("; "))? else { return Ok(None) };
    let Some(recovered) = own.recover(damaged_lane, || false)? else {
        let what =
            format!("there is no room for the items of lane {}; set a larger max_spool_bytes", lane.id);
        return Err(Error::new(ErrorKind::Full, what));
    };
    let (salvaged, lost, kept) = (recovered.items, recovered.lost, recovered.kept);
    Ok(Some(LaneRepair { id: lane.id.clone(), salvaged, lost, kept }))
}
