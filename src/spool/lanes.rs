//! Lanes: the folder of all lanes of a spool: take over one, make one, clean up after crashes.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::dir;
use super::journal::{now_unix_ms, random};
use super::lane::Lane;
use super::lock::LaneLock;
use super::policy::Policy;
use crate::config::{Level, Log};
use crate::error::{Error, ErrorKind, Result};
use crate::fork;

/// Extensions of the names of lanes that are being made, and that are being removed.
const MAKING: &str = "new";
pub(super) const REMOVING: &str = "gone";
/// New lanes that other processes may sweep up by mistake before making one is given up.
const MAKE_ATTEMPTS: usize = 8;

/// Whether `name` is a lane's; a lane that is being made or removed has another kind of name.
pub(super) fn is_lane(name: &str) -> bool {
    name.len() == 16 && name.bytes().all(|b| b.is_ascii_hexdigit())
}

impl Lane {
    /// The folder of a spool's lanes.
    pub(crate) fn all_in(spool_dir: &Path) -> PathBuf {
        spool_dir.join("lanes")
    }

    /// Takes over the first lane of `spool_dir` that nobody owns, or makes one.
    pub(crate) fn take(spool_dir: &Path, policy: &Policy, log: &Log) -> Result<Self> {
        let lanes = Self::all_in(spool_dir);
        dir::create(&lanes)?;
        match Self::next_orphan(&lanes, policy, log)? {
            Some(lane) => Ok(lane),
            None => Self::make(&lanes, policy, log),
        }
    }

    /// Takes over the first lane in `lanes` that nobody owns. One that can't be used is left as it is.
    pub(crate) fn next_orphan(lanes: &Path, policy: &Policy, log: &Log) -> Result<Option<Self>> {
        for id in dir::names(lanes)?.into_iter().filter(|name| is_lane(name)) {
            let path = lanes.join(&id);
            let opened = check_owner(&path)
                .and_then(|()| LaneLock::take(&path))
                .and_then(|locked| locked.map(|lock| Self::open(&id, &path, lock, policy, log)).transpose());
            match opened {
                Ok(None) => {}
                Ok(lane) => return Ok(lane),
                Err(error) => log.line(Level::Error, format_args!("lane {id} is left as it is: {error}")),
            }
        }
        Ok(None)
    }

    /// Removes what a crash left of lanes that were being made or removed.
    pub(crate) fn sweep_up(lanes: &Path) -> Result<()> {
        let left = |path: &PathBuf| path.extension().is_some_and(|end| end == MAKING || end == REMOVING);
        for path in dir::names(lanes)?.iter().map(|name| lanes.join(name)).filter(left) {
            if let Some(_lock) = LaneLock::take(&path)? {
                dir::remove(&path)?;
            }
        }
        Ok(())
    }

    /// Makes a lane under another name, so that nobody takes it while it is not whole.
    fn make(lanes: &Path, policy: &Policy, log: &Log) -> Result<Self> {
        for _ in 0..MAKE_ATTEMPTS {
            let id = format!("{:08x}{:08x}", now_unix_ms() / 1000, random() as u32);
            let fresh = lanes.join(&id).with_extension(MAKING);
            dir::create(&fresh)?;
            let Some(lock) = LaneLock::take(&fresh)? else { continue };
            let path = lanes.join(&id);
            let made = Self::create_journal(&fresh, policy).and_then(|()| dir::rename(&fresh, &path));
            if let Err(error) = made {
                // What was begun must not stay behind on a disk that is full.
                drop(dir::remove(&fresh));
                return Err(error);
            }
            return Self::open(&id, &path, lock, policy, log);
        }
        Err(Error::new(
            ErrorKind::Locked,
            format!("other processes keep taking new lanes in {}", lanes.display()),
        ))
    }
}

/// A lane that another user made, or that a link leads to, is not ours to read or write.
fn check_owner(lane: &Path) -> Result<()> {
    let refused = |why: String| Err(Error::new(ErrorKind::Io, format!("{} {why}", lane.display())));
    match std::fs::symlink_metadata(lane) {
        Err(e) => Err(Error::io(format!("look at {}", lane.display()), &e)),
        Ok(m) if !m.is_dir() => refused("is not a folder; a lane that is a link is not followed".into()),
        Ok(m) if m.uid() != fork::user_id() => {
            refused(format!("belongs to user {}, not to {}", m.uid(), fork::user_id()))
        }
        Ok(_) => Ok(()),
    }
}
