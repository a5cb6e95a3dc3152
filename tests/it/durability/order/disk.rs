//! Disk: what a power cut could leave after each call of a log, with the least that POSIX promises: an entry of a folder
//! is there once the folder was synced, the content of a file once the file was.

use std::collections::{HashMap, HashSet};

use super::log::{Begin, End, Entry, Header};

/// The journal's header in its file, before the ring.
pub const HEADER_BYTES: u64 = 64 << 10;

/// What is on stable storage of a journal's file.
#[derive(Debug, Clone)]
pub struct Durable {
    /// The oldest header that a cut could leave.
    pub header: Header,
    /// Records before this position of the ring are there, as far as they are needed.
    pub tail_pos: u64,
}

struct Node {
    parent: u64,
    name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Added,
    Removed,
}

/// The files and folders that were made during the log, by inode.
#[derive(Default)]
pub struct Disk {
    nodes: HashMap<u64, Node>,
    children: HashMap<(u64, String), u64>,
    /// Entries that changed since their folder was synced, and in which line that was over.
    unsynced: HashMap<(u64, String), (usize, Change)>,
    /// Files that changed since they were synced.
    dirty: HashMap<u64, usize>,
    /// A sync of these failed once: no later one counts.
    failed: HashSet<u64>,
    journals: HashMap<u64, Durable>,
    /// The folder of each lane, and the file that is its journal.
    lanes: HashMap<String, u64>,
    named: HashMap<String, u64>,
}

impl Disk {
    /// Takes over what a call did that was `begun` in one line and over in line `at`.
    pub fn apply(&mut self, begun: usize, at: usize, begin: &Begin, end: &End) {
        if end.errno != 0 {
            if matches!(begin.operation.as_str(), "sync" | "msync") {
                self.failed.insert(begin.inode);
            }
            return;
        }
        match begin.operation.as_str() {
            "create" | "mkdir" => {
                self.add(&begin.from, end.inode, at);
                self.journals.remove(&end.inode);
                self.dirty.remove(&end.inode);
                self.failed.remove(&end.inode);
            }
            "write" => drop(self.dirty.insert(begin.inode, at)),
            "sync" => self.synced(begun, begin),
            "msync" => self.synced_in_part(begin),
            "unlink" => self.remove(&begin.from, at),
            "rename" => {
                self.remove(&begin.from, at);
                self.add(&begin.to, begin.inode, at);
            }
            other => panic!("{other}"),
        }
    }

    fn add(&mut self, entry: &Entry, inode: u64, at: usize) {
        let key = (entry.parent, entry.name.clone());
        self.nodes.insert(inode, Node { parent: entry.parent, name: entry.name.clone() });
        self.children.insert(key.clone(), inode);
        self.unsynced.insert(key, (at, Change::Added));
        if let Some((lane, parts)) = entry.in_lane() {
            match parts[1..] {
                [] => self.lanes.insert(lane.to_owned(), inode),
                ["journal"] => self.named.insert(lane.to_owned(), inode),
                _ => None,
            };
        }
    }

    fn remove(&mut self, entry: &Entry, at: usize) {
        let key = (entry.parent, entry.name.clone());
        self.children.remove(&key);
        self.unsynced.insert(key, (at, Change::Removed));
    }

    fn synced(&mut self, begun: usize, begin: &Begin) {
        let inode = begin.inode;
        if self.failed.contains(&inode) {
            return;
        }
        self.unsynced.retain(|(parent, _), (at, _)| *parent != inode || *at > begun);
        if self.dirty.get(&inode).is_some_and(|at| *at < begun) {
            self.dirty.remove(&inode);
        }
        if let Some(header) = begin.headers.iter().find(|header| header.inode == inode) {
            let durable = Durable { tail_pos: header.tail_pos, header: header.clone() };
            self.journals.insert(inode, durable);
        }
    }

    fn synced_in_part(&mut self, begin: &Begin) {
        let Some(header) = begin.headers.iter().find(|header| header.inode == begin.inode) else { return };
        let Some(durable) = self.journals.get_mut(&begin.inode) else { return };
        if self.failed.contains(&begin.inode) {
            return;
        }
        if begin.offset == 0 && header.sequence() > durable.header.sequence() {
            durable.header = header.clone();
        }
        // What is before the head is not needed any more.
        durable.tail_pos = durable.tail_pos.max(durable.header.head_pos());
        while durable.tail_pos < header.tail_pos {
            let at = HEADER_BYTES + durable.tail_pos % header.ring_bytes;
            let end = begin.offset + begin.length;
            if !(begin.offset..end).contains(&at) {
                return;
            }
            durable.tail_pos = header.tail_pos.min(durable.tail_pos + end - at);
        }
    }

    pub fn durable(&self, journal: u64) -> Option<&Durable> {
        self.journals.get(&journal)
    }

    /// The lane whose journal this file is, under that name.
    pub fn lane_of(&self, journal: u64) -> Option<&str> {
        self.named.iter().find(|(_, inode)| **inode == journal).map(|(lane, _)| lane.as_str())
    }

    pub fn journal_of(&self, lane: &str) -> Option<u64> {
        self.named.get(lane).copied()
    }

    /// The names of the files in a part of a lane, with their inodes.
    pub fn part(&self, lane: &str, part: &str) -> Vec<(String, u64)> {
        let dir = self.lanes.get(lane).and_then(|lane| self.child(*lane, part));
        dir.map_or_else(Vec::new, |dir| self.entries(dir))
    }

    fn entries(&self, dir: u64) -> Vec<(String, u64)> {
        let children = self.children.iter().filter(|((parent, _), _)| *parent == dir);
        let mut entries: Vec<_> = children.map(|((_, name), inode)| (name.clone(), *inode)).collect();
        entries.sort_unstable();
        entries
    }

    pub fn child(&self, dir: u64, name: &str) -> Option<u64> {
        self.children.get(&(dir, name.to_owned())).copied()
    }

    /// What a power cut could take of the way to a file; `None`: nothing.
    pub fn unsynced_on_the_way(&self, inode: u64) -> Option<String> {
        let mut inode = inode;
        while let Some(node) = self.nodes.get(&inode) {
            let taken = self.unsynced_entry(node.parent, &node.name);
            if taken.is_some() {
                return taken;
            }
            inode = node.parent;
        }
        None
    }

    /// What a power cut could take of the entry of a lane's folder.
    pub fn unsynced_lane(&self, lane: &str) -> Option<String> {
        let node = self.nodes.get(self.lanes.get(lane)?)?;
        self.unsynced_entry(node.parent, &node.name)
    }

    fn unsynced_entry(&self, parent: u64, name: &str) -> Option<String> {
        let change = self.unsynced.get(&(parent, name.to_owned()));
        let is_unsynced = matches!(change, Some((_, Change::Added)));
        is_unsynced.then(|| format!("the folder of \"{name}\" was not synced"))
    }

    /// What a power cut could take of a file's content.
    pub fn unsynced_content(&self, inode: u64) -> Option<String> {
        let name = self.nodes.get(&inode).map_or("?", |node| node.name.as_str());
        let is_unsynced = self.dirty.contains_key(&inode) || self.failed.contains(&inode);
        is_unsynced.then(|| format!("\"{name}\" was not synced"))
    }

    /// What a power cut could take of a file, of its content or on the way to it.
    pub fn unsynced(&self, inode: u64) -> Option<String> {
        self.unsynced_content(inode).or_else(|| self.unsynced_on_the_way(inode))
    }
}
