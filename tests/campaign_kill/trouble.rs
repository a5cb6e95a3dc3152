//! Trouble: what happens to a worker's spool, clock or file system while it runs.

use std::cell::OnceCell;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::scene::{Scene, entries};
use crate::setup::Setup;
use testkit::client::Noise;
use testkit::clock::Clock;
use testkit::host::NOBODY;
use testkit::mount::{Kind, Mount};
use testkit::run::output_within;
use testkit::wait::PATIENCE;
use testkit::{TempDir, caller, program, succeed};

const DAY: i64 = 86_400;
/// The extension of a link's name.
const LINK: &str = "link";
/// Room for the spools of a trial. The image is sparse.
const DISK_BYTES: u64 = 1 << 30;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The spool's folder has another name for a while.
    SpoolMoved,
    /// The folder of all lanes has.
    LanesMoved,
    /// The folder of a lane's segments has.
    SegmentsMoved,
    /// The link that the worker knows the spool by leads elsewhere for a while.
    LinkSwitched,
    /// The worker knows the spool by a relative path, and goes to another folder.
    FolderLeft,
    /// Somebody cleans the lock files away, and another process comes.
    Unlocked,
    /// The wall clock is set, now and again.
    ClockSet,
    /// Another file system is mounted over the spool for a while.
    Covered,
    /// The file system is frozen for a while.
    Frozen,
    /// A user without rights tries to deliver, repair and purge.
    OtherUser,
}

/// What troubles take.
pub struct Tools {
    dir: PathBuf,
    clock: OnceCell<Clock>,
    disk: OnceCell<Mount>,
    is_root: bool,
}

impl Tools {
    pub fn new(dir: &TempDir) -> Self {
        let is_root = Kind::Ext4.is_available("campaign_kill on a frozen file system");
        Self { dir: dir.path().to_owned(), clock: OnceCell::new(), disk: OnceCell::new(), is_root }
    }

    /// One of the troubles that can be had here.
    pub fn any_trouble(&self, noise: &mut Noise) -> Trouble {
        let had = if self.is_root { &Trouble::ALL[..] } else { &Trouble::ALL[..Trouble::WITHOUT_ROOT] };
        had[noise.below(had.len() as u64) as usize]
    }

    /// A folder for the spool, if it must be on a disk of its own.
    pub fn home_for(&self, setup: &Setup) -> Option<TempDir> {
        (setup.trouble == Some(Trouble::Frozen)).then(|| TempDir::new_in(self.disk(), "kill"))
    }

    /// Lets the worker that `command` starts see the clock that is set.
    pub fn load(&self, trouble: Trouble, command: &mut Command) {
        if trouble == Trouble::ClockSet {
            self.clock().load(command);
        }
    }

    fn clock(&self) -> &Clock {
        self.clock.get_or_init(|| Clock::compile(&self.dir))
    }

    fn disk(&self) -> &Path {
        let mount = || {
            let image = self.dir.join("disk.img");
            Kind::Ext4.make(&image, DISK_BYTES);
            Mount::new(&image, "loop", self.dir.join("disk"))
        };
        self.disk.get_or_init(mount).path()
    }
}

impl Trouble {
    /// All of them; those that take root come last.
    const ALL: [Self; 10] = [
        Self::SpoolMoved,
        Self::LanesMoved,
        Self::SegmentsMoved,
        Self::LinkSwitched,
        Self::FolderLeft,
        Self::Unlocked,
        Self::ClockSet,
        Self::Covered,
        Self::Frozen,
        Self::OtherUser,
    ];
    const WITHOUT_ROOT: usize = 7;

    /// How the worker knows the spool.
    pub fn name_of(self, spool: &Path) -> PathBuf {
        match self {
            Self::LinkSwitched => {
                fs::create_dir_all(spool).unwrap();
                let link = spool.with_extension(LINK);
                lead(&link, spool);
                link
            }
            Self::FolderLeft => spool.file_name().unwrap().into(),
            _ => spool.to_owned(),
        }
    }

    /// What the worker's mode says of it.
    pub fn mode(self) -> &'static str {
        if self == Self::FolderLeft { "c" } else { "" }
    }

    /// Whether the worker opens the spool only before it.
    pub fn takes_one_round(self) -> bool {
        matches!(
            self,
            Self::SpoolMoved | Self::LanesMoved | Self::SegmentsMoved | Self::LinkSwitched | Self::Covered
        )
    }

    /// Whether a lane stays the first that the next worker finds.
    pub fn keeps_order(self) -> bool {
        !matches!(self, Self::Unlocked | Self::ClockSet)
    }

    /// How often another process comes.
    pub fn visits(self) -> u64 {
        u64::from(self == Self::Unlocked)
    }

    /// Begins it.
    pub fn begin(self, scene: &mut Scene, noise: &mut Noise) -> Lasting {
        let spool = scene.spool.clone();
        match self {
            Self::SpoolMoved => Lasting::moved(spool),
            Self::LanesMoved => Lasting::moved(spool.join("lanes")),
            Self::SegmentsMoved => {
                let lanes = spool.join("lanes");
                let any = entries(&lanes).into_iter().map(|lane| lanes.join(lane).join("segments"));
                any.max().filter(|segments| segments.exists()).map_or(Lasting::Done, Lasting::moved)
            }
            Self::LinkSwitched => Lasting::switched(spool.with_extension(LINK)),
            Self::FolderLeft => Lasting::Done,
            Self::Covered => {
                succeed(Command::new("mount").args(["-t", "tmpfs", "none"]).arg(&spool));
                Lasting::Covered(spool)
            }
            Self::Frozen => {
                let disk = scene.tools().disk().to_owned();
                succeed(Command::new("fsfreeze").arg("--freeze").arg(&disk));
                Lasting::Frozen(disk)
            }
            Self::ClockSet => {
                let clock = scene.tools().clock();
                match noise.below(5) {
                    0 => clock.unset(),
                    n => clock.shift([0, DAY, -DAY, 100 * 365 * DAY][n as usize - 1]),
                }
                Lasting::Done
            }
            Self::Unlocked => {
                let lanes = spool.join("lanes");
                for lane in entries(&lanes) {
                    // It may be gone, or have no lock yet.
                    drop(fs::remove_file(lanes.join(lane).join("lock")));
                }
                scene.visit();
                Lasting::Done
            }
            Self::OtherUser => {
                meddle(&spool);
                Lasting::Done
            }
        }
    }
}

/// What another user can do to the spool: nothing.
fn meddle(spool: &Path) {
    let nobody = NOBODY.to_string();
    let drain = ["drain", "--set", "endpoint=http://127.0.0.1:9/"];
    for what in [&drain[..], &["check", "--repair"], &["rejected", "purge", "--all"]] {
        let mut command = caller("setpriv");
        command.args(["--reuid", &nobody, "--regid", &nobody, "--clear-groups"]).arg(program());
        command.args(what).arg("--spool-dir").arg(spool);
        let output = output_within(PATIENCE, &mut command, &format!("{what:?}"));
        assert!(!output.status.success(), "{what:?} of another user's spool: {output:?}");
    }
}

/// Has `link` lead to `target` from now on, in one step.
fn lead(link: &Path, target: &Path) {
    let fresh = link.with_extension("new");
    symlink(target, &fresh).unwrap();
    fs::rename(fresh, link).unwrap();
}

/// What lasts until it is dropped.
pub enum Lasting {
    Moved { from: PathBuf, to: PathBuf },
    Switched { link: PathBuf, from: PathBuf, to: PathBuf },
    Covered(PathBuf),
    Frozen(PathBuf),
    Done,
}

impl Lasting {
    fn moved(from: PathBuf) -> Self {
        let to = from.with_extension("away");
        fs::rename(&from, &to).unwrap();
        Self::Moved { from, to }
    }

    fn switched(link: PathBuf) -> Self {
        let (from, to) = (fs::read_link(&link).unwrap(), link.with_extension("elsewhere"));
        fs::create_dir(&to).unwrap();
        lead(&link, &to);
        Self::Switched { link, from, to }
    }
}

impl Drop for Lasting {
    fn drop(&mut self) {
        match self {
            // Fails when something was made under the old name.
            Self::Moved { from, to } => match fs::rename(to, from) {
                // Of a lane that was drained and removed meanwhile.
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                moved => moved.unwrap(),
            },
            Self::Switched { link, from, to } => {
                lead(link, from);
                // Fails when something was made there.
                fs::remove_dir(to).unwrap();
            }
            Self::Covered(spool) => {
                let made = entries(spool);
                succeed(Command::new("umount").arg("--lazy").arg(spool));
                assert!(made.is_empty(), "made under the spool's name: {made:?}");
            }
            Self::Frozen(disk) => drop(succeed(Command::new("fsfreeze").arg("--unfreeze").arg(disk))),
            Self::Done => {}
        }
    }
}
