//! Ground: whether a lane that is in use still has its place on the disk, and what is done when it has not.

use crate::config::Level;
use crate::error::{Error, ErrorKind, Result};
use crate::spool::held_path::{HeldPath, Standing};
use crate::spool::lane::Lane;
use crate::spool::lane::lock::{self, LaneLock};
use crate::spool::segments;

impl Lane {
    /// An error: the lane was deleted, so that nothing in it is durable, or its journal is being written again. The
    /// committer sees to it.
    pub(super) fn check_ground(&self) -> Result<()> {
        if self.identity.dir().standing() != Standing::Deleted && self.stores.journal().is_linked() {
            return self.stores.journal().failure().map_or(Ok(()), Err);
        }
        let error = self.deleted();
        self.stores.journal().fail(error.clone());
        self.mover.wake();
        Err(error)
    }

    fn deleted(&self) -> Error {
        Error::new(ErrorKind::Io, format!("{} was deleted while in use", self.identity.dir()))
    }

    /// Looks where the lane is, says once what is wrong, and recreates a lane that was deleted.
    ///
    /// Returns whether it was. An error: it can't be recreated now. Until it is, no item is accepted.
    pub(crate) fn hold_ground(&self) -> Result<bool> {
        let standing = self.identity.dir().standing();
        let is_news = self.identity.note_standing(standing);
        match standing {
            Standing::Deleted => return self.recreate().map(|()| true),
            Standing::Moved if is_news => self.log.line(
                Level::Error,
                format_args!(
                    "{} was moved away, or this process has another root: the lane goes on where it is, and a process \
                     that looks for it there does not find it",
                    self.identity.dir()
                ),
            ),
            Standing::Here if is_news => {
                self.log.line(Level::Info, format_args!("{} is back in its place", self.identity.dir()));
            }
            _ => {}
        }
        if !self.stores.journal().is_linked() {
            let what = format!("the journal of {} was deleted", self.identity.dir());
            if self.stores.journal().fail(Error::new(ErrorKind::Io, what.clone())) {
                self.log.line(Level::Error, format_args!("{what}: it is written again"));
            }
        }
        if self.identity.mend_lock().inspect_err(|e| self.refuse_if_owned(e))? {
            let lock = self.identity.dir().join(lock::FILE);
            let what = "was removed while in use, or the program closed its descriptor: it is locked again";
            self.log.line(Level::Warn, format_args!("{lock} {what}"));
        }
        // A lane that was moved took its segments along.
        if standing == Standing::Here { self.hold_segments() } else { Ok(false) }
    }

    /// The same for the folder of the segments. Returns whether it was made again.
    fn hold_segments(&self) -> Result<bool> {
        let folder = self.identity.dir().join(segments::FOLDER);
        let (standing, is_news) = self.stores.lock_queue().segments_mut().look_after_folder();
        match standing {
            Standing::Deleted => {
                let lost = self.lose_segments(make_held(&folder)?);
                let what = format_args!("{folder} was deleted while in use: it is made again; {lost}");
                self.log.line(Level::Error, what);
                return Ok(true);
            }
            Standing::Moved if is_news => self.log.line(
                Level::Error,
                format_args!(
                    "{folder} was moved away: the lane's segments go on where it is, and the next process waits for them \
                     until it is back"
                ),
            ),
            Standing::Here if is_news => {
                self.log.line(Level::Info, format_args!("{folder} is back in its place"));
            }
            _ => {}
        }
        Ok(false)
    }

    /// All segments are gone; `folder` is for new ones. Returns what to say of it.
    fn lose_segments(&self, folder: HeldPath) -> String {
        let mut queue = self.stores.lock_queue();
        let head = queue.checkpoint().head.seq;
        let lost = head.saturating_sub(queue.checkpoint().cursor);
        queue.segments_mut().note_deleted(head, folder);
        drop(queue);
        self.hand_out.wake();
        format!("of its pending items {lost} or fewer are lost, those in segments")
    }

    /// Accepts nothing if another process owns the lane by now: both would write to one journal.
    fn refuse_if_owned(&self, error: &Error) {
        if error.kind() == ErrorKind::Locked {
            self.stores.journal().refuse(error);
        }
    }

    /// Recreates the lane's folder. Its journal, all of which is in memory, is written there next; its segments are gone.
    fn recreate(&self) -> Result<()> {
        let (named, journal) = (&self.identity.named(), self.stores.journal());
        let deleted = self.deleted();
        journal.fail(deleted.clone());
        let locked = named.create().and_then(|()| lock::hold(named)).and_then(|fresh| {
            let Some(fresh) = fresh else { return Err(deleted.clone()) };
            let Some(lock) = LaneLock::take(named, &fresh)? else { return Err(deleted.clone()) };
            Ok((make_held(&fresh.join(segments::FOLDER))?, fresh, lock))
        });
        let (segments, fresh, lock) = locked.map_err(|why| {
            let what = format!("{deleted}, and can't be made again: {why}");
            let error = Error::new(ErrorKind::Io, what).caused_by(why);
            journal.refuse(&error);
            error
        })?;
        self.identity.replace_with(&fresh, lock);
        let lost = self.lose_segments(segments);
        self.log.line(Level::Error, format_args!("{deleted}: it is made again; {lost}"));
        Ok(())
    }
}

fn make_held(folder: &HeldPath) -> Result<HeldPath> {
    folder.create()?;
    folder.hold().map_err(|e| Error::io(format!("hold the folder {folder}"), e))
}
