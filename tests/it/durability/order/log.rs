//! Log: what tests/c/order_shim.c wrote, line by line.

/// An entry of a folder.
#[derive(Debug, Clone, Default)]
pub struct Entry {
    /// The folder's inode.
    pub parent: u64,
    pub name: String,
    /// The whole path.
    pub path: String,
}

impl Entry {
    /// The parts of the path from the lane's name on, and that name without the extension it has while the lane is
    /// made or removed.
    pub fn in_lane(&self) -> Option<(&str, Vec<&str>)> {
        let below = self.path.split("/lanes/").nth(1)?;
        let parts: Vec<&str> = below.split('/').collect();
        let lane = parts[0].split('.').next()?;
        Some((lane, parts))
    }
}

/// What the header of a mapped journal said.
#[derive(Debug, Clone)]
pub struct Header {
    pub inode: u64,
    pub ring_bytes: u64,
    pub tail_pos: u64,
    checkpoint: Vec<u64>,
}

impl Header {
    fn parse(text: &str) -> Self {
        let words: Vec<u64> = text.split(':').map(|word| word.parse().unwrap()).collect();
        let [inode, ring_bytes, tail_pos] = words[..3] else { panic!("{text}") };
        Self { inode, ring_bytes, tail_pos, checkpoint: words[3..].to_vec() }
    }

    /// Counts the checkpoints.
    pub fn sequence(&self) -> u64 {
        self.checkpoint[0]
    }

    pub fn cursor(&self) -> u64 {
        self.checkpoint[1]
    }

    pub fn head_pos(&self) -> u64 {
        self.checkpoint[3]
    }

    pub fn head_seq(&self) -> u64 {
        self.checkpoint[5]
    }

    /// What became of the items of lanes that were absorbed.
    pub fn adopted(&self) -> &[u64] {
        &self.checkpoint[16..21]
    }

    /// Items that count as rejected: the lane's own, and those of lanes that it absorbed.
    pub fn rejected(&self) -> u64 {
        self.checkpoint[12] + self.checkpoint[17]
    }
}

/// A call that is about to be made.
#[derive(Debug, Clone)]
pub struct Begin {
    pub operation: String,
    pub inode: u64,
    pub offset: u64,
    pub length: u64,
    pub from: Entry,
    pub to: Entry,
    pub headers: Vec<Header>,
}

/// How a call ended.
#[derive(Debug)]
pub struct End {
    pub errno: i32,
    pub inode: u64,
    pub headers: Vec<Header>,
}

pub enum Line {
    Begin(String, Begin),
    End(String, End),
}

impl Line {
    pub fn parse(text: &str) -> Self {
        let fields: Vec<&str> = text.split('\t').collect();
        let number = |at: usize| -> u64 { fields[at].parse().unwrap() };
        let headers = fields.last().unwrap().split(' ').filter(|text| !text.is_empty());
        let headers: Vec<Header> = headers.map(Header::parse).collect();
        let call = fields[0].to_owned();
        if fields[1] == "E" {
            return Self::End(call, End { errno: number(3) as i32, inode: number(4), headers });
        }
        let entry = |at: usize, path: usize| Entry {
            parent: number(at),
            name: fields[at + 1].to_owned(),
            path: fields[path].to_owned(),
        };
        Self::Begin(
            call,
            Begin {
                operation: fields[2].to_owned(),
                inode: number(3),
                offset: number(4),
                length: number(5),
                from: entry(6, 10),
                to: entry(8, 11),
                headers,
            },
        )
    }
}
