//! Owner: whose a spool is. A lane is for its own user only, so what another user makes in a spool helps nobody.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::error::{Error, ErrorKind, Result};
use crate::os::process;
use crate::spool::inspect::view::SpoolView;
use crate::spool::lane::directory::LANES;

/// A lane of another user: this process can't deliver it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignLane {
    /// The lane's id: the name of its folder.
    pub id: String,
    /// Whose it is, and what to do, for people.
    pub reason: String,
}

impl SpoolView {
    /// Checks that the programs whose spool is in `dir` can use what this process makes there. Nothing is made.
    ///
    /// The spool is its owner's, and one that is not there yet is for the owner of the folder that it will be in, unless
    /// that is root. Errors: `Io`, which names the owner and how to run as that user.
    pub fn check_user(dir: impl AsRef<Path>) -> Result<()> {
        let (dir, me) = (dir.as_ref(), process::user_id());
        let lanes = dir.join(LANES);
        let found = lanes.ancestors().find_map(|path| std::fs::metadata(path).ok().map(|it| (path, it)));
        let Some((path, it)) = found else { return Ok(()) };
        let is_spool = path == lanes || path == dir;
        // Anybody may make a spool of their own, as in /tmp. One that root makes in a user's folder would be root's.
        if it.uid() == me || !is_spool && (me != 0 || it.uid() == 0) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Io, format!("{} {}", path.display(), whose(&it))))
    }

    /// Every lane of another user, sorted by id.
    pub fn foreign(&self) -> Result<Vec<ForeignLane>> {
        let me = process::user_id();
        let mut foreign = Vec::new();
        for (id, path) in self.lane_dirs()? {
            if let Ok(it) = path.stat()
                && it.st_uid != me
            {
                foreign.push(ForeignLane { id, reason: process::not_ours(it.st_uid, it.st_gid) });
            }
        }
        Ok(foreign)
    }
}

fn whose(it: &Metadata) -> String {
    process::not_ours(it.uid(), it.gid())
}
